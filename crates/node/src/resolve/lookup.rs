//! One question of one client: the name under each search domain until one exists, with an exchange a kind of record.

use std::collections::VecDeque;
use std::net::IpAddr;

use sockeye_device::Instant;
use sockeye_socket::names::AF_INET6;
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Host};

use super::cache::{Cache, Known};
use super::exchange::Exchange;
use super::hosts::Settings;
use super::message::{Found, RecordKind};
use super::{Outcome, Question, Resolution, Unresolved};

pub(super) const AF_UNSPEC: i32 = 0;

/// A question under way.
pub(super) struct Lookup {
    pub(super) client: Key,
    pub(super) question: Question,
    pub(super) settings: Settings,
    pub(super) candidates: VecDeque<String>,
    pub(super) exchanges: Vec<Exchange>,
    /// A candidate existed, without the records asked for.
    pub(super) no_data: bool,
}

impl Lookup {
    /// The outcome, once it is clear; `None` when the next candidate is to be tried.
    pub(super) fn conclude(&mut self) -> Option<Outcome> {
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

    pub(super) fn start_next(&mut self, host: &mut Host, now: Instant, cache: &Cache) {
        let Some(name) = self.candidates.pop_front() else { return };
        let kinds: Vec<RecordKind> = match &self.question {
            Question::Name { family, configured, .. } => Families::wanted(host, *family, *configured).kinds().collect(),
            Question::Address(_) => vec![RecordKind::Ptr],
        };
        for kind in kinds {
            let exchange = Exchange::start(host, now, &self.settings, cache, &name, kind);
            self.exchanges.push(exchange);
        }
    }
}

/// Of which families addresses are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Those that a program asks for. AI_ADDRCONFIG leaves those of which the node has an address, loopback aside; where it
    /// would leave none, all, unless it was one that was asked for.
    pub(super) fn wanted(host: &Host, family: i32, configured: bool) -> Families {
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

    pub(super) fn is_none(self) -> bool {
        !self.v4 && !self.v6
    }

    pub(super) fn contain(self, address: &IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    fn kinds(self) -> impl Iterator<Item = RecordKind> {
        [(self.v6, RecordKind::Aaaa), (self.v4, RecordKind::A)].into_iter().filter_map(|(is, kind)| is.then_some(kind))
    }
}

// RFC 3493, 6.1 (AI_ADDRCONFIG); resolv.conf(5).
