//! Memory that a program and the node share: there the program writes statements, and the node reads them when it comes by.
//!
//! A message on the control connection costs two system calls and a wake-up. A program that corks and uncorks for each answer says more than that
//! is worth. So a client may ask for a board ([`crate::Request::Board`]), and write there what it says of sockets that it has shown with a
//! [`crate::Request::TellOption`] on the same connection. What was said there, and what was said by messages, counts in the order in
//! which it was said: each notice tells how many `TellOption` messages came before it, and the node reads the board before each message.
//!
//! One thread at a time writes, and the node reads. It reads each board in each of its turns; before it sleeps it says so on the board, and who then
//! writes something that cannot wait must ring ([`crate::Request::Ring`]): the first one, for all.
//!
//! ```text
//!   word 0      how many notices were written        (the program's)
//!        1      how many were read                   (the node's)
//!        2      1: ring, if it cannot wait           (the node's; who rings clears it)
//!        3      1: nobody reads here any more        (the node's)
//!        4..    notices of four words, a ring: socket (2), option and value, messages before it
//! ```
//!
//! Neither side trusts the other: each word may change at any time. So each is read once and then checked, counts are kept by
//! whom they belong to, and no index comes from the board unreduced.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Request, SocketId};

/// How many words a board has: 32 KiB.
pub const WORDS: usize = 4096;

/// The words of a board.
pub type Words = [AtomicU64; WORDS];

/// How many notices a board holds.
pub const CAPACITY: u64 = ((WORDS - NOTICES) / 4) as u64;

const WRITTEN: usize = 0;
const READ: usize = 1;
const RING: usize = 2;
const CLOSED: usize = 3;
const NOTICES: usize = 4;

/// A statement on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of which socket.
    pub id: SocketId,
    /// Which option: its place in [`Request::TOLD`].
    pub option: u32,
    /// Its value.
    pub value: i32,
    /// How many [`Request::TellOption`] the client sent on the connection before it, since it has the board.
    pub after: u64,
}

/// A board in shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a>(pub &'a Words);

impl Board<'_> {
    /// Writes a notice. False if there is no room.
    ///
    /// The caller is the only one who writes. Afterwards it looks whether the board [is closed](Self::is_closed), and, unless the
    /// notice can wait, whether it [must ring](Self::must_ring).
    pub fn write(&self, notice: &Notice) -> bool {
        let written = self.0[WRITTEN].load(Ordering::Relaxed);
        if written.wrapping_sub(self.0[READ].load(Ordering::Acquire)) >= CAPACITY {
            return false;
        }
        let (first, second) = halves(notice.id);
        let what = u64::from(notice.option) << 32 | u64::from(notice.value.cast_unsigned());
        for (word, value) in self.at(written).iter().zip([first, second, what, notice.after]) {
            word.store(value, Ordering::Relaxed);
        }
        self.0[WRITTEN].store(written.wrapping_add(1), Ordering::SeqCst);
        true
    }

    /// Whether the node has let the connection go: then it may or may not have read what was just written.
    pub fn is_closed(&self) -> bool {
        self.0[CLOSED].load(Ordering::SeqCst) != 0
    }

    /// Whether the node sleeps, and nobody has rung yet. Who is told so must.
    pub fn must_ring(&self) -> bool {
        self.0[RING].load(Ordering::SeqCst) != 0 && self.0[RING].swap(0, Ordering::SeqCst) != 0
    }

    /// How many notices there are after the first `read`, which is the node's own count. `None` if the board lies.
    pub fn waiting(&self, read: u64) -> Option<u64> {
        let waiting = self.0[WRITTEN].load(Ordering::SeqCst).wrapping_sub(read);
        (waiting <= CAPACITY).then_some(waiting)
    }

    /// The notice after the first `read`, one of those that wait.
    pub fn read(&self, read: u64) -> Notice {
        let words = self.at(read);
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        let (what, id) = (word(2), whole(word(0), word(1)));
        Notice { id, option: (what >> 32) as u32, value: (what as u32).cast_signed(), after: word(3) }
    }

    /// Gives the room of all but the first `read` notices back.
    pub fn done(&self, read: u64) {
        self.0[READ].store(read, Ordering::Release);
    }

    /// The node is about to sleep, or has woken up. Before it sleeps, it looks once more.
    pub fn ask_to_ring(&self, ring: bool) {
        self.0[RING].store(ring.into(), Ordering::SeqCst);
    }

    /// Nobody will read any more but what is there now.
    pub fn close(&self) {
        self.0[CLOSED].store(1, Ordering::SeqCst);
    }

    fn at(&self, count: u64) -> &[AtomicU64] {
        let start = NOTICES + 4 * (count % CAPACITY) as usize;
        &self.0[start..start + 4]
    }
}

