//! Socket filters: SO_ATTACH_FILTER and its kin.
//!
//! A program of up to 4,096 instructions is longer than a request, so it comes in parts, each with the number of instructions in
//! all and the place of its first: the last part attaches it. What the kernel refuses is refused, by the same verifier. Programs of
//! the extended machine (SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF) are refused: there is none here.
//!
//! # Standards
//!
//! Linux socket(7), `Documentation/networking/filter.rst`.

use std::sync::Arc;

use sockeye_device::Instant;
use sockeye_filter::{Instruction, MAX_INSTRUCTIONS, Program};

use crate::errno::Errno;
use crate::host::{Host, SocketId, State};
use crate::names::*;
use crate::settings::{int, read_int};

/// A socket's filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filtering {
    program: Option<Arc<Program>>,
    /// SO_LOCK_FILTER.
    locked: bool,
    /// SO_ATTACH_REUSEPORT_CBPF, of a socket that shares with nobody yet. Afterwards it is the group's.
    selection: Option<Arc<Program>>,
    /// What has come of a program that is not whole yet.
    staged: Vec<Instruction>,
}

impl Host {
    /// setsockopt(2), if it is about a filter. The value of SO_ATTACH_FILTER is a part of a program: two numbers of sixteen bits (how
    /// many instructions there are, which is the first here) and instructions.
    pub(crate) fn set_filter_option(
        &mut self,
        now: Instant,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        if level != SOL_SOCKET {
            return None;
        }
        // What it says is nothing, but it is an int.
        if matches!(name, SO_DETACH_FILTER | SO_DETACH_REUSEPORT_BPF)
            && let Err(errno) = read_int(value)
        {
            return Some(Err(errno));
        }
        match name {
            SO_ATTACH_REUSEPORT_CBPF => return Some(self.attach_selection(id, value)),
            SO_DETACH_REUSEPORT_BPF => return Some(self.detach_selection(id)),
            SO_ATTACH_FILTER | SO_DETACH_FILTER | SO_LOCK_FILTER => {}
            _ => return None,
        }
        let socket = self.sockets.get_mut(id.0)?;
        // Nothing that could be looked at passes here on a connection within the host.
        if matches!(socket.state, State::Joined { .. }) && name != SO_LOCK_FILTER {
            return Some(Err(Errno::ENOPROTOOPT));
        }
        let filtering = &mut socket.filtering;
        let done = match name {
            SO_LOCK_FILTER => return Some(filtering.lock(value)),
            SO_DETACH_FILTER => filtering.detach(),
            _ => filtering.attach(value),
        };
        if done.is_ok() {
            self.apply(now, id);
        }
        Some(done)
    }

    /// SO_ATTACH_REUSEPORT_CBPF: its value comes in parts, as that of SO_ATTACH_FILTER does.
    fn attach_selection(&mut self, id: SocketId, value: &[u8]) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let Some(program) = socket.filtering.stage(value)? else { return Ok(()) };
        let program = Some(program);
        let shares = match socket.state {
            State::Datagram(Some(udp)) => self.stack.udp_set_selection(udp, program),
            State::Listening { id, .. } => self.stack.tcp_set_selection(id, program),
            State::Datagram(None) | State::Fresh | State::Bound(_) if socket.settings.reuse_port => {
                socket.filtering.selection = program;
                true
            }
            _ => false,
        };
        if shares { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn detach_selection(&mut self, id: SocketId) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        let nothing = if socket.settings.reuse_port { Errno::ENOENT } else { Errno::EINVAL };
        let had = match socket.state {
            State::Datagram(Some(udp)) => {
                self.stack.udp_selection(udp).is_some() && self.stack.udp_set_selection(udp, None)
            }
            State::Listening { id, .. } => {
                self.stack.tcp_selection(id).is_some() && self.stack.tcp_set_selection(id, None)
            }
            _ => socket.filtering.selection.take().is_some(),
        };
        if had { Ok(()) } else { Err(nothing) }
    }

    /// A socket has begun to share: its program is the group's, unless the group has one.
    pub(crate) fn join_selection(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else { return };
        let Some(program) = socket.filtering.selection.take() else { return };
        match socket.state {
            State::Datagram(Some(udp)) if self.stack.udp_selection(udp).is_none() => {
                self.stack.udp_set_selection(udp, Some(program));
            }
            State::Listening { id, .. } if self.stack.tcp_selection(id).is_none() => {
                self.stack.tcp_set_selection(id, Some(program));
            }
            _ => {}
        }
    }

