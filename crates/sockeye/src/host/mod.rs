//! A host inside a program: sockets like the standard library's, on a stack that runs in the program's own calls.
//!
//! [`Host::open`] puts a host of its own on an interface, with its own addresses, beside the kernel's. [`Host::connect`],
//! [`Host::listen`] and [`Host::udp`] make sockets on it, which read, write, accept and time out as those of [`std::net`] do, with
//! Linux's error numbers. There is no node, no shim, no other process, no thread and no socket pair: a segment is made in the
//! call that writes it, and a call that waits receives and handles what arrives itself.
//!
//! ```no_run
//! use std::io::{Read, Write};
//!
//! use sockeye::host::{Config, Host};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("eth0").address("10.0.0.2/24".parse()?).gateway([10, 0, 0, 1].into());
//! let host = Host::open(config)?;
//! let mut stream = host.connect(([10, 0, 0, 1], 80))?;
//! stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! let mut page = Vec::new();
//! stream.read_to_end(&mut page)?;
//! # Ok(())
//! # }
//! ```
//!
//! # One thread
//!
//! A host and its sockets belong to the thread that made them: they share the host by a reference count, without a lock.
//! Another thread has a host of its own, with an address of its own. A reader and a writer of one stream can share it by
//! reference (`&TcpStream` reads and writes).
//!
//! # The host lives while it is called
//!
//! Any call on any socket, and [`Host::poll`], keeps the whole host going: every connection is acknowledged, retransmitted,
//! accepted. While the program does something else for long, nothing is. Peers bear that as they bear a slow host;
//! but a program that computes for seconds should call `host.poll(&mut events, Some(Duration::ZERO))` now and then.
//! Whoever has an event loop waits on the host's [descriptors](Host::descriptors) until its [timeout](Host::timeout).
//!
//! # Many sockets
//!
//! Sockets that are set not to block, and [`Host::poll`], are what epoll is to the kernel's: a call names the sockets that
//! something happened to, at a cost that does not grow with those to which nothing did.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! use sockeye::host::Host;
//! use sockeye_device::memory;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two hosts on a wire in memory, which needs no privilege.
//! let (left, right) = memory::pair();
//! let client = Host::on(vec![(Box::new(left), vec!["10.0.0.1/24".parse()?])], &[])?;
//! let server = Host::on(vec![(Box::new(right), vec!["10.0.0.2/24".parse()?])], &[])?;
//!
//! let listener = server.listen(([10, 0, 0, 2], 7))?;
//! listener.set_nonblocking(true)?;
//! let stream = client.start_connect(([10, 0, 0, 2], 7))?;
//! let mut events = Vec::new();
//! let mut echo = None;
//! let mut heard = [0; 5];
//! loop {
//!     client.poll(&mut events, Some(Duration::ZERO))?;
//!     if events.iter().any(|event| event.id == stream.id() && event.is_writable()) && echo.is_none() {
//!         (&stream).write_all(b"hello")?;
//!     }
//!     if (&stream).read(&mut heard).is_ok() {
//!         break;
//!     }
//!     server.poll(&mut events, Some(Duration::ZERO))?;
//!     if let Ok((accepted, _)) = listener.accept() {
//!         accepted.set_nonblocking(true)?;
//!         echo = Some(accepted);
//!     }
//!     let mut bytes = [0; 5];
//!     if let Some(echo) = &mut echo && echo.read(&mut bytes).is_ok() {
//!         echo.write_all(&bytes)?;
//!     }
//! }
//! assert_eq!(&heard, b"hello");
//! # Ok(())
//! # }
//! ```

mod datagram;
mod engine;
mod listener;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use sockeye_device::Device;
use sockeye_node::ports::{self, Ports};
use sockeye_node::{Driver, Error, Interface, MacChoice};
use sockeye_socket::names::{AF_INET, AF_INET6, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, SOCK_DGRAM, SOCK_STREAM};
use sockeye_socket::{Errno, Privilege, Progress, Readiness};
use sockeye_stack::{Stack, autoconf};
use sockeye_wire::IpPrefix;

pub use datagram::UdpSocket;
pub use listener::{Incoming, TcpListener};
pub use socket::Socket;
pub use sockeye_socket::SocketId;
pub use stream::TcpStream;

use engine::{Engine, attempt};

/// How long a waiting call looks for an answer before it sleeps, unless told otherwise.
const SPIN: Duration = Duration::from_micros(100);
/// How long the end of a host may take, unless told otherwise.
const LINGER: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted, as with the standard library's listener.
const BACKLOG: i32 = 128;

