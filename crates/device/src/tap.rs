//! A TAP: an interface whose wire is us.
//!
//! What the kernel sends on the interface we read, what we write the kernel receives; the kernel is the other host on
//! a wire of two. `IFF_VNET_HDR` puts the virtio-net header before each frame, and `TUNSETOFFLOAD` tells the kernel that
//! we take super-frames and partial checksums, so both directions move up to 64 KiB a call. There is no call for
//! several frames at once: each costs a `readv` or a `writev`.
//!
//! A TAP of a name that does not exist is created, set up, and gone when it is closed. One that exists (made by
//! `ip tuntap add`, so that a user without privilege may hold it) is attached to, and stays.
//!
//! # Standards
//!
//! `Documentation/networking/tuntap.rst` of the kernel; `linux/if_tun.h`.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sockeye_wire::{MacAddr, ethernet};

use crate::device::{PushBack, fits};
use crate::error::check_name;
use crate::link::{Link, LinkQuery};
use crate::mac::Claim;
use crate::{
    BUFFER_LEN, Capabilities, Device, DeviceCounters, Full, MAX_SUPER_FRAME, MacChoice, OpenError, RxBatch, TxFrame,
    sys, vnet,
};

/// As for the packet socket: the IP header stands at a multiple of 16.
const HEADROOM: usize = 18;
const _: () = assert!(BUFFER_LEN >= HEADROOM + MAX_SUPER_FRAME);
/// Slices of a frame that leave without being gathered first.
const VECTORS: usize = 64;
const WITHOUT_UDP: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
const WITH_UDP: u32 = WITHOUT_UDP | libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// Our end of a TAP interface.
#[derive(Debug)]
pub struct Tap {
    file: File,
    /// In the TAP's own namespace, whatever that of the caller.
    links: LinkQuery,
    link: Link,
    mac: MacAddr,
    _claim: Option<Claim>,
    capabilities: Capabilities,
    scratch: Vec<u8>,
    push_back: PushBack,
    running: Cell<bool>,
    counters: DeviceCounters,
}

impl Tap {
    /// Creates or attaches to the TAP `interface`, and sets it up. Needs CAP_NET_ADMIN, unless the TAP exists, is up and
    /// belongs to the user.
    ///
    /// `mac` is the address of our end; [`MacChoice::Inherit`] is refused, as the interface's own is the kernel's.
    pub fn open(interface: &str, mac: MacChoice) -> Result<Self, OpenError> {
        check_name(interface)?;
        let name = || interface.to_owned();
        let system = |action| OpenError::from_system(interface, "CAP_NET_ADMIN", action);
        let (mac, claim) = mac.resolve(interface, None)?;

        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => OpenError::NoTunDriver { interface: name() },
                _ => system("open /dev/net/tun for")(error),
            })?;
        let fd = file.as_fd();
        // The kernel puts a number for `%d`.
        let attached =
            sys::attach_tap(fd, interface, libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR).map_err(|error| {
                match error.raw_os_error() {
                    Some(libc::EBUSY) => OpenError::Busy { interface: name() },
                    Some(libc::EINVAL) => OpenError::NotTap { interface: name() },
                    _ => system("create the TAP")(error),
                }
            })?;
        let interface = attached.as_str();
        let udp = sys::set_tap_offloads(fd, WITH_UDP).is_ok();
        if !udp {
            sys::set_tap_offloads(fd, WITHOUT_UDP).map_err(system("set the offloads of"))?;
        }
        let links = LinkQuery::open().map_err(system("look up"))?;
        let mut link = links.by_name(interface).map_err(system("look up"))?;
        if !link.up {
            let flags = SocketFlags::CLOEXEC;
            let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
                .map_err(|error| system("set up")(error.into()))?;
            sys::set_interface_up(socket.as_fd(), interface).map_err(system("set up"))?;
            link = links.by_name(interface).map_err(system("look up"))?;
        }
        let capabilities = Capabilities { udp, ..Capabilities::ALL };
        let running = Cell::new(link.up);
        Ok(Tap {
            file,
            links,
            link,
            mac,
            _claim: claim,
            capabilities,
            scratch: Vec::new(),
            push_back: PushBack::default(),
            running,
            counters: DeviceCounters::default(),
        })
    }

    /// The interface as it was when the TAP was opened. Its address is that of the kernel's end.
    pub fn link(&self) -> &Link {
        &self.link
    }

    fn write(&mut self, frame: &TxFrame<'_>) -> rustix::io::Result<usize> {
        let header = vnet::encode(&frame.offload, frame.header);
        let mut vectors = [IoSlice::new(&[]); VECTORS];
        vectors[0] = IoSlice::new(&header);
        vectors[1] = IoSlice::new(frame.header);
        let count = 2 + frame.payload.len();
        if let Some(places) = vectors.get_mut(2..count) {
            for (place, slice) in places.iter_mut().zip(frame.payload) {
                *place = IoSlice::new(slice);
            }
            return rustix::io::writev(&self.file, &vectors[..count]);
        }
        self.scratch.clear();
        frame.gather(&mut self.scratch);
        vectors[1] = IoSlice::new(&self.scratch);
        rustix::io::writev(&self.file, &vectors[..2])
    }

    fn lose_link(&self) -> u64 {
        u64::from(self.running.replace(false))
    }
}

