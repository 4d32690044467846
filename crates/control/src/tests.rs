//! Whatever is encoded decodes to itself; whatever decodes encodes to the same bytes; nothing panics.

use crate::datagram::{self, Header};
use crate::*;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

fn socket_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port).into()),
        any::<([u8; 16], u16, u32, u32)>().prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(
            ip.into(),
            port,
            flow,
            scope
        )
        .into()),
    ]
}

fn any_address() -> impl Strategy<Value = Address> {
    let link = any::<(u16, u32, u16, u8, u8, [u8; 8])>();
    prop_oneof![
        socket_address().prop_map(Address::Internet),
        link.prop_map(|(protocol, port, hardware, packet, len, address)| {
            Address::Link(LinkAddress { protocol, port, hardware, packet, len, address })
        }),
        any::<(u32, u32)>().prop_map(|(port, groups)| NetlinkAddress { port, groups }.into()),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn id() -> impl Strategy<Value = SocketId> {
    any::<[u8; 16]>().prop_map(SocketId)
}

/// Bytes within an option's limit, from which requests and replies borrow.
fn value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=MAX_OPTION)
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé.-]{0,120}"
}

/// A message, and what may be altered in it.
#[derive(Debug, Clone)]
struct Parts {
    id: SocketId,
    numbers: [i32; 3],
    word: u32,
    flag: bool,
    socket_address: SocketAddr,
    any_address: Address,
    address: IpAddr,
    list: Vec<IpAddr>,
    value: Vec<u8>,
    text: String,
    table: usize,
}

prop_compose! {
    fn parts()(
        id in id(), numbers in any::<[i32; 3]>(), word in any::<u32>(), flag in any::<bool>(), socket_address in socket_address(), any_address in any_address(),
        address in address(), list in proptest::collection::vec(address(), 0..=MAX_ADDRESSES), value in value(), text in text(),
        table in 0..What::ALL.len(),
    ) -> Parts {
        Parts { id, numbers, word, flag, socket_address, any_address, address, list, value, text, table }
    }
}

impl Parts {
    fn requests(&self) -> Vec<Request<'_>> {
        let Parts { id, numbers: [one, two, three], word, flag, any_address, address, .. } = *self;
        vec![
            Request::Socket { family: one, kind: two, protocol: three, nonblocking: flag },
            Request::Bind { id, address: any_address },
            Request::Listen { id, backlog: one },
            Request::Connect { id, address: flag.then_some(any_address) },
            Request::LocalAddress { id },
            Request::PeerAddress { id },
            Request::SetOption { id, level: one, name: two, value: &self.value },
            Request::TellOption { id, level: one, name: two, value: &self.value },
            Request::AskOption { id, level: one, name: two, value: &self.value },
            Request::Option { id, level: one, name: two, len: word },
            Request::Shutdown { id, how: one },
            Request::Flush { id },
            Request::WriteInVain { id, empty: false },
            Request::WriteInVain { id, empty: true },
            Request::TakeError { id },
            Request::Memory { id },
            Request::Transmit { id, address: flag.then_some(any_address) },
            Request::Board,
            Request::Ring,
            Request::Admit,
            Request::Ioctl { id, command: word, argument: &self.value },
            Request::Resolve { family: one, flags: word, name: &self.text },
            Request::ResolveAddress { address },
            Request::Interfaces,
            Request::InterfaceIoctl { family: one, command: word, argument: &self.value },
            Request::File { look: flag, link: !flag, path: &self.text },
            Request::Show { what: What::ALL[self.table], json: flag },
            Request::Trace,
            Request::Down,
        ]
    }

    fn replies(&self) -> Vec<Reply<'_>> {
        vec![
            Reply::Done,
            Reply::InProgress,
            Reply::Address(self.any_address),
            Reply::Value(&self.value),
            Reply::Message(&self.value),
            Reply::Addresses { canonical: &self.text, addresses: self.list.as_slice().into() },
            Reply::Name(&self.text),
            Reply::Text { last: self.flag, text: &self.text },
            Reply::Error { errno: self.numbers[0].unsigned_abs() as i32 % 4095 + 1, reason: &self.text },
        ]
    }

    fn header(&self) -> Header {
        Header {
            kind: if self.flag {
                datagram::Kind::Data
            } else {
                datagram::Kind::Error(self.numbers[1].unsigned_abs() as i32 % 4095 + 1)
            },
            answer: self.word & 1 != 0,
            lost: self.word & 4 != 0,
            more: self.word & 8 != 0,
            to_neighbor: self.word & 16 != 0,
            remote: (self.word & 2 != 0).then_some(self.any_address),
            control: (self.word >> 16) as u16 % (Header::MAX_SENT as u16 + 1),
        }
    }
}

