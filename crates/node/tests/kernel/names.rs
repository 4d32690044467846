//! The resolver against a name server that loses, truncates, refers and lies.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;

use sockeye_control::{Reply, Request, What};

use crate::fixture::{Fixture, KERNEL, address};

const A: u16 = 1;
const CNAME: u16 = 5;
const TRUNCATED: u16 = 0x0200;
const NO_NAME: u16 = 3;

/// A question as it came.
struct Question<'a> {
    bytes: &'a [u8],
    name: String,
    kind: u16,
}

impl<'a> Question<'a> {
    fn parse(bytes: &'a [u8]) -> Question<'a> {
        let (mut at, mut labels) = (12, Vec::new());
        while bytes[at] > 0 {
            let end = at + 1 + usize::from(bytes[at]);
            labels.push(String::from_utf8(bytes[at + 1..end].to_vec()).expect("letters"));
            at = end;
        }
        let kind = u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]);
        Question { bytes: &bytes[..at + 5], name: labels.join("."), kind }
    }

    /// An answer to it, with records of a name, a kind and data each.
    fn answer(&self, flags: u16, records: &[(Vec<u8>, u16, Vec<u8>)]) -> Vec<u8> {
        let mut answer = self.bytes.to_vec();
        answer[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
        answer[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (name, kind, data) in records {
            answer.extend(name);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60]);
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        answer
    }

    fn address(&self, last: u8) -> Vec<u8> {
        self.answer(0, &[(encoded(&self.name), A, vec![10, 9, 0, last])])
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// What is said to a datagram; nothing, one answer, or several.
fn said(question: &Question<'_>, asked_before: usize) -> Vec<Vec<u8>> {
    let alias = |from: &str, to: &str| (encoded(from), CNAME, encoded(to));
    let web = || (encoded("web.lab"), A, vec![10, 9, 0, 1]);
    vec![match question.name.as_str() {
        _ if question.kind != A => question.answer(0, &[]),
        "web.lab" => question.address(1),
        "chain.lab" => question.answer(0, &[alias("chain.lab", "middle.lab"), alias("middle.lab", "web.lab"), web()]),
        "far.lab" => question.answer(0, &[alias("far.lab", "web.lab")]),
        "round.lab" => question.answer(0, &[alias("round.lab", "trip.lab"), alias("trip.lab", "round.lab")]),
        "big.lab" => question.answer(TRUNCATED, &[]),
        "lost.lab" if asked_before == 0 => return Vec::new(),
        "lost.lab" => question.address(7),
        "lies.lab" => {
            let mut number = question.address(66);
            number[0] ^= 1;
            let mut other = question.address(66);
            other[13] = b'x';
            // A pointer to itself, where the record's name stands.
            let pointer = question.answer(0, &[(vec![0xc0, question.bytes.len() as u8], A, vec![10, 9, 0, 66])]);
            let mut counts = question.address(66);
            counts[6..8].copy_from_slice(&[0xff, 0xff]);
            let (short, again) = (question.bytes[..5].to_vec(), question.bytes.to_vec());
            return vec![number, other, pointer, counts, short, again, question.address(9)];
        }
        _ => question.answer(NO_NAME, &[]),
    }]
}

/// A name server on the kernel's side. It ends at a datagram of one byte.
fn serve(fixture: &Fixture) -> JoinHandle<()> {
    let place = address(KERNEL, 53);
    let datagrams = fixture.kernel.enter(|| UdpSocket::bind(place)).expect("inside").expect("bound");
    let streams = fixture.kernel.enter(|| TcpListener::bind(place)).expect("inside").expect("bound");
    // On its own: who gives up, and asks again, is answered by datagram first.
    std::thread::spawn(move || streams.incoming().for_each(|stream| serve_stream(stream.expect("accepted"))));
    std::thread::spawn(move || {
        let mut seen: Vec<String> = Vec::new();
        let mut buffer = [0; 512];
        loop {
            let (len, from) = datagrams.recv_from(&mut buffer).expect("received");
            if len == 1 {
                return;
            }
            let question = Question::parse(&buffer[..len]);
            for answer in said(&question, seen.iter().filter(|name| **name == question.name).count()) {
                datagrams.send_to(&answer, from).expect("sent");
            }
            seen.push(question.name);
        }
    })
}

/// One question, and an answer that no datagram has room for. Who has given up is not there to hear it.
fn serve_stream(mut stream: TcpStream) {
    let mut asked = [0; 128];
    let mut exchange = || {
        stream.read_exact(&mut asked[..2])?;
        let len = usize::from(u16::from_be_bytes([asked[0], asked[1]]));
        stream.read_exact(&mut asked[..len])?;
        let question = Question::parse(&asked[..len]);
        let records: Vec<_> = (1..=30).map(|last| (vec![0xc0, 12], A, vec![10, 9, 1, last])).collect();
        let answer = question.answer(0, &records);
        stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat())
    };
    let _ = exchange();
}

fn resolve(fixture: &Fixture, name: &str) -> Result<Vec<String>, i32> {
    fixture.ask(&Request::Resolve { family: 2, flags: 0, name }, None, |reply, _| match reply {
        Reply::Addresses { addresses, .. } => Ok(addresses.iter().map(|address| address.to_string()).collect()),
        Reply::Error { errno, .. } => Err(errno),
        other => panic!("{other:?}"),
    })
}

#[test]
fn names_are_found_whatever_the_server_does() {
    let directory = std::env::temp_dir().join(format!("sockeye-names-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (resolv_conf, hosts) = (directory.join("resolv.conf"), directory.join("hosts"));
    // One question is lost. All other patience is for a machine that stands still for a while.
    let settings = format!("nameserver {KERNEL}\nsearch lab\noptions timeout:2 attempts:5\n");
    std::fs::write(&resolv_conf, settings).expect("written");
    std::fs::write(&hosts, "10.9.0.55 printer\n").expect("written");
    let adjust = move |node: &mut sockeye_node::Node| node.read_name_files(&resolv_conf, &hosts);
    let Some(mut fixture) = Fixture::with("names", adjust) else { return };
    let server = serve(&fixture);
    let one = |last: u8| Ok(vec![Ipv4Addr::new(10, 9, 0, last).to_string()]);
    assert_eq!(resolve(&fixture, "web.lab"), one(1));
    assert_eq!(resolve(&fixture, "web"), one(1), "by the search domain");
    assert_eq!(resolve(&fixture, "printer"), one(55), "by the hosts file");
    assert_eq!(resolve(&fixture, "chain.lab"), one(1), "by aliases in one answer");
    assert_eq!(resolve(&fixture, "far.lab"), one(1), "by an alias that must be asked for");
    assert_eq!(resolve(&fixture, "nobody.lab."), Err(2));
    assert_eq!(fixture.number(What::Counters, "answers_ignored"), 0);
    assert_eq!(resolve(&fixture, "lies.lab"), one(9), "the truth after lies");
    assert!(fixture.number(What::Counters, "answers_ignored") >= 6);
    assert_eq!(resolve(&fixture, "big.lab").map(|all| all.len()), Ok(30), "over TCP");
    assert!(fixture.number(What::Counters, "answers_truncated") >= 1);
    // A slow machine may have made more.
    let before = fixture.number(What::Counters, "timeouts");
    assert_eq!(resolve(&fixture, "lost.lab"), one(7), "asked again");
    assert!(fixture.number(What::Counters, "timeouts") > before);
    assert_eq!(resolve(&fixture, "round.lab."), Err(11), "aliases without an end");
    let stop = fixture.kernel.enter(|| UdpSocket::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    stop.send_to(b"x", address(KERNEL, 53)).expect("sent");
    server.join().expect("served");
    fixture.stop();
    std::fs::remove_dir_all(directory).expect("removed");
}
