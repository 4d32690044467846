//! Raw and echo sockets: how they are opened, what can be set on them alone, and their options as the stack has them.
//!
//! `ICMP_FILTER` is for raw sockets of ICMP, `ICMP6_FILTER` for those of ICMPv6, `IP_HDRINCL`, `IPV6_HDRINCL` and `IPV6_CHECKSUM` for all raw
//! sockets of their family; elsewhere they are refused, as Linux refuses them.
//!
//! `IP_ROUTER_ALERT` and `IPV6_ROUTER_ALERT` ask for packets with a router alert that are on their way through. A host forwards nothing, so nothing
//! ever comes of them, here as on Linux without forwarding; what is kept is who has asked, because nobody may ask twice.
//!
//! # Standards
//!
//! Linux raw(7), icmp(7), ip(7), ipv6(7); RFC 3542 §3; RFC 2113, RFC 2711.

use sockeye_stack::raw::{Filter, Kind, Options};
use sockeye_stack::{Stack, raw};

use crate::errno::Errno;
use crate::host::Socket;
use crate::names::*;
use crate::settings::{Switch, int, read_int, read_int_or_byte};

/// Linux's: no protocol has this number, nor a greater one.
const IPPROTO_MAX: i32 = 263;

/// What a raw or an echo socket has besides other options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSettings {
    /// What it is for.
    pub kind: Kind,
    /// IP_HDRINCL, IPV6_HDRINCL.
    pub header_included: bool,
    /// IPV6_CHECKSUM.
    pub checksum_offset: Option<u32>,
    /// ICMP_FILTER, ICMP6_FILTER.
    pub filter: Filter,
    /// IP_ROUTER_ALERT, IPV6_ROUTER_ALERT.
    pub router_alert: RouterAlert,
}

/// Whether packets that tell routers to look at them are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterAlert {
    /// They are.
    asked: bool,
    /// What reads back, which of IPv6 is whether the last value was 0.
    told: bool,
}

