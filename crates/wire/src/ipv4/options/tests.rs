use super::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const C: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

fn read_all(bytes: &[u8]) -> Vec<Result<IpOption<'_>, BadOption>> {
    Options::new(bytes).collect()
}

fn fault(bytes: &[u8]) -> Option<(u8, Malformed)> {
    read_all(bytes).into_iter().find_map(Result::err).map(|bad| (bad.pointer, bad.reason))
}

fn source_route(kind: u8, pointer: u8, route: &[Ipv4Addr]) -> Vec<u8> {
    let mut bytes = vec![kind, (3 + 4 * route.len()) as u8, pointer];
    route.iter().for_each(|address| bytes.extend_from_slice(&address.octets()));
    bytes
}

/// Bad input A3.
#[test]
fn every_kind_with_every_length() {
    for kind in 2..=255 {
        for len in 0..=255 {
            let mut bytes = [0; MAX_LEN];
            bytes[0] = kind;
            bytes[1] = len;
            let options = read_all(&bytes);
            let lies = len < 2 || usize::from(len) > MAX_LEN;
            if lies {
                assert_eq!(options, [Err(BadOption { pointer: 21, reason: Malformed::OptionLength })]);
            } else {
                assert_eq!(options.len(), 1, "kind {kind}, length {len}: the rest is padding");
            }
            if let RECORD_ROUTE | TIMESTAMP | LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE = kind {
                assert!(options[0].is_err(), "a pointer of zero");
            }
            let _no_panic = record(&mut bytes.clone(), OURS, 0);
            let _no_panic = follow_source_route(&mut bytes, OURS);
        }
    }
}

