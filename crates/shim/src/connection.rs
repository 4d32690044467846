//! Connections to the node that a process keeps.
//!
//! Opening a connection for each question would cost more than the question. So a process keeps up to [`KEPT`] of them, each for one thread at a
//! time, and opens another, which it closes again, when all are in use.
//!
//! What the program does with its descriptors is its own affair: it may close all that it does not know, put another file in a number's place, fork, change
//! its user. So a kept connection
//!
//! - has a high number, far from those that a program counts on, and closes on exec;
//! - is recognised before each use by the kernel's cookie, which no other socket ever has: a number that the program has taken is the program's;
//! - is never shared with a child. A page that the kernel wipes in a child ([`sys::wiped_in_children`]) tells that there was a fork: the child closes what it
//!   inherited, and opens its own. (A child of vfork lives in its parent's memory and uses its parent's, of which each is taken by one at a time.)
//! - proves nothing about who asks: each question says it ([`crate::exchange`]).
//!
//! There is no lock: a place is taken and given back by one atomic exchange. What a signal's handler or another thread finds taken, it leaves.
//! A process in which connections are lost again and again is let alone, and opens one for each question.

use crate::sandbox::{self, Call};
use crate::sys::{self, Descriptor, Errno};
use crate::{door, environment};
use libc::{c_int, sockaddr_un};
use sockeye_control::board::{Board, Words};
use std::mem::{offset_of, zeroed};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// How many connections a process keeps.
const KEPT: usize = 4;
/// How many a process may lose before it is let alone.
const PATIENCE: u32 = 64;
/// Kept connections have numbers from here on, where the limit allows: beyond what `select` can hold.
const HIGH: u64 = 1024;
/// Else they have the last ones; of a limit below this the program has the whole.
const LOW: u64 = 64;

const EMPTY: u32 = 0;
const TAKEN: u32 = 1;
const IDLE: u32 = 2;

struct Place {
    state: AtomicU32,
    number: AtomicI32,
    cookie: AtomicU64,
    /// The board that hangs there, if there is one; it is touched only by who has taken the place.
    board: AtomicPtr<Words>,
    /// Statements that were sent as messages, since there is a board if there is one.
    told: AtomicU64,
}

impl Place {
    const fn empty() -> Place {
        Place {
            state: AtomicU32::new(EMPTY),
            number: AtomicI32::new(-1),
            cookie: AtomicU64::new(0),
            board: AtomicPtr::new(null_mut()),
            told: AtomicU64::new(0),
        }
    }
}

static PLACES: [Place; KEPT] = [const { Place::empty() }; KEPT];
static LOST: AtomicU32 = AtomicU32::new(0);

/// What the word in the wiped page says: nobody has looked since the fork.
const FORKED: u32 = 0;
const LOOKING: u32 = 1;
const OURS: u32 = 2;
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Connection {
    descriptor: Option<Descriptor>,
    place: Option<usize>,
    cookie: u64,
    /// It has carried a question before.
    pub(crate) used: bool,
}

impl Connection {
    /// One that nobody else uses.
    pub(crate) fn take() -> Result<Connection, Errno> {
        while let Some(connection) = Connection::idle() {
            if connection.is_ours() {
                return Ok(connection);
            }
            connection.lose();
        }
        Connection::anew()
    }

    /// One that is there already, and has carried a question. Its number may have become the program's: see [`Self::is_ours`].
    pub(crate) fn idle() -> Option<Connection> {
        if !may_keep() {
            return None;
        }
        let idle =
            |place: &Place| place.state.compare_exchange(IDLE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let index = PLACES.iter().position(idle)?;
        let (number, cookie) =
            (PLACES[index].number.load(Ordering::Relaxed), PLACES[index].cookie.load(Ordering::Relaxed));
        Some(Connection { descriptor: Some(Descriptor::new(number)), place: Some(index), cookie, used: true })
    }

    /// Whether its number is still the connection's.
    pub(crate) fn is_ours(&self) -> bool {
        is_it(self.number(), self.cookie)
    }

    /// Its number is the program's.
    pub(crate) fn lose(mut self) {
        LOST.fetch_add(1, Ordering::Relaxed);
        self.descriptor.take().map(Descriptor::into_number);
    }

    /// The kernel's number for it, which no other ever has.
    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// The board that it has.
    pub(crate) fn board(&self) -> Option<Board<'_>> {
        let words = PLACES[self.place?].board.load(Ordering::Relaxed);
        // SAFETY: mapped until the place is given up, which takes the connection.
        unsafe { words.as_ref() }.map(Board)
    }

