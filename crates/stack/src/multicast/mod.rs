//! Multicast: which groups a port is in, and for whom.
//!
//! | room | concern |
//! |---|---|
//! | [`filter`] | whom a listener hears, and the merge of all listeners |
//!
//! A group on a port exists while somebody listens: the host itself (all nodes, and the groups in which neighbours look for
//! our addresses: [`Ip::join_group`]), or sockets, each with a filter of its own. What arrives for a group is taken when the
//! merge of all filters admits its source, and each socket then looks at its own.
//!
//! # Standards
//!
//! RFC 1112 §7 (the host's side), RFC 3376 §3, RFC 3810 §4 (states), RFC 4291 §2.8 (a node's own groups).

mod filter;

use crate::hash::{Keyed, Keys};
use crate::ip::Ip;
use crate::port::PortId;
use filter::Votes;
use hashbrown::HashMap;
use sockeye_wire::{MacAddr, igmp, ipv6};
use std::net::IpAddr;

pub use filter::{FilterMode, SourceFilter};

/// All groups of all ports.
pub(crate) struct Multicast {
    groups: HashMap<(PortId, IpAddr), Votes, Keyed>,
    /// What frames for them are addressed to, and how many groups share it.
    stations: HashMap<(PortId, MacAddr), u32, Keyed>,
}

impl Multicast {
    pub(crate) fn new(keys: &Keys) -> Self {
        Multicast {
            groups: HashMap::with_hasher(keys.hasher(b"multicast groups")),
            stations: HashMap::with_hasher(keys.hasher(b"multicast stations")),
        }
    }

    /// True for a group that somebody on this port listens to.
    pub(crate) fn is_member(&self, port: PortId, group: IpAddr) -> bool {
        self.groups.contains_key(&(port, group))
    }

    /// True when somebody on this port may want to hear that source in that group.
    pub(crate) fn admits(&self, port: PortId, group: IpAddr, source: IpAddr) -> bool {
        self.groups.get(&(port, group)).is_some_and(|votes| votes.admits(source))
    }

    /// True for the address of a frame to one of the port's groups.
    pub(crate) fn hears(&self, port: PortId, station: MacAddr) -> bool {
        self.stations.contains_key(&(port, station))
    }
}

impl Ip {
    /// The host itself listens to a group on a port, whoever sends. As often as it joins it must leave.
    pub(crate) fn join_group(&mut self, port: PortId, group: IpAddr) {
        self.change_filter(port, group, &SourceFilter::default(), &SourceFilter::everybody());
    }

    /// It does so no more.
    pub(crate) fn leave_group(&mut self, port: PortId, group: IpAddr) {
        self.change_filter(port, group, &SourceFilter::everybody(), &SourceFilter::default());
    }

    /// The groups of every port.
    pub(crate) fn join_standing_groups(&mut self, port: PortId) {
        self.join_group(port, igmp::ALL_SYSTEMS.into());
        self.join_group(port, ipv6::ALL_NODES.into());
    }

    fn change_filter(&mut self, port: PortId, group: IpAddr, from: &SourceFilter, to: &SourceFilter) {
        let Multicast { groups, stations } = &mut self.multicast;
        let station = (port, MacAddr::for_group(group));
        let votes = groups.entry((port, group)).or_insert_with(|| {
            *stations.entry(station).or_default() += 1;
            Votes::default()
        });
        votes.change(from, to);
        if votes.is_nobody() {
            groups.remove(&(port, group));
            if let Some(count) = stations.get_mut(&station) {
                *count -= 1;
                if *count == 0 {
                    stations.remove(&station);
                }
            }
        }
    }
}
