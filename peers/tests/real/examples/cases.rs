//! What is sent, and what is meant by it: command lines, and for each of their frames what tshark has to find in it.
//!
//! In both texts `{id}` is a number of the case's own, `{hex}` the same in hexadecimal digits, `{link}` what a packet socket needs to
//! know, `{mac}` the peer's hardware address, and `{PEER}`, `{SELF}`, `{PEER6}`, `{SELF6}` are addresses.

use super::page;

/// What the example `ipsec` has for keys: HMAC-SHA-256's, AES-GCM's with its salt.
pub(super) const KEY: &str = "an example is no place for a key";
pub(super) const CIPHER_KEY: &str = "sixteen bytes...salt";

/// A command and its frames.
pub(super) struct Case {
    /// The number that its frames bear.
    pub(super) id: u16,
    /// Whether they bear one at all; otherwise they are known by what is meant.
    pub(super) numbered: bool,
    /// The example and its arguments.
    pub(super) command: String,
    /// For each frame in order, fields and their values.
    pub(super) frames: Vec<Vec<(String, String)>>,
}

/// All of them; `mac` is the peer's.
pub(super) fn all(mac: &str) -> Vec<Case> {
    let mut cases = Cases { mac: mac.to_owned(), cases: Vec::new() };
    plain(&mut cases);
    options(&mut cases);
    extensions(&mut cases);
    fragments(&mut cases);
    link(&mut cases);
    asking(&mut cases);
    tunnels(&mut cases);
    security(&mut cases);
    page::add(&mut cases);
    cases.cases
}

/// The sockets, and what a header of IPv4 has that only we write.
const SOCKETS: [(&str, &str); 4] = [
    ("raw", ""),
    ("hdrincl", "ip.id=0x{hex} ip.flags.df=1"),
    ("cooked {link}", "ip.id=0x{hex} ip.flags.df=1 eth.dst={mac}"),
    ("packet {link}", "ip.id=0x{hex} ip.flags.df=1 eth.dst={mac}"),
];

pub(super) const ICMP: &str = "icmp.type=8 icmp.code=0 icmp.ident={id} icmp.seq=1 data.len=32";
pub(super) const ICMP6: &str =
    "icmpv6.type=128 icmpv6.code=0 icmpv6.echo.identifier=0x{hex} icmpv6.echo.sequence_number=1 data.len=32";
pub(super) const UDP: &str = "udp.srcport={id} udp.dstport=33434 udp.length=40 data.len=32";
const TCP: &str =
    "tcp.srcport={id} tcp.dstport=33434 tcp.seq_raw=1000 tcp.flags=0x0018 tcp.window_size_value=64240 tcp.len=32";

/// As much as takes three packets.
pub(super) const TCP_DATA: &str = "tcp.srcport={id} tcp.flags=0x0018 tcp.len=3000 tcp.checksum.status=1";

const PAYLOADS: [(&str, &str); 3] = [("icmp", ICMP), ("udp", UDP), ("tcp", TCP)];
const PAYLOADS6: [(&str, &str); 3] = [("icmp", ICMP6), ("udp", UDP), ("tcp", TCP)];

