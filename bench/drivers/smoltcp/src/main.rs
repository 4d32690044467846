//! The driver of smoltcp: see `../README.md` for how it is configured, and why.

mod host;
mod memory;
mod packet;

use host::{Buffers, Smoltcp};
use sockeye_workload::engine::Pair;
use sockeye_workload::wire;
use std::net::Ipv4Addr;
use std::process::ExitCode;

/// The largest IP packet: nothing in smoltcp asks for less on a wire that carries it.
const LARGEST: u16 = 65_535;
/// What fits the second-level cache together with what it is copied to and from was the fastest.
const ENGINE: Buffers = Buffers { send: 256 << 10, receive: 256 << 10 };
/// As much as the kernel's and Sockeye's windows.
const WIRE: Buffers = Buffers { send: 4 << 20, receive: 4 << 20 };
/// More would take minutes to open alone: every socket is looked at for every packet.
const MOST_IDLE: usize = 10_000;
/// With many connections: what an idle one must hold all the same.
const CROWD: Buffers = Buffers { send: 4 << 10, receive: 4 << 10 };

fn main() -> ExitCode {
    sockeye_workload::run(
        |conditions| {
            if conditions.idle > MOST_IDLE {
                return Err(format!("smoltcp walks through all sockets: not with more than {MOST_IDLE} of them").into());
            }
            let (client, server) = memory::wire(conditions.mtu.unwrap_or(LARGEST), conditions.checksums);
            let [near, far] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
            let buffers = if conditions.idle > 0 { CROWD } else { ENGINE };
            let client = Smoltcp::new(client, near, 24, buffers, false);
            let server = Smoltcp::new(server, far, 24, buffers, false);
            Ok(Pair { client, server, address: far })
        },
        |interface, load, peer, duration| {
            let device = packet::Packet::open(&interface.name)?;
            wire::run(Smoltcp::new(device, interface.address, interface.prefix, WIRE, true), load, peer, duration)
        },
    )
}
