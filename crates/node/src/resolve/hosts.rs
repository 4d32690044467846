//! What the machine itself says of names: `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Both are read again when they change. Lines that make no sense are passed over, as every resolver does.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::message::normal;

/// At most so many servers are asked, as in glibc.
const SERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;
pub(super) const DNS_PORT: u16 = 53;

/// A file that is read again when it changed.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    modified: Option<SystemTime>,
    parsed: T,
    parse: fn(&str) -> T,
}

impl<T: Default> Watched<T> {
    pub(crate) fn new(path: impl Into<PathBuf>, parse: fn(&str) -> T) -> Self {
        Watched { path: path.into(), modified: None, parsed: T::default(), parse }
    }

    /// What the file says now.
    pub(crate) fn read(&mut self) -> &T {
        let modified = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if modified.is_none() || modified != self.modified {
            self.modified = modified;
            let text = std::fs::read(&self.path).unwrap_or_default();
            self.parsed = (self.parse)(&String::from_utf8_lossy(&text));
        }
        &self.parsed
    }
}

/// `/etc/hosts`.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, String>,
}

impl Hosts {
    pub(crate) fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words.filter_map(normal) {
                hosts.names.entry(address).or_insert_with(|| name.clone());
                let addresses = hosts.addresses.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    pub(crate) fn addresses(&self, name: &str) -> &[IpAddr] {
        self.addresses.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn name(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }
}

/// `/etc/resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    /// A name with at least so many dots is first tried as it is.
    pub(crate) dots: usize,
    /// How long one server may take.
    pub(crate) timeout: Duration,
    /// How often each server is asked.
    pub(crate) attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { servers: Vec::new(), search: Vec::new(), dots: 1, timeout: Duration::from_secs(5), attempts: 2 }
    }
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Settings {
        let mut settings = Settings::default();
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    settings.servers.extend(server.map(|server| SocketAddr::new(server, DNS_PORT)));
                }
                Some("search" | "domain") => settings.search = words.filter_map(normal).take(SEARCH_MAX).collect(),
                Some("options") => words.for_each(|word| settings.option(word)),
                _ => {}
            }
        }
        settings.servers.truncate(SERVERS_MAX);
        settings
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) else {
            return;
        };
        match name {
            "ndots" => self.dots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// Adds what routers say: their servers are of the network that programs see, and so asked first; their domains come
    /// last.
    pub(crate) fn add_advertised(&mut self, servers: &[SocketAddr], domains: &[String]) {
        self.servers.splice(0..0, servers.iter().copied());
        self.servers.truncate(SERVERS_MAX);
        self.search.extend(domains.iter().filter_map(|domain| normal(domain)));
        self.search.truncate(SEARCH_MAX);
    }

    /// The names to try for `name`, in order.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        let Some(plain) = normal(name) else { return Vec::new() };
        if name.ends_with('.') {
            return vec![plain];
        }
        let mut candidates: Vec<String> =
            self.search.iter().filter_map(|domain| normal(&format!("{plain}.{domain}"))).collect();
        let first = plain.bytes().filter(|&byte| byte == b'.').count() >= self.dots;
        candidates.insert(if first { 0 } else { candidates.len() }, plain);
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let hosts =
            Hosts::parse("10.0.0.1 Gate gate.lan # the gate\n10.0.0.2 gate\nnonsense\n::1 localhost\n\n10.0.0.9\n");
        assert_eq!(hosts.addresses("gate"), [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(hosts.name(IpAddr::from([10, 0, 0, 1])), Some("gate"));
        assert!(hosts.addresses("nonsense").is_empty());
    }

    #[test]
    fn resolv_conf() {
        let settings = Settings::parse(
            "# c\nnameserver 10.0.0.53\nnameserver x\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n\
             search lan example.org\noptions ndots:2 timeout:99 attempts:3 rotate edns0\n",
        );
        assert_eq!(settings.servers.len(), SERVERS_MAX);
        assert_eq!((settings.dots, settings.attempts, settings.timeout), (2, 3, Duration::from_secs(30)));
        assert_eq!(settings.candidates("www"), ["www.lan", "www.example.org", "www"]);
        assert_eq!(settings.candidates("a.b.c"), ["a.b.c", "a.b.c.lan", "a.b.c.example.org"]);
        assert_eq!(settings.candidates("www."), ["www"]);
        assert_eq!(settings.candidates("a b"), Vec::<String>::new());
        let mut settings = settings;
        let servers = ["[2001:db8::53]:53", "[fe80::53%2]:53"].map(|server| server.parse().expect("a server"));
        settings.add_advertised(&servers, &["home.arpa".to_owned(), "a b".to_owned()]);
        assert_eq!(settings.servers[..2], servers);
        assert_eq!(settings.servers[2], SocketAddr::from(([10, 0, 0, 53], 53)));
        assert_eq!(settings.candidates("www"), ["www.lan", "www.example.org", "www.home.arpa", "www"]);
    }
}
