//! What must hold for any bytes whatever on the boundary between programs and node: for the kept corpus and the fuzzer
//! alike.
//!
//! The same bytes are read twice. As a message of every kind: what decodes must encode to the same bytes again, and fit
//! into no smaller buffer. As a script for a meaning of every kind: what encodes must decode to the same meaning.

#![allow(unreachable_pub, reason = "the fuzz target uses this file in a crate of its own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use sockeye_control::ancillary;
use sockeye_control::datagram::{self, Header};
use sockeye_control::{
    Accepted, Address, Addresses, ControlPath, Family, Kind, LinkAddress, MAX_ADDRESSES, MAX_CALL, MAX_ERROR,
    MAX_MESSAGE, MAX_NAME, MAX_OPTION, MAX_REASON, MAX_TEXT, NetlinkAddress, Reply, Request, SocketId, SocketName,
    What,
};

/// Everything that crosses the boundary.
pub fn control_messages(bytes: &[u8]) {
    request(bytes);
    reply(bytes);
    header(bytes);
    list(bytes);
    accepted(bytes);
    name(bytes);
    path(bytes);
    meanings(bytes);
}

/// A list of control messages of a program's own making.
fn list(bytes: &[u8]) {
    let Some((&room, bytes)) = bytes.split_first() else { return };
    let mut len = 0;
    let mut whole = Vec::new();
    for message in ancillary::messages(bytes).map_while(Result::ok) {
        len += ancillary::HEADER_LEN + message.data.len();
        ancillary::put(&mut whole, message.level, message.kind, message.data);
    }
    assert!(len <= bytes.len());
    assert!(ancillary::messages(&whole).eq(ancillary::messages(bytes).take_while(Result::is_ok)));
    let (len, lost) = ancillary::cut(&mut whole.clone(), room.into());
    assert!(len <= whole.len().min(room.into()) && (!lost || len < whole.len()));
    let mut other = bytes.to_vec();
    assert!(ancillary::cut(&mut other, room.into()).0 <= bytes.len().min(room.into()));
}

fn request(bytes: &[u8]) {
    let Ok(request) = Request::decode(bytes) else { return };
    assert!(bytes.len() <= MAX_CALL);
    let mut buffer = [0xaa; MAX_CALL];
    let len = request.encode(&mut buffer).unwrap();
    assert_eq!(buffer[..len], *bytes);
    for short in [0, 4, len - 1] {
        assert!(short >= len || request.encode(&mut buffer[..short]).is_err());
    }
    if let Some(id) = request.id() {
        assert_eq!(bytes[4..20], id.0);
    }
    let _ = format!("{request:?}");
}

fn reply(bytes: &[u8]) {
    let Ok(reply) = Reply::decode(bytes) else { return };
    let limit = if matches!(reply, Reply::Text { .. }) { MAX_MESSAGE } else { MAX_CALL };
    assert!(bytes.len() <= limit);
    let mut buffer = vec![0xaa; limit];
    let len = reply.encode(&mut buffer).unwrap();
    assert_eq!(buffer[..len], *bytes);
    for short in [0, 4, len - 1] {
        assert!(short >= len || reply.encode(&mut buffer[..short]).is_err());
    }
    if let Reply::Addresses { addresses, .. } = reply {
        assert!(addresses.len() <= MAX_ADDRESSES);
        assert_eq!(
            (addresses.iter().count(), addresses.is_empty()),
            (addresses.len(), addresses.iter().next().is_none())
        );
    }
    let _ = format!("{reply:?}");
}

fn header(bytes: &[u8]) {
    let Ok((header, payload)) = Header::decode(bytes) else { return };
    assert_eq!(header.encode(), bytes[..Header::LEN]);
    assert_eq!(payload, &bytes[Header::LEN..]);
    match Header::split(bytes) {
        Ok((_, control, payload)) => {
            assert_eq!(
                (control.len(), [control, payload].concat().as_slice()),
                (header.control.into(), &bytes[Header::LEN..])
            );
        }
        Err(_) => assert!(payload.len() < header.control.into()),
    }
}

fn accepted(bytes: &[u8]) {
    let Ok(accepted) = Accepted::decode(bytes) else { return };
    assert_eq!(accepted.encode(), bytes);
}

fn name(bytes: &[u8]) {
    let Some(name) = SocketName::parse(bytes) else { return };
    assert_eq!(name.format(), bytes);
    assert!(bytes.ends_with(name.id.to_string().as_bytes()));
}

fn path(bytes: &[u8]) {
    if let Ok(path) = ControlPath::new(bytes) {
        assert_eq!(path.as_bytes(), bytes);
        assert!(bytes.len() <= ControlPath::MAX && !bytes.contains(&0));
    }
}

