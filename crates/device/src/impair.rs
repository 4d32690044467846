//! A bad wire: loss, duplication, reordering, corruption, delay, jitter and a rate, from a seed.
//!
//! [`Impairer`] is the engine, pure: frames go in with the time, and come out when their time has come. The same seed
//! and the same calls give the same wire, to the byte. [`Impaired`] puts one in each direction of a device.
//!
//! It acts on what a wire carries: a super-frame is cut first, and checksums are completed, or a loss of 2 % would lose
//! 64 KiB at a time and a flipped bit would go unseen. What comes out needs no offload.
//!
//! A frame goes through, in this order: loss; the wire's rate (one after the other, a full queue drops at the tail);
//! corruption; delay and jitter; reordering; duplication.
//!
//! - Jitter alone keeps the order, a frame waits for the one before it. Order is changed by `reorder` only: a frame so
//!   chosen is late by `reorder_delay`, and those behind it overtake.
//! - Corruption flips one bit behind the link header of an IP frame: there is a checksum to find it. An ARP packet or a
//!   link header has only Ethernet's check sequence, with which a real wire would have lost the frame instead.
//! - Each frame draws the same number of dice whatever is switched on, so that changing one impairment leaves the others'
//!   choices as they were.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use sockeye_wire::{EtherType, MacAddr, ethernet};

use crate::device::PushBack;
use crate::segment::Segments;
use crate::{Capabilities, Device, DeviceCounters, Full, Instant, Offload, RxBatch, RxFrame, TxFrame};

/// What is wrong with a wire. Probabilities are from 0 to 1; the default is a perfect wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairments {
    /// How many frames are lost.
    pub loss: f64,
    /// How many arrive twice.
    pub duplicate: f64,
    /// How many are late by `reorder_delay`, so that others overtake them.
    pub reorder: f64,
    /// How many arrive with one bit flipped.
    pub corrupt: f64,
    /// How long every frame takes.
    pub delay: Duration,
    /// How much longer it may take, evenly distributed.
    pub jitter: Duration,
    /// How late a frame is that `reorder` has chosen.
    pub reorder_delay: Duration,
    /// Bits a second that the wire carries; unlimited if `None`.
    pub rate: Option<u64>,
    /// Frames on the wire at once, those waiting for its rate included. More are dropped.
    pub limit: usize,
}

impl Default for Impairments {
    fn default() -> Self {
        Impairments {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder_delay: Duration::from_millis(1),
            rate: None,
            limit: 8192,
        }
    }
}

/// What a wire has done to frames of the wire's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpairCounters {
    /// Offered, after super-frames were cut.
    pub offered: u64,
    /// Delivered, duplicates included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held back for others to overtake.
    pub reordered: u64,
    /// Changed by a bit.
    pub corrupted: u64,
    /// Dropped because the wire was full.
    pub overflowed: u64,
    /// Frames whose offload contradicted them.
    pub malformed: u64,
}

/// One direction of a bad wire.
#[derive(Debug)]
pub struct Impairer {
    impairments: Impairments,
    dice: Dice,
    on_the_wire: BinaryHeap<Reverse<Flying>>,
    /// Numbers frames, so that those due at the same moment keep their order.
    next_number: u64,
    /// When the last frame in order arrives.
    last_arrival: Instant,
    /// When the wire has sent all that it was given.
    busy_until: Instant,
    stock: Vec<Vec<u8>>,
    counters: ImpairCounters,
}

#[derive(Debug)]
struct Flying {
    arrival: Instant,
    number: u64,
    bytes: Vec<u8>,
}

impl Impairer {
    /// A wire on which `seed` decides.
    pub fn new(impairments: Impairments, seed: u64) -> Impairer {
        Impairer {
            impairments,
            dice: Dice(seed),
            on_the_wire: BinaryHeap::new(),
            next_number: 0,
            last_arrival: Instant::ZERO,
            busy_until: Instant::ZERO,
            stock: Vec::new(),
            counters: ImpairCounters::default(),
        }
    }

    /// Changes what happens to frames from now on.
    pub fn set_impairments(&mut self, impairments: Impairments) {
        self.impairments = impairments;
    }

