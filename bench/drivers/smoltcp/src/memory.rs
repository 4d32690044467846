//! A wire in memory: what one end sends the other receives, from buffers that go round.

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Packets that a direction holds.
const LIMIT: usize = 256;

/// Packets on their way, and buffers for the next.
#[derive(Default)]
struct Direction {
    queue: VecDeque<Vec<u8>>,
    stock: Vec<Vec<u8>>,
}

/// An end of the wire.
pub struct Memory {
    mtu: u16,
    checksums: bool,
    outgoing: Rc<RefCell<Direction>>,
    incoming: Rc<RefCell<Direction>>,
}

/// A wire for packets of at most `mtu` bytes. Without `checksums` nobody computes or verifies any.
pub fn wire(mtu: u16, checksums: bool) -> (Memory, Memory) {
    let [there, back] = [(); 2].map(|()| Rc::new(RefCell::new(Direction::default())));
    let near = Memory { mtu, checksums, outgoing: there.clone(), incoming: back.clone() };
    (near, Memory { mtu, checksums, outgoing: back, incoming: there })
}

impl crate::host::Port for Memory {
    fn wait(&mut self, _limit: std::time::Duration) -> sockeye_workload::Result<()> {
        Err("nobody waits at a wire in memory".into())
    }

    fn flush(&mut self) -> sockeye_workload::Result<()> {
        Ok(())
    }
}

impl Device for Memory {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Room<'_>)> {
        let packet = self.incoming.borrow_mut().queue.pop_front()?;
        Some((Received { packet, home: &self.incoming }, Room(&self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.outgoing.borrow().queue.len() < LIMIT).then_some(Room(&self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(self.mtu);
        if !self.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }
}

/// A packet that has arrived.
pub struct Received<'a> {
    packet: Vec<u8>,
    home: &'a RefCell<Direction>,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let result = read(&self.packet);
        self.home.borrow_mut().stock.push(self.packet);
        result
    }
}

/// Room for a packet.
pub struct Room<'a>(&'a RefCell<Direction>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = self.0.borrow_mut().stock.pop().unwrap_or_default();
        // What is left of the packet before is written over: smoltcp fills all of it.
        packet.resize(len, 0);
        let result = write(&mut packet);
        self.0.borrow_mut().queue.push_back(packet);
        result
    }
}
