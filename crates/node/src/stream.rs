//! The pump of a stream: bytes between a program's pair and a connection.
//!
//! Out of the program: read(2) goes straight into the connection's send queue, and stops when that is full; the program then
//! blocks on its own descriptor. Into the program: the receive queue's chunks go out by one sendmsg, and only what the kernel
//! took is consumed, so that a program that does not read closes the peer's window. Both ends of data are conveyed
//! where they stand: EOF from the program becomes a FIN behind the last byte, a FIN of the peer a shutdown of the
//! pair behind the last byte.
//!
//! An urgent byte has its place among the others, both ways. To the program it is sent apart (MSG_OOB), after what stands before it.
//! From the program a read stops before it; then it is taken alone, and written as urgent. The program says beforehand that it
//! will write one (`Flush`), so that no read goes past it by chance.
//!
//! While a connection is in the making the pair holds filler, so that the program does not see it writable. When the
//! handshake is complete exactly that is read away.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg};
use sockeye_device::Instant;
use sockeye_socket::Host;
use sockeye_stack::Stack;
use sockeye_stack::tcp::{ConnectionId, State, Status};

use crate::end::{End, Fate, Pump};
use crate::pair;
use crate::poller::Poller;

/// Chunks of the receive queue that one sendmsg takes.
const SLICES: usize = 16;
/// How much one read asks for: at first, and at most.
const READ_FIRST: usize = 4 * 1024;
const READ_MOST: usize = 256 * 1024;
/// The largest window that a pair has room for.
const WIDEST: usize = 6 << 20;
/// What one turn reads from one program, so that others have theirs.
const TURN: usize = 1024 * 1024;

/// What the pump remembers between its turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPump {
    /// Bytes of filler to read away when the connection is established.
    pub(crate) filler: u32,
    /// How much to ask for.
    hint: usize,
    /// The program's EOF was read, and passed on.
    input_done: bool,
    /// The peer's FIN was passed on.
    pub(crate) output_done: bool,
    /// A turn ended before the program's data did.
    pub(crate) cut_short: bool,
    /// The program said that it reads no more: what comes is taken and forgotten.
    pub(crate) discard: bool,
    /// The program is about to write an urgent byte.
    pub(crate) expects_urgent: bool,
    /// The window that the pair has room for.
    window: usize,
}

impl StreamPump {
    /// A connection, with that much filler in its pair.
    pub(crate) fn new(filler: u32) -> Self {
        StreamPump {
            filler,
            hint: READ_FIRST,
            input_done: false,
            output_done: false,
            cut_short: false,
            discard: false,
            expects_urgent: false,
            window: pair::WINDOW,
        }
    }
}

/// Moves what can be moved.
pub(crate) fn pump(
    end: &mut End,
    connection: ConnectionId,
    host: &mut Host,
    now: Instant,
    poller: &Poller,
    scratch: &mut [u8],
) -> Fate {
    let Pump::Stream(mut pump) = end.pump else { return Fate::Keep };
    let status = host.stack().tcp_status(connection);
    if matches!(status.state, State::SynSent | State::SynReceived) && pump.filler > 0 {
        // A program that lets go of a connection in the making: nothing was said on it.
        return if end.ready.hangup { Fate::Abort } else { Fate::Keep };
    }
    if pump.filler > 0 && status.state == State::Closed && !has_data(connection, host.stack()) {
        // What the program did not read is what makes its end poll ERR.
        return Fate::Failed;
    }
    if pump.filler > 0 {
        pump.filler = pair::drain(end.fd.as_fd(), pump.filler, scratch);
    }
    let fate = flow(end, &mut pump, connection, host, status, now, poller);
    end.pump = Pump::Stream(pump);
    fate
}

fn has_data(connection: ConnectionId, stack: &Stack) -> bool {
    stack.tcp_chunks(connection, &mut [IoSlice::new(&[])]) > 0
}

fn flow(
    end: &mut End,
    pump: &mut StreamPump,
    connection: ConnectionId,
    host: &mut Host,
    status: Status,
    now: Instant,
    poller: &Poller,
) -> Fate {
    let drained = match output(end, pump, connection, host.stack_mut(), now, poller) {
        Ok(drained) => drained,
        Err(fate) => return fate,
    };
    // What is said of a connection that goes on waits for who asks.
    if drained && status.state == State::Closed && host.has_error(end.socket) {
        return Fate::Failed;
    }
    if drained && status.peer_closed && !pump.output_done {
        pump.output_done = true;
        // The program may be gone; then its end is, too.
        let _ = rustix::net::shutdown(&end.fd, Shutdown::Write);
    }
    match input(end, pump, connection, host.stack_mut(), now) {
        Ok(()) => {}
        Err(fate) => return fate,
    }
    if pump.input_done && (pump.output_done || end.ready.hangup && !pump.discard) {
        return Fate::Close;
    }
    // The stack has done with it, in good order: whatever the program still writes reaches nobody.
    if status.state == State::Closed && drained { Fate::Close } else { Fate::Keep }
}

