//! Two stacks, one thread, and a wire in memory between them: what a stack costs, without a kernel.
//!
//! The two take turns: the client sends, the server takes what has arrived and its program does its part, the server
//! sends, the client takes. The clock is read once in each half of such an exchange, and every stack is given the same
//! readings.

use crate::{Host, Latency, Load, Outcome, Read, Result, Unit, clock};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The server's port.
const PORT: u16 = 7000;
/// Idle connections to one port; with another port the client's ports begin anew.
const IDLE_TO_A_PORT: usize = 10_000;
/// What a bulk transfer writes and reads at a time.
const CHUNK: usize = 64 * 1024;
/// A request, its answer, and what is said on a connection.
const MESSAGE: usize = 64;
/// Exchanges without progress, after which something is wrong. A lost wake-up must not look like a slow stack.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two hosts on one wire.
pub struct Pair<H: Host> {
    /// The one that connects.
    pub client: H,
    /// The one that accepts.
    pub server: H,
    /// Where it does.
    pub address: Ipv4Addr,
}

/// Puts a load on a pair.
pub fn run<H: Host>(mut pair: Pair<H>, load: Load, duration: Duration, idle: usize) -> Result<Outcome> {
    for port in 0..=idle / IDLE_TO_A_PORT {
        pair.server.listen(PORT + port as u16)?;
    }
    for number in 0..idle {
        pair.open(PORT + (number / IDLE_TO_A_PORT) as u16)?;
    }
    match load {
        Load::Send { .. } | Load::Receive { .. } => pair.bulk(duration),
        Load::Request { size } => pair.request(size, duration),
        Load::Connect => pair.connect(duration),
    }
}

impl<H: Host> Pair<H> {
    /// A connection: the client's end and the server's.
    fn open(&mut self, port: u16) -> Result<(H::Socket, H::Socket)> {
        let start = clock();
        let near = self.client.connect(start, SocketAddrV4::new(self.address, port))?;
        let mut far = None;
        loop {
            let now = self.there()?;
            far = far.or_else(|| self.server.accept());
            self.back(now)?;
            if let (true, Some(far)) = (self.client.is_open(near)?, far) {
                // The last acknowledgement.
                let now = self.there()?;
                self.back(now)?;
                return Ok((near, far));
            }
            check(start, now)?;
        }
    }

    /// The client sends, the server takes.
    fn there(&mut self) -> Result<Duration> {
        let now = clock();
        self.client.transmit(now)?;
        self.server.receive(now)?;
        Ok(now)
    }

    /// The server sends, the client takes.
    fn back(&mut self, now: Duration) -> Result<()> {
        self.server.transmit(now)?;
        self.client.receive(now)?;
        Ok(())
    }

    fn bulk(&mut self, duration: Duration) -> Result<Outcome> {
        let (near, far) = self.open(PORT)?;
        let source = vec![0x5a; CHUNK];
        let mut sink = vec![0; CHUNK];
        let mut count = 0;
        let start = clock();
        let (mut now, mut progress) = (start, start);
        while now < start + duration {
            self.client.write(now, near, &source);
            now = self.there()?;
            while let Read::Bytes(read) = self.server.read(now, far, &mut sink)? {
                count += read as u64;
                progress = now;
            }
            self.back(now)?;
            check(progress, now)?;
        }
        Ok(Outcome { unit: Unit::Bytes, count, time: now - start, latency: None })
    }

    fn request(&mut self, size: usize, duration: Duration) -> Result<Outcome> {
        let (near, far) = self.open(PORT)?;
        let request = vec![0x5a; size];
        let mut answer = vec![0; size];
        let (mut count, mut latency) = (0, Latency::default());
        let start = clock();
        let mut now = start;
        while now < start + duration {
            let begun = now;
            let (mut sent, mut asked, mut answered, mut read) = (0, 0, 0, 0);
            while read < size {
                if sent < size {
                    sent += self.client.write(now, near, &request[sent..]);
                }
                now = self.there()?;
                while asked < size
                    && let Read::Bytes(count) = self.server.read(now, far, &mut answer[asked..])?
                {
                    asked += count;
                }
                if asked == size && answered < size {
                    answered += self.server.write(now, far, &answer[answered..]);
                }
                self.back(now)?;
                while read < size
                    && let Read::Bytes(count) = self.client.read(now, near, &mut answer[read..])?
                {
                    read += count;
                }
                check(begun, now)?;
            }
            now = clock();
            latency.record(now - begun);
            count += 1;
        }
        Ok(Outcome { unit: Unit::Requests, count, time: now - start, latency: Some(latency) })
    }

    fn connect(&mut self, duration: Duration) -> Result<Outcome> {
        let message = [0x5a; MESSAGE];
        let mut buffer = [0; MESSAGE];
        let mut count = 0;
        let start = clock();
        let mut now = start;
        while now < start + duration {
            let begun = now;
            let near = self.client.connect(now, SocketAddrV4::new(self.address, PORT))?;
            let (mut far, mut sent, mut asked, mut read) = (None, 0, 0, 0);
            loop {
                if sent < MESSAGE && self.client.is_open(near)? {
                    sent += self.client.write(now, near, &message[sent..]);
                }
                now = self.there()?;
                far = far.or_else(|| self.server.accept());
                if let Some(socket) = far
                    && asked < MESSAGE
                    && let Read::Bytes(count) = self.server.read(now, socket, &mut buffer[asked..])?
                {
                    asked += count;
                    if asked == MESSAGE {
                        if self.server.write(now, socket, &message) != MESSAGE {
                            return Err("a fresh connection takes less than a message".into());
                        }
                        self.server.close(now, socket);
                    }
                }
                self.back(now)?;
                if sent == MESSAGE {
                    match self.client.read(now, near, &mut buffer)? {
                        Read::Bytes(count) => read += count,
                        Read::Nothing => {}
                        Read::End if read == MESSAGE => break,
                        Read::End => return Err(format!("{read} bytes of {MESSAGE} before the end").into()),
                    }
                }
                check(begun, now)?;
            }
            self.client.close(now, near);
            count += 1;
        }
        Ok(Outcome { unit: Unit::Connections, count, time: now - start, latency: None })
    }
}

fn check(since: Duration, now: Duration) -> Result<()> {
    if now - since > PATIENCE { Err("nothing has moved for a while".into()) } else { Ok(()) }
}
