//! What the node answers to rtnetlink: links, addresses, routes, neighbours and rules, to be read.
//!
//! The kernel answers a dump with one message after another: a header, a fixed part by the message's type, and
//! attributes, each aligned to four bytes ([`messages`]). That form is every C library's own for interfaces, so it is also what the
//! shim is given for `getifaddrs` ([`file()`]): all links first, then the addresses of IPv4, then those of IPv6, as glibc asks for them.
//!
//! Who has a netlink socket ([`crate::netlink`]) asks for each kind by itself ([`answer`]), for all of it or for one. A dump that may be
//! filtered is filtered if the socket says that it means what it writes (NETLINK_GET_STRICT_CHK), as Linux does, and what says more
//! than is heeded is refused ([`strict`]); else some programs leave garbage there. A dump that is refused ends with the error, as a message of its own. What would change something is refused: with EPERM to users, and to others with EOPNOTSUPP and a word that says so.
//!
//! # Standards
//!
//! netlink(7), rtnetlink(7); RFC 3549.

mod addresses;
pub(crate) mod changes;
mod links;
pub(crate) mod messages;
mod neighbors;
mod routes;
mod rules;
mod strict;

use std::net::IpAddr;

use sockeye_device::Instant;
use sockeye_socket::Errno;
use sockeye_stack::Stack;

use super::Interface;
use crate::ports::Ports;
use messages::{Messages, Request};
use routes::Wrong;

const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const AF_INET6: u8 = 10;

/// Routes of groups: there are none.
const RTNL_FAMILY_IPMR: u8 = 128;
const RTNL_FAMILY_IP6MR: u8 = 129;

const RT_TABLE_MAIN: u8 = 254;
const RT_TABLE_LOCAL: u8 = 255;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The socket's port.
    pub(crate) port: u32,
    /// What the fixed part and the attributes of a dump say is meant.
    pub(crate) strict: bool,
    /// An error is to say what is wrong (NETLINK_EXT_ACK).
    pub(crate) words: bool,
    /// Root, or whoever started the node.
    pub(crate) administrator: bool,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Errno, pub(crate) &'static str);

/// All interfaces and their addresses, as a file.
pub(super) fn file(all: &[Interface]) -> Vec<u8> {
    let mut messages = Messages::file();
    for interface in all {
        links::put(&mut messages, interface);
    }
    addresses::put_all(&mut messages, all);
    messages.into_bytes()
}

/// What a node with this stack says to each request of a datagram, without a socket: for who judges the answers.
pub fn answers(stack: &Stack, strict: bool, datagram: &[u8]) -> Vec<Vec<u8>> {
    let (now, port) = (Instant::ZERO, 1);
    let all = super::interfaces(now, stack, &Ports::default());
    let asker = Asker { port, strict, words: true, administrator: false };
    let mut rest = datagram;
    std::iter::from_fn(|| {
        let (request, more) = Request::split(rest)?;
        rest = more;
        Some(
            answer(now, &all, stack, asker, &request).unwrap_or_else(|Refused(errno, text)| {
                Messages::outcome(&request, port, errno.raw(), Some(text), false)
            }),
        )
    })
    .collect()
}

/// The answer to a request: messages, none where there is nothing to say.
pub(crate) fn answer(
    now: Instant,
    all: &[Interface],
    stack: &Stack,
    asker: Asker,
    request: &Request<'_>,
) -> Result<Vec<u8>, Refused> {
    const GET: u16 = 2;
    /// There are no types beyond, and some room for more.
    const LAST: u16 = 255;
    // Not even a family.
    if request.kind < RTM_NEWLINK || request.body.is_empty() {
        return Ok(Vec::new());
    }
    if request.kind > LAST {
        return Err(UNKNOWN);
    }
    if request.kind & 3 != GET {
        return Err(match asker.administrator {
            false => Refused(Errno::EPERM, "for root and the user who started the node"),
            true => {
                Refused(Errno::EOPNOTSUPP, "a node's configuration is not changed by netlink: see ifconfig and route")
            }
        });
    }
    let mut messages = Messages::answer(request, asker.port);
    if request.is_dump() {
        if !matches!(request.kind, RTM_GETLINK | RTM_GETADDR | RTM_GETROUTE | RTM_GETNEIGH | RTM_GETRULE) {
            return Err(UNKNOWN);
        }
        let refused = dump(&mut messages, now, all, stack, asker, request).err();
        messages.done(refused.map(|Refused(errno, text)| (errno.raw(), Some(text).filter(|_| asker.words))));
    } else {
        if asker.strict {
            strict::check(request)?;
        }
        single(&mut messages, now, all, stack, request)?;
    }
    Ok(messages.into_bytes())
}

/// There is no interface of the index that a dump is to be about.
const NO_INTERFACE: Refused = Refused(Errno::ENODEV, "no interface has that index");

const UNKNOWN: Refused = Refused(Errno::EOPNOTSUPP, "the node has nothing of that kind");