impl Notice {
    /// The notice in the words of a message. `None` if there is no such option; `value` keeps its bytes.
    pub fn request<'a>(&self, value: &'a mut [u8; 4]) -> Option<Request<'a>> {
        let &(level, name) = Request::TOLD.get(self.option as usize)?;
        *value = self.value.to_ne_bytes();
        Some(Request::TellOption { id: self.id, level, name, value })
    }
}

fn halves(id: SocketId) -> (u64, u64) {
    let number = u128::from_le_bytes(id.0);
    ((number >> 64) as u64, number as u64)
}

fn whole(first: u64, second: u64) -> SocketId {
    SocketId((u128::from(first) << 64 | u128::from(second)).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page() -> Box<Words> {
        Box::new([const { AtomicU64::new(0) }; WORDS])
    }

    fn notice(number: u64) -> Notice {
        let option = (number % 6) as u32;
        Notice { id: SocketId(u128::from(number).to_ne_bytes()), option, value: number as i32, after: number }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_its_order(steps in proptest::collection::vec((0u64..2_000, 0u64..2_000), 1..10)) {
            let page = page();
            let board = Board(&page);
            let (mut written, mut read) = (0, 0);
            for (write, take) in steps {
                for _ in 0..write {
                    let fits = written - read < CAPACITY;
                    prop_assert_eq!(board.write(&notice(written)), fits);
                    written += u64::from(fits);
                }
                for _ in 0..take {
                    prop_assert_eq!(board.waiting(read), Some(written - read));
                    if read < written {
                        prop_assert_eq!(board.read(read), notice(read));
                        read += 1;
                        board.done(read);
                    }
                }
            }
        }

        #[test]
        fn whatever_stands_on_it_is_read_without_harm(words in proptest::collection::vec(any::<u64>(), WORDS), read in any::<u64>()) {
            let page = page();
            page.iter().zip(&words).for_each(|(word, &value)| word.store(value, Ordering::Relaxed));
            let board = Board(&page);
            prop_assert!(board.waiting(read).is_none_or(|waiting| waiting <= CAPACITY));
            let found = board.read(read);
            let mut value = [0; 4];
            prop_assert_eq!(found.request(&mut value).is_some(), (found.option as usize) < Request::TOLD.len());
            let _ = (board.write(&notice(read)), board.is_closed(), board.must_ring());
        }
    }

    #[test]
    fn the_first_one_rings_for_all() {
        let page = page();
        let board = Board(&page);
        assert!(!board.must_ring());
        board.ask_to_ring(true);
        assert_eq!([board.must_ring(), board.must_ring()], [true, false]);
        board.ask_to_ring(true);
        board.ask_to_ring(false);
        assert!(!board.must_ring());
    }

    #[test]
    fn two_threads_agree_on_what_was_said() {
        let page = page();
        let board = Board(&page);
        const COUNT: u64 = 100_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..COUNT {
                    while !board.write(&notice(number)) {
                        std::thread::yield_now();
                    }
                }
            });
            for read in 0..COUNT {
                while board.waiting(read) == Some(0) {
                    std::thread::yield_now();
                }
                assert_eq!(board.read(read), notice(read));
                board.done(read + 1);
            }
        });
    }
}
