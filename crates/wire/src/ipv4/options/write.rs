//! Options of an IPv4 header: filling in on the way, building to send.
//!
//! Nothing here makes an option longer than it came: a packet on its way keeps its size. Whether source routes are
//! followed at all is the caller's policy (not, by default).
//!
//! What is built is an answer that returns what it got, the way back of a source route, the part of the options that
//! goes into every fragment.
//!
//! # Standards
//!
//! RFC 791 §3.1 ("Specific Option Definitions") and §3.2 (which options fragments repeat); RFC 1122 §3.2.1.8 (recording
//! by hosts, the way back of a source route); RFC 1812 §5.2.4 (a router's part).

use core::mem;
use core::net::Ipv4Addr;

use super::{BadOption, END, FLAGS, Fault, IpOption, LOOSE_SOURCE_ROUTE, MAX_LEN, NO_OPERATION, Options, POINTER};
use super::{RECORD_ROUTE, ROUTER_ALERT, STRICT_SOURCE_ROUTE, TIMESTAMP, TimestampKind, Timestamps};
use super::{bad, read_timestamps};
use crate::Malformed;

/// Fills in what routers and the receiver have to: `address` into a recorded route, `address` and `time` (milliseconds
/// since midnight UT) as the timestamp asks for it. Full options stay as they are, but the timestamp counts.
///
/// The header's checksum is the caller's to mend.
pub fn record(options: &mut [u8], address: Ipv4Addr, time: u32) -> Result<(), BadOption> {
    let mut at = 0;
    while let Some((start, option)) = next_mut(options, &mut at)? {
        match option[0] {
            RECORD_ROUTE => {
                if let Some(slot) = take_slot(option) {
                    *slot = address.octets();
                }
            }
            TIMESTAMP => record_time(option, address, time).map_err(|(at, reason)| bad(start + at, reason))?,
            _ => {}
        }
    }
    Ok(())
}

/// Fills `address` into a recorded route only, as who sends the packet does.
pub fn record_route(options: &mut [u8], address: Ipv4Addr) -> Result<(), BadOption> {
    let mut at = 0;
    while let Some((_, option)) = next_mut(options, &mut at)? {
        if option[0] == RECORD_ROUTE
            && let Some(slot) = take_slot(option)
        {
            *slot = address.octets();
        }
    }
    Ok(())
}

/// Takes one step of a source route: returns the address to send the packet to, having left `local` (our address on the
/// way out) in its place. None when there is no source route or it is at its end, that is, when the packet is ours.
///
/// The destination and the header's checksum are the caller's to change.
pub fn follow_source_route(options: &mut [u8], local: Ipv4Addr) -> Result<Option<Ipv4Addr>, BadOption> {
    let mut at = 0;
    while let Some((_, option)) = next_mut(options, &mut at)? {
        if let LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE = option[0] {
            return Ok(take_slot(option).map(|slot| Ipv4Addr::from(mem::replace(slot, local.octets()))));
        }
    }
    Ok(None)
}

/// Options to send, without allocation.
#[derive(Clone, Copy, Debug)]
pub struct OptionBuffer {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl OptionBuffer {
    /// No options.
    pub const fn new() -> OptionBuffer {
        OptionBuffer { bytes: [END; MAX_LEN], len: 0 }
    }

    /// Those of `options` that belong into every fragment but the first. Stops at the first malformed one.
    pub fn for_fragments(options: &[u8]) -> OptionBuffer {
        let mut copied = OptionBuffer::new();
        for option in Options::new(options).map_while(Result::ok).filter(IpOption::is_copied) {
            let _fits = copied.push(&option);
        }
        copied
    }

    /// The way back: a source route of the kind and length of `option`, through the addresses it has passed in reverse
    /// order. Also returns the address to send to first; the last in the route is `to`, who sent the packet. None when
    /// `option` is no source route.
    pub fn way_back(option: &IpOption<'_>, to: Ipv4Addr) -> Option<(Ipv4Addr, OptionBuffer)> {
        let (IpOption::LooseSourceRoute(route) | IpOption::StrictSourceRoute(route)) = option else { return None };
        let mut back = route.passed().rev().chain([to]);
        let first = back.next()?;
        let slots = route.passed().len();
        let mut buffer = OptionBuffer::new();
        if slots > 0 {
            let out = buffer.reserve(option.kind(), 1 + 4 * slots).ok()?;
            out[0] = 4;
            for (slot, address) in out[1..].chunks_exact_mut(4).zip(back) {
                slot.copy_from_slice(&address.octets());
            }
        }
        Some((first, buffer))
    }

