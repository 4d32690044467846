//! Packets read to their meaning, and written from nothing else.

use std::net::{IpAddr, Ipv6Addr};

use sockeye_wire::group::{Address, Record, Records};
use sockeye_wire::ipv4::options::{OptionBuffer, Options as Ipv4Options};
use sockeye_wire::ipv6::extension::{Extension, Extensions, HeaderOption, Limits, Repr, Routing, Upper, emit_chain};
use sockeye_wire::ndisc::{NdOption, NeighborAdvertisement, RouterAdvertisement};
use sockeye_wire::{Protocol, checksum, esp, icmpv6, igmp, ipv4, ipv6, mld, ndisc, tcp, udp};

/// The same packet again, or why it is none.
pub(super) fn packet(bytes: &[u8]) -> Result<Vec<u8>, String> {
    match bytes.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(bytes),
        _ => ipv6(bytes),
    }
}

fn told(reason: impl std::fmt::Display) -> String {
    reason.to_string()
}

fn ipv4(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let packet = ipv4::Packet::parse(bytes).map_err(told)?;
    let mut options = OptionBuffer::new();
    for option in Ipv4Options::new(packet.options()) {
        options.push(&option.map_err(|bad| told(bad.reason))?).map_err(|_| "no room")?;
    }
    let payload = match packet.protocol() {
        Protocol::IGMP => group_message(packet.payload())?,
        other => return Err(format!("{other} in IPv4")),
    };
    let repr = ipv4::Repr { options: options.as_bytes(), ..packet.repr() };
    let mut again = vec![0xaa; repr.header_len()];
    repr.emit(payload.len(), &mut again);
    again.extend(payload);
    Ok(again)
}

fn group_message(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let message = igmp::Message::parse(bytes).map_err(told)?;
    let mut buffer = vec![0xaa; bytes.len()];
    let message = match message {
        igmp::Message::ReportV3(report) => igmp::Message::ReportV3(records(&report, &mut buffer)),
        igmp::Message::Unknown { kind, .. } => return Err(format!("type {kind} of IGMP")),
        other => other,
    };
    let mut again = vec![0xaa; message.total_len()];
    message.emit(&mut again);
    Ok(again)
}

fn records<'a, A: Address>(records: &Records<'_, A>, buffer: &'a mut [u8]) -> Records<'a, A> {
    let all: Vec<Record<'_, A>> = records.iter().collect();
    Records::write(&all, buffer)
}

fn ipv6(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let packet = ipv6::Packet::parse(bytes).map_err(told)?;
    let mut walk = Extensions::new(&packet, Limits::DEFAULT);
    let (mut headers, mut options) = (Vec::new(), Vec::new());
    // Checksums are about whom the packet is from and for in the end.
    let (mut source, mut destination) = (packet.src(), packet.dst());
    for header in walk.by_ref() {
        let header = header.map_err(|bad| format!("{} at byte {}", bad.reason, bad.pointer))?;
        let mut found: Vec<HeaderOption<'_>> = Vec::new();
        match header.extension {
            Extension::HopByHop(options) | Extension::Destination(options) => {
                found.extend(options.options().map(|placed| placed.option).filter(|option| !option.is_padding()));
            }
            Extension::Routing(routing) => destination = routing.final_destination().unwrap_or(destination),
            Extension::Fragment(_) | Extension::Authentication(_) => {}
        }
        for option in &found {
            if let HeaderOption::HomeAddress(home) = *option {
                source = home;
            }
        }
        headers.push(header.extension);
        options.push(found);
    }
    let reprs = headers.iter().zip(&options).map(|(header, options)| match *header {
        Extension::HopByHop(_) => Repr::HopByHop(options),
        Extension::Destination(_) => Repr::Destination(options),
        Extension::Routing(Routing { kind, segments_left, data }) => Repr::Routing { kind, segments_left, data },
        Extension::Fragment(fragment) => Repr::Fragment(fragment),
        Extension::Authentication(header) => Repr::Authentication(header),
    });
    let reprs: Vec<Repr<'_>> = reprs.collect();
    let upper = walk.end().map_err(|bad| told(bad.reason))?;
    let payload = upper_layer(&upper, source, destination)?;

    let mut chain = vec![0xaa; reprs.iter().map(Repr::header_len).sum()];
    let (next_header, len) = emit_chain(&reprs, upper.protocol, &mut chain);
    let mut again = vec![0xaa; ipv6::HEADER_LEN];
    ipv6::Repr { next_header, ..packet.repr() }.emit(len + payload.len(), &mut again);
    again.extend(chain);
    again.extend(payload);
    Ok(again)
}

