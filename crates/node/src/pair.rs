//! The pair between a program and the node: how it is made, handed over, filled and told apart.
//!
//! The program's end is bound to an abstract name that says which socket it is (`control::SocketName`); the kernel's cookie
//! of that end says whether a descriptor that comes along with a request is that very end, which no name can prove.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use sockeye_control::{Kind, SocketName, filler};

use crate::end::Owner;

/// The window for which a stream's pair has room from the beginning.
pub(crate) const WINDOW: usize = 512 * 1024;

/// Both ends, fresh.
pub(crate) struct Pair {
    pub(crate) ours: OwnedFd,
    pub(crate) theirs: OwnedFd,
    /// The kernel's own number for `theirs`, in every process.
    pub(crate) cookie: u64,
}

impl Pair {
    /// A pair for the socket of that name. `nonblocking` is how the program wants its end; the node's never blocks.
    pub(crate) fn new(name: &SocketName, nonblocking: bool) -> io::Result<Pair> {
        let kind = match name.kind {
            Kind::Stream => SocketType::STREAM,
            Kind::Datagram | Kind::Raw => SocketType::SEQPACKET,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
        bind(&theirs, name)?;
        if !nonblocking {
            rustix::io::ioctl_fionbio(&theirs, false)?;
        }
        if name.kind == Kind::Stream {
            // Reading stops before an urgent byte, and then takes it in its place (`is_at_mark`).
            sockopt::set_socket_oobinline(&ours, true)?;
            make_room(&ours, WINDOW);
        }
        let cookie = sockopt::socket_cookie(&theirs)?;
        Ok(Pair { ours, theirs, cookie })
    }
}

/// Binds an end to the name that makes it a program's.
pub(crate) fn bind(end: &OwnedFd, name: &SocketName) -> io::Result<()> {
    // The first byte of an abstract name is a zero, which this call adds.
    Ok(rustix::net::bind(end, &SocketAddrUnix::new_abstract_name(&name.format()[1..])?)?)
}

/// The node's end becomes a program's, as a fresh one is. Its cookie.
pub(crate) fn give_away(ours: &OwnedFd, name: &SocketName, oob_inline: bool) -> io::Result<u64> {
    bind(ours, name)?;
    rustix::io::ioctl_fionbio(ours, false)?;
    sockopt::set_socket_oobinline(ours, oob_inline)?;
    Ok(sockopt::socket_cookie(ours)?)
}

/// Tells whoever waits on the program's end, which is connected to nothing but `ours`, that it can be written to: also
/// him who waits for an edge.
pub(crate) fn announce(theirs: BorrowedFd<'_>, ours: BorrowedFd<'_>) {
    // A byte that is read makes room.
    if rustix::net::send(theirs, &[filler::BYTE], SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok() {
        let _ = rustix::net::recv(ours, &mut [0; 1], RecvFlags::DONTWAIT);
    }
}

/// Lets a whole window wait in a stream's pair for its program, and more, as the kernel counts it. Then what arrives in one turn is handed over in that
/// turn, and its acknowledgement leaves the window open. With less, the window closes behind each such batch, and the peer stands still until the
/// program has read.
pub(crate) fn make_room(ours: &OwnedFd, window: usize) {
    set_send_buffer(ours, window + window / 4);
}

/// How much may be on the way from `end` to the other; as much of it as the kernel allows.
pub(crate) fn set_send_buffer(end: &OwnedFd, bytes: usize) {
    // The kernel doubles what it is asked for.
    let asked = bytes / 2;
    if sockopt::set_socket_send_buffer_size_force(end, asked).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(end, asked);
    }
}

/// Writes filler into the program's end until it no longer polls writable. How many bytes must be read from the node's
/// end (which is empty before) to make it writable again.
pub(crate) fn fill(theirs: BorrowedFd<'_>, ours: BorrowedFd<'_>) -> io::Result<u32> {
    /// More than any send buffer that a program can have set on its end holds a quarter of.
    const ENOUGH: usize = 1024;
    static FILLER: [u8; filler::CHUNK] = [filler::BYTE; filler::CHUNK];
    for _ in 0..ENOUGH {
        match rustix::net::send(theirs, &FILLER, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
        let mut ends = [PollFd::from_borrowed_fd(theirs, PollFlags::OUT)];
        if poll(&mut ends, Some(&Timespec::default()))? == 0 || !ends[0].revents().contains(PollFlags::OUT) {
            break;
        }
    }
    let waiting = rustix::io::ioctl_fionread(ours)?;
    u32::try_from(waiting).map_err(|_| io::Error::from(Errno::NOBUFS))
}

/// Leaves a byte in the program's end, so that it polls readable.
pub(crate) fn freshen(ours: BorrowedFd<'_>) {
    // An end that nobody has written to has room.
    let _ = rustix::net::send(ours, &[filler::BYTE], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

/// Takes that byte back.
pub(crate) fn stale(theirs: BorrowedFd<'_>) {
    let _ = rustix::net::recv(theirs, &mut [0; 1], RecvFlags::DONTWAIT);
}

/// Whether an urgent byte waits somewhere in what is to be read.
pub(crate) fn has_urgent(ours: BorrowedFd<'_>) -> bool {
    let mut ends = [PollFd::from_borrowed_fd(ours, PollFlags::PRI)];
    poll(&mut ends, Some(&Timespec::default())).is_ok() && ends[0].revents().contains(PollFlags::PRI)
}

/// Whether the next byte to be read is the urgent one that waits. Peeking stops before that byte, and nowhere else; so
/// if it reaches the end of what there is, nothing stands before it.
pub(crate) fn is_at_mark(ours: BorrowedFd<'_>) -> bool {
    /// A program that writes all the time is no reason to stay here.
    const TRIES: usize = 8;
    let mut seen = 0;
    for _ in 0..TRIES {
        let Ok(waiting) = rustix::io::ioctl_fionread(ours) else { return false };
        let mut bytes = vec![0; waiting as usize];
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        seen = rustix::net::recv(ours, &mut bytes[..], peek).map_or(0, |(len, _)| len);
        if seen < bytes.len() {
            return false;
        }
        if rustix::io::ioctl_fionread(ours) == Ok(waiting) {
            return true;
        }
    }
    seen > 0
}

/// Reads `count` bytes of filler away; how many are left (none, unless somebody else reads there).
pub(crate) fn drain(ours: BorrowedFd<'_>, count: u32, scratch: &mut [u8]) -> u32 {
    let mut left = count as usize;
    while left > 0 {
        let room = left.min(scratch.len());
        match rustix::io::read(ours, &mut scratch[..room]) {
            Ok(1..) if room == 0 => break,
            Ok(0) | Err(_) => break,
            Ok(read) => left -= read,
        }
    }
    left as u32
}

/// Sends a message, with a descriptor if there is one. One system call; all of it or nothing on the sockets used here.
pub(crate) fn send(socket: impl AsFd, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, flags)?;
    if sent == message.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

/// What a client sent.
pub(crate) struct Received {
    pub(crate) len: usize,
    /// The one descriptor that came along. All others are closed already.
    pub(crate) descriptor: Option<OwnedFd>,
    /// Who sent it, where the socket was told to ask (SO_PASSCRED).
    pub(crate) sender: Option<Owner>,
    /// More bytes or more descriptors than any request has.
    pub(crate) truncated: bool,
}

/// Receives a message and at most one descriptor.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    let (mut descriptor, mut sender) = (None, None);
    let mut surplus = false;
    for piece in ancillary.drain() {
        match piece {
            RecvAncillaryMessage::ScmRights(rights) => {
                for right in rights {
                    surplus |= descriptor.replace(right).is_some();
                }
            }
            RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(Owner::from(credentials)),
            _ => {}
        }
    }
    let truncated = surplus || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received { len: message.bytes, descriptor, sender, truncated })
}

/// Whether a descriptor that came with a request is the end with that cookie.
pub(crate) fn is_end(descriptor: &OwnedFd, cookie: u64) -> bool {
    sockopt::socket_cookie(descriptor) == Ok(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_control::{Family, SocketId};

    fn pair(kind: Kind) -> Pair {
        let mut id = [0; 16];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).expect("random bytes");
        Pair::new(&SocketName { node: 1, family: Family::V4, kind, id: SocketId(id) }, true).expect("a pair")
    }

    fn polls(fd: &OwnedFd, flags: PollFlags) -> bool {
        let mut ends = [PollFd::new(fd, flags)];
        poll(&mut ends, Some(&Timespec::default())).expect("poll");
        ends[0].revents().intersects(flags)
    }

    #[test]
    fn the_urgent_byte_is_found_where_it_stands() {
        let pair = pair(Kind::Stream);
        let (ours, theirs) = (pair.ours.as_fd(), pair.theirs.as_fd());
        let send = |bytes: &[u8], flags| rustix::net::send(theirs, bytes, flags).expect("sent");
        send(b"ab", SendFlags::empty());
        assert!(!has_urgent(ours));
        send(b"!", SendFlags::OOB);
        send(b"cd", SendFlags::empty());
        let mut bytes = [0; 16];
        assert!(has_urgent(ours) && !is_at_mark(ours));
        assert_eq!(rustix::io::read(ours, &mut bytes).map(|len| bytes[..len].to_vec()), Ok(b"ab".to_vec()));
        assert!(has_urgent(ours) && is_at_mark(ours));
        assert_eq!(rustix::io::read(ours, &mut bytes[..1]).map(|len| bytes[..len].to_vec()), Ok(b"!".to_vec()));
        assert!(!has_urgent(ours));
        assert_eq!(rustix::io::read(ours, &mut bytes).map(|len| bytes[..len].to_vec()), Ok(b"cd".to_vec()));
    }

    #[test]
    fn a_filled_end_is_writable_exactly_when_drained() {
        let pair = pair(Kind::Stream);
        assert!(polls(&pair.theirs, PollFlags::OUT));
        let count = fill(pair.theirs.as_fd(), pair.ours.as_fd()).expect("filled");
        assert!(count > 0);
        assert!(!polls(&pair.theirs, PollFlags::OUT));
        assert_eq!(drain(pair.ours.as_fd(), count, &mut [0; 4096]), 0);
        assert!(polls(&pair.theirs, PollFlags::OUT));
        assert!(!polls(&pair.ours, PollFlags::IN));
    }

    #[test]
    fn a_failed_connect_polls_err_and_hup() {
        let pair = pair(Kind::Stream);
        fill(pair.theirs.as_fd(), pair.ours.as_fd()).expect("filled");
        drop(pair.ours);
        assert!(polls(&pair.theirs, PollFlags::HUP) && polls(&pair.theirs, PollFlags::ERR));
    }

    #[test]
    fn descriptors_travel_and_are_recognised() {
        let carrier = pair(Kind::Datagram);
        let pair = pair(Kind::Stream);
        send(&carrier.theirs, b"hello", Some(pair.theirs.as_fd())).expect("sent");
        let mut buffer = [0; 16];
        let received = receive(&carrier.ours, &mut buffer).expect("received");
        assert_eq!((&buffer[..received.len], received.truncated), (&b"hello"[..], false));
        let descriptor = received.descriptor.expect("came along");
        assert!(is_end(&descriptor, pair.cookie));
        assert!(!is_end(&pair.ours, pair.cookie));
        let name = rustix::net::getsockname(&descriptor).expect("a name");
        let name = SocketAddrUnix::try_from(name).expect("a Unix address");
        assert_eq!(name.abstract_name().map(|name| name.len() + 1), Some(SocketName::LEN));
    }

    #[test]
    fn what_comes_unasked_is_closed() {
        let carrier = pair(Kind::Datagram);
        let strangers = [pair(Kind::Stream), pair(Kind::Stream)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let both = [strangers[0].theirs.as_fd(), strangers[1].theirs.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&both));
        rustix::net::sendmsg(&carrier.theirs, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).expect("sent");
        let [first, second] = strangers;
        drop((first.theirs, second.theirs));
        let received = receive(&carrier.ours, &mut [0; 4]).expect("received");
        assert!(received.truncated);
        drop(received);
        assert!(polls(&first.ours, PollFlags::HUP) && polls(&second.ours, PollFlags::HUP));
    }
}
