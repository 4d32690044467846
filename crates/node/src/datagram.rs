//! The pump of a socket that is no stream: messages with a header on the program's side, datagrams or packets on the stack's.
//!
//! What differs between kinds of sockets is how a message is sent and how the next one is received: a file each
//! ([`udp`], [`packet`], [`raw`]). What they have in common are the control messages ([`ancillary`]), what follows from them
//! and the socket's options for what is sent ([`wishes`]), and the queue of errors ([`errors`]).
//!
//! Both ways hold at most one datagram that found no room: then the pair fills up, and the program waits on its own
//! descriptor; or the stack's receive queue does, and drops with a counter, as a host does. What a program sends that
//! cannot go (no route, too long) comes back as an error message, which its next call reports.

pub(crate) mod ancillary;
mod cork;
pub(crate) mod errors;
mod packet;
mod raw;
pub(crate) mod sticky;
mod udp;
mod wishes;

pub(crate) use packet::{RingMemory, send_ring};

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sendmsg};
use sockeye_control::Address;
use sockeye_control::ancillary::cut;
use sockeye_control::datagram::{Header, Kind};
use sockeye_device::Instant;
use sockeye_socket::settings::TimestampKind;
use sockeye_socket::{Body, Errno, Privilege, SocketId};

use self::cork::Corked;
use crate::boundary::{Context, Counters};
use crate::end::{End, Fate, Pump};
use crate::pair;

/// The most datagrams of one program in one turn, each way.
const TURN: usize = 128;

/// The memory of a packet socket's rings.
#[derive(Debug)]
pub(crate) struct RingFile {
    pub(crate) file: OwnedFd,
    /// Of the rings, without our own page.
    pub(crate) len: usize,
    /// The program has asked for it.
    pub(crate) mapped: bool,
}

/// What the pump remembers between its turns.
#[derive(Debug, Default)]
pub(crate) struct DatagramPump {
    /// From the program, for a stack that had no room: the whole message.
    unsent: Option<Vec<u8>>,
    /// Of its pieces, where it is to be cut, so many are sent.
    pieces_sent: usize,
    /// Datagrams that are written in pieces.
    cork: cork::Cork,
    /// For a program that had no room.
    undelivered: Option<Message>,
    /// An error that the program is to be told of.
    error: Option<Header>,
    /// An error that the program will ask for.
    answer: Option<Errno>,
    /// The last list of control messages, whose memory the next one takes.
    spare: Vec<u8>,
    /// What the program knows of errors that it asks for.
    notice: errors::Notice,
    /// The memory of a packet socket's rings, for the program.
    pub(crate) rings: Option<RingFile>,
    /// Bytes that keep the program's end from polling writable while there is no room for what its ring holds.
    pub(crate) filler: u32,
    /// A turn ended before the datagrams did.
    pub(crate) cut_short: bool,
    /// When the last packet came that the program has, or can read.
    newest: Option<Instant>,
}

impl DatagramPump {
    /// Bytes from the program that found no room yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.as_ref().map_or(0, Vec::len)
    }

    /// Gives up what waits for room. False if nothing did.
    pub(crate) fn forget_unsent(&mut self) -> bool {
        self.unsent.take().is_some()
    }

    /// The error of a datagram that asked for an answer, for whoever asks next.
    pub(crate) fn keep_answer(&mut self, answer: Option<Errno>) {
        self.answer = answer.or(self.answer);
    }

    /// When the last packet came that the program has, or can read, in the program's form.
    pub(crate) fn time_of_newest(&self, kind: TimestampKind, now: Instant) -> Option<Vec<u8>> {
        self.newest.map(|at| ancillary::timestamp(kind, now, at).to_vec())
    }

    /// The program has pulled its cork (`UDP_CORK`).
    pub(crate) fn uncork(&mut self) {
        self.cork.pull();
    }

    /// Whether a datagram over IPv6 is in the making, on a socket that is connected to `peer`.
    pub(crate) fn makes_ipv6(&self, peer: Option<SocketAddr>) -> bool {
        let said = self.cork.destination().map(|said| said.and_then(Address::internet).or(peer));
        said.flatten().is_some_and(|to| to.ip().to_canonical().is_ipv6())
    }

    /// The program has asked for an error, and may be told of another.
    pub(crate) fn asked(&mut self, again: bool) {
        self.error.take_if(|header| header.answer);
        self.notice.taken(again);
    }

    /// The error that the program was not told of yet.
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        let header = self.error.take_if(|header| !header.answer)?;
        match header.kind {
            Kind::Error(errno) => Errno::from_raw(errno),
            Kind::Data | Kind::Ready => None,
        }
    }
}

