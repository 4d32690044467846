//! One question to a name server, and what its answer says.
//!
//! The wire format is read by `simple-dns`, whose compression pointers only ever point backwards. What it returns is
//! still a stranger's: here the answer must be to our question (number, name and kind), the counts in its header must be
//! possible in its length before anything is allocated for them, aliases are followed only within the answer and only so
//! far, and every name must be a host name of letters, digits, hyphens and underscores.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, header_buffer};

/// The longest name, in text.
const NAME_MAX: usize = 253;
/// Aliases followed within one answer.
const ALIASES_MAX: usize = 16;
/// How long a negative answer without an SOA record is believed, and the longest that one with it is, in seconds.
const NEGATIVE_TTL: u32 = 10;
const NEGATIVE_TTL_MAX: u32 = 300;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RecordKind {
    A,
    Aaaa,
    Ptr,
}

impl RecordKind {
    fn wire(self) -> TYPE {
        match self {
            RecordKind::A => TYPE::A,
            RecordKind::Aaaa => TYPE::AAAA,
            RecordKind::Ptr => TYPE::PTR,
        }
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Records of the kind asked for, at the end of the aliases.
    Found(Found),
    /// The name is an alias of another, about which the server said nothing.
    Alias { name: String, ttl: u32 },
    /// The name exists, but has no such record.
    NoData { ttl: u32 },
    /// The name does not exist.
    NoName { ttl: u32 },
    /// The answer did not fit: ask again over TCP.
    Truncated,
    /// The server cannot or will not say: ask another.
    Failed,
    /// Not an answer to this question: keep waiting.
    Foreign,
}

/// Records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The name at the end of the aliases.
    pub(crate) canonical: String,
    /// Addresses, for a question about a name.
    pub(crate) addresses: Vec<IpAddr>,
    /// The name, for a question about an address.
    pub(crate) name: Option<String>,
    /// Seconds for which this may be believed.
    pub(crate) ttl: u32,
}

/// A name in the one spelling used here: lower case, no final dot. `None` where it is no host name.
pub(crate) fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (name.len() <= NAME_MAX && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

fn name_of(name: &Name<'_>) -> Option<String> {
    let mut text = String::with_capacity(64);
    for label in name.as_bytes() {
        if !text.is_empty() {
            text.push('.');
        }
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        text.push_str(label);
    }
    normal(&text)
}

/// The question, ready to be sent in a datagram. `None` where `name` cannot be a name.
pub(crate) fn question(id: u16, name: &str, kind: RecordKind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind.wire()), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// What `bytes` say about our question.
pub(crate) fn answer(bytes: &[u8], id: u16, name: &str, kind: RecordKind) -> Answer {
    if header_buffer::id(bytes) != Ok(id) || !plausible(bytes) {
        return Answer::Foreign;
    }
    // A truncated answer may end within a record, so it is recognised before it is parsed. Whoever can send one from the
    // server's port with our number and port could have sent any answer; TCP, to which it leads, is harder to forge.
    if bytes.len() >= 12 && header_buffer::has_flags(bytes, PacketFlag::TRUNCATION) == Ok(true) {
        return Answer::Truncated;
    }
    let Ok(packet) = Packet::parse(bytes) else { return Answer::Foreign };
    let ours = |question: &Question<'_>| {
        question.qtype == QTYPE::TYPE(kind.wire()) && name_of(&question.qname).as_deref() == Some(name)
    };
    if !packet.has_flags(PacketFlag::RESPONSE) || packet.questions.len() != 1 || !ours(&packet.questions[0]) {
        return Answer::Foreign;
    }
    match packet.rcode() {
        RCODE::NoError => follow(&packet, name, kind),
        RCODE::NameError => Answer::NoName { ttl: negative_ttl(&packet) },
        _ => Answer::Failed,
    }
}

