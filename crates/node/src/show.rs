//! What the node has, as tables for people and as JSON for programs: `sockeye show`.
//!
//! Each table is built once, as rows of named values, from the stack's own tables at the moment of asking; both forms
//! are made from the same rows, so they cannot disagree. The shapes follow ip(8) and ss(8).

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use sockeye_control::What;
use sockeye_device::Instant;
use sockeye_socket::{Body, SocketId};
use sockeye_stack::PortId;
use sockeye_stack::autoconf::{AddressView, Origin, RouteView, RouterView};
use sockeye_stack::multicast::{FilterMode, GroupSummary, SourceFilter, Version};
use sockeye_stack::raw::Kind;
use sockeye_stack::tcp::{Flow, Side, State, Summary, TimerInfo};

use crate::local::Local;
use crate::node::Node;
use crate::trace::program_name;

/// A table: its columns, and rows with a value for each.
struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

/// The table that was asked for.
pub(crate) fn render(node: &Node, what: What, as_json: bool) -> String {
    let table = match what {
        What::Interfaces => interfaces(node),
        What::Addresses => addresses(node),
        What::Routes => routes(node),
        What::Neighbors => neighbors(node),
        What::Sockets => sockets(node),
        What::Queues => queues(node),
        What::Counters => counters(node),
    };
    match what {
        What::Counters if as_json => table.nested_json(),
        _ if as_json => table.json(),
        _ => table.text(),
    }
}

impl Table {
    fn json(self) -> String {
        let objects = self.rows.into_iter().map(|row| {
            let fields = self.columns.iter().map(|column| (*column).to_owned()).zip(row);
            Value::Object(fields.collect::<Map<_, _>>())
        });
        let mut text = serde_json::to_string_pretty(&Value::Array(objects.collect())).unwrap_or_default();
        text.push('\n');
        text
    }

    /// For counters: an object of groups, each an object of numbers.
    fn nested_json(self) -> String {
        let mut groups = Map::new();
        for row in self.rows {
            if let [Value::String(group), Value::String(name), value, ..] = &row[..]
                && let Value::Object(group) = groups.entry(group.clone()).or_insert_with(|| json!({}))
            {
                group.insert(name.clone(), value.clone());
            }
        }
        let mut text = serde_json::to_string_pretty(&Value::Object(groups)).unwrap_or_default();
        text.push('\n');
        text
    }

    fn text(self) -> String {
        let cell = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => "-".to_owned(),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(self.columns[at].len()))
            .collect();
        // Numbers stand to the right, as their digits compare.
        let right: Vec<bool> = (0..self.columns.len())
            .map(|at| !self.rows.is_empty() && self.rows.iter().all(|row| row[at].is_number()))
            .collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let mut line = String::new();
            for (at, cell) in cells.enumerate() {
                let _ = match right[at] {
                    true => write!(line, "{cell:>width$}  ", width = widths[at]),
                    false => write!(line, "{cell:<width$}  ", width = widths[at]),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&mut self.columns.iter().map(|column| column.replace('_', "-").to_uppercase()));
        for row in rows {
            line(&mut row.into_iter());
        }
        text
    }
}

fn interfaces(node: &Node) -> Table {
    let row = |port: PortId, device: &dyn sockeye_device::Device| {
        let state = if device.link_up() { "up" } else { "down" };
        let capabilities = device.capabilities();
        let mut offloads = Vec::new();
        for (name, has) in [
            ("checksum", capabilities.checksum),
            ("tcp4-segmentation", capabilities.tcp_v4),
            ("tcp6-segmentation", capabilities.tcp_v6),
            ("udp-segmentation", capabilities.udp),
        ] {
            if has {
                offloads.push(name);
            }
        }
        let mut row = vec![json!(device.name()), json!(state), json!(device.mac().to_string()), json!(device.mtu())];
        let counters = device.counters();
        row.extend(
            [
                counters.rx_frames,
                counters.rx_bytes,
                counters.rx_dropped,
                counters.tx_frames,
                counters.tx_bytes,
                counters.tx_dropped,
            ]
            .map(Value::from),
        );
        row.push(json!(offloads));
        row.push(json!(groups(node, port)));
        row.push(json!(conflicts(node, port)));
        row
    };
    Table {
        columns: &[
            "interface",
            "state",
            "mac",
            "mtu",
            "rx_frames",
            "rx_bytes",
            "rx_dropped",
            "tx_frames",
            "tx_bytes",
            "tx_dropped",
            "offloads",
            "groups",
            // Addresses that another station claims, too.
            "conflicts",
        ],
        rows: node.ports.iter().map(|(port, device)| row(port, device)).collect(),
    }
}

