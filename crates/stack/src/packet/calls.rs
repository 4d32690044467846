//! What the owners of packet sockets call.

use super::ring::{Geometry, Memory, Ring, TransmitRing};
use super::{Fanout, JoinError, OVERHEAD, Progress, RolloverStatistics, Send, SendError};
use super::{Options, Packets, Received, SPARE, SPARE_SIZE, Socket, SocketId, Statistics, Summary};
use crate::Stack;
use crate::port::PortId;
use sockeye_device::Instant;
use sockeye_filter::Program;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

impl Stack {
    /// A socket that sees frames of this protocol (in the machine's own order; 0: none) of all ports, with the link header or without.
    pub fn packet_open(&mut self, cooked: bool, protocol: u16) -> SocketId {
        self.packets.open(cooked, protocol)
    }

    /// Binds a socket to a protocol and a port (none: all).
    pub fn packet_bind(&mut self, id: SocketId, protocol: u16, port: Option<PortId>) {
        let Some(socket) = self.packets.sockets.get_mut(id) else { return };
        (socket.protocol, socket.port) = (protocol, port);
        self.packets.activate(id);
    }

    /// Protocol and port.
    pub fn packet_bound(&self, id: SocketId) -> Option<(u16, Option<PortId>)> {
        self.packets.sockets.get(id).map(|socket| (socket.protocol, socket.port))
    }

    /// The next frame.
    pub fn packet_recv(&mut self, id: SocketId) -> Option<Received> {
        let socket = self.packets.sockets.get_mut(id)?;
        let received = socket.queue.pop_front()?;
        let cost = received.data.len() + OVERHEAD;
        socket.memory -= cost;
        self.packets.memory -= cost;
        Some(received)
    }

    /// Length of the next frame, if there is one.
    pub fn packet_readable(&self, id: SocketId) -> Option<usize> {
        self.packets.sockets.get(id)?.queue.front().map(|received| received.data.len())
    }

    /// Frames that wait.
    pub fn packet_queued(&self, id: SocketId) -> usize {
        self.packets.sockets.get(id).map_or(0, |socket| socket.queue.len())
    }

    /// Takes the buffer of a frame back.
    pub fn packet_recycle(&mut self, data: Vec<u8>) {
        if self.packets.spare.len() < SPARE && data.capacity() <= SPARE_SIZE {
            self.packets.spare.push(data);
        }
    }

    /// Sends a frame.
    pub fn packet_send(&mut self, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        self.packets.send(&mut self.ip, id, send)
    }

    /// Sends what stands in the socket's ring, as much as is fair in one turn: bytes of frames, and how far. `None`: it has no such ring.
    ///
    /// After an error the slot that it is about is marked, and those before it were sent.
    pub fn packet_send_ring(&mut self, id: SocketId, send: &Send<'_>) -> Option<Result<(usize, Progress), SendError>> {
        self.packets.send_ring(&mut self.ip, id, send)
    }

    /// Puts a socket into a group that shares what it sees: from then on it cannot be bound to anything else.
    pub fn packet_join(&mut self, id: SocketId, fanout: &Fanout) -> Result<(), JoinError> {
        self.packets.join(id, fanout)
    }

    /// The group that a socket is in: its number, kind and flags.
    pub fn packet_group(&self, id: SocketId) -> Option<(u16, u8, u8)> {
        self.packets.group_of(id)
    }

    /// A program that chooses whom of the socket's group a frame is for. Other groups want none.
    pub fn packet_set_choice(&mut self, id: SocketId, program: Arc<Program>) {
        self.packets.set_choice(id, program);
    }

    /// What went to others of the socket's group because it had no room; none if that cannot be.
    pub fn packet_rollover(&self, id: SocketId) -> Option<RolloverStatistics> {
        self.packets.rollover_statistics(id)
    }

    /// Whether the socket waits for room to send in.
    pub fn packet_is_blocked(&self, id: SocketId) -> bool {
        self.packets.sockets.is_blocked(id)
    }

    /// What went wrong with a frame after its call had ended.
    pub fn packet_take_error(&mut self, id: SocketId) -> Option<SendError> {
        self.packets.sockets.get_mut(id)?.error.take()
    }

    /// The socket's settings.
    pub fn packet_options(&self, id: SocketId) -> Option<&Options> {
        self.packets.sockets.get(id).map(|socket| &socket.options)
    }

    /// Changes them.
    pub fn packet_set_options(&mut self, id: SocketId, options: Options) {
        if let Some(socket) = self.packets.sockets.get_mut(id) {
            socket.options = options;
        }
    }