/// Whether the header's counts can be true of so many bytes: a question has at least 5, a record 11.
fn plausible(bytes: &[u8]) -> bool {
    let count = |read: fn(&[u8]) -> simple_dns::Result<u16>| read(bytes).map_or(usize::MAX / 64, usize::from);
    let records =
        count(header_buffer::answers) + count(header_buffer::name_servers) + count(header_buffer::additional_records);
    count(header_buffer::questions) * 5 + records * 11 + 12 <= bytes.len()
}

/// Follows aliases through the answer's records to those that were asked for.
fn follow(packet: &Packet<'_>, name: &str, kind: RecordKind) -> Answer {
    let mut found = Found { canonical: name.to_owned(), addresses: Vec::new(), name: None, ttl: u32::MAX };
    let mut aliased = false;
    for _ in 0..ALIASES_MAX {
        let mut alias = None;
        for record in &packet.answers {
            if record.class != CLASS::IN || name_of(&record.name).as_deref() != Some(&found.canonical) {
                continue;
            }
            match (&record.rdata, kind) {
                (RData::A(a), RecordKind::A) => found.addresses.push(Ipv4Addr::from(a.address).into()),
                (RData::AAAA(aaaa), RecordKind::Aaaa) => found.addresses.push(Ipv6Addr::from(aaaa.address).into()),
                (RData::PTR(pointer), RecordKind::Ptr) if found.name.is_none() => match name_of(&pointer.0) {
                    Some(name) => found.name = Some(name),
                    None => continue,
                },
                (RData::CNAME(cname), _) => alias = name_of(&cname.0),
                _ => continue,
            }
            found.ttl = found.ttl.min(record.ttl);
        }
        if !found.addresses.is_empty() || found.name.is_some() {
            found.addresses.truncate(sockeye_control::MAX_ADDRESSES);
            return Answer::Found(found);
        }
        match alias {
            Some(alias) => found.canonical = alias,
            None if aliased => return Answer::Alias { name: found.canonical, ttl: found.ttl },
            None => return Answer::NoData { ttl: negative_ttl(packet) },
        }
        aliased = true;
    }
    Answer::Failed
}

/// RFC 2308 section 5: the lesser of the SOA record's TTL and its MINIMUM.
fn negative_ttl(packet: &Packet<'_>) -> u32 {
    let soa = packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    soa.unwrap_or(NEGATIVE_TTL).min(NEGATIVE_TTL_MAX)
}

