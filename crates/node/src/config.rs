//! What a node is told before it starts: by the command line, by a file, or by a program that embeds it.
//!
//! A file is TOML. `docs/node.toml` has every key, with what holds where a file does not say it; the tests read it.
//!
//! Whatever is not known is refused, so that a misspelt key is not silently nothing. Each value is read into its type
//! at this edge (a prefix, an address, a MAC), and an error names file, line and key.

mod icmp;
mod ipv6;

pub use ipv6::default as usual_ipv6;

use core::fmt;
use core::str::FromStr;
use std::collections::HashSet;
use std::io::Read;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use sockeye_device::MacChoice;
use sockeye_stack::{ErrorRates, autoconf};
use sockeye_wire::IpPrefix;
use sockeye_wire::ethernet::MacAddr;

use crate::error::Error;

/// More is no configuration.
const MOST: u64 = 1 << 20;

/// A node's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it stands on; at least one.
    pub interfaces: Vec<Interface>,
    /// Default routers.
    pub gateways: Vec<IpAddr>,
    /// Name servers; where there are none, those of `/etc/resolv.conf`.
    pub dns: Vec<IpAddr>,
    /// Where the control socket shall be.
    pub control: PathBuf,
    /// Whether two programs on the node that connect to each other get a pair of their own, so that their bytes pass the
    /// node no more, and no packet is to be seen. On unless it is turned off.
    pub local_shortcut: bool,
    /// Whether redirects of the router in use are followed. They are unless it is turned off.
    pub redirects: bool,
    /// How far packets go where neither a program nor a router says: the time to live, or hop limit.
    pub ttl: NonZeroU8,
    /// What interfaces do by themselves, if anything: addresses of IPv6, routers, name servers.
    pub ipv6: Option<autoconf::Settings>,
    /// Names of interfaces that choose an IPv4 address of 169.254/16 themselves (RFC 3927).
    pub link_local: Vec<String>,
    /// How many errors of ICMP the node sends.
    pub error_rates: ErrorRates,
    /// How much programs may take.
    pub limits: Limits,
}

/// An interface that the node stands on.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: String,
    /// The node's addresses on it.
    pub addresses: Vec<IpPrefix>,
    /// The node's own link address there.
    pub mac: MacChoice,
    /// How frames are had.
    pub driver: Driver,
}

/// How frames are had from an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Driver {
    /// A packet socket on an interface that exists.
    #[default]
    Packet,
    /// A TAP interface, made if it does not exist.
    Tap,
    /// An XDP socket.
    Xdp,
}

/// What programs may take. A node never gives more, however much it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets of all programs together. Also bounded by the descriptors that the kernel lets the node have.
    pub sockets: usize,
    /// Sockets of one user. Root has no limit but `sockets`.
    pub sockets_per_user: usize,
    /// Connections to the control socket at once.
    pub clients: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { sockets: 262_144, sockets_per_user: 131_072, clients: 4_096 }
    }
}

impl Config {
    /// No interface, no gateway, the given control path, and the limits that suit most.
    pub fn new(control: impl Into<PathBuf>) -> Self {
        Config {
            interfaces: Vec::new(),
            gateways: Vec::new(),
            dns: Vec::new(),
            control: control.into(),
            local_shortcut: true,
            redirects: true,
            ttl: NonZeroU8::new(64).unwrap_or(NonZeroU8::MAX),
            ipv6: ipv6::default(),
            link_local: Vec::new(),
            error_rates: ErrorRates::default(),
            limits: Limits::default(),
        }
    }

    /// Adds what `file` says. Lists grow; a control path and limits in the file replace those that stand here.
    pub fn load(&mut self, file: &Path) -> Result<(), Error> {
        let refused = |what: String| Error::Config { file: file.into(), line: None, what };
        let mut text = String::new();
        let read = std::fs::File::open(file).and_then(|opened| opened.take(MOST).read_to_string(&mut text));
        match read.map_err(|error| refused(error.to_string()))? {
            len if len as u64 == MOST => {
                Err(refused("it is longer than the 1,048,575 bytes that a configuration can have".to_owned()))
            }
            _ => self.parse(file, &text),
        }
    }

