//! What the stack found out by itself, and people and programs should know: addresses that somebody else has, routers that come
//! and go, name servers that they name.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use sockeye_stack::autoconf::Notice;
use sockeye_stack::{PortId, Stack};

use super::Node;
use super::hearsay::Hearsay;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

impl Node {
    /// Tells the log what has happened, and the resolver whom it may ask.
    pub(super) fn tell_notices(&mut self) {
        while let Some(notice) = self.host.stack_mut().poll_notice() {
            let (port, address, warns, text) = match notice {
                Notice::Address { port, prefix, origin } => {
                    (port, prefix.addr(), false, format!("address {prefix} {origin:?}"))
                }
                Notice::Duplicate { port, address, anew } => {
                    let what = if anew { "made anew" } else { "not used; give this node another" };
                    (port, address.into(), !anew, format!("{address} is another host's on this link: {what}"))
                }
                Notice::Router { port, address, present } => {
                    let what = if present { "is" } else { "is no more" };
                    (port, address.into(), false, format!("{address} {what} a default router"))
                }
            };
            let interface = name(self.host.stack(), port).to_owned();
            self.hearsay.tell(self.now, Hearsay { interface, address, warns, text });
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