/// The groups that are listened to on a port; behind it the sources that alone are heard, or that are not.
fn groups(node: &Node, port: PortId) -> Vec<String> {
    let listed = |filter: &SourceFilter| filter.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let groups = node.host.stack().groups().filter(|group| group.port == port);
    let text = groups.map(|GroupSummary { group, filter, version, .. }| {
        let sources = match filter.mode {
            _ if filter == SourceFilter::everybody() => String::new(),
            FilterMode::Include => format!("({})", listed(&filter)),
            FilterMode::Exclude => format!("(not {})", listed(&filter)),
        };
        let older = match (version, group.is_ipv4()) {
            (Version::Three, _) => "",
            (Version::Two, true) => " by IGMPv2",
            (Version::One, true) => " by IGMPv1",
            (_, false) => " by MLDv1",
        };
        format!("{group}{sources}{older}")
    });
    text.collect()
}

fn conflicts(node: &Node, port: PortId) -> Vec<String> {
    let conflicts = node.host.stack().conflicts().iter().filter(|conflict| conflict.port == port);
    conflicts.map(|conflict| format!("{} with {}", conflict.address, conflict.station)).collect()
}

/// Lifetimes are in seconds; none is for ever.
fn addresses(node: &Node) -> Table {
    let stack = node.host.stack();
    let left = |until: Option<Instant>| json!(until.map(|until| until.since(node.now).as_secs()));
    let rows = stack.ports().flat_map(|(id, port)| {
        let views = stack.addresses_of(id).into_iter();
        let row = |view: AddressView| {
            vec![
                json!(port.name),
                json!(view.prefix.to_string()),
                json!(scope_name(view.prefix.addr())),
                json!(format!("{:?}", view.state).to_lowercase()),
                json!(origin_name(view.origin)),
                left(view.valid_until),
                left(view.preferred_until),
            ]
        };
        views.map(row).collect::<Vec<_>>()
    });
    let columns = &["interface", "address", "scope", "state", "origin", "valid", "preferred"];
    Table { columns, rows: rows.collect() }
}

fn scope_name(address: IpAddr) -> &'static str {
    match address {
        _ if address.is_loopback() => "host",
        IpAddr::V4(address) if address.is_link_local() => "link",
        IpAddr::V6(address) if address.is_unicast_link_local() => "link",
        _ => "global",
    }
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Configured => "configured",
        Origin::LinkLocal => "link-local",
        Origin::Stable => "router",
        Origin::Temporary => "router, temporary",
    }
}

fn routes(node: &Node) -> Table {
    let stack = node.host.stack();
    let rows = stack.routes().map(|route| {
        let everything = route.destination.len() == 0;
        let view = stack.route_view(route);
        let origin = match view {
            Some(RouteView { redirect: true, .. }) => "redirect",
            Some(RouteView { redirect: false, .. }) => "router",
            None if route.next_hop.is_none() => "address",
            None => "configured",
        };
        vec![
            json!(if everything { "default".to_owned() } else { route.destination.network().to_string() }),
            json!(route.next_hop.map(|next_hop| next_hop.to_string())),
            json!(port_name(node, route.port)),
            json!(route.source.map(|source| source.to_string())),
            json!(route.metric),
            json!(origin),
            json!(view.and_then(|view| view.until).map(|until| until.since(node.now).as_secs())),
        ]
    });
    let columns = &["destination", "via", "interface", "source", "metric", "origin", "expires"];
    Table { columns, rows: rows.collect() }
}

fn neighbors(node: &Node) -> Table {
    let stack = node.host.stack();
    let routers = stack.routers();
    let rows = stack.neighbors().map(|neighbor| {
        let is = |router: &RouterView| (router.port, IpAddr::V6(router.address)) == (neighbor.port, neighbor.address);
        vec![
            json!(neighbor.address.to_string()),
            json!(port_name(node, neighbor.port)),
            json!(neighbor.mac.map(|mac| mac.to_string())),
            json!(format!("{:?}", neighbor.state).to_lowercase()),
            json!(neighbor.queued),
            json!(routers.iter().any(is)),
        ]
    });
    Table { columns: &["address", "interface", "mac", "state", "queued", "router"], rows: rows.collect() }
}