    fn parse(&mut self, file: &Path, text: &str) -> Result<(), Error> {
        let File { control, gateways, dns, local_shortcut, redirects, ttl, interface, ipv6, icmp, limits } =
            toml::from_str(text).map_err(|error| locate(file, text, &error))?;
        if let Some(control) = control {
            self.control = control;
        }
        self.local_shortcut = local_shortcut.unwrap_or(self.local_shortcut);
        self.redirects = redirects.unwrap_or(self.redirects);
        self.ttl = ttl.map_or(self.ttl, |Hops(ttl)| ttl);
        self.gateways.extend(gateways.into_iter().map(|Parsed(address)| address));
        self.dns.extend(dns.into_iter().map(|Parsed(address)| address));
        if let Some(twice) = twice(&interface) {
            let line = text.lines().enumerate().filter(|(_, line)| line.contains(&twice.to_string())).last();
            let what = format!("addresses: {twice} is given twice; leave one of the two out");
            return Err(Error::Config { file: file.into(), line: line.map(|(index, _)| index + 1), what });
        }
        let chosen = interface.iter().filter(|table| table.link_local);
        self.link_local.extend(chosen.map(|table| table.name.clone()));
        self.interfaces.extend(interface.into_iter().map(
            |InterfaceTable { name, addresses, mac, driver, link_local: _ }| Interface {
                name,
                addresses: addresses.into_iter().map(|Parsed(prefix)| prefix).collect(),
                mac: mac.0,
                driver: driver.0,
            },
        ));
        if let Some(table) = ipv6 {
            self.ipv6 = table.settings();
        }
        icmp.apply(&mut self.error_rates);
        let LimitsTable { sockets, sockets_per_user, clients } = limits;
        for (limit, said) in [
            (&mut self.limits.sockets, sockets),
            (&mut self.limits.sockets_per_user, sockets_per_user),
            (&mut self.limits.clients, clients),
        ] {
            *limit = said.map_or(*limit, |Count(count)| count);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    control: Option<PathBuf>,
    #[serde(default)]
    gateways: Vec<Parsed<IpAddr>>,
    #[serde(default)]
    dns: Vec<Parsed<IpAddr>>,
    local_shortcut: Option<bool>,
    redirects: Option<bool>,
    ttl: Option<Hops>,
    #[serde(default)]
    interface: Vec<InterfaceTable>,
    ipv6: Option<ipv6::Table>,
    #[serde(default)]
    icmp: icmp::Table,
    #[serde(default)]
    limits: LimitsTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceTable {
    name: String,
    #[serde(default)]
    addresses: Vec<Parsed<IpPrefix>>,
    #[serde(default)]
    mac: MacWord,
    #[serde(default)]
    driver: DriverWord,
    #[serde(default)]
    link_local: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    sockets: Option<Count>,
    sockets_per_user: Option<Count>,
    clients: Option<Count>,
}

/// A value that stands in the file as a string.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Parsed).map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
    }
}

/// How many there may be: somebody at least.
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            number @ 1.. => Ok(Count(usize::try_from(number).unwrap_or(usize::MAX))),
            number => Err(serde::de::Error::custom(format!("{number} lets no program in; it is 1 or more"))),
        }
    }
}

struct Hops(NonZeroU8);

impl<'de> Deserialize<'de> for Hops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let hops = u8::try_from(number).ok().and_then(NonZeroU8::new);
        hops.map(Hops).ok_or_else(|| serde::de::Error::custom(format!("{number} is not from 1 to 255")))
    }
}

struct MacWord(MacChoice);

impl Default for MacWord {
    fn default() -> Self {
        MacWord(MacChoice::Auto)
    }
}

impl<'de> Deserialize<'de> for MacWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let choice = match text.as_str() {
            "auto" => MacChoice::Auto,
            "inherit" => MacChoice::Inherit,
            _ => MacChoice::Fixed(text.parse::<MacAddr>().map_err(|_| {
                serde::de::Error::custom(format!("{text:?} is neither \"auto\" nor \"inherit\" nor a MAC address"))
            })?),
        };
        Ok(MacWord(choice))
    }
}

