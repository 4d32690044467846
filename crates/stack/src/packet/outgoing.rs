//! Frames on their way to devices: a queue for each port, so that a device that is full holds up nobody else's.
//!
//! What waits is charged to its socket's send buffer, and all of it to the host, whose share outlives the socket: what was sent still goes.
//! Who finds either used up is told when something has left.

use super::SocketId;
use crate::port::{OutFrame, PortId};
use std::collections::VecDeque;

/// A frame of a socket's.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frame: OutFrame,
    pub(super) from: SocketId,
    /// It is shown to nobody when it leaves.
    pub(super) unseen: bool,
}

impl Waiting {
    /// What it is charged with.
    pub(super) fn cost(&self) -> usize {
        self.frame.buffer.len()
    }
}

/// All that waits, by port.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    ports: Vec<VecDeque<Waiting>>,
    frames: usize,
    memory: usize,
}

impl Outgoing {
    pub(super) fn push(&mut self, port: PortId, waiting: Waiting) {
        if self.ports.len() <= port.index() {
            self.ports.resize_with(port.index() + 1, VecDeque::new);
        }
        self.frames += 1;
        self.memory += waiting.cost();
        self.ports[port.index()].push_back(waiting);
    }

    /// The next one for a port.
    pub(super) fn pop(&mut self, port: PortId) -> Option<Waiting> {
        let waiting = self.ports.get_mut(port.index())?.pop_front()?;
        self.frames -= 1;
        self.memory -= waiting.cost();
        Some(waiting)
    }

    /// It was not its turn yet.
    pub(super) fn give_back(&mut self, port: PortId, waiting: Waiting) {
        if let Some(queue) = self.ports.get_mut(port.index()) {
            self.frames += 1;
            self.memory += waiting.cost();
            queue.push_front(waiting);
        }
    }

    /// Ports that may have something waiting.
    pub(super) fn ports(&self) -> impl Iterator<Item = PortId> + use<> {
        (0..self.ports.len()).map(|index| PortId(index as u16))
    }

    /// What all of it is charged with.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }
}
