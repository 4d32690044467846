//! One stack on an interface, against a server behind it: `send`, `receive`, `request`, `connect`.
//!
//! A turn takes what has arrived, lets the program act, and hands over what may be sent; only when nothing could be done
//! does the thread sleep.

use crate::{Host, Latency, Load, Outcome, Read, Result, Unit, clock};
use std::net::SocketAddrV4;
use std::time::Duration;

/// What is written and read at a time.
const CHUNK: usize = 64 * 1024;
/// What is said on a connection that is only opened and closed.
const MESSAGE: usize = 64;
/// For how long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts a load on a host.
pub fn run<H: Host>(host: H, load: Load, peer: SocketAddrV4, duration: Duration) -> Result<Outcome> {
    let mut client = Client { host, now: clock(), progress: clock() };
    match load {
        Load::Send { flows } => client.send(peer, duration, flows),
        Load::Receive { flows } => client.receive(peer, duration, flows),
        Load::Request { size } => client.request(peer, duration, size),
        Load::Connect => client.connect(peer, duration),
    }
}

struct Client<H: Host> {
    host: H,
    now: Duration,
    /// When something was last done.
    progress: Duration,
}

impl<H: Host> Client<H> {
    fn open(&mut self, peer: SocketAddrV4) -> Result<H::Socket> {
        let socket = self.host.connect(self.now, peer)?;
        while !self.host.is_open(socket)? {
            self.turn(false)?;
        }
        Ok(socket)
    }

    fn open_all(&mut self, peer: SocketAddrV4, flows: usize) -> Result<Vec<H::Socket>> {
        (0..flows).map(|_| self.open(peer)).collect()
    }

    /// Sends, waits when nothing was done, takes what has arrived.
    fn turn(&mut self, busy: bool) -> Result<()> {
        self.host.transmit(self.now)?;
        self.now = clock();
        if busy {
            self.progress = self.now;
        }
        if self.host.receive(self.now)? {
            return Ok(());
        }
        if !busy {
            self.host.wait(self.now, PATIENCE)?;
            self.now = clock();
            if self.now - self.progress > PATIENCE {
                return Err("the peer is silent".into());
            }
            self.host.receive(self.now)?;
        }
        Ok(())
    }

    /// Nobody will answer for us when the program has ended: so the peer is told.
    fn abort(&mut self, sockets: &[H::Socket]) -> Result<()> {
        for &socket in sockets {
            self.host.abort(self.now, socket);
        }
        self.host.transmit(self.now)
    }

    fn send(&mut self, peer: SocketAddrV4, duration: Duration, flows: usize) -> Result<Outcome> {
        let sockets = self.open_all(peer, flows)?;
        let source = vec![0x5a; CHUNK];
        let mut count = 0;
        let start = self.now;
        while self.now < start + duration {
            let before = count;
            for &socket in &sockets {
                count += self.host.write(self.now, socket, &source) as u64;
            }
            if count == before {
                // Looks whether they live.
                for &socket in &sockets {
                    self.host.is_open(socket)?;
                }
            }
            self.turn(count > before)?;
        }
        let time = self.now - start;
        self.abort(&sockets)?;
        Ok(Outcome { unit: Unit::Bytes, count, time, latency: None })
    }

    fn receive(&mut self, peer: SocketAddrV4, duration: Duration, flows: usize) -> Result<Outcome> {
        let sockets = self.open_all(peer, flows)?;
        let mut sink = vec![0; CHUNK];
        let mut count = 0;
        let start = self.now;
        while self.now < start + duration {
            let before = count;
            for &socket in &sockets {
                match self.host.read(self.now, socket, &mut sink)? {
                    Read::Bytes(read) => count += read as u64,
                    Read::Nothing => {}
                    Read::End => return Err("the peer has ended the stream".into()),
                }
            }
            self.turn(count > before)?;
        }
        let time = self.now - start;
        self.abort(&sockets)?;
        Ok(Outcome { unit: Unit::Bytes, count, time, latency: None })
    }

    fn request(&mut self, peer: SocketAddrV4, duration: Duration, size: usize) -> Result<Outcome> {
        let socket = self.open(peer)?;
        let message = vec![0x5a; size];
        let mut buffer = vec![0; size];
        let (mut count, mut latency) = (0, Latency::default());
        let start = clock();
        self.now = start;
        while self.now < start + duration {
            let begun = self.now;
            self.exchange(socket, &message, &mut buffer)?;
            self.now = clock();
            latency.record(self.now - begun);
            count += 1;
        }
        let time = self.now - start;
        self.abort(&[socket])?;
        Ok(Outcome { unit: Unit::Requests, count, time, latency: Some(latency) })
    }

    fn connect(&mut self, peer: SocketAddrV4, duration: Duration) -> Result<Outcome> {
        let message = [0x5a; MESSAGE];
        let mut buffer = [0; MESSAGE];
        let mut count = 0;
        let start = self.now;
        while self.now < start + duration {
            let socket = self.open(peer)?;
            self.exchange(socket, &message, &mut buffer)?;
            loop {
                match self.host.read(self.now, socket, &mut buffer)? {
                    Read::Bytes(_) => return Err("the answer is too long".into()),
                    Read::Nothing => self.turn(false)?,
                    Read::End => break,
                }
            }
            self.host.close(self.now, socket);
            count += 1;
        }
        Ok(Outcome { unit: Unit::Connections, count, time: self.now - start, latency: None })
    }

    /// A message there, and as many bytes back.
    fn exchange(&mut self, socket: H::Socket, message: &[u8], buffer: &mut [u8]) -> Result<()> {
        let (mut sent, mut read) = (0, 0);
        while read < message.len() {
            let mut busy = false;
            if sent < message.len() {
                let count = self.host.write(self.now, socket, &message[sent..]);
                sent += count;
                busy = count > 0;
            }
            match self.host.read(self.now, socket, &mut buffer[read..])? {
                Read::Bytes(count) => {
                    read += count;
                    self.progress = self.now;
                }
                Read::Nothing => self.turn(busy)?,
                Read::End => return Err("the peer has closed before it answered".into()),
            }
        }
        Ok(())
    }
}