    /// Puts a frame on the wire.
    pub fn push(&mut self, now: Instant, frame: &TxFrame<'_>) {
        let Ok(mut segments) = Segments::new(frame) else {
            self.counters.malformed += 1;
            return;
        };
        loop {
            let mut bytes = self.stock.pop().unwrap_or_default();
            match segments.next_into(&mut bytes) {
                Ok(true) => self.push_piece(now, bytes),
                Ok(false) => return self.recycle(bytes),
                Err(_) => {
                    self.counters.malformed += 1;
                    return self.recycle(bytes);
                }
            }
        }
    }

    /// The next frame whose time has come, fit for a wire.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let Reverse(first) = self.on_the_wire.peek()?;
        if first.arrival > now {
            return None;
        }
        self.counters.delivered += 1;
        self.on_the_wire.pop().map(|Reverse(first)| first.bytes)
    }

    /// When the next frame arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.on_the_wire.peek().map(|Reverse(first)| first.arrival)
    }

    /// Gives back the buffer of a frame that [`Impairer::pop`] returned.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.stock.len() < 64 && buffer.capacity() > 0 {
            self.stock.push(buffer);
        }
    }

    /// Frames on the wire.
    pub fn len(&self) -> usize {
        self.on_the_wire.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.on_the_wire.is_empty()
    }

    /// What has happened so far.
    pub fn counters(&self) -> ImpairCounters {
        self.counters
    }

    fn push_piece(&mut self, now: Instant, mut bytes: Vec<u8>) {
        let Impairments { loss, duplicate, reorder, corrupt, delay, jitter, reorder_delay, rate, limit } =
            self.impairments;
        let lost = self.dice.chance(loss);
        let duplicated = self.dice.chance(duplicate);
        let reordered = self.dice.chance(reorder);
        let corrupted = self.dice.chance(corrupt);
        let (bit, late) = (self.dice.next(), self.dice.next());

        self.counters.offered += 1;
        if lost {
            self.counters.lost += 1;
            return self.recycle(bytes);
        }
        if self.on_the_wire.len() >= limit {
            self.counters.overflowed += 1;
            return self.recycle(bytes);
        }
        let mut sent = now;
        if let Some(rate) = rate {
            let nanos = bytes.len() as u128 * 8 * 1_000_000_000 / u128::from(rate.max(1));
            sent = self.busy_until.max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.busy_until = sent;
        }
        if corrupted && flip(&mut bytes, bit) {
            self.counters.corrupted += 1;
        }
        let mut arrival = sent + delay + jitter.mul_f64(fraction(late));
        if reordered {
            self.counters.reordered += 1;
            arrival += reorder_delay;
        } else {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        if duplicated {
            self.counters.duplicated += 1;
            let mut twin = self.stock.pop().unwrap_or_default();
            twin.clear();
            twin.extend_from_slice(&bytes);
            self.fly(arrival, twin);
        }
        self.fly(arrival, bytes);
    }

    fn fly(&mut self, arrival: Instant, bytes: Vec<u8>) {
        self.on_the_wire.push(Reverse(Flying { arrival, number: self.next_number, bytes }));
        self.next_number += 1;
    }
}

impl Flying {
    fn key(&self) -> (Instant, u64) {
        (self.arrival, self.number)
    }
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Flying {}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Flips a bit behind the link header, if something there finds it.
fn flip(frame: &mut [u8], choice: u64) -> bool {
    let Ok(parsed) = ethernet::Frame::parse(frame) else { return false };
    let header_len = parsed.header_len();
    let found = matches!(parsed.ether_type(), EtherType::IPV4 | EtherType::IPV6);
    let bits = (frame.len() - header_len) as u64 * 8;
    if !found || bits == 0 {
        return false;
    }
    let bit = (choice % bits) as usize;
    frame[header_len + bit / 8] ^= 1 << (bit % 8);
    true
}

/// SplitMix64: a counter, and a mix that spreads it. Five lines that give the same numbers on every machine for ever;
/// a wire needs no better ones.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, probability: f64) -> bool {
        fraction(self.next()) < probability
    }
}

