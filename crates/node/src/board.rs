//! Boards: what programs say in shared memory (`sockeye_control::board`), as the node reads it.
//!
//! A client that asks for one gets one of its own, while there are less than [`MOST`]: each is looked at in each turn of the loop. On it the
//! client may speak of sockets that it has shown on its connection before, so nobody speaks of what he does not hold. The mapping is not
//! inherited by children, and its file is not kept.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;

use sockeye_control::SocketId;
use sockeye_control::board::{Board, Notice, WORDS};
use sockeye_device::SharedWords;

/// How many boards there are at most.
pub(crate) const MOST: usize = 64;
/// How many sockets are remembered before those that are gone are forgotten.
const SHOWN: usize = 256;

/// A client's board.
pub(crate) struct ClientBoard {
    words: SharedWords<WORDS>,
    /// Notices that were read.
    read: u64,
    /// `TellOption` messages since the client has the board.
    pub(crate) heard: u64,
    /// Sockets that it has shown.
    shown: HashSet<SocketId>,
    /// How many of them are too many.
    limit: usize,
}

impl ClientBoard {
    /// A board, and its file for the client.
    pub(crate) fn new() -> io::Result<(ClientBoard, OwnedFd)> {
        let (words, file) = SharedWords::new()?;
        Ok((ClientBoard { words, read: 0, heard: 0, shown: HashSet::new(), limit: SHOWN }, file))
    }

    /// The client has shown a socket. `lives` tells of which it is worth knowing.
    pub(crate) fn show(&mut self, id: SocketId, lives: impl Fn(SocketId) -> bool) {
        if self.shown.insert(id) && self.shown.len() > self.limit {
            self.shown.retain(|&id| lives(id));
            self.limit = 2 * self.shown.len() + SHOWN;
        }
    }

    pub(crate) fn has_shown(&self, id: SocketId) -> bool {
        self.shown.contains(&id)
    }

    /// How many notices wait; `None` if the board lies.
    pub(crate) fn waiting(&self) -> Option<u64> {
        self.board().waiting(self.read)
    }

    /// The next notice that waits.
    pub(crate) fn peek(&self) -> Notice {
        self.board().read(self.read)
    }

    /// That one is read.
    pub(crate) fn advance(&mut self) {
        self.read += 1;
        self.board().done(self.read);
    }

    pub(crate) fn board(&self) -> Board<'_> {
        Board(self.words.words())
    }
}

impl Drop for ClientBoard {
    fn drop(&mut self) {
        self.board().close();
    }
}
