use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::memory::{self, End};
use crate::test_frames::{Tcp, assert_fit_for_a_wire, tcp_offload, udp};

const MS: Duration = Duration::from_millis(1);

fn plain(bytes: &[u8]) -> TxFrame<'_> {
    TxFrame { header: bytes, payload: &[], offload: Offload::default() }
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Sends `count` numbered frames, one a millisecond, and gives what arrives: when, and which.
fn pass(impairments: Impairments, seed: u64, count: u32) -> (Vec<(Instant, u32)>, ImpairCounters) {
    let mut wire = Impairer::new(impairments, seed);
    let mut arrived = Vec::new();
    let mut collect = |wire: &mut Impairer, until: Instant| {
        while let Some(due) = wire.poll_timeout().filter(|due| *due <= until) {
            let bytes = wire.pop(due).expect("is due");
            arrived.push((due, u32::from_be_bytes(bytes[14..18].try_into().expect("four bytes"))));
            wire.recycle(bytes);
        }
    };
    for n in 0..count {
        let mut frame = [0; 100];
        frame[14..18].copy_from_slice(&n.to_be_bytes());
        collect(&mut wire, at(n.into()));
        wire.push(at(n.into()), &plain(&frame));
    }
    collect(&mut wire, Instant::FAR_FUTURE);
    assert!(wire.is_empty());
    (arrived, wire.counters())
}

#[test]
fn a_perfect_wire_changes_nothing() {
    let (arrived, counters) = pass(Impairments::default(), 1, 100);
    assert!(arrived.iter().enumerate().all(|(n, arrival)| *arrival == (at(n as u64), n as u32)));
    assert_eq!(counters, ImpairCounters { offered: 100, delivered: 100, ..ImpairCounters::default() });
}

#[test]
fn probabilities_are_what_they_say_and_the_seed_decides() {
    let bad = Impairments { loss: 0.02, duplicate: 0.05, reorder: 0.1, ..Impairments::default() };
    let (arrived, counters) = pass(bad, 7, 20_000);
    assert_eq!(pass(bad, 7, 20_000), (arrived.clone(), counters));
    assert_ne!(pass(bad, 8, 20_000).0, arrived);
    // Five standard deviations.
    for (counted, probability) in
        [(counters.lost, 0.02), (counters.duplicated, 0.05 * 0.98), (counters.reordered, 0.1 * 0.98)]
    {
        let (expected, counted) = (20_000.0 * probability, counted as f64);
        assert!((counted - expected).abs() < 5.0 * f64::sqrt(expected), "{counted} instead of {expected}");
    }
    assert_eq!(counters.delivered, counters.offered - counters.lost + counters.duplicated);
    assert_eq!(arrived.len() as u64, counters.delivered);
}

#[test]
fn one_impairment_leaves_the_others_choices_alone() {
    let lossy = Impairments { loss: 0.1, ..Impairments::default() };
    let lossy_and_late = Impairments { jitter: 5 * MS, corrupt: 0.5, ..lossy };
    let which = |impairments| pass(impairments, 3, 1000).0.into_iter().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(which(lossy), which(lossy_and_late));
}

#[test]
fn delay_and_jitter_keep_the_order() {
    let (arrived, _) = pass(Impairments { delay: 10 * MS, jitter: 5 * MS, ..Impairments::default() }, 5, 1000);
    for (n, (when, which)) in arrived.iter().enumerate() {
        assert_eq!(*which, n as u32);
        let took = when.since(at(n as u64));
        assert!(took >= 10 * MS && took < 15 * MS, "{took:?}");
    }
    assert!(arrived.iter().any(|(when, which)| when.since(at((*which).into())) > 13 * MS));
}

#[test]
fn reordering_lets_others_overtake() {
    let late = Impairments { reorder: 0.1, reorder_delay: Duration::from_micros(3500), ..Impairments::default() };
    let (arrived, counters) = pass(late, 5, 1000);
    let overtaken = arrived.iter().enumerate().filter(|(place, (_, which))| *place > *which as usize).count();
    assert!(overtaken > 50 && overtaken as u64 <= counters.reordered, "{overtaken} of {}", counters.reordered);
    let mut all: Vec<_> = arrived.iter().map(|(_, which)| *which).collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..1000));
}

#[test]
fn a_rate_spaces_frames_and_a_full_wire_drops() {
    let slow = Impairments { rate: Some(8_000_000), limit: 10, ..Impairments::default() };
    let mut wire = Impairer::new(slow, 1);
    for _ in 0..15 {
        wire.push(at(0), &plain(&[0; 1000]));
    }
    assert_eq!((wire.len(), wire.counters().overflowed), (10, 5));
    for n in 1..=10 {
        assert_eq!(wire.poll_timeout(), Some(at(n)));
        assert_eq!(wire.pop(at(n - 1)), None);
        assert!(wire.pop(at(n)).is_some());
    }
}

