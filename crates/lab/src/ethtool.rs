//! Offloads of an interface, switched as `ethtool -K` does, over generic netlink (Linux 5.6 and later).
//!
//! The family's number is asked for by its name first. Features travel as a bit set by name, so that nothing here depends
//! on a kernel's numbering. Features that a driver does not have are left alone by the kernel, without an error.

use std::io;

use crate::netlink::{Request, Socket, attribute};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

const CHECKSUM: &[&str] = &["tx-checksum-ip-generic"];
const SEGMENTATION: &[&str] = &[
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-udp-segmentation",
    "tx-generic-segmentation",
    "rx-gro",
];

/// What an interface leaves to the one after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offloads {
    /// Checksums and segmentation, as a veth is born.
    All,
    /// Checksums, but each frame fits the MTU.
    Checksums,
    /// Nothing: every frame is one that a wire could carry.
    None,
}

/// Switches the offloads of an interface in the calling thread's namespace.
pub(crate) fn set(interface: &str, offloads: Offloads) -> io::Result<()> {
    let (checksums, segmentation) = match offloads {
        Offloads::All => (true, true),
        Offloads::Checksums => (true, false),
        Offloads::None => (false, false),
    };
    let mut socket = Socket::generic()?;
    let ask = Request::new(GENL_ID_CTRL, 0, &[CTRL_CMD_GETFAMILY, 1, 0, 0]).text(CTRL_ATTR_FAMILY_NAME, "ethtool");
    let family = socket.ask(ask)?;
    let family = family
        .get(4..)
        .and_then(|attributes| attribute(attributes, CTRL_ATTR_FAMILY_ID))
        .and_then(|id| id.try_into().ok())
        .map(u16::from_ne_bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this kernel has no ethtool over netlink"))?;

    let request = Request::new(family, 0, &[ETHTOOL_MSG_FEATURES_SET, 1, 0, 0])
        .nest(ETHTOOL_A_FEATURES_HEADER, &[], |header| {
            header
                .text(ETHTOOL_A_HEADER_DEV_NAME, interface)
                .attribute(ETHTOOL_A_HEADER_FLAGS, &ETHTOOL_FLAG_OMIT_REPLY.to_ne_bytes())
        })
        .nest(ETHTOOL_A_FEATURES_WANTED, &[], |set| {
            set.nest(ETHTOOL_A_BITSET_BITS, &[], |bits| {
                let bits = CHECKSUM.iter().fold(bits, |bits, name| bit(bits, name, checksums));
                SEGMENTATION.iter().fold(bits, |bits, name| bit(bits, name, segmentation))
            })
        });
    socket.change(request)
}

fn bit(bits: Request, name: &str, on: bool) -> Request {
    bits.nest(ETHTOOL_A_BITSET_BITS_BIT, &[], |bit| {
        let bit = bit.text(ETHTOOL_A_BITSET_BIT_NAME, name);
        if on { bit.attribute(ETHTOOL_A_BITSET_BIT_VALUE, &[]) } else { bit }
    })
}
