use super::super::view::Seen;
use super::*;
use crate::port::PortId;
use proptest::prelude::*;
use sockeye_device::Offload;
use sockeye_wire::MacAddr;
use std::sync::{Arc, Mutex};

/// Memory of a test's, and of a program that it plays. What is outside is an error of the ring.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn new(len: usize) -> Self {
        Shared(Arc::new(Mutex::new(vec![0; len])))
    }
    fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        self.0.lock().unwrap()[at..at + len].to_vec()
    }
    pub(super) fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at, 4).try_into().unwrap())
    }
}

impl Memory for Shared {
    fn load(&self, at: usize) -> u32 {
        self.word(at)
    }
    fn store(&self, at: usize, value: u32) {
        self.write(at, &value.to_ne_bytes());
    }
    fn write(&self, at: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn read(&self, at: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.lock().unwrap()[at..at + bytes.len()]);
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

fn put_at(ring: &mut Ring, len: usize, now: Instant) -> Put {
    let bytes = bytes(len.max(14));
    let seen = Seen::arrived(now, PortId(1), MacAddr([0, 1, 2, 3, 4, 5]), &bytes, Offload::default()).unwrap();
    let len = bytes.len();
    ring.put(&Frame {
        seen: &seen,
        flow: 0,
        kind: seen.kind,
        vlan: seen.vlan,
        cooked: false,
        from: 0,
        len,
        kept: len,
        copied: false,
        reserve: 0,
        virtual_header: None,
        time: Duration::new(1_700_000_000, 123_456_789),
        losing: false,
        now,
    })
}

fn put(ring: &mut Ring, len: usize) -> Put {
    put_at(ring, len, Instant::ZERO)
}

fn ring(version: Version, asked: Request) -> (Ring, Shared) {
    let geometry = Geometry::check(version, 0, true, &asked).unwrap().unwrap();
    let shared = Shared::new(geometry.len() + CONTROL_LEN);
    (Ring::new(Arc::new(shared.clone()), geometry, geometry.len(), Duration::ZERO), shared)
}

const TWO_SLOTS: Request =
    Request { block_size: 4096, blocks: 1, frame_size: 2048, frames: 2, retire_after: 0, private: 0, features: 0 };
const DONE: Put = Put::Done { ready: true, cut: false };

#[test]
fn slots_are_filled_in_turn_and_wait_for_the_program() {
    for (version, at) in [(Version::V1, [8, 12, 16, 18, 20, 24]), (Version::V2, [4, 8, 12, 14, 16, 20])] {
        let (mut ring, shared) = ring(version, TWO_SLOTS);
        assert!(!ring.take_signal());
        assert_eq!((put(&mut ring, 60), put(&mut ring, 61), put(&mut ring, 62)), (DONE, DONE, Put::Full));
        assert!(ring.take_signal() && !ring.take_signal());
        for (slot, len) in [(0, 60), (2048, 61)] {
            assert_eq!(shared.word(slot), status::USER);
            let half = |at: usize| u16::from_ne_bytes(shared.bytes(slot + at, 2).try_into().unwrap());
            assert_eq!((shared.word(slot + at[0]), shared.word(slot + at[1])), (len, len));
            assert_eq!((half(at[2]), half(at[3])), (66, 80));
            let fraction = if version == Version::V1 { 123_456 } else { 123_456_789 };
            assert_eq!((shared.word(slot + at[4]), shared.word(slot + at[5])), (1_700_000_000, fraction));
            assert_eq!(shared.bytes(slot + 66, len as usize), bytes(len as usize));
            assert_eq!(shared.bytes(slot + 32, 2), 17u16.to_ne_bytes());
        }
        let last = shared.word(4096 + CONTROL_LAST) as usize;
        assert_eq!(last, 2048);
        shared.store(0, status::KERNEL);
        assert_eq!(put(&mut ring, 9_000), Put::Done { ready: true, cut: true });
        assert_eq!(shared.word(at[1]), 2048 - 66);
        // The program has taken the signal, and waits again.
        shared.store(4096 + CONTROL_ARMED, 1);
        assert!(ring.take_signal());
    }
}

fn blocks(retire_after: u32, private: u32) -> Request {
    Request { block_size: 4096, blocks: 2, frame_size: 2048, frames: 4, retire_after, private, features: 0 }
}

#[test]
fn blocks_are_filled_closed_frozen_and_thawed() {
    let (mut ring, shared) = ring(Version::V3, blocks(0, 100));
    let counts =
        |shared: &Shared, block: usize| (shared.word(block + 8), shared.word(block + 12), shared.word(block + 16));
    // 82 + 1000, up to a multiple of eight, behind 48 + 104.
    for frame in 0..3 {
        assert_eq!(put(&mut ring, 1000), Put::Done { ready: false, cut: false });
        assert_eq!(shared.word(152 + frame * 1088), 1088);
    }
    assert_eq!(put(&mut ring, 1000), DONE);
    assert_eq!(counts(&shared, 0), (status::USER, 3, 152));
    assert_eq!((shared.word(0), shared.word(4), shared.word(20), shared.word(24)), (2, 48, 152 + 3 * 1088, 1));
    assert_eq!(shared.word(152 + 2 * 1088), 0, "the last one has no next");
    assert_eq!(shared.bytes(152 + 82, 1000), bytes(1000));
    for _ in 0..2 {
        assert_eq!(put(&mut ring, 1000), Put::Done { ready: false, cut: false });
    }
    assert_eq!((put(&mut ring, 1000), put(&mut ring, 1000)), (Put::Full, Put::Full));
    assert_eq!((counts(&shared, 4096).0, shared.word(4096 + 24)), (status::USER, 2));
    assert_eq!((ring.take_freezes(), ring.take_freezes()), (1, 0));
    shared.store(8, status::KERNEL);
    assert_eq!(put(&mut ring, 1000), Put::Done { ready: false, cut: false });
    assert_eq!(shared.word(152 + 16), 1000);
}

#[test]
fn a_block_that_has_waited_is_the_programs_and_an_empty_one_waits_for_ever() {
    let (mut ring, shared) = ring(Version::V3, blocks(50, 0));
    assert_eq!(ring.poll_timeout(), None);
    let later = Instant::ZERO + Duration::from_millis(1_000);
    assert_eq!(put_at(&mut ring, 60, later), Put::Done { ready: false, cut: false });
    let due = later + Duration::from_millis(50);
    assert_eq!(ring.poll_timeout(), Some(due));
    assert!(!ring.handle_timeout(later, Duration::ZERO, false));
    assert!(!ring.take_signal());
    assert!(ring.handle_timeout(due, Duration::ZERO, true));
    assert_eq!(shared.word(8), status::USER | status::BLOCK_TIMEOUT | status::LOSING);
    assert!(ring.take_signal());
    assert_eq!(ring.poll_timeout(), None);
}

#[test]
fn geometries_are_judged_as_the_kernel_judges_them() {
    let check = |version, asked| Geometry::check(version, 0, true, &asked).map(|geometry| geometry.is_some());
    let good = TWO_SLOTS;
    for version in [Version::V1, Version::V2, Version::V3] {
        assert_eq!(check(version, good), Ok(true));
    }
    assert_eq!(check(Version::V1, Request::default()), Ok(false));
    let wrong = [
        Request { blocks: 0, ..good },
        Request { block_size: 0, ..good },
        Request { block_size: 4095, ..good },
        Request { block_size: 1 << 31, ..good },
        Request { frame_size: 2040, ..good },
        Request { frame_size: 48, frames: 85, ..good },
        Request { frame_size: 8192, ..good },
        Request { frames: 3, ..good },
        Request { frame_size: 0, ..good },
        // Sums that wrap in 32 bits.
        Request { block_size: 1 << 30, blocks: 1 << 16, frame_size: 1 << 14, frames: 0, ..good },
    ];
    for wrong in wrong {
        assert_eq!(check(Version::V2, wrong), Err(Refused::Invalid), "{wrong:?}");
    }
    for private in [4096, 4000, u32::MAX, u32::MAX - 7, u32::MAX - 48, 1 << 31] {
        assert_eq!(check(Version::V3, Request { private, ..good }), Err(Refused::Invalid), "{private}");
    }
    assert_eq!(check(Version::V3, Request { private: 3000, ..good }), Ok(true));
    assert_eq!(check(Version::V1, Request { block_size: 1 << 30, frames: 1 << 19, ..good }), Err(Refused::NoMemory));
    for reserve in [2048, u32::MAX, i32::MAX as u32] {
        assert_eq!(Geometry::check(Version::V2, reserve, true, &good), Err(Refused::Invalid));
    }
    let sending = Request { retire_after: 1, ..good };
    assert_eq!(Geometry::check(Version::V3, 0, false, &sending), Err(Refused::Invalid));
}

proptest! {
    /// Whatever the numbers are: what is let through holds all of its slots, and a program that scribbles everywhere
    /// while frames are written makes nothing be written outside (the memory here would panic).
    #[test]
    fn a_hostile_program_hurts_only_itself(
        version in prop::sample::select(vec![Version::V1, Version::V2, Version::V3]),
        pages in 1u32..4, blocks in 1u32..4, frame in 1u32..300, private in 0u32..9_000, reserve in 0u32..300,
        frames in prop::collection::vec((0usize..9_000, 0usize..50_000, any::<u32>(), any::<bool>()), 1..60),
    ) {
        let frame_size = frame * 16;
        let asked = Request {
            block_size: pages * 4096, blocks, frame_size, frames: pages * 4096 / frame_size * blocks,
            retire_after: 1, private, features: 0,
        };
        if let Ok(Some(geometry)) = Geometry::check(version, reserve, true, &asked) {
            let shared = Shared::new(geometry.len() + CONTROL_LEN);
            let mut ring = Ring::new(Arc::new(shared.clone()), geometry, geometry.len(), Duration::ZERO);
            for (step, (len, at, word, wait)) in frames.into_iter().enumerate() {
                shared.store((at % (geometry.len() + CONTROL_LEN)) & !3, word);
                let now = Instant::from_millis(step as u64);
                put_at(&mut ring, len, now);
                if wait {
                    ring.handle_timeout(now + Duration::from_millis(5), Duration::ZERO, false);
                }
                ring.take_signal();
            }
        }
    }

    #[test]
    fn no_request_makes_a_sum_wrap(
        block_size: u32, blocks: u32, frame_size: u32, frames: u32, private: u32, reserve: u32, receive: bool,
    ) {
        let asked = Request { block_size, blocks, frame_size, frames, retire_after: 0, private, features: 0 };
        for version in [Version::V1, Version::V2, Version::V3] {
            if let Ok(Some(geometry)) = Geometry::check(version, reserve, receive, &asked) {
                prop_assert!(geometry.slot(geometry.slots() - 1) + geometry.frame_size <= geometry.len());
            }
        }
    }
}