#[derive(Default)]
struct DriverWord(Driver);

impl<'de> Deserialize<'de> for DriverWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "packet" => Ok(DriverWord(Driver::Packet)),
            "tap" => Ok(DriverWord(Driver::Tap)),
            "xdp" => Ok(DriverWord(Driver::Xdp)),
            _ => Err(serde::de::Error::custom(format!("{text:?} is neither \"packet\" nor \"tap\" nor \"xdp\""))),
        }
    }
}

/// An address that the interfaces of a file have twice.
fn twice(interfaces: &[InterfaceTable]) -> Option<IpAddr> {
    let mut known = HashSet::new();
    let mut all = interfaces.iter().flat_map(|table| &table.addresses).map(|Parsed(prefix)| prefix.addr());
    all.find(|address| !known.insert(*address))
}

/// File, line and key of an error: the line is where the parser stood, the key is the last one set up to there.
fn locate(file: &Path, text: &str, error: &toml::de::Error) -> Error {
    let at = error.span().map(|span| span.start.min(text.len()));
    let line = at.map(|at| text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1);
    let key = line.and_then(|line| {
        let lines = text.lines().take(line).collect::<Vec<_>>();
        lines.into_iter().rev().find_map(key_of).map(str::to_owned)
    });
    let message = error.message().replace('\n', " ");
    let what = match key {
        Some(key) if !message.contains(&key) => format!("{key}: {message}"),
        _ => message,
    };
    Error::Config { file: file.into(), line, what }
}

