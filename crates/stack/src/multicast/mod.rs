//! Multicast: which groups a port is in, and for whom.
//!
//! | room | concern |
//! |---|---|
//! | [`filter`] | whom a listener hears, and the merge of all listeners |
//! | [`group`] | a group on a port, and what routers are still to be told of it |
//! | [`querier`] | who asks, in which version |
//! | [`reporting`] | when something is said |
//! | [`member`] | who is in groups on behalf of a socket |
//! | [`copy`] | what is sent to a group comes back to us |
//! | [`packing`] | statements become reports that fit |
//! | [`messages`] | IGMP and MLD, in and out |
//!
//! A group on a port exists while somebody listens: the host itself (all nodes, and the groups in which neighbours look for
//! our addresses: [`Ip::join_group`]), or sockets, each with a filter of its own. What arrives for a group is taken when the
//! merge of all filters admits its source, and each socket then looks at its own.
//!
//! # Standards
//!
//! RFC 1112 §7 (the host's side), RFC 3376 §3, RFC 3810 §4 (states), RFC 4291 §2.8 (a node's own groups).

mod copy;
mod filter;
mod group;
mod member;
mod messages;
mod packing;
mod querier;
mod reporting;

use crate::hash::{Keyed, Keys};
use crate::ip::Ip;
use crate::port::PortId;
use crate::slab::Slab;
use crate::wheel::Wheel;
use group::Group;
use hashbrown::HashMap;
use querier::Querier;
use reporting::Timer;
use sockeye_device::Instant;
use sockeye_wire::{MacAddr, igmp, ipv6};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) use copy::Copies;
pub use filter::{FilterMode, SourceFilter};
pub use member::{MemberId, Membership, MembershipError};
pub use querier::Version;
pub use reporting::GroupSummary;

/// Groups that a host may be in, on all ports together.
const MAX_GROUPS: usize = 65_536;
/// Sources that may be spoken of in one group on one port.
const MAX_SOURCES: usize = 1_024;

/// All groups of all ports.
pub(crate) struct Multicast {
    /// Also those that were left, while that is still to be told.
    groups: BTreeMap<(PortId, IpAddr), Group>,
    /// What frames for them are addressed to, and how many groups share it.
    stations: HashMap<(PortId, MacAddr), u32, Keyed>,
    /// By port: of IPv4, and of IPv6.
    queriers: Vec<[Querier; 2]>,
    timers: Wheel<Timer>,
    /// What each is in, in order.
    members: Slab<Vec<Membership>>,
    /// Memberships of all members, and sources in them.
    held: usize,
}

impl Multicast {
    pub(crate) fn new(keys: &Keys) -> Self {
        Multicast {
            groups: BTreeMap::new(),
            stations: HashMap::with_hasher(keys.hasher(b"multicast stations")),
            queriers: Vec::new(),
            timers: Wheel::new(),
            members: Slab::default(),
            held: 0,
        }
    }

    /// True for a group that somebody on this port listens to.
    pub(crate) fn is_member(&self, port: PortId, group: IpAddr) -> bool {
        self.groups.get(&(port, group)).is_some_and(|state| !state.votes.is_nobody())
    }

    /// True when somebody on this port may want to hear that source in that group.
    pub(crate) fn admits(&self, port: PortId, group: IpAddr, source: IpAddr) -> bool {
        self.groups.get(&(port, group)).is_some_and(|state| state.votes.admits(source))
    }

    /// True for the address of a frame to one of the port's groups.
    pub(crate) fn hears(&self, port: PortId, station: MacAddr) -> bool {
        self.stations.contains_key(&(port, station))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A listener that heard by one filter hears by another now.
    pub(crate) fn change(&mut self, port: PortId, group: IpAddr, from: &SourceFilter, to: &SourceFilter) {
        let station = (port, MacAddr::for_group(group));
        let Multicast { groups, stations, .. } = self;
        let state = groups.entry((port, group)).or_insert_with(|| {
            *stations.entry(station).or_default() += 1;
            Group::default()
        });
        let before = state.votes.merged();
        state.votes.change(from, to);
        let after = state.votes.merged();
        self.note(port, group, &before, &after);
    }

    fn remove(&mut self, port: PortId, group: IpAddr) {
        let Some(state) = self.groups.remove(&(port, group)) else { return };
        if let Some(answer) = state.answer {
            self.timers.cancel(answer.timer);
        }
        let station = (port, MacAddr::for_group(group));
        if let Some(count) = self.stations.get_mut(&station) {
            *count -= 1;
            if *count == 0 {
                self.stations.remove(&station);
            }
        }
    }
}

impl Ip {
    /// The host itself listens to a group on a port, whoever sends. As often as it joins it must leave.
    pub(crate) fn join_group(&mut self, port: PortId, group: IpAddr) {
        self.multicast.change(port, group, &SourceFilter::default(), &SourceFilter::everybody());
    }

    /// It does so no more.
    pub(crate) fn leave_group(&mut self, port: PortId, group: IpAddr) {
        self.multicast.change(port, group, &SourceFilter::everybody(), &SourceFilter::default());
    }

    /// The groups of every port.
    pub(crate) fn join_standing_groups(&mut self, port: PortId) {
        self.join_group(port, igmp::ALL_SYSTEMS.into());
        self.join_group(port, ipv6::ALL_NODES.into());
    }
}
