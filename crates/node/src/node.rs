//! The loop.
//!
//! A wake-up is a batch: what epoll has collected is taken in, questions are answered, frames are received and handed to the stack, each socket that
//! changed is pumped once, the stack transmits once, the devices flush once. So an answer that a program has written
//! leaves in the same turn in which it was read, and a segment that arrived is with its program in the turn in which it
//! came. The clock is read once a turn.
//!
//! A device that is full pushes back (see [`Ports`]): what waits, waits in the send queues, where programs feel it.

mod conflicts;
mod ending;
mod hear;
mod hearsay;
mod notices;
mod serve;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::epoll::EventFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use sockeye_device::{Device, Instant};
use sockeye_socket::Host;
use sockeye_stack::Stack;

use crate::boundary::{self, Boundary, Context};
use crate::config::Config;
use crate::error::Error;
use crate::interfaces::Files;
use crate::poller::{Happened, Poller, Token};
use crate::ports::{self, Arrivals, Ports};
use crate::resolve::Resolver;
use crate::server::Server;
use crate::trace::Tracer;
use hear::Asked;
use hearsay::Hearsays;

/// Descriptors that the node needs for itself.
const RESERVED: usize = 64;
/// So many bytes in one turn are bulk: a program that reads them on our processor then does so before the next batch, while they are in the caches.
const BULK: usize = 512 * 1024;
/// Rounds of pumping in one turn: an end that was pumped may give another something to do.
const ROUNDS: usize = 4;
/// Clients taken in in one turn.
const ACCEPTS: usize = 64;

/// A running host.
pub struct Node {
    pub(crate) host: Host,
    pub(crate) ports: Ports,
    /// Which ports epoll watches for room.
    armed: Vec<bool>,
    pub(crate) boundary: Boundary,
    pub(crate) server: Server,
    pub(crate) tracer: Tracer,
    pub(crate) resolver: Resolver,
    pub(crate) files: Files,
    pub(crate) poller: Poller,
    signals: Option<UnixStream>,
    origin: std::time::Instant,
    pub(crate) now: Instant,
    uid: u32,
    stopping: bool,
    /// Questions that were read and wait for their answers.
    asked: Vec<Asked>,
    /// Another turn is due at once.
    restless: bool,
    /// Of the name servers that routers have named, as the resolver knows them.
    names_generation: u64,
    /// What the log was told of others.
    hearsay: Hearsays,
}

impl Node {
    /// Opens the interfaces and the control socket. The node serves from [`Node::run`] on.
    pub fn open(config: Config) -> Result<Node, Error> {
        if config.interfaces.is_empty() {
            return Err(Error::Setup("no interface: name one with -i IFACE, or in the file".to_owned()));
        }
        let mut devices: Vec<(Box<dyn Device>, Vec<_>)> = Vec::new();
        for interface in &config.interfaces {
            devices.push((ports::open(interface)?, interface.addresses.clone()));
        }
        Node::with_devices(config, devices)
    }

