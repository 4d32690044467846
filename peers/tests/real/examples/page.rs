//! The table in `examples/README.md` that leads from the founding page's programs to ours: each of its lines is run as it stands there, and
//! here is what is meant by it.

use super::cases::{Cases, ICMP, ICMP6, TCP_DATA, UDP};

/// Lines that only receive: [`super::receivers_say_what_was_sent`] runs them.
pub(super) const RECEIVERS: [&str; 4] = ["receive_arp", "receive_ra4", "receive_na", "receive_ra6"];

const README: &str = include_str!("../../../../examples/README.md");

/// The rows of the table: his program, and our command.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let table = README.split_once("| his | ours |").expect("a table").1;
    table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix("` |")?.split("` | `");
        Some((cells.next()?, cells.next()?))
    })
}

/// Our command for a program of his, between the hosts of the lab.
pub(super) fn line(name: &str) -> String {
    let (_, line) = rows().find(|(his, _)| *his == name).unwrap_or_else(|| panic!("no row for {name}"));
    // What ends with a 6 begins with the other.
    let names = [("LINK", "{link}"), ("eth0", "veth0"), ("HOST6", "{PEER6}"), ("HOST", "{PEER}"), ("SELF6", "{SELF6}")];
    let line = names.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
    let line = if line.contains("{SELF6}") { line } else { line.replace("SELF", "{SELF}") };
    match line.split(' ').next() {
        // Under load an answer may take its time, and a second packet would be none of those that are meant.
        Some("ping") => format!("{line} --wait 60000"),
        Some("traceroute") => format!("{line} --wait 60000 --tries 1"),
        _ => line,
    }
}

