use proptest::prelude::*;

use super::*;
use crate::Offload;
use crate::test_frames::{Tcp, assert_fit_for_a_wire, naive_sum, read, tcp_offload, udp, udp_offload};

fn split(frame: &TxFrame<'_>) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(frame).expect("a frame in order");
    let count = segments.count();
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    while segments.next_into(&mut piece).expect("a frame in order") {
        pieces.push(piece.clone());
    }
    assert!(piece.is_empty());
    assert_eq!(pieces.len(), count);
    pieces
}

/// The payload as slices cut at `cuts`, the way a ring buffer hands it over.
fn slices<'a>(payload: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    at.extend([0, payload.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &payload[pair[0]..pair[1]]).collect()
}

fn u16_of(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

proptest! {
    #[test]
    fn tcp_split_and_joined_is_the_original(
        v6: bool, tags in 0..3usize, routing in prop::option::of(0..5u8), ip_words in 0..11usize, tcp_words in 0..11usize, identification: u16, sequence: u32,
        flags: u8, urgent: u16, payload in 0..20_000usize, size in 1..3000u16, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        header_holds in any::<prop::sample::Index>(),
    ) {
        let size = size.max((payload / 200) as u16).max(1);
        let tcp = Tcp {
            v6, tags, ip_options: ip_words * 4, routing, tcp_options: tcp_words * 4, identification, sequence, flags, urgent, payload,
        };
        let whole = tcp.frame();
        let at = read(&whole);
        // The header slice holds all headers, and perhaps some of the payload.
        let (header, rest) = whole.split_at(at.payload + header_holds.index(payload + 1));
        let parts = slices(rest, &cuts);
        let frame = TxFrame { header, payload: &parts, offload: tcp_offload(&whole, size) };
        let pieces = split(&frame);

        let mut joined = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            assert_fit_for_a_wire(piece);
            let (first, last) = (index == 0, index + 1 == pieces.len());
            prop_assert_eq!(&piece[..at.network], &whole[..at.network]);
            if !v6 {
                prop_assert_eq!(u16_of(piece, at.network + 4), identification.wrapping_add(index as u16));
            }
            let segment = &piece[at.transport..];
            let done = index * usize::from(size);
            prop_assert_eq!(u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]), sequence.wrapping_add(done as u32));
            let urgent_here = flags & URG != 0 && usize::from(urgent) >= done;
            let mut expected = flags;
            if !last { expected &= !(FIN | PSH); }
            if !first { expected &= !CWR; }
            if !urgent_here { expected &= !URG; }
            prop_assert_eq!(segment[13], expected);
            if urgent_here {
                prop_assert_eq!(usize::from(u16_of(segment, 18)), usize::from(urgent) - done);
            }
            prop_assert!(piece.len() - at.payload == usize::from(size) || last);
            // What no piece changes: ports, acknowledgment, window, options.
            prop_assert_eq!(&piece[at.transport..at.transport + 4], &whole[at.transport..at.transport + 4]);
            prop_assert_eq!(&piece[at.transport + 8..at.transport + 13], &whole[at.transport + 8..at.transport + 13]);
            prop_assert_eq!(&piece[at.transport + 20..at.payload], &whole[at.transport + 20..at.payload]);
            joined.extend_from_slice(&piece[at.payload..]);
        }
        prop_assert_eq!(&joined[..], &whole[at.payload..]);
    }

    #[test]
    fn udp_split_and_joined_is_the_original(v6: bool, payload in 0..9000usize, size in 1..3000u16) {
        let size = size.max((payload / 100) as u16).max(1);
        let whole = udp(v6, payload);
        let at = read(&whole);
        let pieces = split(&TxFrame { header: &whole, payload: &[], offload: udp_offload(&whole, size) });
        let mut joined = Vec::new();
        for piece in &pieces {
            assert_fit_for_a_wire(piece);
            joined.extend_from_slice(&piece[at.payload..]);
        }
        prop_assert_eq!(&joined[..], &whole[at.payload..]);
    }

    #[test]
    fn a_checksum_is_completed_as_the_naive_sum_says(v6: bool, is_udp: bool, payload in 0..3000usize) {
        let mut frame = if is_udp { udp(v6, payload) } else { Tcp { v6, payload, ..Tcp::default() }.frame() };
        let start = read(&frame).transport as u16;
        complete(&mut frame, Checksum::Partial { start, offset: if is_udp { 6 } else { 16 } }).expect("in range");
        assert_fit_for_a_wire(&frame);
    }

    #[test]
    fn no_bytes_and_no_description_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), ip in 0..4usize, start: u16, offset: u16, size: u16, header_len in 0..250u16, kind in 0..3usize, partial: bool,
    ) {
        let mut bytes = bytes;
        // Mostly past the first check.
        for (at, byte) in [(12, [0x08, 0x86, 0x81, 0x00][ip]), (13, [0x00, 0xdd, 0x00, 0x00][ip]), (14, [0x45, 0x60, 0, 0][ip])] {
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
        }
        let kind = [SegmentKind::TcpV4, SegmentKind::TcpV6, SegmentKind::Udp][kind];
        let checksum = if partial { Checksum::Partial { start, offset } } else { Checksum::Present };
        for segmentation in [None, Some(Segmentation { kind, size, header_len })] {
            let frame = TxFrame { header: &bytes, payload: &[&bytes], offload: Offload { checksum, segmentation } };
            if let Ok(mut segments) = Segments::new(&frame) {
                let mut piece = Vec::new();
                while let Ok(true) = segments.next_into(&mut piece) {}
            }
        }
    }
}

