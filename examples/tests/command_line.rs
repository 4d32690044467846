//! What the programs say to somebody who has said too little. Nothing here needs privileges, or a network.
//!
//! What they send is judged where a network is: in `peers/tests/real/examples.rs`.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The one line of complaint.
fn complaint(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{program} {arguments:?}");
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
        (
            ipv4,
            &["--to", "127.0.0.1", "--option", "record-route", "--option", "timestamp", "--option", "timestamp"],
            "40 bytes",
        ),
        (ipv6, &["--to", "::1", "--from", "::1", "--flow-label", "5"], "--socket hdrincl"),
        (ipv6, &["--to", "::1", "--from", "::1", "--socket", "packet"], "--interface"),
        (env!("CARGO_BIN_EXE_arp"), &["--interface", "nowhere", "announce"], "ip link"),
        (env!("CARGO_BIN_EXE_neighbors"), &["--interface", "nowhere", "routers"], "ip link"),
        (env!("CARGO_BIN_EXE_tunnel"), &["--to", "::1", "--from", "192.0.2.1", "--via", "127.0.0.1"], "two families"),
    ] {
        let line = complaint(program, arguments);
        assert!(line.contains(mend), "{program} {arguments:?}: {line}");
    }
}
