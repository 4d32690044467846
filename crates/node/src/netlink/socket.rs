//! One netlink socket: its pair, what waits in it and what was lost, and its options.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use sockeye_control::datagram::Header;
use sockeye_control::{self as control, Address, NetlinkAddress, ancillary};
use sockeye_socket::names::{
    NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, NETLINK_LIST_MEMBERSHIPS, NETLINK_NO_ENOBUFS,
    NETLINK_PKTINFO, SCM_CREDENTIALS, SO_ERROR, SO_PASSCRED, SO_PROTOCOL, SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF,
    SO_SNDBUFFORCE, SOL_NETLINK, SOL_SOCKET,
};
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Privilege, Settings};

use super::groups::Groups;
use crate::end::Owner;
use crate::interfaces::rtnetlink::messages;
use crate::pair;
use crate::poller::{Poller, Token};

/// The only family there is.
pub(super) const NETLINK_ROUTE: i32 = 0;
/// A datagram of a dump is no longer than Linux's: programs have room for these.
const DATAGRAM: usize = 3_776;
/// As much as a short message is, and takes of the room in a pair.
const WORD: usize = 4_096;
pub(super) const INTEREST: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

/// A socket.
pub(super) struct Socket {
    /// The node's end.
    pub(super) fd: OwnedFd,
    pub(super) id: control::SocketId,
    pub(super) cookie: u64,
    pub(super) owner: Owner,
    pub(super) number: u64,
    /// Its address; none before it is bound.
    pub(super) port: Option<u32>,
    /// To whom it is connected; 0 is the node.
    pub(super) peer: u32,
    pub(super) groups: Groups,
    pub(super) settings: Settings,
    pub(super) options: Options,
    /// A dump that the program has not read, and how much of it went.
    pub(super) held: Vec<u8>,
    pub(super) gone: usize,
    /// An answer was lost, and what the program knows of it.
    pub(super) overrun: Overrun,
    /// Of a message that asked for an answer, until that is asked for.
    pub(super) error: Option<Errno>,
    /// Room is waited for.
    pub(super) waits: bool,
}

/// Options of level SOL_NETLINK, and whether each message says who sent it (SO_PASSCRED).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) packet_info: bool,
    pub(super) no_overruns: bool,
    pub(super) capped: bool,
    pub(super) words: bool,
    pub(super) strict: bool,
    pub(super) credentials: bool,
}

impl Options {
    fn find(&mut self, name: i32) -> Option<&mut bool> {
        Some(match name {
            NETLINK_PKTINFO => &mut self.packet_info,
            NETLINK_NO_ENOBUFS => &mut self.no_overruns,
            NETLINK_CAP_ACK => &mut self.capped,
            NETLINK_EXT_ACK => &mut self.words,
            NETLINK_GET_STRICT_CHK => &mut self.strict,
            _ => return None,
        })
    }
}

/// Whether answers were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overrun {
    None,
    /// The program is to be told.
    Due,
    /// It is told, once until there was room again.
    Told,
}

/// What became of a datagram for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Done,
    NoRoom,
    Gone,
}

