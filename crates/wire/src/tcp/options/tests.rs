use super::*;
use crate::tcp::{BadOption, SeqNumber};

const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 4];
const TIMES: Option<Timestamps> = Some(Timestamps { value: 5, echo: 4 });

fn blocks(count: u32) -> SackBlocks {
    (0..count).map(|index| (SeqNumber(100 * index), SeqNumber(100 * index + 50))).collect()
}

/// Bad input C9: whatever the length of one option, the parse ends, and the good ones before it count; the good one
/// after it counts too where the length leads to it.
#[test]
fn every_kind_with_every_length() {
    for kind in 2..=255u8 {
        for len in 0..=255u8 {
            let mut bytes = [0; 40];
            bytes[..4].copy_from_slice(&[3, 3, 5, 1]);
            bytes[4] = kind;
            bytes[5] = len;
            let next = 4 + usize::from(len);
            let leads_on = (2..=32).contains(&len);
            if leads_on {
                bytes[next..next + 4].copy_from_slice(&[2, 4, 0x05, 0xb4]);
            }
            let options = Options::parse(&bytes);
            let good = if kind == kind::WINDOW_SCALE && len == 3 { 0 } else { 5 };
            assert_eq!(options.window_scale, Some(good), "kind {kind}, length {len}");
            if leads_on {
                assert_eq!(options.mss, Some(1460), "kind {kind}, length {len}");
            } else {
                let expected = (kind == kind::MSS && len == 4).then_some(0);
                assert_eq!(options.mss, expected, "kind {kind}, length {len}");
            }
            let lengths = match kind {
                kind::MSS | kind::USER_TIMEOUT => vec![4],
                kind::WINDOW_SCALE => vec![3],
                kind::SACK_PERMITTED => vec![2],
                kind::SACK => vec![10, 18, 26, 34],
                kind::TIMESTAMPS => vec![10],
                kind::MD5 => vec![18],
                kind::AUTHENTICATION => (4..=36).collect(),
                kind::FAST_OPEN => vec![2, 6, 8, 10, 12, 14, 16, 18],
                _ => (2..=36).collect(),
            };
            let read = OptionIter::new(&bytes[4..]).next().unwrap();
            assert_eq!(read.is_ok(), lengths.contains(&len), "kind {kind}, length {len}");
            if read.is_err() {
                assert_eq!(read, Err(BadOption { kind, len }));
            }
        }
    }
}

#[test]
fn a_kind_at_the_very_end_has_no_length() {
    for kind in 2..=255 {
        assert_eq!(OptionIter::new(&[kind]).collect::<Vec<_>>(), [Err(BadOption { kind, len: 0 })]);
        assert_eq!(Options::parse(&[1, 1, 1, kind]), Options::default());
    }
}

/// Bad input C9: RFC 7323 section 2.3.
#[test]
fn a_shift_is_at_most_14() {
    for shift in 0..=255 {
        assert_eq!(Options::parse(&[1, 3, 3, shift]).window_scale, Some(shift.min(14)));
        assert_eq!(OptionIter::new(&[3, 3, shift]).next(), Some(Ok(TcpOption::WindowScale(shift))));
    }
}

#[test]
fn nothing_counts_after_the_end() {
    assert_eq!(Options::parse(&[0, 2, 4, 5, 0xb4]), Options::default());
    assert_eq!(
        Options::parse(&[&TIMESTAMPS[..], &[0, 4, 2, 1]].concat()),
        Options { timestamps: TIMES, ..Options::default() }
    );
}

#[test]
fn the_last_of_a_kind_counts() {
    assert_eq!(Options::parse(&[2, 4, 1, 0, 2, 4, 2, 0]).mss, Some(512));
    let twice = [&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1][..], &TIMESTAMPS].concat();
    assert_eq!(Options::parse(&twice).timestamps, TIMES);
}

#[test]
fn timestamps_are_found_in_any_place() {
    for bytes in [
        TIMESTAMPS.to_vec(),
        TIMESTAMPS[2..].to_vec(),
        [&TIMESTAMPS[2..], &[1, 1]].concat(),
        [&[1][..], &TIMESTAMPS].concat(),
        [&[4, 2][..], &TIMESTAMPS[2..]].concat(),
    ] {
        assert_eq!(Options::parse(&bytes).timestamps, TIMES, "{bytes:?}");
    }
    assert_eq!(Options::parse(&TIMESTAMPS[..11]).timestamps, None);
}

#[test]
fn layouts() {
    let nothing = Options::default();
    let times = Options { timestamps: TIMES, ..nothing };
    for (options, bytes) in [
        (nothing, vec![]),
        (times, TIMESTAMPS.to_vec()),
        (Options { mss: Some(1460), ..nothing }, vec![2, 4, 5, 0xb4]),
        (Options { window_scale: Some(7), ..nothing }, vec![1, 3, 3, 7]),
        (Options { sack_permitted: true, ..nothing }, vec![1, 1, 4, 2]),
        (Options { sack_permitted: true, ..times }, [&[4, 2][..], &TIMESTAMPS[2..]].concat()),
        (Options { sack: blocks(1), ..times }, [&TIMESTAMPS[..], &[1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 50]].concat()),
    ] {
        let mut out = [0xaa; MAX_OPTIONS_LEN];
        assert_eq!(options.emit(&mut out), bytes.len());
        assert_eq!(out[..bytes.len()], bytes);
        assert_eq!(out[bytes.len()..], [0xaa; MAX_OPTIONS_LEN][bytes.len()..], "nothing beyond");
    }
}

#[test]
fn sack_blocks_find_the_room_there_is() {
    let syn = Options { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..Options::default() };
    for (options, room) in [
        (Options::default(), 4),
        (Options { timestamps: TIMES, ..Options::default() }, 3),
        (Options { timestamps: TIMES, ..syn }, 2),
        (syn, 3),
    ] {
        for count in 0..=4 {
            let options = Options { sack: blocks(count), ..options };
            let mut out = [0; MAX_OPTIONS_LEN];
            let len = options.emit(&mut out);
            assert!(len <= MAX_OPTIONS_LEN && len == options.len());
            assert_eq!(Options::parse(&out[..len]).sack, blocks(count.min(room)));
        }
    }
}

#[test]
fn at_most_four_blocks() {
    let mut sack = blocks(4);
    assert!(!sack.push((SeqNumber(1), SeqNumber(2))));
    assert_eq!((sack.len(), sack), (4, blocks(9)));
    assert!(blocks(0).is_empty());
}
