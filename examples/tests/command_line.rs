//! What the programs say to somebody who has said too little. Nothing here needs privileges, or a network.
//!
//! What they send is judged where a network is: in `peers/tests/real/examples.rs`.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The one line of complaint, and the exit code.
fn complaint(program: &str, arguments: &[&str], code: i32) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{program} {arguments:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn who_says_too_little_is_told_what_to_say() {
    let (ipv4, ipv6) = (env!("CARGO_BIN_EXE_ipv4"), env!("CARGO_BIN_EXE_ipv6"));
    for (program, arguments, mend) in [
        (ipv4, &["--to", "127.0.0.1", "--socket", "packet"][..], "--interface"),
        (ipv4, &["--to", "127.0.0.1", "--socket", "cooked", "--interface", "lo"], "--mac"),
        (ipv4, &["--to", "127.0.0.1", "--fragment", "100"], "--socket hdrincl"),
        (ipv4, &["--to", "127.0.0.1", "--fragment", "27", "--socket", "hdrincl"], "--fragment 28"),
        (ipv4, &["--to", "127.0.0.1", "--tcp-option", "mss"], "--payload tcp"),
        (
            ipv4,
            &["--to", "127.0.0.1", "--option", "record-route", "--option", "timestamp", "--option", "timestamp"],
            "40 bytes",
        ),
        (ipv6, &["--to", "::1", "--from", "::1", "--flow-label", "5"], "--socket hdrincl"),
        (ipv6, &["--to", "::1", "--from", "::1", "--socket", "packet"], "--interface"),
        (env!("CARGO_BIN_EXE_arp"), &["--interface", "nowhere", "announce"], "ip link"),
        (env!("CARGO_BIN_EXE_neighbors"), &["--interface", "nowhere", "routers"], "ip link"),
        (ipv4, &["--to", "127.0.0.1", "--payload", "http", "--size", "9"], "--size"),
        (env!("CARGO_BIN_EXE_ipsec"), &["--to", "::1", "--protocol", "ah", "--cipher", "null"], "--protocol esp"),
        (env!("CARGO_BIN_EXE_irdp"), &["--interface", "nowhere", "solicit"], "ip link"),
        (env!("CARGO_BIN_EXE_ipsec"), &["--to", "127.0.0.1", "--protocol", "ah", "--header", "hop-by-hop"], "IPv6"),
        (env!("CARGO_BIN_EXE_ipsec"), &["--to", "::1", "--protocol", "ah", "--header", "routing0:::1"], "destination"),
        (env!("CARGO_BIN_EXE_tunnel"), &["--to", "::1", "--from", "192.0.2.1", "--via", "127.0.0.1"], "two families"),
    ] {
        let line = complaint(program, arguments, 1);
        assert!(line.contains(mend), "{program} {arguments:?}: {line}");
    }
}

#[test]
fn who_cannot_be_understood_is_told_in_a_line_what_was_wrong() {
    let ipv4 = env!("CARGO_BIN_EXE_ipv4");
    for (program, arguments, culprit) in [
        (ipv4, &[][..], "--to <HOST>"),
        (ipv4, &["--to", "::1"], "no address of IPv4"),
        (ipv4, &["--to", "127.0.0.1", "--socket", "stream"], "raw, hdrincl, cooked, packet"),
        (ipv4, &["--to", "127.0.0.1", "--size", "65001"], "65000"),
        (env!("CARGO_BIN_EXE_ipv6"), &["--to", "::1", "--header", "routing1:::1"], "routing4:"),
        (env!("CARGO_BIN_EXE_ping"), &["no.such.host.invalid"], "no host has this name"),
        (env!("CARGO_BIN_EXE_ping"), &["::1", "--via", "127.0.0.1"], "--from"),
        (env!("CARGO_BIN_EXE_traceroute"), &["127.0.0.1", "--hops", "0"], "1..=255"),
        (env!("CARGO_BIN_EXE_irdp"), &["advertise", "--router", "192.0.2.1:x"], "whole number"),
    ] {
        let line = complaint(program, arguments, 2);
        assert!(line.contains(culprit), "{program} {arguments:?}: {line}");
    }
}
