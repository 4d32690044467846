use super::*;
use crate::group::{Addresses, RecordKind};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2..4].fill(0);
    let checksum = sum(&bytes).finish();
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn query(max_response: u8, group: Ipv4Addr) -> Message<'static> {
    Message::Query(Query { max_response, group, details: None })
}

#[test]
fn versions_1_and_2() {
    let group = GROUP.octets();
    for (head, message, text) in [
        ([0x11, 0], query(0, GROUP), "who listens to 239.1.2.3?"),
        ([0x11, 100], query(100, GROUP), "who listens to 239.1.2.3?"),
        ([0x12, 0], Message::ReportV1 { group: GROUP }, "listens to 239.1.2.3"),
        ([0x16, 0], Message::ReportV2 { group: GROUP }, "listens to 239.1.2.3"),
        ([0x17, 0], Message::Leave { group: GROUP }, "leaves 239.1.2.3"),
        ([0x13, 7], Message::Unknown { kind: 0x13, code: 7, data: &group }, "type 0x13, code 7"),
    ] {
        let bytes = with_checksum([&head[..], &[0, 0], &group].concat());
        assert_eq!(Message::parse(&bytes), Ok(message));
        assert_eq!(message.to_string(), text);
        let mut written = [0xaa; 8];
        assert_eq!(message.emit(&mut written), 8);
        assert_eq!(written[..], bytes);
        for at in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            assert_eq!(Message::parse(&bytes), Err(Malformed::Checksum), "byte {at}");
            assert_eq!(Message::parse(&bytes[..at]), Err(Malformed::Truncated));
        }
    }
}

#[test]
fn versions_of_queries() {
    let details = QueryDetails { suppress: false, robustness: 2, interval: 125, sources: Addresses::default() };
    for (max_response, details, version, millis) in [
        (0, None, 1, 10_000),
        (1, None, 2, 100),
        (255, None, 2, 25_500),
        (100, Some(details), 3, 10_000),
        (0x80, Some(details), 3, 12_800),
        (0xff, Some(details), 3, 3_174_400),
    ] {
        let query = Query { max_response, group: GROUP, details };
        assert_eq!((query.version(), query.max_response_millis()), (version, millis));
    }
}

#[test]
fn version_3() {
    let sources = [SOURCE.octets()];
    let sources = Addresses::of(&sources);
    let details = Some(QueryDetails { suppress: true, robustness: 7, interval: 0x8f, sources });
    let record = |kind, sources| Record { kind, group: GROUP, sources, auxiliary: &[] };
    let mut buffer = [0xaa; 64];
    let records = [
        record(RecordKind::MODE_IS_EXCLUDE, Addresses::default()),
        record(RecordKind::CHANGE_TO_INCLUDE, Addresses::default()),
        record(RecordKind::BLOCK_OLD_SOURCES, sources),
    ];
    let report = Message::ReportV3(Records::write(&records, &mut buffer));
    for (message, expected, text) in [
        (
            Message::Query(Query { max_response: 10, group: GROUP, details }),
            &[0x11, 10, 0, 0, 239, 1, 2, 3, 0x0f, 0x8f, 0, 1, 10, 9, 0, 1][..],
            "who listens to 1 sources of 239.1.2.3?",
        ),
        (
            report,
            &[
                0x22, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 239, 1, 2, 3, 3, 0, 0, 0, 239, 1, 2, 3, 6, 0, 0, 1, 239, 1, 2,
                3, 10, 9, 0, 1,
            ],
            "listens to 239.1.2.3; leaves 239.1.2.3; leaves 1 sources of 239.1.2.3",
        ),
    ] {
        let mut written = vec![0xaa; message.total_len()];
        assert_eq!(message.emit(&mut written), written.len());
        assert_eq!(written, with_checksum(expected.to_vec()));
        assert_eq!(Message::parse(&written), Ok(message));
        assert_eq!(message.to_string(), text);
        // Behind the last one there may be anything, if it is summed.
        let longer = with_checksum([&written[..], &[9; 5]].concat());
        assert_eq!(Message::parse(&longer), Ok(message));
        assert_eq!(Message::parse(&[&written[..], &[9; 5]].concat()), Err(Malformed::Checksum));
        for len in 9..written.len() {
            let shorter = with_checksum(written[..len].to_vec());
            assert_eq!(Message::parse(&shorter), Err(Malformed::TotalLength), "{len} bytes");
        }
    }
}
