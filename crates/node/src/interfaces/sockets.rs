//! The files of `/proc/net` about sockets: `tcp`, `udp`, `raw`, `icmp` of both families, and `packet`.
//!
//! `netstat -p`, `lsof` and psutil find the program of a socket by its inode: they look for `socket:[INODE]` among all
//! processes' descriptors. What a program holds is its end of a Unix pair, which has an inode of its own; so that is the
//! inode told here. Nobody pays for it before somebody asks: the kernel's own list of Unix sockets has it, by the name
//! that each end is bound to.
//!
//! A socket of AF_INET6 stands in the file of IPv6 with the addresses that its program sees, mapped ones too. Pointers are
//! zeros, as the kernel shows them to whoever may not see them.
//!
//! # Standards
//!
//! proc_net(5); `get_tcp4_sock`, `get_tcp6_sock`, `udp4_format_sock`, `__ip6_dgram_sock_seq_show`, `raw_sock_seq_show` and
//! `packet_seq_show` of Linux.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sockeye_control::{self as control, SocketName};
use sockeye_socket::{Body, SocketId, SocketView};
use sockeye_stack::raw::Kind;
use sockeye_stack::tcp::{Flow, Side, State, Summary, TimerInfo};

use super::proc_net::{backwards, line};
use crate::node::Node;

/// Ticks of a second in files (USER_HZ).
const TICK: Duration = Duration::from_millis(10);
/// TCP_ESTABLISHED and TCP_CLOSE, which sockets of other protocols have as states, too.
const ESTABLISHED: u8 = 1;
const CLOSED: u8 = 7;

/// Which inode each program's end has.
type Inodes = HashMap<control::SocketId, u64>;

/// A line of a file.
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    transmit_queue: usize,
    receive_queue: usize,
    /// Which timer runs, its ticks, how often it fired, and how often a window was probed.
    timer: (u8, u128, u8, u8),
    uid: u32,
    inode: u64,
    /// What a connection or a listener has more: RTO and ACK timeout in ticks, window in segments, its threshold.
    more: Option<(u128, u128, u32, i64)>,
}

/// `/proc/net/tcp` or `tcp6`.
pub(super) fn tcp(node: &Node, v6: bool) -> String {
    let mut text = if v6 {
        String::from(
            "  sl  local_address                         remote_address                        \
             st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
        )
    } else {
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        format!("{header:<149}\n")
    };
    let mut rows = connections(node);
    rows.retain(|row| row.local.is_ipv6() == v6);
    // Listeners come first.
    rows.sort_by_key(|row| row.state != code(State::Listen));
    for (at, row) in rows.iter().enumerate() {
        let (timer, when, retries, probes) = row.timer;
        // "%4d: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %pK %lu %lu %u %u %d"
        let mut line = format!(
            "{at:>4}: {} {} {:02X} {:08X}:{:08X} {timer:02X}:{when:08X} {retries:08X} {:>5} {probes:>8} {} 1 {:016x}",
            hex(row.local),
            hex(row.remote),
            row.state,
            row.transmit_queue,
            row.receive_queue,
            row.uid,
            row.inode,
            0
        );
        if let Some((rto, ato, window, threshold)) = row.more {
            line += &format!(" {rto} {ato} 0 {window} {threshold}");
        }
        match v6 {
            true => line!(text, "{line}"),
            false => line!(text, "{line:<149}"),
        }
    }
    text
}

/// `/proc/net/udp` or `udp6`; of UDP-Lite `udplite` or `udplite6`.
pub(super) fn udp(node: &Node, v6: bool, lite: bool) -> String {
    let mut text =
        if v6 { String::from(DATAGRAMS6) } else { format!("{:<127}\n", format!(" {}", DATAGRAMS.trim_end())) };
    let inodes = inodes();
    for view in node.host.iter() {
        let (Body::Datagram(udp), Some(local)) = (view.body, view.local) else { continue };
        if local.is_ipv6() != v6 || node.host.is_udp_lite(view.id) != lite {
            continue;
        }
        let remote = view.remote.unwrap_or(nowhere(local));
        let state = if view.remote.is_some() { ESTABLISHED } else { CLOSED };
        let waiting = node.host.stack().udp_status(udp).queued;
        let (uid, inode) = holder(node, Some(view.id), &inodes);
        // "%5d: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %pK %u"
        let line = format!(
            "{:>5}: {} {} {state:02X} {:08X}:{waiting:08X} {:02X}:{:08X} {:08X} {uid:>5} {:>8} {inode} 2 {:016x} 0",
            view.id.index(),
            hex(local),
            hex(remote),
            0,
            0,
            0,
            0,
            0,
            0
        );
        match v6 {
            true => line!(text, "{line}"),
            false => line!(text, "{line:<127}"),
        }
    }
    text
}