/// What a host shall be.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it stands on; at least one.
    pub interfaces: Vec<Interface>,
    /// Default routers.
    pub gateways: Vec<IpAddr>,
    /// What the interfaces do by themselves, if anything: addresses of IPv6, routers. It is done in the host's calls, as everything.
    pub ipv6: Option<autoconf::Settings>,
    /// How long a waiting call looks for an answer before it sleeps: its longest use of a core for nothing, and of few
    /// waits of a host whose waits are longer. Zero: it sleeps at once.
    pub spin: Duration,
    /// How long the last of the host's handles may take to go, while what was written has not been delivered.
    pub linger: Duration,
}

impl Config {
    /// A host on this interface, by a packet socket, with a link address of its own, and no addresses yet but those of IPv6 that it
    /// makes itself, as a node does.
    pub fn new(interface: impl Into<String>) -> Config {
        let (name, addresses) = (interface.into(), Vec::new());
        let interface = Interface { name, addresses, mac: MacChoice::Auto, driver: Driver::Packet };
        let (gateways, ipv6) = (Vec::new(), sockeye_node::usual_ipv6());
        Config { interfaces: vec![interface], gateways, ipv6, spin: SPIN, linger: LINGER }
    }

    /// The host has this address, too, on the last of its interfaces.
    pub fn address(mut self, address: IpPrefix) -> Config {
        self.interfaces.last_mut().into_iter().for_each(|interface| interface.addresses.push(address));
        self
    }

    /// What is not on a link goes this way.
    pub fn gateway(mut self, gateway: IpAddr) -> Config {
        self.gateways.push(gateway);
        self
    }
}

/// A host. A clone is the same host; it ends with the last of its clones and sockets.
#[derive(Clone)]
pub struct Host {
    engine: Rc<RefCell<Engine>>,
}

/// Something has happened to a socket: go on with what it is ready for, until that would block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The socket, as [`Socket::id`] has it.
    pub id: SocketId,
    /// What poll(2) would say of it.
    pub readiness: Readiness,
}

impl Event {
    /// Reading (or accepting) does not block: there is data, its end, or an error.
    pub fn is_readable(&self) -> bool {
        self.readiness.0 & (POLLIN | POLLRDHUP | POLLHUP | POLLERR) != 0
    }

    /// Writing does not block: there is room, or an error.
    pub fn is_writable(&self) -> bool {
        self.readiness.0 & (POLLOUT | POLLERR) != 0
    }
}

impl Host {
    /// Opens the interfaces. Needs CAP_NET_RAW, as the devices do.
    pub fn open(config: Config) -> Result<Host, Error> {
        let Config { interfaces, gateways, ipv6, spin, linger } = config;
        if interfaces.is_empty() {
            return Err(Error::Setup("no interface: a host needs one at least".to_owned()));
        }
        let mut devices = Vec::new();
        for interface in interfaces {
            devices.push((ports::open(&interface)?, interface.addresses));
        }
        Host::build(devices, &gateways, ipv6.as_ref(), spin, linger)
    }

    /// A host on devices of the caller's own, each with the host's addresses on it. It does nothing by itself.
    pub fn on(devices: Vec<(Box<dyn Device>, Vec<IpPrefix>)>, gateways: &[IpAddr]) -> Result<Host, Error> {
        Host::build(devices, gateways, None, SPIN, LINGER)
    }

    fn build(
        devices: Vec<(Box<dyn Device>, Vec<IpPrefix>)>,
        gateways: &[IpAddr],
        ipv6: Option<&autoconf::Settings>,
        spin: Duration,
        linger: Duration,
    ) -> Result<Host, Error> {
        let mut stack = Stack::new(sockeye_stack::Config::default(), ports::seed()?);
        let mut ports = Ports::default();
        for (device, addresses) in devices {
            ports.add(Engine::EPOCH, &mut stack, device, &addresses, ipv6)?;
        }
        ports::add_gateways(&mut stack, gateways)?;
        let engine = Engine::new(sockeye_socket::Host::new(stack), ports, spin, linger);
        Ok(Host { engine: Rc::new(RefCell::new(engine)) })
    }

    /// Connects to `remote`, and waits for it.
    pub fn connect(&self, remote: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        self.connect_within(remote.into(), None)
    }

