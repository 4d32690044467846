//! The pump of a socket that is no stream: messages with a header on the program's side, datagrams or packets on the stack's.
//!
//! What differs between kinds of sockets is how a message is sent and how the next one is received: a file each
//! ([`udp`]).
//!
//! Both ways hold at most one datagram that found no room: then the pair fills up, and the program waits on its own
//! descriptor; or the stack's receive queue does, and drops with a counter, as a host does. What a program sends that
//! cannot go (no route, too long) comes back as an error message, which its next call reports.

mod udp;

use std::io::IoSlice;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sendmsg};
use sockeye_control::datagram::{Header, Kind, Wanted};
use sockeye_device::Instant;
use sockeye_socket::settings::TimestampKind;
use sockeye_socket::{Body, Errno, Settings, SocketId};

use crate::boundary::{Context, Counters};
use crate::end::{End, Fate, Pump};

/// The most datagrams of one program in one turn, each way.
const TURN: usize = 128;

/// What the pump remembers between its turns.
#[derive(Debug, Default)]
pub(crate) struct DatagramPump {
    /// From the program, for a stack that had no room: the whole message.
    unsent: Option<Vec<u8>>,
    /// For a program that had no room.
    undelivered: Option<Message>,
    /// An error that the program is to be told of.
    error: Option<Header>,
    /// An error that the program will ask for.
    answer: Option<Errno>,
    /// A turn ended before the datagrams did.
    pub(crate) cut_short: bool,
}

impl DatagramPump {
    /// The error that the program was not told of yet.
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        let header = self.error.take()?;
        match header.kind {
            Kind::Error(errno) => Errno::from_raw(errno),
            Kind::Data => None,
        }
    }
}

/// What is on its way to a program.
#[derive(Debug)]
struct Message {
    header: Header,
    /// What follows the header: the control messages that it announces, and the payload.
    data: Vec<u8>,
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
    if let Some(message) = pump.unsent.take() {
        match send(end, pump, context, &message, counters) {
            Ok(()) => {}
            Err(()) => {
                pump.unsent = Some(message);
                return Fate::Keep;
            }
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
                    pump.unsent = Some(scratch[..len].to_vec());
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

/// Sends one message's datagram. An error when the stack has no room, and says when it has.
fn send(
    end: &mut End,
    pump: &mut DatagramPump,
    context: &mut Context<'_>,
    message: &[u8],
    counters: &mut Counters,
) -> Result<(), ()> {
    let (header, _control, payload) = match Header::split(message) {
        Ok((header, control, payload)) if header.kind == Kind::Data => (header, control, payload),
        _ => {
            counters.datagrams_malformed += 1;
            return Ok(());
        }
    };
    let Some(body) = context.host.body(end.socket) else { return Ok(()) };
    let sent = match body {
        Body::Datagram(_) | Body::Unbound => udp::send(context, end.socket, &header, payload),
        Body::Idle | Body::Connection(_) | Body::Joined(..) | Body::Listener(_) => Err(Errno::EOPNOTSUPP),
    };
    match sent {
        Ok(()) => Ok(()),
        Err(Errno::EAGAIN) => Err(()),
        Err(errno) => {
            counters.datagrams_refused += 1;
            if header.wanted.contains(Wanted::ANSWER) {
                pump.answer = Some(errno);
                return Ok(());
            }
            let header = Header { kind: Kind::Error(errno.raw()), ..Header::data(header.remote) };
            pump.error.get_or_insert(header);
            Ok(())
        }
    }
}

/// From the stack to the program.
fn output(end: &mut End, pump: &mut DatagramPump, context: &mut Context<'_>) -> Fate {
    if pump.error.is_none()
        && let Some(errno) = context.host.take_error(end.socket)
    {
        pump.error = Some(Header { kind: Kind::Error(errno.raw()), ..Header::data(None) });
    }
    if report(end, pump, context) == Fate::Close {
        return Fate::Close;
    }
    for _ in 0..TURN {
        if !end.ready.output {
            return Fate::Keep;
        }
        let Some(message) = pump.undelivered.take().or_else(|| receive(end.socket, context)) else {
            return Fate::Keep;
        };
        match deliver(end, context, &message.header, &message.data) {
            Delivery::Done => context.host.stack_mut().udp_recycle(message.data),
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

/// The next message that the stack has for a socket.
fn receive(socket: SocketId, context: &mut Context<'_>) -> Option<Message> {
    match context.host.body(socket)? {
        Body::Datagram(body) => udp::receive(context, socket, body),
        Body::Unbound | Body::Idle | Body::Connection(_) | Body::Joined(..) | Body::Listener(_) => None,
    }
}

/// Tells the program of an error.
fn report(end: &mut End, pump: &mut DatagramPump, context: &mut Context<'_>) -> Fate {
    if let Some(header) = pump.error.take_if(|_| end.ready.output) {
        match deliver(end, context, &header, &[]) {
            Delivery::Done => {}
            Delivery::NoRoom => pump.error = Some(header),
            Delivery::Gone => return Fate::Close,
        }
    }
    Fate::Keep
}

fn deliver(end: &mut End, context: &mut Context<'_>, header: &Header, payload: &[u8]) -> Delivery {
    let header = header.encode();
    let slices = [IoSlice::new(&header), IoSlice::new(payload)];
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

/// What the program wants to know of each message, and when this one arrived if that is part of it.
fn wanted(settings: &Settings, now: Instant, arrived: Instant) -> (Wanted, u64) {
    let mut wanted = Wanted::default();
    wanted.set(Wanted::PACKET_INFO, settings.packet_info());
    wanted.set(Wanted::TTL, settings.receive_hops());
    wanted.set(Wanted::TOS, settings.receive_class());
    wanted.set(Wanted::TIMESTAMP, settings.timestamp == Some(TimestampKind::Micros));
    wanted.set(Wanted::TIMESTAMP_NANOSECONDS, settings.timestamp == Some(TimestampKind::Nanos));
    if settings.timestamp.is_none() {
        return (wanted, 0);
    }
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(now.since(arrived));
    (wanted, u64::try_from(at.as_nanos()).unwrap_or(0))
}
