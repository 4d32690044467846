//! Internet group management: which groups somebody on an IPv4 link listens to.
//!
//! ```text
//!                   0      1      2             4             8
//!                  +------+------+-------------+-------------+
//!   query          | 11   | resp.| checksum    | group       |
//!   report (v1)    | 12   | 0    |             |             |
//!   report (v2)    | 16   | 0    |             |             |
//!   leave          | 17   | 0    |             |             |
//!                  +------+------+-------------+-------------+------------- - -
//!   query (v3)     | as above                                | see crate::group
//!                  +------+------+-------------+-------------+------ - -
//!   report (v3)    | 22   | 0    | checksum    | 0 | how many| records
//!                  +------+------+-------------+---+---------+------ - -
//! ```
//!
//! The length of a query tells its version: 8 bytes are version 1 (without a response time) or 2, 12 or more version 3, and
//! nothing between is one. [`Message::parse`] verifies the checksum.
//!
//! # Standards
//!
//! RFC 1112 appendix I (version 1), RFC 2236 §2 (version 2), RFC 3376 §4 (version 3), §7.1 (versions), §4.2.11 to §4.2.13
//! (reports).

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::sum;
use crate::field::{array_at, put, split, u16_at};
use crate::group::{QueryDetails, Records, decode_u8};

/// The time to live that all these messages are sent with.
pub const TTL: u8 = 1;
/// Length of what every message begins with.
pub const HEADER_LEN: usize = 8;
/// All hosts of a link.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// All routers of a link: who hears that a group is left.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Where reports of version 3 are sent to.
pub const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// A record of a report.
pub type Record<'a> = crate::group::Record<'a, Ipv4Addr>;

/// Types of messages.
pub mod message_type {
    /// Who listens?
    pub const QUERY: u8 = 0x11;
    /// The sender listens to a group (version 1).
    pub const REPORT_V1: u8 = 0x12;
    /// The sender listens to a group (version 2).
    pub const REPORT_V2: u8 = 0x16;
    /// The sender listens no more.
    pub const LEAVE: u8 = 0x17;
    /// What the sender listens to.
    pub const REPORT_V3: u8 = 0x22;
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Who listens?
    Query(Query<'a>),
    /// The sender listens to the group.
    ReportV1 {
        /// The group.
        group: Ipv4Addr,
    },
    /// The sender listens to the group.
    ReportV2 {
        /// The group.
        group: Ipv4Addr,
    },
    /// The sender listens to the group no more.
    Leave {
        /// The group.
        group: Ipv4Addr,
    },
    /// What the sender listens to.
    ReportV3(Records<'a, Ipv4Addr>),
    /// A type that a host has no use for.
    Unknown {
        /// The type.
        kind: u8,
        /// The byte after it.
        code: u8,
        /// All that follows the checksum.
        data: &'a [u8],
    },
}

/// A question of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The code of the longest delay of an answer: see [`Query::max_response_millis`]. 0 is version 1's.
    pub max_response: u8,
    /// The group that is asked for; unspecified for all.
    pub group: Ipv4Addr,
    /// What version 3 adds.
    pub details: Option<QueryDetails<'a, Ipv4Addr>>,
}

impl Query<'_> {
    /// The version of the protocol that the router speaks: 1, 2 or 3.
    pub fn version(&self) -> u8 {
        match (self.details, self.max_response) {
            (Some(_), _) => 3,
            (None, 0) => 1,
            (None, _) => 2,
        }
    }

    /// The longest delay of an answer, in milliseconds; in version 1 always ten seconds.
    pub fn max_response_millis(&self) -> u32 {
        100 * match self.version() {
            1 => 100,
            2 => u32::from(self.max_response),
            _ => decode_u8(self.max_response),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads a message from the whole payload of an IP packet, and verifies its checksum. Bytes behind what the message
    /// says it has are ignored, but summed.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        if sum(bytes).finish() != 0 {
            return Err(Malformed::Checksum);
        }
        let group = Ipv4Addr::from(array_at::<4, HEADER_LEN>(header, 4));
        Ok(match header[0] {
            message_type::QUERY => {
                let details = match rest.len() {
                    0 => None,
                    1..4 => return Err(Malformed::TotalLength),
                    _ => Some(QueryDetails::parse(rest)?),
                };
                Message::Query(Query { max_response: header[1], group, details })
            }
            message_type::REPORT_V1 => Message::ReportV1 { group },
            message_type::REPORT_V2 => Message::ReportV2 { group },
            message_type::LEAVE => Message::Leave { group },
            message_type::REPORT_V3 => Message::ReportV3(Records::parse(rest, u16_at(header, 6))?),
            kind => Message::Unknown { kind, code: header[1], data: &bytes[4..] },
        })
    }

    /// Bytes that [`Message::emit`] writes.
    pub fn total_len(&self) -> usize {
        match self {
            Message::Query(Query { details, .. }) => HEADER_LEN + details.map_or(0, |details| details.len()),
            Message::ReportV1 { .. } | Message::ReportV2 { .. } | Message::Leave { .. } => HEADER_LEN,
            Message::ReportV3(records) => HEADER_LEN + records.as_bytes().len(),
            Message::Unknown { data, .. } => 4 + data.len(),
        }
    }

    /// Writes the message, its checksum included, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Message::total_len`].
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let total_len = self.total_len();
        let message = &mut buffer[..total_len];
        {
            let (header, rest) = split::<4>(message);
            let (kind, code) = match *self {
                Message::Query(Query { max_response, .. }) => (message_type::QUERY, max_response),
                Message::ReportV1 { .. } => (message_type::REPORT_V1, 0),
                Message::ReportV2 { .. } => (message_type::REPORT_V2, 0),
                Message::Leave { .. } => (message_type::LEAVE, 0),
                Message::ReportV3(_) => (message_type::REPORT_V3, 0),
                Message::Unknown { kind, code, data: _ } => (kind, code),
            };
            put(header, 0, [kind, code, 0, 0]);
            match *self {
                Message::Query(Query { max_response: _, group, details }) => {
                    let (fixed, rest) = split::<4>(rest);
                    *fixed = group.octets();
                    if let Some(details) = details {
                        details.emit(rest);
                    }
                }
                Message::ReportV1 { group } | Message::ReportV2 { group } | Message::Leave { group } => {
                    rest.copy_from_slice(&group.octets());
                }
                Message::ReportV3(records) => {
                    let (fixed, rest) = split::<4>(rest);
                    put(fixed, 0, [0; 2]);
                    put(fixed, 2, records.len().to_be_bytes());
                    rest.copy_from_slice(records.as_bytes());
                }
                Message::Unknown { kind: _, code: _, data } => rest.copy_from_slice(data),
            }
        }
        let checksum = sum(message).finish();
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        total_len
    }
}

#[cfg(test)]
mod tests;
