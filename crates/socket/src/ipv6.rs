//! Options of level IPPROTO_IPV6, which a socket of AF_INET6 has besides those of level IPPROTO_IP.
//!
//! What a socket that speaks both families sends over IPv4 bears what was set at level IPPROTO_IP.
//!
//! # Standards
//!
//! RFC 3493 §5, RFC 3542 §6, §11, RFC 5014 §4, Linux ipv6(7).

use sockeye_stack::{FamilyOptions, Fragmentation, PortId, Preferences};

use crate::advanced::Switch;
use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Settings, TTL, network_order, read_int, within};

/// Options of level IPPROTO_IPV6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// IPV6_V6ONLY.
    pub only: bool,
    /// IPV6_UNICAST_HOPS; `None`: the host's own.
    pub hops: Option<u8>,
    /// IPV6_TCLASS.
    pub traffic_class: Option<u8>,
    /// IPV6_MTU_DISCOVER, one of IP_PMTUDISC_*.
    pub mtu_discover: i32,
    /// IPV6_MTU: no packet is longer; 0: as long as the path allows.
    pub mtu: u16,
    /// IPV6_MINHOPCOUNT: what came from farther away is not taken.
    pub min_hops: u8,
    /// IPV6_ADDR_PREFERENCES as it is told: one of each pair.
    pub source_preferences: i32,
    /// IPV6_UNICAST_IF.
    pub unicast_port: Option<PortId>,
    /// IPV6_RECVERR: errors are kept for the program one by one.
    pub receive_errors: bool,
    /// IPV6_RECVPKTINFO.
    pub packet_info: bool,
    /// IPV6_RECVHOPLIMIT.
    pub receive_hops: bool,
    /// IPV6_RECVTCLASS.
    pub receive_class: bool,
}

impl Default for Ipv6Settings {
    fn default() -> Self {
        Ipv6Settings {
            only: false,
            hops: None,
            traffic_class: None,
            mtu_discover: IP_PMTUDISC_WANT,
            mtu: 0,
            min_hops: 0,
            source_preferences: IPV6_PREFER_SRC_PUBTMP_DEFAULT | IPV6_PREFER_SRC_HOME,
            unicast_port: None,
            receive_errors: false,
            packet_info: false,
            receive_hops: false,
            receive_class: false,
        }
    }
}