    /// Appends a record of the way with `slots` free entries.
    pub fn push_record_route(&mut self, slots: usize) -> Result<(), NoRoom> {
        self.reserve(RECORD_ROUTE, slots.saturating_mul(4).saturating_add(1))?[0] = 4;
        Ok(())
    }

    /// Appends a record of times with `slots` free entries, each with room for an address where `with_address`.
    pub fn push_timestamp(&mut self, slots: usize, with_address: bool) -> Result<(), NoRoom> {
        let kind = if with_address { TimestampKind::WithAddress } else { TimestampKind::TimeOnly };
        let out = self.reserve(TIMESTAMP, slots.saturating_mul(kind.entry_len()).saturating_add(2))?;
        out[..2].copy_from_slice(&[5, kind.flag()]);
        Ok(())
    }

    /// Appends an option as it is.
    pub fn push(&mut self, option: &IpOption<'_>) -> Result<(), NoRoom> {
        match *option {
            IpOption::NoOperation => {
                *self.bytes.get_mut(self.len).ok_or(NoRoom)? = NO_OPERATION;
                self.len += 1;
            }
            IpOption::RecordRoute(route) | IpOption::LooseSourceRoute(route) | IpOption::StrictSourceRoute(route) => {
                let out = self.reserve(option.kind(), 1 + route.data.len())?;
                out[0] = (4 + route.used) as u8;
                out[1..].copy_from_slice(route.data);
            }
            IpOption::Timestamp(Timestamps { data, used, overflow, kind }) => {
                let out = self.reserve(TIMESTAMP, 2 + data.len())?;
                out[..2].copy_from_slice(&[(5 + used) as u8, overflow << 4 | kind.flag()]);
                out[2..].copy_from_slice(data);
            }
            IpOption::RouterAlert(value) => self.reserve(ROUTER_ALERT, 2)?.copy_from_slice(&value.to_be_bytes()),
            IpOption::Unknown { kind, data } => self.reserve(kind, data.len())?.copy_from_slice(data),
        }
        Ok(())
    }

    /// The options in bytes, with padding to a multiple of 4.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.next_multiple_of(4)]
    }

    /// Appends an option's kind and length, and gives the `len` bytes after them.
    fn reserve(&mut self, kind: u8, len: usize) -> Result<&mut [u8], NoRoom> {
        let room = self.bytes.get_mut(self.len..).ok_or(NoRoom)?;
        let option = room.get_mut(..len.saturating_add(2)).ok_or(NoRoom)?;
        self.len += option.len();
        option[0] = kind;
        option[1] = option.len() as u8;
        Ok(&mut option[2..])
    }
}

impl Default for OptionBuffer {
    fn default() -> OptionBuffer {
        OptionBuffer::new()
    }
}

/// A header has 40 bytes for options, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The entry that the pointer of a route stands at, if any; the pointer moves on.
fn take_slot(option: &mut [u8]) -> Option<&mut [u8; 4]> {
    let (head, data) = option.split_at_mut(POINTER + 1);
    let used = usize::from(head[POINTER]) - 4;
    let slot = data.get_mut(used..)?.first_chunk_mut()?;
    head[POINTER] += 4;
    Some(slot)
}

fn record_time(option: &mut [u8], address: Ipv4Addr, time: u32) -> Result<(), Fault> {
    let Timestamps { data, used, overflow, kind } = read_timestamps(option)?;
    if used == data.len() {
        if overflow == 15 {
            return Err((FLAGS, Malformed::OptionValue));
        }
        option[FLAGS] += 0x10;
        return Ok(());
    }
    let entry = &mut option[4 + used..4 + used + kind.entry_len()];
    let (who, when) = entry.split_at_mut(kind.entry_len() - 4);
    match kind {
        TimestampKind::TimeOnly => {}
        TimestampKind::WithAddress => who.copy_from_slice(&address.octets()),
        TimestampKind::Prespecified if *who == address.octets() => {}
        TimestampKind::Prespecified => return Ok(()),
    }
    when.copy_from_slice(&time.to_be_bytes());
    option[POINTER] += kind.entry_len() as u8;
    Ok(())
}

/// The next option that carries data, checked, with its place; `at` moves on.
fn next_mut<'a>(options: &'a mut [u8], at: &mut usize) -> Result<Option<(usize, &'a mut [u8])>, BadOption> {
    let mut walk = Options { at: *at, ..Options::new(options) };
    loop {
        let start = walk.at;
        match walk.next() {
            None => return Ok(None),
            Some(Ok(IpOption::NoOperation)) => continue,
            Some(Ok(_)) => {
                let end = walk.at;
                *at = end;
                return Ok(Some((start, &mut options[start..end])));
            }
            Some(Err(error)) => return Err(error),
        }
    }
}
