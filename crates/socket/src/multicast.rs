//! Options about groups: who is in which, on which link, hears whom, and how what is sent to them goes.
//!
//! The same wishes come in three dresses: IPv4's own (an interface is an address, or an index), IPv6's own (an index), and
//! the protocol-independent ones of RFC 3678, which both levels have. Here each becomes one of a handful of calls on the
//! socket's [member](MemberId), and each refusal the errno that Linux gives for it.
//!
//! A socket becomes a member with its first membership, whether or not it has an address yet.
//!
//! # Standards
//!
//! ip(7), ipv6(7); RFC 3678 §4 (IPv4), §5 (both families); RFC 3493 §5.2, §5.3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockeye_device::Instant;
use sockeye_stack::PortId;
use sockeye_stack::multicast::{FilterMode, MemberId, MembershipError, SourceFilter};
use sockeye_stack::udp::GroupOptions;

use crate::errno::Errno;
use crate::host::{Host, SocketId};
use crate::names::*;
use crate::settings::{int, read_int, read_int_or_byte};

/// What a program has said about groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Groups {
    /// IPv4's, and IPv6's.
    pub(crate) options: [GroupOptions; 2],
    /// From the first membership on.
    pub(crate) member: Option<MemberId>,
}

impl Groups {
    /// Of a fresh socket. As on Linux one of IPv6 hears only its own groups of IPv4.
    pub(crate) fn new(ipv6: bool) -> Self {
        let v4 = GroupOptions { all: !ipv6, ..GroupOptions::default() };
        Groups { options: [v4, GroupOptions::default()], member: None }
    }
}

/// A `sockaddr_storage`.
pub(crate) const STORAGE: usize = 128;
/// What precedes the sources of an `ip_msfilter`, and of a `group_filter`.
pub(crate) const MSFILTER: usize = 16;
pub(crate) const GROUP_FILTER: usize = 8 + STORAGE + 8;
/// The longest value that Linux takes (`optmem_max`).
const VALUE_MAX: usize = 131_072;
/// Sources that a filter may have (`igmp_max_msf`, `mld_max_msf`); beyond that Linux does not look at them.
const SOURCES_V4: u32 = 10;
const SOURCES_V6: u32 = 64;

/// What is wished of one source.
#[derive(Clone, Copy, Debug)]
struct SourceWish {
    mode: FilterMode,
    listed: bool,
    /// Where the socket is not in the group, it shall be.
    joins: bool,
}

impl SourceWish {
    fn of(name: i32) -> Option<SourceWish> {
        let (mode, listed, joins) = match name {
            IP_BLOCK_SOURCE | MCAST_BLOCK_SOURCE => (FilterMode::Exclude, true, false),
            IP_UNBLOCK_SOURCE | MCAST_UNBLOCK_SOURCE => (FilterMode::Exclude, false, false),
            IP_ADD_SOURCE_MEMBERSHIP | MCAST_JOIN_SOURCE_GROUP => (FilterMode::Include, true, true),
            IP_DROP_SOURCE_MEMBERSHIP | MCAST_LEAVE_SOURCE_GROUP => (FilterMode::Include, false, false),
            _ => return None,
        };
        Some(SourceWish { mode, listed, joins })
    }
}

impl Host {
    /// setsockopt(2), if the option is about groups.
    pub(crate) fn set_group_option(
        &mut self,
        now: Instant,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let v6 = self.settings(id)?.ipv6.is_some();
        let stream = self.is_stream(id);
        let done = match (level, name) {
            (IPPROTO_IP, IP_MULTICAST_IF..=IP_MSFILTER | MCAST_JOIN_GROUP..=IP_MULTICAST_ALL) => {
                self.set_v4(id, stream, name, value)
            }
            (IPPROTO_IPV6, IPV6_MULTICAST_IF..=IPV6_LEAVE_GROUP | IPV6_MULTICAST_ALL) if v6 => {
                self.set_v6(id, stream, name, value)
            }
            (IPPROTO_IPV6, MCAST_JOIN_GROUP..=MCAST_MSFILTER) if v6 => self.set_of_either(id, true, name, value),
            _ => return None,
        };
        if done.is_ok() {
            self.apply(now, id);
        }
        Some(done)
    }