/// The routing header's own words are kept, and the sum is about the node that it leads to.
#[test]
fn a_routing_header_leads_the_checksum() {
    for (kind, last) in [(0, 4), (2, 4), (4, 3)] {
        let whole = Tcp { v6: true, routing: Some(kind), payload: 3000, ..Tcp::default() }.frame();
        let layout = Layout::of(&whole).expect("a frame in order");
        let address = layout.destination.expect("a segment is left").octets();
        assert_eq!((layout.transport, address[15]), (94, last));
        let offload = tcp_offload(&whole, 1000);
        for piece in split(&TxFrame { header: &whole, payload: &[], offload }) {
            assert_fit_for_a_wire(&piece);
            assert_eq!(piece[54..94], whole[54..94]);
        }
        // With none left the packet is where it should be.
        let mut arrived = whole;
        arrived[57] = 0;
        assert_eq!(Layout::of(&arrived).map(|layout| layout.destination), Ok(None));
    }
}

#[test]
fn what_cannot_be_cut_is_refused() {
    for protocol in [44, 50, 51, 58, 59, 135] {
        let mut bytes = Tcp { v6: true, ip_options: 8, payload: 100, ..Tcp::default() }.frame();
        let offload = tcp_offload(&bytes, 50);
        bytes[54] = protocol;
        let frame = TxFrame { header: &bytes, payload: &[], offload };
        assert_eq!(Segments::new(&frame).err(), Some(Malformed::Version), "protocol {protocol}");
    }
}

#[test]
fn a_frame_without_segmentation_yields_itself() {
    let bytes = [9; 80];
    let frame = TxFrame { header: &bytes[..20], payload: &[&bytes[20..50], &bytes[50..]], offload: Offload::default() };
    assert_eq!(split(&frame), [bytes.to_vec()]);
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
    let mut frame = udp(false, 2);
    let at = read(&frame);
    frame[at.payload..].fill(0);
    let sum = naive_sum(&frame[at.transport..], 0);
    frame[at.payload..].copy_from_slice(&(!sum).to_be_bytes());
    complete(&mut frame, Checksum::Partial { start: at.transport as u16, offset: 6 }).expect("in range");
    assert_eq!(u16_of(&frame, at.transport + 6), 0xffff);
}

#[test]
fn contradictions_are_refused() {
    let bytes = Tcp { payload: 100, ..Tcp::default() }.frame();
    let good = tcp_offload(&bytes, 50);
    let with = |change: fn(&mut Segmentation)| {
        let mut offload = good;
        change(offload.segmentation.as_mut().expect("is one"));
        Segments::new(&TxFrame { header: &bytes, payload: &[], offload }).err()
    };
    assert_eq!(with(|_| ()), None);
    assert_eq!(with(|it| it.size = 0), Some(Malformed::TotalLength));
    assert_eq!(with(|it| it.header_len += 4), Some(Malformed::HeaderLength));
    assert_eq!(with(|it| it.header_len = u16::MAX), Some(Malformed::HeaderLength));
    assert_eq!(with(|it| it.kind = SegmentKind::Udp), Some(Malformed::Version));
    assert_eq!(with(|it| it.kind = SegmentKind::TcpV6), Some(Malformed::Version));
    assert_eq!(with(|it| it.header_len = 30), Some(Malformed::Truncated));
    let long = vec![0; MAX_SUPER_FRAME];
    let frame = TxFrame { header: &bytes, payload: &[&long], offload: good };
    assert_eq!(Segments::new(&frame).err(), Some(Malformed::TotalLength));
    let mut short = [0; 10];
    assert!(complete(&mut short, Checksum::Partial { start: 9, offset: 0 }).is_err());
    assert!(complete(&mut short, Checksum::Partial { start: 11, offset: 0 }).is_err());
    assert!(complete(&mut short, Checksum::Partial { start: u16::MAX, offset: u16::MAX }).is_err());
    assert!(complete(&mut short, Checksum::Partial { start: 8, offset: 0 }).is_ok());
}