/// Every payload on every socket.
fn plain(cases: &mut Cases) {
    for (socket, ours) in SOCKETS {
        for (payload, meant) in PAYLOADS {
            cases.add(
                &format!("ipv4 --to {{PEER}} --payload {payload} --socket {socket} --size 32 --ttl 33 --tos 8"),
                &[&format!("ip.src={{SELF}} ip.dst={{PEER}} ip.ttl=33 ip.dsfield=0x08 ip.hdr_len=20 {ours} {meant}")],
            );
        }
        let ours = if ours.contains("eth.dst") { "eth.dst={mac}" } else { "" };
        let (flow, found) = if socket == "raw" { ("", "") } else { ("--flow-label 74565", "ipv6.flow=0x012345") };
        for (payload, meant) in PAYLOADS6 {
            cases.add(
                &format!("ipv6 --to {{PEER6}} --payload {payload} --socket {socket} --size 32 --hop-limit 33 --traffic-class 8 {flow}"),
                &[&format!("ipv6.src={{SELF6}} ipv6.dst={{PEER6}} ipv6.hlim=33 ipv6.tclass=0x00000008 {found} {ours} {meant}")],
            );
        }
    }
    let syn = "tcp.srcport={id} tcp.flags=0x0002 tcp.len=0 tcp.options.mss_val=1460 tcp.options.wscale.shift=7 \
               tcp.options.sack_perm=0402 tcp.options.timestamp.tsval=1 tcp.hdr_len=40";
    let options = "--tcp-option mss --tcp-option sack --tcp-option timestamps --tcp-option window-scale";
    cases.add(&format!("ipv4 --to {{PEER}} --payload tcp {options}"), &[syn]);
    cases.add(&format!("ipv4 --to {{PEER}} --payload tcp {options} --socket packet {{link}}"), &[syn]);
    cases.add(&format!("ipv6 --to {{PEER6}} --payload tcp {options} --socket hdrincl"), &[syn]);
}

/// Options in a header of IPv4.
fn options(cases: &mut Cases) {
    for socket in ["raw", "hdrincl", "packet {link}"] {
        for (option, meant) in [
            // The system makes its own entry in what it sends for us, where it makes the header.
            ("record-route", "ip.opt.type=7,0 ip.opt.len=15 ip.hdr_len=36"),
            ("timestamp", "ip.opt.type=68 ip.opt.len=20 ip.opt.flag=0x01 ip.hdr_len=40"),
            ("router-alert", "ip.opt.type=148 ip.opt.len=4 ip.opt.ra=0 ip.hdr_len=24"),
            ("security", "ip.opt.type=130,0 ip.opt.len=3 ip.hdr_len=24"),
        ] {
            cases.add(
                &format!("ipv4 --to {{PEER}} --socket {socket} --option {option} --size 32"),
                &[&format!("ip.dst={{PEER}} {meant} {ICMP}")],
            );
        }
    }
    cases.add(
        "ipv4 --to {PEER} --socket hdrincl --payload udp --size 32 --option router-alert --option record-route",
        &[&format!("ip.opt.type=148,7,0 ip.opt.len=4,15 ip.hdr_len=40 {UDP}")],
    );
}

/// Headers between that of IPv6 and the payload.
fn extensions(cases: &mut Cases) {
    const HOP: &str = "ipv6.opt.router_alert=0";
    for socket in ["raw", "hdrincl", "cooked {link}", "packet {link}"] {
        for (headers, meant) in [
            ("--header hop-by-hop", format!("ipv6.nxt=0 ipv6.hopopts.nxt=17 {HOP} ipv6.dst={{PEER6}}")),
            ("--header destination", "ipv6.nxt=60 ipv6.dstopts.nxt=17 ipv6.opt.type=0x1e,0x01 ipv6.opt.experimental=736f636b657965 ipv6.dst={PEER6}".to_owned()),
            (
                "--header hop-by-hop --header destination",
                format!("ipv6.nxt=0 ipv6.hopopts.nxt=60 ipv6.dstopts.nxt=17 {HOP} ipv6.dst={{PEER6}}"),
            ),
        ] {
            cases.add(
                &format!("ipv6 --to {{PEER6}} --payload udp --size 32 --socket {socket} {headers}"),
                &[&format!("{meant} {UDP}")],
            );
        }
    }
    // To somebody behind the peer, who is the first hop. What is left to visit, and the addresses as they stand there.
    for socket in ["hdrincl", "packet {link}"] {
        for (header, meant) in [
            ("routing0:{PEER6}", "ipv6.routing.type=0 ipv6.routing.segleft=1 ipv6.routing.src.addr=2001:db8::7"),
            (
                "routing4:{PEER6}",
                "ipv6.routing.type=4 ipv6.routing.segleft=1 ipv6.routing.srh.addr=2001:db8::7,{PEER6} ipv6.routing.srh.last_entry=1",
            ),
            (
                "routing4:{PEER6},fd09::7",
                "ipv6.routing.type=4 ipv6.routing.segleft=2 ipv6.routing.srh.addr=2001:db8::7,fd09::7,{PEER6}",
            ),
        ] {
            cases.add(
                &format!(
                    "ipv6 --to 2001:db8::7 --from {{SELF6}} --payload udp --size 32 --socket {socket} --header {header}"
                ),
                &[&format!("ipv6.dst={{PEER6}} ipv6.nxt=43 {meant} {UDP}")],
            );
        }
        cases.add(
            &format!("ipv6 --to {{PEER6}} --payload udp --size 32 --socket {socket} --header routing2:2001:db8::7"),
            &[&format!("ipv6.dst={{PEER6}} ipv6.nxt=43 ipv6.routing.type=2 ipv6.routing.segleft=1 ipv6.routing.mipv6.home_address=2001:db8::7 {UDP}")],
        );
    }
    cases.add(
        "ipv6 --to 2001:db8::7 --from {SELF6} --payload icmp --size 32 --socket hdrincl --header hop-by-hop --header destination \
         --header routing4:{PEER6} --header destination",
        &[&format!("ipv6.dst={{PEER6}} ipv6.nxt=0 ipv6.hopopts.nxt=60 ipv6.dstopts.nxt=43,58 ipv6.routing.nxt=60 {ICMP6}")],
    );
}