/// All rows that send.
pub(super) fn add(cases: &mut Cases) {
    let meant = meant();
    let mut named: Vec<&str> = meant.iter().map(|(name, _)| *name).chain(RECEIVERS).collect();
    let mut known: Vec<&str> = rows().map(|(name, _)| name).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known, "what is meant, and what stands in the table");
    for (name, frames) in &meant {
        cases.add(&line(name), &frames.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

const SYN: &str = "tcp.srcport={id} tcp.dstport=33434 tcp.flags=0x0002 tcp.len=0";
const SYN_MSS: &str = "tcp.srcport={id} tcp.flags=0x0002 tcp.hdr_len=24 tcp.options.mss_val=1460";
const SYN_BOTH: &str = "tcp.srcport={id} tcp.flags=0x0002 tcp.options.mss_val=1460 tcp.options.timestamp.tsval=1";
const GET: &str = "tcp.srcport={id} tcp.dstport=80 tcp.flags=0x0018 http.request.method=GET";
const PING: &str = "icmp.type=8 icmp.ident={id} icmp.seq=1 data.len=56";
const PING6: &str = "icmpv6.type=128 icmpv6.echo.identifier=0x{hex} icmpv6.echo.sequence_number=1 data.len=56";

/// Each program of his, and the frames that ours sends.
fn meant() -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    let mut one = |name, frame: String| all.push((name, vec![frame]));

    let ours = "ip.src={SELF} ip.dst={PEER} ip.ttl=64 ip.flags.df=1 ip.id=0x{hex}";
    let framed = format!("eth.dst={{mac}} {ours}");
    for (name, header, payload) in [
        ("tcp4", ours, SYN),
        ("get4", ours, GET),
        ("icmp4", ours, ICMP),
        ("udp4", ours, UDP),
        ("tcp4_ll", &framed, SYN),
        ("get4_ll", &framed, GET),
        ("icmp4_ll", &framed, ICMP),
        ("ping4_ll", &framed, PING),
        ("udp4_ll", &framed, UDP),
        ("tr4_ll", "eth.dst={mac} ip.dst={PEER} ip.ttl=1", "icmp.type=8 icmp.ident={id}"),
        ("tcp4_cooked", &framed, SYN),
        ("get4_cooked", &framed, GET),
        ("icmp4_cooked", &framed, ICMP),
        ("udp4_cooked", &framed, UDP),
        ("tcp4_maxseg", "ip.hdr_len=20", SYN_MSS),
        ("tcp4_maxseg_tsopt", "ip.hdr_len=20", SYN_BOTH),
        ("tcp4_maxseg-timestamp", "ip.opt.type=68 ip.opt.flag=0x01", SYN_MSS),
        ("tcp4_maxseg-security", "ip.opt.type=130,0", SYN_MSS),
        ("tcp4_2ip-opts_2tcp_opts", "ip.opt.type=68,130,0", SYN_BOTH),
    ] {
        one(name, format!("{header} {payload}"));
    }

    let ours = "ipv6.src={SELF6} ipv6.dst={PEER6} ipv6.hlim=64";
    let told = "ipv6.src={SELF6} ipv6.dst={PEER6} ipv6.hlim=5";
    let echo = "icmpv6.type=128 icmpv6.echo.identifier=0x{hex}";
    let framed = format!("eth.dst={{mac}} {ours}");
    let tunnel = "ip.src={SELF} ip.dst={PEER} ip.proto=41 ipv6.src=2002:c000:202::1 ipv6.dst=2002:c000:201::1";
    for (name, header, payload) in [
        ("icmp6_ancillary1", told, echo),
        ("icmp6_ancillary2", told, echo),
        ("icmp6_ancillary3", told, echo),
        ("tcp6_ll", &framed, SYN),
        ("get6_ll", &framed, GET),
        ("icmp6_ll", &framed, ICMP6),
        ("ping6_ll", &framed, PING6),
        ("udp6_ll", &framed, UDP),
        ("tr6_ll", "eth.dst={mac} ipv6.dst={PEER6} ipv6.hlim=1", echo),
        ("tcp6_cooked", &framed, SYN),
        ("get6_cooked", &framed, GET),
        ("icmp6_cooked", &framed, ICMP6),
        ("udp6_cooked", &framed, UDP),
        ("tcp6_maxseg", ours, SYN_MSS),
        ("tcp6_maxseg_tsopt", ours, SYN_BOTH),
        ("tcp6_6to4", tunnel, SYN),
        ("get6_6to4", tunnel, GET),
        ("icmp6_6to4", tunnel, ICMP6),
        ("ping6_6to4", "ip.dst={PEER} ip.proto=41 ipv6.dst=2002:c000:201::7", PING6),
        ("udp6_6to4", tunnel, UDP),
    ] {
        one(name, format!("{header} {payload}"));
    }

    for (name, frame) in [
        // Whoever asks has no number; the program itself waits for the answer.
        ("arp", "eth.dst=ff:ff:ff:ff:ff:ff arp.opcode=1 arp.src.proto_ipv4={SELF} arp.dst.proto_ipv4={PEER}"),
        ("rs4", "ip.src={SELF} ip.dst=224.0.0.2 ip.ttl=1 icmp.type=10 icmp.code=0"),
        (
            "ra4",
            "ip.src={SELF} ip.dst=224.0.0.1 ip.ttl=1 icmp.type=9 icmp.code=0 icmp.num_addrs=1 icmp.addr_entry_size=2 \
             icmp.lifetime=1800 icmp.router_address={SELF} icmp.pref_level=10",
        ),
        (
            "ns",
            "ipv6.dst=ff02::1:ff00:1 ipv6.hlim=255 icmpv6.type=135 icmpv6.nd.ns.target_address={PEER6} icmpv6.opt.type=1",
        ),
        ("na", "ipv6.dst=ff02::1 ipv6.hlim=255 icmpv6.type=136 icmpv6.nd.na.target_address={SELF6} icmpv6.opt.type=2"),
        ("rs6", "ipv6.dst=ff02::2 ipv6.hlim=255 icmpv6.type=133 icmpv6.opt.type=1"),
        ("ra6", "ipv6.dst=ff02::1 ipv6.hlim=255 icmpv6.type=134 icmpv6.opt.prefix=2001:db8:1:: icmpv6.opt.type=1,5,3"),
    ] {
        one(name, frame.to_owned());
    }

    let data = TCP_DATA;
    for (name, payload) in [
        ("tcp4_frag", format!("{data} tcp.checksum.status=1")),
        ("icmp4_frag", "icmp.ident={id} data.len=3000 icmp.checksum.status=1".to_owned()),
        ("udp4_frag", "udp.srcport={id} data.len=3000 udp.checksum.status=1".to_owned()),
    ] {
        let each = "eth.dst={mac} ip.id=0x{hex} ip.flags.df=0";
        all.push((
            name,
            vec![
                format!("{each} ip.len=1500 ip.flags.mf=1 ip.frag_offset=0"),
                format!("{each} ip.len=1500 ip.flags.mf=1 ip.frag_offset=185"),
                format!("{each} ip.flags.mf=0 ip.frag_offset=370 ip.fragment.count=3 {payload}"),
            ],
        ));
    }
    let icmp6 = "icmpv6.echo.identifier=0x{hex} data.len=3000 icmpv6.checksum.status=1";
    let udp = "udp.srcport={id} data.len=3000 udp.checksum.status=1";
    let hop = "ipv6.nxt=0 ipv6.hopopts.nxt=44 ipv6.opt.router_alert=0";
    let tunnel = "ipv6.src={SELF6},2001:db8::2 ipv6.dst={PEER6},2001:db8::1";
    for (name, each, after) in [
        ("tcp6_frag", "eth.dst={mac} ipv6.nxt=44".to_owned(), data.to_owned()),
        ("icmp6_frag", "eth.dst={mac} ipv6.nxt=44".to_owned(), icmp6.to_owned()),
        ("udp6_frag", "eth.dst={mac} ipv6.nxt=44".to_owned(), udp.to_owned()),
        ("tcp6_6to4_frag", "ip.proto=41 ip.dst={PEER} ipv6.nxt=44".to_owned(), data.to_owned()),
        ("icmp6_6to4_frag", "ip.proto=41 ip.dst={PEER} ipv6.nxt=44".to_owned(), icmp6.to_owned()),
        ("udp6_6to4_frag", "ip.proto=41 ip.dst={PEER} ipv6.nxt=44".to_owned(), udp.to_owned()),
        ("tcp6_hop_frag", hop.to_owned(), data.to_owned()),
        ("tcp6_hop_dst_frag", format!("{hop} ipv6.fraghdr.nxt=60"), format!("ipv6.dstopts.nxt=6 {data}")),
        (
            "tcp6_hop_route3_frag",
            "ipv6.dst={PEER6} ipv6.hopopts.nxt=43 ipv6.routing.nxt=44 ipv6.routing.type=3 ipv6.routing.segleft=1 \
             ipv6.routing.rpl.full_address=2001:db8::7"
                .to_owned(),
            data.to_owned(),
        ),
        (
            "tcp6_hop_auth-tr_frag",
            format!("{hop} ipv6.fraghdr.nxt=51"),
            format!("ah.spi=0x0000{{hex}} ah.sequence=1 ah.length=6 {data}"),
        ),
        (
            "tcp6_hop_auth-tun_frag",
            "ipv6.fraghdr.nxt=51 ipv6.hopopts.nxt=44".to_owned(),
            format!("{tunnel} ah.spi=0x0000{{hex}} ah.sequence=1 {data}"),
        ),
        (
            "tcp6_hop_esp-tr_frag",
            format!("{hop} ipv6.fraghdr.nxt=50"),
            format!("esp.spi=0x0000{{hex}} esp.sequence=1 esp.icv_good=1 {data}"),
        ),
        (
            "tcp6_hop_esp-tun_frag",
            "ipv6.fraghdr.nxt=50 ipv6.hopopts.nxt=44".to_owned(),
            format!("{tunnel} esp.spi=0x0000{{hex}} esp.sequence=1 esp.icv_good=1 {data}"),
        ),
    ] {
        let each = format!("{each} ipv6.fraghdr.ident=0x0000{{hex}}");
        all.push((
            name,
            vec![
                format!("{each} ipv6.fraghdr.more=1 ipv6.fraghdr.offset=0"),
                format!("{each} ipv6.fraghdr.more=1"),
                format!("{each} ipv6.fraghdr.more=0 ipv6.fragment.count=3 {after}"),
            ],
        ));
    }
    all
}
