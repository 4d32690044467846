//! Names: the answers to getaddrinfo and getnameinfo of every program on the node.
//!
//! A question is answered from the hosts file, from the cache, or by name servers (`--dns`, else those that routers name and
//! those of resolv.conf) over the node's own UDP, and over its own TCP where an answer does not fit a datagram. A [`Lookup`] is one question of one
//! client; it tries the name under each search domain until one exists. For each it has one [`Exchange`] a kind of
//! record, which goes from server to server until one answers, and from alias to alias.
//!
//! Each attempt has a socket of its own, connected to the server, with a random port (the stack's) and a random number
//! (RFC 5452): an answer must come from there, to there, with that number and our question. Everything is bounded:
//! lookups, attempts, aliases, the cache, the answer's length.

mod cache;
mod hosts;
mod message;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use sockeye_device::Instant;
use sockeye_socket::names::{AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM};
use sockeye_socket::table::{Key, Table};
use sockeye_socket::{Errno, Host, SocketId};

use cache::{Cache, Known};
use hosts::{DNS_PORT, Hosts, Settings, Watched};
use message::{Answer, Found, RecordKind, normal, reverse_name};

/// Questions under way at once; more are told to try again.
const LOOKUPS_MAX: usize = 512;
/// Aliases followed from answer to answer.
const HOPS_MAX: u8 = 8;
const AF_UNSPEC: i32 = 0;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Name {
        name: String,
        family: i32,
        /// Only families that the node has addresses of (AI_ADDRCONFIG).
        configured: bool,
    },
    Address(IpAddr),
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Addresses { canonical: String, addresses: Vec<IpAddr> },
    Name(String),
}

impl Resolution {
    /// Addresses in the order in which to try them (RFC 6724).
    fn in_order(mut self, host: &Host) -> Self {
        if let Resolution::Addresses { addresses, .. } = &mut self {
            host.stack().order_destinations(addresses);
        }
        self
    }
}

/// Or why not, with a reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) errno: Errno,
    pub(crate) reason: String,
}

type Outcome = Result<Resolution, Unresolved>;

struct Lookup {
    client: Key,
    question: Question,
    settings: Settings,
    candidates: VecDeque<String>,
    exchanges: Vec<Exchange>,
    /// A candidate existed, without the records asked for.
    no_data: bool,
}

struct Exchange {
    /// The name that the program's question led to, under which the answer is kept.
    asked: String,
    /// The name that is asked for now: an alias of it, perhaps.
    name: String,
    kind: RecordKind,
    hops: u8,
    ttl: u32,
    attempt: u32,
    flight: Option<Flight>,
    /// `Some(None)`: no server would say.
    result: Option<Option<Known>>,
}

/// An attempt.
struct Flight {
    socket: SocketId,
    id: u16,
    deadline: Instant,
    stream: Option<Stream>,
}

/// An attempt over TCP: what is still to be sent, and what has come.
struct Stream {
    unsent: Vec<u8>,
    received: Vec<u8>,
}

/// What the resolver did, for `show counters`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) questions: u64,
    pub(crate) refused: u64,
    pub(crate) answers_ignored: u64,
    pub(crate) answers_failed: u64,
    pub(crate) answers_truncated: u64,
    pub(crate) timeouts: u64,
}

/// The node's resolver.
pub(crate) struct Resolver {
    pub(crate) counters: Counters,
    configured: Vec<SocketAddr>,
    /// What routers say: servers, and domains to look in.
    advertised: (Vec<SocketAddr>, Vec<String>),
    settings: Watched<Settings>,
    hosts: Watched<Hosts>,
    cache: Cache,
    lookups: Table<Lookup>,
    done: VecDeque<(Key, Outcome)>,
    scratch: Vec<u8>,
}