    /// Gives it a board.
    pub(crate) fn hang_up(&self, page: &Descriptor) {
        if let Some(index) = self.place
            && let Ok(words) = sys::map_alone(page.number())
        {
            PLACES[index].told.store(0, Ordering::Relaxed);
            PLACES[index].board.store(words, Ordering::Relaxed);
        }
    }

    /// Statements that were sent as messages.
    pub(crate) fn told(&self) -> u64 {
        self.place.map_or(0, |index| PLACES[index].told.load(Ordering::Relaxed))
    }

    /// Counts one more; how many there are now.
    pub(crate) fn count_told(&self) -> u64 {
        self.place.map_or(0, |index| PLACES[index].told.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A fresh one.
    fn anew() -> Result<Connection, Errno> {
        if sandbox::forbids(Call::Connect) {
            return Err(Errno(libc::ENETDOWN));
        }
        let free =
            |place: &Place| place.state.compare_exchange(EMPTY, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let place = if may_keep() { PLACES.iter().position(free) } else { None };
        Connection::open(place)
    }

    fn open(place: Option<usize>) -> Result<Connection, Errno> {
        // From here on it gives the place up itself.
        let mut connection = Connection { descriptor: None, place, cookie: 0, used: false };
        let low = connect()?;
        if place.is_some()
            && let Ok((high, cookie)) = out_of_the_way(&low)
        {
            connection.cookie = cookie;
            connection.descriptor = Some(high);
            connection.remember();
            return Ok(connection);
        }
        connection.give_up_place();
        connection.descriptor = Some(low);
        Ok(connection)
    }

    pub(crate) fn number(&self) -> c_int {
        self.descriptor.as_ref().map_or(-1, Descriptor::number)
    }

    /// Whether it stays open, at a number that is out of the program's way.
    pub(crate) fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// It has served its question: kept for the next one, if it is one to be kept.
    pub(crate) fn done(mut self) {
        if let Some(index) = self.place.take()
            && let Some(descriptor) = self.descriptor.take()
        {
            // The number is in the place.
            let _ = descriptor.into_number();
            PLACES[index].state.store(IDLE, Ordering::Release);
        }
    }

    /// Its number, for somebody else.
    pub(crate) fn into_descriptor(mut self) -> Option<Descriptor> {
        self.descriptor.take()
    }

    /// Writes it into its place, where a child finds it at any time.
    fn remember(&self) {
        if let Some(index) = self.place {
            PLACES[index].cookie.store(self.cookie, Ordering::Relaxed);
            PLACES[index].number.store(self.number(), Ordering::Relaxed);
        }
    }

    fn give_up_place(&mut self) {
        if let Some(index) = self.place.take() {
            let Place { state, board, told, .. } = &PLACES[index];
            let words = board.swap(null_mut(), Ordering::Relaxed);
            if !words.is_null() {
                sys::unmap(words);
            }
            told.store(0, Ordering::Relaxed);
            state.store(EMPTY, Ordering::Release);
        }
    }
}

impl Drop for Connection {
    /// It is closed: nobody knows what was still to come on it. Unless the program has put something else in its place meanwhile.
    fn drop(&mut self) {
        if let Some(descriptor) = self.descriptor.take()
            && self.place.is_some()
            && !is_it(descriptor.number(), self.cookie)
        {
            let _ = descriptor.into_number();
        }
        self.give_up_place();
    }
}

/// Sees to it that there is one: soon the process cannot open another.
pub(crate) fn have_one() {
    if let Ok(connection) = Connection::take()
        && connection.is_kept()
    {
        connection.done();
    }
}

/// Makes the page that tells of a fork; without it, nothing is kept. Called at load.
pub(crate) fn prepare() {
    if let Ok(page) = sys::wiped_in_children::<AtomicU32>() {
        // SAFETY: a fresh page of zeros, aligned as pages are, which is never unmapped.
        unsafe { &*page }.store(OURS, Ordering::Relaxed);
        PAGE.store(page, Ordering::Release);
    }
}

/// A word that is 0 in each child that has memory of its own, whatever the parent wrote; where the kernel cannot do that, a word like any other.
pub(crate) fn free_in_children() -> &'static AtomicU32 {
    static ORDINARY: AtomicU32 = AtomicU32::new(0);
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        return &ORDINARY;
    }
    // SAFETY: the second word of the page that `prepare` has made, and nobody unmaps.
    unsafe { &*page.add(1) }
}

/// Whether connections can be kept, and those that are kept are this process's own.
fn may_keep() -> bool {
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() || LOST.load(Ordering::Relaxed) >= PATIENCE {
        return false;
    }
    // SAFETY: `prepare` has made it, and nobody unmaps it.
    let word = unsafe { &*page };
    match word.compare_exchange(FORKED, LOOKING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {
            PLACES.iter().for_each(disinherit);
            word.store(OURS, Ordering::Release);
            true
        }
        Err(state) => state == OURS,
    }
}

/// Clears a place in a child. Its connection is the parent's; one that was in use has nobody here to give it back.
fn disinherit(place: &Place) {
    let (number, cookie) = (place.number.load(Ordering::Relaxed), place.cookie.load(Ordering::Relaxed));
    if number >= 0 && is_it(number, cookie) {
        drop(Descriptor::new(number));
    }
    place.number.store(-1, Ordering::Relaxed);
    // It is not here.
    place.board.store(null_mut(), Ordering::Relaxed);
    place.told.store(0, Ordering::Relaxed);
    place.state.store(EMPTY, Ordering::Release);
}

/// The same at a number that is out of the program's way, and the kernel's cookie for it.
pub(crate) fn out_of_the_way(low: &Descriptor) -> Result<(Descriptor, u64), Errno> {
    let high = Descriptor::new(sys::fcntl(low.number(), libc::F_DUPFD_CLOEXEC, first_number())?);
    let mut cookie = 0;
    sys::option(high.number(), libc::SO_COOKIE, &mut cookie)?;
    Ok((high, cookie))
}

/// Whether a number is still that of the socket with this cookie.
pub(crate) fn is_it(number: c_int, cookie: u64) -> bool {
    if sandbox::forbids(Call::Option) {
        // A program that has locked itself in so far takes no number any more.
        return true;
    }
    let mut found = 0u64;
    sys::option(number, libc::SO_COOKIE, &mut found).is_ok() && found == cookie
}

fn first_number() -> c_int {
    let limit = sys::descriptors();
    let first = if limit >= HIGH + LOW {
        HIGH
    } else if limit >= 2 * LOW {
        limit - KEPT as u64
    } else {
        // Beyond the limit: refused.
        limit
    };
    c_int::try_from(first).unwrap_or(c_int::MAX)
}

fn connect() -> Result<Descriptor, Errno> {
    door::connection().map_or_else(connect_by_path, Ok)
}

/// A connection by the path, which is at another place, or somebody else's, when the process has another root directory.
pub(crate) fn connect_by_path() -> Result<Descriptor, Errno> {
    let Ok(path) = environment::control_path() else { return Err(Errno(libc::ENOENT)) };
    let connection = sys::seqpacket()?;
    // SAFETY: all zeros is a valid address structure.
    let mut address: sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // A path is shorter than the field, so a zero byte follows it.
    for (to, &from) in address.sun_path.iter_mut().zip(path.as_bytes()) {
        *to = from as libc::c_char;
    }
    let len = offset_of!(sockaddr_un, sun_path) + path.as_bytes().len() + 1;
    sys::again(|| sys::connect(connection.number(), &address, len))?;
    Ok(connection)
}