fn port_name(node: &Node, port: PortId) -> String {
    let found = node.host.stack().ports().find(|(id, _)| *id == port);
    found.map_or_else(|| "?".to_owned(), |(_, port)| port.name.clone())
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

/// Who holds a socket, by name and number, and what the trace calls it.
fn holder(node: &Node, socket: Option<SocketId>, names: &mut HashMap<i32, Option<String>>) -> [Value; 3] {
    let end = socket.and_then(|socket| node.boundary.end_of(socket));
    let Some(end) = end else { return [Value::Null, Value::Null, Value::Null] };
    let pid = end.owner.pid;
    let name = names.entry(pid).or_insert_with(|| program_name(pid)).clone();
    [json!(name), json!(pid), json!(format!("#{}", end.number))]
}

fn sockets(node: &Node) -> Table {
    let mut names = HashMap::new();
    let mut rows = Vec::new();
    let mut listeners = HashMap::new();
    for view in node.host.iter() {
        if let (Body::Listener(_), Some(local)) = (view.body, view.local) {
            listeners.insert(local, view.id);
        }
    }
    for summary in node.host.stack().tcp_summaries(node.now) {
        let Summary { id, state, local, remote, receive_queue, send_queue, timer, orphan } = summary;
        let socket = match state {
            State::Listen => listeners.get(&local).copied(),
            _ => id.filter(|_| !orphan).and_then(|id| node.host.socket_of(id)),
        };
        let mut row = vec![
            json!("tcp"),
            json!(state_name(state)),
            json!(receive_queue),
            json!(send_queue),
            json!(local.to_string()),
            json!(if state == State::Listen { "*".to_owned() } else { remote.to_string() }),
            json!(timer.as_ref().map(timer_text)),
        ];
        row.extend(holder(node, socket, &mut names));
        row.push(Value::Null);
        rows.push(row);
    }
    rows.extend(node.boundary.locals.table.iter().flat_map(|(_, local)| local_rows(node, local, &mut names)));
    for view in node.host.iter() {
        let Some(cooked) = node.host.is_cooked(view.id) else { continue };
        let (Ok(name), Body::Packet(packet)) = (node.host.packet_name(view.id), view.body) else { continue };
        let port = node.host.stack().ports().find(|(id, _)| id.interface_index() == name.index);
        let mut row = vec![
            json!(if cooked { "p_dgr" } else { "p_raw" }),
            json!("UNCONN"),
            json!(node.host.stack().packet_queued(packet)),
            json!(0),
            json!(format!("{}:{}", protocol_name(name.protocol), port.map_or("*", |(_, port)| port.name.as_str()))),
            json!("*"),
            Value::Null,
        ];
        row.extend(holder(node, Some(view.id), &mut names));
        row.push(Value::Null);
        rows.push(row);
    }
    for view in node.host.iter() {
        let Body::Datagram(udp) = view.body else { continue };
        let waiting = node.host.stack().udp_status(udp).queued;
        let mut row = vec![
            json!(if node.host.is_udp_lite(view.id) { "udplite" } else { "udp" }),
            json!(if view.remote.is_some() { "ESTAB" } else { "UNCONN" }),
            json!(waiting),
            json!(0),
            json!(view.local.map(|local| local.to_string())),
            json!(view.remote.map_or_else(|| "*".to_owned(), |remote| remote.to_string())),
            Value::Null,
        ];
        row.extend(holder(node, Some(view.id), &mut names));
        row.push(Value::Null);
        rows.push(row);
    }
    for view in node.host.iter() {
        let Body::Raw(raw) = view.body else { continue };
        let kind = node.host.settings(view.id).and_then(|settings| settings.raw).map(|raw| raw.kind);
        let mut row = vec![
            json!(if kind == Some(Kind::Echo) { "icmp" } else { "raw" }),
            json!(if node.host.stack().raw_remote(raw).is_some() { "ESTAB" } else { "UNCONN" }),
            json!(node.host.stack().raw_status(raw).queued),
            json!(0),
            // The port is the protocol, or an echo's identifier.
            json!(view.local.map(|local| local.to_string())),
            json!(node.host.stack().raw_remote(raw).map_or_else(|| "*".to_owned(), |(peer, _)| peer.to_string())),
            Value::Null,
        ];
        row.extend(holder(node, Some(view.id), &mut names));
        row.push(Value::Null);
        rows.push(row);
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

/// The ends of a connection within the node that programs hold. What is under way between them the node does not see.
fn local_rows(node: &Node, local: &Local, names: &mut HashMap<i32, Option<String>>) -> Vec<Vec<Value>> {
    let number = |side| local.end(side).map(|end| format!("#{}", end.identity.number));
    let row = |side: Side| {
        let end = local.end(side)?;
        let Some(Body::Joined(joined, _)) = node.host.body(end.socket) else { return None };
        let info = node.host.stack().tcp_joined_info(joined, side)?;
        let Flow { local, remote } = node.host.stack().tcp_joined_addresses(joined, side)?;
        let pid = end.identity.owner.pid;
        let name = names.entry(pid).or_insert_with(|| program_name(pid)).clone();
        Some(vec![
            json!("tcp"),
            json!(state_name(info.state)),
            Value::Null,
            Value::Null,
            json!(local.to_string()),
            json!(remote.to_string()),
            Value::Null,
            json!(name),
            json!(pid),
            json!(number(side)),
            json!(number(side.other())),
        ])
    };
    [Side::Connecting, Side::Accepting].into_iter().filter_map(row).collect()
}

fn queues(node: &Node) -> Table {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for (_, port) in node.host.stack().ports() {
        rows.push(vec![json!(format!("port {}", port.name)), json!(port.queued())]);
    }
    for (name, size) in node.host.stack().tcp_table_sizes() {
        rows.push(vec![json!(format!("tcp {name}")), json!(size)]);
    }
    rows.push(vec![json!("sockets"), json!(node.host.len())]);
    rows.push(vec![json!("programs' ends"), json!(node.boundary.ends.len())]);
    rows.push(vec![json!("local ends"), json!(node.boundary.locals.len())]);
    rows.push(vec![json!("control clients"), json!(node.server.clients.len())]);
    Table { columns: &["queue", "entries"], rows }
}

fn counters(node: &Node) -> Table {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut row = |group: &str, name: &str, value: u64, meaning: &str| {
        rows.push(vec![json!(group), json!(name), json!(value), json!(meaning)]);
    };
    let counters = node.host.stack().counters();
    for (name, value) in counters.iter() {
        row("stack", name, value, "");
    }
    for (reason, value) in counters.drops() {
        row("drop", reason.name(), value, reason.meaning());
    }
    for (_, device) in node.ports.iter() {
        for (name, value) in device.counters().named() {
            row(device.name(), name, value, "");
        }
    }
    let crate::boundary::Counters {
        sockets_made,
        sockets_refused,
        connections_handed_over,
        connections_lost,
        connections_local,
        datagrams_malformed,
        datagrams_refused,
        netlink_overruns,
    } = node.boundary.counters;
    row("sockets", "sockets_made", sockets_made, "");
    row("sockets", "sockets_refused", sockets_refused, "A quota was used up, or the kernel gave no descriptor.");
    row("sockets", "connections_handed_over", connections_handed_over, "");
    row("sockets", "connections_lost", connections_lost, "Accepted, and closed before it could be handed over.");
    row("sockets", "connections_local", connections_local, "Between two programs on this node, past it.");
    row("sockets", "datagrams_malformed", datagrams_malformed, "A program's message was no datagram.");
    row("sockets", "datagrams_refused", datagrams_refused, "A program's datagram could not be sent; it was told.");
    row("sockets", "netlink_overruns", netlink_overruns, "A program did not read netlink's answers; it was told.");
    let crate::server::Counters {
        clients,
        clients_refused,
        clients_made_way,
        requests,
        requests_malformed,
        statements,
        statements_refused,
        clients_not_reading,
    } = node.server.counters;
    row("control", "clients", clients, "");
    row("control", "clients_refused", clients_refused, "Too many at once.");
    row("control", "clients_made_way", clients_made_way, "Idle, for others; they come anew.");
    row("control", "requests", requests, "");
    row("control", "requests_malformed", requests_malformed, "Answered with EPROTO, and let go.");
    row("control", "statements", statements, "Read on boards.");
    row("control", "statements_refused", statements_refused, "Of a socket that is another, or no more.");
    row("control", "clients_not_reading", clients_not_reading, "Let go, or lost lines of a trace.");
    let crate::resolve::Counters { questions, refused, answers_ignored, answers_failed, answers_truncated, timeouts } =
        node.resolver.counters;
    row("names", "questions", questions, "");
    row("names", "questions_refused", refused, "Too many at once.");
    row("names", "answers_ignored", answers_ignored, "Not to our question, or no answer at all: forged or broken.");
    row("names", "answers_failed", answers_failed, "The server could not or would not say; another was asked.");
    row("names", "answers_truncated", answers_truncated, "Asked again over TCP.");
    row("names", "timeouts", timeouts, "A server said nothing in time; it, or another, was asked again.");
    Table { columns: &["group", "counter", "value", "meaning"], rows }
}
