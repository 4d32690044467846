//! The engine: a stack that runs inside the calls of the program that owns it.
//!
//! There is no thread and no loop of the host's own. A call does what it is for, transmits what follows from it, and returns;
//! one that has to wait turns the engine until it need not any more: receive a batch, hand it to the stack, do what
//! time wants done, transmit, look again. So a segment that arrives is handled on the core and in the cache of the program
//! that waits for it, and no byte changes hands between processes.
//!
//! # Waiting
//!
//! A waiting call looks at the devices again and again for a short while, if that is likely to pay ([`Spin`]), and then
//! sleeps on their descriptors until the stack's next timeout. So a host that is idle sleeps, and one whose peer is far
//! away does not burn its core.
//!
//! # Between calls
//!
//! Nothing happens while no call is made: nothing is received, acknowledged or sent again. What arrives waits in the
//! device. So calls that would not have to wait look at the devices, too, when nobody has for [`QUANTUM`].

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::sched_yield;
use rustix::time::Timespec;
use sockeye_device::Instant;
use sockeye_node::ports::Ports;
use sockeye_node::spin::Spin;
use sockeye_socket::{Errno, Host, SocketId};
use sockeye_stack::tcp::{State, Summary};

use super::Event;

/// A call that finds what it wants looks at the devices all the same when they have not been looked at for so long.
const QUANTUM: Duration = Duration::from_micros(100);

/// A host and its devices.
pub(super) struct Engine {
    pub(super) sockets: Host,
    pub(super) ports: Ports,
    pub(super) now: Instant,
    origin: std::time::Instant,
    /// When the devices were last looked at.
    looked: Instant,
    spin: Spin,
    /// How long the end of the host may take.
    linger: Duration,
    /// Sockets that something happened to, each once, and which those are.
    pending: Vec<SocketId>,
    marked: Vec<bool>,
}

impl Engine {
    pub(super) fn new(sockets: Host, ports: Ports, spin: Duration, linger: Duration) -> Self {
        let now = Engine::EPOCH;
        Engine {
            sockets,
            ports,
            now,
            origin: std::time::Instant::now(),
            looked: now,
            spin: Spin::new(spin),
            linger,
            pending: Vec::new(),
            marked: Vec::new(),
        }
    }

    /// The host's clock begins here: a moment before it is no overflow.
    pub(super) const EPOCH: Instant = Instant::from_millis(1_000);

    /// Reads the clock.
    pub(super) fn tick(&mut self) {
        self.now = Engine::EPOCH + self.origin.elapsed();
    }

