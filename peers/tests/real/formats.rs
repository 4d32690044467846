//! Other people's parsers and writers as judges of the formats of `wire`.
//!
//! Scapy builds packets; ours are read to their meaning, and what is written from that must be the same bytes, checksums
//! and padding too. The other way round Wireshark reads what we write: beside each packet stands a display filter that
//! says what was meant, and no packet may be malformed in its eyes.
//!
//! Nothing runs on a subject here, so these are left out for the kernel.

mod ours;
mod rewrite;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use sockeye_peers::require;
use sockeye_peers::scene::python;

/// What a program writes that reads `input`.
fn filtered(command: &mut Command, input: Vec<u8>) -> String {
    let name = format!("{command:?}").chars().take(60).collect::<String>();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // One that ends early says why itself.
        scope.spawn(move || drop(stdin.write_all(&input)));
        child.wait_with_output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hexadecimal digits") as u8;
    text.as_bytes().as_chunks::<2>().0.iter().map(|&[high, low]| digit(high) << 4 | digit(low)).collect()
}

#[test]
fn what_scapy_builds_is_read_and_written_the_same() {
    let built = filtered(Command::new(python()).args(["-c", include_str!("formats.py")]), Vec::new());
    let mut count = 0;
    for line in built.lines() {
        let (name, bytes) = line.split_once('\t').unwrap();
        let bytes = from_hex(bytes);
        let again = rewrite::packet(&bytes).unwrap_or_else(|reason| panic!("{name}: {reason}\n{bytes:02x?}"));
        assert_eq!(again, bytes, "{name}\nscapy {bytes:02x?}\nours  {again:02x?}");
        count += 1;
    }
    assert!(count >= 35, "only {count} packets");
}

#[test]
fn what_is_written_means_the_same_to_wireshark() {
    require("tshark");
    let packets = ours::packets();
    let sound = "!_ws.malformed && !(_ws.expert.severity >= error)";
    let filters =
        packets.iter().zip(1..).map(|(packet, number)| format!("(frame.number == {number} && {})", packet.meaning));
    let filter = format!("({}) && {sound}", filters.collect::<Vec<_>>().join(" || "));
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", "-", "-Y", &filter, "-T", "fields", "-e", "frame.number"]);
    for preference in ["tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "udplite.check_checksum:TRUE"] {
        command.args(["-o", preference]);
    }
    let shown = filtered(&mut command, capture(packets.iter().map(|packet| &packet.bytes[..])));
    let shown: BTreeSet<usize> = shown.lines().map(|line| line.parse().unwrap()).collect();
    let missing = packets.iter().zip(1..).filter(|(_, number)| !shown.contains(number));
    let missing: Vec<_> = missing.map(|(packet, number)| (number, packet.meaning)).collect();
    assert!(missing.is_empty(), "not what was meant: {missing:#?}");
}

/// A capture file of raw IP packets.
fn capture<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    const RAW: u32 = 101;
    let mut file = Vec::new();
    let head = [0xa1b2_c3d4, 2 << 16 | 4, 0, 0, 1 << 18, RAW];
    file.extend(head.iter().flat_map(|word: &u32| word.to_be_bytes()));
    for packet in packets {
        let len = packet.len() as u32;
        file.extend([0, 0, len, len].iter().flat_map(|word| word.to_be_bytes()));
        file.extend(packet);
    }
    file
}
