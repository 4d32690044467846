//! Names: the answers to getaddrinfo and getnameinfo of every program on the node.
//!
//! A question is answered from the hosts file, from the cache, or by name servers (`--dns`, else those that routers name and
//! those of resolv.conf) over the node's own UDP, and over its own TCP where an answer does not fit a datagram. A [`Lookup`] is one question of one
//! client; it tries the name under each search domain until one exists. For each it has one [`Exchange`] a kind of
//! record, which goes from server to server until one answers, and from alias to alias.
//!
//! Everything is bounded: lookups, attempts, aliases, the cache, the answer's length.

mod cache;
mod exchange;
mod hosts;
mod lookup;
mod message;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use sockeye_device::Instant;
use sockeye_socket::names::{AF_INET, AF_INET6};
use sockeye_socket::table::{Key, Table};
use sockeye_socket::{Errno, Host, SocketId};

use crate::counters::counters;

use cache::Cache;
use exchange::Exchange;
use hosts::{DNS_PORT, Hosts, Settings, Watched};
use lookup::{AF_UNSPEC, Families, Lookup};
use message::{normal, reverse_name};

/// Questions under way at once; more are told to try again.
const LOOKUPS_MAX: usize = 512;

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

counters! {
    /// What the resolver did.
    Counters {
        questions: "",
        questions_refused: "Too many at once.",
        answers_ignored: "Not to our question, or no answer at all: forged or broken.",
        answers_failed: "The server could not or would not say, or cannot be reached; another was asked.",
        answers_truncated: "Asked again over TCP.",
        timeouts: "A server said nothing in time; it, or another, was asked again.",
    }
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
            self.counters.questions_refused += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_be_asked_leaves_no_socket_behind() {
        let mut host = Host::new(crate::interfaces::tests::host());
        let mut resolver = Resolver::new(vec!["192.0.2.53".parse().expect("an address")]);
        let question = Question::Name { name: "far.example".to_owned(), family: AF_UNSPEC, configured: false };
        resolver.ask(&mut host, Instant::ZERO, Table::<()>::new().insert_with(|_| ()), question);
        let (_, outcome) = resolver.poll_done().expect("the end of it");
        assert_eq!(outcome.map_err(|failed| failed.errno), Err(Errno::EAGAIN));
        assert_eq!(host.len(), 0);
    }
}

// RFC 1034, 1035; 5452 (forgery resilience); 7766 (TCP); resolv.conf(5), hosts(5).