/// The name under which an address's name is kept (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub(crate) fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME, PTR};

    const ID: u16 = 0x1234;

    fn reply(name: &'static str, kind: RecordKind, records: Vec<(&'static str, u32, RData<'static>)>) -> Vec<u8> {
        let question = question(ID, name, kind).expect("a question");
        let mut packet = Packet::parse(&question).expect("our own").into_reply();
        packet.set_flags(PacketFlag::RESPONSE);
        for (owner, ttl, data) in records {
            packet.answers.push(ResourceRecord::new(Name::new(owner).expect("a name"), CLASS::IN, ttl, data));
        }
        packet.build_bytes_vec_compressed().expect("fits")
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(A { address: u32::from(Ipv4Addr::new(10, 0, 0, last)) })
    }

    fn cname(name: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new(name).expect("a name")))
    }

    #[test]
    fn follows_aliases_to_addresses() {
        let records = vec![("www.Example.org", 60, cname("web.example.org")), ("web.example.org", 20, a(7))];
        let bytes = reply("www.example.org", RecordKind::A, records);
        let Answer::Found(found) = answer(&bytes, ID, "www.example.org", RecordKind::A) else { panic!("not found") };
        assert_eq!(found.canonical, "web.example.org");
        assert_eq!(found.addresses, [IpAddr::from([10, 0, 0, 7])]);
        assert_eq!(found.ttl, 20);
    }

    #[test]
    fn circles_of_aliases_end() {
        let records = vec![("a.b", 60, cname("c.d")), ("c.d", 60, cname("a.b"))];
        let bytes = reply("a.b", RecordKind::A, records);
        assert_eq!(answer(&bytes, ID, "a.b", RecordKind::A), Answer::Failed);
    }

    #[test]
    fn an_alias_that_leaves_the_answer_is_told() {
        let bytes = reply("a.b", RecordKind::A, vec![("a.b", 60, cname("c.d"))]);
        assert_eq!(answer(&bytes, ID, "a.b", RecordKind::A), Answer::Alias { name: "c.d".into(), ttl: 60 });
    }

    #[test]
    fn records_of_other_names_are_not_believed() {
        let bytes = reply("a.b", RecordKind::A, vec![("evil.b", 60, a(66))]);
        assert!(matches!(answer(&bytes, ID, "a.b", RecordKind::A), Answer::NoData { .. }));
    }

    #[test]
    fn answers_to_other_questions_are_foreign() {
        let bytes = reply("a.b", RecordKind::A, vec![("a.b", 60, a(1))]);
        assert_eq!(answer(&bytes, ID ^ 1, "a.b", RecordKind::A), Answer::Foreign);
        assert_eq!(answer(&bytes, ID, "a.c", RecordKind::A), Answer::Foreign);
        assert_eq!(answer(&bytes, ID, "a.b", RecordKind::Aaaa), Answer::Foreign);
        let question = question(ID, "a.b", RecordKind::A).expect("a question");
        assert_eq!(answer(&question, ID, "a.b", RecordKind::A), Answer::Foreign);
    }

    #[test]
    fn hostile_names_are_not_names() {
        let bytes = reply(
            "1.0.0.10.in-addr.arpa",
            RecordKind::Ptr,
            vec![("1.0.0.10.in-addr.arpa", 60, RData::PTR(PTR(Name::new_unchecked("$(reboot).b"))))],
        );
        let said = answer(&bytes, ID, "1.0.0.10.in-addr.arpa", RecordKind::Ptr);
        assert!(matches!(said, Answer::NoData { .. }), "{said:?}");
        assert_eq!(normal("a..b"), None);
        assert_eq!(normal(&"a".repeat(64)), None);
        assert_eq!(normal(&"a.".repeat(128)), None);
        assert_eq!(normal("Example.ORG."), Some("example.org".into()));
    }

    #[test]
    fn garbage_is_foreign() {
        let good = reply("a.b", RecordKind::A, vec![("a.b", 60, a(1))]);
        for len in 0..good.len() {
            assert_eq!(answer(&good[..len], ID, "a.b", RecordKind::A), Answer::Foreign, "{len}");
        }
        // Counts that promise 65,535 records of each kind in a few bytes.
        let mut lying = good.clone();
        lying[4..12].fill(0xff);
        assert_eq!(answer(&lying, ID, "a.b", RecordKind::A), Answer::Foreign);
        // Each byte changed to each of a few values: no panic, no loop.
        for at in 0..good.len() {
            for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = answer(&bytes, ID, "a.b", RecordKind::A);
            }
        }
        // A compression pointer to itself, as the question's name.
        let mut circle = good[..12].to_vec();
        circle.extend([0xc0, 0x0c, 0, 1, 0, 1]);
        circle[6..12].fill(0);
        assert_eq!(answer(&circle, ID, "a.b", RecordKind::A), Answer::Foreign);
    }

    #[test]
    fn reverse_names() {
        assert_eq!(reverse_name(IpAddr::from([10, 0, 0, 7])), "7.0.0.10.in-addr.arpa");
        let address: IpAddr = "2001:db8::1".parse().expect("an address");
        assert!(
            reverse_name(address).starts_with("1.0.0.0.")
                && reverse_name(address).ends_with("8.b.d.0.1.0.0.2.ip6.arpa")
        );
    }
}

// RFC 1035 (messages), 2181 section 10.1 (aliases), 2308 (negative answers), 5452 (what an answer must match), 8020.