impl Socket {
    /// Sends a datagram to the program.
    pub(super) fn send(&self, header: Header, payload: &[u8]) -> Sent {
        static ZEROS: [u8; Header::PLACE] = [0; Header::PLACE];
        let mut list = Vec::new();
        if self.options.packet_info {
            // `struct nl_pktinfo`: to which group.
            let group = match header.remote {
                Some(Address::Netlink(NetlinkAddress { groups, .. })) if groups != 0 => groups.trailing_zeros() + 1,
                _ => 0,
            };
            ancillary::put(&mut list, SOL_NETLINK, NETLINK_PKTINFO, &group.to_ne_bytes());
        }
        if self.options.credentials {
            // `struct ucred`: the kernel is no process, and root.
            ancillary::put(&mut list, SOL_SOCKET, SCM_CREDENTIALS, &[0; 12]);
        }
        let header = Header { control: list.len() as u16, ..header }.encode();
        let padding = &ZEROS[list.len().min(ZEROS.len())..];
        let slices = [IoSlice::new(&header), IoSlice::new(&list), IoSlice::new(padding), IoSlice::new(payload)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(&self.fd, &slices, &mut SendAncillaryBuffer::default(), flags) {
            Ok(_) => Sent::Done,
            // The last: it is longer than all the room that there is.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS | rustix::io::Errno::MSGSIZE) => Sent::NoRoom,
            Err(_) => Sent::Gone,
        }
    }

    /// Sends what is held, and says what was lost.
    pub(super) fn go_on(&mut self) -> Sent {
        while let Some(rest) = self.held.get(self.gone..).filter(|rest| !rest.is_empty()) {
            let len = messages::datagram(rest, DATAGRAM);
            match self.send(from_node(0), &rest[..len]) {
                Sent::Done => self.gone += len,
                other => return other,
            }
            // There is room again: what is lost from now on is told anew.
            if self.overrun == Overrun::Told {
                self.overrun = Overrun::None;
            }
        }
        (self.held, self.gone) = (Vec::new(), 0);
        if self.overrun == Overrun::Due {
            let told = self.send(Header::error(Errno::ENOBUFS.raw(), None), &[]);
            if told == Sent::Done {
                self.overrun = Overrun::Told;
            }
            return told;
        }
        Sent::Done
    }

    /// An answer was lost. It is said behind those that were not, where the pair has no room for them, but can have some for a word.
    pub(super) fn lose(&mut self) {
        if self.options.no_overruns || self.overrun != Overrun::None {
            return;
        }
        self.overrun = Overrun::Due;
        // If it finds none, it is said later.
        let _ = self.with_room(2 * WORD, Socket::go_on);
    }

    /// Acts while the pair has room for twice as much, and for that many bytes more.
    fn with_room<T>(&mut self, more: usize, act: impl FnOnce(&mut Socket) -> T) -> T {
        let room = rustix::net::sockopt::socket_send_buffer_size(&self.fd).unwrap_or(0);
        pair::set_send_buffer(&self.fd, 2 * room + more);
        let result = act(self);
        pair::set_send_buffer(&self.fd, room);
        result
    }

    /// Sends an answer, or what a group is told. What is held of a dump leaves no room for others, and what a long request brings back may need more than
    /// there is; they have some all the same, as Linux has it.
    pub(super) fn answer(&mut self, group: u32, bytes: &[u8]) -> Sent {
        match self.send(from_node(group), bytes) {
            Sent::NoRoom if !self.held.is_empty() || bytes.len() > WORD => {
                self.with_room(WORD + 2 * bytes.len(), |socket| socket.send(from_node(group), bytes))
            }
            sent => sent,
        }
    }

    pub(super) fn wait(&mut self, key: Key, poller: &Poller, waits: bool) {
        if waits != self.waits {
            let room = if waits { EventFlags::OUT } else { EventFlags::empty() };
            if let Err(error) = poller.modify(self.fd.as_fd(), Token::Netlink(key), INTEREST | room) {
                tracing::warn!(%error, number = self.number, "cannot change what is waited for");
            }
            self.waits = waits;
        }
    }

    pub(super) fn set(&mut self, who: Privilege, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_SNDBUF | SO_SNDBUFFORCE | SO_RCVBUF | SO_RCVBUFFORCE) => {
                self.settings.set(false, who, level, name, value)?;
                // What a program sends is taken at once; what it gets waits in the pair.
                if let Some(room) = self.settings.receive_buffer {
                    pair::set_send_buffer(&self.fd, room as usize);
                }
                Ok(())
            }
            (SOL_SOCKET, SO_PASSCRED) => {
                let value = value.first_chunk().ok_or(Errno::EINVAL)?;
                self.options.credentials = i32::from_ne_bytes(*value) != 0;
                Ok(())
            }
            (SOL_NETLINK, name) => {
                let option = self.options.find(name).ok_or(Errno::ENOPROTOOPT)?;
                // One that is too short is 0, as Linux has it.
                *option = value.first_chunk().is_some_and(|&value| i32::from_ne_bytes(value) != 0);
                Ok(())
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    pub(super) fn value(&mut self, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        let int = |value: i32| Ok(value.to_ne_bytes().to_vec());
        match (level, name) {
            (SOL_SOCKET, SO_ERROR) => int(match self.overrun {
                Overrun::Due => {
                    self.overrun = Overrun::Told;
                    Errno::ENOBUFS.raw()
                }
                Overrun::None | Overrun::Told => 0,
            }),
            (SOL_SOCKET, SO_PASSCRED) => int(i32::from(self.options.credentials)),
            (SOL_SOCKET, SO_PROTOCOL) => int(NETLINK_ROUTE),
            (SOL_SOCKET, _) => self.settings.value(false, level, name),
            (SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS) => Ok(self.groups.list()),
            (SOL_NETLINK, name) => int(i32::from(*self.options.find(name).ok_or(Errno::ENOPROTOOPT)?)),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }
}

/// To a group, or to one socket (0).
fn from_node(group: u32) -> Header {
    let groups = group.checked_sub(1).and_then(|bit| 1u32.checked_shl(bit)).unwrap_or(0);
    Header::data(Some(NetlinkAddress { port: 0, groups }.into()))
}