impl Resolver {
    /// `servers` are asked instead of those of resolv.conf, if there are any.
    pub(crate) fn new(servers: Vec<IpAddr>) -> Self {
        Resolver {
            counters: Counters::default(),
            configured: servers.into_iter().map(|server| SocketAddr::new(server, DNS_PORT)).collect(),
            advertised: Default::default(),
            settings: Watched::new("/etc/resolv.conf", Settings::parse),
            hosts: Watched::new("/etc/hosts", Hosts::parse),
            cache: Cache::default(),
            lookups: Table::new(),
            done: VecDeque::new(),
            scratch: vec![0; 4096],
        }
    }

    /// Reads other files than the machine's own.
    pub(crate) fn read_files(&mut self, resolv_conf: &Path, hosts: &Path) {
        self.settings = Watched::new(resolv_conf, Settings::parse);
        self.hosts = Watched::new(hosts, Hosts::parse);
    }

    /// Routers have named these servers and domains, and no others.
    pub(crate) fn set_advertised(&mut self, servers: Vec<SocketAddr>, domains: Vec<String>) {
        self.advertised = (servers, domains);
    }

    /// Takes a question up. The answer comes from [`Resolver::poll_done`], perhaps at once.
    pub(crate) fn ask(&mut self, host: &mut Host, now: Instant, client: Key, question: Question) {
        self.counters.questions += 1;
        if let Some(outcome) = self.local_answer(host, &question) {
            self.done.push_back((client, outcome));
            return;
        }
        if self.lookups.len() >= LOOKUPS_MAX {
            self.counters.refused += 1;
            let reason = format!("the node's resolver is busy with {LOOKUPS_MAX} questions");
            self.done.push_back((client, Err(Unresolved { errno: Errno::EAGAIN, reason })));
            return;
        }
        let mut settings = self.settings.read().clone();
        if self.configured.is_empty() {
            settings.add_advertised(&self.advertised.0, &self.advertised.1);
        } else {
            settings.servers.clone_from(&self.configured);
        }
        let candidates = match &question {
            Question::Name { name, .. } => settings.candidates(name),
            Question::Address(address) => vec![reverse_name(*address)],
        };
        if settings.servers.is_empty() {
            let reason = "no name server: give the node --dns ADDR, or /etc/resolv.conf a nameserver".to_owned();
            self.done.push_back((client, Err(Unresolved { errno: Errno::EAGAIN, reason })));
            return;
        }
        let lookup =
            Lookup { client, question, settings, candidates: candidates.into(), exchanges: Vec::new(), no_data: false };
        let key = self.lookups.insert_with(|_| lookup);
        self.advance(host, now, key);
    }

    /// Something happened to a socket; true if it was one of the resolver's.
    pub(crate) fn handle_event(&mut self, host: &mut Host, now: Instant, socket: SocketId) -> bool {
        let holds = |lookup: &Lookup| lookup.exchanges.iter().any(|exchange| exchange.holds(socket));
        let Some(key) = self.lookups.iter().find(|(_, lookup)| holds(lookup)).map(|(key, _)| key) else {
            return false;
        };
        if let Some(Lookup { settings, exchanges, .. }) = self.lookups.get_mut(key) {
            for exchange in exchanges.iter_mut().filter(|exchange| exchange.holds(socket)) {
                exchange.receive(host, now, settings, &mut self.scratch, &mut self.counters);
            }
        }
        self.advance(host, now, key);
        true
    }

    /// Gives up attempts that took too long.
    pub(crate) fn handle_timeout(&mut self, host: &mut Host, now: Instant) {
        let late = |exchange: &Exchange| exchange.deadline().is_some_and(|deadline| deadline <= now);
        loop {
            let found = self.lookups.iter().find(|(_, lookup)| lookup.exchanges.iter().any(late));
            let Some(key) = found.map(|(key, _)| key) else { return };
            if let Some(Lookup { settings, exchanges, .. }) = self.lookups.get_mut(key) {
                for exchange in exchanges.iter_mut().filter(|exchange| late(exchange)) {
                    self.counters.timeouts += 1;
                    exchange.next_server(host, now, settings);
                }
            }
            self.advance(host, now, key);
        }
    }