/// The reply is the same, except that a list may be borrowed from elsewhere; so compare by meaning.
fn check_request(request: Request<'_>) {
    let mut buffer = [0; MAX_CALL];
    let len = request.encode(&mut buffer).expect("fits");
    let message = &buffer[..len];
    assert_eq!(Request::decode(message), Ok(request));
    for short in 0..len {
        if let Ok(other) = Request::decode(&message[..short]) {
            // Only what ends in "the rest of the message" survives a cut, and then as another message.
            assert_ne!(other, request);
            let mut again = [0; MAX_CALL];
            assert_eq!(other.encode(&mut again), Ok(short));
        }
        assert_eq!(request.encode(&mut vec![0; short]), Err(NoRoom));
    }
}

fn check_reply(reply: Reply<'_>) {
    let mut buffer = [0; MAX_CALL];
    let len = reply.encode(&mut buffer).expect("fits");
    let message = &buffer[..len];
    assert_eq!(Reply::decode(message), Ok(reply));
    for short in 0..len {
        if let Ok(other) = Reply::decode(&message[..short]) {
            assert_ne!(other, reply);
        }
        assert_eq!(reply.encode(&mut vec![0; short]), Err(NoRoom));
    }
}

proptest! {
    #[test]
    fn messages_survive_the_round_trip(parts in parts()) {
        parts.requests().into_iter().for_each(check_request);
        parts.replies().into_iter().for_each(check_reply);
        let header = parts.header();
        let mut message = header.encode().to_vec();
        message.extend(&parts.value);
        prop_assert_eq!(Header::decode(&message), Ok((header, parts.value.as_slice())));
        let apart = parts.value.split_at_checked(usize::from(header.control)).ok_or(Malformed::Truncated);
        prop_assert_eq!(Header::split(&message), apart.map(|(control, payload)| (header, control, payload)));
        let received = message.get(header.payload_at()..).ok_or(Malformed::Truncated);
        let control = parts.value.get(..header.control.into()).unwrap_or_default();
        prop_assert_eq!(Header::split_received(&message), received.map(|payload| (header, control, payload)));
        let accepted = Accepted { local: parts.socket_address, remote: SocketAddr::new(parts.address, 7) };
        prop_assert_eq!(Accepted::decode(&accepted.encode()), Ok(accepted));
    }

    #[test]
    fn names_survive_the_round_trip(node in any::<u32>(), id in id(), family in 0..4usize, kind in 0..3usize) {
        let name = SocketName {
            node,
            family: [Family::V4, Family::V6, Family::Packet, Family::Netlink][family],
            kind: [Kind::Stream, Kind::Datagram, Kind::Raw][kind],
            id,
        };
        let bytes = name.format();
        prop_assert_eq!(SocketName::parse(&bytes), Some(name));
        // Each byte counts, and so does the length.
        for at in 0..bytes.len() {
            let mut altered = bytes;
            altered[at] = altered[at].wrapping_add(100);
            prop_assert_ne!(SocketName::parse(&altered), Some(name));
            prop_assert_eq!(SocketName::parse(&bytes[..at]), None);
        }
        prop_assert_eq!(SocketName::parse(&[&bytes[..], b"0"].concat()), None);
    }

    /// Bytes that are valid but for one: either refused, or another message with this one encoding.
    #[test]
    fn altered_messages_are_refused_or_canonical(parts in parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut buffer = [0; MAX_CALL];
        for request in parts.requests() {
            let len = request.encode(&mut buffer).expect("fits");
            buffer[at.index(len)] = byte;
            check_any(&buffer[..len]);
        }
        for reply in parts.replies() {
            let len = reply.encode(&mut buffer).expect("fits");
            buffer[at.index(len)] = byte;
            check_any(&buffer[..len]);
        }
        let mut header = parts.header().encode();
        header[at.index(Header::LEN)] = byte;
        check_any(&header);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), tag in any::<u8>()) {
        check_any(&bytes);
        // Past the first check, where all the rest is.
        if let Some(head) = bytes.first_chunk_mut::<4>() {
            *head = [VERSION, tag, 0, 0];
        }
        check_any(&bytes);
        prop_assert!(SocketName::parse(&bytes).is_none_or(|name| name.format() == *bytes));
    }

    #[test]
    fn paths_are_as_given_or_refused(control in proptest::option::of("[a-z/]{0,130}"), runtime in proptest::option::of("[a-z/]{0,130}"), user in 0..2u32) {
        let path = ControlPath::default(control.as_deref().map(str::as_bytes), runtime.as_deref().map(str::as_bytes), user);
        let expected = match (control.filter(|path| !path.is_empty()), runtime.filter(|path| !path.is_empty())) {
            (Some(control), _) => Ok(control),
            (None, _) if user == 0 => Ok("/run/sockeye/default.sock".to_owned()),
            (None, Some(runtime)) => Ok(runtime + "/sockeye/default.sock"),
            (None, None) => Err(PathError::Unset),
        };
        let expected = expected.and_then(|path| if path.len() <= ControlPath::MAX { Ok(path) } else { Err(PathError::TooLong) });
        prop_assert_eq!(path.map(|path| path.as_path().to_str().unwrap_or("?").to_owned()), expected);
    }
}