    /// A connection has the filter of its listener, and cannot lose it if that could not.
    pub(crate) fn inherit_filter(&mut self, id: SocketId, listener: SocketId, program: Option<Arc<Program>>) {
        let locked = self.sockets.get(listener.0).is_some_and(|listener| listener.filtering.locked);
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.filtering = Filtering { program, locked, ..Filtering::default() };
        }
    }

    /// SO_LOCK_FILTER's value, if that is asked for.
    pub(crate) fn filter_option(&self, id: SocketId, level: i32, name: i32) -> Option<Vec<u8>> {
        let locked = self.sockets.get(id.0)?.filtering.locked;
        ((level, name) == (SOL_SOCKET, SO_LOCK_FILTER)).then(|| int(locked.into()))
    }

    /// SO_GET_FILTER: how many instructions there are (sixteen bits, and as many zeros), and at most `most` of them from the one at `from` on.
    pub fn filter_part(&self, id: SocketId, from: usize, most: usize) -> Vec<u8> {
        let program = self.sockets.get(id.0).and_then(|socket| socket.filtering.program.as_deref());
        let instructions = program.map_or(&[][..], Program::instructions);
        let mut part = vec![0; 4];
        part[..2].copy_from_slice(&(instructions.len() as u16).to_ne_bytes());
        for instruction in instructions.iter().skip(from).take(most) {
            part.extend(instruction.to_ne_bytes());
        }
        part
    }

    /// Hands a socket's filter down to the stack; that of a stream is one of its options.
    pub(crate) fn apply_filter(&mut self, id: SocketId) {
        let Host { stack, sockets, .. } = self;
        let Some(socket) = sockets.get(id.0) else { return };
        let program = socket.filtering.program.clone();
        match &socket.state {
            State::Packet(packet) => stack.packet_set_filter(packet.id, program),
            State::Raw(raw) => stack.raw_set_filter(*raw, program),
            State::Datagram(Some(udp)) => stack.udp_set_filter(*udp, program),
            _ => {}
        }
    }
}

impl Filtering {
    /// The program, once it is whole.
    pub(crate) fn program(&self) -> Option<&Arc<Program>> {
        self.program.as_ref()
    }

    /// Without what has come of another program.
    pub(crate) fn whole(self) -> Filtering {
        Filtering { staged: Vec::new(), ..self }
    }

    /// What keeping it costs, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let programs = self.program.iter().chain(&self.selection);
        programs.map(|program| size_of_val(program.instructions())).sum()
    }

    fn attach(&mut self, value: &[u8]) -> Result<(), Errno> {
        if let Some(program) = self.stage(value)? {
            self.program = Some(program);
        }
        Ok(())
    }

    /// Takes a part of a program. The whole, with its last part.
    pub(crate) fn stage(&mut self, value: &[u8]) -> Result<Option<Arc<Program>>, Errno> {
        if self.locked {
            return Err(Errno::EPERM);
        }
        let (head, rest) = value.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
        let total = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let at = usize::from(u16::from_ne_bytes([head[2], head[3]]));
        let (instructions, []) = rest.as_chunks::<{ Instruction::LEN }>() else { return Err(Errno::EINVAL) };
        if at == 0 {
            self.staged.clear();
        }
        let follows = at == self.staged.len() && total <= MAX_INSTRUCTIONS && at + instructions.len() <= total;
        if !follows || instructions.is_empty() {
            self.staged = Vec::new();
            return Err(Errno::EINVAL);
        }
        self.staged.extend(instructions.iter().map(|&bytes| Instruction::from_ne_bytes(bytes)));
        if self.staged.len() < total {
            return Ok(None);
        }
        let program = Program::new(&std::mem::take(&mut self.staged)).map_err(|_| Errno::EINVAL)?;
        Ok(Some(Arc::new(program)))
    }

    fn detach(&mut self) -> Result<(), Errno> {
        if self.locked {
            return Err(Errno::EPERM);
        }
        self.program.take().map(drop).ok_or(Errno::ENOENT)
    }

    fn lock(&mut self, value: &[u8]) -> Result<(), Errno> {
        let on = read_int(value)? != 0;
        if self.locked && !on {
            return Err(Errno::EPERM);
        }
        self.locked = on;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(total: u16, at: u16, count: u16) -> Vec<u8> {
        // Each returns its place.
        let instructions = (at..at + count).flat_map(|k| Instruction::statement(6, k.into()).to_ne_bytes());
        [total.to_ne_bytes(), at.to_ne_bytes()].concat().into_iter().chain(instructions).collect()
    }

    #[test]
    fn a_program_comes_in_parts_and_only_as_a_whole() {
        let mut filtering = Filtering::default();
        assert_eq!(filtering.attach(&part(300, 0, 120)), Ok(()));
        assert!(filtering.program.is_none());
        assert_eq!(filtering.attach(&part(300, 120, 120)), Ok(()));
        assert_eq!(filtering.attach(&part(300, 240, 60)), Ok(()));
        assert_eq!(filtering.program.as_ref().map(|program| program.instructions().len()), Some(300));
        for wrong in
            [part(300, 120, 10), part(10, 0, 11), part(0, 0, 0), part(5000, 0, 10), vec![1, 0, 0], vec![1, 0, 0, 0, 6]]
        {
            assert_eq!(filtering.attach(&wrong), Err(Errno::EINVAL));
        }
        // LD with a mode that there is not.
        assert_eq!(filtering.attach(&[1, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert!(filtering.program.is_some(), "what was attached before stays");
    }

    #[test]
    fn a_locked_filter_stays() {
        let mut filtering = Filtering::default();
        assert_eq!(filtering.detach(), Err(Errno::ENOENT));
        assert_eq!(filtering.attach(&part(1, 0, 1)), Ok(()));
        assert_eq!(filtering.lock(&int(1)), Ok(()));
        assert_eq!(filtering.detach(), Err(Errno::EPERM));
        assert_eq!(filtering.attach(&part(1, 0, 1)), Err(Errno::EPERM));
        assert_eq!(filtering.lock(&int(0)), Err(Errno::EPERM));
    }
}
