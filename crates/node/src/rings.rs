//! The rings of packet sockets: their memory, and what a program wants to be sent from them.
//!
//! A program that waits for room to send waits until its own descriptor polls writable. While there is none that is prevented with filler, as a
//! stream's is before its connection stands (`pair`); the pump reads it away when the stack says that there is room.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use sockeye_control::{Address, ring};
use sockeye_device::SharedBytes;
use sockeye_socket::Errno;
use sockeye_socket::table::Key;
use sockeye_stack::packet::Progress;
use sockeye_stack::packet::ring::Memory;

use crate::boundary::Context;
use crate::datagram::{self, RingFile, RingMemory};
use crate::end::{End, Pump};
use crate::pair;
use crate::requests::{Answer, Call, Outcome};

/// Messages that are taken for wishes to send a ring before a program is believed to write for ever.
const WISHES: usize = 1_024;

impl Call<'_, '_> {
    /// setsockopt of PACKET_RX_RING and PACKET_TX_RING.
    pub(crate) fn set_ring(&mut self, key: Key, name: i32, value: &[u8]) -> Outcome {
        let Some(End { socket, pump: Pump::Datagram(pump), .. }) = self.boundary.ends.get_mut(key) else {
            return Err(Errno::ENOPROTOOPT.into());
        };
        let Context { host, now, .. } = &mut *self.context;
        let rings = host.packet_plan_rings(*socket, name, value)?;
        let (len, kept) = (rings.len(), rings.kept());
        let memory = match &mut pump.rings {
            none if len == 0 => {
                *none = None;
                None
            }
            // A ring that may be full of frames is not copied: nobody else's turn would come meanwhile.
            Some(before) if kept > 0 && before.mapped && len > kept => return Err(Errno::EBUSY.into()),
            Some(before) if kept > 0 => {
                let memory = SharedBytes::renewed(&before.file, kept, rings.memory()).map_err(|_| Errno::ENOMEM)?;
                before.len = len;
                Some(memory)
            }
            file => {
                let (memory, fresh) = SharedBytes::new(rings.memory()).map_err(|_| Errno::ENOMEM)?;
                *file = Some(RingFile { file: fresh, len, mapped: false });
                Some(memory)
            }
        };
        let memory = memory.map(|memory| -> Arc<dyn Memory> { Arc::new(RingMemory(memory)) });
        host.packet_set_rings(*now, *socket, rings, memory);
        Ok((Answer::Done, None))
    }

    /// mmap of the rings.
    pub(crate) fn ring_memory(&mut self, key: Key) -> Outcome {
        let Some(End { pump: Pump::Datagram(pump), .. }) = self.boundary.ends.get_mut(key) else {
            return Err(Errno::EINVAL.into());
        };
        let RingFile { file, len, mapped } = pump.rings.as_mut().ok_or(Errno::EINVAL)?;
        let file = file.try_clone().map_err(|_| Errno::ENFILE)?;
        *mapped = true;
        Ok((Answer::Value((*len as u64).to_ne_bytes().to_vec()), Some(file)))
    }

    /// send of what stands in a ring, by the descriptor `theirs`.
    pub(crate) fn transmit(&mut self, key: Key, address: Option<Address>, theirs: &OwnedFd) -> Outcome {
        let socket = self.boundary.ends.get(key).ok_or(Errno::EBADF)?.socket;
        let Some((bytes, progress)) = datagram::send_ring(self.context, socket, address)? else {
            return Ok((Answer::Done, None));
        };
        let progress = match progress {
            Progress::Done => ring::DONE,
            Progress::More => ring::MORE,
            Progress::Full => {
                self.clog(key, theirs)?;
                ring::FULL
            }
        };
        let value = [&(bytes as u64).to_ne_bytes()[..], &[progress]].concat();
        Ok((Answer::Value(value), None))
    }

    /// Lets the program's end not poll writable until there is room.
    fn clog(&mut self, key: Key, theirs: &OwnedFd) -> Result<(), Errno> {
        let boundary = &mut *self.boundary;
        // What stands before the filler would be taken for some. What waits for room is a wish to send the ring, which comes again.
        let mut answer = None;
        for _ in 0..WISHES {
            answer = boundary.flush(self.context, key).or(answer);
            let Some(End { pump: Pump::Datagram(pump), .. }) = boundary.ends.get_mut(key) else { break };
            if !pump.forget_unsent() {
                break;
            }
        }
        let Some(End { fd, pump: Pump::Datagram(pump), .. }) = boundary.ends.get_mut(key) else {
            return Err(Errno::EBADF);
        };
        pump.keep_answer(answer);
        if pump.filler == 0 {
            pump.filler = pair::fill(theirs.as_fd(), fd.as_fd()).map_err(|_| Errno::ENOBUFS)?;
        }
        Ok(())
    }
}