    /// When [`Resolver::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lookups.iter().flat_map(|(_, lookup)| lookup.exchanges.iter().filter_map(Exchange::deadline)).min()
    }

    /// An answer, and whose it is.
    pub(crate) fn poll_done(&mut self) -> Option<(Key, Outcome)> {
        self.done.pop_front()
    }

    /// What needs no server.
    fn local_answer(&mut self, host: &Host, question: &Question) -> Option<Outcome> {
        match question {
            Question::Address(address) => {
                let name = self.hosts.read().name(*address)?.to_owned();
                Some(Ok(Resolution::Name(name)))
            }
            Question::Name { name, family, configured } => {
                if !matches!(*family, AF_UNSPEC) && *family != i32::from(AF_INET) && *family != i32::from(AF_INET6) {
                    let reason = format!("{name}: address family {family} has no names");
                    return Some(Err(Unresolved { errno: Errno::EAFNOSUPPORT, reason }));
                }
                let Some(plain) = normal(name) else {
                    let reason = format!("{name:?} is not a host name");
                    return Some(Err(Unresolved { errno: Errno::EINVAL, reason }));
                };
                let families = Families::wanted(host, *family, *configured);
                if families.is_none() {
                    let reason = format!("{name}: the node has no address of the family that was asked for");
                    return Some(Err(Unresolved { errno: Errno::ENOENT, reason }));
                }
                let mut addresses = self.hosts.read().addresses(&plain).to_vec();
                if addresses.is_empty() && (plain == "localhost" || plain.ends_with(".localhost")) {
                    addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                }
                if addresses.is_empty() {
                    return None;
                }
                addresses.retain(|address| families.contain(address));
                host.stack().order_destinations(&mut addresses);
                if addresses.is_empty() {
                    let reason = format!("{name} has no address of that family in the hosts file");
                    return Some(Err(Unresolved { errno: Errno::ENODATA, reason }));
                }
                Some(Ok(Resolution::Addresses { canonical: plain, addresses }))
            }
        }
    }

    /// Goes on with a lookup as far as it can without waiting.
    fn advance(&mut self, host: &mut Host, now: Instant, key: Key) {
        while let Some(lookup) = self.lookups.get_mut(key) {
            for exchange in &mut lookup.exchanges {
                exchange.keep(now, &mut self.cache);
            }
            if lookup.exchanges.iter().any(|exchange| exchange.result.is_none()) {
                return;
            }
            let Some(outcome) = lookup.conclude() else {
                lookup.start_next(host, now, &self.cache);
                continue;
            };
            if let Some(lookup) = self.lookups.remove(key) {
                let outcome = outcome.map(|resolution| resolution.in_order(host));
                self.done.push_back((lookup.client, outcome));
            }
        }
    }
}

/// Of which families addresses are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Those that a program asks for. AI_ADDRCONFIG leaves those of which the node has an address, loopback aside; where it
    /// would leave none, all, unless it was one that was asked for.
    fn wanted(host: &Host, family: i32, configured: bool) -> Families {
        let asked =
            Families { v4: family != i32::from(AF_INET6), v6: family == AF_UNSPEC || family == i32::from(AF_INET6) };
        if !configured {
            return asked;
        }
        let own = |v4: bool| {
            let mut ports = host.stack().ports().skip(1);
            ports.any(|(_, port)| port.addresses().iter().any(|own| own.addr().is_ipv4() == v4))
        };
        let has = Families { v4: own(true), v6: own(false) };
        match family {
            AF_UNSPEC if !has.v4 && !has.v6 => asked,
            _ => Families { v4: asked.v4 && has.v4, v6: asked.v6 && has.v6 },
        }
    }

    fn is_none(self) -> bool {
        !self.v4 && !self.v6
    }

    fn contain(self, address: &IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    fn kinds(self) -> impl Iterator<Item = RecordKind> {
        [(self.v6, RecordKind::Aaaa), (self.v4, RecordKind::A)].into_iter().filter_map(|(is, kind)| is.then_some(kind))
    }
}