/// Pieces, which tshark puts together again.
fn fragments(cases: &mut Cases) {
    for socket in ["hdrincl", "cooked {link}", "packet {link}"] {
        for (payload, first, last) in [
            ("icmp", "ip.proto=1", "icmp.ident={id} data.len=1400 icmp.checksum.status=1"),
            ("udp", "ip.proto=17", "udp.srcport={id} data.len=1400 udp.checksum.status=1"),
            ("tcp", "ip.proto=6", "tcp.srcport={id} tcp.len=1400 tcp.checksum.status=1"),
        ] {
            cases.add(
                &format!("ipv4 --to {{PEER}} --payload {payload} --size 1400 --fragment 620 --socket {socket}"),
                &[
                    &format!("{first} ip.id=0x{{hex}} ip.len=620 ip.flags.mf=1 ip.frag_offset=0 ip.flags.df=0"),
                    &format!("{first} ip.id=0x{{hex}} ip.len=620 ip.flags.mf=1 ip.frag_offset=75"),
                    &format!("{first} ip.id=0x{{hex}} ip.flags.mf=0 ip.frag_offset=150 ip.fragment.count=3 {last}"),
                ],
            );
        }
        for (payload, next, last) in [
            ("icmp", 58, "icmpv6.echo.identifier=0x{hex} data.len=1400 icmpv6.checksum.status=1"),
            ("udp", 17, "udp.srcport={id} data.len=1400 udp.checksum.status=1"),
            ("tcp", 6, "tcp.srcport={id} tcp.len=1400 tcp.checksum.status=1"),
        ] {
            let each = format!("ipv6.nxt=44 ipv6.fraghdr.nxt={next} ipv6.fraghdr.ident=0x0000{{hex}}");
            cases.add(
                &format!("ipv6 --to {{PEER6}} --payload {payload} --size 1400 --fragment 648 --socket {socket}"),
                &[
                    &format!("{each} ipv6.plen=608 ipv6.fraghdr.more=1 ipv6.fraghdr.offset=0"),
                    &format!("{each} ipv6.plen=608 ipv6.fraghdr.more=1 ipv6.fraghdr.offset=75"),
                    &format!("{each} ipv6.fraghdr.more=0 ipv6.fraghdr.offset=150 ipv6.fragment.count=3 {last}"),
                ],
            );
        }
    }
    // The alert is for each router; the record of the way goes with the first piece only.
    cases.add(
        "ipv4 --to {PEER} --payload udp --size 800 --fragment 640 --socket hdrincl --option router-alert --option record-route",
        &[
            "ip.id=0x{hex} ip.hdr_len=40 ip.len=640 ip.opt.type=148,7,0 ip.flags.mf=1",
            "ip.id=0x{hex} ip.hdr_len=24 ip.opt.type=148 ip.opt.ra=0 ip.frag_offset=75 udp.srcport={id} data.len=800",
        ],
    );
    // Hop-by-hop options are in each piece, destination options are cut like the rest.
    cases.add(
        "ipv6 --to {PEER6} --payload udp --size 1000 --fragment 656 --socket hdrincl --header hop-by-hop --header destination",
        &[
            "ipv6.nxt=0 ipv6.hopopts.nxt=44 ipv6.fraghdr.nxt=60 ipv6.fraghdr.offset=0 ipv6.plen=616 ipv6.opt.router_alert=0",
            "ipv6.nxt=0 ipv6.hopopts.nxt=44 ipv6.fraghdr.nxt=60 ipv6.fraghdr.offset=75 ipv6.opt.router_alert=0 \
             ipv6.dstopts.nxt=17 udp.srcport={id} data.len=1000",
        ],
    );
    cases.add(
        "ipv6 --to 2001:db8::7 --from {SELF6} --payload udp --size 1000 --fragment 672 --socket packet {link} --header routing4:{PEER6}",
        &[
            "ipv6.dst={PEER6} ipv6.nxt=43 ipv6.routing.nxt=44 ipv6.fraghdr.nxt=17 ipv6.fraghdr.offset=0",
            "ipv6.dst={PEER6} ipv6.nxt=43 ipv6.routing.nxt=44 ipv6.fraghdr.more=0 udp.srcport={id} data.len=1000",
        ],
    );
}

