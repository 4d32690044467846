//! A network of many hosts in virtual time.
//!
//! Hosts are real [`Stack`]s; wires are lossy, slow and deterministic; the clock is a number that jumps to the next
//! moment at which anything happens. A minute of retransmissions takes milliseconds to simulate, and the same seed gives
//! the same minute, byte for byte.
//!
//! ```
//! use sockeye_device::Impairments;
//! use sockeye_stack::sim::{Conditions, Network};
//! use std::time::Duration;
//!
//! let mut net = Network::new(7);
//! let (a, b) = (net.host("10.0.0.1/24"), net.host("10.0.0.2/24"));
//! let bad = Impairments { loss: 0.02, delay: Duration::from_millis(5), ..Impairments::default() };
//! net.wire(a, b, &Conditions { impairments: Some(bad), ..Conditions::default() });
//! let server = net.listen(b, 80);
//! let client = net.connect(a, "10.0.0.2:80");
//! let accepted = net.run_until(Duration::from_secs(60), |net| net.stack(b).tcp_accept(server)).expect("a connection");
//! # let _ = (client, accepted);
//! ```

mod wire;

pub use wire::Conditions;

use crate::bind::Bind;
use crate::port::{PortConfig, PortId};
use crate::tcp::{ConnectionId, ListenerId, Options};
use crate::{Config, Egress, Stack};
use sockeye_device::{Capabilities, Full, Instant, RxFrame, TxFrame};
use sockeye_wire::{IpPrefix, MacAddr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use wire::Wire;

/// A host of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostId(usize);

struct Host {
    stack: Stack,
    address: IpPrefix,
    /// For each port but the loopback: the wire, and which of its ends.
    ends: Vec<(usize, usize)>,
}

/// Hosts and the wires between them.
pub struct Network {
    now: Instant,
    seed: u64,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
}

impl Network {
    /// An empty network. The same seed gives the same course of events.
    pub fn new(seed: u64) -> Self {
        Network { now: Instant::from_millis(1_000), seed, hosts: Vec::new(), wires: Vec::new() }
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds a host with one address, as in `10.0.0.1/24` or `fd00::1/64`.
    ///
    /// # Panics
    ///
    /// If the address is none: a simulation is a test, and this is its author's mistake.
    pub fn host(&mut self, address: &str) -> HostId {
        let Ok(address) = address.parse::<IpPrefix>() else { panic!("{address} is no address with a prefix length") };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8] = self.hosts.len() as u8;
        self.hosts.push(Host { stack: Stack::new(Config::default(), seed), address, ends: Vec::new() });
        HostId(self.hosts.len() - 1)
    }

    /// Lays a wire between two hosts; both get a port for it.
    pub fn wire(&mut self, a: HostId, b: HostId, conditions: &Conditions) {
        let index = self.wires.len();
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index as u64);
        let mut ports = [PortId::LOOPBACK; 2];
        for (end, host) in [a, b].into_iter().enumerate() {
            let Host { stack, address, ends } = &mut self.hosts[host.0];
            let port = stack.add_port(PortConfig {
                name: format!("wire{index}"),
                mac: MacAddr([2, 0, 0, index as u8, end as u8, host.0 as u8]),
                mtu: conditions.mtu,
                capabilities: Capabilities { checksum: true, tcp_v4: true, tcp_v6: true, udp: true },
            });
            stack.add_address(self.now, port, *address);
            ends.push((index, end));
            ports[end] = port;
        }
        self.wires.push(Wire::new([(a.0, ports[0]), (b.0, ports[1])], conditions, seed));
    }

    /// A host's stack.
    pub fn stack(&mut self, host: HostId) -> &mut Stack {
        &mut self.hosts[host.0].stack
    }

    /// Listens on every address of a host, of the family of the one it was given, with the default options and a backlog of 128.
    ///
    /// # Panics
    ///
    /// If the port is taken.
    pub fn listen(&mut self, host: HostId, port: u16) -> ListenerId {
        let any = match self.hosts[host.0].address.addr() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let stack = self.stack(host);
        let listener = stack
            .tcp_bind(&Bind::new(any, port))
            .and_then(|binding| stack.tcp_listen(binding, 128, Options::default()));
        match listener {
            Ok(listener) => listener,
            Err(error) => panic!("cannot listen on port {port}: {error:?}"),
        }
    }

    /// Begins to connect to `remote`, as in `10.0.0.2:80` or `[fd00::2]:80`, with the default options.
    ///
    /// # Panics
    ///
    /// If there is no such address, or no way to it.
    pub fn connect(&mut self, host: HostId, remote: &str) -> ConnectionId {
        let Ok(remote) = remote.parse::<SocketAddr>() else { panic!("{remote} is no address with a port") };
        let now = self.now;
        match self.stack(host).tcp_connect(now, None, remote, Options::default()) {
            Ok(connection) => connection,
            Err(error) => panic!("cannot connect to {remote}: {error:?}"),
        }
    }

    /// Lets time pass until `done` gives something, at most for `limit`.
    pub fn run_until<T>(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let end = self.now + limit;
        loop {
            self.exchange();
            if let Some(result) = done(self) {
                self.exchange();
                return Some(result);
            }
            self.exchange();
            match self.next() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return None;
                }
            }
        }
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| None::<()>);
    }

    /// Moves frames and fires timers until nothing more happens at this moment.
    fn exchange(&mut self) {
        loop {
            let mut moved = false;
            for index in 0..self.hosts.len() {
                let Host { stack, ends, .. } = &mut self.hosts[index];
                if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                    stack.handle_timeout(self.now);
                    moved = true;
                }
                let mut way = Way { now: self.now, wires: &mut self.wires, ends, moved: false };
                stack.poll_transmit(self.now, &mut way);
                moved |= way.moved;
            }
            for wire in &mut self.wires {
                while let Some((host, port, bytes, offload)) = wire.pop(self.now) {
                    let mut frame = RxFrame { range: 0..bytes.len(), buffer: bytes, offload };
                    self.hosts[host].stack.handle_frame(self.now, port, &mut frame);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// The next moment at which something happens.
    fn next(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter_map(|host| host.stack.poll_timeout());
        timers.chain(self.wires.iter().filter_map(Wire::next)).min()
    }
}

/// From a stack onto its wires.
struct Way<'a> {
    now: Instant,
    wires: &'a mut [Wire],
    ends: &'a [(usize, usize)],
    moved: bool,
}

impl Egress for Way<'_> {
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        let (wire, end) = self.ends[port.index() - 1];
        self.wires[wire].push(self.now, end, frame)?;
        self.moved = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