impl RawSettings {
    /// Of a fresh socket; none if there are no such sockets.
    pub(crate) fn new(ipv6: bool, kind: i32, protocol: i32) -> Result<RawSettings, Errno> {
        if !(0..IPPROTO_MAX).contains(&protocol) {
            return Err(Errno::EINVAL);
        }
        let kind = match (kind, u8::try_from(protocol), ipv6) {
            (SOCK_DGRAM, Ok(1), false) | (SOCK_DGRAM, Ok(58), true) => Kind::Echo,
            (SOCK_RAW, Ok(protocol @ 1..), _) => Kind::Protocol(protocol),
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        let checksum_offset = match kind {
            Kind::Protocol(58) if ipv6 => Some(2),
            // RFC 6275, 6.1.1: mobility's.
            Kind::Protocol(135) if ipv6 => Some(4),
            _ => None,
        };
        let header_included = kind == Kind::Protocol(IPPROTO_RAW);
        let (filter, router_alert) = (Filter::default(), RouterAlert::default());
        Ok(RawSettings { kind, header_included, checksum_offset, filter, router_alert })
    }

    /// The socket's protocol.
    pub(crate) fn protocol(&self, ipv6: bool) -> i32 {
        match self.kind {
            Kind::Protocol(protocol) => protocol.into(),
            Kind::Echo if ipv6 => IPPROTO_ICMPV6,
            Kind::Echo => IPPROTO_ICMP,
        }
    }

    /// True for a raw socket, false for an echo socket.
    pub fn is_raw(&self) -> bool {
        self.kind != Kind::Echo
    }

    /// setsockopt, where the option is one of these.
    pub(crate) fn set(&mut self, ipv6: bool, level: i32, name: i32, bytes: &[u8]) -> Option<Result<(), Errno>> {
        if !self.is_raw() {
            return None;
        }
        Some(match (level, name) {
            // It could speak one family only anyway.
            (IPPROTO_IPV6, IPV6_V6ONLY) if ipv6 => Err(Errno::EINVAL),
            (IPPROTO_IP, IP_HDRINCL) if !ipv6 => flag(bytes).map(|on| self.header_included = on),
            (IPPROTO_IPV6, IPV6_HDRINCL) if ipv6 => read_int(bytes).map(|value| self.header_included = value != 0),
            (IPPROTO_IPV6 | SOL_RAW, IPV6_CHECKSUM) if ipv6 => self.set_checksum(level, bytes),
            (IPPROTO_IP, IP_ROUTER_ALERT) if !ipv6 => self.set_router_alert_v4(bytes),
            (IPPROTO_IPV6, IPV6_ROUTER_ALERT) if ipv6 => self.set_router_alert_v6(bytes),
            (SOL_RAW, ICMP_FILTER) if !ipv6 => self.set_filter(IPPROTO_ICMP, 4, bytes),
            (IPPROTO_ICMPV6, ICMP6_FILTER) if ipv6 => self.set_filter(IPPROTO_ICMPV6, 32, bytes),
            _ => return None,
        })
    }

    /// getsockopt, where the option is one of these.
    pub(crate) fn value(&self, ipv6: bool, level: i32, name: i32) -> Option<Result<Vec<u8>, Errno>> {
        if !self.is_raw() {
            return None;
        }
        Some(match (level, name) {
            (IPPROTO_IP, IP_HDRINCL) if !ipv6 => Ok(int(self.header_included.into())),
            (IPPROTO_IPV6, IPV6_HDRINCL) if ipv6 => Ok(int(self.header_included.into())),
            (IPPROTO_IPV6 | SOL_RAW, IPV6_CHECKSUM) if ipv6 => {
                Ok(int(self.checksum_offset.map_or(-1, u32::cast_signed)))
            }
            (IPPROTO_IP, IP_ROUTER_ALERT) if !ipv6 => Ok(int(self.router_alert.told.into())),
            (IPPROTO_IPV6, IPV6_ROUTER_ALERT) if ipv6 => Ok(int(self.router_alert.told.into())),
            (SOL_RAW, ICMP_FILTER) if !ipv6 => self.filter(IPPROTO_ICMP, 4),
            (IPPROTO_ICMPV6, ICMP6_FILTER) if ipv6 => self.filter(IPPROTO_ICMPV6, 32),
            _ => return None,
        })
    }

    fn set_checksum(&mut self, level: i32, bytes: &[u8]) -> Result<(), Errno> {
        let value = read_int(bytes)?;
        // RFC 3542, 3.1: ICMPv6 has its own at its own place.
        if level == IPPROTO_IPV6 && self.kind == Kind::Protocol(58) || value > 0 && value & 1 == 1 {
            return Err(Errno::EINVAL);
        }
        self.checksum_offset = u32::try_from(value).ok();
        Ok(())
    }

    /// Any value but 0 asks, on sockets of any protocol that is not all of them.
    fn set_router_alert_v4(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let asks = flag(bytes)?;
        if self.number() == IPPROTO_RAW {
            return Err(Errno::EINVAL);
        }
        self.ask_for_alerts(asks, asks)
    }

    /// The value is the kind of alert, less than 0 none; for IPPROTO_RAW.
    fn set_router_alert_v6(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let kind = read_int(bytes)?;
        if self.number() != IPPROTO_RAW {
            return Err(Errno::ENOPROTOOPT);
        }
        self.ask_for_alerts(kind >= 0, kind != 0)
    }

    fn ask_for_alerts(&mut self, asks: bool, told: bool) -> Result<(), Errno> {
        if self.router_alert.asked == asks {
            return Err(if asks { Errno::EADDRINUSE } else { Errno::ENOBUFS });
        }
        self.router_alert = RouterAlert { asked: asks, told };
        Ok(())
    }

    /// A filter that is shorter than the whole changes its beginning.
    fn set_filter(&mut self, protocol: i32, len: usize, bytes: &[u8]) -> Result<(), Errno> {
        let mut whole = self.filter(protocol, len)?;
        let count = bytes.len().min(len);
        whole[..count].copy_from_slice(&bytes[..count]);
        for (word, bytes) in self.filter.0.iter_mut().zip(whole.chunks_exact(4)) {
            *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ok(())
    }

    fn filter(&self, protocol: i32, len: usize) -> Result<Vec<u8>, Errno> {
        if i32::from(self.number()) != protocol {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(self.filter.0.iter().flat_map(|word| word.to_ne_bytes()).take(len).collect())
    }

    fn number(&self) -> u8 {
        match self.kind {
            Kind::Protocol(protocol) => protocol,
            Kind::Echo => 0,
        }
    }
}

/// All protocols, of which the program makes the headers.
const IPPROTO_RAW: u8 = 255;

fn flag(bytes: &[u8]) -> Result<bool, Errno> {
    // Nothing at all is 0.
    if bytes.is_empty() { Ok(false) } else { read_int_or_byte(bytes).map(|value| value != 0) }
}

/// Hands the settings down to the stack.
pub(crate) fn apply(stack: &mut Stack, id: raw::SocketId, socket: &Socket) {
    let settings = &socket.settings;
    let Some(raw) = settings.raw else { return };
    let own = Options::default();
    let groups = socket.groups.options[usize::from(settings.ipv6.is_some())];
    let options = Options {
        receive_buffer: settings
            .receive_buffer
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(own.receive_buffer),
        family: socket.family_options(stack)[usize::from(settings.ipv6.is_some())],
        tells_path_mtu: settings.advanced.is_on(Switch::PATH_MTU),
        groups,
        member: socket.groups.member,
        broadcast: settings.broadcast,
        to_neighbors: settings.dont_route,
        foreign: settings.advanced.is_on(Switch::FOREIGN),
        binds_anywhere: settings.binds_anywhere(),
        device: socket.device,
        reuse_address: settings.reuse_address,
        header_included: raw.header_included,
        // No packet is longer; a place beyond it is refused when something is sent.
        checksum_offset: raw.checksum_offset.map(|at| u16::try_from(at).unwrap_or(u16::MAX)),
        filter: raw.filter,
        keeps_headers: settings.advanced.wants_headers(),
    };
    stack.raw_set_options(id, options);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(ipv6: bool, protocol: i32) -> RawSettings {
        RawSettings::new(ipv6, SOCK_RAW, protocol).unwrap()
    }

    #[test]
    fn what_linux_has_no_socket_for_is_refused() {
        for (ipv6, kind, protocol) in [
            (false, SOCK_RAW, 0),
            (false, SOCK_RAW, 256),
            (false, SOCK_DGRAM, 58),
            (true, SOCK_DGRAM, 1),
            (true, SOCK_DGRAM, 2),
        ] {
            assert_eq!(RawSettings::new(ipv6, kind, protocol), Err(Errno::EPROTONOSUPPORT), "{ipv6} {kind} {protocol}");
        }
        for protocol in [-1, IPPROTO_MAX, i32::MAX] {
            assert_eq!(RawSettings::new(false, SOCK_RAW, protocol), Err(Errno::EINVAL), "{protocol}");
        }
        assert_eq!(RawSettings::new(true, SOCK_DGRAM, 58).map(|raw| raw.kind), Ok(Kind::Echo));
        assert!(raw(false, 255).header_included && raw(true, 255).header_included && !raw(false, 1).header_included);
    }

    #[test]
    fn filters_belong_to_their_protocol() {
        let mut icmp = raw(false, 1);
        let all = !0u32;
        assert_eq!(icmp.set(false, SOL_RAW, ICMP_FILTER, &(all - 1).to_ne_bytes()), Some(Ok(())));
        assert!(!icmp.filter.blocks(0) && icmp.filter.blocks(8) && icmp.filter.blocks(31));
        assert_eq!(icmp.value(false, SOL_RAW, ICMP_FILTER), Some(Ok((all - 1).to_ne_bytes().to_vec())));
        assert_eq!(raw(false, 6).set(false, SOL_RAW, ICMP_FILTER, &[0; 4]), Some(Err(Errno::EOPNOTSUPP)));
        let mut icmpv6 = raw(true, 58);
        assert_eq!(icmpv6.set(true, IPPROTO_ICMPV6, ICMP6_FILTER, &[0xff; 40]), Some(Ok(())));
        assert!(icmpv6.filter.blocks(0) && icmpv6.filter.blocks(255));
        assert_eq!(icmpv6.set(true, IPPROTO_ICMPV6, ICMP6_FILTER, &[0; 16]), Some(Ok(())));
        assert!(!icmpv6.filter.blocks(127) && icmpv6.filter.blocks(128));
        assert_eq!(icmpv6.set(true, SOL_RAW, ICMP_FILTER, &[0; 4]), None);
    }

    #[test]
    fn checksums_have_even_places_and_icmpv6_its_own() {
        let set = |raw: &mut RawSettings, level, value: i32| raw.set(true, level, IPV6_CHECKSUM, &value.to_ne_bytes());
        let mut some = raw(true, 89);
        assert_eq!(some.value(true, IPPROTO_IPV6, IPV6_CHECKSUM), Some(Ok(int(-1))));
        assert_eq!(set(&mut some, IPPROTO_IPV6, 12), Some(Ok(())));
        assert_eq!(some.checksum_offset, Some(12));
        assert_eq!(set(&mut some, IPPROTO_IPV6, 3), Some(Err(Errno::EINVAL)));
        assert_eq!(set(&mut some, IPPROTO_IPV6, -1), Some(Ok(())));
        assert_eq!(some.checksum_offset, None);
        let mut icmpv6 = raw(true, 58);
        assert_eq!(set(&mut icmpv6, IPPROTO_IPV6, 2), Some(Err(Errno::EINVAL)));
        assert_eq!(icmpv6.value(true, IPPROTO_IPV6, IPV6_CHECKSUM), Some(Ok(int(2))));
    }

    #[test]
    fn the_header_is_the_programs_on_raw_sockets_only() {
        let mut echo = RawSettings::new(false, SOCK_DGRAM, 1).unwrap();
        assert_eq!(echo.set(false, IPPROTO_IP, IP_HDRINCL, &1i32.to_ne_bytes()), None);
        let mut v4 = raw(false, 1);
        assert_eq!(v4.set(false, IPPROTO_IP, IP_HDRINCL, &[1]), Some(Ok(())));
        assert!(v4.header_included);
        assert_eq!(v4.set(false, IPPROTO_IPV6, IPV6_HDRINCL, &[1, 0, 0, 0]), None);
    }

    #[test]
    fn routers_alerts_are_asked_for_once() {
        let set = |raw: &mut RawSettings, value: i32| {
            let v6 = raw.number() == IPPROTO_RAW;
            let (level, name) = if v6 { (IPPROTO_IPV6, IPV6_ROUTER_ALERT) } else { (IPPROTO_IP, IP_ROUTER_ALERT) };
            let outcome = raw.set(v6, level, name, &value.to_ne_bytes()).unwrap();
            (outcome, raw.value(v6, level, name).unwrap().unwrap()[0])
        };
        let mut v4 = raw(false, 253);
        assert_eq!(set(&mut v4, 0), (Err(Errno::ENOBUFS), 0));
        assert_eq!(set(&mut v4, -1), (Ok(()), 1));
        assert_eq!(set(&mut v4, 2), (Err(Errno::EADDRINUSE), 1));
        assert_eq!(set(&mut v4, 0), (Ok(()), 0));
        let mut v6 = raw(true, 255);
        assert_eq!(set(&mut v6, -1), (Err(Errno::ENOBUFS), 0));
        assert_eq!(set(&mut v6, 0), (Ok(()), 0));
        assert_eq!(set(&mut v6, 0), (Err(Errno::EADDRINUSE), 0));
        // As on Linux, what reads back is not whether they are asked for.
        assert_eq!(set(&mut v6, -1), (Ok(()), 1));
        assert_eq!(raw(false, 255).set(false, IPPROTO_IP, IP_ROUTER_ALERT, &[1]), Some(Err(Errno::EINVAL)));
        let elsewhere = raw(true, 58).set(true, IPPROTO_IPV6, IPV6_ROUTER_ALERT, &[0; 4]);
        assert_eq!(elsewhere, Some(Err(Errno::ENOPROTOOPT)));
    }
}
