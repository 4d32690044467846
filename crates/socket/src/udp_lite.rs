//! What only sockets of UDP-Lite have: how much of a datagram its checksum covers.
//!
//! # Standards
//!
//! RFC 3828; Linux udplite(7).

use sockeye_stack::{Bind, BindError, Stack, udp};

use crate::errno::Errno;
use crate::host::{Host, SocketId};
use crate::names::*;
use crate::settings::{Settings, int, read_int};

/// The shortest coverage: a header.
const SHORTEST: i32 = 8;

/// What was set of it; nothing until it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpLiteSettings {
    /// UDPLITE_SEND_CSCOV: so many bytes are covered; 0: all.
    pub send_coverage: Option<u16>,
    /// UDPLITE_RECV_CSCOV: at least so many must be; 0: all.
    pub receive_coverage: Option<u16>,
}

impl UdpLiteSettings {
    fn set(&mut self, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        let coverage = match read_int(bytes)? {
            0 => 0,
            value => value.clamp(SHORTEST, u16::MAX.into()) as u16,
        };
        match name {
            UDPLITE_SEND_CSCOV => self.send_coverage = Some(coverage),
            _ => self.receive_coverage = Some(coverage),
        }
        Ok(())
    }

    fn value(self, name: i32) -> u16 {
        let coverage = if name == UDPLITE_SEND_CSCOV { self.send_coverage } else { self.receive_coverage };
        coverage.unwrap_or(0)
    }
}

impl Host {
    /// True for a socket of UDP-Lite.
    pub fn is_udp_lite(&self, id: SocketId) -> bool {
        self.settings(id).is_some_and(|settings| settings.udp_lite.is_some())
    }
}

/// What stands behind a datagram socket with these settings.
pub(crate) fn open_datagram(stack: &mut Stack, settings: &Settings, wish: &Bind) -> Result<udp::SocketId, BindError> {
    if settings.udp_lite.is_some() { stack.udp_lite_open(wish) } else { stack.udp_open(wish) }
}

/// setsockopt, where the option is one of these. A socket of UDP has none of them.
pub(crate) fn set(own: Option<&mut UdpLiteSettings>, level: i32, name: i32, bytes: &[u8]) -> Option<Result<(), Errno>> {
    is_one(level, name).then(|| match own {
        Some(own) => own.set(name, bytes),
        None => Err(Errno::ENOPROTOOPT),
    })
}

/// getsockopt, where the option is one of these. UDP may be asked, too, as on Linux.
pub(crate) fn value(own: Option<UdpLiteSettings>, level: i32, name: i32) -> Option<Vec<u8>> {
    is_one(level, name).then(|| int(own.unwrap_or_default().value(name).into()))
}

fn is_one(level: i32, name: i32) -> bool {
    level == IPPROTO_UDP && matches!(name, UDPLITE_SEND_CSCOV | UDPLITE_RECV_CSCOV)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Privilege;

    #[test]
    fn coverages_are_as_on_linux() {
        let mut lite = Settings { udp_lite: Some(UdpLiteSettings::default()), ..Settings::default() };
        for name in [UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV] {
            for (asked, kept) in [(-1, 8), (0, 0), (1, 8), (7, 8), (8, 8), (9, 9), (65_535, 65_535), (70_000, 65_535)] {
                for level in [IPPROTO_UDP, IPPROTO_UDPLITE] {
                    lite.set(false, Privilege::User, level, name, &i32::to_ne_bytes(asked)).unwrap();
                    assert_eq!(lite.value(false, IPPROTO_UDPLITE, name), Ok(int(kept)), "{asked}");
                }
            }
            assert_eq!(lite.set(false, Privilege::User, IPPROTO_UDPLITE, name, &[9]), Err(Errno::EINVAL));
        }
        let all = UdpLiteSettings { send_coverage: Some(65_535), receive_coverage: Some(65_535) };
        assert_eq!(lite.udp_lite, Some(all));
    }

    #[test]
    fn what_udp_has_not() {
        let mut udp = Settings::default();
        for level in [IPPROTO_UDP, IPPROTO_UDPLITE] {
            let refused = udp.set(false, Privilege::User, level, UDPLITE_SEND_CSCOV, &int(9));
            assert_eq!(refused, Err(Errno::ENOPROTOOPT));
            assert_eq!(udp.value(false, level, UDPLITE_RECV_CSCOV), Ok(int(0)));
            assert_eq!(udp.value(true, level, UDPLITE_RECV_CSCOV), Err(Errno::EOPNOTSUPP), "a stream");
        }
        // The two levels are one.
        udp.set(false, Privilege::User, IPPROTO_UDPLITE, UDP_SEGMENT, &int(500)).unwrap();
        assert_eq!(udp.value(false, IPPROTO_UDP, UDP_SEGMENT), Ok(int(500)));
    }
}