impl Ipv6Settings {
    pub(crate) fn set(&mut self, stream: bool, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        // What is not known is not known of any length.
        if !matches!(name, IPV6_MTU | IPV6_ADDRFORM) {
            self.value(name)?;
        }
        let value = read_int(bytes)?;
        match name {
            IPV6_V6ONLY => self.only = value != 0,
            IPV6_UNICAST_HOPS if value == -1 => self.hops = None,
            IPV6_UNICAST_HOPS => self.hops = Some(within(value, 0, 255)? as u8),
            IPV6_TCLASS if value == -1 => self.traffic_class = None,
            // The two bits of ECN belong to TCP.
            IPV6_TCLASS if stream => self.traffic_class = Some(within(value, 0, 255)? as u8 & !0b11),
            IPV6_TCLASS => self.traffic_class = Some(within(value, 0, 255)? as u8),
            IPV6_MTU_DISCOVER => self.mtu_discover = within(value, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT)?,
            IPV6_MTU if value == 0 => self.mtu = 0,
            // No packet is longer than 65,575 bytes, so that a larger bound is none.
            IPV6_MTU if value >= 1_280 => self.mtu = u16::try_from(value).unwrap_or(0),
            IPV6_MTU => return Err(Errno::EINVAL),
            // Of a living socket this is not asked.
            IPV6_ADDRFORM if value == AF_INET.into() => return Err(Errno::ENOTCONN),
            IPV6_ADDRFORM => return Err(Errno::EINVAL),
            IPV6_MINHOPCOUNT => self.min_hops = within(value, 0, 255)? as u8,
            IPV6_ADDR_PREFERENCES => self.source_preferences = preferences(value)?,
            IPV6_RECVERR => self.receive_errors = value != 0,
            IPV6_RECVPKTINFO => self.packet_info = value != 0,
            IPV6_RECVHOPLIMIT => self.receive_hops = value != 0,
            IPV6_RECVTCLASS => self.receive_class = value != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    pub(crate) fn value(&self, name: i32) -> Result<i32, Errno> {
        Ok(match name {
            IPV6_V6ONLY => self.only.into(),
            IPV6_UNICAST_HOPS => self.hops.map_or(TTL, i32::from),
            IPV6_TCLASS => self.traffic_class.unwrap_or(0).into(),
            IPV6_MTU_DISCOVER => self.mtu_discover,
            IPV6_MINHOPCOUNT => self.min_hops.into(),
            IPV6_ADDR_PREFERENCES => self.source_preferences,
            IPV6_UNICAST_IF => network_order(self.unicast_port),
            IPV6_RECVERR => self.receive_errors.into(),
            IPV6_RECVPKTINFO => self.packet_info.into(),
            IPV6_RECVHOPLIMIT => self.receive_hops.into(),
            IPV6_RECVTCLASS => self.receive_class.into(),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

impl Settings {
    /// What is said of packets of IPv4, and of IPv6.
    pub(crate) fn family_options(&self) -> [FamilyOptions; 2] {
        let ip = &self.ip;
        let v4 = FamilyOptions {
            ttl: ip.ttl,
            tos: ip.tos,
            fragmentation: fragmentation(ip.mtu_discover),
            min_ttl: ip.min_ttl,
            port: ip.unicast_port,
            receive_errors: ip.receive_errors,
            ..FamilyOptions::default()
        };
        let ipv6 = self.ipv6.unwrap_or_default();
        let v6 = FamilyOptions {
            ttl: ipv6.hops,
            tos: ipv6.traffic_class.unwrap_or(0),
            fragmentation: fragmentation(ipv6.mtu_discover),
            min_ttl: ipv6.min_hops,
            port: ipv6.unicast_port,
            mtu: ipv6.mtu,
            labels: !self.advanced.is_on(Switch::NO_LABELS),
            preferences: match ipv6.source_preferences {
                told if told & IPV6_PREFER_SRC_TMP != 0 => Preferences::Temporary,
                told if told & IPV6_PREFER_SRC_PUBLIC != 0 => Preferences::Public,
                _ => Preferences::Host,
            },
            receive_errors: ipv6.receive_errors,
        };
        [v4, v6]
    }
}

/// What IP_MTU_DISCOVER says.
fn fragmentation(discover: i32) -> Fragmentation {
    match discover {
        IP_PMTUDISC_DONT => Fragmentation::Anywhere,
        IP_PMTUDISC_DO => Fragmentation::Never,
        IP_PMTUDISC_PROBE => Fragmentation::Probe,
        IP_PMTUDISC_INTERFACE => Fragmentation::Interface,
        IP_PMTUDISC_OMIT => Fragmentation::Omit,
        _ => Fragmentation::WhenNeeded,
    }
}

/// RFC 5014, 4: one of each pair, or none, which is the host's own. Nobody here is away from home, and no address is made by cryptography.
fn preferences(value: i32) -> Result<i32, Errno> {
    let one_of = |choices: i32, default: i32| match value & choices {
        0 => Ok(default),
        chosen if chosen & (chosen - 1) == 0 => Ok(chosen),
        _ => Err(Errno::EINVAL),
    };
    let kind = one_of(
        IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP | IPV6_PREFER_SRC_PUBTMP_DEFAULT,
        IPV6_PREFER_SRC_PUBTMP_DEFAULT,
    )?;
    let home = one_of(IPV6_PREFER_SRC_HOME | IPV6_PREFER_SRC_COA, IPV6_PREFER_SRC_HOME)?;
    one_of(IPV6_PREFER_SRC_CGA | IPV6_PREFER_SRC_NONCGA, 0)?;
    Ok(kind | home)
}