impl Lookup {
    /// The outcome, once it is clear; `None` when the next candidate is to be tried.
    fn conclude(&mut self) -> Option<Outcome> {
        let mut found: Option<Found> = None;
        let mut unanswered = false;
        for exchange in self.exchanges.drain(..) {
            match exchange.result.flatten() {
                Some(Known::Found(more)) => match &mut found {
                    Some(found) => found.addresses.extend(more.addresses),
                    None => found = Some(more),
                },
                Some(Known::NoData) => self.no_data = true,
                Some(Known::NoName) => {}
                None => unanswered = true,
            }
        }
        if let Some(Found { canonical, addresses, name, .. }) = found {
            return Some(Ok(match name {
                Some(name) => Resolution::Name(name),
                None => Resolution::Addresses { canonical, addresses },
            }));
        }
        let subject = match &self.question {
            Question::Name { name, .. } => name.clone(),
            Question::Address(address) => address.to_string(),
        };
        if unanswered {
            let servers: Vec<String> = self.settings.servers.iter().map(|server| server.ip().to_string()).collect();
            let reason = format!("{subject}: no answer from name server {}", servers.join(", "));
            return Some(Err(Unresolved { errno: Errno::EAGAIN, reason }));
        }
        if !self.candidates.is_empty() {
            return None;
        }
        let (errno, what) =
            if self.no_data { (Errno::ENODATA, "no such record") } else { (Errno::ENOENT, "no such name") };
        Some(Err(Unresolved { errno, reason: format!("{subject}: {what}") }))
    }

    fn start_next(&mut self, host: &mut Host, now: Instant, cache: &Cache) {
        let Some(name) = self.candidates.pop_front() else { return };
        let kinds: Vec<RecordKind> = match &self.question {
            Question::Name { family, configured, .. } => Families::wanted(host, *family, *configured).kinds().collect(),
            Question::Address(_) => vec![RecordKind::Ptr],
        };
        for kind in kinds {
            let mut exchange = Exchange {
                asked: name.clone(),
                name: name.clone(),
                kind,
                hops: 0,
                ttl: u32::MAX,
                attempt: 0,
                flight: None,
                result: cache.get(now, &name, kind).cloned().map(Some),
            };
            if exchange.result.is_none() {
                exchange.send(host, now, &self.settings, false);
            }
            self.exchanges.push(exchange);
        }
    }
}

