//! Ethernet, inwards: is this frame ours, and what does it carry.
//!
//! A frame is ours when it is addressed to the port's own station, to everybody, or as frames to one of the port's groups
//! are (several groups share such an address: IP looks again). It must come from one station. A frame with a VLAN tag belongs to that VLAN, which this port
//! is not in, unless the tag only carries a priority (identifier 0).
//!
//! # Standards
//!
//! IEEE 802.3 §3.2, IEEE 802.1Q §6.9 (priority tags), RFC 1112 §6.4 and RFC 2464 §7 (groups), RFC 894, RFC 1122 §2.4 (broadcasts are reported upwards).

use crate::counters::Drop;
use crate::multicast::Multicast;
use crate::port::{Port, PortId};
use sockeye_device::RxFrame;
use sockeye_wire::ethernet::Frame;
use sockeye_wire::{EtherType, MacAddr};
use std::ops::Range;

/// A frame that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) ether_type: EtherType,
    /// To many stations.
    pub(crate) broadcast: bool,
    /// From ourselves, where our own addresses are in place.
    pub(crate) loopback: bool,
    /// In the frame's buffer.
    pub(crate) payload: Range<usize>,
}

/// Decides about a frame that has arrived on a port.
pub(crate) fn decide(frame: &RxFrame, port: &Port, id: PortId, multicast: &Multicast) -> Result<Arrived, Drop> {
    let bytes = frame.buffer.get(frame.range.clone()).ok_or(Drop::LinkMalformed)?;
    let parsed = Frame::parse(bytes).map_err(|_| Drop::LinkMalformed)?;
    let broadcast = parsed.dst().is_multicast();
    if !id.is_loopback() {
        if !broadcast && parsed.dst() != port.mac {
            return Err(Drop::LinkNotForUs);
        }
        if is_group(parsed.dst()) && !multicast.hears(id, parsed.dst()) {
            return Err(Drop::LinkNotMember);
        }
        if !parsed.src().is_unicast() {
            return Err(Drop::LinkSource);
        }
    }
    if parsed.vlan().is_some_and(|tag| tag.id != 0) || parsed.inner_vlan().is_some() {
        return Err(Drop::LinkVlan);
    }
    let start = frame.range.start + parsed.header_len();
    Ok(Arrived {
        ether_type: parsed.ether_type(),
        broadcast,
        loopback: id.is_loopback(),
        payload: start..start + parsed.payload().len(),
    })
}

/// True for the address of a group of IPv4's or IPv6's. What other protocols have for groups is theirs.
fn is_group(station: MacAddr) -> bool {
    matches!(station.0, [0x01, 0x00, 0x5e, 0..0x80, ..] | [0x33, 0x33, ..])
}
