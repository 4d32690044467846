//! What the owner of a connection asks of it (RFC 9293, 3.9.1): send, receive, shut down, close, abort, status. How it
//! is opened is in [`open`](super::open).
//!
//! Nothing here waits, and nothing is sent from here: what a call makes necessary leaves with the next
//! [`Stack::poll_transmit`]. A handle that has gone stale is not an error but an end: there is nothing to read, no room
//! to write, and the state is closed.

use super::connection::{Connection, Fate};
use super::demux::Flow;
use super::options::Options;
use super::{ConnectionId, Error, Info, State, Summary, Tcp};
use crate::Stack;
use crate::errors::Reported;
use crate::ip::Ip;
use sockeye_device::Instant;
use std::io::IoSlice;
use std::sync::Arc;

/// What an owner looks at when it was told that something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the connection stands.
    pub state: State,
    /// Bytes to read.
    pub readable: usize,
    /// Bytes of room to write.
    pub send_space: usize,
    /// The peer has sent its FIN, and everything before it has arrived.
    pub peer_closed: bool,
    /// The owner has said that it writes no more.
    pub local_closed: bool,
    /// How many of the readable bytes stand before the end of urgent data, the urgent byte included.
    pub urgent: Option<usize>,
    /// Why it ended, if it ended badly. Stays until [`Stack::tcp_take_error`].
    pub error: Option<Error>,
}

/// What connections without an owner may hold, all together, and what each counts for besides its queue.
const ORPHAN_MEMORY: usize = 64 << 20;
const ORPHAN_OVERHEAD: usize = 2 * 1024;

const OVER: Status = Status {
    state: State::Closed,
    readable: 0,
    send_space: 0,
    peer_closed: true,
    local_closed: true,
    urgent: None,
    error: None,
};

impl Stack {
    /// The largest packet on the way to the peer (`IP_MTU`).
    pub fn tcp_path_mtu(&self, id: ConnectionId) -> Option<u16> {
        self.tcp.connections.get(id).map(|connection| connection.path.mtu())
    }

    /// What there is to know when something has changed.
    pub fn tcp_status(&self, id: ConnectionId) -> Status {
        let Some(connection) = self.tcp.connections.get(id) else { return OVER };
        let start = connection.receiver.queue.start();
        Status {
            state: connection.state,
            readable: connection.receiver.queue.len(),
            send_space: if connection.fate == Fate::Buried { 0 } else { connection.send_space() },
            peer_closed: connection.receiver.finished || connection.fate == Fate::Buried,
            local_closed: connection.sender.closing || connection.fate == Fate::Buried,
            urgent: connection.receiver.urgent.filter(|&end| end > start).map(|end| (end - start) as usize),
            error: connection.error,
        }
    }

    /// How far the peer may be ahead of the owner, in bytes: the receive window as it is now, with nothing in it.
    pub fn tcp_window(&self, id: ConnectionId) -> usize {
        self.tcp.connections.get(id).map_or(0, |connection| connection.receive_limit())
    }

    /// Our end and the peer's.
    pub fn tcp_addresses(&self, id: ConnectionId) -> Option<Flow> {
        self.tcp.connections.get(id).map(|connection| connection.flow)
    }

