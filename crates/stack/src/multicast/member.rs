//! A member: whoever is in groups on behalf of a socket, and hears by a filter of its own in each.
//!
//! What a member wants of a port's group is one vote in the [merge](super::filter) there. A filter that comes to hear nobody
//! is a membership that has ended. Who is in no group hears all groups that others on the host have joined, or none: its owner
//! decides ([`Multicast::hears_for`]), as Linux's IP_MULTICAST_ALL does.
//!
//! All is bounded: the groups of a member and the sources of a filter as on Linux, the groups and sources of a host beyond
//! that, as one report to a router has to name them all.
//!
//! # Standards
//!
//! RFC 3376 §2, RFC 3810 §3 and RFC 3678 §4, §5 (what sockets ask for); Linux ip(7), `igmp_max_memberships`, `igmp_max_msf`,
//! `mld_max_msf`.

use super::filter::{FilterMode, SourceFilter};
use super::{MAX_GROUPS, MAX_SOURCES, Multicast};
use crate::Stack;
use crate::port::PortId;
use crate::slab::handle;
use std::net::IpAddr;

/// Groups of IPv4 that a member may be in (`igmp_max_memberships`).
const MEMBERSHIPS_V4: usize = 20;
/// The same of IPv6, where Linux has a bound by memory (`optmem_max`).
const MEMBERSHIPS_V6: usize = 1_024;
/// Sources in one filter of IPv4 (`igmp_max_msf`), and of IPv6 (`mld_max_msf`).
const SOURCES_V4: usize = 10;
const SOURCES_V6: usize = 64;

/// What all memberships of a member may be, each counted with its sources (Linux has a bound by memory, `optmem_max`), and those of all members.
const MEMBER_HOLDS: usize = 1_024;
const ALL_HOLD: usize = 262_144;

handle! {
    /// A member. Goes stale when it is closed.
    MemberId
}

/// Why a membership cannot be had, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipError {
    /// The member is in the group there.
    AlreadyMember,
    /// The member is not in the group there.
    NotMember,
    /// The membership is of the other mode, and has sources.
    OtherMode,
    /// The source is in the list already, or is not.
    NoChange,
    /// Of groups, or of sources in a filter, there are as many as may be.
    TooMany,
}

/// What a member is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: IpAddr,
    /// On which port.
    pub port: PortId,
    /// Whom it hears.
    pub filter: SourceFilter,
}

impl Membership {
    fn weight(&self) -> usize {
        1 + self.filter.sources.len()
    }
}

impl Multicast {
    fn open(&mut self) -> MemberId {
        self.members.insert(Vec::new())
    }

    fn close(&mut self, id: MemberId) {
        if self.members.get(id).is_none() {
            return;
        }
        let memberships = self.members.remove(id.index()).unwrap_or_default();
        for membership in &memberships {
            self.held -= membership.weight();
        }
        for Membership { group, port, filter } in memberships {
            self.change(port, group, &filter, &SourceFilter::default());
        }
    }

    fn memberships(&self, id: MemberId) -> &[Membership] {
        self.members.get(id).map_or(&[], Vec::as_slice)
    }

    /// Where a membership stands, or would.
    fn place(&self, id: MemberId, port: PortId, group: IpAddr) -> Result<usize, usize> {
        self.memberships(id).binary_search_by_key(&(group, port), |held| (held.group, held.port))
    }

    /// Whether a member hears a source in a group on a port. `or_else` is for who is not in the group there; of IPv6 it is
    /// enough to be in it on any port, as on Linux.
    pub(crate) fn hears_for(
        &self,
        member: Option<MemberId>,
        port: PortId,
        (group, source): (IpAddr, IpAddr),
        or_else: bool,
    ) -> bool {
        let Some(id) = member else { return or_else };
        let memberships = self.memberships(id);
        let at = match group {
            IpAddr::V4(_) => self.place(id, port, group).ok(),
            IpAddr::V6(_) => self.place(id, port, group).ok().or_else(|| {
                let first = memberships.partition_point(|held| held.group < group);
                memberships.get(first).is_some_and(|held| held.group == group).then_some(first)
            }),
        };
        at.map_or(or_else, |at| memberships[at].filter.admits(source))
    }

    /// Whether so much more may be remembered for a member.
    fn may_hold(&self, id: MemberId, more: usize) -> bool {
        let held: usize = self.memberships(id).iter().map(Membership::weight).sum();
        held + more <= MEMBER_HOLDS && self.held + more <= ALL_HOLD
    }