/// Bad input A3, and what RFC 1122 section 3.2.2.5 wants a parameter problem to point at.
#[test]
fn faults_are_pointed_at() {
    use Malformed::{OptionLength, OptionPointer, OptionValue};
    for (bytes, expected) in [
        (&[1, 1, 7][..], Some((23, OptionLength))),
        (&[7, 3, 4], None),
        (&[7, 2], Some((21, OptionLength))),
        (&[7, 7, 3, 0, 0, 0, 0], Some((22, OptionPointer))),
        (&[7, 7, 5, 0, 0, 0, 0], Some((22, OptionPointer))),
        (&[7, 7, 8, 0, 0, 0, 0], None),
        (&[7, 7, 255, 0, 0, 0, 0], None),
        (&[7, 6, 4, 0, 0, 0], Some((22, OptionPointer))),
        (&[7, 6, 7, 0, 0, 0], None),
        (&[68, 3, 5], Some((21, OptionLength))),
        (&[68, 8, 4, 0, 0, 0, 0, 0], Some((22, OptionPointer))),
        (&[68, 8, 5, 1, 0, 0, 0, 0], Some((22, OptionPointer))),
        (&[68, 8, 5, 2, 0, 0, 0, 0], Some((23, OptionValue))),
        (&[68, 8, 9, 0xf0, 0, 0, 0, 0], None),
        (&[148, 3, 0], Some((21, OptionLength))),
        (&[148, 4, 0, 0], None),
        (&[0, 7, 0, 0], None),
    ] {
        assert_eq!(fault(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn an_error_inside_an_option_does_not_hide_the_next() {
    let bytes = [7, 7, 0, 0, 0, 0, 0, 148, 4, 0, 0];
    assert!(matches!(read_all(&bytes)[..], [Err(_), Ok(IpOption::RouterAlert(0))]));
}

/// Bad input A3: two source routes in one packet.
#[test]
fn repetition_is_refused() {
    let loose = source_route(LOOSE_SOURCE_ROUTE, 4, &[A]);
    let strict = source_route(STRICT_SOURCE_ROUTE, 4, &[A]);
    let route = [RECORD_ROUTE, 7, 4, 0, 0, 0, 0];
    for (bytes, expected) in [
        ([&loose[..], &strict].concat(), Err(BadOption { pointer: 27, reason: Malformed::OptionRepeated })),
        ([&loose[..], &[1, 1], &loose].concat(), Err(BadOption { pointer: 29, reason: Malformed::OptionRepeated })),
        ([&loose[..], &route].concat(), Ok(())),
        ([&route[..], &route].concat(), Err(BadOption { pointer: 27, reason: Malformed::OptionRepeated })),
        ([&route[..], &[148, 4, 0, 0, 148, 4, 0, 0]].concat(), Ok(())),
        ([&route[..], &[7, 1]].concat(), Err(BadOption { pointer: 28, reason: Malformed::OptionLength })),
    ] {
        assert_eq!(Options::new(&bytes).validate(), expected, "{bytes:?}");
    }
}

#[test]
fn a_route_is_recorded_until_it_is_full() {
    let mut buffer = OptionBuffer::new();
    buffer.push_record_route(2).unwrap();
    let mut bytes = buffer.as_bytes().to_vec();
    for hop in [A, B, C] {
        record(&mut bytes, hop, 0).unwrap();
    }
    let [Ok(IpOption::RecordRoute(route))] = read_all(&bytes)[..] else { panic!("{bytes:?}") };
    assert!(route.is_complete() && route.passed().eq([A, B]));
    assert_eq!(bytes[2], 12, "the pointer is beyond the length");
}

#[test]
fn a_prespecified_host_alone_writes_its_time() {
    let mut bytes = [&[TIMESTAMP, 20, 5, 3][..], &OURS.octets(), &[0; 4], &A.octets(), &[0; 4]].concat();
    record(&mut bytes, B, 1).unwrap();
    assert_eq!(bytes[2], 5, "not its turn");
    record(&mut bytes, OURS, 2).unwrap();
    record(&mut bytes, OURS, 3).unwrap();
    let [Ok(IpOption::Timestamp(times))] = read_all(&bytes)[..] else { panic!("{bytes:?}") };
    assert!(times.entries().eq([(Some(OURS), 2)]));
    assert!(!times.is_full());
}

#[test]
fn a_full_timestamp_counts_who_found_no_room() {
    let mut bytes = [TIMESTAMP, 8, 5, 0, 0, 0, 0, 0];
    for hop in 0..16 {
        record(&mut bytes, OURS, hop).unwrap();
    }
    let [Ok(IpOption::Timestamp(times))] = read_all(&bytes)[..] else { panic!("{bytes:?}") };
    assert!(times.is_full() && times.overflow() == 15 && times.entries().eq([(None, 0)]));
    let before = bytes;
    assert_eq!(record(&mut bytes, OURS, 9), Err(BadOption { pointer: 23, reason: Malformed::OptionValue }));
    assert_eq!(bytes, before);
}

/// The walk of RFC 791's "Loose Source and Record Route", and the way back of RFC 1122 section 3.2.1.8.
#[test]
fn a_source_route_is_followed_and_returned_on() {
    let mut bytes = source_route(LOOSE_SOURCE_ROUTE, 4, &[B, C]);
    let (out_of_a, out_of_b) = (Ipv4Addr::new(172, 16, 0, 1), Ipv4Addr::new(172, 16, 1, 1));
    assert_eq!(follow_source_route(&mut bytes, out_of_a), Ok(Some(B)));
    assert_eq!(follow_source_route(&mut bytes, out_of_b), Ok(Some(C)));
    assert_eq!(follow_source_route(&mut bytes, OURS), Ok(None), "we are the destination");

    let options = read_all(&bytes);
    let Ok(option @ IpOption::LooseSourceRoute(route)) = options[0] else { panic!("{options:?}") };
    assert!(route.is_complete() && route.passed().eq([out_of_a, out_of_b]));
    let (first, back) = OptionBuffer::way_back(&option, A).unwrap();
    assert_eq!(first, out_of_b);
    assert_eq!(back.as_bytes(), [source_route(LOOSE_SOURCE_ROUTE, 4, &[out_of_a, A]), vec![END]].concat());

    let untravelled = source_route(STRICT_SOURCE_ROUTE, 4, &[B]);
    let (first, back) = OptionBuffer::way_back(&read_all(&untravelled)[0].unwrap(), A).unwrap();
    assert_eq!((first, back.as_bytes()), (A, &[][..]));
    assert!(OptionBuffer::way_back(&IpOption::NoOperation, A).is_none());
}

#[test]
fn fragments_get_what_is_to_be_copied() {
    let loose = source_route(LOOSE_SOURCE_ROUTE, 4, &[A]);
    let bytes = [&[1, RECORD_ROUTE, 7, 4, 0, 0, 0, 0][..], &loose, &[1, 148, 4, 0, 0]].concat();
    let expected = [&loose[..], &[148, 4, 0, 0], &[END]].concat();
    assert_eq!(OptionBuffer::for_fragments(&bytes).as_bytes(), expected);
}

#[test]
fn forty_bytes_and_no_more() {
    let mut buffer = OptionBuffer::new();
    assert_eq!(buffer.push_record_route(10), Err(NoRoom));
    assert_eq!(buffer.push_record_route(usize::MAX), Err(NoRoom));
    assert_eq!(buffer.push_timestamp(5, true), Err(NoRoom));
    buffer.push_record_route(9).unwrap();
    assert_eq!(buffer.push(&IpOption::RouterAlert(0)), Err(NoRoom));
    buffer.push(&IpOption::NoOperation).unwrap();
    assert_eq!(buffer.push(&IpOption::NoOperation), Err(NoRoom));
    assert_eq!(buffer.as_bytes().len(), 40);
}

/// No header has as many, but a slice may.
#[test]
fn options_beyond_a_header_are_not_looked_at() {
    let mut bytes = [0; 255];
    bytes[..3].copy_from_slice(&[RECORD_ROUTE, 255, 252]);
    assert_eq!(fault(&bytes), Some((21, Malformed::OptionLength)));
    assert!(record(&mut bytes, OURS, 0).is_err());
    assert!(follow_source_route(&mut bytes, OURS).is_err());
    assert!(read_all(&[NO_OPERATION; 100]).len() == MAX_LEN);
}