impl Exchange {
    fn holds(&self, socket: SocketId) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.socket == socket)
    }

    fn deadline(&self) -> Option<Instant> {
        self.flight.as_ref().map(|flight| flight.deadline)
    }

    /// Asks the server whose turn it is; the next one, if that cannot be done.
    fn send(&mut self, host: &mut Host, now: Instant, settings: &Settings, over_tcp: bool) {
        self.land(host, now);
        let turns = settings.attempts.saturating_mul(settings.servers.len() as u32);
        let mut over_tcp = over_tcp;
        while self.attempt < turns {
            let server = settings.servers[self.attempt as usize % settings.servers.len()];
            match self.launch(host, now, settings, server, over_tcp) {
                Ok(()) => return,
                Err(errno) => tracing::debug!(%server, %errno, "cannot ask"),
            }
            self.attempt += 1;
            over_tcp = false;
        }
        self.result = Some(None);
    }

    fn launch(
        &mut self,
        host: &mut Host,
        now: Instant,
        settings: &Settings,
        server: SocketAddr,
        over_tcp: bool,
    ) -> Result<(), Errno> {
        let mut id = [0; 2];
        getrandom(&mut id, GetRandomFlags::empty()).map_err(|_| Errno::EAGAIN)?;
        let id = u16::from_ne_bytes(id);
        let question = message::question(id, &self.name, self.kind).ok_or(Errno::EINVAL)?;
        let family = if server.is_ipv4() { AF_INET } else { AF_INET6 };
        let socket = host.socket(family.into(), if over_tcp { SOCK_STREAM } else { SOCK_DGRAM }, 0)?;
        let stream = over_tcp.then(|| {
            let mut unsent = (question.len() as u16).to_be_bytes().to_vec();
            unsent.extend_from_slice(&question);
            Stream { unsent, received: Vec::new() }
        });
        self.flight = Some(Flight { socket, id, deadline: now + settings.timeout, stream });
        host.connect(now, socket, Some(server))
            .map(|_| ())
            .and_then(|()| if over_tcp { Ok(()) } else { host.send_to(now, socket, &question, None).map(|_| ()) })
    }

    /// Closes the attempt's socket.
    fn land(&mut self, host: &mut Host, now: Instant) {
        if let Some(flight) = self.flight.take() {
            host.close(now, flight.socket);
        }
    }

    fn next_server(&mut self, host: &mut Host, now: Instant, settings: &Settings) {
        self.attempt += 1;
        self.send(host, now, settings, false);
    }

    /// Takes what came on the attempt's socket.
    fn receive(
        &mut self,
        host: &mut Host,
        now: Instant,
        settings: &Settings,
        scratch: &mut [u8],
        counters: &mut Counters,
    ) {
        while let Some(flight) = &mut self.flight {
            let (socket, id) = (flight.socket, flight.id);
            let said = match &mut flight.stream {
                None => match host.receive_from(socket, scratch) {
                    Ok((len, _)) => message::answer(&scratch[..len], id, &self.name, self.kind),
                    Err(Errno::EAGAIN) => return,
                    Err(_) => Answer::Failed,
                },
                Some(stream) => match stream.exchange(host, now, socket, scratch) {
                    Ok(Some(len)) => match message::answer(&stream.received[2..][..len], id, &self.name, self.kind) {
                        // There is nothing else to wait for on this connection.
                        Answer::Foreign | Answer::Truncated => Answer::Failed,
                        said => said,
                    },
                    Ok(None) => return,
                    Err(_) => Answer::Failed,
                },
            };
            match said {
                Answer::Foreign => counters.answers_ignored += 1,
                Answer::Failed => {
                    counters.answers_failed += 1;
                    self.next_server(host, now, settings);
                }
                Answer::Truncated => {
                    counters.answers_truncated += 1;
                    self.send(host, now, settings, true);
                }
                Answer::Alias { name, ttl } if self.hops < HOPS_MAX => {
                    (self.name, self.ttl) = (name, self.ttl.min(ttl));
                    self.hops += 1;
                    self.attempt = 0;
                    self.send(host, now, settings, false);
                }
                Answer::Alias { .. } => self.settle(host, now, 0, None),
                Answer::Found(found) => self.settle(host, now, found.ttl, Some(Known::Found(found))),
                Answer::NoData { ttl } => self.settle(host, now, ttl, Some(Known::NoData)),
                Answer::NoName { ttl } => self.settle(host, now, ttl, Some(Known::NoName)),
            }
        }
    }

    fn settle(&mut self, host: &mut Host, now: Instant, ttl: u32, known: Option<Known>) {
        self.ttl = self.ttl.min(ttl);
        self.result = Some(known);
        self.land(host, now);
    }

    /// Remembers a result that came from a server.
    fn keep(&mut self, now: Instant, cache: &mut Cache) {
        if let Some(Some(known)) = &self.result
            && self.ttl < u32::MAX
        {
            cache.put(now, &self.asked, self.kind, self.ttl, known.clone());
            self.ttl = u32::MAX;
        }
    }
}

impl Stream {
    /// Sends and receives what it can. The answer's length once all of it is there, behind two bytes that say so.
    fn exchange(
        &mut self,
        host: &mut Host,
        now: Instant,
        socket: SocketId,
        scratch: &mut [u8],
    ) -> Result<Option<usize>, Errno> {
        match host.send(now, socket, &self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
        loop {
            if let Some(len) = self.received.first_chunk().map(|&bytes| usize::from(u16::from_be_bytes(bytes)))
                && self.received.len() >= 2 + len
            {
                return Ok(Some(len));
            }
            match host.receive(now, socket, scratch) {
                Ok(0) => return Err(Errno::ECONNRESET),
                // Bounded by the length that the first two bytes can say.
                Ok(count) => self.received.extend_from_slice(&scratch[..count]),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
    }
}

// RFC 1034, 1035; 5452 (forgery resilience); 7766 (TCP); resolv.conf(5), hosts(5).