fn upper_layer(upper: &Upper<'_>, src: Ipv6Addr, dst: Ipv6Addr) -> Result<Vec<u8>, String> {
    let bytes = upper.payload;
    if upper.fragment.is_some_and(|fragment| !fragment.is_atomic()) {
        return Ok(bytes.to_vec());
    }
    let ends = (IpAddr::V6(src), IpAddr::V6(dst));
    match upper.protocol {
        Protocol::NO_NEXT_HEADER => Ok(bytes.to_vec()),
        Protocol::ESP => {
            let (header, rest) = esp::Header::parse(bytes).map_err(told)?;
            let mut again = vec![0xaa; esp::HEADER_LEN];
            header.emit(&mut again);
            again.extend(rest);
            Ok(again)
        }
        Protocol::TCP => {
            let segment = tcp::Segment::parse(bytes).map_err(told)?;
            let repr = segment.repr();
            let mut again = vec![0xaa; repr.header_len()];
            repr.emit(&mut again);
            again.extend(segment.payload());
            Ok(summed(again, ends, Protocol::TCP, tcp::CHECKSUM_OFFSET))
        }
        Protocol::UDP => {
            let datagram = udp::Datagram::parse(bytes).map_err(told)?;
            let mut again = vec![0xaa; udp::HEADER_LEN];
            datagram.repr().emit(datagram.payload().len(), &mut again);
            again.extend(datagram.payload());
            Ok(summed(again, ends, Protocol::UDP, udp::CHECKSUM_OFFSET))
        }
        Protocol::ICMPV6 => control_message(bytes, src, dst),
        other => Err(format!("{other} in IPv6")),
    }
}

/// With the checksum of all of it.
pub(super) fn summed(mut bytes: Vec<u8>, (src, dst): (IpAddr, IpAddr), protocol: Protocol, offset: usize) -> Vec<u8> {
    let mut sum = checksum::pseudo_header(src, dst, protocol.0, bytes.len() as u32);
    sum.add(&bytes);
    bytes[offset..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    bytes
}

fn control_message(bytes: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<Vec<u8>, String> {
    let message = icmpv6::Message::parse(bytes, src, dst).map_err(told)?;
    let mut buffer = vec![0xaa; bytes.len()];
    let message = match message {
        icmpv6::Message::Discovery(message) => icmpv6::Message::Discovery(discovery(message, &mut buffer)?),
        icmpv6::Message::Listener(mld::Message::ReportV2(report)) => {
            icmpv6::Message::Listener(mld::Message::ReportV2(records(&report, &mut buffer)))
        }
        icmpv6::Message::Unknown { kind, .. } => return Err(format!("type {kind} of ICMPv6")),
        other => other,
    };
    let mut again = vec![0xaa; message.total_len()];
    message.emit(src, dst, &mut again);
    Ok(again)
}

/// The message with options that were read one by one.
fn discovery<'a>(message: ndisc::Message<'_>, buffer: &'a mut [u8]) -> Result<ndisc::Message<'a>, String> {
    let options = message.options().iter().map(|option| option.map_err(|bad| told(bad.reason)));
    let options = options.collect::<Result<Vec<NdOption<'_>>, _>>()?;
    if let Some(unknown) = options.iter().find(|option| matches!(option, NdOption::Unknown { .. })) {
        return Err(format!("option {}", unknown.kind()));
    }
    let options = ndisc::Options::write(&options, buffer);
    Ok(match message {
        ndisc::Message::RouterSolicitation { .. } => ndisc::Message::RouterSolicitation { options },
        ndisc::Message::RouterAdvertisement(router) => {
            ndisc::Message::RouterAdvertisement(RouterAdvertisement { options, ..router })
        }
        ndisc::Message::NeighborSolicitation { target, .. } => ndisc::Message::NeighborSolicitation { target, options },
        ndisc::Message::NeighborAdvertisement(neighbor) => {
            ndisc::Message::NeighborAdvertisement(NeighborAdvertisement { options, ..neighbor })
        }
        ndisc::Message::Redirect { target, destination, .. } => {
            ndisc::Message::Redirect { target, destination, options }
        }
    })
}