    /// Transmits what a call has made necessary, and looks at the devices when nobody has for long.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.transmit()?;
        if self.now.since(self.looked) >= QUANTUM {
            self.turn()?;
        }
        Ok(())
    }

    /// One turn: what has arrived is handled, what is due is done, what follows is transmitted. True if anything happened.
    pub(super) fn turn(&mut self) -> io::Result<bool> {
        self.looked = self.now;
        self.ports.all_readable();
        let received = self.ports.receive(self.now, self.sockets.stack_mut(), &mut ())?;
        let due = self.sockets.stack().poll_timeout().is_some_and(|due| due <= self.now);
        if due {
            self.sockets.stack_mut().handle_timeout(self.now);
        }
        if received.frames == 0 && !due {
            return Ok(false);
        }
        self.transmit()?;
        Ok(true)
    }

    pub(super) fn transmit(&mut self) -> io::Result<()> {
        self.ports.transmit(self.now, self.sockets.stack_mut(), &mut ())?;
        while let Some(id) = self.sockets.poll_event() {
            self.mark(id);
        }
        Ok(())
    }

    /// Waits until something has happened, or until `deadline`; false when that has passed.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        self.transmit()?;
        let start = self.now;
        let allowed = self.spin.begin();
        let happened = loop {
            // Once at least: what is there already costs no sleep.
            if self.turn()? {
                break true;
            }
            self.tick();
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                break false;
            }
            if self.now.since(start) >= allowed {
                self.sleep(deadline)?;
                self.tick();
            } else {
                // Whoever shall answer may be waiting for this core.
                sched_yield();
                self.tick();
            }
        };
        if happened {
            self.spin.end(allowed, self.now.since(start));
        }
        Ok(happened)
    }

    /// Sleeps until a device is ready, something is due, or `deadline`.
    fn sleep(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let next =
            [self.sockets.stack().poll_timeout(), self.ports.poll_timeout(), deadline].into_iter().flatten().min();
        let mut writable = Vec::new();
        {
            let interest = |wants| if wants { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let mut fds: Vec<_> =
                self.ports.descriptors().map(|(_, fd, wants)| PollFd::from_borrowed_fd(fd, interest(wants))).collect();
            if fds.is_empty() && next.is_none() {
                // Nobody but this thread could ever end such a wait.
                return Err(io::ErrorKind::Deadlock.into());
            }
            let timeout = next.map(|next| timespec(next.since(self.now)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => return Err(io::ErrorKind::Interrupted.into()),
                Err(error) => return Err(error.into()),
            }
            for ((index, ..), fd) in self.ports.descriptors().zip(&fds) {
                if fd.revents().contains(PollFlags::OUT) {
                    writable.push(index);
                }
            }
        }
        if !writable.is_empty() {
            writable.into_iter().for_each(|index| self.ports.writable(index));
            self.transmit()?;
        }
        Ok(())
    }

    /// When to turn the engine next although no descriptor is ready.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let next = [self.sockets.stack().poll_timeout(), self.ports.poll_timeout()].into_iter().flatten().min()?;
        Some(next.since(Engine::EPOCH + self.origin.elapsed()))
    }

    fn mark(&mut self, id: SocketId) {
        if self.marked.len() <= id.index() {
            self.marked.resize(id.index() + 1, false);
        }
        if !std::mem::replace(&mut self.marked[id.index()], true) {
            self.pending.push(id);
        }
    }

    /// Names the sockets that something happened to since they were last named here, and that still are.
    pub(super) fn name_pending(&mut self, events: &mut Vec<Event>) {
        let Engine { sockets, pending, marked, .. } = self;
        for id in pending.drain(..) {
            marked[id.index()] = false;
            if sockets.body(id).is_some() {
                events.push(Event { id, readiness: sockets.readiness(id) });
            }
        }
    }

    /// Runs until what was written on connections that are closed has been delivered, at most until `deadline`. False if
    /// something is left.
    pub(super) fn finish(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            self.transmit()?;
            if !self.has_orphans() {
                return Ok(true);
            }
            if !self.wait(Some(deadline))? && deadline <= self.now {
                return Ok(false);
            }
        }
    }

    /// Whether a connection that is closed has still something to deliver: its data, or the FIN behind them.
    fn has_orphans(&self) -> bool {
        let undelivered = |summary: &Summary| {
            let over = matches!(summary.state, State::FinWait2 | State::TimeWait | State::Closed | State::SynReceived);
            summary.orphan && !over
        };
        self.sockets.stack().tcp_summaries(self.now).iter().any(undelivered)
    }
}

impl Drop for Engine {
    /// What was written is delivered, within a bounded time.
    fn drop(&mut self) {
        self.tick();
        if self.ports.descriptors().next().is_none() {
            // Whoever could send an acknowledgement would have to do it in this thread.
            let _ = self.transmit();
            return;
        }
        let deadline = self.now + self.linger;
        // An interface that is gone delivers nothing any more.
        while self.finish(deadline).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    }
}

/// Tries a call until it need not wait any more, at most for `timeout` and not at all unless `blocking`: then, or when the
/// time is up, the answer is EAGAIN.
pub(super) fn attempt<T>(
    engine: &mut Engine,
    blocking: bool,
    timeout: Option<Duration>,
    mut call: impl FnMut(&mut Host, Instant) -> Result<T, Errno>,
) -> io::Result<T> {
    engine.tick();
    let start = engine.now;
    let mut looked = false;
    loop {
        let Engine { sockets, now, .. } = &mut *engine;
        match call(sockets, *now) {
            Ok(value) => {
                engine.settle()?;
                return Ok(value);
            }
            Err(Errno::EAGAIN) if blocking => {
                let deadline = timeout.map(|timeout| start + timeout);
                if deadline.is_some_and(|deadline| deadline <= engine.now) {
                    return Err(Errno::EAGAIN.into());
                }
                match engine.wait(deadline) {
                    // As after a signal whose handler asks for calls to be taken up again.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => engine.tick(),
                    waited => drop(waited?),
                }
            }
            // What is there already need not be waited for.
            Err(Errno::EAGAIN) if !looked => {
                looked = true;
                engine.transmit()?;
                if !engine.turn()? {
                    return Err(Errno::EAGAIN.into());
                }
            }
            Err(errno) => {
                engine.settle()?;
                return Err(errno.into());
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
