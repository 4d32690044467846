//! Options of level IPPROTO_IPV6, which a socket of AF_INET6 has besides those of level IPPROTO_IP.
//!
//! What a socket that speaks both families sends over IPv4 bears what was set here, or where nothing was, what was set at
//! level IPPROTO_IP.
//!
//! # Standards
//!
//! RFC 3493 §5, RFC 3542 §6, Linux ipv6(7).

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Settings, TTL, read_int, within};

/// Options of level IPPROTO_IPV6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// IPV6_V6ONLY.
    pub only: bool,
    /// IPV6_UNICAST_HOPS; `None`: the host's own.
    pub hops: Option<u8>,
    /// IPV6_TCLASS.
    pub traffic_class: Option<u8>,
    /// IPV6_MTU_DISCOVER, one of IP_PMTUDISC_*; `None` until set: what IP_MTU_DISCOVER says.
    pub mtu_discover: Option<i32>,
    /// IPV6_RECVERR: errors are kept for the program one by one.
    pub receive_errors: bool,
    /// IPV6_RECVPKTINFO.
    pub packet_info: bool,
    /// IPV6_RECVHOPLIMIT.
    pub receive_hops: bool,
    /// IPV6_RECVTCLASS.
    pub receive_class: bool,
}

impl Ipv6Settings {
    pub(crate) fn set(&mut self, stream: bool, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        // What is not known is not known of any length.
        self.value(stream, name)?;
        let value = read_int(bytes)?;
        match name {
            IPV6_V6ONLY => self.only = value != 0,
            IPV6_UNICAST_HOPS if value == -1 => self.hops = None,
            IPV6_UNICAST_HOPS => self.hops = Some(within(value, 0, 255)? as u8),
            IPV6_TCLASS if value == -1 => self.traffic_class = None,
            // The two bits of ECN belong to TCP.
            IPV6_TCLASS if stream => self.traffic_class = Some(within(value, 0, 255)? as u8 & !0b11),
            IPV6_TCLASS => self.traffic_class = Some(within(value, 0, 255)? as u8),
            // TCP always discovers the MTU, and does not probe.
            IPV6_MTU_DISCOVER if stream && matches!(value, IP_PMTUDISC_DONT | IP_PMTUDISC_PROBE) => {
                return Err(Errno::ENOPROTOOPT);
            }
            IPV6_MTU_DISCOVER => self.mtu_discover = Some(within(value, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE)?),
            IPV6_RECVERR if !stream => self.receive_errors = value != 0,
            IPV6_RECVPKTINFO => self.packet_info = value != 0,
            IPV6_RECVHOPLIMIT => self.receive_hops = value != 0,
            IPV6_RECVTCLASS => self.receive_class = value != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    pub(crate) fn value(&self, stream: bool, name: i32) -> Result<i32, Errno> {
        Ok(match name {
            IPV6_V6ONLY => self.only.into(),
            IPV6_UNICAST_HOPS => self.hops.map_or(TTL, i32::from),
            IPV6_TCLASS => self.traffic_class.unwrap_or(0).into(),
            IPV6_MTU_DISCOVER => self.mtu_discover.unwrap_or(IP_PMTUDISC_WANT),
            IPV6_RECVERR if !stream => self.receive_errors.into(),
            IPV6_RECVPKTINFO => self.packet_info.into(),
            IPV6_RECVHOPLIMIT => self.receive_hops.into(),
            IPV6_RECVTCLASS => self.receive_class.into(),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

impl Settings {
    /// How far packets go, where that was set.
    pub(crate) fn hops(&self) -> Option<u8> {
        self.ipv6.and_then(|ipv6| ipv6.hops).or(self.ip.ttl)
    }

    /// The type of service, or traffic class.
    pub(crate) fn traffic_class(&self) -> u8 {
        self.ipv6.and_then(|ipv6| ipv6.traffic_class).unwrap_or(self.ip.tos)
    }

    /// One of IP_PMTUDISC_*.
    pub(crate) fn mtu_discover(&self) -> i32 {
        self.ipv6.and_then(|ipv6| ipv6.mtu_discover).unwrap_or(self.ip.mtu_discover)
    }
}
