//! The system calls that no safe wrapper covers. All `unsafe` of this crate is here.
//!
//! Each function takes slices and values and gives back results, so that no pointer outlives the call that it is for.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use libc::{c_int, c_void, iovec, mmsghdr, socklen_t};

use crate::vnet;

/// Messages that one call of [`receive_many`] or [`send_many`] moves at most.
pub(crate) const BURST: usize = 32;

/// A type that the kernel reads or writes as plain bytes.
///
/// # Safety
///
/// Every bit pattern is a value, and there is no pointer in it that the kernel would follow.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for c_int {}
// SAFETY: integers and bytes only.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: integers only.
unsafe impl Plain for libc::tpacket_stats {}

pub(crate) fn set_option<T: Plain>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: T) -> io::Result<()> {
    let len = size_of::<T>() as socklen_t;
    // SAFETY: `value` is plain bytes of length `len` and lives through the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) })
}

pub(crate) fn option<T: Plain>(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as socklen_t;
    // SAFETY: `value` has room for `len` bytes.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) })?;
    // SAFETY: it was zeroed, which is a value of a plain type, as is whatever the kernel wrote.
    Ok(unsafe { value.assume_init() })
}

/// The words of a file in memory, shared with whoever else has mapped it.
#[derive(Debug)]
pub(crate) struct Mapping {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the memory belongs to the value until it is dropped, and all access to it is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `count` words. The file must have as many, and be sealed against shrinking: touching memory that was taken away is the end.
    pub(crate) fn new(file: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let len = count.checked_mul(size_of::<AtomicU64>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let (anywhere, access) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: new memory, wherever the kernel likes.
        let words = unsafe { libc::mmap(anywhere, len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if words == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(words.cast())
            .map(|words| Mapping { words, count })
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped until this is dropped, aligned as pages are; each value of a word is one, whoever wrote it.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}

/// Attaches a classic BPF program: the kernel drops what it returns 0 for before anything is queued.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as socklen_t;
    // SAFETY: `filter` points to `len` instructions that outlive the call; the kernel copies them.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast::<c_void>(),
            size,
        )
    })
}

/// Binds a packet socket to an interface. From here on it receives.
pub(crate) fn bind_packet(fd: BorrowedFd<'_>, protocol: u16, index: u32) -> io::Result<()> {
    let (address, len) = link_address(protocol, index, [0; 6]);
    // SAFETY: the address is `len` bytes and lives through the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) })
}

/// Sends by a packet socket that is bound to nothing.
pub(crate) fn send_packet(
    fd: BorrowedFd<'_>,
    packet: &[u8],
    protocol: u16,
    index: u32,
    mac: [u8; 6],
) -> io::Result<usize> {
    let (address, len) = link_address(protocol, index, mac);
    let (bytes, count) = (packet.as_ptr().cast(), packet.len());
    // SAFETY: packet and address are as long as is said, and live through the call.
    let sent = unsafe { libc::sendto(fd.as_raw_fd(), bytes, count, 0, (&raw const address).cast(), len) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn link_address(protocol: u16, index: u32, mac: [u8; 6]) -> (libc::sockaddr_ll, socklen_t) {
    // SAFETY: zeros are a value of this plain structure.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index as c_int;
    address.sll_halen = mac.len() as u8;
    address.sll_addr[..mac.len()].copy_from_slice(&mac);
    (address, size_of::<libc::sockaddr_ll>() as socklen_t)
}

/// What came with a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    /// Bytes of the frame in its buffer.
    pub(crate) len: usize,
    /// The frame was longer than its buffer.
    pub(crate) truncated: bool,
    pub(crate) header: [u8; vnet::HEADER_LEN],
    /// A VLAN tag that the kernel took out of the frame: protocol and control information.
    pub(crate) tag: Option<(u16, u16)>,
}

/// Room for one control message with a `tpacket_auxdata`, aligned as control messages are.
type Control = [u64; 6];

/// Receives into `buffers`, one frame each, at most [`BURST`]; the virtio-net header goes to `received`. Does not
/// block.
pub(crate) fn receive_many<'a>(
    fd: BorrowedFd<'_>,
    buffers: impl Iterator<Item = &'a mut [u8]>,
    received: &mut [Received; BURST],
) -> io::Result<usize> {
    const { assert!(control_space() <= size_of::<Control>()) };
    let mut vectors = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BURST * 2];
    let mut controls: [Control; BURST] = [[0; 6]; BURST];
    // SAFETY: zeros are a value: null pointers with length 0.
    let mut messages: [mmsghdr; BURST] = unsafe { mem::zeroed() };
    let mut count = 0;
    for (((message, pair), control), (received, buffer)) in
        messages.iter_mut().zip(vectors.chunks_exact_mut(2)).zip(&mut controls).zip(received.iter_mut().zip(buffers))
    {
        pair[0] = iovec { iov_base: received.header.as_mut_ptr().cast(), iov_len: received.header.len() };
        pair[1] = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        message.msg_hdr.msg_iov = pair.as_mut_ptr();
        message.msg_hdr.msg_iovlen = 2;
        message.msg_hdr.msg_control = control.as_mut_ptr().cast();
        message.msg_hdr.msg_controllen = size_of::<Control>() as _;
        count += 1;
    }
    // SAFETY: `count` messages point to vectors, buffers and control space that are all exclusively borrowed and
    // outlive the call.
    let result = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            count as u32,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let arrived = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    for (message, received) in messages[..arrived].iter().zip(received) {
        received.len = (message.msg_len as usize).saturating_sub(vnet::HEADER_LEN);
        received.truncated =
            message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 || (message.msg_len as usize) < vnet::HEADER_LEN;
        received.tag = stripped_tag(&message.msg_hdr);
    }
    Ok(arrived)
}

