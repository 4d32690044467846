//! What expressions become, and what is said to those that become nothing. That they mean the same as libpcap's is tested against
//! libpcap, elsewhere.

use super::compile;
use crate::metadata::Metadata;
use crate::packet::Packet;
use crate::program::Program;

fn compiled(text: &str) -> Program {
    compile(text, 262_144).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    compile(text, 262_144).unwrap_err().to_string()
}

#[test]
fn a_test_is_not_asked_twice_and_a_value_not_loaded_twice() {
    let expected = "\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 10
(002) ldb      [23]
(003) jeq      #0x6             jt 4\tjf 10
(004) ldh      [20]
(005) jset     #0x1fff          jt 10\tjf 6
(006) ldxb     4*([14]&0xf)
(007) ldh      [x + 14]
(008) jeq      #0x50            jt 9\tjf 10
(009) ret      #262144
(010) ret      #0
";
    assert_eq!(compiled("ip and tcp src port 80").to_string(), expected);
    assert_eq!(compiled("not not (ip and ip) or ip").to_string(), compiled("ip").to_string());
}

#[test]
fn what_is_known_beforehand_is_not_asked() {
    assert_eq!(compiled("").to_string(), "(000) ret      #262144\n");
    assert_eq!(compiled("1 = 1").to_string(), "(000) ret      #262144\n");
    assert_eq!(compiled("ip and arp").to_string(), "(000) ret      #0\n");
    assert_eq!(compiled("len > (3 + 4) * 2").to_string(), compiled("len > 14").to_string());
    assert_eq!(compiled("14 < len").to_string(), compiled("len > 14").to_string());
}

#[test]
fn far_targets_are_reached() {
    // Each match goes over all that follows, far more than 255 instructions.
    let hosts: Vec<String> = (0..200).map(|host| format!("10.0.{}.{}", host / 16, host % 16)).collect();
    let program = compiled(&format!("src host {}", hosts.join(" or ")));
    assert!(program.instructions().len() > 400);
    let metadata = Metadata::default();
    let mut frame = [0; 60];
    frame[12..14].copy_from_slice(&[8, 0]);
    for (address, kept) in
        [([10, 0, 0, 0], true), ([10, 0, 12, 7], true), ([10, 0, 12, 8], false), ([9, 0, 0, 0], false)]
    {
        frame[26..30].copy_from_slice(&address);
        assert_eq!(program.run(&Packet::new(&frame[..], &metadata)) != 0, kept, "{address:?}");
    }
}

#[test]
fn errors_name_the_place() {
    for (text, expected) in [
        ("tcp prot 80", "filter, column 5: expected `and`, `or` or the end"),
        ("tcp and", "filter, column 8: the expression ends where a primitive is expected"),
        ("port 70000", "filter, column 6: expected a port of at most 65535"),
        ("port http", "filter, column 6: `http`: names are not looked up, a number is wanted"),
        ("host example", "filter, column 6: `example`: names are not looked up, an address is wanted"),
        (
            "10.0.0.1",
            "filter, column 1: what this is must be said before it: `host`, `net`, `port`, `portrange` or `proto`",
        ),
        ("tcp host 10.0.0.1", "filter, column 10: `tcp` has no such addresses"),
        ("net 10.0.0.1/8", "filter, column 14: there are bits outside of the mask"),
        ("mpls 5", "filter, column 1: `mpls` is not supported, or no word of the language"),
        ("tcp[13 & 2", "filter, column 11: expected `]`"),
        ("tcp[0:3] = 1", "filter, column 7: a size is 1, 2 or 4"),
        ("len / 0 = 1", "filter, column 7: division by zero"),
        ("len << 32 = 1", "filter, column 8: shift by more than 31 bits"),
        ("ip broadcast", "filter, column 4: `ip broadcast` needs the netmask of an interface; there is none here"),
        ("vlan 4096", "filter, column 6: a VLAN identifier is at most 4095"),
        ("host 1.2.3.256", "filter, column 6: `1.2.3.256` is no IPv4 address"),
        ("ether proto 5", "filter, column 13: 802.2 is not supported"),
        ("tcp $ udp", "filter, column 5: `$` means nothing here"),
        ("(tcp or udp", "filter, column 12: expected `)`"),
        ("(len + 5) >", "filter, column 12: expected a number"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    assert!(error(&"(".repeat(10_000)).contains("nested deeper"));
    assert!(error(&"not ".repeat(10_000)).contains("nested deeper"));
    assert!(error(&format!("len = {}1", "-".repeat(10_000))).contains("nested deeper"));
    assert!(error(&vec!["ip"; 10_000].join(" or ")).contains("more than 1000 terms"));
    assert!(error(&format!("len = {}", vec!["len"; 10_000].join("+"))).contains("more than 1000 terms"));
    assert!(error(&(0..400).map(|port| format!("port {port}")).collect::<Vec<_>>().join(" or ")).contains("too large"));
}

#[test]
fn long_sums_need_little_memory() {
    let left = vec!["len"; 50].join(" - ");
    let right = "len - (".repeat(50) + "len" + &")".repeat(50);
    let both = "(len * len + (len - len) / len)".replace("len", "((len - len) * (len + len))");
    let metadata = Metadata::default();
    let run = |text: &str| compiled(text).run(&Packet::new(&[0; 60][..], &metadata)) != 0;
    assert!(run(&format!("{left} = {}", 60_u32.wrapping_sub(49 * 60))));
    assert!(run(&format!("{right} = {}", 60)));
    assert!(!run(&format!("{both} = 1")));
}