/// From the connection to the program. True when nothing is left to be delivered.
fn output(
    end: &mut End,
    pump: &mut StreamPump,
    connection: ConnectionId,
    stack: &mut Stack,
    now: Instant,
    poller: &Poller,
) -> Result<bool, Fate> {
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = stack.tcp_chunks(connection, &mut slices);
        let total: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Ok(true);
        }
        if pump.discard {
            // As Linux: nobody reads, nobody writes, and the peer still does.
            if pump.input_done {
                return Err(Fate::Abort);
            }
            stack.tcp_consume(now, connection, total);
            continue;
        }
        if !end.ready.output {
            return Ok(false);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let (total, sent) = match stack.tcp_status(connection).urgent {
            None => (total, sendmsg(&end.fd, &slices[..count], &mut SendAncillaryBuffer::default(), flags)),
            // What stands before the urgent byte; then that byte, as such.
            Some(1) => (1, rustix::net::send(&end.fd, &slices[0][..1], flags | SendFlags::OOB)),
            Some(behind) => {
                let part = slices[0].len().min(behind - 1);
                (part, rustix::net::send(&end.fd, &slices[0][..part], flags))
            }
        };
        match sent {
            Ok(sent) => {
                stack.tcp_consume(now, connection, sent);
                if sent == total {
                    continue;
                }
            }
            Err(Errno::AGAIN) => {}
            // The program closed, and data came after: RFC 1122 section 4.2.2.13 wants a reset.
            Err(_) => return Err(Fate::Abort),
        }
        let window = stack.tcp_window(connection).min(WIDEST);
        if window <= pump.window {
            end.blocked(poller);
            return Ok(false);
        }
        pump.window = window;
        pair::make_room(&end.fd, window);
    }
}

/// From the program to the connection.
fn input(
    end: &mut End,
    pump: &mut StreamPump,
    connection: ConnectionId,
    stack: &mut Stack,
    now: Instant,
) -> Result<(), Fate> {
    let mut turn = 0;
    pump.cut_short = false;
    while end.ready.input && !pump.input_done {
        if turn >= TURN {
            pump.cut_short = true;
            return Ok(());
        }
        if (end.ready.urgent || pump.expects_urgent)
            && let Some(taken) = urgent(end, pump, connection, stack, now)
        {
            if taken {
                continue;
            }
            return Ok(());
        }
        let [first, second] = stack.tcp_reserve(connection, pump.hint);
        let room = first.len() + second.len();
        if room == 0 {
            return Ok(());
        }
        let read = rustix::io::readv(&end.fd, &mut [IoSliceMut::new(first), IoSliceMut::new(second)]);
        // What was reserved is given back by this, too, when nothing came.
        stack.tcp_commit(now, connection, read.unwrap_or(0));
        match read {
            Ok(0) => {
                pump.input_done = true;
                end.ready.input = false;
                stack.tcp_shutdown(now, connection);
            }
            Ok(count) => {
                turn += count;
                // All that there was; unless the end of it stands there, or a read stopped before an urgent byte.
                end.ready.input = count == room || end.ready.end || end.ready.urgent;
                if count == room {
                    pump.hint = (pump.hint * 4).min(READ_MOST);
                } else if count < pump.hint / 8 {
                    pump.hint = (pump.hint / 4).max(READ_FIRST);
                }
            }
            Err(Errno::AGAIN) => end.ready.input = false,
            Err(Errno::INTR) => {}
            // ECONNRESET: the program closed with data unread.
            Err(_) => return Err(Fate::Abort),
        }
    }
    Ok(())
}

/// Takes the urgent byte, if it is the next one, as such: false if there is no room for it. `None` if another is next; a read
/// then ends before the urgent one.
fn urgent(
    end: &mut End,
    pump: &mut StreamPump,
    connection: ConnectionId,
    stack: &mut Stack,
    now: Instant,
) -> Option<bool> {
    if !pair::has_urgent(end.fd.as_fd()) {
        // Not yet, if it is expected; or it has become an ordinary one, when another was written after it.
        end.ready.urgent = false;
        return None;
    }
    end.ready.urgent = true;
    if !pair::is_at_mark(end.fd.as_fd()) {
        return None;
    }
    let [first, _] = stack.tcp_reserve(connection, 1);
    let room = !first.is_empty();
    stack.tcp_commit(now, connection, 0);
    if !room {
        return Some(false);
    }
    let mut byte = [0];
    if rustix::io::read(&end.fd, &mut byte) == Ok(1) {
        stack.tcp_write_urgent(now, connection, &byte);
    }
    end.ready.urgent = false;
    pump.expects_urgent = false;
    Some(true)
}

// RFC 9293 sections 3.6 (closing) and 3.8.5 (urgent data), RFC 1122 section 4.2.2.13 (half-duplex close).
