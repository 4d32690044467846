//! A socket's filter, on a packet that IP has taken in.
//!
//! It decides how much of the packet the socket gets; nothing is a drop. What it calls its first byte is its socket's: the IP header for a
//! raw socket of IPv4, what the packet carries for one of IPv6 and for an echo socket, the UDP or TCP header for those, which is left whole whatever the
//! filter says. The IP header is reached by the offsets that count from there; the link header is gone by now.
//!
//! # Standards
//!
//! Linux socket(7) (SO_ATTACH_FILTER), `Documentation/networking/filter.rst`.

use crate::packet::{PacketType, hardware};
use crate::port::PortId;
use sockeye_filter::{Device, Headers, Metadata, Packet, Program};
use sockeye_wire::EtherType;
use std::net::IpAddr;

/// What a filter may ask about a packet, besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// To whom it was sent.
    pub(crate) destination: IpAddr,
    /// To us alone.
    pub(crate) unicast: bool,
    /// By which port it came.
    pub(crate) port: PortId,
    /// A seed for random numbers.
    pub(crate) random: u64,
}

/// How many bytes of the packet in these pieces, which begin with the IP header, a socket gets whose data begins at `data`. None for none.
pub(crate) fn run(program: &Program, about: About, pieces: &[&[u8]], data: usize) -> Option<usize> {
    match verdict(program, about, pieces, data) {
        0 => None,
        kept => Some(kept as usize),
    }
}

/// The number that a program chooses (`SO_ATTACH_REUSEPORT_CBPF`), which may be nobody's. Its data is what the packet carries, behind all headers.
pub(crate) fn select(program: &Program, about: About, pieces: &[&[u8]], data: usize) -> usize {
    verdict(program, about, pieces, data) as usize
}

fn verdict(program: &Program, about: About, pieces: &[&[u8]], data: usize) -> u32 {
    let kind = match about.destination {
        _ if about.unicast => PacketType::Host,
        destination if destination.is_multicast() => PacketType::Multicast,
        _ => PacketType::Broadcast,
    };
    let metadata = Metadata {
        protocol: if about.destination.is_ipv4() { EtherType::IPV4.0 } else { EtherType::IPV6.0 },
        packet_type: kind as u8,
        device: Some(Device { index: about.port.interface_index(), hardware_type: hardware(about.port) }),
        random: about.random,
        ..Metadata::default()
    };
    let headers = Headers { link: None, network: 0, data };
    program.run(&Packet::with_headers(pieces, headers, &metadata))
}
