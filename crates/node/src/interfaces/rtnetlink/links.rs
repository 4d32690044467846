//! Links: RTM_NEWLINK.

use super::messages::{Messages, Request};
use crate::interfaces::{Interface, QUEUE_LEN, Statistics};

const RTM_NEWLINK: u16 = 16;

/// `struct ifinfomsg`: family, type, index, flags, changed flags.
const FIXED_LEN: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_STATS: u16 = 7;
const IFLA_MASTER: u16 = 10;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_CARRIER: u16 = 33;
const IFLA_ALT_IFNAME: u16 = 53;

/// The links that a dump asks for. One that asks for those of a kind, or of a master, gets none: there are neither.
pub(super) fn asked(messages: &mut Messages, all: &[Interface], request: &Request<'_>) {
    let attributes = request.attributes(FIXED_LEN);
    if attributes.number(IFLA_MASTER).is_some_and(|master| master != 0)
        || attributes.find(IFLA_LINKINFO).is_some_and(|info| !info.is_empty())
    {
        return messages.filtered();
    }
    for interface in all {
        put(messages, interface);
    }
}

/// The link that is asked for by index or name.
pub(super) fn one<'a>(all: &'a [Interface], request: &Request<'_>) -> Option<&'a Interface> {
    let attributes = request.attributes(FIXED_LEN);
    let name = attributes.text(IFLA_IFNAME).or_else(|| attributes.text(IFLA_ALT_IFNAME));
    match (request.word(4), name) {
        (0, name) => all.iter().find(|one| Some(one.name.as_str()) == name),
        (index, _) => all.iter().find(|one| one.index == index),
    }
}

/// Whether a link is asked for at all.
pub(super) fn names_one(request: &Request<'_>) -> bool {
    let attributes = request.attributes(FIXED_LEN);
    request.word(4) != 0 || [IFLA_IFNAME, IFLA_ALT_IFNAME].iter().any(|&kind| attributes.find(kind).is_some())
}

/// What is told of a change of: flags and all that does not change by itself.
pub(super) fn facts(interface: &Interface) -> impl PartialEq {
    (interface.flags(), interface.mtu, interface.mac, interface.carrier, interface.reception.promiscuous)
}

pub(super) fn put(messages: &mut Messages, interface: &Interface) {
    let mut fixed = [0; FIXED_LEN];
    fixed[2..4].copy_from_slice(&interface.hardware_type().to_ne_bytes());
    fixed[4..8].copy_from_slice(&interface.index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&interface.flags().to_ne_bytes());
    messages.message(RTM_NEWLINK, &fixed, |messages| {
        messages.text(IFLA_IFNAME, &interface.name);
        messages.number(IFLA_TXQLEN, QUEUE_LEN);
        messages.attribute(IFLA_OPERSTATE, &[interface.operational_state().0]);
        messages.attribute(IFLA_LINKMODE, &[0]);
        messages.number(IFLA_MTU, interface.mtu);
        messages.number(IFLA_GROUP, 0);
        messages.number(IFLA_PROMISCUITY, interface.reception.promiscuous);
        messages.attribute(IFLA_CARRIER, &[interface.carrier.into()]);
        // What waits for a device waits in the stack.
        messages.text(IFLA_QDISC, "noqueue");
        messages.attribute(IFLA_ADDRESS, &interface.mac.0);
        messages.attribute(IFLA_BROADCAST, &interface.hardware_broadcast().0);
        let counts = counts(&interface.statistics);
        messages.attribute(IFLA_STATS64, &counts.map(u64::to_ne_bytes).concat());
        messages.attribute(
            IFLA_STATS,
            &counts[..24].iter().flat_map(|&count| (count as u32).to_ne_bytes()).collect::<Vec<_>>(),
        );
    });
}

/// `struct rtnl_link_stats64`.
fn counts(statistics: &Statistics) -> [u64; 25] {
    let s = statistics;
    let mut counts = [0; 25];
    let seen =
        [s.rx_packets, s.tx_packets, s.rx_bytes, s.tx_bytes, s.rx_errors, s.tx_errors, s.rx_dropped, s.tx_dropped];
    counts[..8].copy_from_slice(&seen);
    counts
}
