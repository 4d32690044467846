//! What tshark makes of a capture: one row a frame, of the fields that anybody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sockeye_peers::{Process, Scene, Side};

use super::cases::{CIPHER_KEY, Case, KEY};

/// A frame's fields by name. What occurs several times is parted by commas, what does not occur is empty.
pub(super) type Row = BTreeMap<String, String>;

/// Fields that tell which case a frame belongs to, and what tshark thinks of it.
const ALWAYS: &[&str] = &[
    "frame.number",
    "eth.src",
    "icmp.ident",
    "icmpv6.echo.identifier",
    "udp.srcport",
    "tcp.srcport",
    "ip.id",
    "ip.src",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.fraghdr.ident",
    "ipv6.src",
    "arp.src.proto_ipv4",
    "icmpv6.nd.ns.target_address",
    "icmpv6.nd.na.target_address",
    "icmpv6.opt.prefix",
    "ah.spi",
    "esp.spi",
    "ip.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
];

/// A capture in rows.
pub(super) struct Decoded {
    rows: Vec<Row>,
}

impl Decoded {
    /// Decodes a capture, with the fields and the keys that the cases want.
    pub(super) fn new(scene: &Scene, file: &Path, cases: &[Case]) -> Decoded {
        let wanted = cases.iter().flat_map(|case| case.frames.iter().flatten()).map(|(field, _)| field.as_str());
        let fields: BTreeSet<&str> = ALWAYS.iter().copied().chain(wanted).collect();
        let keys: Vec<String> = cases.iter().filter_map(key).collect();
        Decoded { rows: rows(scene, file, &fields.into_iter().collect::<Vec<_>>(), &keys) }
    }

    /// What is wrong with the frames of a case.
    pub(super) fn judge(&self, case: &Case, peers_mac: &str) -> Result<(), String> {
        let ours = || self.rows.iter().filter(|row| row["eth.src"] != peers_mac);
        if !case.numbered {
            // The subject itself may say the same.
            let is_meant = |row: &Row| case.frames[0].iter().all(|(field, value)| row[field] == *value);
            let found = ours().find(|row| is_meant(row) && complaints(row).is_empty());
            return found.map(drop).ok_or(format!("{}\n    no frame as it was meant", case.command));
        }
        let rows: Vec<&Row> = ours().filter(|row| belongs(row, case.id)).collect();
        let mut wrong = Vec::new();
        if rows.len() != case.frames.len() {
            wrong.push(format!("{} frames instead of {}", rows.len(), case.frames.len()));
        }
        for (row, meant) in rows.iter().zip(&case.frames) {
            for (field, value) in meant.iter().filter(|(field, value)| row[field] != *value) {
                wrong.push(format!("{field} is {:?} instead of {value:?}", row[field]));
            }
            wrong.extend(complaints(row));
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n    {}", case.command, wrong.join("\n    "))) }
    }
}

/// What tshark itself does not like.
fn complaints(row: &Row) -> Vec<String> {
    // Good, and nothing else: neither bad nor not verified.
    let checksums = ["ip", "icmp", "icmpv6", "udp", "tcp"].map(|protocol| format!("{protocol}.checksum.status"));
    let bad = checksums.iter().filter(|field| row[*field].split(',').any(|status| !["", "1"].contains(&status)));
    let mut complaints: Vec<String> = bad.map(|field| format!("{field} is {:?}", row[field])).collect();
    if !row["_ws.malformed"].is_empty() {
        complaints.push("tshark calls it malformed".into());
    }
    // Chat and notes are remarks, warnings begin here.
    const WARNING: u32 = 0x0060_0000;
    let severe = |severity: &str| severity.parse().is_ok_and(|severity: u32| severity >= WARNING);
    if row["_ws.expert.severity"].split(',').any(severe) {
        complaints.push(format!("tshark says {:?}", row["_ws.expert.message"]));
    }
    complaints
}

/// Whether a frame bears the number of a case. The system's own identifications of whole packets do not count.
fn belongs(row: &Row, id: u16) -> bool {
    let is_fragment = row["ip.flags.mf"].starts_with('1') || !["", "0"].contains(&row["ip.frag_offset"].as_str());
    let has = |field: &str, value: String| row[field].split(',').any(|found| found == value);
    has("icmp.ident", id.to_string())
        || has("icmpv6.echo.identifier", format!("0x{id:04x}"))
        || has("udp.srcport", id.to_string())
        || has("tcp.srcport", id.to_string())
        || (is_fragment && has("ip.id", format!("0x{id:04x}")))
        || has("ipv6.fraghdr.ident", format!("0x{id:08x}"))
        || has("ah.spi", format!("0x{id:08x}"))
        || has("esp.spi", format!("0x{id:08x}"))
        || has("ip.src", format!("10.9.{}.{}", id >> 8, id & 0xff))
        || has("ipv6.src", format!("fe80::{id:x}"))
        || has("arp.src.proto_ipv4", format!("10.9.{}.{}", id >> 8, id & 0xff))
        || has("icmpv6.nd.ns.target_address", format!("fd09::{id:x}"))
        || has("icmpv6.nd.na.target_address", format!("fd09::{id:x}"))
        || has("icmpv6.opt.prefix", format!("2001:db8:{id:x}::"))
}

/// The key of a case that is sealed, as tshark takes it.
fn key(case: &Case) -> Option<String> {
    let family = if case.command.contains("::") { "IPv6" } else { "IPv4" };
    let hex = |key: &str| key.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    if !case.command.contains("--protocol esp") {
        return None;
    }
    let sealed = if case.command.contains("--cipher aes-gcm") {
        format!("\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x{}\",\"NULL\",\"\"", hex(CIPHER_KEY))
    } else {
        format!("\"NULL\",\"\",\"HMAC-SHA-256-128 [RFC4868]\",\"0x{}\"", hex(KEY))
    };
    Some(format!("uat:esp_sa:\"{family}\",\"*\",\"*\",\"0x{:08x}\",{sealed}", case.id))
}

/// Decodes a capture, with options of tshark's.
pub(super) fn rows(scene: &Scene, file: &Path, fields: &[&str], options: &[String]) -> Vec<Row> {
    let mut command = scene.command(Side::Peer, "tshark");
    command.arg("-r").arg(file).args([
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=,",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let verify = ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"];
    let decrypt = ["esp.enable_encryption_decode", "esp.enable_authentication_check"];
    for option in verify.iter().chain(&decrypt) {
        command.args(["-o", &format!("{option}:TRUE")]);
    }
    for option in options {
        command.args(["-o", option]);
    }
    let text = Process::start(&mut command).success().text();
    let row =
        |line: &str| fields.iter().map(|field| field.to_string()).zip(line.split('\t').map(str::to_owned)).collect();
    text.lines().map(row).collect()
}