/// One of each kind, with fields from the script; those that exceed a limit must be refused.
fn meanings(script: &[u8]) {
    let mut script = Script(script);
    let id = SocketId(script.array());
    let local = script.socket_address();
    let address = script.address();
    let optional = (script.u8() & 1 == 0).then_some(address);
    let (a, b, c) = (script.i32(), script.i32(), script.i32());
    let flag = script.u8() & 1 == 0;
    let what = What::ALL[usize::from(script.u8()) % What::ALL.len()];
    let list: Vec<IpAddr> = (0..script.u8() % 40).map(|_| script.socket_address().ip()).collect();
    let repeat = usize::from(script.u8()) * 80;
    let bytes = script.0.repeat(repeat / script.0.len().max(1) + 1);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.as_ref();

    let requests = [
        (Request::Socket { family: a, kind: b, protocol: c, nonblocking: flag }, true),
        (Request::Bind { id, address }, true),
        (Request::Listen { id, backlog: a }, true),
        (Request::Connect { id, address: optional }, true),
        (Request::LocalAddress { id }, true),
        (Request::PeerAddress { id }, true),
        (Request::SetOption { id, level: a, name: b, value: &bytes }, bytes.len() <= MAX_OPTION),
        (Request::TellOption { id, level: a, name: b, value: &bytes }, bytes.len() <= MAX_OPTION),
        (Request::AskOption { id, level: a, name: b, value: &bytes }, bytes.len() <= MAX_OPTION),
        (Request::Option { id, level: a, name: b, len: c as u32 }, true),
        (Request::Shutdown { id, how: a }, true),
        (Request::Ioctl { id, command: a as u32, argument: &bytes }, bytes.len() <= MAX_OPTION),
        (Request::Resolve { family: a, flags: b as u32, name: text }, text.len() <= MAX_NAME),
        (Request::ResolveAddress { address: local.ip() }, true),
        (Request::Interfaces, true),
        (Request::InterfaceIoctl { family: a, command: b as u32, argument: &bytes }, bytes.len() <= MAX_OPTION),
        (Request::File { look: flag, link: !flag, path: text }, text.len() <= MAX_NAME),
        (Request::Show { what, json: flag }, true),
        (Request::Flush { id }, true),
        (Request::WriteInVain { id, empty: flag }, true),
        (Request::TakeError { id }, true),
        (Request::Board, true),
        (Request::Ring, true),
        (Request::Admit, true),
        (Request::Trace, true),
        (Request::Down, true),
    ];
    let mut buffer = vec![0xaa; MAX_MESSAGE];
    for (request, fits) in requests {
        match request.encode(&mut buffer[..MAX_CALL]) {
            Ok(len) => assert_eq!(Request::decode(&buffer[..len]), Ok(request)),
            Err(_) => assert!(!fits, "{request:?}"),
        }
    }

    let addresses = Addresses::from(list.as_slice());
    let canonical = &text[..text.floor_char_boundary(MAX_NAME)];
    let errno = a.rem_euclid(4095) + 1;
    let replies = [
        (Reply::Done, true),
        (Reply::InProgress, true),
        (Reply::Address(address), true),
        (Reply::Value(&bytes), bytes.len() <= MAX_OPTION),
        (Reply::Message(&bytes), bytes.len() <= MAX_ERROR),
        (Reply::Addresses { canonical, addresses }, list.len() <= MAX_ADDRESSES),
        (Reply::Name(text), text.len() <= MAX_NAME),
        (Reply::Text { last: flag, text }, text.len() <= MAX_TEXT),
        (Reply::Error { errno, reason: &text[..text.floor_char_boundary(MAX_REASON)] }, true),
    ];
    for (reply, fits) in replies {
        match reply.encode(&mut buffer) {
            Ok(len) => assert_eq!(Reply::decode(&buffer[..len]), Ok(reply)),
            Err(_) => assert!(!fits, "{reply:?}"),
        }
    }
    // A reason of any length is cut, at a character.
    let len = Reply::Error { errno, reason: text }.encode(&mut buffer).unwrap();
    let Ok(Reply::Error { reason, .. }) = Reply::decode(&buffer[..len]) else { panic!("a cut reason is none") };
    assert!(text.starts_with(reason) && (reason.len() == text.len() || reason.len() > MAX_REASON - 4));

    let header = Header {
        kind: if flag { datagram::Kind::Data } else { datagram::Kind::Error(errno) },
        answer: c & 1 == 0,
        lost: b & 1 == 0,
        more: false,
        to_neighbor: false,
        remote: optional,
        control: a.unsigned_abs() as u16 % (Header::MAX_SENT as u16 + 1),
    };
    let mut message = header.encode().to_vec();
    message.extend_from_slice(&bytes);
    assert_eq!(Header::decode(&message), Ok((header, bytes.as_slice())));
    let accepted = Accepted { local, remote: script.socket_address() };
    assert_eq!(Accepted::decode(&accepted.encode()), Ok(accepted));
    let name = SocketName {
        node: a as u32,
        family: [Family::V4, Family::V6, Family::Packet, Family::Netlink][a.rem_euclid(4) as usize],
        kind: [Kind::Stream, Kind::Datagram, Kind::Raw][b.rem_euclid(3) as usize],
        id,
    };
    assert_eq!(SocketName::parse(&name.format()), Some(name));
}

/// Bytes to take decisions from; zeros when there are no more.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let count = N.min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        out[..count].copy_from_slice(taken);
        self.0 = rest;
        out
    }

    fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }

    fn address(&mut self) -> Address {
        match self.u8() % 3 {
            0 => return self.socket_address().into(),
            1 => return NetlinkAddress { port: self.i32() as u32, groups: self.i32() as u32 }.into(),
            _ => {}
        }
        let numbers = self.array::<8>();
        let [protocol, hardware] = [[numbers[0], numbers[1]], [numbers[2], numbers[3]]].map(u16::from_le_bytes);
        let [packet, len] = [numbers[4], numbers[5]];
        LinkAddress { protocol, port: self.i32() as u32, hardware, packet, len, address: self.array() }.into()
    }

    fn socket_address(&mut self) -> SocketAddr {
        let port = u16::from_le_bytes(self.array());
        if self.u8() & 1 == 0 {
            return SocketAddr::new(Ipv4Addr::from(self.array::<4>()).into(), port);
        }
        let address = Ipv6Addr::from(self.array::<16>());
        let (flow, scope) = (self.i32() as u32, self.i32() as u32);
        SocketAddrV6::new(address, port, flow, scope).into()
    }
}
