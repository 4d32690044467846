//! What the node has, as tables for people and as JSON for programs: `sockeye show`.
//!
//! Each table is built once, as rows of named values, from the stack's own tables at the moment of asking; both forms
//! are made from the same rows, so they cannot disagree. The shapes follow ip(8) and ss(8).

mod sockets;
mod table;

use std::net::IpAddr;

use serde_json::{Value, json};
use sockeye_control::What;
use sockeye_device::Instant;
use sockeye_stack::PortId;
use sockeye_stack::autoconf::{AddressView, Origin, RouteView, RouterView};
use sockeye_stack::multicast::{FilterMode, GroupSummary, SourceFilter, Version};

use crate::node::Node;

use sockets::sockets;
use table::Table;

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
    for (name, value, meaning) in counters.iter() {
        row("stack", name, value, meaning);
    }
    for (reason, value) in counters.drops() {
        row("drop", reason.name(), value, reason.meaning());
    }
    for (_, device) in node.ports.iter() {
        for (name, value) in device.counters().named() {
            row(device.name(), name, value, "");
        }
    }
    for (name, value, meaning) in node.boundary.counters.named() {
        row("sockets", name, value, meaning);
    }
    for (name, value, meaning) in node.server.counters.named() {
        row("control", name, value, meaning);
    }
    for (name, value, meaning) in node.resolver.counters.named() {
        row("names", name, value, meaning);
    }
    Table { columns: &["group", "counter", "value", "meaning"], rows }
}