    fn join(&mut self, id: MemberId, port: PortId, group: IpAddr, mode: FilterMode) -> Result<(), MembershipError> {
        let Err(at) = self.place(id, port, group) else { return Err(MembershipError::AlreadyMember) };
        let of_family = self.memberships(id).iter().filter(|held| held.group.is_ipv4() == group.is_ipv4()).count();
        let limit = if group.is_ipv4() { MEMBERSHIPS_V4 } else { MEMBERSHIPS_V6 };
        let known = self.groups.contains_key(&(port, group));
        if of_family >= limit || !known && self.groups.len() >= MAX_GROUPS || !self.may_hold(id, 1) {
            return Err(MembershipError::TooMany);
        }
        let filter = SourceFilter { mode, ..SourceFilter::default() };
        let Some(memberships) = self.members.get_mut(id) else { return Err(MembershipError::NotMember) };
        memberships.insert(at, Membership { group, port, filter: filter.clone() });
        self.held += 1;
        self.change(port, group, &SourceFilter::default(), &filter);
        Ok(())
    }

    fn leave(&mut self, id: MemberId, port: PortId, group: IpAddr) -> Result<(), MembershipError> {
        let Ok(at) = self.place(id, port, group) else { return Err(MembershipError::NotMember) };
        let Some(memberships) = self.members.get_mut(id) else { return Err(MembershipError::NotMember) };
        let membership = memberships.remove(at);
        self.held -= membership.weight();
        let filter = membership.filter;
        self.change(port, group, &filter, &SourceFilter::default());
        Ok(())
    }

    fn set_filter(
        &mut self,
        id: MemberId,
        port: PortId,
        group: IpAddr,
        filter: SourceFilter,
    ) -> Result<(), MembershipError> {
        let Ok(at) = self.place(id, port, group) else { return Err(MembershipError::NotMember) };
        let limit = if group.is_ipv4() { SOURCES_V4 } else { SOURCES_V6 };
        let known = self.groups.get(&(port, group)).map_or(0, |state| state.votes.len());
        let old = self.memberships(id)[at].filter.clone();
        let more = filter.sources.len().saturating_sub(old.sources.len());
        if filter.sources.len() > limit
            || more > 0 && !self.may_hold(id, more)
            || filter.sources.len() > old.sources.len() && known + filter.sources.len() > MAX_SOURCES
        {
            return Err(MembershipError::TooMany);
        }
        if filter.is_nobody() {
            return self.leave(id, port, group);
        }
        self.change(port, group, &old, &filter);
        self.held = self.held + filter.sources.len() - old.sources.len();
        if let Some(memberships) = self.members.get_mut(id) {
            memberships[at].filter = filter;
        }
        Ok(())
    }

    /// Adds a source to a list of that mode, or takes it away.
    fn change_source(
        &mut self,
        id: MemberId,
        (port, group): (PortId, IpAddr),
        mode: FilterMode,
        source: IpAddr,
        listed: bool,
    ) -> Result<(), MembershipError> {
        let Ok(at) = self.place(id, port, group) else { return Err(MembershipError::NotMember) };
        let mut filter = self.memberships(id)[at].filter.clone();
        if filter.mode != mode {
            if !filter.sources.is_empty() {
                return Err(MembershipError::OtherMode);
            }
            filter.mode = mode;
        }
        let changed = if listed { filter.sources.insert(source) } else { filter.sources.remove(&source) };
        if !changed {
            return Err(MembershipError::NoChange);
        }
        self.set_filter(id, port, group, filter)
    }
}

/// Members, for whoever has sockets.
impl Stack {
    /// A member that is in no group yet.
    pub fn member_open(&mut self) -> MemberId {
        self.ip.multicast.open()
    }

    /// The member leaves all its groups.
    pub fn member_close(&mut self, id: MemberId) {
        self.ip.multicast.close(id);
    }

    /// The member hears a group on a port: everybody, or, to begin with, nobody (INCLUDE of nothing).
    pub fn member_join(
        &mut self,
        id: MemberId,
        port: PortId,
        group: IpAddr,
        mode: FilterMode,
    ) -> Result<(), MembershipError> {
        self.ip.multicast.join(id, port, group, mode)
    }

    /// The member hears the group there no more.
    pub fn member_leave(&mut self, id: MemberId, port: PortId, group: IpAddr) -> Result<(), MembershipError> {
        self.ip.multicast.leave(id, port, group)
    }

    /// Adds a source to the membership's list, or (`listed` is false) takes it away. A membership with an empty list takes
    /// the list's mode; one that comes to hear nobody ends.
    pub fn member_change_source(
        &mut self,
        id: MemberId,
        (port, group): (PortId, IpAddr),
        mode: FilterMode,
        source: IpAddr,
        listed: bool,
    ) -> Result<(), MembershipError> {
        self.ip.multicast.change_source(id, (port, group), mode, source, listed)
    }

    /// Replaces the membership's filter. One that hears nobody ends it.
    pub fn member_set_filter(
        &mut self,
        id: MemberId,
        port: PortId,
        group: IpAddr,
        filter: SourceFilter,
    ) -> Result<(), MembershipError> {
        self.ip.multicast.set_filter(id, port, group, filter)
    }

    /// What the member is in, by group.
    pub fn memberships(&self, id: MemberId) -> &[Membership] {
        self.ip.multicast.memberships(id)
    }
}
