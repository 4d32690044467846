//! Streams that are joined in memory: listening, connecting, carrying data, ending, resetting.

use super::{NOT_CONNECTED, Outcome, Socket, State, Stream, matches, poll_now, transmit};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use sockeye_control::{Accepted, Kind, Reply, SocketId, credit, filler};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

impl Socket {
    pub(super) fn interest(&self, peer: Option<&Socket>) -> PollFlags {
        let mut interest = PollFlags::empty();
        // Reads only what the other side can take, so that a slow reader is felt.
        let room = match self.state {
            Stream::Connected { .. } => peer.is_none_or(|peer| peer.pending.is_empty()) && !self.finished,
            Stream::Connecting(_) => false,
            _ => true,
        };
        interest.set(PollFlags::IN, room);
        interest.set(PollFlags::OUT, !self.pending.is_empty());
        // Out-of-band bytes.
        interest.set(PollFlags::PRI, room && matches!(self.state, Stream::Connected { .. }));
        interest
    }

    fn is_reset_by_closing(&self) -> bool {
        // struct linger: on, and no seconds.
        self.options.get(&(libc::SOL_SOCKET, libc::SO_LINGER)).is_some_and(|value| **value == [1, 0, 0, 0, 0, 0, 0, 0])
    }
}

impl State {
    pub(super) fn listen<'a>(&mut self, id: SocketId, backlog: i32) -> Outcome<'a> {
        let ephemeral = self.ephemeral();
        let socket = self.sockets.get_mut(&id.0).unwrap();
        if socket.name.kind != Kind::Stream {
            return Err(libc::EOPNOTSUPP);
        }
        let wanted = usize::try_from(backlog).unwrap_or(4096);
        match &mut socket.state {
            Stream::Fresh => {
                socket.state = Stream::Listening { backlog: wanted, in_flight: 0, waiting: VecDeque::new() }
            }
            Stream::Listening { backlog, .. } => *backlog = wanted,
            _ => return Err(libc::EINVAL),
        }
        socket.local.get_or_insert(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), ephemeral));
        Ok(Reply::Done)
    }

    pub(super) fn connect<'a>(
        &mut self,
        id: SocketId,
        address: Option<SocketAddr>,
        program_end: &OwnedFd,
        attached: &mut Option<OwnedFd>,
    ) -> Outcome<'a> {
        let ephemeral = self.ephemeral();
        let socket = self.sockets.get_mut(&id.0).unwrap();
        if let Some(address) = address
            && !address.ip().is_loopback()
        {
            return Err(libc::ENETUNREACH);
        }
        if socket.name.kind == Kind::Datagram {
            socket.remote = address;
            let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ephemeral);
            let local = socket.local.get_or_insert(local);
            local.set_ip(Ipv4Addr::LOCALHOST.into());
            return Ok(Reply::Done);
        }
        let Some(address) = address else { return Err(libc::EAFNOSUPPORT) };
        match &mut socket.state {
            Stream::Connecting(_) => return Err(libc::EALREADY),
            Stream::Connected { told, .. } if !*told => {
                *told = true;
                return Ok(Reply::Done);
            }
            Stream::Connected { .. } | Stream::Listening { .. } => return Err(libc::EISCONN),
            Stream::Closed if socket.error != 0 => return Err(std::mem::take(&mut socket.error)),
            Stream::Closed => {
                // Once more, on a new pair.
                let (id, end) = self.create(Kind::Stream);
                let result = self.connect(id, Some(address), &end, attached);
                *attached = Some(end);
                self.connect_further(id);
                return result;
            }
            Stream::Fresh => {}
        }
        socket.remote = Some(address);
        let local = socket.local.get_or_insert(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ephemeral));
        local.set_ip(Ipv4Addr::LOCALHOST.into());
        socket.state = Stream::Connecting(fill(program_end));
        Ok(Reply::InProgress)
    }

    /// What the network would answer.
    pub(super) fn connect_further(&mut self, id: SocketId) {
        let Some(Socket { state: Stream::Connecting(_), remote: Some(remote), .. }) = self.sockets.get(&id.0) else {
            return;
        };
        let remote = *remote;
        let listens = |socket: &&mut Socket| {
            matches!(socket.state, Stream::Listening { .. }) && socket.local.is_some_and(|local| matches(local, remote))
        };
        match self.sockets.values_mut().find(listens) {
            Some(Socket { name, state: Stream::Listening { waiting, .. }, .. }) => {
                waiting.push_back(id);
                let listener = name.id;
                self.admit(listener);
            }
            _ => self.reset(id, libc::ECONNREFUSED),
        }
    }

    /// Hands connections to a listener's programs, as many as its backlog allows.
    fn admit(&mut self, listener: SocketId) {
        loop {
            let Some(Stream::Listening { backlog, in_flight, waiting }) =
                self.sockets.get_mut(&listener.0).map(|socket| &mut socket.state)
            else {
                return;
            };
            if *in_flight > *backlog {
                return;
            }
            let Some(client) = waiting.pop_front() else { return };
            // Those that were closed meanwhile are forgotten.
            let Some(Socket { local: Some(client_address), remote: Some(address), .. }) = self.sockets.get(&client.0)
            else {
                continue;
            };
            let (remote, local) = (*client_address, *address);
            if let Some(Stream::Listening { in_flight, .. }) =
                self.sockets.get_mut(&listener.0).map(|socket| &mut socket.state)
            {
                *in_flight += 1;
            }
            let (server, program_end) = self.create(Kind::Stream);
            let socket = self.sockets.get_mut(&server.0).unwrap();
            socket.state = Stream::Connected { peer: client, told: true };
            (socket.local, socket.remote) = (Some(local), Some(remote));
            let message = Accepted { local, remote }.encode();
            transmit(self.sockets[&listener.0].end.as_ref().unwrap().as_fd(), &message, Some(program_end.as_fd()));
            self.establish(client, server);
        }
    }

    fn establish(&mut self, client: SocketId, server: SocketId) {
        let socket = self.sockets.get_mut(&client.0).unwrap();
        let Stream::Connecting(mut filler) = socket.state else { unreachable!() };
        socket.state = Stream::Connected { peer: server, told: false };
        let mut buffer = vec![0; filler::CHUNK];
        while filler > 0 {
            let most = filler.min(buffer.len());
            let (len, _) = recv(socket.end.as_ref().unwrap(), &mut buffer[..most], RecvFlags::empty()).unwrap();
            assert!(buffer[..len].iter().all(|&byte| byte == filler::BYTE));
            filler -= len;
        }
    }

    pub(super) fn stream_is_ready(&mut self, id: SocketId, ready: PollFlags) {
        match &mut self.sockets.get_mut(&id.0).unwrap().state {
            Stream::Listening { .. } => self.listener_is_ready(id),
            Stream::Connected { peer, .. } => {
                let peer = *peer;
                self.carry(id, peer, ready);
            }
            Stream::Connecting(_) | Stream::Fresh | Stream::Closed => {
                if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
                    self.sockets.remove(&id.0);
                }
            }
        }
    }

    fn listener_is_ready(&mut self, id: SocketId) {
        let mut bytes = [0; 64];
        let socket = self.sockets.get_mut(&id.0).unwrap();
        match recv(socket.end.as_ref().unwrap(), &mut bytes[..], RecvFlags::empty()) {
            Ok((len, _)) if len > 0 => {
                assert!(bytes[..len].iter().all(|byte| [credit::TAKEN, credit::LOST].contains(byte)));
                let Stream::Listening { in_flight, .. } = &mut socket.state else { unreachable!() };
                *in_flight = in_flight.checked_sub(len).expect("no more credit than connections");
                self.admit(id);
            }
            Ok(_) | Err(Errno::CONNRESET) => {
                self.sockets.remove(&id.0);
            }
            Err(Errno::AGAIN) => {}
            Err(errno) => panic!("{errno}"),
        }
    }

    fn carry(&mut self, id: SocketId, peer: SocketId, ready: PollFlags) {
        if ready.contains(PollFlags::OUT) {
            self.flush(id);
        }
        if !ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::PRI) {
            return;
        }
        let Some(socket) = self.sockets.get_mut(&id.0) else { return };
        let Some(end) = &socket.end else { return };
        if ready.contains(PollFlags::PRI) {
            let mut byte = [0];
            if let Ok((1, _)) = recv(end, &mut byte[..], RecvFlags::OOB)
                && let Some(end) = self.sockets.get(&peer.0).and_then(|peer| peer.end.as_ref())
            {
                let _ = send(end, &byte, SendFlags::OOB | SendFlags::NOSIGNAL);
            }
            return;
        }
        let mut buffer = vec![0; 65_536];
        match recv(end, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => {
                let closed = poll_now(end.as_fd()).contains(PollFlags::HUP) && !socket.peer_finished;
                socket.finished = true;
                if socket.is_reset_by_closing() {
                    self.sockets.remove(&id.0);
                    return self.reset(peer, libc::ECONNRESET);
                }
                if let Some(peer) = self.sockets.get_mut(&peer.0) {
                    peer.peer_finished = true;
                }
                self.flush(peer);
                if closed {
                    self.sockets.remove(&id.0);
                } else {
                    self.rest(id);
                }
            }
            Ok((len, _)) => match self.sockets.get_mut(&peer.0) {
                Some(peer_socket) => {
                    peer_socket.pending.extend(&buffer[..len]);
                    self.flush(peer);
                }
                // The peer has closed; the next segment is answered with a reset.
                None => self.reset(id, libc::ECONNRESET),
            },
            Err(Errno::CONNRESET) => {
                // Closed with something unread.
                self.sockets.remove(&id.0);
                self.reset(peer, libc::ECONNRESET);
            }
            Err(Errno::AGAIN) => {}
            Err(errno) => panic!("{errno}"),
        }
    }

    /// Both directions are at their end: nothing more can be seen on the pair, but the program may still ask.
    fn rest(&mut self, id: SocketId) {
        let socket = self.sockets.get_mut(&id.0).unwrap();
        if socket.finished && socket.peer_finished && socket.pending.is_empty() {
            socket.end = None;
        }
    }

    /// Writes to the program what is for it.
    fn flush(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id.0) else { return };
        let Some(end) = &socket.end else { return };
        while !socket.pending.is_empty() {
            let (bytes, _) = socket.pending.as_slices();
            match send(end, bytes, SendFlags::NOSIGNAL) {
                Ok(len) => drop(socket.pending.drain(..len)),
                Err(Errno::AGAIN) => return,
                // The program does not read any more: TCP still acknowledges, and nobody gets it.
                Err(Errno::PIPE | Errno::CONNRESET) => socket.pending.clear(),
                Err(errno) => panic!("{errno}"),
            }
        }
        if socket.peer_finished {
            let _ = shutdown(end, Shutdown::Write);
            self.rest(id);
        }
    }

    /// The connection is no more, for this reason.
    fn reset(&mut self, id: SocketId, error: i32) {
        if let Some(socket) = self.sockets.get_mut(&id.0) {
            assert_ne!(error, NOT_CONNECTED);
            socket.error = error;
            socket.end = None;
            socket.state = Stream::Closed;
        }
    }
}

/// Fills a program's end until it does not poll writable, and returns with how much.
fn fill(program_end: &OwnedFd) -> usize {
    let chunk = vec![filler::BYTE; filler::CHUNK];
    let mut filler = 0;
    while poll_now(program_end.as_fd()).contains(PollFlags::OUT) {
        filler += send(program_end, &chunk, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap();
    }
    filler
}
