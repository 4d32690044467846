//! Devices and the stack's ports, joined: what whoever drives a stack on real interfaces has to do for each of them.
//!
//! [`Ports`] opens devices, makes each a port of the stack with its addresses, hands what they receive to the stack, and
//! what the stack transmits to them. It never waits: whoever owns it polls the descriptors ([`Ports::descriptors`]) until the
//! stack's next timeout or [`Ports::poll_timeout`], and calls again.
//!
//! A device that is full pushes back: its port transmits no more until [`Ports::writable`] says that it may, or a whole
//! round has passed in which it took all it was offered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::BorrowedFd;

use rustix::net::netdevice::name_to_index;
use sockeye_device::{Device, Full, Instant, PacketSocket, RxBatch, Tap, TxFrame};
use sockeye_stack::autoconf::Settings;
use sockeye_stack::{Egress, PortConfig, PortId, Route, Stack};
use sockeye_wire::IpPrefix;
use sockeye_wire::ipv6::MIN_MTU;

use crate::boundary::random;
use crate::config::{Driver, Interface};
use crate::error::Error;

/// Frames in one batch of a device.
const BATCH: usize = 64;
/// The port of a service that takes everything (RFC 863).
const DISCARD: u16 = 9;

/// Sees the frames that pass.
pub trait Observer {
    /// A frame that a device has received, before the stack has it.
    fn received(&mut self, now: Instant, frame: &[u8]);
    /// A frame that a device has taken.
    fn sent(&mut self, now: Instant, frame: &TxFrame<'_>);
}

/// What came in one turn; no frames when nothing was there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    /// Frames.
    pub frames: usize,
    /// Their bytes, of those that the stack took.
    pub bytes: usize,
}

/// Nobody looks.
impl Observer for () {
    fn received(&mut self, _: Instant, _: &[u8]) {}
    fn sent(&mut self, _: Instant, _: &TxFrame<'_>) {}
}

/// The devices of one stack.
#[derive(Default)]
pub struct Ports(Vec<Port>);

/// A device, and the port that it is to the stack.
struct Port {
    id: PortId,
    device: Box<dyn Device>,
    batch: RxBatch,
    /// It may have frames.
    readable: bool,
    /// It was full, and has not been writable since.
    blocked: bool,
    /// Frames went into it since it was last flushed.
    unflushed: bool,
    up: bool,
}

/// Opens the device that an interface is configured to have.
pub fn open(interface: &Interface) -> Result<Box<dyn Device>, Error> {
    let Interface { name, addresses, mac, driver } = interface;
    if let Some(address) = addresses.iter().find(|address| is_kernels(address.addr(), name)) {
        let mend = format!("give the node another, or take it from the kernel: ip address del {address} dev {name}");
        return Err(Error::Setup(format!("{} is the kernel's own address: {mend}", address.addr())));
    }
    Ok(match driver {
        Driver::Packet => Box::new(PacketSocket::open(name, *mac).map_err(Error::Interface)?),
        Driver::Tap => Box::new(Tap::open(name, *mac).map_err(Error::Interface)?),
        Driver::Xdp => return Err(Error::Setup(format!("interface {name}: no driver xdp yet; use packet"))),
    })
}

/// True if the kernel has the address: towards an address of its own, it speaks from that one. Nothing is sent.
fn is_kernels(address: IpAddr, interface: &str) -> bool {
    let any = if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
    let spoken_from = UdpSocket::bind((any, 0)).and_then(|socket| {
        let zone = name_to_index(&socket, interface).unwrap_or(0);
        socket.connect(match address {
            IpAddr::V4(address) => SocketAddr::from((address, DISCARD)),
            IpAddr::V6(address) => SocketAddrV6::new(address, DISCARD, 0, zone).into(),
        })?;
        socket.local_addr()
    });
    spoken_from.is_ok_and(|from| from.ip() == address)
}

impl Ports {
    /// Makes a device a port of the stack, with these addresses. Of IPv6 it does by itself what `ipv6` says; without, nothing.
    pub fn add(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        device: Box<dyn Device>,
        addresses: &[IpPrefix],
        ipv6: Option<&Settings>,
    ) -> Result<PortId, Error> {
        let id = stack.add_port(PortConfig {
            name: device.name().to_owned(),
            mac: device.mac(),
            mtu: device.mtu(),
            capabilities: device.capabilities(),
        });
        let up = device.link_up();
        stack.set_link(now, id, up);
        let narrow = usize::from(device.mtu()) < MIN_MTU;
        if let Some(address) = addresses.iter().find(|address| narrow && address.addr().is_ipv6()) {
            let (name, mtu) = (device.name(), device.mtu());
            let mend = format!("raise its MTU to {MIN_MTU}, or leave the address out");
            return Err(Error::Setup(format!("{address} on {name}: a link of {mtu} bytes carries no IPv6; {mend}")));
        }
        if let Some(settings) = ipv6 {
            stack.configure_ipv6(now, id, settings.clone());
        }
        for address in addresses {
            stack.add_address(now, id, *address);
        }
        let batch = RxBatch::new(BATCH);
        self.0.push(Port { id, device, batch, readable: true, blocked: false, unflushed: false, up });
        Ok(id)
    }

