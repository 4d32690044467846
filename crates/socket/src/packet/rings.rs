//! Rings: what a program asks for, and the memory that it takes.

use std::sync::Arc;

use sockeye_device::Instant;
use sockeye_stack::packet::Progress;
use sockeye_stack::packet::ring::{CONTROL_LEN, Geometry, Memory, Refused, Request, Version};

use crate::errno::Errno;
use crate::host::{Host, SocketId, State};
use crate::names::PACKET_RX_RING;

/// The most that the rings of all sockets hold. They are for root, but so is the rest of the machine.
const MOST: usize = 1 << 30;

/// The rings of a socket, as they shall be.
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    receiving: Option<Geometry>,
    sending: Option<Geometry>,
    /// It is the second that comes or goes.
    changes_sending: bool,
}

impl Rings {
    /// Bytes of all of them, one behind the other; 0: none.
    #[expect(clippy::len_without_is_empty, reason = "what is asked is how much memory they take")]
    pub fn len(&self) -> usize {
        self.receiving.iter().chain(&self.sending).map(Geometry::len).sum()
    }

    /// How much of the memory that there is goes on as it is: the ring for what arrives, while that for what is sent comes or goes.
    pub fn kept(&self) -> usize {
        if self.changes_sending { self.receiving.as_ref().map_or(0, Geometry::len) } else { 0 }
    }

    /// The same, with our own page behind them.
    pub fn memory(&self) -> usize {
        self.len() + CONTROL_LEN
    }
}

impl Host {
    /// setsockopt(2) of PACKET_RX_RING or PACKET_TX_RING: how much memory the rings take with it, our own page counted in; none if
    /// there are no rings any more. Nothing has changed before [`Host::packet_set_rings`].
    pub fn packet_plan_rings(&self, id: SocketId, name: i32, value: &[u8]) -> Result<Rings, Errno> {
        let packet = self.packet(id)?;
        let receive = name == PACKET_RX_RING;
        let words = if packet.options.version == Version::V3 { 7 } else { 4 };
        let (words, _) = value.get(..4 * words).ok_or(Errno::EINVAL)?.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |&word| u32::from_ne_bytes(word));
        let asked = Request {
            block_size: word(0),
            blocks: word(1),
            frame_size: word(2),
            frames: word(3),
            retire_after: word(4),
            private: word(5),
            features: word(6),
        };
        let (mut receiving, mut sending) = (packet.receiving, packet.sending);
        let ring = if receive { &mut receiving } else { &mut sending };
        if asked.blocks > 0 && ring.is_some() {
            return Err(Errno::EBUSY);
        }
        *ring =
            Geometry::check(packet.options.version, packet.options.reserve, receive, &asked).map_err(|refused| {
                match refused {
                    Refused::Invalid => Errno::EINVAL,
                    Refused::NoMemory => Errno::ENOMEM,
                }
            })?;
        let more = ring.as_ref().map_or(0, Geometry::len);
        if more > 0 && self.stack().packet_ring_memory() + more > MOST {
            return Err(Errno::ENOMEM);
        }
        Ok(Rings { receiving, sending, changes_sending: !receive })
    }

    /// Does what was planned, with memory for it.
    pub fn packet_set_rings(&mut self, now: Instant, id: SocketId, rings: Rings, memory: Option<Arc<dyn Memory>>) {
        let Ok(packet) = self.packet(id).map(|packet| packet.id) else { return };
        self.stack_mut().packet_set_rings(now, packet, [rings.receiving, rings.sending], memory);
        if let Some(socket) = self.sockets.get_mut(id.0)
            && let State::Packet(packet) = &mut socket.state
        {
            (packet.receiving, packet.sending) = (rings.receiving, rings.sending);
        }
    }

    /// send(2) on a packet socket that has a ring for what it sends: how many bytes of frames, and how far. None: it has no such ring.
    pub fn packet_send_ring(
        &mut self,
        id: SocketId,
        to: Option<(u16, u32, &[u8])>,
    ) -> Result<Option<(usize, Progress)>, Errno> {
        let packet = self.packet(id)?;
        if packet.sending.is_none() {
            return Ok(None);
        }
        let (packet, send) = (packet.id, self.packet_way(id, to)?);
        Ok(self.stack_mut().packet_send_ring(packet, &send).transpose()?)
    }
}
