//! Ways to hand a packet to the system, from the least work to the most.
//!
//! | `--socket` | the socket | who writes what |
//! |---|---|---|
//! | `raw` | `AF_INET`, `AF_INET6` `SOCK_RAW` | the system writes the IP header and finds the way; the payload is ours |
//! | `hdrincl` | the same with `IP_HDRINCL` | the IP header is ours, too; the system finds the way |
//! | `cooked` | `AF_PACKET` `SOCK_DGRAM` | no routing: interface and MAC address are ours to name; the system writes the link header |
//! | `packet` | `AF_PACKET` `SOCK_RAW` | every byte of the frame is ours |
//!
//! All of them take CAP_NET_RAW. What a raw socket sends is the family's business, so that one is in the programs themselves;
//! the other three take any packet.

use std::io;
use std::net::{IpAddr, SocketAddr};

use clap::{Args, ValueEnum};
use socket2::{Domain, Socket, Type};
use sockeye_device::LinkAddress;
use sockeye_wire::{EtherType, MacAddr, Protocol};

use crate::interface::Interface;
use crate::packet::{ether_type, frame};
use crate::{Explain, Result, unsent};

/// A kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The system makes the IP header
    Raw,
    /// The IP header is ours, the system routes it
    Hdrincl,
    /// No link header: the system makes one for the MAC address it is told
    Cooked,
    /// The whole frame is ours
    Packet,
}

/// A kind of socket, and what it needs to know.
#[derive(Args, Clone, Debug)]
pub struct Way {
    /// The interface to send by; with `packet` and `cooked` it must be said
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// The hardware address of the next hop, for `packet` and `cooked` (the examples `arp` and `neighbors` find it)
    #[arg(long, value_name = "ADDRESS")]
    pub mac: Option<MacAddr>,
}

impl Way {
    /// Sends whole IP packets to `to`.
    pub fn send(&self, kind: Kind, to: IpAddr, packets: &[Vec<u8>]) -> Result<()> {
        match kind {
            Kind::Raw => {
                Err("a packet that is ours from its header on needs --socket hdrincl, cooked or packet".into())
            }
            Kind::Hdrincl => self.hdrincl(to, packets),
            Kind::Cooked => self.cooked(packets),
            Kind::Packet => self.packet(packets),
        }
    }

    /// Opens a raw socket for the family of `to`; the interface, where it is said, is the only one that it sends by.
    pub fn open(&self, to: IpAddr, protocol: Protocol) -> Result<Socket> {
        let socket = raw_socket(to, protocol)?;
        if let Some(interface) = self.routed()? {
            bind(&socket, &interface)?;
        }
        Ok(socket)
    }

    /// The address that packets to `to` leave from. Nothing is sent: connecting a datagram socket only chooses a route.
    pub fn source_toward(&self, to: IpAddr) -> Result<IpAddr> {
        let to = SocketAddr::new(to, 9);
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None).explain("open a datagram socket")?;
        if let Some(interface) = self.interface.as_deref().map(Interface::named).transpose()? {
            bind(&socket, &interface)?;
        }
        socket.connect(&to.into()).map_err(unsent(to.ip()))?;
        let own = socket.local_addr().explain("ask for the own address")?;
        own.as_socket().map(|own| own.ip()).ok_or("the system told no address of its own".into())
    }

    /// The interface that a packet is to leave by, if it is said; the next hop is the system's to find.
    pub fn routed(&self) -> Result<Option<Interface>> {
        if self.mac.is_some() {
            return Err("--mac is for --socket cooked or packet: elsewhere the system finds the next hop".into());
        }
        self.interface.as_deref().map(Interface::named).transpose()
    }

    /// The system finds the way by `to`. In IPv4 it writes the total length and the header's checksum anew, and fills in
    /// source and identification where they are zero; in IPv6 it changes nothing. A packet beyond the MTU is refused with
    /// EMSGSIZE: fragments are ours to make.
    fn hdrincl(&self, to: IpAddr, packets: &[Vec<u8>]) -> Result<()> {
        let socket = self.open(to, Protocol(libc::IPPROTO_RAW as u8))?;
        if to.is_ipv4() {
            socket.set_header_included_v4(true).explain("set IP_HDRINCL")?;
        } else {
            socket.set_header_included_v6(true).explain("set IPV6_HDRINCL")?;
        }
        for packet in packets {
            socket.send_to(packet, &SocketAddr::new(to, 0).into()).map_err(unsent(to))?;
        }
        Ok(())
    }

    /// The packet is ours; for its link header the system takes the MAC address that it is told, and the interface's own.
    fn cooked(&self, packets: &[Vec<u8>]) -> Result<()> {
        let (interface, mac) = self.next_hop()?;
        // Protocol 0: this socket receives nothing.
        let socket = open(Domain::PACKET, Type::DGRAM, 0)?;
        for packet in packets {
            let to = LinkAddress { interface: interface.index, ether_type: ether_type(packet), mac };
            to.send(&socket, packet).map_err(unsent(&interface.name))?;
        }
        Ok(())
    }

    /// The frame is ours from its destination on. Its source is ours, too: the interface's own address is only customary.
    fn packet(&self, packets: &[Vec<u8>]) -> Result<()> {
        let (interface, mac) = self.next_hop()?;
        let socket = packet_socket(&interface, EtherType(0))?;
        for packet in packets {
            let frame = frame(mac, interface.mac, ether_type(packet), packet);
            socket.send(&frame).map_err(unsent(&interface.name))?;
        }
        Ok(())
    }

    fn next_hop(&self) -> Result<(Interface, MacAddr)> {
        let name = self.interface.as_deref().ok_or("a packet socket knows no routes: say --interface")?;
        let mac = self
            .mac
            .ok_or("a packet socket resolves no addresses: say --mac, as `arp ask` or `neighbors ask` tells it")?;
        Ok((Interface::named(name)?, mac))
    }
}

/// Opens a raw socket for the family of an address.
pub fn raw_socket(family: IpAddr, protocol: Protocol) -> Result<Socket> {
    open(Domain::for_address(SocketAddr::new(family, 0)), Type::RAW, protocol.0.into())
}

/// Opens a packet socket for whole frames on one interface, which receives those of one type (of type 0: none).
pub fn packet_socket(interface: &Interface, ether_type: EtherType) -> Result<Socket> {
    // Opened for nothing and bound at once: in between it would hear all interfaces.
    let socket = open(Domain::PACKET, Type::RAW, 0)?;
    let address = LinkAddress { interface: interface.index, ether_type, mac: MacAddr::ZERO };
    address.bind(&socket).explain(format_args!("bind a packet socket to {}", interface.name))?;
    Ok(socket)
}

fn open(domain: Domain, kind: Type, protocol: i32) -> Result<Socket> {
    Socket::new(domain, kind, Some(protocol.into())).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => "a raw or packet socket takes CAP_NET_RAW: run this as root".to_owned(),
        _ => format!("cannot open a socket: {error}"),
    })
}

fn bind(socket: &Socket, interface: &Interface) -> Result<()> {
    socket.bind_device(Some(interface.name.as_bytes())).explain(format_args!("bind a socket to {}", interface.name))
}