/// From 0 to just below 1.
fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// A device on a bad wire, in both directions.
///
/// The device below sees only frames of the wire's size, complete; the stack above may leave everything to us. Frames
/// arrive when `clock` says so: [`Device::poll_timeout`] tells when to look again, on that clock.
#[derive(Debug)]
pub struct Impaired<D, C> {
    device: D,
    clock: C,
    tx: Impairer,
    rx: Impairer,
    /// Due, but the device was full.
    held: Option<Vec<u8>>,
    push_back: PushBack,
    batch: RxBatch,
    tx_full: u64,
}

impl<D: Device, C: FnMut() -> Instant> Impaired<D, C> {
    /// The same impairments in both directions, each with dice of its own.
    pub fn new(device: D, impairments: Impairments, seed: u64, clock: C) -> Self {
        Impaired::asymmetric(device, impairments, impairments, seed, clock)
    }

    /// Different ones for what we send and what we receive.
    pub fn asymmetric(device: D, tx: Impairments, rx: Impairments, seed: u64, clock: C) -> Self {
        let mut seeds = Dice(seed);
        Impaired {
            device,
            clock,
            tx: Impairer::new(tx, seeds.next()),
            rx: Impairer::new(rx, seeds.next()),
            held: None,
            push_back: PushBack::default(),
            batch: RxBatch::new(32),
            tx_full: 0,
        }
    }

    /// The device below.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// What happened to frames sent, and to frames received.
    pub fn impair_counters(&self) -> (ImpairCounters, ImpairCounters) {
        (self.tx.counters(), self.rx.counters())
    }

    /// Hands the device what is due. False if it is full.
    fn send_due(&mut self, now: Instant) -> bool {
        while let Some(bytes) = self.held.take().or_else(|| self.tx.pop(now)) {
            let frame = TxFrame { header: &bytes, payload: &[], offload: Offload::default() };
            if self.device.transmit(&frame).is_err() {
                self.held = Some(bytes);
                return false;
            }
            self.tx.recycle(bytes);
        }
        true
    }
}

impl<D: Device, C: FnMut() -> Instant> Device for Impaired<D, C> {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn mac(&self) -> MacAddr {
        self.device.mac()
    }

    fn mtu(&self) -> u16 {
        self.device.mtu()
    }

    /// All: we cut and complete before the wire.
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn link_up(&self) -> bool {
        self.device.link_up()
    }

    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        let now = (self.clock)();
        // All that is there, up to a bound: what is delayed must not look like "nothing there".
        for _ in 0..64 {
            let count = self.device.receive(&mut self.batch)?;
            for frame in self.batch.frames() {
                let frame = TxFrame { header: frame.bytes(), payload: &[], offload: frame.offload };
                self.rx.push(now, &frame);
            }
            if count < self.batch.capacity() {
                break;
            }
        }
        let mut count = 0;
        for slot in batch.slots(0) {
            let Some(buffer) = self.rx.pop(now) else { break };
            let range = 0..buffer.len();
            let old = std::mem::replace(slot, RxFrame { buffer, range, offload: Offload::default() });
            self.rx.recycle(old.buffer);
            count += 1;
        }
        while let Some(spare) = batch.take_spare() {
            self.rx.recycle(spare);
        }
        batch.set_filled(count);
        Ok(count)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        let now = (self.clock)();
        if !self.send_due(now) {
            self.push_back.refuse();
            self.tx_full += 1;
            return Err(Full);
        }
        self.push_back.take();
        self.tx.push(now, frame);
        self.send_due(now);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_back.flush();
        let now = (self.clock)();
        self.send_due(now);
        self.device.flush()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.device.as_fd()
    }

    fn wants_writable(&self) -> bool {
        self.held.is_some() || self.push_back.is_waiting() || self.device.wants_writable()
    }

    /// When a frame is due in either direction. What the device would not take waits for that, not for time.
    fn poll_timeout(&self) -> Option<Instant> {
        let tx = if self.held.is_some() { None } else { self.tx.poll_timeout() };
        [tx, self.rx.poll_timeout(), self.device.poll_timeout()].into_iter().flatten().min()
    }

    fn set_reception(&mut self, promiscuous: bool, all_multicast: bool) -> io::Result<()> {
        self.device.set_reception(promiscuous, all_multicast)
    }

    fn counters(&self) -> DeviceCounters {
        let below = self.device.counters();
        DeviceCounters { tx_full: below.tx_full + self.tx_full, ..below }
    }
}

#[cfg(test)]
mod tests;