    /// getsockopt(2), if the option is about groups.
    pub(crate) fn group_option(&self, id: SocketId, level: i32, name: i32) -> Option<Result<Vec<u8>, Errno>> {
        let socket = self.sockets.get(id.0)?;
        let [v4, v6] = &socket.groups.options;
        let stream = self.is_stream(id);
        Some(Ok(match (level, name) {
            (IPPROTO_IP, IP_MULTICAST_IF) => match v4.source {
                Some(IpAddr::V4(address)) => address.octets().to_vec(),
                _ => Ipv4Addr::UNSPECIFIED.octets().to_vec(),
            },
            // No stream sends to groups; what stands there is what came.
            (IPPROTO_IP, IP_MULTICAST_TTL) if stream => int(self.heard(id, false).hops.into()),
            (IPPROTO_IP, IP_MULTICAST_TTL) => int(v4.hops.into()),
            (IPPROTO_IP, IP_MULTICAST_LOOP) => int(v4.loops.into()),
            (IPPROTO_IP, IP_MULTICAST_ALL) => int(v4.all.into()),
            (IPPROTO_IPV6, _) if socket.settings.ipv6.is_none() => return None,
            (IPPROTO_IPV6, IPV6_MULTICAST_IF) if stream => {
                int(self.heard(id, true).port().map_or(0, index_of).cast_signed())
            }
            (IPPROTO_IPV6, IPV6_MULTICAST_HOPS) if stream => int(self.heard(id, true).hops.into()),
            (IPPROTO_IPV6, IPV6_MULTICAST_IF) => int(v6.port.map_or(0, index_of).cast_signed()),
            (IPPROTO_IPV6, IPV6_MULTICAST_HOPS) => int(v6.hops.into()),
            (IPPROTO_IPV6, IPV6_MULTICAST_LOOP) => int(v6.loops.into()),
            (IPPROTO_IPV6, IPV6_MULTICAST_ALL) => int(v6.all.into()),
            _ => return None,
        }))
    }

    /// The socket is no more.
    pub(crate) fn leave_all_groups(&mut self, groups: &Groups) {
        if let Some(member) = groups.member {
            self.stack_mut().member_close(member);
        }
    }

    fn set_v4(&mut self, id: SocketId, stream: bool, name: i32, value: &[u8]) -> Result<(), Errno> {
        match name {
            IP_MULTICAST_IF | IP_MULTICAST_TTL if stream => return Err(Errno::EINVAL),
            IP_MULTICAST_IF => return self.set_v4_interface(id, value),
            IP_MULTICAST_TTL | IP_MULTICAST_LOOP | IP_MULTICAST_ALL => {
                let wanted = read_int_or_byte(value)?;
                let options = &mut self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?.groups.options[0];
                match name {
                    IP_MULTICAST_LOOP => options.loops = wanted != 0,
                    IP_MULTICAST_ALL => options.all = flag(wanted)?,
                    _ if wanted == -1 => options.hops = 1,
                    _ => options.hops = u8::try_from(wanted).map_err(|_| Errno::EINVAL)?,
                }
                return Ok(());
            }
            IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP if stream => return Err(Errno::EPROTO),
            IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP => {}
            IP_MSFILTER => return self.set_v4_filter(id, value),
            _ if name >= MCAST_JOIN_GROUP => return self.set_of_either(id, false, name, value),
            _ => return self.set_v4_source(id, name, value),
        }
        let group = IpAddr::from(part::<4>(value, 0)?);
        let address = Ipv4Addr::from(part::<4>(value, 4)?);
        // An `ip_mreqn` says the interface's index, too.
        let index = if value.len() >= 12 { u32::from_ne_bytes(part(value, 8)?) } else { 0 };
        let join = name == IP_ADD_MEMBERSHIP;
        self.change_membership(id, group, index, address, join)
    }