    /// A node on devices that somebody else has opened, each with the node's addresses on it. `config.interfaces` is
    /// not looked at.
    pub fn with_devices(
        config: Config,
        devices: Vec<(Box<dyn Device>, Vec<sockeye_wire::IpPrefix>)>,
    ) -> Result<Node, Error> {
        let Config { interfaces: _, gateways, dns, control, local_shortcut, redirects, ttl, ipv6, link_local, .. } =
            config;
        let Config { error_rates, mut limits, .. } = config;
        limits.sockets = limits.sockets.min(raise_descriptors().saturating_sub(RESERVED));
        let poller = Poller::new().map_err(Error::system("making an epoll descriptor"))?;
        let seed = boundary::random().map_err(Error::system("asking for random bytes"))?;
        let stack = sockeye_stack::Config { error_rates, ttl: ttl.get(), ..sockeye_stack::Config::default() };
        let mut host = Host::new(Stack::new(stack, seed));
        host.stack_mut().set_redirects(redirects);
        let now = Instant::from_millis(1_000);
        let mut ports = Ports::default();
        for (device, addresses) in devices {
            let chooses = link_local.iter().any(|name| name == device.name());
            let port = ports.add(now, host.stack_mut(), device, &addresses, ipv6.as_ref())?;
            if chooses {
                host.stack_mut().choose_address(now, port);
            }
        }
        for (index, fd, _) in ports.descriptors() {
            poller.add(fd, Token::Device(index as u16), EventFlags::IN).map_err(Error::system("polling a device"))?;
        }
        ports::add_gateways(host.stack_mut(), &gateways)?;
        let server = Server::open(&control, limits.clients)?;
        server.register(&poller).map_err(Error::system("polling the control socket"))?;
        Ok(Node {
            host,
            armed: vec![false; ports.iter().count()],
            ports,
            boundary: Boundary::new(limits, local_shortcut).map_err(Error::system("asking for random bytes"))?,
            server,
            tracer: Tracer::default(),
            resolver: Resolver::new(dns),
            files: Files::new(&control),
            poller,
            signals: None,
            origin: std::time::Instant::now(),
            now,
            uid: rustix::process::geteuid().as_raw(),
            stopping: false,
            asked: Vec::new(),
            restless: false,
            names_generation: 0,
            hearsay: Hearsays::default(),
        })
    }