impl Device for Tap {
    fn name(&self) -> &str {
        &self.link.name
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        u16::try_from(self.link.mtu).unwrap_or(u16::MAX)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// While the link is believed to be down this asks the kernel.
    fn link_up(&self) -> bool {
        if !self.running.get() {
            self.running.set(self.links.by_index(self.link.index).is_ok_and(|link| link.up));
        }
        self.running.get()
    }

    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        let slots = batch.slots(BUFFER_LEN);
        let mut filled = 0;
        while let Some(slot) = slots.get_mut(filled) {
            let mut header = [0; vnet::HEADER_LEN];
            let mut vectors = [IoSliceMut::new(&mut header), IoSliceMut::new(&mut slot.buffer[HEADROOM..])];
            let len = match rustix::io::readv(&self.file, &mut vectors) {
                Ok(len) => len,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                // The interface was removed under us.
                Err(Errno::BADFD | Errno::IO) => {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        format!("interface {} is gone", self.link.name),
                    ));
                }
                Err(error) => return Err(error.into()),
            };
            let range = HEADROOM..HEADROOM + len.saturating_sub(vnet::HEADER_LEN);
            self.running.set(true);
            match vnet::decode(&header, &slot.buffer[range.clone()], 0) {
                Ok(offload) if range.len() >= ethernet::HEADER_LEN => {
                    self.counters.count_received(range.len(), offload.segmentation.is_some());
                    (slot.range, slot.offload) = (range, offload);
                    filled += 1;
                }
                _ => self.counters.rx_errors += 1,
            }
        }
        batch.set_filled(filled);
        Ok(filled)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        let len = frame.len();
        let segmentation = frame.offload.segmentation;
        let longest = usize::from(self.mtu()) + ethernet::HEADER_LEN + ethernet::TAG_LEN;
        // The kernel takes a frame of any length from a TAP; on a wire it would not pass.
        let longest = if segmentation.is_some() { MAX_SUPER_FRAME } else { longest };
        if len > longest || !fits(frame, self.capabilities) {
            self.counters.tx_errors += 1;
            return Ok(());
        }
        loop {
            match self.write(frame) {
                Ok(_) => {
                    self.counters.count_sent(len, segmentation.is_some());
                    self.running.set(true);
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.push_back.refuse();
                    self.counters.tx_full += 1;
                    return Err(Full);
                }
                // How a TAP says that the interface is down.
                Err(Errno::IO) => {
                    self.counters.tx_dropped += 1;
                    self.counters.link_lost += self.lose_link();
                }
                Err(Errno::NOBUFS | Errno::NOMEM | Errno::BADFD) => self.counters.tx_dropped += 1,
                Err(_) => self.counters.tx_errors += 1,
            }
            self.push_back.take();
            return Ok(());
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_back.flush();
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn wants_writable(&self) -> bool {
        self.push_back.is_waiting()
    }

    fn counters(&self) -> DeviceCounters {
        self.counters
    }
}