    fn set_v6(&mut self, id: SocketId, stream: bool, name: i32, value: &[u8]) -> Result<(), Errno> {
        match name {
            IPV6_JOIN_GROUP | IPV6_LEAVE_GROUP if stream && value.len() < 20 => return Err(Errno::EINVAL),
            IPV6_JOIN_GROUP | IPV6_LEAVE_GROUP if stream => return Err(Errno::EPROTO),
            IPV6_JOIN_GROUP | IPV6_LEAVE_GROUP => {
                let group = IpAddr::from(part::<16>(value, 0)?);
                let index = u32::from_ne_bytes(part(value, 16)?);
                let join = name == IPV6_JOIN_GROUP;
                return self.change_membership(id, group, index, Ipv4Addr::UNSPECIFIED, join);
            }
            IPV6_MULTICAST_IF | IPV6_MULTICAST_HOPS if stream => return Err(Errno::ENOPROTOOPT),
            _ => {}
        }
        let wanted = read_int(value)?;
        let port = match wanted {
            0 => None,
            _ if name == IPV6_MULTICAST_IF => {
                let device = self.sockets.get(id.0).and_then(|socket| socket.device);
                let port = self.port_at(wanted.cast_unsigned());
                if device.is_some_and(|device| port != Some(device)) {
                    return Err(Errno::EINVAL);
                }
                Some(port.ok_or(Errno::ENODEV)?)
            }
            _ => None,
        };
        let options = &mut self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?.groups.options[1];
        match name {
            IPV6_MULTICAST_IF => options.port = port,
            IPV6_MULTICAST_LOOP => options.loops = flag(wanted)?,
            IPV6_MULTICAST_ALL => options.all = wanted != 0,
            _ if wanted == -1 => options.hops = 1,
            _ => options.hops = u8::try_from(wanted).map_err(|_| Errno::EINVAL)?,
        }
        Ok(())
    }

    /// IP_MULTICAST_IF: an address, an `ip_mreq` or an `ip_mreqn`.
    fn set_v4_interface(&mut self, id: SocketId, value: &[u8]) -> Result<(), Errno> {
        let at = if value.len() >= 8 { 4 } else { 0 };
        let address = Ipv4Addr::from(part::<4>(value, at)?);
        let index = if value.len() >= 12 { u32::from_ne_bytes(part(value, 8)?) } else { 0 };
        let port = match index {
            0 if address.is_unspecified() => None,
            0 => Some(self.stack().port_of(address.into()).ok_or(Errno::EADDRNOTAVAIL)?),
            index => Some(self.port_at(index).ok_or(Errno::EADDRNOTAVAIL)?),
        };
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        if port.is_some() && socket.device.is_some_and(|device| port != Some(device)) {
            return Err(Errno::EINVAL);
        }
        let options = &mut socket.groups.options[0];
        options.port = port;
        options.source = (!address.is_unspecified()).then_some(address.into());
        Ok(())
    }

    /// An `ip_mreq_source`: group, interface, source.
    fn set_v4_source(&mut self, id: SocketId, name: i32, value: &[u8]) -> Result<(), Errno> {
        let wish = SourceWish::of(name).ok_or(Errno::ENOPROTOOPT)?;
        if value.len() != 12 {
            return Err(Errno::EINVAL);
        }
        let group = IpAddr::from(part::<4>(value, 0)?);
        let port = self.port_for(group, 0, Ipv4Addr::from(part::<4>(value, 4)?));
        self.change_source(id, group, port, part::<4>(value, 8)?.into(), wish)
    }

    /// An `ip_msfilter`: group, interface, mode, how many sources, and they.
    fn set_v4_filter(&mut self, id: SocketId, value: &[u8]) -> Result<(), Errno> {
        let (mode, count) = counted(value, MSFILTER, 8, SOURCES_V4)?;
        let sources = value.get(MSFILTER..MSFILTER + 4 * count).ok_or(Errno::EINVAL)?;
        let group = IpAddr::from(part::<4>(value, 0)?);
        let port = self.port_for(group, 0, Ipv4Addr::from(part::<4>(value, 4)?));
        let sources = sources.as_chunks::<4>().0.iter().map(|&source| IpAddr::from(source)).collect();
        self.set_filter(id, group, port, mode, sources)
    }