    /// Connects to `remote`, or fails with ETIMEDOUT.
    pub fn connect_timeout(&self, remote: impl Into<SocketAddr>, timeout: Duration) -> io::Result<TcpStream> {
        self.connect_within(remote.into(), Some(timeout))
    }

    fn connect_within(&self, remote: SocketAddr, timeout: Option<Duration>) -> io::Result<TcpStream> {
        let stream = self.start_connect(remote)?;
        stream.set_nonblocking(false)?;
        let id = stream.id();
        let established =
            attempt(&mut self.engine.borrow_mut(), true, timeout, |sockets, _| match sockets.take_error(id) {
                Some(errno) => Err(errno),
                None => sockets.peer_address(id).map(drop).map_err(|_| Errno::EAGAIN),
            });
        match established {
            Ok(()) => Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Errno::ETIMEDOUT.into()),
            Err(error) => Err(error),
        }
    }

    /// Begins to connect to `remote`, on a stream that does not block. It becomes writable when it is connected, or when it
    /// cannot be; then [`TcpStream::take_error`](Socket::take_error) says why.
    pub fn start_connect(&self, remote: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let remote = remote.into();
        let socket = self.socket(&remote, SOCK_STREAM)?;
        let id = socket.id();
        let mut engine = self.engine.borrow_mut();
        attempt(&mut engine, false, None, |sockets, now| match sockets.connect(now, id, Some(remote))? {
            Progress::Started | Progress::Done => Ok(()),
        })?;
        socket.set_nonblocking(true)?;
        Ok(TcpStream::new(socket))
    }

    /// Listens at `local`; port 0: at one that is free.
    pub fn listen(&self, local: impl Into<SocketAddr>) -> io::Result<TcpListener> {
        let local = local.into();
        let socket = self.socket(&local, SOCK_STREAM)?;
        let id = socket.id();
        let mut engine = self.engine.borrow_mut();
        let Engine { sockets, now, .. } = &mut *engine;
        sockets.bind(*now, id, local, Privilege::Administrator)?;
        sockets.listen(id, BACKLOG)?;
        Ok(TcpListener::new(socket))
    }

    /// A socket for datagrams at `local`; port 0: at one that is free.
    pub fn udp(&self, local: impl Into<SocketAddr>) -> io::Result<UdpSocket> {
        let local = local.into();
        let socket = self.socket(&local, SOCK_DGRAM)?;
        let id = socket.id();
        let mut engine = self.engine.borrow_mut();
        let Engine { sockets, now, .. } = &mut *engine;
        sockets.bind(*now, id, local, Privilege::Administrator)?;
        Ok(UdpSocket::new(socket))
    }

    /// Keeps the host going until something has happened to a socket, or `timeout` has passed (`None`: for as long as it takes),
    /// and names in `events` the sockets that something has happened to since they were last named.
    ///
    /// EINTR after a signal; EDEADLK when no device has a descriptor, nothing is due, and there is no timeout.
    pub fn poll(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let mut engine = self.engine.borrow_mut();
        engine.tick();
        let deadline = timeout.map(|timeout| engine.now + timeout);
        engine.transmit()?;
        engine.turn()?;
        loop {
            engine.name_pending(events);
            if !events.is_empty() || deadline.is_some_and(|deadline| deadline <= engine.now) {
                return Ok(());
            }
            engine.wait(deadline)?;
        }
    }

    /// Waits until what was written on sockets that are closed has been delivered; false when it was not within `timeout`.
    pub fn finish(&self, timeout: Duration) -> io::Result<bool> {
        let mut engine = self.engine.borrow_mut();
        engine.tick();
        let deadline = engine.now + timeout;
        engine.finish(deadline)
    }

    /// When [`Host::poll`] is to be called although no descriptor is ready; `None` while nothing is due.
    pub fn timeout(&self) -> Option<Duration> {
        self.engine.borrow().timeout()
    }

    /// Calls `body` with the descriptor of each device, and whether it is to be polled for writing as well as for reading.
    /// They stay the same for the life of the host; the interest in writing may change with every call.
    pub fn descriptors(&self, mut body: impl FnMut(BorrowedFd<'_>, bool)) {
        self.engine.borrow().ports.descriptors().for_each(|(_, fd, writing)| body(fd, writing));
    }

    /// A socket of the address's family.
    fn socket(&self, address: &SocketAddr, kind: i32) -> io::Result<Socket> {
        let family = if address.is_ipv6() { AF_INET6 } else { AF_INET };
        Socket::open(&self.engine, family, kind)
    }
}