fn dump(
    messages: &mut Messages,
    now: Instant,
    all: &[Interface],
    stack: &Stack,
    asker: Asker,
    request: &Request<'_>,
) -> Result<(), Refused> {
    if asker.strict {
        strict::check(request)?;
    }
    match request.kind {
        // A bridge's ports, and whom it has seen there: it is none.
        RTM_GETLINK | RTM_GETNEIGH if request.byte(0) == AF_BRIDGE => {}
        RTM_GETLINK => links::asked(messages, all, request),
        RTM_GETADDR => addresses::asked(messages, all, request, asker.strict)?,
        RTM_GETROUTE => routes::asked(messages, now, all, stack, request, asker.strict)?,
        RTM_GETNEIGH => neighbors::asked(messages, all, stack, request),
        RTM_GETRULE => rules::asked(messages, request)?,
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

fn single(
    messages: &mut Messages,
    now: Instant,
    all: &[Interface],
    stack: &Stack,
    request: &Request<'_>,
) -> Result<(), Refused> {
    let header = match request.kind {
        RTM_GETLINK => 16,
        RTM_GETADDR => 8,
        RTM_GETROUTE => 12,
        _ => 0,
    };
    match request.kind {
        // Of these there are others' answers only to who asks for one of a family that has them.
        RTM_GETADDR if request.byte(0) != AF_INET6 => Err(UNKNOWN),
        RTM_GETROUTE if !matches!(request.byte(0), AF_INET | AF_INET6) => Err(UNKNOWN),
        _ if request.body.len() < header => Err(Refused(Errno::EINVAL, "the header is cut off")),
        RTM_GETADDR => addresses::one(messages, all, request),
        RTM_GETLINK if !links::names_one(request) => Err(Refused(Errno::EINVAL, "no interface is named")),
        RTM_GETLINK => {
            let one = links::one(all, request).ok_or(Refused(Errno::ENODEV, "no interface is called that"))?;
            links::put(messages, one);
            Ok(())
        }
        RTM_GETROUTE => routes::way(messages, now, all, stack, request).map_err(|wrong| match wrong {
            Wrong::Question => Refused(Errno::EINVAL, "an address is not of the family"),
            Wrong::Input => Refused(Errno::EOPNOTSUPP, "a node tells the way of what it sends only"),
            Wrong::Source => Refused(Errno::ENETUNREACH, "the source is not an address of this node"),
            Wrong::Interface => NO_INTERFACE,
            Wrong::NoRoute => Refused(Errno::ENETUNREACH, "there is no route"),
        }),
        RTM_GETNEIGH => match neighbors::one(stack, request) {
            None => Err(Refused(Errno::EINVAL, "a neighbour is named by its address and its interface")),
            Some(None) => Err(Refused(Errno::ENOENT, "no such neighbour is known")),
            Some(Some(one)) => {
                neighbors::put(messages, all, stack, &one);
                Ok(())
            }
        },
        _ => Err(UNKNOWN),
    }
}

/// The families that a dump of addresses or routes is about: those that nobody has anything of mean all, as with Linux.
fn families(asked: u8) -> impl Iterator<Item = u8> {
    let one = matches!(asked, AF_INET | AF_INET6 | RTNL_FAMILY_IPMR | RTNL_FAMILY_IP6MR);
    [AF_INET, AF_INET6].into_iter().filter(move |&which| !one || which == asked)
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// An attribute's address.
fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        AF_INET6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, tests::host};

    const NOW: Instant = Instant::ZERO;

    fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((messages::HEADER_LEN + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend([[7, 0, 0, 0], [0; 4]].concat());
        bytes.extend(body);
        bytes
    }

    /// The kinds of the messages that answer.
    fn asked(kind: u16, dump: bool, body: &[u8], administrator: bool) -> Result<Vec<u16>, Refused> {
        let stack = host();
        let all = interfaces(NOW, &stack, &Ports::default());
        let flags = messages::NLM_F_REQUEST | if dump { messages::NLM_F_DUMP } else { 0 };
        let bytes = request(kind, flags, body);
        let (request, _) = Request::split(&bytes).expect("a request");
        let asker = Asker { port: 9, strict: true, words: false, administrator };
        let answer = answer(NOW, &all, &stack, asker, &request)?;
        let mut kinds = Vec::new();
        let mut rest = &answer[..];
        while let Some((message, more)) = Request::split(rest) {
            assert_eq!((message.sequence, rest[12]), (7, 9));
            kinds.push(message.kind);
            rest = more;
        }
        assert!(rest.is_empty());
        Ok(kinds)
    }

    #[test]
    fn a_dump_has_an_end_and_a_single_answer_none() {
        let of_v4 = [&[AF_INET][..], &[0; 15]].concat();
        assert_eq!(asked(RTM_GETLINK, true, &[0; 16], false), Ok(vec![16, 16, 3]));
        assert_eq!(asked(RTM_GETLINK, false, &[0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false), Ok(vec![16]));
        assert_eq!(asked(RTM_GETADDR, true, &of_v4[..8], false), Ok(vec![20, 20, 3]));
        assert_eq!(asked(RTM_GETNEIGH, true, &[0; 12], false), Ok(vec![3]));
        assert_eq!(asked(RTM_GETRULE, true, &of_v4[..12], false), Ok(vec![32, 32, 32, 3]));
        // The network of eth0; its address, its broadcast address, and four of the loopback.
        let mut main = of_v4[..12].to_vec();
        main[4] = RT_TABLE_MAIN;
        assert_eq!(asked(RTM_GETROUTE, true, &main, false), Ok(vec![24, 3]));
        main[4] = RT_TABLE_LOCAL;
        assert_eq!(asked(RTM_GETROUTE, true, &main, false), Ok(vec![24, 24, 24, 24, 24, 3]));
        assert_eq!(asked(RTM_GETLINK, true, &[], false), Ok(vec![]));
    }

    #[test]
    fn a_dump_that_is_refused_ends_with_the_error_and_a_word() {
        let stack = host();
        let all = interfaces(NOW, &stack, &Ports::default());
        let of_index = |index: u32| [&[AF_INET, 0, 0, 0][..], &index.to_ne_bytes()].concat();
        let of_table = |table| [&[AF_INET, 0, 0, 0, table][..], &[0; 7]].concat();
        let oif = [&of_table(0)[..], &[8, 0, 4, 0], &99u32.to_ne_bytes()].concat();
        for (kind, body, strict, errno) in [
            (RTM_GETADDR, of_index(99), true, Errno::ENODEV),
            (RTM_GETADDR, of_index(u32::MAX), true, Errno::ENODEV),
            (RTM_GETROUTE, of_table(100), true, Errno::ENOENT),
            (RTM_GETROUTE, oif, true, Errno::ENODEV),
            (RTM_GETLINK, vec![0; 15], true, Errno::EINVAL),
            (RTM_GETRULE, vec![99; 12], false, Errno::EAFNOSUPPORT),
        ] {
            for words in [false, true] {
                let bytes = request(kind, messages::NLM_F_REQUEST | messages::NLM_F_DUMP, &body);
                let (request, _) = Request::split(&bytes).expect("a request");
                let asker = Asker { port: 9, strict, words, administrator: false };
                let answer = answer(NOW, &all, &stack, asker, &request).expect("an end");
                let (end, rest) = Request::split(&answer).expect("a message");
                assert_eq!((end.kind, end.word(0), rest), (3, (-errno.raw()).cast_unsigned(), &[][..]), "{kind}");
                assert_eq!((end.flags & 0x200 != 0, end.body.len() > 4), (words, words), "{kind}");
            }
        }
    }

    #[test]
    fn families_that_nobody_has_anything_of_are_all() {
        let addresses =
            |family: u8| asked(RTM_GETADDR, true, &[family, 0, 0, 0, 0, 0, 0, 0], false).expect("a dump").len();
        assert_eq!([2, 10, 0, 7, 99, 128].map(addresses), [3, 3, 5, 5, 5, 1]);
    }

    #[test]
    fn the_way_is_told_to_who_asks_for_one() {
        let ask = |to: [u8; 4]| {
            let mut body = vec![AF_INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0];
            body.extend(to);
            asked(RTM_GETROUTE, false, &body, false).map_err(|refused| refused.0)
        };
        assert_eq!(ask([10, 9, 0, 1]), Ok(vec![24]));
        assert_eq!(ask([10, 9, 0, 2]), Ok(vec![24]));
        assert_eq!(ask([192, 0, 2, 1]), Err(Errno::ENETUNREACH));
        assert_eq!(ask([0; 4]), Ok(vec![24]));
        let without = |family| asked(RTM_GETROUTE, false, &[family; 12], false).map_err(|refused| refused.0);
        let refused = [Err(Errno::ENETUNREACH), Err(Errno::EOPNOTSUPP)];
        assert_eq!((without(AF_INET), [AF_INET6, 99].map(without)), (Ok(vec![24]), refused));
    }

    #[test]
    fn nothing_is_changed_and_nothing_unknown_is_told() {
        for (kind, administrator, errno) in [
            (16, false, Errno::EPERM),
            (16, true, Errno::EOPNOTSUPP),
            (25, true, Errno::EOPNOTSUPP),
            (38, false, Errno::EOPNOTSUPP),
            (1_000, true, Errno::EOPNOTSUPP),
        ] {
            for dump in [false, true] {
                assert_eq!(
                    asked(kind, dump, &[0; 16], administrator).map_err(|refused| refused.0),
                    Err(errno),
                    "{kind}"
                );
            }
        }
    }

    #[test]
    fn whatever_is_asked_is_answered_or_refused() {
        let mut state = 1u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        for round in 0..4_000 {
            let kind = [RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE, 26, 18, 16][round % 8];
            let len = usize::from(byte()) % 64;
            // Mostly small numbers: families, indices and lengths that mean something.
            let body: Vec<u8> = (0..len).map(|_| byte() & if byte() & 1 == 0 { 0x0f } else { 0xff }).collect();
            let _ = asked(kind, byte() & 1 == 0, &body, byte() & 1 == 0);
        }
    }
}
