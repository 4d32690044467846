//! Neighbours: RTM_NEWNEIGH.

use std::net::IpAddr;

use sockeye_stack::Stack;
use sockeye_stack::neighbor::{Neighbor, NeighborState};

use super::messages::{Messages, Request};
use crate::interfaces::Interface;

const RTM_NEWNEIGH: u16 = 28;

/// `struct ndmsg`: family, three zeros, index, state (2), flags, type.
const FIXED_LEN: usize = 12;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;

const NTF_PROXY: u8 = 0x08;
const NTF_ROUTER: u8 = 0x80;
const RTN_UNICAST: u8 = 1;

/// The neighbours that a dump asks for: of a family, of an interface. None has a master, and there are none for whom the node answers.
pub(super) fn asked(messages: &mut Messages, all: &[Interface], stack: &Stack, request: &Request<'_>) {
    let family = request.byte(0);
    let attributes = request.attributes(FIXED_LEN);
    let index = attributes.number(NDA_IFINDEX).filter(|&index| index != 0);
    if attributes.number(NDA_MASTER).is_some_and(|master| master != 0) || asks_for_proxies(request) {
        return messages.filtered();
    }
    if index.is_some() {
        messages.filtered();
    }
    let meant = |one: &Neighbor| {
        (family == 0 || family == super::family(one.address))
            && index.is_none_or(|index| index == one.port.interface_index())
    };
    let mut found: Vec<Neighbor> = stack.neighbors().filter(meant).collect();
    found.sort_by_key(|one| (one.address, one.port.interface_index()));
    for one in &found {
        put(messages, all, stack, one);
    }
}

/// The neighbour that is asked for by its address and interface. `None` if the question names none; none of that name otherwise.
pub(super) fn one(stack: &Stack, request: &Request<'_>) -> Option<Option<Neighbor>> {
    let index = request.word(4);
    let address = super::ip(request.byte(0), request.attributes(FIXED_LEN).find(NDA_DST)?)?;
    let found = |one: &Neighbor| one.address == address && one.port.interface_index() == index;
    (index != 0).then(|| stack.neighbors().find(found).filter(|_| !asks_for_proxies(request)))
}

fn asks_for_proxies(request: &Request<'_>) -> bool {
    request.byte(10) & NTF_PROXY != 0
}

pub(super) fn put(messages: &mut Messages, all: &[Interface], stack: &Stack, one: &Neighbor) {
    let Neighbor { port, address, mac, state, queued: _ } = *one;
    if !all.iter().any(|interface| interface.port == port) {
        return;
    }
    let state: u16 = match state {
        NeighborState::Incomplete => 0x01,
        NeighborState::Reachable => 0x02,
        NeighborState::Stale => 0x04,
        NeighborState::Delay => 0x08,
        NeighborState::Probe => 0x10,
        NeighborState::Failed => 0x20,
    };
    let is_router = stack.routers().iter().any(|router| (router.port, IpAddr::V6(router.address)) == (port, address));
    let mut fixed = [0; FIXED_LEN];
    fixed[0] = super::family(address);
    fixed[4..8].copy_from_slice(&port.interface_index().to_ne_bytes());
    fixed[8..10].copy_from_slice(&state.to_ne_bytes());
    fixed[10..].copy_from_slice(&[if is_router { NTF_ROUTER } else { 0 }, RTN_UNICAST]);
    messages.message(RTM_NEWNEIGH, &fixed, |messages| {
        messages.address(NDA_DST, address);
        if let Some(mac) = mac {
            messages.attribute(NDA_LLADDR, &mac.0);
        }
    });
}
