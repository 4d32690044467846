//! What has changed, for those who listen.
//!
//! Nobody tells the node what has changed of links, addresses and routes: a number of the stack's says that something may have. Then all of it is
//! compared with what was known before, and each difference is a message: RTM_NEW... with what is new or not what it was, RTM_DEL... with what is
//! gone. How long something still lasts is no change of it.
//!
//! # Standards
//!
//! rtnetlink(7), `linux/rtnetlink.h` (RTNLGRP_*).

use std::collections::HashSet;

use sockeye_device::Instant;
use sockeye_stack::Stack;

use super::messages::Messages;
use super::routes::{self, Told};
use super::{AF_INET, AF_INET6, addresses, family, links};
use crate::interfaces::{Address, Interface};

/// RTNLGRP_*: who is told of it.
const LINK: u32 = 1;
const IPV4_IFADDR: u32 = 5;
const IPV4_ROUTE: u32 = 7;
const IPV6_IFADDR: u32 = 9;
const IPV6_ROUTE: u32 = 11;

/// What was told last.
#[derive(Debug)]
pub(crate) struct Known {
    generation: u64,
    interfaces: Vec<Interface>,
    routes: HashSet<Told>,
}

/// A message, and the group that gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) group: u32,
    pub(crate) message: Vec<u8>,
}

impl Known {
    pub(crate) fn new(now: Instant, interfaces: Vec<Interface>, stack: &Stack) -> Known {
        let of_family = |family| routes::all(now, &interfaces, stack, family);
        let routes = [AF_INET, AF_INET6].into_iter().flat_map(of_family).map(Told::lasting).collect();
        Known { generation: stack.route_generation(), interfaces, routes }
    }

    /// Whether something may be different now.
    pub(crate) fn is_old(&self, stack: &Stack) -> bool {
        self.generation != stack.route_generation()
    }

    /// What is different: first what is gone, then what came, each behind what it depends on.
    pub(crate) fn changes(&self, later: &Known) -> Vec<Change> {
        let mut changes = Vec::new();
        for route in self.routes.difference(&later.routes) {
            changes.push(change(of(route.family(), IPV4_ROUTE, IPV6_ROUTE), true, |messages| route.put(messages)));
        }
        let address = |gone, interface: &Interface, own: &Address| {
            let group = of(family(own.prefix.addr()), IPV4_IFADDR, IPV6_IFADDR);
            change(group, gone, |messages| addresses::put(messages, interface, own))
        };
        for interface in &self.interfaces {
            let left = later.interfaces.iter().find(|one| one.index == interface.index);
            let remains =
                |own: &Address| left.is_some_and(|left| left.addresses.iter().any(|one| one.prefix == own.prefix));
            let gone = interface.addresses.iter().filter(|own| !remains(own));
            changes.extend(gone.map(|own| address(true, interface, own)));
        }
        for interface in &later.interfaces {
            let before = self.interfaces.iter().find(|one| one.index == interface.index);
            if before.is_none_or(|before| links::facts(before) != links::facts(interface)) {
                changes.push(change(LINK, false, |messages| links::put(messages, interface)));
            }
            let same = |own: &Address, one: &Address| (own.prefix, own.flags) == (one.prefix, one.flags);
            let stood = |own: &Address| before.is_some_and(|before| before.addresses.iter().any(|one| same(own, one)));
            let came = interface.addresses.iter().filter(|own| !stood(own));
            changes.extend(came.map(|own| address(false, interface, own)));
        }
        for route in later.routes.difference(&self.routes) {
            changes.push(change(of(route.family(), IPV4_ROUTE, IPV6_ROUTE), false, |messages| route.put(messages)));
        }
        changes
    }
}

/// Whether a group is told of all that it is for, be it that this never changes on a node. Neighbours (3), what routers say (12, 18, 20) and
/// memberships (from 37 on) change, and nobody is told.
pub(crate) fn is_told(group: u32) -> bool {
    !matches!(group, 3 | 12 | 18 | 20 | 37..)
}

fn of(family: u8, v4: u32, v6: u32) -> u32 {
    if family == AF_INET { v4 } else { v6 }
}

fn change(group: u32, gone: bool, put: impl FnOnce(&mut Messages)) -> Change {
    let mut messages = Messages::change(gone);
    put(&mut messages);
    Change { group, message: messages.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, tests::host};
    use crate::ports::Ports;

    fn known(stack: &Stack) -> Known {
        Known::new(Instant::ZERO, interfaces(Instant::ZERO, stack, &Ports::default()), stack)
    }

    /// Group and type of each change from one to the other.
    fn told(before: &Known, after: &Known) -> Vec<(u32, u16)> {
        let kind = |change: &Change| u16::from_ne_bytes([change.message[4], change.message[5]]);
        before.changes(after).iter().map(|change| (change.group, kind(change))).collect()
    }

    #[test]
    fn addresses_bring_their_routes_and_take_them_away() {
        let mut stack = host();
        let before = known(&stack);
        assert!(!before.is_old(&stack));
        let port = stack.ports().last().expect("eth0").0;
        stack.add_address(Instant::ZERO, port, "192.0.2.1/24".parse().expect("a prefix"));
        assert!(before.is_old(&stack));
        let after = known(&stack);
        // To the network, to itself, to all.
        assert_eq!(told(&before, &after), [(5, 20), (7, 24), (7, 24), (7, 24)]);
        assert_eq!(told(&after, &before), [(7, 25), (7, 25), (7, 25), (5, 21)]);
        assert_eq!(told(&after, &known(&stack)), []);
    }

    #[test]
    fn an_interface_that_is_taken_down_loses_its_routes() {
        let mut stack = host();
        let before = known(&stack);
        let port = stack.ports().last().expect("eth0").0;
        stack.set_enabled(Instant::ZERO, port, false);
        assert!(before.is_old(&stack));
        let told = told(&before, &known(&stack));
        assert_eq!(told.last(), Some(&(1, 16)));
        assert!(
            told.len() > 1 && told[..told.len() - 1].iter().all(|change| matches!(change, (7 | 11, 25))),
            "{told:?}"
        );
    }
}
