//! What a message must be like that only neighbours may send.
//!
//! A hop limit of 255 cannot have passed a router, one of 1 will not: so such messages come from the link, however
//! they were forged. What else must hold is said with the messages.
//!
//! # Standards
//!
//! RFC 4861 §6.1, §7.1 and §8.1; RFC 6980 §5; RFC 3810 §6.2 and §7.4; RFC 5082 §3 (why a hop limit proves something).

use core::fmt;
use core::net::Ipv6Addr;

/// How a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub src: Ipv6Addr,
    /// Who it is for.
    pub dst: Ipv6Addr,
    /// The hop limit it arrived with.
    pub hop_limit: u8,
    /// It was put together from fragments, or came in one.
    pub fragmented: bool,
    /// Its hop-by-hop options have a router alert.
    pub router_alert: bool,
}

/// Why a message is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// The hop limit does not prove that it comes from the link.
    HopLimit,
    /// It came in fragments.
    Fragmented,
    /// It has no router alert.
    RouterAlert,
    /// The source address may not send it.
    Source,
    /// It may not be sent to the destination address.
    Destination,
    /// The address that it is about cannot be.
    Target,
    /// An answer to nobody says that somebody asked.
    Solicited,
    /// A sender without an address has a link-layer address.
    SourceLinkLayer,
}

impl Invalid {
    /// The reason in a few words, without a full stop.
    pub const fn as_str(self) -> &'static str {
        match self {
            Invalid::HopLimit => "hop limit of another link",
            Invalid::Fragmented => "fragmented",
            Invalid::RouterAlert => "no router alert",
            Invalid::Source => "bad source address",
            Invalid::Destination => "bad destination address",
            Invalid::Target => "bad target address",
            Invalid::Solicited => "solicited by nobody",
            Invalid::SourceLinkLayer => "link-layer address of nobody",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Invalid {}
