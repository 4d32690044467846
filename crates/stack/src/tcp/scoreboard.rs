//! What was sent and is not yet acknowledged: the retransmission queue with its marks.
//!
//! Each transmission is a record; a record covers as much as left in one piece, up to a 64 KiB super-segment, and is
//! split where an acknowledgement, a SACK block or a retransmission ends inside it. A record is in flight unless the
//! peer holds it (*sacked*) or it is deemed *lost* and has not been sent again. Loss marks come from recovery; the
//! scoreboard only keeps the sums that make the in-flight estimate (RFC 6675's pipe) a subtraction.
//!
//! Positions are stream offsets; the FIN counts as one byte behind the stream's end.

use crate::line::Line;
use sockeye_device::Instant;

/// More records than this are not made by splitting: a peer that acknowledges every other byte of a large window must
/// not grow our memory (CVE-2019-11478). What would be split is then left unsacked.
const MAX_RECORDS: usize = 8 * 1024;

#[derive(Clone, Copy, Debug)]
struct Record {
    start: u64,
    end: u64,
    sent_at: Instant,
    sacked: bool,
    lost: bool,
    /// Sent again since it was last deemed lost.
    in_retransmission: bool,
    /// Sent more than once: no round-trip sample comes of it (Karn).
    retransmitted: bool,
}

impl Record {
    fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// What a cumulative acknowledgement was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cumulative {
    /// Bytes newly acknowledged.
    pub(crate) bytes: u64,
    /// When the newest segment in it left, if none of it was sent twice.
    pub(crate) sent_at: Option<Instant>,
}

/// The retransmission queue.
#[derive(Default, Debug)]
pub(crate) struct Scoreboard {
    records: Line<Record>,
    una: u64,
    nxt: u64,
    sacked: u64,
    lost: u64,
    retransmitting: u64,
    highest_sacked: u64,
    /// No record before this offset waits to be sent again.
    retransmit_from: u64,
}

impl Scoreboard {
    /// Offset of the first byte that is not acknowledged.
    pub(crate) fn una(&self) -> u64 {
        self.una
    }

    /// Offset of the first byte that was never sent.
    pub(crate) fn nxt(&self) -> u64 {
        self.nxt
    }

    /// Bytes sent and not acknowledged.
    pub(crate) fn outstanding(&self) -> u64 {
        self.nxt - self.una
    }

    /// Bytes thought to be in the network.
    pub(crate) fn in_flight(&self) -> u64 {
        self.outstanding() - self.sacked - self.lost + self.retransmitting
    }

    /// Bytes that the peer has reported to hold out of order.
    pub(crate) fn sacked(&self) -> u64 {
        self.sacked
    }

    /// Bytes deemed lost and not acknowledged since.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// `len` new bytes leave at `now`.
    pub(crate) fn sent(&mut self, len: u64, now: Instant) {
        let start = self.nxt;
        self.nxt += len;
        self.records.push_back(Record {
            start,
            end: self.nxt,
            sent_at: now,
            sacked: false,
            lost: false,
            in_retransmission: false,
            retransmitted: false,
        });
    }

    /// Everything before `to` is acknowledged. `to` lies in `una..=nxt`.
    pub(crate) fn acknowledge(&mut self, to: u64) -> Cumulative {
        let bytes = to - self.una;
        let (mut sent_at, mut ambiguous) = (None, false);
        while let Some(front) = self.records.front_mut() {
            if front.start >= to {
                break;
            }
            let whole = front.end <= to;
            let part = Record { end: front.end.min(to), ..*front };
            front.start = part.end;
            if part.sacked | part.lost {
                self.forget(&part);
            }
            ambiguous |= part.retransmitted;
            // A record that the peer reported out of order arrived earlier than this acknowledgement says.
            if !part.sacked {
                sent_at = Some(part.sent_at);
            }
            if whole {
                self.records.pop_front();
            }
        }
        self.una = to;
        self.retransmit_from = self.retransmit_from.max(to);
        Cumulative { bytes, sent_at: if ambiguous { None } else { sent_at } }
    }