/// What is on its way to a program. The header's length of the list is filled in when it goes.
#[derive(Debug)]
struct Message {
    header: Header,
    /// The list of control messages.
    control: Vec<u8>,
    /// The payload.
    data: Vec<u8>,
    /// When it came, if it is a packet that did.
    at: Option<Instant>,
}

/// What became of a message for the program.
enum Delivery {
    Done,
    NoRoom,
    Gone,
}

/// Moves what can be moved.
pub(crate) fn pump(end: &mut End, context: &mut Context<'_>, scratch: &mut [u8], counters: &mut Counters) -> Fate {
    let Pump::Datagram(mut pump) = std::mem::replace(&mut end.pump, Pump::Idle) else { return Fate::Keep };
    pump.cut_short = false;
    let mut fate = input(end, &mut pump, context, scratch, counters);
    if fate == Fate::Keep {
        fate = output(end, &mut pump, context);
    }
    end.pump = Pump::Datagram(pump);
    fate
}

/// Takes in all that the program has written. The error of a datagram that asked for an answer.
pub(crate) fn flush(
    end: &mut End,
    context: &mut Context<'_>,
    scratch: &mut [u8],
    counters: &mut Counters,
) -> Option<Errno> {
    let Pump::Datagram(mut pump) = std::mem::replace(&mut end.pump, Pump::Idle) else { return None };
    loop {
        // What epoll would say in the next turn.
        end.ready.input = true;
        pump.cut_short = false;
        let fate = input(end, &mut pump, context, scratch, counters);
        if fate != Fate::Keep || !pump.cut_short {
            // Its end will be read once more.
            end.ready.input |= fate != Fate::Keep;
            break;
        }
    }
    let answer = pump.answer.take();
    end.pump = Pump::Datagram(pump);
    answer
}

/// From the program to the stack.
fn input(
    end: &mut End,
    pump: &mut DatagramPump,
    context: &mut Context<'_>,
    scratch: &mut [u8],
    counters: &mut Counters,
) -> Fate {
    if pump.filler > 0 {
        // A program that has gone waits for nothing.
        if packet::is_blocked(context, end.socket) && !end.ready.hangup {
            return Fate::Keep;
        }
        pump.filler = pair::drain(end.fd.as_fd(), pump.filler, scratch);
    }
    for _ in 0..2 {
        let Some(message) = pump.unsent.take().or_else(|| pump.cork.pulled()) else { break };
        if transmit(end, pump, context, &message, counters).is_err() {
            pump.unsent = Some(message);
            return Fate::Keep;
        }
    }
    let mut turn = 0;
    while end.ready.input {
        if turn >= TURN {
            pump.cut_short = true;
            break;
        }
        turn += 1;
        match rustix::net::recv(&end.fd, &mut *scratch, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, 0)) => return Fate::Close,
            Ok((_, len)) if len > scratch.len() => counters.datagrams_malformed += 1,
            Ok((_, len)) => {
                if send(end, pump, context, &scratch[..len], counters).is_err() {
                    pump.unsent.get_or_insert_with(|| scratch[..len].to_vec());
                    return Fate::Keep;
                }
            }
            Err(rustix::io::Errno::AGAIN) => end.ready.input = false,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Fate::Close,
        }
    }
    Fate::Keep
}

/// Sends one message's datagram, or keeps it until the rest of it comes. An error when the stack has no room, and says when it has.
fn send(
    end: &mut End,
    pump: &mut DatagramPump,
    context: &mut Context<'_>,
    message: &[u8],
    counters: &mut Counters,
) -> Result<(), ()> {
    match pump.cork.take(context.host, end.socket, message) {
        Corked::Alone => transmit(end, pump, context, message, counters),
        Corked::Held => Ok(()),
        Corked::Whole(whole) => transmit(end, pump, context, &whole, counters).inspect_err(|()| {
            pump.unsent = Some(whole);
        }),
    }
}

/// The program is told that its datagram was not sent.
fn refuse(pump: &mut DatagramPump, header: &Header, errno: Errno, counters: &mut Counters) {
    counters.datagrams_refused += 1;
    if header.answer {
        pump.answer = Some(errno);
    } else {
        pump.error.get_or_insert(Header::error(errno.raw(), header.remote));
    }
}