/// The key that a line sets, if it sets one.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    (!key.is_empty() && key.chars().all(bare)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let mut config = Config::new("/nowhere");
        config.parse(Path::new("node.toml"), text).map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn reads_all_of_it() {
        let config = parse(
            "control = '/tmp/x'\ngateways = ['10.0.0.1']\ndns = ['9.9.9.9']\nlocal_shortcut = false\n[[interface]]\nname = 'eth0'\n\
             addresses = ['10.0.0.2/24']\nmac = 'inherit'\ndriver = 'tap'\nlink_local = true\n[limits]\nsockets = 7\n",
        )
        .expect("good");
        assert_eq!(config.control, Path::new("/tmp/x"));
        assert!(!config.local_shortcut && Config::new("/tmp/x").local_shortcut);
        assert_eq!(config.interfaces[0].driver, Driver::Tap);
        assert!(matches!(config.interfaces[0].mac, MacChoice::Inherit));
        assert_eq!(config.interfaces[0].addresses[0].to_string(), "10.0.0.2/24");
        assert_eq!(config.link_local, ["eth0"]);
        assert_eq!(config.limits.sockets, 7);
        assert_eq!(config.limits.clients, Limits::default().clients);
        assert_eq!(config.ipv6, Config::new("/tmp/x").ipv6);
        let config = parse("[ipv6]\ntemporary = true\noptimistic = false\nsecret = 's'\nidentifiers = 'hardware'\n");
        let settings = config.expect("good").ipv6.expect("on unless it is turned off");
        assert!(settings.temporary && !settings.optimistic && settings.routers && settings.detection == 1);
        assert_eq!(settings.identifiers, autoconf::Identifiers::Hardware);
        // The same at each start, and from one release to the next.
        assert_eq!(settings.secret, Some([179, 3, 90, 226, 36, 164, 117, 26, 92, 79, 140, 209, 134, 241, 133, 42]));
        assert_eq!(parse("[ipv6]\nenabled = false\n").expect("good").ipv6, None);
        let rates = parse("[icmp]\nports = false\nper_second = 7\neach_at_once = 2\n").expect("good").error_rates;
        assert!(!rates.ports);
        assert_eq!((rates.all.sustained, rates.all.burst, rates.each.sustained, rates.each.burst), (7, 50, 1, 2));
        assert_eq!(parse("[ipv6]\nduplicate_detection = 3\n").expect("good").ipv6.map(|set| set.detection), Some(3));
        assert_eq!(
            parse("[ipv6]\nduplicate_detection = false\n").expect("good").ipv6.map(|set| set.detection),
            Some(0)
        );
        assert!(!parse("redirects = false\n").expect("good").redirects);
        assert_eq!(parse("ttl = 128\n").expect("good").ttl.get(), 128);
        assert!(parse("ttl = 256\n").is_err());
    }

    /// The documented file is good, and says truly what holds without it.
    #[test]
    fn the_documented_file_says_what_holds_without_it() {
        let text = include_str!("../../../docs/node.toml");
        let Config { interfaces, gateways, dns, control, ipv6, link_local, error_rates, limits, .. } =
            parse(text).expect("good");
        let usual = Config::new("/run/sockeye/default.sock");
        assert_eq!((control, ipv6, link_local), (usual.control, usual.ipv6, usual.link_local));
        assert_eq!((error_rates, limits), (usual.error_rates, usual.limits));
        assert_eq!((interfaces[0].driver, interfaces[0].mac), (Driver::default(), MacChoice::default()));
        assert_eq!((interfaces[0].addresses.len(), gateways.len(), dns.len()), (2, 2, 1));
        for line in ["ttl = 64", "redirects = true", "local_shortcut = true"] {
            assert!(text.contains(line), "{line}");
        }
        assert!(usual.ttl.get() == 64 && usual.redirects && usual.local_shortcut);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let wrong = |text: &str| parse(text).expect_err(text);
        let error =
            wrong("dns = []\n\n[[interface]]\nname = 'a'\naddresses = [\n  '10.0.0.2/24',\n  '10.0.0/24',\n]\n");
        assert!(error.starts_with("node.toml:") && error.contains("addresses: \"10.0.0/24\""), "{error}");
        let error = wrong("gateways = ['gw']\n");
        assert!(error.starts_with("node.toml:1: gateways: \"gw\""), "{error}");
        let error = wrong("[[interface]]\nname = 'a'\nmac = 'mine'\n");
        assert!(error.starts_with("node.toml:3: mac: \"mine\""), "{error}");
        let error = wrong("[[interface]]\nname = 'a'\nadresses = []\n");
        assert!(error.starts_with("node.toml:3: ") && error.contains("adresses"), "{error}");
        let error = wrong("[ipv6]\nidentifiers = 'mine'\n");
        assert!(error.starts_with("node.toml:2: identifiers: \"mine\""), "{error}");
        let error = wrong("ttl = 0\n");
        assert_eq!(error, "node.toml:1: ttl: 0 is not from 1 to 255");
        for (limit, number) in [("sockets", "0"), ("sockets_per_user", "-1"), ("clients", "0")] {
            let error = wrong(&format!("[limits]\n{limit} = {number}\n"));
            assert_eq!(error, format!("node.toml:2: {limit}: {number} lets no program in; it is 1 or more"));
        }
        for count in ["99", "61", "-1", "'often'"] {
            let error = wrong(&format!("[ipv6]\nduplicate_detection = {count}\n"));
            let expected = "node.toml:2: duplicate_detection: neither true nor false nor how often, from 0 to 60";
            assert_eq!(error, expected, "{count}");
        }
        let error = wrong(
            "[[interface]]\nname = 'a'\naddresses = ['10.0.0.2/24', 'fd00::1/64']\n[[interface]]\nname = 'b'\naddresses = ['fd00::1/48']\n",
        );
        assert_eq!(error, "node.toml:6: addresses: fd00::1 is given twice; leave one of the two out");
        let error = wrong("control = \n");
        assert!(error.starts_with("node.toml:1: control: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_file_has_an_end() {
        let path = std::env::temp_dir().join(format!("sockeye-config-{}", std::process::id()));
        let said = |len: usize| {
            std::fs::write(&path, [b"ttl = 9\n".as_slice(), &vec![b'#'; len]].concat()).expect("a file is written");
            let mut config = Config::new("/nowhere");
            let loaded = config.load(&path).map_err(|error| error.to_string());
            loaded.map(|()| config.ttl.get())
        };
        let (short, long) = (said(1_000_000), said(1 << 20));
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(short, Ok(9));
        let error = long.expect_err("too long");
        assert!(error.starts_with(&path.display().to_string()) && error.contains("1,048,575 bytes"), "{error}");
    }
}
