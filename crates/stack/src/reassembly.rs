//! Fragments become datagrams.
//!
//! The fragments of a datagram are those with the same source, destination and identification, and in IPv4 the same
//! protocol. They are kept apart, in order, until they cover everything from the first byte to the last; then they are
//! copied together once.
//!
//! **What is refused.** Fragments that overlap, or that disagree about where the end is: an honest sender makes none, and
//! what a receiver and a filter before it make of them differs. The whole datagram is refused, and what else comes of it
//! until its time is over. Only an exact copy of a fragment is let pass, as networks duplicate. Congestion marks that
//! cannot come from one packet are refused too.
//!
//! **Bounds.** All fragments together take at most a limit of memory (4 MiB, with what keeping them costs), those of one
//! source a quarter of it, and a datagram has at most [`MAX_FRAGMENTS`]. When a bound is reached, the oldest incomplete
//! datagram goes (of that source, or of all): under attack fresh traffic has the better chance, and a flood from one
//! source starves that source. Inserting costs a search in at most [`MAX_FRAGMENTS`] neighbours, in whatever order they
//! come. All wait equally long, so the oldest is also the next to time out.
//!
//! # Standards
//!
//! RFC 791 §3.2, RFC 815 (in spirit), RFC 1122 §3.3.2, RFC 1858, RFC 3128, RFC 8200 §4.5, RFC 5722 §4 (for IPv4 as well, as
//! Linux does), RFC 3168 §5.3 (congestion marks), RFC 8900 §3.7.

use crate::counters::Drop;
use crate::hash::Keyed;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use sockeye_device::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Linux's `ipfrag_time`; RFC 1122 §3.3.2 wants 60 to 120, which serves attackers more than anybody else.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// A full-size datagram over links of the least MTU that every host must take (576).
const MAX_FRAGMENTS: usize = 128;
/// What keeping a datagram, and a fragment, costs besides its bytes.
const DATAGRAM_COST: usize = 256;
const FRAGMENT_COST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Of IPv4; in IPv6 it does not tell datagrams apart.
    pub(crate) protocol: u8,
    pub(crate) id: u32,
}

/// A fragment: of what, and where it stands there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) datagram: Key,
    /// In bytes.
    pub(crate) offset: u16,
    pub(crate) more: bool,
    /// How much of the header the length of the whole counts.
    pub(crate) header_len: usize,
    /// Of IPv6: where in the header the number stands that says that a fragment header follows.
    pub(crate) number_at: u16,
    /// The type of service, or traffic class.
    pub(crate) tos: u8,
    /// To this host alone, on the link and by IP.
    pub(crate) unicast: bool,
}

#[derive(Debug)]
struct Fragment {
    start: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Datagram {
    /// Which one of that key: the key may come again after the first is gone.
    serial: u64,
    /// In order, not overlapping.
    fragments: Vec<Fragment>,
    /// The first fragment's header.
    header: Vec<u8>,
    /// Where the end is, once the last fragment is there.
    end: Option<usize>,
    /// Length of the longest fragment, header and all.
    longest: u16,
    held: usize,
    marks: Marks,
    /// The first fragment's, as the next one.
    number_at: u16,
    tos: u8,
    unicast: bool,
    refused: bool,
}

/// RFC 3168 §5.3: which congestion marks there were.
#[derive(Clone, Copy, Debug, Default)]
struct Marks(u8);

impl Marks {
    fn add(&mut self, tos: u8) {
        self.0 |= 1 << (tos & 3);
    }

    /// The mark of the whole; none where they cannot come from one packet.
    fn combined(self, tos: u8) -> Option<u8> {
        const NOT_ECT: u8 = 1 << 0;
        const CE: u8 = 1 << 3;
        match (self.0 & NOT_ECT != 0, self.0 & CE != 0) {
            (true, _) if self.0 == NOT_ECT => Some(tos),
            // RFC 3168 asks for this with CE, and leaves the rest to us; Linux refuses all.
            (true, _) => None,
            (false, true) => Some(tos | 3),
            // Both ECT codes mean the same.
            (false, false) => Some(tos),
        }
    }
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Others are missing.
    Kept,
    /// It was the last one missing.
    Whole(Whole),
    /// It goes nowhere.
    Dropped(Drop),
}

/// A datagram put together again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// What the first fragment began with, as it came.
    pub(crate) header: Vec<u8>,
    /// The first fragment's [`Piece::number_at`].
    pub(crate) number_at: u16,
    /// With the congestion mark of all fragments.
    pub(crate) tos: u8,
    /// Length of the longest fragment, header and all.
    pub(crate) longest: u16,
    /// What they carried.
    pub(crate) pieces: Vec<Vec<u8>>,
}

