//! What a socket says of the packets of one family: of those that it sends, and of those that it takes.
//!
//! Each transport has these beside its own options; a socket that speaks both families has them twice, as IP_TTL and IPV6_UNICAST_HOPS are two things.
//!
//! **Labels.** Routers that spread load over several ways tell flows apart by addresses and the flow label, where ports are hidden from them (RFC 6437). So
//! what a socket sends over IPv6 bears a label that is made of addresses and ports with a secret, unless the program names one or wants none.
//!
//! # Standards
//!
//! RFC 1122 §3.2.1.7 (time to live), RFC 5082 (the least that is taken), RFC 5014 (preferred sources), RFC 6437 §3 (labels); Linux ip(7), ipv6(7).

use crate::ip::Ip;
use crate::ipv4::output::Fragmentation;
use crate::port::PortId;
use sockeye_wire::Protocol;
use std::net::{IpAddr, SocketAddr};

/// The part of a flow's four bytes that is its label.
pub const FLOW_LABEL: u32 = 0xf_ffff;

/// What is said of one family's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyOptions {
    /// `IP_TTL`, `IPV6_UNICAST_HOPS`; none: the host's own.
    pub ttl: Option<u8>,
    /// `IP_TOS`, `IPV6_TCLASS`.
    pub tos: u8,
    /// `IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`.
    pub fragmentation: Fragmentation,
    /// `IP_MINTTL`, `IPV6_MINHOPCOUNT`: what came from farther away is not taken.
    pub min_ttl: u8,
    /// `IP_UNICAST_IF`, `IPV6_UNICAST_IF`: by which port to a single host.
    pub port: Option<PortId>,
    /// `IPV6_MTU`: no packet is longer; 0: as long as the path allows.
    pub mtu: u16,
    /// `IPV6_AUTOFLOWLABEL`: packets bear a label of their flow.
    pub labels: bool,
    /// `IPV6_ADDR_PREFERENCES`.
    pub preferences: Preferences,
    /// `IP_RECVERR`, `IPV6_RECVERR`: every error is kept for the program.
    pub receive_errors: bool,
}

impl Default for FamilyOptions {
    fn default() -> Self {
        FamilyOptions {
            ttl: None,
            tos: 0,
            fragmentation: Fragmentation::WhenNeeded,
            min_ttl: 0,
            port: None,
            mtu: 0,
            labels: true,
            preferences: Preferences::default(),
            receive_errors: false,
        }
    }
}

impl FamilyOptions {
    /// The longest packet, where the route carries `mtu`.
    pub(crate) fn limit(&self, mtu: u16) -> u16 {
        if self.mtu == 0 { mtu } else { mtu.min(self.mtu) }
    }
}

/// Which of several equally good addresses of ours a program wants to speak from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preferences {
    /// A temporary one, where the host makes those (`IPV6_PREFER_SRC_PUBTMP_DEFAULT`).
    #[default]
    Host,
    /// A temporary one.
    Temporary,
    /// One that lasts.
    Public,
}

impl Ip {
    /// The label of a flow of ours.
    pub(crate) fn flow_label(&self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> u32 {
        match (local.ip(), remote.ip()) {
            (IpAddr::V6(_), IpAddr::V6(_)) => {
                let hash = self.flow_labels.hash(&(protocol.0, local.ip(), local.port(), remote.ip(), remote.port()));
                // 0 says that there is none.
                (hash as u32 & FLOW_LABEL).max(1)
            }
            _ => 0,
        }
    }
}