/// Who has an address, and which routers there are.
fn link(cases: &mut Cases) {
    cases.add(
        "arp --interface veth0 --from {from4} announce",
        &["eth.dst=ff:ff:ff:ff:ff:ff arp.opcode=1 arp.src.proto_ipv4={from4} arp.dst.proto_ipv4={from4} arp.dst.hw_mac=00:00:00:00:00:00"],
    );
    cases.add(
        "neighbors --interface veth0 solicit fd09::{hex}",
        &["icmpv6.type=135 ipv6.hlim=255 ipv6.dst=ff02::1:ff00:{hex} icmpv6.nd.ns.target_address=fd09::{hex} icmpv6.opt.type=1"],
    );
    cases.add(
        "neighbors --interface veth0 advertise fd09::{hex}",
        &["icmpv6.type=136 ipv6.hlim=255 ipv6.dst=ff02::1 icmpv6.nd.na.target_address=fd09::{hex} icmpv6.nd.na.flag.o=1 \
           icmpv6.nd.na.flag.s=0 icmpv6.nd.na.flag.r=0 icmpv6.opt.type=2"],
    );
    cases.add("neighbors --interface veth0 router --prefix 2001:db8:{hex}::", &[ROUTER]);
    for socket in ["cooked", "packet"] {
        cases.add(
            &format!("neighbors --interface veth0 --socket {socket} --from fe80::{{hex}} solicit {{PEER6}}"),
            &["eth.dst=33:33:ff:00:00:01 icmpv6.type=135 ipv6.hlim=255 ipv6.src=fe80::{hex} icmpv6.nd.ns.target_address={PEER6}"],
        );
        cases.add(
            &format!("neighbors --interface veth0 --socket {socket} --from fe80::{{hex}} advertise fe80::{{hex}}"),
            &["eth.dst=33:33:00:00:00:01 icmpv6.type=136 ipv6.hlim=255 icmpv6.nd.na.target_address=fe80::{hex}"],
        );
        cases.add(
            &format!("neighbors --interface veth0 --socket {socket} --from fe80::{{hex}} routers"),
            &["eth.dst=33:33:00:00:00:02 icmpv6.type=133 ipv6.hlim=255 ipv6.dst=ff02::2 icmpv6.opt.type=1"],
        );
        cases.add(
            &format!(
                "neighbors --interface veth0 --socket {socket} --from fe80::{{hex}} router --prefix 2001:db8:{{hex}}::"
            ),
            &[ROUTER],
        );
        let meant = "eth.dst=01:00:5e:00:00:02 ip.src={from4} ip.dst=224.0.0.2 ip.ttl=1 icmp.type=10";
        cases.add(&format!("irdp --interface veth0 --socket {socket} --from {{from4}} solicit"), &[meant]);
    }
    cases.add(
        "irdp --interface veth0 --from {from4} advertise --router {PEER}:-7 --router {SELF} --lifetime 60",
        &["eth.dst=01:00:5e:00:00:01 ip.src={from4} icmp.type=9 icmp.num_addrs=2 icmp.lifetime=60 \
           icmp.router_address={PEER},{SELF} icmp.pref_level=-7,0"],
    );
}