    /// The peer holds `start..end`; returns how many of these bytes are news.
    pub(crate) fn sack(&mut self, start: u64, end: u64) -> u64 {
        let (start, end) = (start.max(self.una), end.min(self.nxt));
        if start >= end || !self.split(start) || !self.split(end) {
            return 0;
        }
        let before = self.sacked;
        let first = self.index_of(start);
        for index in first..self.records.len() {
            let record = self.records[index];
            if record.start >= end {
                break;
            }
            if !record.sacked {
                self.forget(&record);
                let record = &mut self.records[index];
                record.sacked = true;
                record.lost = false;
                record.in_retransmission = false;
                self.sacked += record.len();
            }
        }
        self.highest_sacked = self.highest_sacked.max(end);
        self.sacked - before
    }

    /// Deems the first `len` unacknowledged bytes lost, unless they already are.
    pub(crate) fn lose_head(&mut self, len: u64) {
        let end = (self.una + len).min(self.nxt);
        if end > self.una && self.split(end) {
            let last = self.index_of(end.saturating_sub(1));
            for index in 0..=last.min(self.records.len().saturating_sub(1)) {
                self.lose(index);
            }
        }
    }

    /// RFC 6675's IsLost: deems lost what has more than `threshold` sacked bytes above it. Returns whether there was any.
    pub(crate) fn lose_below_sacked(&mut self, threshold: u64) -> bool {
        if self.sacked <= threshold {
            return false;
        }
        let (mut above, mut any) = (0, false);
        for index in (0..self.records.len()).rev() {
            let record = self.records[index];
            if record.sacked {
                above += record.len();
            } else if above > threshold && !record.lost {
                self.lose(index);
                any = true;
            }
        }
        any
    }

    /// The timer fired: everything outstanding is deemed lost, and what the peer said to hold may be gone (RFC 2018, 8).
    pub(crate) fn lose_all(&mut self) {
        for record in self.records.iter_mut() {
            record.sacked = false;
            record.lost = true;
            record.in_retransmission = false;
        }
        self.sacked = 0;
        self.retransmitting = 0;
        self.lost = self.outstanding();
        self.highest_sacked = self.una;
        self.retransmit_from = self.una;
    }