fn check_any(bytes: &[u8]) {
    let mut buffer = [0; MAX_MESSAGE];
    if let Ok(request) = Request::decode(bytes) {
        let len = request.encode(&mut buffer).expect("what was decoded fits");
        assert_eq!(&buffer[..len], bytes);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        let len = reply.encode(&mut buffer).expect("what was decoded fits");
        assert_eq!(&buffer[..len], bytes);
    }
    if let Ok((header, payload)) = Header::decode(bytes) {
        assert_eq!([&header.encode(), payload].concat(), bytes);
    }
    if let Ok(accepted) = Accepted::decode(bytes) {
        assert_eq!(accepted.encode(), bytes);
    }
}

#[test]
fn limits_are_what_they_say() {
    let mut call = [0; MAX_CALL];
    let id = SocketId([0xff; 16]);
    let value = [7; MAX_OPTION + 1];
    let set = |value| Request::SetOption { id, level: -1, name: -1, value };
    assert!(set(&value[..MAX_OPTION]).encode(&mut call).is_ok());
    assert_eq!(set(&value).encode(&mut call), Err(NoRoom));

    let name = "n".repeat(MAX_NAME + 1);
    let list = [IpAddr::from([0xff; 16]); MAX_ADDRESSES + 1];
    let addresses =
        |name, list: &'static [IpAddr]| Reply::Addresses { canonical: name, addresses: Addresses::from(list) };
    let list: &'static [IpAddr] = Vec::from(list).leak();
    assert!(addresses(&name[1..], &list[1..]).encode(&mut call).is_ok());
    assert_eq!(addresses(&name, &list[1..]).encode(&mut call), Err(NoRoom));
    assert_eq!(addresses(&name[1..], list).encode(&mut call), Err(NoRoom));

    let text = "t".repeat(MAX_TEXT);
    let mut message = [0; MAX_MESSAGE];
    assert_eq!(Reply::Text { last: true, text: &text }.encode(&mut message), Ok(MAX_MESSAGE));

    let reason = "é".repeat(MAX_REASON);
    let len = Reply::Error { errno: 1, reason: &reason }.encode(&mut call).expect("is cut");
    assert_eq!(Reply::decode(&call[..len]), Ok(Reply::Error { errno: 1, reason: &reason[..MAX_REASON] }));
}

#[test]
fn what_is_wrong_is_told() {
    assert_eq!(Request::decode(&[]), Err(Malformed::Truncated));
    assert_eq!(Request::decode(&[VERSION + 1, 14, 0, 0]), Err(Malformed::Version(VERSION + 1)));
    assert_eq!(Request::decode(&[VERSION, 0, 0, 0]), Err(Malformed::Tag(0)));
    assert_eq!(Request::decode(&[VERSION, 14, 0, 1]), Err(Malformed::Field("reserved byte")));
    assert_eq!(Request::decode(&[VERSION, 14, 0, 0, 0]), Err(Malformed::Trailing));
    assert_eq!(Request::decode(&[VERSION, 13, 0, 0, 9, 0]), Err(Malformed::Field("table")));
    assert_eq!(Reply::decode(&[VERSION, 135, 0, 0, 0, 0, 0, 0]), Err(Malformed::Field("error number")));
    assert_eq!(Reply::decode(&[VERSION, 133, 0, 0, 0xff]), Err(Malformed::Field("name")));
    assert_eq!(Reply::decode(&[VERSION, 132, 0, 0, 0, 33]), Err(Malformed::TooLong("list of addresses")));
    assert!("nonsense".parse::<What>().is_err());
    for what in What::ALL {
        assert_eq!(what.to_string().parse(), Ok(what));
    }
}
