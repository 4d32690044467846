//! What sockets of every kind have in common.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use sockeye_device::Instant;
use sockeye_socket::{Errno, Host, Privilege, Readiness, SocketId};

use super::engine::{Engine, attempt};

/// A socket of a [`Host`](super::Host): what streams, listeners and datagram sockets have in common.
///
/// When it is dropped it is closed: what was written is delivered while the host lives on.
pub struct Socket {
    engine: Rc<RefCell<Engine>>,
    id: SocketId,
    blocking: Cell<bool>,
    read_timeout: Cell<Option<Duration>>,
    write_timeout: Cell<Option<Duration>>,
}

/// Which of the two timeouts holds for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Socket {
    pub(super) fn open(engine: &Rc<RefCell<Engine>>, family: u16, kind: i32) -> io::Result<Socket> {
        let id = engine.borrow_mut().sockets.socket(family.into(), kind, 0)?;
        Ok(Socket::of(engine, id))
    }

    fn of(engine: &Rc<RefCell<Engine>>, id: SocketId) -> Socket {
        Socket {
            engine: engine.clone(),
            id,
            blocking: Cell::new(true),
            read_timeout: Cell::new(None),
            write_timeout: Cell::new(None),
        }
    }

    /// Another socket of the same host.
    pub(super) fn sibling(&self, id: SocketId) -> Socket {
        Socket::of(&self.engine, id)
    }

    /// Does `call`, again and again while it would block, if this socket blocks.
    pub(super) fn call<T>(
        &self,
        direction: Direction,
        mut call: impl FnMut(&mut Host, Instant, SocketId) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let timeout = match direction {
            Direction::Read => self.read_timeout.get(),
            Direction::Write => self.write_timeout.get(),
        };
        attempt(&mut self.engine.borrow_mut(), self.blocking.get(), timeout, |sockets, now| call(sockets, now, self.id))
    }

    /// Does `call` once, whatever this socket is set to.
    pub(super) fn call_once<T>(
        &self,
        mut call: impl FnMut(&mut Host, Instant, SocketId) -> Result<T, Errno>,
    ) -> io::Result<T> {
        attempt(&mut self.engine.borrow_mut(), false, None, |sockets, now| call(sockets, now, self.id))
    }

    /// Which socket it is, in the events of [`Host::poll`](super::Host::poll).
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// What poll(2) would say of it, as far as the host has looked.
    pub fn readiness(&self) -> Readiness {
        self.engine.borrow().sockets.readiness(self.id)
    }

    /// Its own address (getsockname).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.engine.borrow().sockets.local_address(self.id)?)
    }

    /// With `true`, a call that would have to wait fails with `WouldBlock` instead.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.blocking.set(!nonblocking);
        Ok(())
    }

    /// How long reading, receiving and accepting may wait: then they fail with `WouldBlock`, as on Linux. `None`: for ever.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(checked(timeout)?);
        Ok(())
    }

    /// How long writing and sending may wait: then they fail with `WouldBlock`, as on Linux. `None`: for ever.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.set(checked(timeout)?);
        Ok(())
    }

    /// What [`Socket::set_read_timeout`] has set.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_timeout.get())
    }

    /// What [`Socket::set_write_timeout`] has set.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_timeout.get())
    }

    /// The failure that no call has told yet, which clears it (SO_ERROR).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.engine.borrow_mut().sockets.take_error(self.id).map(io::Error::from))
    }

    /// setsockopt(2), with level, name and value as Linux lays them out (see [`sockeye_socket::names`]).
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        self.call_once(|sockets, now, id| sockets.set_option(now, id, Privilege::Administrator, level, name, value))
    }

    /// getsockopt(2): the value as Linux lays it out.
    pub fn option(&self, level: i32, name: i32) -> io::Result<Vec<u8>> {
        let mut engine = self.engine.borrow_mut();
        engine.tick();
        let Engine { sockets, now, .. } = &mut *engine;
        Ok(sockets.option(*now, self.id, level, name)?)
    }

    /// The value of an option that is an `int`.
    pub(super) fn int(&self, level: i32, name: i32) -> io::Result<i32> {
        let value = self.option(level, name)?;
        value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or_else(|| Errno::EINVAL.into())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What a device refuses now goes with the next call; one that is gone is told by that.
        let _ = self.call_once(|sockets, now, id| {
            sockets.close(now, id);
            Ok(())
        });
    }
}

/// As with the standard library, a timeout of nothing is a mistake.
fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout == Some(Duration::ZERO) { Err(Errno::EINVAL.into()) } else { Ok(timeout) }
}