impl Whole {
    /// Writes it behind `header`. How long both are; none if there is no room.
    pub(crate) fn copy_to(&self, header: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let len = header.len() + self.len();
        let (slot, mut rest) = buffer.get_mut(..len)?.split_at_mut(header.len());
        slot.copy_from_slice(header);
        for piece in &self.pieces {
            let (slot, after) = rest.split_at_mut(piece.len());
            slot.copy_from_slice(piece);
            rest = after;
        }
        Some(len)
    }

    /// Bytes of payload.
    fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

/// A datagram that did not become whole in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TimedOut {
    /// The first fragment as far as it is to be quoted, if it had come.
    pub(crate) first: Option<Vec<u8>>,
    /// It was sent to us alone.
    pub(crate) unicast: bool,
}

/// Incomplete datagrams.
pub(crate) struct Reassembly {
    datagrams: HashMap<Key, Datagram, Keyed>,
    /// By age, with the moment at which they time out. Some are gone already.
    order: VecDeque<(Instant, Key, u64)>,
    sources: HashMap<IpAddr, Source, Keyed>,
    held: usize,
    limit: usize,
    next_serial: u64,
    /// Datagrams that had to make room since this was last asked.
    evicted: u64,
}

#[derive(Debug, Default)]
struct Source {
    held: usize,
    order: VecDeque<(Key, u64)>,
}

impl Reassembly {
    pub(crate) fn new(hasher: Keyed, limit: usize) -> Self {
        Reassembly {
            datagrams: HashMap::with_hasher(hasher.clone()),
            order: VecDeque::new(),
            sources: HashMap::with_hasher(hasher),
            held: 0,
            limit,
            next_serial: 0,
            evicted: 0,
        }
    }

    /// A fragment has arrived. `header` is its IP header, extension headers and all, `payload` what it carries.
    pub(crate) fn insert(&mut self, now: Instant, piece: &Piece, header: &[u8], payload: &[u8]) -> Outcome {
        let start = usize::from(piece.offset);
        let end = start + payload.len();
        let key = piece.datagram;
        if payload.is_empty() {
            // Nobody honest makes such. Linux refuses the datagram, too.
            self.refuse(key);
            return Outcome::Dropped(Drop::FragmentMalformed);
        }
        if piece.more && !payload.len().is_multiple_of(8) {
            return Outcome::Dropped(Drop::FragmentMalformed);
        }
        // The ping of death: header and all must fit the length field.
        if piece.header_len + end > usize::from(u16::MAX) {
            self.refuse(key);
            return Outcome::Dropped(Drop::FragmentTooLong);
        }
        // Of headers only the first fragment's is kept.
        let cost = payload.len() + FRAGMENT_COST + if start == 0 { header.len() } else { 0 };
        let datagram = match self.datagrams.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.next_serial += 1;
                let serial = self.next_serial;
                self.order.push_back((now + TIMEOUT, key, serial));
                let source = self.sources.entry(key.source).or_default();
                source.order.push_back((key, serial));
                source.held += DATAGRAM_COST;
                self.held += DATAGRAM_COST;
                entry.insert(Datagram {
                    serial,
                    fragments: Vec::new(),
                    header: Vec::new(),
                    end: None,
                    longest: 0,
                    held: DATAGRAM_COST,
                    marks: Marks::default(),
                    number_at: 0,
                    tos: piece.tos,
                    unicast: piece.unicast,
                    refused: false,
                })
            }
        };
        if let Err(reason) = datagram.check(start, end, piece.more, payload) {
            if reason != Drop::FragmentDuplicate {
                self.refuse(key);
            }
            self.make_room(key.source);
            return Outcome::Dropped(reason);
        }
        datagram.insert(start, end, piece, header, payload);
        datagram.longest = datagram.longest.max(u16::try_from(header.len() + payload.len()).unwrap_or(u16::MAX));
        datagram.held += cost;
        self.held += cost;
        if let Some(source) = self.sources.get_mut(&key.source) {
            source.held += cost;
        }
        if datagram.is_whole() {
            let Some(datagram) = self.remove(key) else { return Outcome::Kept };
            return match datagram.marks.combined(datagram.tos) {
                Some(tos) => Outcome::Whole(Whole {
                    header: datagram.header,
                    number_at: datagram.number_at,
                    tos,
                    longest: datagram.longest,
                    pieces: datagram.fragments.into_iter().map(|fragment| fragment.bytes).collect(),
                }),
                None => Outcome::Dropped(Drop::FragmentEcn),
            };
        }
        self.make_room(key.source);
        Outcome::Kept
    }

    /// One datagram whose time is over; call until there is none.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<TimedOut> {
        while let Some(&(deadline, key, serial)) = self.order.front() {
            let is_current = self.datagrams.get(&key).is_some_and(|datagram| datagram.serial == serial);
            if is_current && deadline > now {
                return None;
            }
            self.order.pop_front();
            if is_current && let Some(datagram) = self.remove(key) {
                if datagram.refused {
                    continue;
                }
                let first = datagram.fragments.first().filter(|first| first.start == 0);
                let first = first.map(|first| [&datagram.header[..], &first.bytes].concat());
                return Some(TimedOut { first, unicast: datagram.unicast });
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.order.front().map(|&(deadline, _, _)| deadline)
    }

    /// Datagrams that had to make room since this was last asked.
    pub(crate) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// Bytes held, with the cost of holding them.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Drops what is there of a datagram and remembers to take no more of it.
    fn refuse(&mut self, key: Key) {
        let Some(datagram) = self.datagrams.get_mut(&key) else { return };
        datagram.refused = true;
        datagram.fragments = Vec::new();
        datagram.header = Vec::new();
        let freed = datagram.held - DATAGRAM_COST;
        datagram.held = DATAGRAM_COST;
        self.held -= freed;
        if let Some(source) = self.sources.get_mut(&key.source) {
            source.held -= freed;
        }
    }

    /// Brings one source, and all together, below their limits.
    fn make_room(&mut self, source: IpAddr) {
        while self.sources.get(&source).is_some_and(|source| source.held > self.limit / 4) {
            let Some(oldest) = self.sources.get_mut(&source).and_then(|source| source.order.pop_front()) else { break };
            self.evict(oldest);
        }
        while self.held > self.limit {
            let Some((_, key, serial)) = self.order.pop_front() else { break };
            self.evict((key, serial));
        }
        // Completed datagrams leave their place in the order; it is swept before it outgrows what is alive.
        if self.order.len() > 64 + 2 * self.datagrams.len() {
            let datagrams = &self.datagrams;
            self.order.retain(|(_, key, serial)| datagrams.get(key).is_some_and(|found| found.serial == *serial));
        }
    }

    fn evict(&mut self, (key, serial): (Key, u64)) {
        if self.datagrams.get(&key).is_some_and(|datagram| datagram.serial == serial) {
            self.remove(key);
            self.evicted += 1;
        }
    }

    fn remove(&mut self, key: Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&key)?;
        self.held -= datagram.held;
        if let Entry::Occupied(mut source) = self.sources.entry(key.source) {
            source.get_mut().held -= datagram.held;
            if source.get().held == 0 {
                source.remove();
            } else if source.get().order.front() == Some(&(key, datagram.serial)) {
                source.get_mut().order.pop_front();
            } else if source.get().order.len() > 64 + source.get().held / DATAGRAM_COST * 2 {
                let datagrams = &self.datagrams;
                source
                    .get_mut()
                    .order
                    .retain(|(key, serial)| datagrams.get(key).is_some_and(|found| found.serial == *serial));
            }
        }
        Some(datagram)
    }
}