    /// Fills `slices` with what there is to read, in order; returns how many were filled.
    pub fn tcp_chunks<'a>(&'a self, id: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(connection) = self.tcp.connections.get(id) else { return 0 };
        let queue = &connection.receiver.queue;
        let (mut count, most) = (0, slices.len());
        queue.slices(queue.start(), queue.len(), most, |slice| {
            slices[count] = IoSlice::new(slice);
            count += 1;
        });
        count
    }

    /// The owner has read `count` bytes.
    pub fn tcp_consume(&mut self, now: Instant, id: ConnectionId, count: usize) {
        let Stack { tcp, ip, .. } = self;
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        let queue = &mut connection.receiver.queue;
        queue.consume(&mut tcp.pool, count.min(queue.len()));
        if connection.receiver.urgent.is_some_and(|end| end <= connection.receiver.queue.start()) {
            connection.receiver.urgent = None;
        }
        if connection.options.receive_grows {
            let (least, most) = (connection.sender.rtt.least(), connection.options.receive_buffer);
            connection.receiver.window.take(now, connection.receiver.queue.start(), least, most);
        }
        if connection.fate == Fate::Alive && connection.window_update_is_due() {
            connection.wants_transmit = true;
            tcp.settle(now, ip, id.index() as u32);
        }
    }

    /// Reads into `out` by copy.
    pub fn tcp_read(&mut self, now: Instant, id: ConnectionId, out: &mut [u8]) -> usize {
        let Some(connection) = self.tcp.connections.get(id) else { return 0 };
        let count = connection.receiver.queue.copy_to(connection.receiver.queue.start(), out);
        self.tcp_consume(now, id, count);
        count
    }

    /// Room to read up to `max` bytes into, in two pieces; [`Stack::tcp_commit`] says how many were. Empty when there is
    /// none, and the owner is told when there is again.
    pub fn tcp_reserve(&mut self, id: ConnectionId, max: usize) -> [&mut [u8]; 2] {
        let Tcp { connections, pool, .. } = &mut self.tcp;
        let Some(connection) = connections.get_mut(id) else { return [&mut [], &mut []] };
        let space = if connection.fate == Fate::Buried { 0 } else { connection.send_space() };
        connection.sender.wants_space |= space < max;
        connection.sender.queue.reserve(pool, space.min(max))
    }

    /// The first `count` bytes of what was reserved are to be sent.
    pub fn tcp_commit(&mut self, now: Instant, id: ConnectionId, count: usize) {
        let Stack { tcp, ip, .. } = self;
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        connection.sender.queue.commit(&mut tcp.pool, count);
        if count > 0 {
            connection.wants_transmit = true;
            tcp.settle(now, ip, id.index() as u32);
        }
    }

    /// Writes by copy; returns how many bytes there was room for.
    pub fn tcp_write(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) -> usize {
        let Stack { tcp, ip, .. } = self;
        let Some(connection) = tcp.connections.get_mut(id) else { return 0 };
        let space = if connection.fate == Fate::Buried { 0 } else { connection.send_space() };
        let count = bytes.len().min(space);
        connection.sender.wants_space |= count < bytes.len();
        connection.sender.queue.push(&mut tcp.pool, &bytes[..count]);
        if count > 0 {
            connection.wants_transmit = true;
            tcp.settle(now, ip, id.index() as u32);
        }
        count
    }

    /// Writes bytes of which the last is urgent (`MSG_OOB`; RFC 9293, 3.8.5). All or nothing.
    pub fn tcp_write_urgent(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) -> bool {
        let fits = self.tcp.connections.get(id).is_some_and(|connection| connection.send_space() >= bytes.len());
        if !fits || bytes.is_empty() {
            return false;
        }
        if let Some(connection) = self.tcp.connections.get_mut(id) {
            connection.sender.urgent = Some(connection.sender.queue.end() + bytes.len() as u64);
            connection.sender.push_now = true;
        }
        self.tcp_write(now, id, bytes) == bytes.len()
    }

    /// The owner writes no more: a FIN follows what was written.
    pub fn tcp_shutdown(&mut self, now: Instant, id: ConnectionId) {
        let Stack { tcp, ip, .. } = self;
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        connection.shut_down();
        tcp.settle(now, ip, id.index() as u32);
    }

    /// The owner lets go: the stack ends the connection by itself. Unread data means that the peer is told by a RST
    /// (RFC 9293, SHLD-3). The handle is stale afterwards.
    pub fn tcp_close(&mut self, now: Instant, id: ConnectionId) {
        let Stack { tcp, ip, .. } = self;
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        let index = id.index() as u32;
        connection.orphan = true;
        if connection.fate == Fate::Buried {
            tcp.remove(index);
            return;
        }
        if connection.aborting {
            return;
        }
        let unread = !connection.receiver.queue.is_empty();
        if unread || connection.state == State::SynSent {
            tcp.abort(now, ip, index);
            return;
        }
        if !tcp.charge_orphan(index) {
            ip.counters.tcp_orphans_refused += 1;
            tcp.reset(now, ip, index);
            return;
        }
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        // The patience with an orphan begins now, whatever its owner has borne.
        connection.sender.retries = 0;
        connection.sender.probes = 0;
        connection.shut_down();
        connection.wait_for_their_fin(now);
        tcp.settle(now, ip, index);
    }

    /// The owner lets go, and the peer is told by a RST, before which goes what was written and may go at once.
    pub fn tcp_abort(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.tcp.connections.get_mut(id) {
            connection.orphan = true;
            self.tcp.abort(now, &mut self.ip, id.index() as u32);
        }
    }

    /// The connection's settings.
    pub fn tcp_options(&self, id: ConnectionId) -> Option<&Options> {
        self.tcp.connections.get(id).map(|connection| &*connection.options)
    }

    /// Changes the connection's settings; what they make possible happens.
    pub fn tcp_set_options(&mut self, now: Instant, id: ConnectionId, options: Options) {
        let Stack { tcp, ip, .. } = self;
        let options = tcp.share_options(options);
        let Some(connection) = tcp.connections.get_mut(id) else { return };
        let before = std::mem::replace(&mut connection.options, options);
        let after = &connection.options;
        let keepalive_changed = (before.keepalive, before.keep_idle, before.keep_interval)
            != (after.keepalive, after.keep_idle, after.keep_interval);
        let restyled = before.filter != after.filter
            || before.family != after.family
            || (before.flow_label, &before.extras) != (after.flow_label, &after.extras);
        let interest_changed = before.interest != after.interest;
        if before.cork && !after.cork || !before.nodelay && after.nodelay {
            // Also where nothing is held: what was written before may still be on its way here.
            connection.sender.push_now = true;
        }
        if keepalive_changed && connection.fate == Fate::Alive {
            connection.arm_keepalive(now);
        }
        if before.max_segment != connection.options.max_segment {
            connection.refit();
        }
        if restyled {
            connection.path.restyle(ip, &connection.flow, &connection.options);
        }
        if restyled || interest_changed {
            // What is near enough is asked again, and whether each packet is to be looked at.
            let Flow { local, remote } = connection.flow;
            tcp.demux.predictions.forget(local.port(), remote.port());
        }
        if connection.sender.wants_space && connection.send_space() > 0 {
            connection.sender.wants_space = false;
            connection.notify = true;
        }
        connection.wants_transmit = connection.fate == Fate::Alive;
        tcp.settle(now, ip, id.index() as u32);
    }

    /// The state of the connection in detail.
    pub fn tcp_info(&self, now: Instant, id: ConnectionId) -> Option<Info> {
        self.tcp.connections.get(id).map(|connection| connection.info(now))
    }

    /// The clock that segments of the connection would tell (`TCP_TIMESTAMP`).
    pub fn tcp_timestamp(&self, now: Instant, id: ConnectionId) -> Option<u32> {
        self.tcp.connections.get(id).map(|connection| connection.timestamp(now))
    }

    /// Why the connection ended, or what was last said against it; forgotten by this (`SO_ERROR`).
    pub fn tcp_take_error(&mut self, id: ConnectionId) -> Option<Error> {
        let connection = self.tcp.connections.get_mut(id)?;
        connection.error.take().or_else(|| connection.soft_error.take())
    }

    /// The message that ended a connection in the making, for a program that asks for errors one by one; over IPv4 for any (`MSG_ERRQUEUE`).
    pub fn tcp_take_report(&mut self, id: ConnectionId) -> Option<Box<Reported>> {
        self.tcp.connections.get_mut(id)?.report.take()
    }

    /// Every TCP socket, as `show sockets` lists them.
    pub fn tcp_summaries(&self, now: Instant) -> Vec<Summary> {
        self.tcp.summaries(now)
    }

    /// How many entries each of TCP's tables has.
    pub fn tcp_table_sizes(&self) -> [(&'static str, usize); 7] {
        self.tcp.table_sizes()
    }
}

