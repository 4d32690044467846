//! Sockeye's stack as a host, as a program that embeds it would drive it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sockeye_device::{Device, Full, Instant, RxBatch, TxFrame};
use sockeye_stack::tcp::{ConnectionId, ListenerId, Options, State};
use sockeye_stack::{Bind, Config, Egress, PortConfig, PortId, Stack};
use sockeye_wire::IpPrefix;
use sockeye_workload::{Host, Read, Result};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// Frames received at a time.
const BATCH: usize = 64;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;

/// A stack, and its device.
pub(crate) struct Sockeye<D: Device> {
    stack: Stack,
    device: D,
    port: PortId,
    batch: RxBatch,
    listeners: Vec<ListenerId>,
    options: Options,
}

impl<D: Device> Sockeye<D> {
    pub(crate) fn new(device: D, address: IpPrefix) -> Self {
        let mut stack = Stack::new(Config::default(), seed());
        let port = stack.add_port(PortConfig {
            name: device.name().to_owned(),
            mac: device.mac(),
            mtu: device.mtu(),
            capabilities: device.capabilities(),
        });
        stack.add_address(Instant::ZERO, port, address);
        Sockeye {
            stack,
            device,
            port,
            batch: RxBatch::new(BATCH),
            listeners: Vec::new(),
            options: Options { nodelay: true, ..Options::default() },
        }
    }
}

impl<D: Device> Host for Sockeye<D> {
    type Socket = ConnectionId;

    fn listen(&mut self, port: u16) -> Result<()> {
        let binding = self
            .stack
            .tcp_bind(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), port))
            .map_err(|error| format!("port {port}: {error:?}"))?;
        let listener = self
            .stack
            .tcp_listen(binding, BACKLOG, self.options.clone())
            .map_err(|error| format!("port {port}: {error:?}"))?;
        self.listeners.push(listener);
        Ok(())
    }

    fn accept(&mut self) -> Option<ConnectionId> {
        self.listeners.iter().find_map(|&listener| self.stack.tcp_accept(listener))
    }

    fn connect(&mut self, now: Duration, remote: SocketAddrV4) -> Result<ConnectionId> {
        let now = time(now);
        self.stack
            .tcp_connect(now, None, SocketAddr::V4(remote), self.options.clone())
            .map_err(|error| format!("{remote}: {error:?}").into())
    }

    fn is_open(&mut self, socket: ConnectionId) -> Result<bool> {
        let status = self.stack.tcp_status(socket);
        match (status.error, status.state) {
            (Some(error), _) => Err(format!("the connection was refused or lost: {error:?}").into()),
            (None, State::SynSent | State::SynReceived) => Ok(false),
            (None, _) => Ok(true),
        }
    }

    fn write(&mut self, now: Duration, socket: ConnectionId, bytes: &[u8]) -> usize {
        let now = time(now);
        self.stack.tcp_write(now, socket, bytes)
    }

    fn read(&mut self, now: Duration, socket: ConnectionId, into: &mut [u8]) -> Result<Read> {
        let now = time(now);
        match self.stack.tcp_read(now, socket, into) {
            0 => {
                let status = self.stack.tcp_status(socket);
                match status.error {
                    Some(error) => Err(format!("the connection was lost: {error:?}").into()),
                    None if status.peer_closed => Ok(Read::End),
                    None => Ok(Read::Nothing),
                }
            }
            count => Ok(Read::Bytes(count)),
        }
    }

    fn close(&mut self, now: Duration, socket: ConnectionId) {
        let now = time(now);
        self.stack.tcp_close(now, socket);
    }

    fn abort(&mut self, now: Duration, socket: ConnectionId) {
        self.stack.tcp_abort(time(now), socket);
    }

    fn receive(&mut self, now: Duration) -> Result<bool> {
        let now = time(now);
        let mut any = false;
        loop {
            let count = self.device.receive(&mut self.batch)?;
            let mut kept = 0;
            for frame in self.batch.frames_mut() {
                self.stack.handle_frame(now, self.port, frame);
                kept += usize::from(frame.buffer.is_empty());
            }
            if kept > 0 {
                std::iter::from_fn(|| self.stack.spare_buffer()).take(kept).for_each(|b| self.batch.recycle(b));
            }
            any |= count > 0;
            if count < self.batch.capacity() {
                break;
            }
        }
        // The loads look at their own sockets after each turn.
        while self.stack.poll_event().is_some() {}
        Ok(any)
    }

    fn transmit(&mut self, now: Duration) -> Result<()> {
        let now = time(now);
        if self.stack.poll_timeout().is_some_and(|at| at <= now) {
            self.stack.handle_timeout(now);
        }
        self.stack.poll_transmit(now, &mut Way(&mut self.device));
        Ok(self.device.flush()?)
    }

    fn wait(&mut self, now: Duration, limit: Duration) -> Result<()> {
        let now = time(now);
        let limit = self.stack.poll_timeout().map_or(limit, |at| limit.min(at.since(now)));
        let writable = self.device.wants_writable();
        let Some(fd) = self.device.as_fd() else { return Err("nobody waits at a wire in memory".into()) };
        let flags = if writable { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&Timespec::try_from(limit)?))?;
        Ok(())
    }
}

/// Not secret, as nobody attacks a measurement; but another each time, so that ports and sequence numbers are.
fn seed() -> [u8; 32] {
    let parts = [(); 4].map(|()| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), ()).to_le_bytes());
    let mut seed = [0; 32];
    seed.iter_mut().zip(parts.as_flattened()).for_each(|(to, &from)| *to = from);
    seed
}

fn time(now: Duration) -> Instant {
    Instant::from_nanos(now.as_secs() * 1_000_000_000 + u64::from(now.subsec_nanos()))
}

/// The way from the stack to its one device.
struct Way<'a, D>(&'a mut D);

impl<D: Device> Egress for Way<'_, D> {
    fn transmit(&mut self, _: PortId, frame: &TxFrame<'_>) -> std::result::Result<(), Full> {
        self.0.transmit(frame)
    }
}