    /// True when something that is lost was not sent again yet.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost != self.retransmitting
    }

    /// The first stretch that is lost and was not sent again, at most `max` bytes of it.
    pub(crate) fn next_lost(&mut self, max: u64) -> Option<(u64, u64)> {
        if !self.has_lost() {
            return None;
        }
        let first = self.index_of(self.retransmit_from.max(self.una));
        let mut waiting = self.records.tail(first).skip_while(|record| !record.lost || record.in_retransmission);
        let record = waiting.next()?;
        let (start, mut end) = (record.start, record.end);
        for next in waiting.take_while(|next| next.lost && !next.in_retransmission) {
            if end - start >= max || next.start != end {
                break;
            }
            end = next.end;
        }
        self.retransmit_from = start;
        Some((start, end.min(start + max)))
    }

    /// `start..end`, as [`next_lost`](Scoreboard::next_lost) gave it, leaves again at `now`.
    pub(crate) fn sent_again(&mut self, start: u64, end: u64, now: Instant) {
        self.split(end);
        let first = self.index_of(start);
        for record in self.records.tail_mut(first).take_while(|record| record.start < end) {
            if record.lost && !record.in_retransmission {
                record.in_retransmission = true;
                self.retransmitting += record.len();
            }
            record.retransmitted = true;
            record.sent_at = now;
        }
        self.retransmit_from = end;
    }

    /// How many records there are.
    #[cfg(test)]
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    fn lose(&mut self, index: usize) {
        let record = &mut self.records[index];
        if record.sacked || record.lost {
            return;
        }
        record.lost = true;
        self.lost += record.len();
        self.retransmit_from = self.retransmit_from.min(record.start);
    }

    /// Takes a record, or a part of one, out of the sums.
    fn forget(&mut self, record: &Record) {
        if record.sacked {
            self.sacked -= record.len();
        }
        if record.lost {
            self.lost -= record.len();
        }
        if record.in_retransmission {
            self.retransmitting -= record.len();
        }
    }

    /// Index of the record that covers `offset`, or of the first one behind it.
    fn index_of(&self, offset: u64) -> usize {
        if self.records.front().is_none_or(|record| offset < record.end) {
            return 0;
        }
        self.records.partition_point(|record| record.end <= offset)
    }

    /// Makes a record begin at `at`; false when there are too many records to do so.
    fn split(&mut self, at: u64) -> bool {
        let index = self.index_of(at);
        match self.records.get(index) {
            Some(record) if record.start < at => {
                if self.records.len() >= MAX_RECORDS {
                    return false;
                }
                let record = *record;
                self.records[index].start = at;
                self.records.insert(index, Record { end: at, ..record });
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn three_segments() -> Scoreboard {
        let mut board = Scoreboard::default();
        for at in 1..=3 {
            board.sent(1_000, ms(at));
        }
        board
    }

    #[test]
    fn an_acknowledgement_inside_a_record_leaves_the_rest_of_it() {
        let mut board = three_segments();
        assert_eq!(board.acknowledge(1_500), Cumulative { bytes: 1_500, sent_at: Some(ms(2)) });
        assert_eq!((board.una(), board.outstanding(), board.in_flight()), (1_500, 1_500, 1_500));
    }

    #[test]
    fn karn_no_sample_from_what_was_sent_twice() {
        let mut board = three_segments();
        board.lose_head(1_000);
        assert_eq!(board.next_lost(5_000), Some((0, 1_000)));
        board.sent_again(0, 1_000, ms(9));
        assert_eq!(board.acknowledge(3_000).sent_at, None);
        assert_eq!((board.in_flight(), board.lost(), board.records()), (0, 0, 0));
    }

    #[test]
    fn sacked_and_lost_bytes_are_not_in_flight_until_sent_again() {
        let mut board = three_segments();
        assert_eq!(board.sack(1_000, 3_000), 2_000);
        assert_eq!(board.sack(1_000, 3_000), 0);
        assert_eq!(board.in_flight(), 1_000);
        assert!(board.lose_below_sacked(1_999));
        assert_eq!(board.in_flight(), 0);
        board.sent_again(0, 1_000, ms(5));
        assert_eq!((board.in_flight(), board.next_lost(9_000)), (1_000, None));
    }

    #[test]
    fn a_timeout_forgets_what_the_peer_said_to_hold() {
        let mut board = three_segments();
        board.sack(2_000, 3_000);
        board.lose_all();
        assert_eq!((board.in_flight(), board.next_lost(2_500)), (0, Some((0, 2_500))));
        board.sent_again(0, 2_500, ms(7));
        assert_eq!(board.next_lost(2_500), Some((2_500, 3_000)));
    }

    #[test]
    fn splitting_is_bounded() {
        let mut board = Scoreboard::default();
        board.sent(1 << 20, ms(0));
        for byte in (0..1u64 << 20).step_by(2) {
            board.sack(byte, byte + 1);
        }
        assert!(board.records() <= MAX_RECORDS + 1);
    }

    proptest! {
        /// The sums agree with the records whatever happens.
        #[test]
        fn the_sums_agree_with_the_records(operations in prop::collection::vec((0u8..7, 0u64..40_000, 1u64..9_000), 1..120)) {
            let mut board = Scoreboard::default();
            for (operation, place, len) in operations {
                let at = board.una() + place.min(board.outstanding());
                match operation {
                    0 | 1 => board.sent(len, ms(place)),
                    2 => { board.acknowledge(at); }
                    3 => { board.sack(at, at + len); }
                    4 => { board.lose_below_sacked(len); }
                    5 => { board.lose_head(len); }
                    _ => if place % 7 == 0 { board.lose_all() },
                }
                if let Some((start, end)) = board.next_lost(len) {
                    prop_assert!(start >= board.una() && start < end && end <= board.nxt() && end - start <= len);
                    if place % 2 == 0 { board.sent_again(start, end, ms(place)); }
                }
                let sum = |test: fn(&Record) -> bool| board.records.tail(0).filter(|r| test(r)).map(Record::len).sum::<u64>();
                prop_assert_eq!(board.sacked, sum(|r| r.sacked));
                prop_assert_eq!(board.lost, sum(|r| r.lost));
                prop_assert_eq!(board.retransmitting, sum(|r| r.in_retransmission));
                prop_assert_eq!(board.outstanding(), sum(|_| true));
                prop_assert!(board.in_flight() <= board.outstanding());
            }
        }
    }
}
