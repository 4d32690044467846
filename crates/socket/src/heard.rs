//! What a stream remembers of the packets that brought it, and of which a socket wants to hear.
//!
//! On Linux these are the same fields as where packets to groups leave and how far they go, so that the options about groups tell them, too: no stream
//! can set those.
//!
//! # Standards
//!
//! RFC 2292 §4.1; Linux ip(7), ipv6(7).

use sockeye_stack::PortId;
use sockeye_stack::tcp::{Flow, Heard, Interest, Kept, Side};

use crate::advanced::Switch;
use crate::host::{Body, Host, SocketId};
use crate::settings::Settings;

impl Host {
    /// What a stream has heard of packets, as IPv4's options have it, or as IPv6's (`v6`), which hear of both.
    pub fn heard(&self, id: SocketId, v6: bool) -> Heard {
        let Some(Flow { local, .. }) = self.stream_flow(id).filter(|flow| v6 || flow.local.is_ipv4()) else {
            return Heard::default();
        };
        let mut heard = match self.body(id) {
            Some(Body::Connection(connection)) => self.stack().tcp_heard(connection),
            Some(Body::Joined(joined, side)) => {
                let packet = self.stack().tcp_joined_heard(joined, side);
                let mut heard = Heard::default();
                match side {
                    Side::Accepting => heard = packet,
                    Side::Connecting if local.is_ipv6() => heard.learn(self.interest(id), packet),
                    Side::Connecting => {}
                }
                heard
            }
            _ => Heard::default(),
        };
        // A packet of IPv4 has neither class nor label.
        if v6 && local.is_ipv4() {
            heard.flow = 0;
        }
        heard
    }

    /// The headers that a stream has kept.
    pub fn kept_headers(&self, id: SocketId) -> Option<Kept> {
        match self.body(id)? {
            Body::Connection(connection) => self.stack().tcp_kept(connection),
            Body::Joined(..) if self.interest(id).flow => {
                let heard = self.heard(id, true);
                let mut headers = [0; 40];
                headers[..4].copy_from_slice(&(6 << 28 | heard.flow).to_be_bytes());
                headers[7] = heard.hops;
                let port = heard.port().unwrap_or(PortId::LOOPBACK);
                let kept = Kept { headers: headers.into(), port, fragment_size: 0 };
                Some(kept).filter(|_| heard.flow != 0)
            }
            _ => None,
        }
    }

    fn interest(&self, id: SocketId) -> Interest {
        self.settings(id).map_or_else(Interest::default, Settings::interest)
    }

    /// The two ends of a stream, as its packets have them, also after its end.
    pub fn stream_flow(&self, id: SocketId) -> Option<Flow> {
        match self.body(id)? {
            Body::Connection(connection) => self.stack().tcp_addresses(connection),
            Body::Joined(joined, side) => self.stack().tcp_joined_addresses(joined, side),
            _ => None,
        }
    }
}

impl Settings {
    /// What of packets of IPv6 a stream is to hear.
    pub(crate) fn interest(&self) -> Interest {
        let Some(ipv6) = self.ipv6 else { return Interest::default() };
        let any_of = |switches: &[Switch]| switches.iter().any(|&switch| self.advanced.is_on(switch));
        let interest = Interest {
            any: true,
            port: ipv6.packet_info || any_of(&[Switch::OLD_PACKET_INFO]),
            hops: ipv6.receive_hops || any_of(&[Switch::OLD_HOP_LIMIT]),
            class: ipv6.receive_class,
            flow: any_of(&[Switch::FLOW]),
            hop_by_hop: any_of(&[Switch::HOP_BY_HOP, Switch::OLD_HOP_BY_HOP]),
            routing: any_of(&[Switch::ROUTING, Switch::OLD_ROUTING]),
            destination: any_of(&[Switch::DESTINATION, Switch::OLD_DESTINATION]),
        };
        let nothing = Interest { any: true, ..Interest::default() };
        let any = interest != nothing
            || any_of(&[Switch::PATH_MTU, Switch::ORIGINAL_DESTINATION_V6, Switch::FRAGMENT_SIZE_V6]);
        Interest { any, ..interest }
    }
}
