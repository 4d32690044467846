//! The pump of a stream: bytes between a program's pair and a connection.
//!
//! Out of the program: read(2) goes straight into the connection's send queue, and stops when that is full; the program then
//! blocks on its own descriptor. Into the program: the receive queue's chunks go out by one sendmsg, and only what the kernel
//! took is consumed, so that a program that does not read closes the peer's window. Both ends of data are conveyed
//! where they stand: EOF from the program becomes a FIN behind the last byte, a FIN of the peer a shutdown of the
//! pair behind the last byte.
//!
//! While a connection is in the making the pair holds filler, so that the program does not see it writable. When the
//! handshake is complete exactly that is read away.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, sendmsg};
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
}

impl StreamPump {
    /// A connection, with that much filler in its pair.
    pub(crate) fn new(filler: u32) -> Self {
        StreamPump { filler, hint: READ_FIRST, input_done: false, output_done: false, cut_short: false, discard: false }
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
    if pump.filler > 0 {
        pump.filler = pair::drain(end.fd.as_fd(), pump.filler, scratch);
    }
    let fate = flow(end, &mut pump, connection, host, status, now, poller);
    end.pump = Pump::Stream(pump);
    fate
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
    if drained && host.has_error(end.socket) {
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
            stack.tcp_consume(now, connection, total);
            continue;
        }
        if !end.ready.output {
            return Ok(false);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(&end.fd, &slices[..count], &mut SendAncillaryBuffer::default(), flags) {
            Ok(sent) => {
                stack.tcp_consume(now, connection, sent);
                if sent < total {
                    end.blocked(poller);
                    return Ok(false);
                }
            }
            Err(Errno::AGAIN) => {
                end.blocked(poller);
                return Ok(false);
            }
            // The program closed, and data came after: RFC 1122 section 4.2.2.13 wants a reset.
            Err(_) => return Err(Fate::Abort),
        }
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
        if end.ready.urgent && !urgent(end, connection, stack, now) {
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
                // All that there was; unless the end of it stands there.
                end.ready.input = count == room || end.ready.end;
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

/// Takes an urgent byte, if it is the next one. False if there is no room for it.
///
/// The kernel stops a read before the byte, and does not say where it stands without an ioctl that is not ours to call;
/// so an urgent byte with data before it is taken after one more read, and one without at once.
fn urgent(end: &mut End, connection: ConnectionId, stack: &mut Stack, now: Instant) -> bool {
    if rustix::io::ioctl_fionread(&end.fd).is_ok_and(|waiting| waiting > 1) && end.ready.urgent {
        let [first, second] = stack.tcp_reserve(connection, READ_MOST);
        if first.is_empty() {
            return false;
        }
        let read = rustix::io::readv(&end.fd, &mut [IoSliceMut::new(first), IoSliceMut::new(second)]);
        stack.tcp_commit(now, connection, read.unwrap_or(0));
    }
    let mut byte = [0];
    end.ready.urgent = false;
    if let Ok((_, 1)) = rustix::net::recv(&end.fd, &mut byte, RecvFlags::OOB | RecvFlags::DONTWAIT) {
        stack.tcp_write_urgent(now, connection, &byte);
    }
    true
}

// RFC 9293 section 3.6 (closing), RFC 1122 section 4.2.2.13 (half-duplex close).