impl Connection {
    /// Something was written that has never been sent.
    fn has_unsent(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait) && self.sender.board.nxt() < self.sender.queue.end()
    }

    fn shut_down(&mut self) {
        if !self.sender.closing && !matches!(self.state, State::SynSent | State::Closed) {
            self.sender.closing = true;
            self.wants_transmit = true;
        }
    }
}

impl Tcp {
    /// One copy for all that have the same, as programs set the same on each of their sockets, one after the other.
    pub(super) fn share_options(&mut self, options: Options) -> Arc<Options> {
        if *self.recent_options != options {
            self.hears_near |= options.family.iter().any(|family| family.min_ttl > 0);
            self.recent_options = Arc::new(options);
        }
        self.recent_options.clone()
    }

    /// What is still to be delivered is kept, but not without bound: nobody feels it any more. False if there is no room.
    fn charge_orphan(&mut self, index: u32) -> bool {
        let Some(connection) = self.connections.at_mut(index as usize) else { return false };
        let charge = connection.sender.queue.capacity() + ORPHAN_OVERHEAD;
        if self.orphan_memory + charge > ORPHAN_MEMORY {
            return false;
        }
        // Less than ORPHAN_MEMORY.
        connection.orphan_charge = charge as u32;
        self.orphan_memory += charge;
        true
    }

    /// RFC 9293, 3.10.5. Where a write sends at once, as in Linux, what was written before is under way by now; here it
    /// may be that its turn has not come.
    pub(super) fn abort(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        connection.orphan = true;
        if connection.fate == Fate::Buried {
            self.remove(index);
            return;
        }
        if connection.has_unsent() && self.charge_orphan(index) {
            let Some(connection) = self.connections.at_mut(index as usize) else { return };
            connection.aborting = true;
            connection.sender.closing = false;
            connection.wants_transmit = true;
            self.settle(now, ip, index);
        } else {
            self.reset(now, ip, index);
        }
    }

    /// Ends a connection of which nobody knows any more.
    pub(super) fn reset(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        if !matches!(connection.state, State::SynSent | State::Closed | State::TimeWait) {
            Self::send_reset_of(now, ip, connection);
        }
        connection.finish(Some(Error::Aborted), &mut self.pool);
        self.settle(now, ip, index);
    }
}