/// Echoes and what dies on its way, on the sockets that the founding page has none for.
fn asking(cases: &mut Cases) {
    for (socket, link) in [("hdrincl", ""), ("cooked", "{link}")] {
        cases.add(
            &format!("ping {{PEER}} --socket {socket} {link} --wait 60000"),
            &["ip.dst={PEER} ip.ttl=64 icmp.type=8 icmp.ident={id} icmp.seq=1 data.len=56"],
        );
    }
    cases.add(
        "ping {PEER6} --count 2 --size 8 --wait 60000",
        &[
            "ipv6.dst={PEER6} icmpv6.echo.identifier=0x{hex} icmpv6.echo.sequence_number=1 data.len=8",
            "ipv6.dst={PEER6} icmpv6.echo.identifier=0x{hex} icmpv6.echo.sequence_number=2 data.len=8",
        ],
    );
    for (payload, meant) in [
        ("icmp", "icmp.type=8 icmp.ident={id}"),
        ("udp", "udp.srcport={id} udp.dstport=33434"),
        ("tcp", "tcp.srcport={id} tcp.flags=0x0002"),
    ] {
        cases.add(
            &format!("traceroute {{PEER}} --payload {payload} --wait 60000 --tries 1"),
            &[&format!("ip.dst={{PEER}} ip.ttl=1 {meant}")],
        );
        let meant = if payload == "icmp" { "icmpv6.type=128 icmpv6.echo.identifier=0x{hex}" } else { meant };
        cases.add(
            &format!("traceroute {{PEER6}} --payload {payload} --wait 60000 --tries 1"),
            &[&format!("ipv6.dst={{PEER6}} ipv6.hlim=1 {meant}")],
        );
    }
}

const ROUTER: &str = "icmpv6.type=134 ipv6.hlim=255 ipv6.dst=ff02::1 icmpv6.nd.ra.cur_hop_limit=64 icmpv6.nd.ra.flag=0x00 \
                      icmpv6.nd.ra.router_lifetime=1800 icmpv6.opt.type=1,5,3 icmpv6.opt.mtu=1500 \
                      icmpv6.opt.prefix=2001:db8:{hex}:: icmpv6.opt.prefix.length=64 icmpv6.opt.prefix.flag=0xc0 \
                      icmpv6.opt.prefix.valid_lifetime=7200 icmpv6.opt.prefix.preferred_lifetime=1800";

/// A packet in a packet.
fn tunnels(cases: &mut Cases) {
    for socket in ["hdrincl", "packet {link}"] {
        for (payload, meant) in PAYLOADS6 {
            cases.add(
                &format!("tunnel --to 2002:a09:1::7 --from 2002:a09:2::7 --via {{PEER}} --payload {payload} --size 32 --socket {socket}"),
                &[&format!("ip.src={{SELF}} ip.dst={{PEER}} ip.proto=41 ipv6.src=2002:a09:2::7 ipv6.dst=2002:a09:1::7 {meant}")],
            );
        }
        for (payload, meant) in PAYLOADS {
            cases.add(
                &format!("tunnel --to 192.0.2.1 --from 192.0.2.2 --via {{PEER6}} --payload {payload} --size 32 --socket {socket}"),
                &[&format!("ipv6.src={{SELF6}} ipv6.dst={{PEER6}} ipv6.nxt=4 ip.src=192.0.2.2 ip.dst=192.0.2.1 {meant}")],
            );
        }
    }
    cases.add(
        "tunnel --to 192.0.2.1 --from 192.0.2.2 --via {PEER} --payload udp --size 32",
        &[&format!("ip.src={{SELF}},192.0.2.2 ip.dst={{PEER}},192.0.2.1 ip.proto=4,17 {UDP}")],
    );
    cases.add(
        "tunnel --to 2001:db8::1 --from 2001:db8::2 --via {PEER6} --payload udp --size 32",
        &[&format!("ipv6.src={{SELF6}},2001:db8::2 ipv6.dst={{PEER6}},2001:db8::1 ipv6.nxt=41,17 {UDP}")],
    );
}