    /// What RFC 3678 has for both families.
    fn set_of_either(&mut self, id: SocketId, v6: bool, name: i32, value: &[u8]) -> Result<(), Errno> {
        let index = || part(value, 0).map(u32::from_ne_bytes);
        // A `group_req` says interface and group, a `group_source_req` a source besides.
        let refused = if v6 { Errno::EADDRNOTAVAIL } else { Errno::EINVAL };
        match name {
            MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP => {
                let storage = value.get(8..8 + STORAGE).ok_or(Errno::EINVAL)?;
                let group = address(storage, v6).ok_or(refused)?;
                self.change_membership(id, group, index()?, Ipv4Addr::UNSPECIFIED, name == MCAST_JOIN_GROUP)
            }
            MCAST_MSFILTER => {
                let most = if v6 { SOURCES_V6 } else { SOURCES_V4 };
                let (mode, count) = counted(value, GROUP_FILTER, 8 + STORAGE, most)?;
                let sources = value.get(GROUP_FILTER..GROUP_FILTER + STORAGE * count).ok_or(Errno::EINVAL)?;
                let group = address(value.get(8..8 + STORAGE).ok_or(Errno::EINVAL)?, v6).ok_or(Errno::EINVAL)?;
                // As on Linux, here no interface is not any.
                if v6 && index()? == 0 {
                    return Err(Errno::EINVAL);
                }
                let port = self.port_for(group, index()?, Ipv4Addr::UNSPECIFIED);
                let sources: Option<_> = sources.chunks_exact(STORAGE).map(|source| address(source, v6)).collect();
                self.set_filter(id, group, port, mode, sources.ok_or(Errno::EADDRNOTAVAIL)?)
            }
            _ => {
                let wish = SourceWish::of(name).ok_or(Errno::ENOPROTOOPT)?;
                let group = value.get(8..8 + STORAGE).ok_or(Errno::EINVAL)?;
                let source = value.get(8 + STORAGE..8 + 2 * STORAGE).ok_or(Errno::EINVAL)?;
                let (group, source) = address(group, v6).zip(address(source, v6)).ok_or(refused)?;
                let port = self.port_for(group, index()?, Ipv4Addr::UNSPECIFIED);
                self.change_source(id, group, port, source, wish)
            }
        }
    }

    fn change_membership(
        &mut self,
        id: SocketId,
        group: IpAddr,
        index: u32,
        address: Ipv4Addr,
        join: bool,
    ) -> Result<(), Errno> {
        // Linux looks at what is left only for IPv6.
        if join || group.is_ipv6() {
            multicast(group)?;
        }
        if join {
            let port = self.port_for(group, index, address).ok_or(Errno::ENODEV)?;
            let member = self.member(id)?;
            // As on Linux, a wish for any interface is one for each in IPv6.
            let anywhere = index == 0 && group.is_ipv6();
            if anywhere && self.stack().memberships(member).iter().any(|held| held.group == group) {
                return Err(Errno::EADDRINUSE);
            }
            return Ok(self.stack_mut().member_join(member, port, group, FilterMode::Exclude)?);
        }
        let held = self.sockets.get(id.0).and_then(|socket| socket.groups.member);
        let member = held.ok_or(Errno::EADDRNOTAVAIL);
        let port = match (index, group) {
            // Any will do.
            (0, IpAddr::V6(_)) => {
                let memberships = self.stack().memberships(member?);
                memberships.iter().find(|held| held.group == group).map(|held| held.port)
            }
            _ => self.port_for(group, index, address),
        };
        match port {
            None if group.is_ipv4() && index == 0 && address.is_unspecified() => Err(Errno::ENODEV),
            None => Err(Errno::EADDRNOTAVAIL),
            Some(port) => Ok(self.stack_mut().member_leave(member?, port, group)?),
        }
    }