const fn control_space() -> usize {
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    unsafe { libc::CMSG_SPACE(size_of::<libc::tpacket_auxdata>() as u32) as usize }
}

fn stripped_tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the message's control pointer and length are those that the kernel has just written for a live buffer.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or an aligned header inside the control buffer.
        let control = unsafe { &*header };
        if control.cmsg_level == libc::SOL_PACKET && control.cmsg_type == libc::PACKET_AUXDATA {
            // SAFETY: the kernel wrote a whole tpacket_auxdata behind a header of this level and type.
            let data = unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
                return None;
            }
            let named = data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            return Some((if named { data.tp_vlan_tpid } else { 0x8100 }, data.tp_vlan_tci));
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Sends `frames`, at most [`BURST`], one message each. Tells how many went; does not block.
pub(crate) fn send_many<'a>(fd: BorrowedFd<'_>, frames: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
    let mut vectors = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BURST];
    // SAFETY: zeros are a value: null pointers with length 0.
    let mut messages: [mmsghdr; BURST] = unsafe { mem::zeroed() };
    let mut count = 0;
    for ((message, vector), frame) in messages.iter_mut().zip(&mut vectors).zip(frames) {
        *vector = iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: `count` messages point to vectors and frames that outlive the call; sending does not write to them.
    let result = unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Makes the descriptor of `/dev/net/tun` the interface `name` (empty: the kernel chooses one), and tells its name.
pub(crate) fn attach_tap(fd: BorrowedFd<'_>, name: &str, flags: c_int) -> io::Result<String> {
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_flags = flags as i16;
    // SAFETY: the request is a whole ifreq and lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    let name = request.ifr_name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Tells the kernel what super-frames and partial checksums it may hand to the reader of a TAP.
pub(crate) fn set_tap_offloads(fd: BorrowedFd<'_>, offloads: u32) -> io::Result<()> {
    // SAFETY: the argument is an integer, not a pointer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, offloads as libc::c_ulong) })
}

/// Sets an interface up, as `ip link set NAME up` does. `fd` is any socket.
pub(crate) fn set_interface_up(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let mut request = interface_request(name)?;
    // SAFETY: the request is a whole ifreq and lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: the call above has filled in the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as i16;
    // SAFETY: as for the first call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) })
}

/// The network namespace of a socket.
pub(crate) fn network_namespace(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// `SIOCGSKNS`.
    const OF_SOCKET: libc::Ioctl = 0x894c;
    owned(|| {
        // SAFETY: takes no argument, and returns a new descriptor.
        unsafe { libc::ioctl(socket.as_raw_fd(), OF_SOCKET) }
    })
}

/// The user namespace that a namespace belongs to.
pub(crate) fn user_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// `NS_GET_USERNS`.
    const OWNER: libc::Ioctl = 0xb701;
    owned(|| {
        // SAFETY: takes no argument, and returns a new descriptor.
        unsafe { libc::ioctl(namespace.as_raw_fd(), OWNER) }
    })
}

fn owned(call: impl FnOnce() -> c_int) -> io::Result<OwnedFd> {
    let number = call();
    check(number)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: zeros are a value of this plain structure.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    if name.len() >= request.ifr_name.len() || name.bytes().any(|byte| byte == 0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
