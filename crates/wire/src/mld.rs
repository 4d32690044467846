//! Multicast listener discovery: which groups somebody on an IPv6 link listens to.
//!
//! ```text
//!                   0      1      2             4             6             8          24
//!                  +------+------+-------------+-------------+-------------+----------+
//!   query          | 130  | 0    | checksum    | max. resp.  | 0           | group    |
//!   report (v1)    | 131  |      |             | 0           |             |          |
//!   done           | 132  |      |             | 0           |             |          |
//!                  +------+------+-------------+-------------+-------------+----------+------------- - -
//!   query (v2)     | as above                                                         | see crate::group
//!                  +------+------+-------------+-------------+-------------+----------+------ - -
//!   report (v2)    | 143  | 0    | checksum    | 0           | how many    | records
//!                  +------+------+-------------+-------------+-------------+-------- - -
//! ```
//!
//! The length of a query tells its version: 24 bytes are version 1, 28 or more version 2, and nothing between is one. The
//! messages are bodies of [`icmpv6::Message`](crate::icmpv6::Message), which has type and checksum.
//!
//! # Standards
//!
//! RFC 2710 §3 (version 1); RFC 3810 §5 (version 2), §5.1.14, §5.2.13, §6.2 and §7.4 (who may send them, and how), §8.1 (versions).

use core::net::Ipv6Addr;

use crate::Malformed;
use crate::field::{array_at, put, split, u16_at};
use crate::group::{QueryDetails, Records, decode_u16};
use crate::icmpv6::{Arrival, Invalid, message_type};

/// The hop limit that all these messages are sent with.
pub const HOP_LIMIT: u8 = 1;

/// A record of a report.
pub type Record<'a> = crate::group::Record<'a, Ipv6Addr>;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Who listens?
    Query(Query<'a>),
    /// The sender listens to the group.
    ReportV1 {
        /// The group.
        group: Ipv6Addr,
    },
    /// The sender listens to the group no more.
    Done {
        /// The group.
        group: Ipv6Addr,
    },
    /// What the sender listens to.
    ReportV2(Records<'a, Ipv6Addr>),
}

/// A question of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The code of the longest delay of an answer: see [`Query::max_response_millis`].
    pub max_response: u16,
    /// The group that is asked for; unspecified for all.
    pub group: Ipv6Addr,
    /// What version 2 adds.
    pub details: Option<QueryDetails<'a, Ipv6Addr>>,
}

impl Query<'_> {
    /// The longest delay of an answer, in milliseconds. In version 1 it is the code itself.
    pub fn max_response_millis(&self) -> u32 {
        if self.details.is_some() { decode_u16(self.max_response) } else { self.max_response.into() }
    }
}

impl<'a> Message<'a> {
    /// Reads what follows the checksum in a message of a type from 130 to 132, or of 143.
    pub(crate) fn parse(kind: u8, body: &'a [u8]) -> Result<Message<'a>, Malformed> {
        if kind == message_type::LISTENER_REPORT_V2 {
            let (fixed, records) = body.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
            return Ok(Message::ReportV2(Records::parse(records, u16_at(fixed, 2))?));
        }
        let (fixed, rest) = body.split_first_chunk::<20>().ok_or(Malformed::Truncated)?;
        let group = Ipv6Addr::from(array_at::<16, 20>(fixed, 4));
        match kind {
            message_type::LISTENER_QUERY => {
                let details = match rest.len() {
                    0 => None,
                    1..4 => return Err(Malformed::TotalLength),
                    _ => Some(QueryDetails::parse(rest)?),
                };
                Ok(Message::Query(Query { max_response: u16_at(fixed, 0), group, details }))
            }
            message_type::LISTENER_REPORT => Ok(Message::ReportV1 { group }),
            message_type::LISTENER_DONE => Ok(Message::Done { group }),
            _ => Err(Malformed::Value),
        }
    }

    /// The type of the message.
    pub fn kind(&self) -> u8 {
        match self {
            Message::Query(_) => message_type::LISTENER_QUERY,
            Message::ReportV1 { .. } => message_type::LISTENER_REPORT,
            Message::Done { .. } => message_type::LISTENER_DONE,
            Message::ReportV2(_) => message_type::LISTENER_REPORT_V2,
        }
    }

    /// True when the message may be believed, as far as it and its way here tell: it comes from the link. A report may have
    /// no source address (its sender is about to make sure of it); a query may not, nor one from further away.
    pub fn validate(&self, arrival: &Arrival) -> Result<(), Invalid> {
        let Arrival { src, dst: _, hop_limit, fragmented: _, router_alert } = *arrival;
        if hop_limit != HOP_LIMIT {
            return Err(Invalid::HopLimit);
        }
        if !router_alert {
            return Err(Invalid::RouterAlert);
        }
        let nobody = src.is_unspecified() && !matches!(self, Message::Query(_));
        if !src.is_unicast_link_local() && !nobody {
            return Err(Invalid::Source);
        }
        match self {
            Message::Query(Query { group, .. }) if !group.is_unspecified() && !group.is_multicast() => {
                Err(Invalid::Target)
            }
            Message::ReportV1 { group } | Message::Done { group } if !group.is_multicast() => Err(Invalid::Target),
            _ => Ok(()),
        }
    }

    /// Bytes after the checksum.
    pub(crate) fn body_len(&self) -> usize {
        match self {
            Message::Query(Query { details, .. }) => 20 + details.map_or(0, |details| details.len()),
            Message::ReportV1 { .. } | Message::Done { .. } => 20,
            Message::ReportV2(records) => 4 + records.as_bytes().len(),
        }
    }

    /// Writes what follows the checksum, [`Message::body_len`] bytes.
    pub(crate) fn emit_body(&self, buffer: &mut [u8]) {
        let (max_response, group, details) = match *self {
            Message::Query(Query { max_response, group, details }) => (max_response, group, details),
            Message::ReportV1 { group } | Message::Done { group } => (0, group, None),
            Message::ReportV2(records) => {
                let (fixed, rest) = split::<4>(buffer);
                put(fixed, 0, [0; 2]);
                put(fixed, 2, records.len().to_be_bytes());
                rest[..records.as_bytes().len()].copy_from_slice(records.as_bytes());
                return;
            }
        };
        let (fixed, rest) = split::<20>(buffer);
        put(fixed, 0, max_response.to_be_bytes());
        put(fixed, 2, [0; 2]);
        put(fixed, 4, group.octets());
        if let Some(details) = details {
            details.emit(rest);
        }
    }
}

#[cfg(test)]
mod tests;
