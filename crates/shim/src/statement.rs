//! What is said to the node, and not asked: options that it does not refuse.
//!
//! A statement goes on a connection that is kept, as a message without an answer. Nothing that is said is lost: a connection that the node closes
//! meanwhile takes no message, and the node reads what it took. A full one is waited for. Who says it the kernel adds, as nothing depends on it.
//!
//! A process that says much asks for a board (`sockeye_control::board`), memory that it shares with the node, and writes its statements there: that
//! costs no system call. The first statement of a socket is a message still, as the socket must be shown; [`SHOWN`] remembers which were, on
//! which connection. It is no table of descriptors: it knows sockets by their names, which are never used again, and what it has forgotten is shown once more.
//!
//! The board is the connection's, and is written on by whoever has taken that. A child does not inherit it.

use crate::connection::Connection;
use crate::exchange::{self, Along};
use crate::sys::Errno;
use libc::c_int;
use sockeye_control::board::Notice;
use sockeye_control::{Request, SocketId};
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a message.
const MESSAGE: usize = 32;
/// So many messages on one connection are worth a board.
const MANY: u64 = 32;
/// Corking waits: what it is about wakes the node.
const CORK: (c_int, c_int) = (libc::IPPROTO_TCP, libc::TCP_CORK);

/// Which sockets were shown, on which connection: a number made of both. One that is overwritten is shown again.
static SHOWN: [AtomicU64; 16_384] = [const { AtomicU64::new(0) }; 16_384];

/// Says that an option of a stream is set: one of `Request::TOLD`, by its place there. False if there is no connection to say it on: then it must be asked.
pub(crate) fn tell(fd: c_int, id: SocketId, option: usize, value: c_int) -> Result<bool, Errno> {
    while let Some(connection) = Connection::idle() {
        if write(&connection, id, option, value) {
            connection.done();
            return Ok(true);
        }
        if !connection.is_ours() {
            connection.lose();
            continue;
        }
        match say(&connection, fd, id, option, &value) {
            Ok(()) => {
                let many = connection.count_told() == MANY;
                if connection.board().is_some() {
                    let mark = mark(id, connection.cookie());
                    SHOWN[place(mark)].store(mark, Ordering::Relaxed);
                } else if many {
                    exchange::ask_for_board(connection);
                    return Ok(true);
                }
                connection.done();
                return Ok(true);
            }
            // What is closed took nothing of it.
            Err(Errno(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN)) => {}
            Err(errno) => return Err(exchange::absent(errno)),
        }
    }
    Ok(false)
}

/// Writes it on the board. False if it must be said by a message: there is no board, it is full or closed, or the socket was not shown.
fn write(connection: &Connection, id: SocketId, option: usize, value: c_int) -> bool {
    let Some(board) = connection.board() else { return false };
    let mark = mark(id, connection.cookie());
    if SHOWN[place(mark)].load(Ordering::Relaxed) != mark {
        return false;
    }
    let notice = Notice { id, option: option as u32, value, after: connection.told() };
    let waits = Request::TOLD[option] == CORK && value != 0;
    board.write(&notice) && !board.is_closed() && (waits || !board.must_ring() || ring(connection))
}

fn ring(connection: &Connection) -> bool {
    let mut message = [0; MESSAGE];
    let len = Request::Ring.encode(&mut message).unwrap_or(0);
    connection.is_ours() && exchange::send(connection, &message[..len], Along::nothing(), false).is_ok()
}

fn say(connection: &Connection, fd: c_int, id: SocketId, option: usize, value: &c_int) -> Result<(), Errno> {
    let (level, name) = Request::TOLD[option];
    let mut message = [0; MESSAGE];
    let statement = Request::TellOption { id, level, name, value: &value.to_ne_bytes() };
    let len = statement.encode(&mut message).map_err(|_| Errno(libc::EINVAL))?;
    exchange::send(connection, &message[..len], Along::socket(fd), false)
}

fn mark(id: SocketId, connection: u64) -> u64 {
    let number = u128::from_ne_bytes(id.0);
    ((number >> 64) as u64 ^ number as u64 ^ connection.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}

fn place(mark: u64) -> usize {
    (mark >> 1) as usize % SHOWN.len()
}
