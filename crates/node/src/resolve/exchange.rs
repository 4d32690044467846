//! One name asked for one kind of record: from server to server until one answers, from alias to alias.
//!
//! Each attempt has a socket of its own, connected to the server, with a random port (the stack's) and a random number: an
//! answer must come from there, to there, with that number and our question.

use std::net::SocketAddr;

use rustix::rand::{GetRandomFlags, getrandom};
use sockeye_device::Instant;
use sockeye_socket::names::{
    AF_INET, AF_INET6, IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR, SOCK_DGRAM, SOCK_STREAM,
};
use sockeye_socket::{Errno, Host, Privilege, SocketId};

use super::Counters;
use super::cache::{Cache, Known};
use super::hosts::Settings;
use super::message::{self, Answer, RecordKind};

/// Aliases followed from answer to answer.
const HOPS_MAX: u8 = 8;

/// A name and a kind of record on their way to an answer.
pub(super) struct Exchange {
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
    pub(super) result: Option<Option<Known>>,
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

impl Exchange {
    /// Asks for records of a name, if they are not known already.
    pub(super) fn start(
        host: &mut Host,
        now: Instant,
        settings: &Settings,
        cache: &Cache,
        name: &str,
        kind: RecordKind,
    ) -> Exchange {
        let mut exchange = Exchange {
            asked: name.to_owned(),
            name: name.to_owned(),
            kind,
            hops: 0,
            ttl: u32::MAX,
            attempt: 0,
            flight: None,
            result: cache.get(now, name, kind).cloned().map(Some),
        };
        if exchange.result.is_none() {
            exchange.send(host, now, settings, false);
        }
        exchange
    }

    pub(super) fn holds(&self, socket: SocketId) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.socket == socket)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
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
            self.land(host, now);
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
        // A server that routers say cannot be reached is not waited for.
        let (level, name) = if server.is_ipv4() { (IPPROTO_IP, IP_RECVERR) } else { (IPPROTO_IPV6, IPV6_RECVERR) };
        host.set_option(now, socket, Privilege::User, level, name, &1i32.to_ne_bytes())?;
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

    pub(super) fn next_server(&mut self, host: &mut Host, now: Instant, settings: &Settings) {
        self.attempt += 1;
        self.send(host, now, settings, false);
    }

    /// Takes what came on the attempt's socket.
    pub(super) fn receive(
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
    pub(super) fn keep(&mut self, now: Instant, cache: &mut Cache) {
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

// RFC 5452 (forgery resilience), 7766 (TCP).
