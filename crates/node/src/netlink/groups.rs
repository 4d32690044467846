//! Groups: who is told of changes.
//!
//! A program listens in groups that it names by bits when it binds, or one by one (NETLINK_ADD_MEMBERSHIP). While somebody does, the node remembers
//! what it told last ([`Known`]), and looks once a turn at the stack's number for changes; without listeners it does neither. A message that finds no
//! room is lost, as an answer is.
//!
//! # Standards
//!
//! netlink(7), rtnetlink(7).

use sockeye_socket::Errno;
use sockeye_socket::table::Key;

use super::Netlinks;
use crate::interfaces::interfaces;
use crate::interfaces::rtnetlink::changes::{self, Known};
use crate::node::Node;

/// RTNLGRP_MAX.
const LAST: u32 = 39;

/// The groups of a socket: a bit for each, the first the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups(u64);

impl Groups {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn contains(self, group: u32) -> bool {
        self.0 & bit(group) != 0
    }

    /// The first 32, as addresses have them.
    pub(super) fn mask(self) -> u32 {
        self.0 as u32
    }

    /// NETLINK_LIST_MEMBERSHIPS.
    pub(super) fn list(self) -> Vec<u8> {
        [self.0 as u32, (self.0 >> 32) as u32].map(u32::to_ne_bytes).concat()
    }

    /// With these as the first 32.
    pub(super) fn with_mask(self, mask: u32) -> Result<Groups, Errno> {
        Groups(self.0 >> 32 << 32 | u64::from(mask)).checked()
    }

    /// With a group, or without it.
    pub(super) fn with(self, group: i32, joins: bool) -> Result<Groups, Errno> {
        let group = u32::try_from(group).ok().filter(|group| (1..=LAST).contains(group)).ok_or(Errno::EINVAL)?;
        if joins { Groups(self.0 | bit(group)).checked() } else { Ok(Groups(self.0 & !bit(group))) }
    }

    fn checked(self) -> Result<Groups, Errno> {
        let told = (1..=LAST).all(|group| !self.contains(group) || changes::is_told(group));
        if told { Ok(self) } else { Err(Errno::EOPNOTSUPP) }
    }
}

fn bit(group: u32) -> u64 {
    1 << (group - 1)
}

impl Node {
    /// A socket listens in these from now on.
    pub(super) fn listen_netlink(&mut self, key: Key, groups: Groups) {
        if self.boundary.netlinks.known.is_none() && !groups.is_empty() {
            let all = interfaces(self.now, self.host.stack(), &self.ports);
            self.boundary.netlinks.known = Some(Known::new(self.now, all, self.host.stack()));
        }
        if let Some(socket) = self.boundary.netlinks.sockets.get_mut(key) {
            socket.groups = groups;
        }
        self.boundary.netlinks.forget();
    }

    /// Tells who listens of what has changed.
    pub(crate) fn tell_changes(&mut self) {
        let stack = self.host.stack();
        let Some(known) = self.boundary.netlinks.known.as_ref().filter(|known| known.is_old(stack)) else { return };
        let later = Known::new(self.now, interfaces(self.now, stack, &self.ports), stack);
        let changes = known.changes(&later);
        self.boundary.netlinks.known = Some(later);
        for changes::Change { group, message } in changes {
            let hears = |(key, socket): (Key, &super::Socket)| socket.groups.contains(group).then_some(key);
            let who: Vec<Key> = self.boundary.netlinks.sockets.iter().filter_map(hears).collect();
            for key in who {
                self.tell(key, group, &message);
            }
        }
    }
}

impl Netlinks {
    /// What was told need not be known when nobody listens.
    pub(super) fn forget(&mut self) {
        if self.known.is_some() && self.sockets.iter().all(|(_, socket)| socket.groups.is_empty()) {
            self.known = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_joined_by_bits_and_by_number() {
        let groups = Groups::default().with_mask(0x11).expect("links and addresses");
        assert!(groups.contains(1) && groups.contains(5) && !groups.contains(7));
        let groups = groups.with(33, true).expect("a group above 32");
        assert_eq!((groups.mask(), groups.list()), (0x11, [0x11u32, 1].map(u32::to_ne_bytes).concat()));
        assert_eq!(groups.with_mask(0).and_then(|groups| groups.with(33, false)), Ok(Groups::default()));
        for wrong in [0, -1, 40, i32::MAX] {
            assert_eq!((groups.with(wrong, true), groups.with(wrong, false)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
        }
        // Of neighbours nobody is told.
        assert_eq!((groups.with(3, true), groups.with_mask(4)), (Err(Errno::EOPNOTSUPP), Err(Errno::EOPNOTSUPP)));
        assert_eq!(groups.with(3, false), Ok(groups));
    }
}