/// The first line of `raw`; with a space more, that of `udp`.
const DATAGRAMS: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
/// The first line of `udp6`, `raw6`, `icmp6`.
const DATAGRAMS6: &str = "  sl  local_address                         remote_address                        \
                                     st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

/// `/proc/net/raw`, `raw6`, `icmp` or `icmp6`. The port is the protocol, or an echo's identifier.
pub(super) fn raw(node: &Node, v6: bool, echo: bool) -> String {
    let width = if echo && !v6 { 127 } else { 0 };
    let header = if v6 { DATAGRAMS6 } else { DATAGRAMS };
    let mut text = format!("{:<width$}\n", header.trim_end());
    let inodes = inodes();
    let stack = node.host.stack();
    for view in node.host.iter() {
        let (Body::Raw(raw), Some(local)) = (view.body, view.local) else { continue };
        let kind = node.host.settings(view.id).and_then(|settings| settings.raw).map(|raw| raw.kind);
        if local.is_ipv6() != v6 || (kind == Some(Kind::Echo)) != echo {
            continue;
        }
        let peer = stack.raw_remote(raw);
        let remote = peer.map_or(nowhere(local), |(peer, _)| SocketAddr::new(peer, 0));
        let state = if peer.is_some() { ESTABLISHED } else { CLOSED };
        let waiting = stack.raw_status(raw).queued;
        let (uid, inode) = holder(node, Some(view.id), &inodes);
        // "%4d: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %pK %u", with an echo "%5d"
        let line = format!(
            "{:>at$}: {} {} {state:02X} {:08X}:{waiting:08X} {:02X}:{:08X} {:08X} {uid:>5} {:>8} {inode} 2 {:016x} 0",
            view.id.index(),
            hex(local),
            hex(remote),
            0,
            0,
            0,
            0,
            0,
            0,
            at = if echo || v6 { 5 } else { 4 },
        );
        line!(text, "{line:<width$}");
    }
    text
}

