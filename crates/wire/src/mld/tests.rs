use super::*;
use crate::group::{Addresses, RecordKind};
use crate::icmpv6;

const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x99);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 5);

fn written(message: &Message<'_>) -> Vec<u8> {
    let message = icmpv6::Message::Listener(*message);
    let mut bytes = vec![0xaa; message.total_len()];
    assert_eq!(message.emit(LOCAL, GROUP, &mut bytes), bytes.len());
    assert_eq!(icmpv6::Message::parse(&bytes, LOCAL, GROUP), Ok(message));
    bytes
}

#[test]
fn version_1() {
    for (message, kind, max_response, text) in [
        (
            Message::Query(Query { max_response: 10_000, group: Ipv6Addr::UNSPECIFIED, details: None }),
            130,
            10_000u16,
            "who listens to what?",
        ),
        (
            Message::Query(Query { max_response: 1000, group: GROUP, details: None }),
            130,
            1000,
            "who listens to ff05::99?",
        ),
        (Message::ReportV1 { group: GROUP }, 131, 0, "listens to ff05::99"),
        (Message::Done { group: GROUP }, 132, 0, "leaves ff05::99"),
    ] {
        let bytes = written(&message);
        assert_eq!((bytes.len(), bytes[0], &bytes[4..6]), (24, kind, &max_response.to_be_bytes()[..]));
        assert_eq!(message.to_string(), text);
    }
    // In version 1 every value is itself.
    let query = Query { max_response: 0xffff, group: GROUP, details: None };
    assert_eq!(query.max_response_millis(), 65_535);
}

#[test]
fn version_2() {
    let sources = [SOURCE.octets()];
    let sources = Addresses::of(&sources);
    let details = QueryDetails { suppress: true, robustness: 2, interval: 125, sources };
    let query = Query { max_response: 0xffff, group: GROUP, details: Some(details) };
    assert_eq!(query.max_response_millis(), 8_387_584);
    let bytes = written(&Message::Query(query));
    assert_eq!((bytes.len(), &bytes[24..28]), (44, &[0x0a, 125, 0, 1][..]));
    assert_eq!(Message::Query(query).to_string(), "who listens to 1 sources of ff05::99?");

    let record = |kind, sources, auxiliary| Record { kind, group: GROUP, sources, auxiliary };
    let records = [
        record(RecordKind::CHANGE_TO_EXCLUDE, Addresses::default(), &[]),
        record(RecordKind::ALLOW_NEW_SOURCES, sources, &[1, 2, 3, 4]),
    ];
    let mut buffer = [0xaa; 128];
    let report = Records::write(&records, &mut buffer);
    assert!(report.iter().eq(records));
    let bytes = written(&Message::ReportV2(report));
    assert_eq!((bytes.len(), &bytes[4..12]), (8 + 20 + 40, &[0, 0, 0, 2, 4, 0, 0, 0][..]));
    assert_eq!(Message::ReportV2(report).to_string(), "joins ff05::99; joins 1 sources of ff05::99");
}

/// RFC 3810 §8.1: a query of 25 to 27 bytes is of no version. §5.1.12 and §5.2.12: what follows the last is ignored.
#[test]
fn lengths() {
    for len in 0..60 {
        let found = Message::parse(message_type::LISTENER_QUERY, &[0; 60][..len]);
        let version = |message| match message {
            Message::Query(query) => query.details.map_or(1, |_| 2),
            _ => 0,
        };
        let expected = match len {
            0..20 => Err(Malformed::Truncated),
            20 => Ok(1),
            21..24 => Err(Malformed::TotalLength),
            _ => Ok(2),
        };
        assert_eq!(found.map(version), expected, "{len} bytes");
    }
    for claimed in 0..=u16::MAX {
        let mut body = [0; 24 + 40];
        body[22..24].copy_from_slice(&claimed.to_be_bytes());
        let found = Message::parse(message_type::LISTENER_QUERY, &body);
        assert_eq!(found.is_ok(), claimed <= 2, "{claimed} sources");
        let mut body = [0; 4 + 45];
        body[2..4].copy_from_slice(&claimed.to_be_bytes());
        let found = Message::parse(message_type::LISTENER_REPORT_V2, &body);
        assert_eq!(found.is_ok(), claimed <= 2, "{claimed} records");
    }
    let mut body = [0; 4 + 20];
    body[3] = 1;
    for (at, value) in [(5, 1), (6, 1), (7, 1)] {
        let mut body = body;
        body[at] = value;
        let found = Message::parse(message_type::LISTENER_REPORT_V2, &body);
        assert_eq!(found, Err(Malformed::TotalLength), "auxiliary data and sources that are not there");
    }
}

/// Bad input B12.
#[test]
fn validation() {
    let good = Arrival { src: LOCAL, dst: GROUP, hop_limit: 1, fragmented: false, router_alert: true };
    let query = |group| Message::Query(Query { max_response: 1, group, details: None });
    let nobody = Arrival { src: Ipv6Addr::UNSPECIFIED, ..good };
    for (message, arrival, expected) in [
        (query(GROUP), good, Ok(())),
        (query(Ipv6Addr::UNSPECIFIED), good, Ok(())),
        (query(SOURCE), good, Err(Invalid::Target)),
        (query(GROUP), nobody, Err(Invalid::Source)),
        (query(GROUP), Arrival { src: SOURCE, ..good }, Err(Invalid::Source)),
        (query(GROUP), Arrival { hop_limit: 2, ..good }, Err(Invalid::HopLimit)),
        (query(GROUP), Arrival { router_alert: false, ..good }, Err(Invalid::RouterAlert)),
        (Message::ReportV1 { group: GROUP }, nobody, Ok(())),
        (Message::ReportV1 { group: SOURCE }, good, Err(Invalid::Target)),
        (Message::Done { group: GROUP }, Arrival { src: SOURCE, ..good }, Err(Invalid::Source)),
    ] {
        assert_eq!(message.validate(&arrival), expected, "{message} from {}", arrival.src);
    }
}
