//! The table of sockets: what the stack knows of each, and which program holds it.

use std::collections::HashMap;

use serde_json::{Value, json};
use sockeye_socket::{Body, SocketId, SocketView};
use sockeye_stack::raw::Kind;
use sockeye_stack::tcp::{Flow, Side, State, Summary, TimerInfo};

use super::table::Table;
use crate::local::Local;
use crate::node::Node;
use crate::trace::program_name;

/// Every socket; those of TCP first.
pub(super) fn sockets(node: &Node) -> Table {
    let stack = node.host.stack();
    let mut names = Names::default();
    let mut rows = Vec::new();
    let mut listeners = HashMap::new();
    for view in node.host.iter() {
        if let (Body::Listener(_), Some(local)) = (view.body, view.local) {
            listeners.insert(local, view.id);
        }
    }
    for summary in stack.tcp_summaries(node.now) {
        let Summary { id, state, local, remote, receive_queue, send_queue, timer, orphan } = summary;
        let socket = match state {
            State::Listen => listeners.get(&local).copied(),
            _ => id.filter(|_| !orphan).and_then(|id| node.host.socket_of(id)),
        };
        let row = Row {
            protocol: "tcp",
            state: state_name(state),
            queues: [Some(receive_queue), Some(send_queue)],
            local: Some(local.to_string()),
            peer: (state != State::Listen).then(|| remote.to_string()),
            timer: timer.as_ref().map(timer_text),
        };
        rows.push(row.held(holder(node, socket, &mut names), None));
    }
    rows.extend(node.boundary.locals.table.iter().flat_map(|(_, local)| local_rows(node, local, &mut names)));
    for row_of in [packet_row, datagram_row, raw_row] {
        for view in node.host.iter() {
            rows.extend(row_of(node, &view).map(|row| row.held(holder(node, Some(view.id), &mut names), None)));
        }
    }
    Table {
        columns: &[
            "protocol",
            "state",
            "receive_queue",
            "send_queue",
            "local",
            "peer",
            "timer",
            "program",
            "pid",
            "socket",
            // The other end's, of a connection within the node.
            "peer_socket",
        ],
        rows,
    }
}

/// What is told of a socket besides who holds it.
struct Row {
    protocol: &'static str,
    state: &'static str,
    /// Received and not read, written and not acknowledged, where it is known.
    queues: [Option<usize>; 2],
    local: Option<String>,
    peer: Option<String>,
    timer: Option<String>,
}

impl Row {
    /// With its holder's columns, and those that come after them.
    fn held(self, holder: [Value; 3], peer_socket: Option<String>) -> Vec<Value> {
        let Row { protocol, state, queues: [receive, send], local, peer, timer } = self;
        let peer = peer.unwrap_or_else(|| "*".to_owned());
        let [program, pid, socket] = holder;
        vec![
            json!(protocol),
            json!(state),
            json!(receive),
            json!(send),
            json!(local),
            json!(peer),
            json!(timer),
            program,
            pid,
            socket,
            json!(peer_socket),
        ]
    }
}

fn packet_row(node: &Node, view: &SocketView) -> Option<Row> {
    let (Body::Packet(packet), Some(cooked)) = (view.body, node.host.is_cooked(view.id)) else { return None };
    let name = node.host.packet_name(view.id).ok()?;
    let port = node.host.stack().ports().find(|(id, _)| id.interface_index() == name.index);
    let port = port.map_or("*", |(_, port)| port.name.as_str());
    Some(Row {
        protocol: if cooked { "p_dgr" } else { "p_raw" },
        state: "UNCONN",
        queues: [Some(node.host.stack().packet_queued(packet)), Some(0)],
        local: Some(format!("{}:{port}", protocol_name(name.protocol))),
        peer: None,
        timer: None,
    })
}

fn datagram_row(node: &Node, view: &SocketView) -> Option<Row> {
    let Body::Datagram(udp) = view.body else { return None };
    Some(Row {
        protocol: if node.host.is_udp_lite(view.id) { "udplite" } else { "udp" },
        state: connected(view.remote.is_some()),
        queues: [Some(node.host.stack().udp_status(udp).queued), Some(0)],
        local: view.local.map(|local| local.to_string()),
        peer: view.remote.map(|remote| remote.to_string()),
        timer: None,
    })
}

fn raw_row(node: &Node, view: &SocketView) -> Option<Row> {
    let Body::Raw(raw) = view.body else { return None };
    let kind = node.host.settings(view.id).and_then(|settings| settings.raw).map(|raw| raw.kind);
    let peer = node.host.stack().raw_remote(raw);
    Some(Row {
        protocol: if kind == Some(Kind::Echo) { "icmp" } else { "raw" },
        state: connected(peer.is_some()),
        queues: [Some(node.host.stack().raw_status(raw).queued), Some(0)],
        // The port is the protocol, or an echo's identifier.
        local: view.local.map(|local| local.to_string()),
        peer: peer.map(|(peer, _)| peer.to_string()),
        timer: None,
    })
}

fn connected(is: bool) -> &'static str {
    if is { "ESTAB" } else { "UNCONN" }
}

/// The ends of a connection within the node that programs hold. What is under way between them the node does not see.
fn local_rows(node: &Node, local: &Local, names: &mut Names) -> Vec<Vec<Value>> {
    let number = |side| local.end(side).map(|end| format!("#{}", end.identity.number));
    let row = |side: Side| {
        let end = local.end(side)?;
        let Some(Body::Joined(joined, _)) = node.host.body(end.socket) else { return None };
        let info = node.host.stack().tcp_joined_info(joined, side)?;
        let Flow { local, remote } = node.host.stack().tcp_joined_addresses(joined, side)?;
        let row = Row {
            protocol: "tcp",
            state: state_name(info.state),
            queues: [None, None],
            local: Some(local.to_string()),
            peer: Some(remote.to_string()),
            timer: None,
        };
        let holder = [json!(names.of(end.identity.owner.pid)), json!(end.identity.owner.pid), json!(number(side))];
        Some(row.held(holder, number(side.other())))
    };
    [Side::Connecting, Side::Accepting].into_iter().filter_map(row).collect()
}

/// What programs are called, each asked for once.
#[derive(Default)]
struct Names(HashMap<i32, Option<String>>);

impl Names {
    fn of(&mut self, pid: i32) -> Option<&str> {
        self.0.entry(pid).or_insert_with(|| program_name(pid)).as_deref()
    }
}

/// Who holds a socket, by name and number, and what the trace calls it.
fn holder(node: &Node, socket: Option<SocketId>, names: &mut Names) -> [Value; 3] {
    let end = socket.and_then(|socket| node.boundary.end_of(socket));
    let Some(end) = end else { return [Value::Null, Value::Null, Value::Null] };
    let pid = end.owner.pid;
    [json!(names.of(pid)), json!(pid), json!(format!("#{}", end.number))]
}

/// The state as ss(8) names it.
fn state_name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::Listen => "LISTEN",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECV",
        State::Established => "ESTAB",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

fn timer_text(timer: &TimerInfo) -> String {
    format!("{},{}ms,{}", timer.name, timer.remaining.as_millis(), timer.retries)
}

/// A packet socket's protocol, as `ss` names it.
fn protocol_name(protocol: u16) -> String {
    match protocol {
        sockeye_stack::packet::ALL_PROTOCOLS => "*".to_owned(),
        0x0800 => "ipv4".to_owned(),
        0x0806 => "arp".to_owned(),
        0x86dd => "ipv6".to_owned(),
        protocol => format!("[{protocol}]"),
    }
}