    /// What the socket sees goes through this filter first; none: it sees all.
    pub fn packet_set_filter(&mut self, id: SocketId, filter: Option<Arc<Program>>) {
        if let Some(socket) = self.packets.sockets.get_mut(id) {
            socket.filter = filter;
        }
    }

    /// What was counted since the last call.
    pub fn packet_take_statistics(&mut self, id: SocketId) -> Statistics {
        let Some(socket) = self.packets.sockets.get_mut(id) else { return Statistics::default() };
        let Statistics { packets, drops, .. } = std::mem::take(&mut socket.statistics);
        let freezes = socket.ring.as_mut().map_or(0, Ring::take_freezes);
        Statistics { packets: packets.wrapping_add(drops), drops, freezes }
    }

    /// What time it is, since 1970: the stack's own clock has no date, and frames in a ring need one.
    pub fn packet_set_time(&mut self, now: Instant, time: Duration) {
        self.packets.epoch = time.saturating_sub(now.since(Instant::ZERO));
    }

    /// Whether anybody looks at frames, and wants to know the time of day.
    pub fn is_watched(&self) -> bool {
        self.packets.is_watching()
    }

    /// Gives a socket these rings, one behind the other in `memory`, and our own page behind them; none: no ring any more. A ring for what
    /// arrives that is there already, of the same geometry, goes on: `memory` must begin with what is in it.
    pub fn packet_set_rings(
        &mut self,
        now: Instant,
        id: SocketId,
        rings: [Option<Geometry>; 2],
        memory: Option<Arc<dyn Memory>>,
    ) {
        let time = self.packets.time(now);
        let Some(socket) = self.packets.sockets.get_mut(id) else { return };
        let [receiving, sending] = rings;
        let begin = receiving.as_ref().map_or(0, Geometry::len);
        let control = begin + sending.as_ref().map_or(0, Geometry::len);
        let ring = receiving.zip(memory.clone()).map(|(geometry, memory)| match socket.ring.take() {
            Some(mut ring) if ring.geometry() == geometry => {
                ring.move_to(memory, control);
                ring
            }
            _ => Ring::new(memory, geometry, control, time),
        });
        socket.ring = ring;
        socket.transmit = sending.zip(memory).map(|(geometry, memory)| TransmitRing::new(memory, geometry, begin));
        socket.ring_memory = control;
    }

    /// Bytes of all rings.
    pub fn packet_ring_memory(&self) -> usize {
        self.packets.sockets.iter().map(|(_, socket)| socket.ring_memory).sum()
    }

    /// Whether the program of a ring is to be signalled that it has something; then it is not again until it wants to be.
    pub fn packet_take_signal(&mut self, id: SocketId) -> bool {
        self.packets.sockets.get_mut(id).and_then(|socket| socket.ring.as_mut()).is_some_and(Ring::take_signal)
    }

    /// The signal could not be given.
    pub fn packet_keep_signal(&mut self, id: SocketId) {
        if let Some(ring) = self.packets.sockets.get_mut(id).and_then(|socket| socket.ring.as_mut()) {
            ring.keep_signal();
        }
    }

    /// The end of a socket, and of what it has not read. What it sent still goes.
    pub fn packet_close(&mut self, id: SocketId) {
        self.packets.close(id);
    }

    /// All sockets.
    pub fn packet_sockets(&self) -> impl Iterator<Item = Summary> + '_ {
        self.packets.sockets.iter().map(|(id, socket)| Summary {
            id,
            protocol: socket.protocol,
            port: socket.port,
            receive_memory: socket.memory,
            receive_buffer: socket.options.receive_buffer,
        })
    }
}

impl Packets {
    fn open(&mut self, cooked: bool, protocol: u16) -> SocketId {
        let id = self.sockets.insert(Socket {
            cooked,
            protocol,
            port: None,
            options: Options::default(),
            filter: None,
            queue: VecDeque::new(),
            memory: 0,
            statistics: Statistics::default(),
            ring: None,
            transmit: None,
            ring_memory: 0,
            sending: 0,
            error: None,
            group: None,
            rollover: None,
        });
        self.activate(id);
        id
    }

    /// Puts a socket among those that see frames, if it wants to see any.
    fn activate(&mut self, id: SocketId) {
        let index = id.index() as u32;
        let sees = self.sockets.get(id).is_some_and(|socket| socket.protocol != 0 && socket.group.is_none());
        let stands = self.active.iter().position(|&other| other == index);
        match (stands, sees) {
            (None, true) => self.active.push(index),
            (Some(at), false) => drop(self.active.remove(at)),
            _ => {}
        }
    }

    fn close(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(id) else { return };
        self.active.retain(|&other| other as usize != id.index());
        if let Some(number) = socket.group {
            self.leave(id.index() as u32, number);
        }
        self.memory -= socket.memory;
    }
}