/// The same of a datagram that is whole.
fn transmit(
    end: &mut End,
    pump: &mut DatagramPump,
    context: &mut Context<'_>,
    message: &[u8],
    counters: &mut Counters,
) -> Result<(), ()> {
    let (header, control, payload) = match Header::split(message) {
        Ok((header, control, payload)) if header.kind == Kind::Data => (header, control, payload),
        _ => {
            counters.datagrams_malformed += 1;
            return Ok(());
        }
    };
    let Some(body) = context.host.body(end.socket) else { return Ok(()) };
    // It is whoever made the socket that may send more than others.
    let trusted = end.kind == sockeye_control::Kind::Raw || end.owner.uid == 0 || end.owner.uid == context.uid;
    let who = if trusted { Privilege::Administrator } else { Privilege::User };
    let sent = match body {
        Body::Datagram(_) | Body::Unbound => {
            udp::send(context, end.socket, &header, who, (control, payload), &mut pump.pieces_sent)
        }
        Body::Raw(body) => raw::send(context, end.socket, body, &header, who, (control, payload)),
        Body::Packet(_) => {
            ancillary::check(control, who).and_then(|()| packet::send(context, end.socket, &header, payload))
        }
        Body::Idle | Body::Connection(_) | Body::Joined(..) | Body::Listener(_) => Err(Errno::EOPNOTSUPP),
    };
    if sent != Err(Errno::EAGAIN) {
        pump.pieces_sent = 0;
    }
    match sent {
        Ok(()) => Ok(()),
        Err(Errno::EAGAIN) => Err(()),
        Err(errno) => {
            refuse(pump, &header, errno, counters);
            Ok(())
        }
    }
}

/// From the stack to the program.
fn output(end: &mut End, pump: &mut DatagramPump, context: &mut Context<'_>) -> Fate {
    if pump.error.is_none() {
        pump.error = if context.host.receives_errors(end.socket) {
            pump.notice.due(context.host.reported_error(end.socket))
        } else {
            context.host.take_error(end.socket).map(|errno| Header::error(errno.raw(), None))
        };
    }
    if report(end, pump, context) == Fate::Close {
        return Fate::Close;
    }
    if let Some(Body::Packet(body)) = context.host.body(end.socket)
        && packet::signal(end, context, body) == Fate::Close
    {
        return Fate::Close;
    }
    for _ in 0..TURN {
        if !end.ready.output {
            return Fate::Keep;
        }
        let next = pump.undelivered.take();
        let Some(mut message) = next.or_else(|| receive(end.socket, context, std::mem::take(&mut pump.spare))) else {
            return Fate::Keep;
        };
        match deliver(end, context, message.header, &mut message.control, &message.data) {
            Delivery::Done => {
                pump.newest = message.at.or(pump.newest);
                recycle(end.socket, context, message.data);
                pump.spare = message.control;
            }
            Delivery::NoRoom => {
                pump.undelivered = Some(message);
                return Fate::Keep;
            }
            Delivery::Gone => return Fate::Close,
        }
    }
    pump.cut_short = true;
    Fate::Keep
}

/// The next message that the stack has for a socket; `control` is memory for its list.
fn receive(socket: SocketId, context: &mut Context<'_>, mut control: Vec<u8>) -> Option<Message> {
    control.clear();
    match context.host.body(socket)? {
        Body::Datagram(body) => udp::receive(context, socket, body, control),
        Body::Raw(body) => raw::receive(context, socket, body, control),
        Body::Packet(body) => packet::receive(context, socket, body, control),
        Body::Unbound | Body::Idle | Body::Connection(_) | Body::Joined(..) | Body::Listener(_) => None,
    }
}

/// The stack may use the buffer of a message again.
fn recycle(socket: SocketId, context: &mut Context<'_>, buffer: Vec<u8>) {
    match context.host.body(socket) {
        Some(Body::Raw(_)) => context.host.stack_mut().raw_recycle(buffer),
        Some(Body::Packet(_)) => context.host.stack_mut().packet_recycle(buffer),
        _ => context.host.stack_mut().udp_recycle(buffer),
    }
}

/// Tells the program of an error.
fn report(end: &mut End, pump: &mut DatagramPump, context: &mut Context<'_>) -> Fate {
    if let Some(header) = pump.error.take_if(|_| end.ready.output) {
        match deliver(end, context, header, &mut [], &[]) {
            Delivery::Done => {}
            Delivery::NoRoom => pump.error = Some(header),
            Delivery::Gone => return Fate::Close,
        }
    }
    Fate::Keep
}

fn deliver(end: &mut End, context: &mut Context<'_>, mut header: Header, list: &mut [u8], payload: &[u8]) -> Delivery {
    static ZEROS: [u8; Header::PLACE] = [0; Header::PLACE];
    let (listed, lost) = cut(list, Header::MAX_RECEIVED);
    (header.control, header.lost) = (listed as u16, lost);
    let (list, padding) = (&list[..listed], &ZEROS[listed.min(ZEROS.len())..]);
    let header = header.encode();
    let slices = [IoSlice::new(&header), IoSlice::new(list), IoSlice::new(padding), IoSlice::new(payload)];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match sendmsg(&end.fd, &slices, &mut SendAncillaryBuffer::default(), flags) {
        Ok(_) => Delivery::Done,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => {
            end.blocked(context.poller);
            Delivery::NoRoom
        }
        Err(_) => Delivery::Gone,
    }
}
