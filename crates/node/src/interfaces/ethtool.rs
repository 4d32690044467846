//! `SIOCETHTOOL`: what a program may want to know of a card.
//!
//! A device of the node's is no card. It knows its driver (the node), whether the link is there, that its speed is
//! unknown, and which work frames may leave to it; libpcap asks the last to learn how long a frame can become. What nobody
//! can know is EOPNOTSUPP, as drivers answer that do not implement it.
//!
//! # Standards
//!
//! `linux/ethtool.h`, whose structures these are; `dev_ethtool` for who may ask what.

use sockeye_socket::{Errno, Privilege};

use super::{Interface, ioctl::padded};
use crate::requests::Refusal;

const GSET: u32 = 0x01;
const GDRVINFO: u32 = 0x03;
const GLINK: u32 = 0x0a;
const GRXCSUM: u32 = 0x14;
const GTXCSUM: u32 = 0x16;
const GSG: u32 = 0x18;
const GTSO: u32 = 0x1e;
const GPERMADDR: u32 = 0x20;
const GUFO: u32 = 0x21;
const GGSO: u32 = 0x23;
const GFLAGS: u32 = 0x25;
const GGRO: u32 = 0x2b;
const GET_TS_INFO: u32 = 0x41;
const GLINKSETTINGS: u32 = 0x4c;

/// Other questions that everybody may ask, and nobody here can answer.
const UNKNOWN: &[u32] = &[
    0x07, // GMSGLVL
    0x0e, // GCOALESCE
    0x10, // GRINGPARAM
    0x12, // GPAUSEPARAM
    0x1b, // GSTRINGS
    0x1d, // GSTATS
    0x27, // GPFLAGS
    0x29, // GRXFH
    0x2d, // GRXRINGS
    0x2e, // GRXCLSRLCNT
    0x2f, // GRXCLSRULE
    0x30, // GRXCLSRLALL
    0x37, // GSSET_INFO
    0x38, // GRXFHINDIR
    0x3a, // GFEATURES
    0x3c, // GCHANNELS
    0x44, // GEEE
    0x46, // GRSSH
    0x48, // GTUNABLE
    0x4a, // GPHYSTATS
    0x4e, // PHY_GTUNABLE
    0x50, // GFECPARAM
];

/// SPEED_UNKNOWN, DUPLEX_UNKNOWN, PORT_OTHER.
const SPEED: u32 = u32::MAX;
const DUPLEX: u8 = 0xff;
const PORT: u8 = 0xff;
/// Words in which link modes are told.
const MODE_WORDS: i8 = 4;

