//! The meanings of IPv6 and of group membership as one line each.

use core::fmt::{Display, Formatter, Result};

use crate::group::{Address, QueryDetails, Record, RecordKind, Records};
use crate::icmpv6::Message;
use crate::ipv6::extension::{Extension, Fragment};
use crate::ndisc::{NeighborAdvertisement, RouterAdvertisement};
use crate::{igmp, ipv6, mld, ndisc, udp_lite};

impl Display for ipv6::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ipv6::Repr { src, dst, next_header, hop_limit, traffic_class, flow_label } = self;
        write!(f, "{src} > {dst} {next_header} hop limit {hop_limit}")?;
        if *traffic_class != 0 {
            write!(f, " class {traffic_class:#04x}")?;
        }
        if *flow_label != 0 {
            write!(f, " flow {flow_label:#07x}")?;
        }
        Ok(())
    }
}

impl Display for Extension<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let count = |header: &ipv6::extension::OptionsHeader<'_>| {
            header.options().filter(|placed| !placed.option.is_padding()).count()
        };
        match self {
            Extension::HopByHop(header) => write!(f, "{} hop-by-hop options", count(header)),
            Extension::Destination(header) => write!(f, "{} destination options", count(header)),
            Extension::Routing(routing) => {
                write!(f, "routing type {} with {} segments left", routing.kind, routing.segments_left)
            }
            Extension::Fragment(Fragment { offset, more, id }) => {
                write!(f, "fragment of {id} at {offset}{}", if *more { " and more" } else { "" })
            }
            Extension::Authentication(header) => write!(f, "AH spi {:#x} seq {}", header.spi, header.seq),
        }
    }
}

impl Display for Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Message::DestinationUnreachable { code, original: _ } => write!(f, "{code}"),
            Message::PacketTooBig { mtu, original: _ } => write!(f, "packet too big, mtu {mtu}"),
            Message::TimeExceeded { code, original: _ } => write!(f, "{code}"),
            Message::ParameterProblem { code, pointer, original: _ } => write!(f, "{code} at byte {pointer}"),
            Message::EchoRequest { ident, seq, data } => {
                write!(f, "echo request id {ident} seq {seq} of {} bytes", data.len())
            }
            Message::EchoReply { ident, seq, data } => {
                write!(f, "echo reply id {ident} seq {seq} of {} bytes", data.len())
            }
            Message::Discovery(message) => write!(f, "{message}"),
            Message::Listener(message) => write!(f, "{message}"),
            Message::Unknown { kind, code, rest: _, data: _ } => write!(f, "type {kind}, code {code}"),
        }
    }
}

impl Display for ndisc::Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let options = self.options();
        match self {
            ndisc::Message::RouterSolicitation { options: _ } => f.write_str("which routers are there?")?,
            ndisc::Message::RouterAdvertisement(RouterAdvertisement { lifetime, .. }) => {
                write!(f, "router for {lifetime} s, {} options", options.iter().count())?;
            }
            ndisc::Message::NeighborSolicitation { target, options: _ } => write!(f, "who has {target}?")?,
            ndisc::Message::NeighborAdvertisement(NeighborAdvertisement { target, .. }) => {
                return match options.target_link_layer() {
                    Some(mac) => write!(f, "{target} is at {mac}"),
                    None => write!(f, "{target} is here"),
                };
            }
            ndisc::Message::Redirect { target, destination, options: _ } => {
                return write!(f, "redirect for {destination} to {target}");
            }
        }
        match options.source_link_layer() {
            Some(mac) => write!(f, ", says {mac}"),
            None => Ok(()),
        }
    }
}

impl Display for mld::Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            mld::Message::Query(mld::Query { group, details, .. }) => {
                query(f, group, group.is_unspecified(), details.as_ref())
            }
            mld::Message::ReportV1 { group } => write!(f, "listens to {group}"),
            mld::Message::Done { group } => write!(f, "leaves {group}"),
            mld::Message::ReportV2(records) => write!(f, "{records}"),
        }
    }
}

impl Display for igmp::Message<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            igmp::Message::Query(igmp::Query { group, details, .. }) => {
                query(f, group, group.is_unspecified(), details.as_ref())
            }
            igmp::Message::ReportV1 { group } | igmp::Message::ReportV2 { group } => write!(f, "listens to {group}"),
            igmp::Message::Leave { group } => write!(f, "leaves {group}"),
            igmp::Message::ReportV3(records) => write!(f, "{records}"),
            igmp::Message::Unknown { kind, code, data: _ } => write!(f, "type {kind:#04x}, code {code}"),
        }
    }
}

fn query<A: Address>(
    f: &mut Formatter<'_>,
    group: &dyn Display,
    general: bool,
    details: Option<&QueryDetails<'_, A>>,
) -> Result {
    if general {
        return f.write_str("who listens to what?");
    }
    match details.map_or(0, |details| details.sources.len()) {
        0 => write!(f, "who listens to {group}?"),
        sources => write!(f, "who listens to {sources} sources of {group}?"),
    }
}

impl<A: Address + Display> Display for Records<'_, A> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, record) in self.iter().enumerate() {
            write!(f, "{}{record}", if index > 0 { "; " } else { "" })?;
        }
        if self.is_empty() { f.write_str("nothing to report") } else { Ok(()) }
    }
}

impl<A: Address + Display> Display for Record<'_, A> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Record { kind, group, sources, auxiliary: _ } = self;
        let sources = sources.len();
        match *kind {
            RecordKind::MODE_IS_INCLUDE => write!(f, "listens to {sources} sources of {group}"),
            RecordKind::MODE_IS_EXCLUDE if sources == 0 => write!(f, "listens to {group}"),
            RecordKind::MODE_IS_EXCLUDE => write!(f, "listens to all but {sources} sources of {group}"),
            RecordKind::CHANGE_TO_INCLUDE if sources == 0 => write!(f, "leaves {group}"),
            RecordKind::CHANGE_TO_INCLUDE => write!(f, "now listens to {sources} sources of {group}"),
            RecordKind::CHANGE_TO_EXCLUDE if sources == 0 => write!(f, "joins {group}"),
            RecordKind::CHANGE_TO_EXCLUDE => write!(f, "now listens to all but {sources} sources of {group}"),
            RecordKind::ALLOW_NEW_SOURCES => write!(f, "joins {sources} sources of {group}"),
            RecordKind::BLOCK_OLD_SOURCES => write!(f, "leaves {sources} sources of {group}"),
            RecordKind(other) => write!(f, "record of kind {other} for {group}"),
        }
    }
}

impl Display for udp_lite::Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let udp_lite::Repr { src_port, dst_port, coverage } = self;
        write!(f, "{src_port} > {dst_port}")?;
        if *coverage != 0 { write!(f, " covering {coverage} bytes") } else { Ok(()) }
    }
}
