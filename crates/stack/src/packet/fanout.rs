//! Groups of sockets, of which one gets each frame (`PACKET_FANOUT`).
//!
//! All members are bound to the same protocol and port, and their group stands in their place among those that see frames. Which member it is
//! is decided by the flow's number, in turn, by chance, by a program, or by who has room. Processor and queue are those of a host with
//! one of each: the first member's.
//!
//! With *rollover* a frame whose member is full goes to another; also one of a flow that has lately sent most of what the member got,
//! when that begins to run short of room.
//!
//! # Standards
//!
//! packet(7); Linux `net/packet/af_packet.c` as observed.

use super::view::{Seen, headers};
use super::{ALL_PROTOCOLS, OVERHEAD, PacketType, Packets, SocketId, flow};
use crate::port::PortId;
use sockeye_filter::{Bytes, Packet, Program};
use std::sync::Arc;

/// `ROLLOVER_HLEN`: frames that a member remembers the flows of.
const HISTORY: usize = 16;

/// How a group chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By the flow.
    Flow,
    /// One after the other.
    Turns,
    /// By processor, or by the device's queue.
    First,
    /// Who has room, the last one as long as it has.
    Room,
    /// By chance.
    Random,
    /// What a program returns, divided by how many there are.
    Program,
}

/// A group, as a socket asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// Its number; none for one that nobody has.
    pub id: Option<u16>,
    /// `PACKET_FANOUT_*`, which all members must agree in; and what it means.
    pub kind: u8,
    /// See `kind`.
    pub choice: Choice,
    /// Upper half of `PACKET_FANOUT_FLAG_*`, the same.
    pub flags: u8,
    /// A frame for a member that is full goes to another.
    pub rollover: bool,
    /// It sees what arrives only.
    pub ignore_outgoing: bool,
    /// How many there may be in it, if the socket says so.
    pub most: Option<usize>,
}

/// Why a socket cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// It is in a group.
    Member,
    /// The group is another one than was asked for, or the socket sees no frames.
    Different,
    /// There are as many in it as there may be.
    Full,
    /// All numbers are taken.
    NoNumber,
}

/// Frames that went to another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RolloverStatistics {
    /// In all.
    pub all: u64,
    /// Because their flow was most of what there was.
    pub huge: u64,
    /// None had room.
    pub failed: u64,
}

#[derive(Debug)]
pub(super) struct Group {
    id: u16,
    fanout: Fanout,
    most: usize,
    protocol: u16,
    port: Option<PortId>,
    pub(super) members: Vec<u32>,
    turn: u32,
    program: Option<Arc<Program>>,
}

/// What a member remembers of those that it handed over to.
#[derive(Debug, Default)]
pub(super) struct Rollover {
    /// The member that had room last.
    last: usize,
    flows: [u32; HISTORY],
    statistics: RolloverStatistics,
}

/// Whether there is room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Plenty,
    Little,
    None,
}

impl Packets {
    pub(super) fn join(&mut self, id: SocketId, fanout: &Fanout) -> Result<(), JoinError> {
        let socket = self.sockets.get(id).ok_or(JoinError::Different)?;
        if socket.group.is_some() {
            return Err(JoinError::Member);
        }
        let (protocol, port) = (socket.protocol, socket.port);
        let number = match fanout.id {
            Some(number) => number,
            None => (0..=u16::MAX)
                .map(|more| self.next_group.wrapping_add(more))
                .find(|&number| self.groups.iter().all(|group| group.id != number))
                .ok_or(JoinError::NoNumber)?,
        };
        let index = id.index() as u32;
        let found = self.groups.iter_mut().find(|group| group.id == number);
        if protocol == 0 {
            return Err(JoinError::Different);
        }
        match found {
            Some(group) => {
                let Fanout { kind, flags, most, .. } = *fanout;
                let same = (group.fanout.kind, group.fanout.flags) == (kind, flags)
                    && (group.protocol, group.port) == (protocol, port)
                    && most.is_none_or(|most| most == group.most);
                if !same {
                    return Err(JoinError::Different);
                }
                if group.members.len() >= group.most {
                    return Err(JoinError::Full);
                }
                group.members.push(index);
            }
            None => {
                const MOST: usize = 256;
                let most = fanout.most.unwrap_or(MOST);
                let members = vec![index];
                self.groups.push(Group {
                    id: number,
                    fanout: *fanout,
                    most,
                    protocol,
                    port,
                    members,
                    turn: 0,
                    program: None,
                });
            }
        }
        if fanout.id.is_none() {
            self.next_group = number.wrapping_add(1);
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.group = Some(number);
            let rolls = fanout.rollover || fanout.choice == Choice::Room;
            socket.rollover = rolls.then(Box::default);
        }
        self.active.retain(|&other| other != index);
        Ok(())
    }

    /// A socket has gone, which was in that group.
    pub(super) fn leave(&mut self, index: u32, number: u16) {
        let Some(at) = self.groups.iter().position(|group| group.id == number) else { return };
        let group = &mut self.groups[at];
        if let Some(place) = group.members.iter().position(|&member| member == index) {
            group.members.swap_remove(place);
        }
        if group.members.is_empty() {
            self.groups.swap_remove(at);
        }
    }

    /// The group that a socket is in: its number, kind and flags.
    pub(super) fn group_of(&self, id: SocketId) -> Option<(u16, u8, u8)> {
        let number = self.sockets.get(id)?.group?;
        let group = self.groups.iter().find(|group| group.id == number)?;
        Some((number, group.fanout.kind, group.fanout.flags))
    }