/// Answers a command: the structure that it fills.
pub(super) fn perform(interface: &Interface, who: Privilege, argument: &[u8]) -> Result<Vec<u8>, Refusal> {
    let Some((&command, rest)) = argument.split_first_chunk() else { return Err(Errno::EINVAL.into()) };
    let command = u32::from_ne_bytes(command);
    let refuse = |errno: Errno, reason: String| Err(Refusal { errno, reason });
    let unable = || refuse(Errno::EOPNOTSUPP, format!("{} has nothing of ethtool's {command:#x}", interface.name));
    let value = |value: bool| Ok([command.to_ne_bytes(), u32::from(value).to_ne_bytes()].concat());
    match command {
        GLINK => value(interface.is_running()),
        GRXCSUM | GSG | GGSO | GGRO => value(true),
        GTXCSUM => value(interface.capabilities.checksum),
        GTSO => value(interface.capabilities.tcp_v4),
        GUFO | GFLAGS => value(false),
        GPERMADDR => {
            let room = rest.first_chunk().map_or(0, |&size| u32::from_ne_bytes(size));
            if room < 6 {
                // ETOOSMALL, which is the kernel's own.
                return refuse(
                    Errno::from_raw(525).unwrap_or(Errno::EINVAL),
                    "a hardware address has six bytes".to_owned(),
                );
            }
            Ok([&command.to_ne_bytes(), &6_u32.to_ne_bytes(), &interface.mac.0[..]].concat())
        }
        GET_TS_INFO => {
            // Software's time of arrival; no clock of a card.
            let mut info = [0; 44];
            info[..4].copy_from_slice(&command.to_ne_bytes());
            info[4..8].copy_from_slice(&(0x8_u32 | 0x10).to_ne_bytes());
            info[8..12].copy_from_slice(&(-1_i32).to_ne_bytes());
            Ok(info.to_vec())
        }
        _ if interface.is_loopback() && matches!(command, GSET | GDRVINFO | GLINKSETTINGS) => unable(),
        GDRVINFO => {
            let mut info = [0; 196];
            info[..4].copy_from_slice(&command.to_ne_bytes());
            info[4..20].copy_from_slice(&padded("sockeye"));
            info[36..52].copy_from_slice(&padded(env!("CARGO_PKG_VERSION")));
            Ok(info.to_vec())
        }
        GSET => {
            let mut settings = [0; 44];
            settings[..4].copy_from_slice(&command.to_ne_bytes());
            settings[12..14].copy_from_slice(&(SPEED as u16).to_ne_bytes());
            (settings[14], settings[15]) = (DUPLEX, PORT);
            settings[28..30].copy_from_slice(&((SPEED >> 16) as u16).to_ne_bytes());
            Ok(settings.to_vec())
        }
        GLINKSETTINGS => {
            // How many words is agreed on first: who asks for another number is told ours, negative.
            let words = rest.get(11).map_or(0, |&byte| byte as i8);
            let mut settings = vec![0; 48];
            settings[..4].copy_from_slice(&command.to_ne_bytes());
            if words != MODE_WORDS {
                settings[15] = (-MODE_WORDS) as u8;
                return Ok(settings);
            }
            settings[4..8].copy_from_slice(&SPEED.to_ne_bytes());
            (settings[8], settings[9], settings[15]) = (DUPLEX, PORT, MODE_WORDS as u8);
            // Supported, advertised, and the peer's: none.
            settings.resize(48 + 3 * 4 * MODE_WORDS as usize, 0);
            Ok(settings)
        }
        _ if UNKNOWN.contains(&command) || who == Privilege::Administrator => unable(),
        _ => refuse(Errno::EPERM, "only root and the node's own user may change interfaces".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, tests::host};
    use crate::ports::Ports;
    use sockeye_device::Instant;

    #[test]
    fn link_settings_are_agreed_on_in_two_steps() {
        let interface = &interfaces(Instant::ZERO, &host(), &Ports::default())[1];
        let mut request = [0; 48];
        request[..4].copy_from_slice(&GLINKSETTINGS.to_ne_bytes());
        let first = perform(interface, Privilege::User, &request).expect("an answer");
        assert_eq!((first.len(), first[15] as i8), (48, -MODE_WORDS));
        request[15] = -(first[15] as i8) as u8;
        let second = perform(interface, Privilege::User, &request).expect("an answer");
        assert_eq!((second.len(), &second[4..8]), (96, &[0xff; 4][..]));
    }

    #[test]
    fn who_may_not_change_is_told_so_and_who_may_that_it_cannot_be() {
        let interface = &interfaces(Instant::ZERO, &host(), &Ports::default())[1];
        let errno = |who, command: u32| perform(interface, who, &command.to_ne_bytes()).expect_err("refused").errno;
        // SSET, STSO; GSTATS.
        for change in [2, 0x1f] {
            assert_eq!(errno(Privilege::User, change), Errno::EPERM);
            assert_eq!(errno(Privilege::Administrator, change), Errno::EOPNOTSUPP);
        }
        assert_eq!(errno(Privilege::User, 0x1d), Errno::EOPNOTSUPP);
        assert_eq!(perform(interface, Privilege::User, &[1, 0]).expect_err("short").errno, Errno::EINVAL);
    }
}
