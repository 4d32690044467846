use super::*;
use crate::checksum::sum;
use crate::ipv6::{ALL_NODES, Packet};

const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2..4].fill(0);
    let mut whole = pseudo(SRC, DST, bytes.len());
    whole.combine(sum(&bytes));
    bytes[2..4].copy_from_slice(&whole.finish().to_be_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    Message::parse(bytes, SRC, DST)
}

/// The sum worked out by hand: fe80 + 1 + fe80 + 2 + 12 + 58 + 8000 + 3039 + 0001 + 6162 + 6364.
#[test]
fn echo() {
    let ping = [0x80, 0x00, 0x8d, 0xb3, 0x30, 0x39, 0x00, 0x01, 0x61, 0x62, 0x63, 0x64];
    let pong = [0x81, 0x00, 0x8c, 0xb3, 0x30, 0x39, 0x00, 0x01, 0x61, 0x62, 0x63, 0x64];
    let (ident, seq, data) = (12345, 1, &b"abcd"[..]);
    for (bytes, message) in
        [(ping, Message::EchoRequest { ident, seq, data }), (pong, Message::EchoReply { ident, seq, data })]
    {
        assert_eq!(parse(&bytes), Ok(message));
        let mut written = [0xaa; 12];
        assert_eq!(message.emit(SRC, DST, &mut written), 12);
        assert_eq!(written, bytes);
    }
}

#[test]
fn errors() {
    for (bytes, message, text) in [
        (
            vec![1, 4, 0, 0, 0, 0, 0, 0, 0x60],
            Message::DestinationUnreachable { code: UnreachableCode::PORT, original: &[0x60] },
            "port unreachable",
        ),
        (
            vec![2, 0, 0, 0, 0, 0, 0x05, 0x78],
            Message::PacketTooBig { mtu: 1400, original: &[] },
            "packet too big, mtu 1400",
        ),
        (
            vec![3, 1, 0, 0, 0, 0, 0, 0],
            Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY, original: &[] },
            "reassembly time exceeded",
        ),
        (
            vec![4, 2, 0, 0, 0, 0, 0x01, 0x2c],
            Message::ParameterProblem { code: ParameterCode::UNKNOWN_OPTION, pointer: 300, original: &[] },
            "unknown option at byte 300",
        ),
    ] {
        let bytes = with_checksum(bytes);
        assert_eq!(parse(&bytes), Ok(message));
        assert!(message.is_error());
        assert_eq!(message.to_string(), text);
        let mut written = vec![0xaa; bytes.len()];
        message.emit(SRC, DST, &mut written);
        assert_eq!(written, bytes);
    }
    let with_a_code = with_checksum(vec![2, 9, 0, 0, 0, 0, 0x05, 0x78]);
    assert_eq!(parse(&with_a_code), Ok(Message::PacketTooBig { mtu: 1400, original: &[] }), "the code is ignored");
}

#[test]
fn checksum_covers_addresses() {
    let bytes = with_checksum(vec![128, 0, 0, 0, 1, 2, 3, 4, 5]);
    assert!(parse(&bytes).is_ok());
    assert_eq!(Message::parse(&bytes, SRC, ALL_NODES), Err(Malformed::Checksum));
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert_eq!(parse(&bytes), Err(Malformed::Checksum), "byte {at}");
    }
}

/// Bad input D7: an error with every truncation, its quoted packet too; an echo of 0 to 8 bytes.
#[test]
fn truncations_are_refused() {
    let mut quoted = [0; 48];
    quoted[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 60, 17, 64]);
    for len in 0..8 {
        assert_eq!(parse(&[128; 8][..len]), Err(Malformed::Truncated));
    }
    for len in 0..=quoted.len() {
        let bytes = with_checksum([&[1, 4, 0, 0, 0, 0, 0, 0], &quoted[..len]].concat());
        let original = parse(&bytes).unwrap().original().unwrap();
        assert_eq!(original.len(), len);
        assert_eq!(Packet::parse_quoted(original).is_ok(), len >= 40);
    }
}

#[test]
fn every_type_and_code_means_something() {
    for kind in 0..=255 {
        for code in 0..=255 {
            let bytes = with_checksum([vec![kind, code], vec![0; 62]].concat());
            let message = match parse(&bytes) {
                Ok(message) => message,
                // Where options stand, zeros are none.
                Err(reason) => {
                    assert_eq!((reason, code), (Malformed::OptionLength, 0));
                    assert!((133..=137).contains(&kind));
                    continue;
                }
            };
            assert_eq!((message.kind(), message.is_error()), (kind, kind < 128));
            assert_eq!(message.original().is_some(), kind < 128, "what is unknown is about a packet too");
            let known = match kind {
                1..=4 | 130..=132 | 143 => true,
                128 | 129 => code == 0,
                _ => false,
            };
            assert_eq!(matches!(message, Message::Unknown { .. }), !known, "type {kind}, code {code}");
        }
    }
}
