//! Options of which the question stands in the program's buffer; most ask which sources a socket hears in a group: IP_MSFILTER and MCAST_MSFILTER.
//!
//! The answer has the filter's mode and number of sources, and as many of them as the program has room for, as it says.
//!
//! # Standards
//!
//! RFC 3678 §4.2.2, §5.2.2; Linux ip(7).

use std::net::{IpAddr, Ipv4Addr};

use sockeye_device::Instant;
use sockeye_stack::multicast::{FilterMode, Membership};

use crate::errno::Errno;
use crate::host::{Host, SocketId};
use crate::multicast::{GROUP_FILTER, MSFILTER, STORAGE, address, multicast, part};
use crate::names::*;

/// As much as one answer holds; Linux tells of more.
const LONGEST: usize = 2_048;

impl Host {
    /// getsockopt(2) of an option of which `value`, the beginning of the program's buffer, says what is asked.
    pub fn asked_option(
        &self,
        now: Instant,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        let v6 = self.settings(id).ok_or(Errno::EBADF)?.ipv6.is_some();
        match (level, name) {
            (IPPROTO_IP, _) if self.knows_only_ipv6(id) => Err(Errno::ENOPROTOOPT),
            (IPPROTO_IP, IP_MSFILTER) => self.v4_filter(id, value),
            (IPPROTO_IP, MCAST_MSFILTER) => self.filter_of_either(id, false, value),
            (IPPROTO_IPV6, MCAST_MSFILTER) if v6 => self.filter_of_either(id, true, value),
            (IPPROTO_IPV6, IPV6_FLOWLABEL_MGR) if v6 => self.flow_label_asked(now, id, value),
            (IPPROTO_IPV6, _) if !v6 => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    /// An `ip_msfilter`: group, interface, mode, how many sources there is room for.
    fn v4_filter(&self, id: SocketId, value: &[u8]) -> Result<Vec<u8>, Errno> {
        let question = value.get(..MSFILTER).ok_or(Errno::EINVAL)?;
        let group = IpAddr::from(part::<4>(question, 0)?);
        multicast(group).map_err(|_| Errno::ENODEV)?;
        let port = self.port_for(group, 0, Ipv4Addr::from(part::<4>(question, 4)?)).ok_or(Errno::ENODEV)?;
        let held = self.held(id, group).find(|held| held.port == port).ok_or(Errno::EADDRNOTAVAIL)?;
        answer(question, 8, held, |source, answer| {
            if let IpAddr::V4(source) = source {
                answer.extend(source.octets());
            }
        })
    }

    /// A `group_filter`: interface, group, mode, how many sources there is room for.
    fn filter_of_either(&self, id: SocketId, v6: bool, value: &[u8]) -> Result<Vec<u8>, Errno> {
        let question = value.get(..GROUP_FILTER).ok_or(Errno::EINVAL)?;
        let index = u32::from_ne_bytes(part(question, 0)?);
        let wrong = if v6 { Errno::EADDRNOTAVAIL } else { Errno::EINVAL };
        let group = multicast(address(&question[8..8 + STORAGE], v6).ok_or(wrong)?)?;
        let held = self.held(id, group).find(|held| held.port.interface_index() == index);
        answer(question, 8 + STORAGE, held.ok_or(Errno::EADDRNOTAVAIL)?, |source, answer| {
            let mut storage = [0; STORAGE];
            match source {
                IpAddr::V4(source) => {
                    storage[..2].copy_from_slice(&AF_INET.to_ne_bytes());
                    storage[4..8].copy_from_slice(&source.octets());
                }
                IpAddr::V6(source) => {
                    storage[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
                    storage[8..24].copy_from_slice(&source.octets());
                }
            }
            answer.extend(storage);
        })
    }

    fn held(&self, id: SocketId, group: IpAddr) -> impl Iterator<Item = &Membership> {
        let member = self.sockets.get(id.0).and_then(|socket| socket.groups.member);
        let held = member.map_or(&[][..], |member| self.stack().memberships(member));
        held.iter().filter(move |held| held.group == group)
    }
}

/// The question again, with mode and number at their place, and sources behind it.
fn answer(question: &[u8], at: usize, held: &Membership, put: impl Fn(IpAddr, &mut Vec<u8>)) -> Result<Vec<u8>, Errno> {
    let room = u32::from_ne_bytes(part(question, at + 4)?) as usize;
    let mode: u32 = match held.filter.mode {
        FilterMode::Exclude => 0,
        FilterMode::Include => 1,
    };
    let mut answer = question.to_vec();
    answer[at..at + 4].copy_from_slice(&mode.to_ne_bytes());
    answer[at + 4..at + 8].copy_from_slice(&(held.filter.sources.len() as u32).to_ne_bytes());
    held.filter.sources.iter().take(room).for_each(|&source| put(source, &mut answer));
    if answer.len() > LONGEST { Err(Errno::ENOBUFS) } else { Ok(answer) }
}
