//! What IP says in the packets of a connection: how far, of which service, may they be cut, of which flow.
//!
//! Nearly all connections say no more than that, and it is a part of their [template](super::path). Few have [`Extras`], options of IPv4 or extension
//! headers of IPv6 in each packet; their segments leave one by one, through the host's own queue.
//!
//! # Standards
//!
//! RFC 9293 §3.9.2 (MUST-48, MUST-49, MUST-50), RFC 1122 §4.2.3.8 (options), RFC 3542 §4.2 (extension headers of TCP).

use crate::ipv4::output::{Fragmentation, Manner};
use crate::ipv6::Headers;
use std::net::IpAddr;
use std::sync::Arc;

/// What stands in the fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// Of IPv4.
    pub(crate) dont_fragment: bool,
    /// Of IPv6.
    pub(crate) flow_label: u32,
}

impl Hop {
    /// Of a segment that belongs to no connection.
    pub(crate) fn plain(ttl: u8) -> Self {
        Hop { ttl, tos: 0, dont_fragment: true, flow_label: 0 }
    }

    /// The manner of a packet that says so, and has these besides.
    pub(crate) fn manner<'a>(&self, extras: Option<&'a Extras>) -> Manner<'a> {
        let fragmentation = if self.dont_fragment { Fragmentation::Never } else { Fragmentation::Anywhere };
        Manner {
            fragmentation,
            options: extras.map_or(&[], |extras| &extras.options),
            headers: extras.and_then(|extras| extras.headers.as_deref()),
            flow_label: self.flow_label,
        }
    }
}

/// What every packet of a connection has besides, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `IP_OPTIONS`, in whole words.
    pub options: Vec<u8>,
    /// `IPV6_HOPOPTS` and its kin.
    pub headers: Option<Arc<Headers>>,
}

impl Extras {
    /// Bytes in each packet of that family.
    pub(crate) fn len(&self, ipv6: bool) -> usize {
        if ipv6 { self.headers.as_ref().map_or(0, |headers| headers.len()) } else { self.options.len() }
    }

    /// Whither packets go first.
    pub(crate) fn next_stop(&self, remote: IpAddr) -> IpAddr {
        match (remote, &self.headers) {
            (IpAddr::V6(remote), Some(headers)) => headers.next_stop(remote).into(),
            _ => remote,
        }
    }
}