    /// Stops in good order at SIGTERM and SIGINT, too, not only when it is told to by `Down`.
    pub fn stop_at_signals(&mut self) -> Result<(), Error> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::system("making a pair for signals"))?;
        ours.set_nonblocking(true).map_err(Error::system("making a pair for signals"))?;
        for signal in [SIGTERM, SIGINT] {
            let writer = theirs.try_clone().map_err(Error::system("making a pair for signals"))?;
            signal_hook::low_level::pipe::register(signal, writer).map_err(Error::system("catching signals"))?;
        }
        self.poller.add(&ours, Token::Signals, EventFlags::IN).map_err(Error::system("polling signals"))?;
        self.signals = Some(ours);
        Ok(())
    }

    /// Reads these files in place of `/etc/resolv.conf` and `/etc/hosts`, as a program that embeds a node in a network
    /// of its own wants. Those that are not there say nothing.
    pub fn read_name_files(&mut self, resolv_conf: &Path, hosts: &Path) {
        self.resolver.read_files(resolv_conf, hosts);
    }

    /// Serves until it is told to stop.
    pub fn run(mut self) -> Result<(), Error> {
        let mut happened = Happened::new();
        while !self.stopping {
            let timeout = self.timeout();
            self.wait(&mut happened, timeout)?;
            self.tick();
            self.take_all(&happened);
            self.answer(&mut happened)?;
            self.turn()?;
        }
        self.wind_down(&mut happened)
    }

    /// Waits. Who writes on a board meanwhile rings.
    fn wait(&mut self, happened: &mut Happened, timeout: Option<Duration>) -> Result<(), Error> {
        let sleeps = timeout != Some(Duration::ZERO);
        let timeout = if sleeps && !self.server.ask_to_ring(true) { Some(Duration::ZERO) } else { timeout };
        let waited = self.poller.wait(happened, timeout);
        if sleeps {
            self.server.ask_to_ring(false);
        }
        waited.map_err(Error::system("waiting"))
    }

    fn take_all(&mut self, happened: &Happened) {
        self.read_boards();
        for (token, flags) in (0..happened.len()).filter_map(|index| happened.at(index)) {
            self.take(token, flags);
        }
    }

    fn tick(&mut self) {
        self.now = Instant::from_millis(1_000) + self.origin.elapsed();
    }

    /// How long to sleep; `None` for as long as it takes.
    fn timeout(&self) -> Option<Duration> {
        let busy = self.restless || !self.asked.is_empty() || self.boundary.is_dirty() || self.ports.is_readable();
        if busy {
            return Some(Duration::ZERO);
        }
        let heard = self.hearsay.poll_timeout();
        let next = [self.host.stack().poll_timeout(), self.resolver.poll_timeout(), self.ports.poll_timeout(), heard];
        let next = next.into_iter().flatten().min()?;
        let now = Instant::from_millis(1_000) + self.origin.elapsed();
        Some(next.since(now))
    }

    fn take(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Device(index) => {
                if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
                    self.ports.readable(index.into());
                }
                if flags.contains(EventFlags::OUT) {
                    self.ports.writable(index.into());
                }
            }
            Token::End(key) => self.boundary.take(key, flags, &self.poller),
            Token::Netlink(key) => self.pump_netlink(key),
            Token::Server => {
                for _ in 0..ACCEPTS {
                    let Some(key) = self.server.accept(&self.poller) else { break };
                    self.hear(key);
                }
            }
            Token::Client(key) => {
                if flags.contains(EventFlags::OUT) && !self.server.flush(key, &self.poller) {
                    return self.dismiss(key);
                }
                if flags.contains(EventFlags::IN) {
                    self.hear(key);
                } else if flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR) {
                    self.dismiss(key);
                }
            }
            Token::Signals => {
                // What was read is the signal; another one wakes us again.
                if let Some(signals) = &mut self.signals {
                    let _ = signals.read(&mut [0; 16]);
                }
                self.stopping = true;
            }
        }
    }

    /// One turn, after what has happened was taken in.
    fn turn(&mut self) -> Result<(), Error> {
        if self.host.stack().is_watched() {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.host.stack_mut().packet_set_time(self.now, time);
        }
        self.ports.settle_reception(self.host.stack_mut());
        let received = self.receive()?;
        if self.host.stack().poll_timeout().is_some_and(|due| due <= self.now) {
            self.host.stack_mut().handle_timeout(self.now);
        }
        if self.resolver.poll_timeout().is_some_and(|due| due <= self.now) {
            self.resolver.handle_timeout(&mut self.host, self.now);
        }
        self.tell_notices();
        self.tell_conflicts();
        self.tell_changes();
        if self.hearsay.poll_timeout().is_some_and(|due| due <= self.now) {
            self.hearsay.handle_timeout(self.now);
        }
        for _ in 0..ROUNDS {
            self.take_events();
            if !self.boundary.is_dirty() {
                break;
            }
            let Node { boundary, host, poller, now, uid, .. } = self;
            boundary.pump(&mut Context { host, poller, now: *now, uid: *uid });
        }
        self.trace_notes();
        self.transmit()?;
        if received.bytes >= BULK {
            rustix::thread::sched_yield();
        }
        self.restless = self.take_events();
        self.answer_names();
        self.tell_trace();
        Ok(())
    }

    /// True if the resolver had some: what it sends then is still to be transmitted.
    fn take_events(&mut self) -> bool {
        let mut resolved = false;
        while let Some(socket) = self.host.poll_event() {
            if !self.boundary.touch(socket) {
                resolved |= self.resolver.handle_event(&mut self.host, self.now, socket);
            }
        }
        resolved
    }

    /// A batch from each device that has something.
    fn receive(&mut self) -> Result<Arrivals, Error> {
        let Node { ports, host, tracer, now, .. } = self;
        ports.receive(*now, host.stack_mut(), tracer).map_err(|error| Error::Setup(error.to_string()))
    }

    /// Everything that may go, goes.
    fn transmit(&mut self) -> Result<(), Error> {
        let Node { ports, armed, host, tracer, now, poller, .. } = self;
        ports.transmit(*now, host.stack_mut(), tracer).map_err(|error| Error::Setup(error.to_string()))?;
        for (index, fd, wants) in ports.descriptors() {
            if wants != armed[index] {
                let interest = if wants { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                poller.modify(fd, Token::Device(index as u16), interest).map_err(Error::system("polling a device"))?;
                armed[index] = wants;
            }
        }
        Ok(())
    }
}

/// Lets the node have as many descriptors as it may. How many those are.
fn raise_descriptors() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