    /// Hands a batch of each readable device to the stack.
    ///
    /// Errors are final: an interface is gone.
    pub fn receive(&mut self, now: Instant, stack: &mut Stack, observer: &mut impl Observer) -> io::Result<Arrivals> {
        let mut total = Arrivals::default();
        for port in self.0.iter_mut().filter(|port| port.readable) {
            let count = port.device.receive(&mut port.batch).map_err(|error| gone(&*port.device, &error))?;
            // Fewer than fit: the rest, if there is one, is announced by the descriptor.
            port.readable = count >= BATCH || count > 0 && port.device.as_fd().is_none();
            let mut kept = 0;
            if !stack.is_enabled(port.id) {
                stack.refuse_frames(count);
                total.frames += count;
                continue;
            }
            for frame in port.batch.frames_mut() {
                observer.received(now, frame.bytes());
                total.bytes += frame.bytes().len();
                stack.handle_frame(now, port.id, frame);
                kept += usize::from(frame.buffer.is_empty());
            }
            for buffer in std::iter::from_fn(|| stack.spare_buffer()).take(kept) {
                port.batch.recycle(buffer);
            }
            let up = port.device.link_up();
            if up != port.up {
                port.up = up;
                tracing::info!(interface = port.device.name(), up, "link");
                stack.set_link(now, port.id, up);
            }
            total.frames += count;
        }
        Ok(total)
    }

    /// Sends all that the stack may send, as far as the devices take it.
    ///
    /// Errors are final: an interface is gone.
    pub fn transmit(&mut self, now: Instant, stack: &mut Stack, observer: &mut impl Observer) -> io::Result<()> {
        stack.poll_transmit(now, &mut Wire { ports: &mut self.0, observer, now });
        for port in self.0.iter_mut().filter(|port| port.unflushed) {
            port.unflushed = false;
            port.device.flush().map_err(|error| gone(&*port.device, &error))?;
            port.blocked &= port.device.wants_writable();
        }
        Ok(())
    }

    /// Tells devices what else they are to let through, as packet sockets wish.
    pub fn settle_reception(&mut self, stack: &mut Stack) {
        while let Some((id, reception)) = stack.poll_reception() {
            let Some(port) = self.0.iter_mut().find(|port| port.id == id) else { continue };
            if let Err(error) = port.device.set_reception(reception.promiscuous, reception.all_multicast) {
                tracing::warn!(interface = port.device.name(), %error, "cannot change what is received");
            }
        }
    }

    /// The port with this index has become readable.
    pub fn readable(&mut self, index: usize) {
        if let Some(port) = self.0.get_mut(index) {
            port.readable = true;
        }
    }

    /// Every port may have become readable: for who would rather try than poll.
    pub fn all_readable(&mut self) {
        self.0.iter_mut().for_each(|port| port.readable = true);
    }

    /// Whether a device may have more than the last batch.
    pub fn is_readable(&self) -> bool {
        self.0.iter().any(|port| port.readable)
    }

    /// The port with this index has become writable: it is offered frames again.
    pub fn writable(&mut self, index: usize) {
        if let Some(port) = self.0.get_mut(index) {
            port.blocked = false;
            port.unflushed = true;
        }
    }

    /// What to poll: each port's index, its descriptor, and whether it waits to be writable. Readable is always of interest.
    pub fn descriptors(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>, bool)> {
        let ports = self.0.iter().enumerate();
        ports.filter_map(|(index, port)| Some((index, port.device.as_fd()?, port.device.wants_writable())))
    }

    /// When a device wants to be looked at although no descriptor is ready.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|port| port.device.poll_timeout()).min()
    }

    /// The devices, and the ports that they are.
    pub fn iter(&self) -> impl Iterator<Item = (PortId, &dyn Device)> {
        self.0.iter().map(|port| (port.id, &*port.device))
    }
}

/// Default routes, each by the port on whose link the gateway is. The first is preferred.
pub fn add_gateways(stack: &mut Stack, gateways: &[IpAddr]) -> Result<(), Error> {
    for (index, gateway) in gateways.iter().enumerate() {
        let metric = gateways[..index].iter().filter(|before| before.is_ipv4() == gateway.is_ipv4()).count();
        // Also by an address that is still being asked for.
        let beside = |port| stack.addresses_of(port).iter().any(|own| own.prefix.contains(*gateway));
        let Some(port) = stack.ports().map(|(port, _)| port).find(|&port| beside(port)) else {
            let what = format!("gateway {gateway} is on no link of the host: give an interface an address beside it");
            return Err(Error::Setup(what));
        };
        let any = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let destination = any.parse().map_err(|_| Error::Setup(format!("{any} is no prefix")))?;
        stack.add_route(Route { destination, next_hop: Some(*gateway), port, source: None, metric: metric as u32 });
    }
    Ok(())
}

/// A seed for a stack's secrets, from the kernel.
pub fn seed() -> Result<[u8; 32], Error> {
    random().map_err(Error::system("asking for random bytes"))
}

fn gone(device: &dyn Device, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("interface {}: {error}; it is gone, start again", device.name()))
}

/// Where the stack's frames go.
struct Wire<'a, O> {
    ports: &'a mut [Port],
    observer: &'a mut O,
    now: Instant,
}

impl<O: Observer> Egress for Wire<'_, O> {
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        let Some(port) = self.ports.iter_mut().find(|io| io.id == port) else { return Ok(()) };
        if port.blocked {
            return Err(Full);
        }
        port.unflushed = true;
        match port.device.transmit(frame) {
            Ok(()) => {
                self.observer.sent(self.now, frame);
                Ok(())
            }
            Err(Full) => {
                port.blocked = true;
                Err(Full)
            }
        }
    }
}