impl Datagram {
    /// Does the fragment fit in with those that are there?
    fn check(&self, start: usize, end: usize, more: bool, payload: &[u8]) -> Result<(), Drop> {
        if self.refused {
            return Err(Drop::FragmentOverlap);
        }
        let at = self.fragments.partition_point(|fragment| fragment.start < start);
        if let Some(same) = self.fragments.get(at)
            && same.start == start
        {
            let is_last = self.end == Some(end);
            let is_copy = same.bytes == payload && is_last != more;
            return Err(if is_copy { Drop::FragmentDuplicate } else { Drop::FragmentOverlap });
        }
        let after_previous = at == 0 || self.fragments[at - 1].end() <= start;
        let before_next = self.fragments.get(at).is_none_or(|next| end <= next.start);
        let agrees_on_end = match self.end {
            Some(known) => more && end < known,
            None => more || self.fragments.last().is_none_or(|last| last.end() <= start),
        };
        if !after_previous || !before_next || !agrees_on_end {
            return Err(Drop::FragmentOverlap);
        }
        if self.fragments.len() >= MAX_FRAGMENTS { Err(Drop::FragmentTooMany) } else { Ok(()) }
    }

    fn insert(&mut self, start: usize, end: usize, piece: &Piece, header: &[u8], payload: &[u8]) {
        let at = self.fragments.partition_point(|fragment| fragment.start < start);
        self.fragments.insert(at, Fragment { start, bytes: payload.to_vec() });
        self.marks.add(piece.tos);
        if !piece.more {
            self.end = Some(end);
        }
        if start == 0 {
            self.header = header.to_vec();
            (self.number_at, self.tos) = (piece.number_at, piece.tos);
        }
    }

    /// As they do not overlap, they cover everything when their lengths add up.
    fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| self.fragments.iter().map(|fragment| fragment.bytes.len()).sum::<usize>() == end)
    }
}

impl Fragment {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
}