/// `/proc/net/packet`.
pub(super) fn packet(node: &Node) -> String {
    let mut text = String::from("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
    let inodes = inodes();
    for view in node.host.iter() {
        let Some(cooked) = node.host.is_cooked(view.id) else { continue };
        let (Ok(name), Body::Packet(packet)) = (node.host.packet_name(view.id), view.body) else { continue };
        let (uid, inode) = holder(node, Some(view.id), &inodes);
        let kind = if cooked { 2 } else { 3 };
        let (protocol, index) = (name.protocol, name.index);
        let running = u8::from(protocol != 0);
        let waiting = node.host.stack().packet_queued(packet);
        // "%pK %-6d %-4d %04x   %-5d %1d %-6u %-6u %-6lu\n"
        line!(
            text,
            "{:016x} {:<6} {kind:<4} {protocol:04x}   {index:<5} {running} {waiting:<6} {uid:<6} {inode:<6}",
            0,
            3
        );
    }
    text
}

/// All that TCP has, in no order.
fn connections(node: &Node) -> Vec<Row> {
    let inodes = inodes();
    let views: HashMap<SocketId, SocketView> = node.host.iter().map(|view| (view.id, view)).collect();
    let is_listener = |view: &&SocketView| matches!(view.body, Body::Listener(_));
    let listeners: HashMap<SocketAddr, SocketId> =
        views.values().filter(is_listener).filter_map(|view| Some((view.local?, view.id))).collect();
    let mut rows: Vec<Row> = Vec::new();
    for summary in node.host.stack().tcp_summaries(node.now) {
        let Summary { id, state, local, remote, receive_queue, send_queue, timer, orphan } = summary;
        let listens = state == State::Listen;
        let socket = match id.filter(|_| !orphan) {
            _ if listens => listeners.get(&local).copied(),
            Some(id) => node.host.socket_of(id),
            None => None,
        };
        let view = socket.and_then(|socket| views.get(&socket));
        let (uid, inode) = holder(node, socket, &inodes);
        let more = match id.and_then(|id| node.host.stack().tcp_info(node.now, id)) {
            _ if listens => Some((100, 0, 10, 0)),
            Some(info) if state != State::TimeWait => {
                let segment = info.send_mss.max(1);
                let threshold = match info.slow_start_threshold {
                    u32::MAX => -1,
                    bytes => i64::from(bytes / segment),
                };
                Some((ticks(info.rto), 4, (info.congestion_window / segment).max(1), threshold))
            }
            _ => None,
        };
        let local = view.and_then(|view| view.local).unwrap_or(local);
        let remote = if listens { nowhere(local) } else { view.and_then(|view| view.remote).unwrap_or(remote) };
        rows.push(Row {
            local,
            remote,
            state: code(state),
            transmit_queue: if listens { 0 } else { send_queue },
            receive_queue,
            timer: timer.as_ref().map_or((0, 0, 0, 0), timer_of),
            uid,
            inode,
            more,
        });
    }
    for (_, local) in node.boundary.locals.table.iter() {
        for side in [Side::Connecting, Side::Accepting] {
            let Some(end) = local.end(side) else { continue };
            let Some(Body::Joined(joined, _)) = node.host.body(end.socket) else { continue };
            let stack = node.host.stack();
            let (info, flow) = (stack.tcp_joined_info(joined, side), stack.tcp_joined_addresses(joined, side));
            let (Some(info), Some(Flow { local, remote })) = (info, flow) else { continue };
            let view = views.get(&end.socket);
            rows.push(Row {
                local: view.and_then(|view| view.local).unwrap_or(local),
                remote: view.and_then(|view| view.remote).unwrap_or(remote),
                state: code(info.state),
                transmit_queue: 0,
                receive_queue: 0,
                timer: (0, 0, 0, 0),
                uid: end.identity.owner.uid,
                inode: inodes.get(&end.identity.id).copied().unwrap_or(0),
                more: Some((20, 4, 10, -1)),
            });
        }
    }
    rows
}

/// Whose a socket is, and the inode by which its holders are found.
fn holder(node: &Node, socket: Option<SocketId>, inodes: &Inodes) -> (u32, u64) {
    let end = socket.and_then(|socket| node.boundary.end_of(socket));
    end.map_or((0, 0), |end| (end.owner.uid, inodes.get(&end.id).copied().unwrap_or(0)))
}

/// Reads the kernel's list of Unix sockets: each of our ends is bound to its name.
fn inodes() -> Inodes {
    let list = std::fs::read("/proc/thread-self/net/unix").unwrap_or_default();
    // Num RefCount Protocol Flags Type St Inode Path; an abstract path begins with @ in place of its zero.
    let of_line = |line: &[u8]| {
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let inode = std::str::from_utf8(words.nth(6)?).ok()?.parse().ok()?;
        let path = words.next()?.strip_prefix(b"@")?;
        Some((SocketName::parse(&[b"\0", path].concat())?.id, inode))
    };
    list.split(|&byte| byte == b'\n').filter_map(of_line).collect()
}

/// What stands for the peer where there is none.
fn nowhere(local: SocketAddr) -> SocketAddr {
    let ip = if local.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(ip, 0)
}

/// `%08X:%04X`, of IPv6 four words.
fn hex(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{}:{:04X}", backwards(ip), address.port()),
        IpAddr::V6(ip) => {
            let words = ip.octets();
            let words = words.chunks_exact(4).filter_map(|word| word.first_chunk::<4>());
            let words: String = words.map(|&word| backwards(Ipv4Addr::from(word))).collect();
            format!("{words}:{:04X}", address.port())
        }
    }
}

fn ticks(time: Duration) -> u128 {
    time.as_millis() / TICK.as_millis()
}

/// Which timer, its ticks, its retries, its probes.
fn timer_of(timer: &TimerInfo) -> (u8, u128, u8, u8) {
    let when = ticks(timer.remaining);
    match timer.name {
        "on" => (1, when, timer.retries, 0),
        "keepalive" => (2, when, 0, timer.retries),
        "timewait" => (3, when, 0, 0),
        "persist" => (4, when, 0, timer.retries),
        // A delayed ACK is none of those that are shown.
        _ => (0, 0, 0, 0),
    }
}

/// The state's number in `linux/tcp_states.h`.
fn code(state: State) -> u8 {
    match state {
        State::Established => ESTABLISHED,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => CLOSED,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_words_of_the_machine() {
        let shown = ["10.9.0.2:80", "[fd09::2]:80"].map(|address| hex(address.parse().expect("an address")));
        assert_eq!(shown, ["0200090A:0050", "000009FD000000000000000002000000:0050"]);
    }

    #[test]
    fn a_bound_end_is_found_by_its_name() {
        let name = SocketName {
            node: 1,
            family: control::Family::V4,
            kind: control::Kind::Stream,
            id: control::SocketId(crate::boundary::random().expect("random bytes")),
        };
        let pair = crate::pair::Pair::new(&name, true).expect("a pair");
        let inode = rustix::fs::fstat(&pair.theirs).expect("known").st_ino;
        assert_eq!(inodes().get(&name.id), Some(&inode));
    }
}