#[test]
fn a_super_frame_is_cut_before_anything_happens_to_it() {
    let bytes = Tcp { payload: 60_000, ..Tcp::default() }.frame();
    let mut wire = Impairer::new(Impairments { loss: 0.5, ..Impairments::default() }, 1);
    wire.push(at(0), &TxFrame { offload: tcp_offload(&bytes, 1000), ..plain(&bytes) });
    let ImpairCounters { offered, lost, .. } = wire.counters();
    assert_eq!(offered, 60);
    assert!(lost > 10 && lost < 50);
    while let Some(piece) = wire.pop(at(0)) {
        assert_fit_for_a_wire(&piece);
    }
}

proptest! {
    #[test]
    fn corruption_flips_one_bit_that_a_checksum_finds(v6: bool, is_udp: bool, tags in 0..2usize, payload in 1..500usize, seed: u64) {
        let mut bytes = if is_udp { udp(v6, payload) } else { Tcp { v6, tags, payload, ..Tcp::default() }.frame() };
        let start = crate::test_frames::read(&bytes).transport as u16;
        crate::segment::complete(&mut bytes, crate::Checksum::Partial { start, offset: if is_udp { 6 } else { 16 } }).expect("in range");
        let mut wire = Impairer::new(Impairments { corrupt: 1.0, ..Impairments::default() }, seed);
        wire.push(at(0), &plain(&bytes));
        let corrupted = wire.pop(at(0)).expect("is due");
        let differences: u32 = bytes.iter().zip(&corrupted).map(|(a, b)| (a ^ b).count_ones()).sum();
        prop_assert_eq!(differences, 1);
        prop_assert_eq!(&bytes[..14], &corrupted[..14]);
    }

    #[test]
    fn no_frame_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), seed: u64) {
        let bad = Impairments { corrupt: 1.0, duplicate: 0.5, delay: Duration::MAX, jitter: Duration::from_secs(1 << 40), rate: Some(0), ..Impairments::default() };
        let mut wire = Impairer::new(bad, seed);
        wire.push(Instant::FAR_FUTURE, &plain(&bytes));
        while wire.pop(Instant::FAR_FUTURE).is_some() {}
    }
}

#[test]
fn what_has_no_checksum_is_left_alone() {
    let mut arp = [0; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut wire = Impairer::new(Impairments { corrupt: 1.0, ..Impairments::default() }, 1);
    wire.push(at(0), &plain(&arp));
    assert_eq!(wire.pop(at(0)), Some(arp.to_vec()));
    assert_eq!(wire.counters().corrupted, 0);
}

#[test]
fn an_impaired_device_delivers_when_the_clock_says_so() {
    let now = Rc::new(Cell::new(at(0)));
    let clock = Rc::clone(&now);
    let (near, mut far) = memory::pair();
    let slow = Impairments { delay: 10 * MS, ..Impairments::default() };
    let mut near = Impaired::new(near, slow, 1, move || clock.get());
    let mut batch = RxBatch::new(4);
    let bytes = Tcp { payload: 2500, ..Tcp::default() }.frame();
    near.transmit(&TxFrame { offload: tcp_offload(&bytes, 1000), ..plain(&bytes) }).expect("room");
    far.transmit(&plain(&[1; 60])).expect("room");
    assert_eq!(near.receive(&mut batch).expect("receives"), 0);
    near.flush().expect("flushes");
    assert_eq!((far.readable(), near.poll_timeout()), (0, Some(at(10))));
    now.set(at(10));
    near.flush().expect("flushes");
    assert_eq!(far.readable(), 3);
    assert_eq!(near.receive(&mut batch).expect("receives"), 1);
    assert_eq!(batch.frames()[0].bytes(), [1; 60]);
    assert_eq!(near.poll_timeout(), None);
}

#[test]
fn an_impaired_device_passes_on_that_the_wire_is_full() {
    let now = at(0);
    let (near, mut far) = memory::wire(End::new("near", 1), End::new("far", 2), 2);
    let mut near = Impaired::new(near, Impairments::default(), 1, || now);
    let mut taken = 0;
    while near.transmit(&plain(&[taken; 60])).is_ok() {
        taken += 1;
        assert!(taken < 100, "nobody pushes back");
    }
    near.flush().expect("flushes");
    assert!(near.wants_writable());
    assert_eq!(near.poll_timeout(), None, "waits for the device, not for time");
    let mut arrived = Vec::new();
    let mut batch = RxBatch::new(1);
    while far.receive(&mut batch).expect("receives") > 0 {
        arrived.push(batch.frames()[0].bytes()[0]);
        near.flush().expect("flushes");
    }
    assert!(arrived.iter().copied().eq(0..taken), "{arrived:?} of {taken}");
    assert!(!near.wants_writable());
}