    /// A program that chooses, if the socket is in a group that wants one.
    pub(super) fn set_choice(&mut self, id: SocketId, program: Arc<Program>) {
        let number = self.sockets.get(id).and_then(|socket| socket.group);
        let wants = |group: &&mut Group| Some(group.id) == number && group.fanout.choice == Choice::Program;
        if let Some(group) = self.groups.iter_mut().find(wants) {
            group.program = Some(program);
        }
    }

    pub(super) fn rollover_statistics(&self, id: SocketId) -> Option<RolloverStatistics> {
        Some(self.sockets.get(id)?.rollover.as_ref()?.statistics)
    }

    /// Shows a frame to one of each group that sees it, but those of whose members it comes.
    pub(super) fn show_to_groups(&mut self, seen: &Seen<'_>, from: Option<SocketId>) {
        let own = from.and_then(|from| self.sockets.get(from)).and_then(|socket| socket.group);
        for at in 0..self.groups.len() {
            let group = &self.groups[at];
            let outgoing = seen.kind == PacketType::Outgoing;
            let wanted = if group.protocol == ALL_PROTOCOLS {
                !(outgoing && group.fanout.ignore_outgoing)
            } else {
                !outgoing && group.protocol == seen.protocol
            };
            if wanted && group.port.is_none_or(|port| port == seen.port) && own != Some(group.id) {
                let member = self.choose(at, seen);
                if let Some(&index) = self.groups[at].members.get(member) {
                    self.give(index, seen);
                }
            }
        }
    }

    /// Which member of the group at `at` gets a frame.
    fn choose(&mut self, at: usize, seen: &Seen<'_>) -> usize {
        let random = self.draw();
        let group = &mut self.groups[at];
        let count = group.members.len();
        // A share of 32 bits, as even as can be.
        let share = |hash: u32| ((u64::from(hash) * count as u64) >> 32) as usize;
        let Fanout { choice, rollover, .. } = group.fanout;
        let chosen = match choice {
            Choice::Flow => share(flow::hash(&self.key, seen)),
            Choice::Turns => {
                group.turn = group.turn.wrapping_add(1);
                group.turn as usize % count
            }
            Choice::Random => share((random >> 32) as u32),
            Choice::First => 0,
            Choice::Room => self.roll(at, 0, false, seen, random),
            Choice::Program => {
                let outgoing = seen.kind == PacketType::Outgoing;
                group.program.as_ref().map_or(0, |program| {
                    let metadata = seen.metadata(seen.kind, seen.vlan, random);
                    // What has arrived begins with its network header there.
                    let verdict = program.run(&Packet::with_headers(&seen.view, headers(!outgoing), &metadata));
                    verdict as usize % count
                })
            }
        };
        if rollover { self.roll(at, chosen, true, seen, random) } else { chosen }
    }

    /// The member that gets what member `chosen` would: itself, if it is asked first and has room, or the next that has.
    fn roll(&mut self, at: usize, chosen: usize, itself: bool, seen: &Seen<'_>, random: u64) -> usize {
        let members = std::mem::take(&mut self.groups[at].members);
        let rolled = self.roll_over(&members, chosen, itself, seen, random);
        self.groups[at].members = members;
        rolled
    }

    fn roll_over(&mut self, members: &[u32], chosen: usize, itself: bool, seen: &Seen<'_>, random: u64) -> usize {
        let Some(&index) = members.get(chosen) else { return chosen };
        let room = if itself { self.room(index, seen) } else { Room::None };
        if room == Room::Plenty || room == Room::Little && !self.is_most(index, seen, random) {
            return chosen;
        }
        let last =
            self.sockets.at(index).and_then(|socket| socket.rollover.as_ref()).map_or(0, |rollover| rollover.last);
        let first = last.min(members.len() - 1);
        let next = (0..members.len())
            .map(|more| (first + more) % members.len())
            .find(|&next| !(itself && next == chosen) && self.room(members[next], seen) == Room::Plenty);
        let rollover = self.sockets.at_mut(index).and_then(|socket| socket.rollover.as_mut());
        match (rollover, next) {
            (Some(rollover), Some(next)) => {
                rollover.last = next;
                rollover.statistics.all += 1;
                rollover.statistics.huge += u64::from(room == Room::Little);
                next
            }
            (Some(rollover), None) => {
                rollover.statistics.failed += 1;
                chosen
            }
            (None, _) => chosen,
        }
    }

    /// Whether more than half of what a member got lately was of the same flow.
    fn is_most(&mut self, index: u32, seen: &Seen<'_>, random: u64) -> bool {
        let hash = flow::hash(&self.key, seen);
        let Some(rollover) = self.sockets.at_mut(index).and_then(|socket| socket.rollover.as_mut()) else {
            return false;
        };
        let count = rollover.flows.iter().filter(|&&flow| flow == hash).count();
        rollover.flows[random as usize % HISTORY] = hash;
        count > HISTORY / 2
    }

    fn room(&self, index: u32, seen: &Seen<'_>) -> Room {
        let Some(socket) = self.sockets.at(index) else { return Room::None };
        if let Some(ring) = &socket.ring {
            return ring.room();
        }
        let most = socket.options.receive_buffer;
        match most.saturating_sub(socket.memory + seen.view.len() + OVERHEAD) {
            0 => Room::None,
            left if left > most / 4 => Room::Plenty,
            _ => Room::Little,
        }
    }
}
