//! smoltcp as a host.
//!
//! It has no listeners: a socket listens until a connection comes, and is the connection from then on. So another takes its
//! place when it is accepted. Sockets and their buffers are used again as soon as smoltcp lets them be.

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address};
use sockeye_workload::{Host, Read, Result};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Ports that connections begin at, in turn.
const PORTS: std::ops::Range<u16> = 1024..65_000;

/// What smoltcp's devices do not do by themselves.
pub trait Port: Device {
    /// Sleeps until there is something to receive or room to send.
    fn wait(&mut self, limit: Duration) -> Result<()>;
    /// Everything that was sent goes.
    fn flush(&mut self) -> Result<()>;
    /// Our address on the link.
    fn address(&self) -> Option<EthernetAddress> {
        None
    }
}

/// Sizes of a socket's buffers. They are allocated with it.
#[derive(Clone, Copy)]
pub struct Buffers {
    pub send: usize,
    pub receive: usize,
}

/// smoltcp, and its device.
pub struct Smoltcp<D: Port> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    buffers: Buffers,
    timestamps: bool,
    /// Sockets that wait for a connection, and where.
    listening: Vec<(u16, SocketHandle)>,
    /// Sockets that are closing or closed.
    retired: Vec<SocketHandle>,
    next_port: u16,
}

impl<D: Port> Smoltcp<D> {
    pub fn new(mut device: D, address: Ipv4Addr, prefix: u8, buffers: Buffers, timestamps: bool) -> Self {
        let hardware = match device.capabilities().medium {
            Medium::Ethernet => HardwareAddress::Ethernet(device.address().unwrap_or(EthernetAddress([2; 6]))),
            Medium::Ip => HardwareAddress::Ip,
        };
        let mut config = Config::new(hardware);
        config.random_seed = u64::from(std::process::id()) << 32 | u64::from(address.to_bits());
        let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // There is room for one, and this is the first.
            let _ = addresses.push(IpCidr::new(Ipv4Address::from(address).into(), prefix));
        });
        Smoltcp {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            buffers,
            timestamps,
            listening: Vec::new(),
            retired: Vec::new(),
            next_port: PORTS.start,
        }
    }

    /// A socket that is not open: an old one, or another.
    fn socket(&mut self) -> SocketHandle {
        let sockets = &self.sockets;
        if let Some(place) = self.retired.iter().position(|&handle| !sockets.get::<Socket>(handle).is_open()) {
            return self.retired.swap_remove(place);
        }
        let [receive, send] = [self.buffers.receive, self.buffers.send].map(|size| SocketBuffer::new(vec![0; size]));
        let mut socket = Socket::new(receive, send);
        socket.set_nagle_enabled(false);
        if self.timestamps {
            socket.set_tsval_generator(Some(milliseconds));
        }
        self.sockets.add(socket)
    }
}

fn time(now: Duration) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros((now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())) as i64)
}

/// The clock of the timestamp option. It lets a peer tell a new connection from the one before.
fn milliseconds() -> u32 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u32).wrapping_mul(1000).wrapping_add(now.tv_nsec as u32 / 1_000_000)
}

impl<D: Port> Host for Smoltcp<D> {
    type Socket = SocketHandle;

    fn listen(&mut self, port: u16) -> Result<()> {
        let handle = self.socket();
        self.sockets.get_mut::<Socket>(handle).listen(port)?;
        self.listening.push((port, handle));
        Ok(())
    }

    fn accept(&mut self) -> Option<SocketHandle> {
        let waits = |handle| matches!(self.sockets.get::<Socket>(handle).state(), State::Listen | State::SynReceived);
        let place = self.listening.iter().position(|&(_, handle)| !waits(handle))?;
        let (port, handle) = self.listening.swap_remove(place);
        // Listening fails for an open socket or port 0 only.
        self.listen(port).ok()?;
        Some(handle)
    }

    fn connect(&mut self, _: Duration, remote: SocketAddrV4) -> Result<SocketHandle> {
        let handle = self.socket();
        let port = self.next_port;
        self.next_port = if port + 1 < PORTS.end { port + 1 } else { PORTS.start };
        let remote = (Ipv4Address::from(*remote.ip()), remote.port());
        self.sockets.get_mut::<Socket>(handle).connect(self.interface.context(), remote, port)?;
        Ok(handle)
    }

    fn is_open(&mut self, socket: SocketHandle) -> Result<bool> {
        match self.sockets.get::<Socket>(socket).state() {
            State::Closed => Err("the connection was refused or lost".into()),
            State::SynSent | State::SynReceived => Ok(false),
            _ => Ok(true),
        }
    }

    fn write(&mut self, _: Duration, socket: SocketHandle, bytes: &[u8]) -> usize {
        self.sockets.get_mut::<Socket>(socket).send_slice(bytes).unwrap_or(0)
    }

    fn read(&mut self, _: Duration, socket: SocketHandle, into: &mut [u8]) -> Result<Read> {
        let socket = self.sockets.get_mut::<Socket>(socket);
        match socket.recv_slice(into) {
            Ok(0) => Ok(Read::Nothing),
            Ok(count) => Ok(Read::Bytes(count)),
            Err(smoltcp::socket::tcp::RecvError::Finished) => Ok(Read::End),
            Err(_) if matches!(socket.state(), State::SynSent | State::SynReceived) => Ok(Read::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    fn close(&mut self, _: Duration, socket: SocketHandle) {
        self.sockets.get_mut::<Socket>(socket).close();
        self.retired.push(socket);
    }

    fn abort(&mut self, _: Duration, socket: SocketHandle) {
        self.sockets.get_mut::<Socket>(socket).abort();
        self.retired.push(socket);
    }

    fn receive(&mut self, now: Duration) -> Result<bool> {
        let time = time(now);
        let mut any = false;
        while self.interface.poll_ingress_single(time, &mut self.device, &mut self.sockets)
            != PollIngressSingleResult::None
        {
            any = true;
        }
        Ok(any)
    }

    fn transmit(&mut self, now: Duration) -> Result<()> {
        let time = time(now);
        self.interface.poll_egress(time, &mut self.device, &mut self.sockets);
        self.device.flush()
    }

    fn wait(&mut self, now: Duration, limit: Duration) -> Result<()> {
        let time = time(now);
        let delay = self.interface.poll_delay(time, &self.sockets).map_or(limit, |delay| limit.min(delay.into()));
        if delay.is_zero() { Ok(()) } else { self.device.wait(delay) }
    }
}