    fn change_source(
        &mut self,
        id: SocketId,
        group: IpAddr,
        port: Option<PortId>,
        source: IpAddr,
        wish: SourceWish,
    ) -> Result<(), Errno> {
        let group = multicast(group)?;
        let port = port.ok_or(Errno::ENODEV)?;
        let member = self.member(id)?;
        if wish.joins {
            match self.stack_mut().member_join(member, port, group, FilterMode::Include) {
                Ok(()) | Err(MembershipError::AlreadyMember) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match self.stack_mut().member_change_source(member, (port, group), wish.mode, source, wish.listed) {
            // There must be a membership to change.
            Err(MembershipError::NotMember) => Err(Errno::EINVAL),
            changed => Ok(changed?),
        }
    }

    fn set_filter(
        &mut self,
        id: SocketId,
        group: IpAddr,
        port: Option<PortId>,
        mode: FilterMode,
        sources: std::collections::BTreeSet<IpAddr>,
    ) -> Result<(), Errno> {
        let group = multicast(group)?;
        let port = port.ok_or(Errno::ENODEV)?;
        let member = self.member(id)?;
        let filter = SourceFilter { mode, sources };
        if filter.is_nobody() {
            return Ok(self.stack_mut().member_leave(member, port, group)?);
        }
        match self.stack_mut().member_set_filter(member, port, group, filter) {
            Err(MembershipError::NotMember) => Err(Errno::EINVAL),
            set => Ok(set?),
        }
    }

    /// The socket's member, from now on.
    fn member(&mut self, id: SocketId) -> Result<MemberId, Errno> {
        let Host { stack, sockets, .. } = self;
        let socket = sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        Ok(*socket.groups.member.get_or_insert_with(|| stack.member_open()))
    }

    /// The port with this index, else with this address, else that by which the group is reached.
    pub(crate) fn port_for(&self, group: IpAddr, index: u32, address: Ipv4Addr) -> Option<PortId> {
        match index {
            0 if address.is_unspecified() => self.stack().port_for_group(group),
            0 => self.stack().port_of(address.into()),
            index => self.port_at(index),
        }
    }

    pub(crate) fn port_at(&self, index: u32) -> Option<PortId> {
        let port = PortId::from_interface_index(index)?;
        self.stack().ports().any(|(id, _)| id == port).then_some(port)
    }
}

impl From<MembershipError> for Errno {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::AlreadyMember => Errno::EADDRINUSE,
            MembershipError::NotMember | MembershipError::NoChange => Errno::EADDRNOTAVAIL,
            MembershipError::OtherMode => Errno::EINVAL,
            MembershipError::TooMany => Errno::ENOBUFS,
        }
    }
}

fn index_of(port: PortId) -> u32 {
    port.interface_index()
}

pub(crate) fn multicast(group: IpAddr) -> Result<IpAddr, Errno> {
    if group.is_multicast() { Ok(group) } else { Err(Errno::EINVAL) }
}

fn flag(value: i32) -> Result<bool, Errno> {
    match value {
        0 | 1 => Ok(value == 1),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn part<const LEN: usize>(value: &[u8], at: usize) -> Result<[u8; LEN], Errno> {
    value.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Errno::EINVAL)
}

/// The address in a `sockaddr_storage`, if it is of that family.
pub(crate) fn address(storage: &[u8], v6: bool) -> Option<IpAddr> {
    let family = u16::from_ne_bytes(*storage.first_chunk()?);
    match (family, v6) {
        (AF_INET, false) => Some(Ipv4Addr::from(*storage.get(4..)?.first_chunk::<4>()?).into()),
        (AF_INET6, true) => Some(Ipv6Addr::from(*storage.get(8..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Mode and number of sources of a filter, which stand at `at`; at most `most`.
fn counted(value: &[u8], fixed: usize, at: usize, most: u32) -> Result<(FilterMode, usize), Errno> {
    if value.len() < fixed {
        return Err(Errno::EINVAL);
    }
    if value.len() > VALUE_MAX {
        return Err(Errno::ENOBUFS);
    }
    let count = u32::from_ne_bytes(part(value, at + 4)?);
    if count > most {
        return Err(Errno::ENOBUFS);
    }
    let mode = match u32::from_ne_bytes(part(value, at)?) {
        0 => FilterMode::Exclude,
        1 => FilterMode::Include,
        _ => return Err(Errno::EINVAL),
    };
    Ok((mode, count as usize))
}
