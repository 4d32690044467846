//! Errors that a program asks for one by one (`IP_RECVERR`, `IPV6_RECVERR`), and how it learns that there are some.
//!
//! Linux polls a socket as `POLLERR` while an error is pending or in the queue. A pair cannot; so a message in it says that there is something to ask for.
//! At most one is on its way: another one follows when an error has come since, when the program has taken one from the queue and there are more, or when
//! it was told the pending error and the queue has some. Whoever was told that nothing is pending hears of the queue again with its next error.

use sockeye_control::Address;
use sockeye_control::ancillary::put;
use sockeye_control::datagram::Header;
use sockeye_device::Instant;
use sockeye_socket::names::{IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR};
use sockeye_socket::settings::Switch;
use sockeye_socket::{Errno, Settings, scoped};
use sockeye_stack::errors::{Cause, Extension, Reported};
use std::net::{IpAddr, SocketAddr};

use super::ancillary::{self, Arrival};

/// `SO_EE_ORIGIN_LOCAL`, `SO_EE_ORIGIN_ICMP`, `SO_EE_ORIGIN_ICMP6`.
const LOCAL: u8 = 1;
const ICMP: u8 = 2;
const ICMPV6: u8 = 3;

/// What is known of a program's knowledge.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notice {
    /// One is on its way.
    out: bool,
    /// Another is due though nothing new has come.
    again: bool,
    /// The youngest error when the last one went.
    newest: u64,
}

impl Notice {
    /// The message that the program is to get, if one is due. `newest` says whether there is anything to ask for.
    pub(super) fn due(&mut self, newest: Option<u64>) -> Option<Header> {
        let newest = newest?;
        // A pending error alone has no number: it stands until it is asked for.
        let new = newest != self.newest || newest == 0;
        if self.out || !(new || self.again) {
            return None;
        }
        *self = Notice { out: true, again: false, newest };
        Some(Header { answer: true, ..Header::error(Errno::EIO.raw(), None) })
    }

    /// The program has asked.
    pub(super) fn taken(&mut self, again: bool) {
        (self.out, self.again) = (false, again);
    }
}

/// An error of the queue, as a datagram's message.
pub(crate) fn message(settings: &Settings, now: Instant, reported: &Reported) -> Vec<u8> {
    let mut list = Vec::new();
    if reported.offender.is_some() {
        let Reported { to, ttl, tos, flow_label, timestamp: at, .. } = *reported;
        // The first word of the header, which is all that is known of it.
        let first = 6 << 28 | u32::from(tos) << 20 | flow_label;
        let port = reported.port.interface_index();
        let arrival = Arrival {
            at,
            to: SocketAddr::new(to, 0),
            port,
            ttl,
            tos,
            lost: 0,
            segment: 0,
            fragment_size: 0,
            error: true,
            headers: &first.to_be_bytes(),
        };
        ancillary::list(&mut list, settings, now, &arrival);
    }
    let (level, kind) = if settings.ipv6.is_some() { (IPPROTO_IPV6, IPV6_RECVERR) } else { (IPPROTO_IP, IP_RECVERR) };
    put(&mut list, level, kind, &extended(settings, reported));
    let heard = reported.offender.map(|_| reported.port);
    let mut remote = scoped(settings.outward(reported.destination), heard);
    if let (SocketAddr::V6(remote), true) = (&mut remote, settings.advanced.is_on(Switch::SENDS_FLOW)) {
        remote.set_flowinfo(reported.flow);
    }
    let remote = Some(Address::Internet(remote));
    // Neither the list nor the quoted packet is longer than a few hundred bytes and a small packet.
    let header = Header { control: list.len() as u16, ..Header::data(remote) };
    [&header.encode()[..], &list, &reported.data].concat()
}

/// `struct sock_extended_err`, and the address of who reports it.
fn extended(settings: &Settings, reported: &Reported) -> Vec<u8> {
    let (origin, kind, code) = match reported.cause {
        Cause::MessageSize => (LOCAL, 0, 0),
        Cause::Icmp { kind, code } => (ICMP, kind, code),
        Cause::Icmpv6 { kind, code } => (ICMPV6, kind, code),
    };
    let mut bytes = Errno::from(reported.cause).raw().to_ne_bytes().to_vec();
    bytes.extend([origin, kind, code, 0]);
    bytes.extend(reported.info.to_ne_bytes());
    let asked = match reported.cause {
        Cause::Icmpv6 { .. } => Switch::EXTENDED_ERRORS_V6,
        Cause::Icmp { .. } | Cause::MessageSize => Switch::EXTENDED_ERRORS,
    };
    match reported.extension.filter(|_| settings.advanced.is_on(asked)) {
        Some(Extension { at, valid }) => {
            bytes.extend(at.to_ne_bytes());
            bytes.extend([u8::from(!valid), 0]);
        }
        None => bytes.extend([0; 4]),
    }
    let offender = reported.offender.map(|offender| settings.outward(SocketAddr::new(offender, 0)));
    match offender.map(|offender| offender.ip()) {
        Some(IpAddr::V4(address)) => {
            bytes.extend(2u16.to_ne_bytes());
            bytes.extend([0; 2]);
            bytes.extend(address.octets());
            bytes.extend([0; 8]);
        }
        Some(IpAddr::V6(address)) => {
            let scope = if address.is_unicast_link_local() { reported.port.interface_index() } else { 0 };
            bytes.extend(10u16.to_ne_bytes());
            bytes.extend([0; 6]);
            bytes.extend(address.octets());
            bytes.extend(scope.to_ne_bytes());
        }
        None => bytes.extend(vec![0; if settings.ipv6.is_some() { 28 } else { 16 }]),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_notice_is_out_and_the_next_follows_what_is_new() {
        let mut notice = Notice::default();
        assert!(notice.due(None).is_none());
        assert!(notice.due(Some(1)).is_some_and(|header| header.answer));
        assert!(notice.due(Some(2)).is_none(), "one is out");
        // One was taken from the queue, another is there.
        notice.taken(true);
        assert!(notice.due(Some(2)).is_some());
        // The program was told that nothing is pending: nothing new, no notice.
        notice.taken(false);
        assert!(notice.due(Some(2)).is_none());
        assert!(notice.due(Some(3)).is_some());
        notice.taken(true);
        assert!(notice.due(None).is_none());
    }
}
