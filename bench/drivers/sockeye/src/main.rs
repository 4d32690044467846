//! The driver of Sockeye's own stack: see `../README.md`. Two stacks on a wire in memory, or the library on a packet
//! socket; in both cases in the program's own thread.

mod host;
mod wire;

use host::Sockeye;
use sockeye_device::Capabilities;
use sockeye_device::memory::{self, End};
use sockeye_wire::IpPrefix;
use sockeye_workload::engine::Pair;
use std::net::Ipv4Addr;
use std::process::ExitCode;

/// Frames that the wire holds.
const WIRE_LIMIT: usize = 256;

fn main() -> ExitCode {
    sockeye_workload::run(
        |conditions| {
            let capabilities = if conditions.checksums { Capabilities::NONE } else { Capabilities::ALL };
            // Super-frames of 64 KiB are what an MTU is not about; one that is asked for is to be kept.
            let capabilities = match conditions.mtu {
                Some(_) => Capabilities { checksum: capabilities.checksum, ..Capabilities::NONE },
                None => capabilities,
            };
            let mtu = conditions.mtu.unwrap_or(if conditions.checksums { u16::MAX } else { 1500 });
            let [near, far] = [("near", 1), ("far", 2)].map(|(name, n)| End { mtu, capabilities, ..End::new(name, n) });
            let (near, far) = memory::wire(near, far, WIRE_LIMIT);
            let [near_address, address] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
            let client = Sockeye::new(near, IpPrefix::new(near_address.into(), 24)?);
            let server = Sockeye::new(far, IpPrefix::new(address.into(), 24)?);
            Ok(Pair { client, server, address })
        },
        wire::run,
    )
}
