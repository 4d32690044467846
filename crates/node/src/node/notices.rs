//! What the stack found out by itself, and people and programs should know: addresses that somebody else has, routers that come
//! and go, name servers that they name.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use sockeye_stack::autoconf::Notice;
use sockeye_stack::{PortId, Stack};

use super::Node;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

impl Node {
    /// Tells the log what has happened, and the resolver whom it may ask.
    pub(super) fn tell_notices(&mut self) {
        while let Some(notice) = self.host.stack_mut().poll_notice() {
            let stack = self.host.stack();
            match notice {
                Notice::Address { port, prefix, origin } => {
                    tracing::info!(interface = name(stack, port), %prefix, ?origin, "address");
                }
                Notice::Duplicate { port, address, anew: false } => {
                    let interface = name(stack, port);
                    tracing::warn!(
                        interface,
                        "{address} is another host's on this link: not used; give this node another"
                    );
                }
                Notice::Duplicate { port, address, anew: true } => {
                    let interface = name(stack, port);
                    tracing::info!(interface, "{address} is another host's on this link: made anew");
                }
                Notice::Router { port, address, present } => {
                    tracing::info!(interface = name(stack, port), %address, present, "default router");
                }
            }
        }
        let stack = self.host.stack();
        let generation = stack.names_generation();
        if generation != self.names_generation {
            self.names_generation = generation;
            let server = |(address, port): (IpAddr, PortId)| match address {
                IpAddr::V6(address) if address.is_unicast_link_local() => {
                    SocketAddrV6::new(address, DNS_PORT, 0, port.interface_index()).into()
                }
                address => SocketAddr::new(address, DNS_PORT),
            };
            let servers = stack.name_servers().into_iter().map(server).collect();
            let domains = stack.search_domains();
            self.resolver.set_advertised(servers, domains);
        }
    }
}

fn name(stack: &Stack, port: PortId) -> &str {
    stack.ports().find(|(id, _)| *id == port).map_or("?", |(_, port)| &port.name)
}
