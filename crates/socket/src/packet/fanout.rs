//! PACKET_FANOUT and what belongs to it.

use sockeye_stack::packet::{Choice, Fanout, JoinError};

use crate::errno::Errno;
use crate::host::{Host, SocketId, State};
use crate::names::{PACKET_FANOUT, PACKET_FANOUT_DATA, PACKET_ROLLOVER_STATS, SOL_PACKET};
use crate::settings::int;

/// `PACKET_FANOUT_FLAG_*`, their upper half.
const ROLLOVER: u8 = 0x10;
const UNIQUE: u8 = 0x20;
const IGNORE_OUTGOING: u8 = 0x40;
const DEFRAGMENT: u8 = 0x80;
/// `PACKET_FANOUT_MAX`.
const MOST: u32 = 1 << 16;

impl Host {
    /// setsockopt(2), if it is about a group of packet sockets. The program of PACKET_FANOUT_DATA comes in parts, as SO_ATTACH_FILTER's does.
    pub(crate) fn set_fanout_option(
        &mut self,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let packet = self.packet(id).ok()?.id;
        match (level, name) {
            (SOL_PACKET, PACKET_FANOUT) => {
                let group = self.stack.packet_group(packet);
                Some(asked(value, group.is_some()).and_then(|fanout| Ok(self.stack.packet_join(packet, &fanout)?)))
            }
            (SOL_PACKET, PACKET_FANOUT_DATA) => Some(self.set_choice(id, value)),
            _ => None,
        }
    }

    fn set_choice(&mut self, id: SocketId, value: &[u8]) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let State::Packet(packet) = &socket.state else { return Err(Errno::EINVAL) };
        if self.stack.packet_group(packet.id).is_none_or(|(_, kind, _)| choice(kind) != Some(Choice::Program)) {
            return Err(Errno::EINVAL);
        }
        if let Some(program) = socket.filtering.stage(value)? {
            self.stack.packet_set_choice(packet.id, program);
        }
        Ok(())
    }

    /// getsockopt(2), the same.
    pub(crate) fn fanout_option(&self, id: SocketId, level: i32, name: i32) -> Option<Result<Vec<u8>, Errno>> {
        let packet = self.packet(id).ok()?.id;
        match (level, name) {
            (SOL_PACKET, PACKET_FANOUT) => {
                let value = self.stack.packet_group(packet).map_or(0, |(number, kind, flags)| {
                    u32::from(number) | u32::from(kind) << 16 | u32::from(flags) << 24
                });
                Some(Ok(int(value.cast_signed())))
            }
            (SOL_PACKET, PACKET_ROLLOVER_STATS) => {
                let statistics = self.stack.packet_rollover(packet).ok_or(Errno::EINVAL);
                Some(statistics.map(|told| [told.all, told.huge, told.failed].map(u64::to_ne_bytes).concat()))
            }
            _ => None,
        }
    }
}

/// What a program asks for: an int, or `struct fanout_args`.
fn asked(value: &[u8], member: bool) -> Result<Fanout, Errno> {
    let (words, []) = value.as_chunks::<4>() else { return Err(Errno::EINVAL) };
    let (word, most) = match *words {
        [word] => (u32::from_ne_bytes(word), 0),
        [word, most] => (u32::from_ne_bytes(word), u32::from_ne_bytes(most)),
        _ => return Err(Errno::EINVAL),
    };
    let [low, high, kind, flags] = word.to_le_bytes();
    let choice = choice(kind).ok_or(Errno::EINVAL)?;
    let rollover = flags & ROLLOVER != 0;
    if choice == Choice::Room && rollover {
        return Err(Errno::EINVAL);
    }
    if member {
        return Err(Errno::EALREADY);
    }
    let number = u16::from_le_bytes([low, high]);
    let unique = flags & UNIQUE != 0;
    // Fragments are not put together here.
    if unique && number != 0 || most > MOST || flags & DEFRAGMENT != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Fanout {
        id: (!unique).then_some(number),
        kind,
        choice,
        flags: flags & !UNIQUE,
        rollover,
        ignore_outgoing: flags & IGNORE_OUTGOING != 0,
        most: (most > 0).then_some(most as usize),
    })
}

/// How a group of this kind chooses. There are no programs of the extended machine (`PACKET_FANOUT_EBPF`).
fn choice(kind: u8) -> Option<Choice> {
    Some(match kind {
        0 => Choice::Flow,
        1 => Choice::Turns,
        2 | 5 => Choice::First,
        3 => Choice::Room,
        4 => Choice::Random,
        6 => Choice::Program,
        _ => return None,
    })
}

impl From<JoinError> for Errno {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Member => Errno::EALREADY,
            JoinError::Different => Errno::EINVAL,
            JoinError::Full => Errno::ENOSPC,
            JoinError::NoNumber => Errno::ENOMEM,
        }
    }
}