/// What is proved or sealed. tshark has the keys, and says whether what is sealed is right.
fn security(cases: &mut Cases) {
    for (line, before) in [
        ("ipsec --to {PEER}", "ip.src={SELF} ip.dst={PEER}"),
        ("ipsec --to 192.0.2.1 --from 192.0.2.2 --via {PEER}", "ip.src={SELF},192.0.2.2 ip.dst={PEER},192.0.2.1"),
        ("ipsec --to {PEER6}", "ipv6.src={SELF6} ipv6.dst={PEER6}"),
        (
            "ipsec --to 2001:db8::1 --from 2001:db8::2 --via {PEER6}",
            "ipv6.src={SELF6},2001:db8::2 ipv6.dst={PEER6},2001:db8::1",
        ),
    ] {
        let payloads = if before.contains("ipv6") { PAYLOADS6 } else { PAYLOADS };
        // Words of four bytes, less two; in IPv6 an even number of them.
        let length = if before.contains("ipv6") { "ah.length=6" } else { "ah.length=5" };
        for (payload, meant) in payloads {
            let line = format!("{line} --spi {{id}} --payload {payload} --size 32");
            let ah = format!("{before} ah.spi=0x0000{{hex}} ah.sequence=1 {length} {meant}");
            cases.add(&format!("{line} --protocol ah"), &[&ah]);
            let esp = format!("{before} esp.spi=0x0000{{hex}} esp.sequence=1 esp.icv_good=1 {meant}");
            for cipher in ["null", "aes-gcm"] {
                cases.add(&format!("{line} --protocol esp --cipher {cipher}"), &[&esp]);
            }
        }
    }
    cases.add(
        "ipsec --to {PEER} --protocol ah --spi {id} --payload udp --size 32 --socket packet {link}",
        &[&format!("eth.dst={{mac}} ah.spi=0x0000{{hex}} {UDP}")],
    );
}

pub(super) struct Cases {
    mac: String,
    cases: Vec<Case>,
}

impl Cases {
    pub(super) fn add(&mut self, command: &str, frames: &[&str]) {
        // Four digits, not one of them a letter, whichever way it is written: 0x1000 and on.
        let id = 0x1000 + self.cases.len() as u16;
        let fill_in = |text: &str| {
            text.replace("{link}", "--interface veth0 --mac {mac}")
                .replace("{mac}", &self.mac)
                .replace("{PEER}", "10.9.0.1")
                .replace("{SELF}", "10.9.0.2")
                .replace("{PEER6}", "fd09::1")
                .replace("{SELF6}", "fd09::2")
                .replace("{from4}", &format!("10.9.{}.{}", id >> 8, id & 0xff))
                .replace("{id}", &id.to_string())
                .replace("{hex}", &format!("{id:04x}"))
        };
        let takes_id = !["arp", "neighbors", "irdp"].contains(&command.split(' ').next().unwrap_or_default());
        let mut command = if takes_id { format!("{command} --id {{id}}") } else { command.to_owned() };
        if command.starts_with("ipsec") && !command.contains("--spi") {
            command += " --spi {id}";
        }
        let fields = |frame: &&str| {
            let words = fill_in(frame);
            let pairs = words.split_whitespace().map(|word| word.split_once('=').expect("a field and its value"));
            pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
        };
        let numbered = ["{id}", "{hex}", "{from4}"].iter().any(|number| command.contains(number));
        let (command, frames) = (fill_in(&command), frames.iter().map(fields).collect());
        self.cases.push(Case { id, numbered, command, frames });
    }
}
