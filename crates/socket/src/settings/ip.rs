//! Options of level IPPROTO_IP that are numbers and switches; the rest are in [`Advanced`](super::Advanced).

use sockeye_stack::PortId;

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{network_order, read_int_or_byte, within};

/// The time to live, where nothing was set.
pub(crate) const TTL: i32 = 64;

/// Options of level IPPROTO_IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpSettings {
    /// IP_TOS.
    pub tos: u8,
    /// IP_TTL; `None`: the host's own.
    pub ttl: Option<u8>,
    /// IP_MTU_DISCOVER, one of IP_PMTUDISC_*.
    pub mtu_discover: i32,
    /// IP_PKTINFO.
    pub packet_info: bool,
    /// IP_RECVTTL.
    pub receive_ttl: bool,
    /// IP_RECVTOS.
    pub receive_tos: bool,
    /// IP_RECVERR: errors are kept for the program one by one.
    pub receive_errors: bool,
    /// IP_BIND_ADDRESS_NO_PORT: bind to port 0 leaves the port to connect or listen.
    pub bind_address_no_port: bool,
    /// IP_MINTTL: what came from farther away is not taken.
    pub min_ttl: u8,
    /// IP_UNICAST_IF.
    pub unicast_port: Option<PortId>,
}

impl Default for IpSettings {
    fn default() -> Self {
        IpSettings {
            tos: 0,
            ttl: None,
            mtu_discover: IP_PMTUDISC_WANT,
            packet_info: false,
            receive_ttl: false,
            receive_tos: false,
            receive_errors: false,
            bind_address_no_port: false,
            min_ttl: 0,
            unicast_port: None,
        }
    }
}

impl IpSettings {
    pub(super) fn set(&mut self, stream: bool, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        // Nothing at all is 0, but not for all.
        let value = if bytes.is_empty() && !matches!(name, IP_TTL | IP_MINTTL) { 0 } else { read_int_or_byte(bytes)? };
        match name {
            // The two bits of ECN belong to TCP.
            IP_TOS if stream => self.tos = (value as u8 & !0b11) | (self.tos & 0b11),
            IP_TOS => self.tos = value as u8,
            IP_TTL if value == -1 => self.ttl = None,
            IP_TTL => self.ttl = Some(within(value, 1, 255)? as u8),
            IP_MTU_DISCOVER => self.mtu_discover = within(value, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT)?,
            IP_MINTTL => self.min_ttl = within(value, 0, 255)? as u8,
            IP_RECVERR => self.receive_errors = value != 0,
            IP_PKTINFO => self.packet_info = value != 0,
            IP_RECVTTL => self.receive_ttl = value != 0,
            IP_RECVTOS => self.receive_tos = value != 0,
            IP_BIND_ADDRESS_NO_PORT => self.bind_address_no_port = value != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    pub(super) fn value(&self, name: i32) -> Result<i32, Errno> {
        Ok(match name {
            IP_TOS => self.tos.into(),
            IP_TTL => self.ttl.map_or(TTL, i32::from),
            IP_MTU_DISCOVER => self.mtu_discover,
            IP_PKTINFO => self.packet_info.into(),
            IP_RECVTTL => self.receive_ttl.into(),
            IP_RECVTOS => self.receive_tos.into(),
            IP_RECVERR => self.receive_errors.into(),
            IP_BIND_ADDRESS_NO_PORT => self.bind_address_no_port.into(),
            IP_MINTTL => self.min_ttl.into(),
            IP_UNICAST_IF => network_order(self.unicast_port),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

/// What getsockopt copies of a value to a buffer of `len` bytes: at the IP level a number that fits into a byte is one, where there is no room for an
/// int. Some are given whole or not at all.
pub fn cut_value(level: i32, name: i32, mut value: Vec<u8>, len: usize) -> Result<Vec<u8>, Errno> {
    match (level, name) {
        (SOL_SOCKET, SO_COOKIE) if len < value.len() => return Err(Errno::EINVAL),
        // No more may be asked for than there is.
        (SOL_SOCKET, SO_PEERNAME) if len > value.len() => return Err(Errno::EINVAL),
        _ => {}
    }
    let number = value.first_chunk().map(|&bytes| i32::from_ne_bytes(bytes));
    if level == IPPROTO_IP
        && !matches!(name, IP_OPTIONS | IP_MULTICAST_IF)
        && value.len() == 4
        && (1..4).contains(&len)
        && let Some(number @ 0..=255) = number
    {
        return Ok(vec![number as u8]);
    }
    value.truncate(len);
    Ok(value)
}

// Linux man page ip(7).
