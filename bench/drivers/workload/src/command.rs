//! The command line that every driver understands.
//!
//! ```text
//! DRIVER [-m MTU] [-c] engine bulk|request|connect SECONDS [IDLE]
//! DRIVER -i IFACE -a ADDR/LEN send|receive ADDR:PORT SECONDS [FLOWS]
//!                             request ADDR:PORT SIZE SECONDS
//!                             connect ADDR:PORT SECONDS
//! ```

use crate::Result;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;

/// How the wire in memory is to be; by default as the stack likes it best.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// `-m`: frames for this MTU, and no larger segments between the stacks.
    pub mtu: Option<u16>,
    /// `-c`: every checksum is computed and verified by the stack.
    pub checksums: bool,
    /// Connections that are open meanwhile, and silent.
    pub idle: usize,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Two stacks in memory.
    Engine {
        /// How the wire between them is.
        conditions: Conditions,
        /// What they do.
        load: Load,
        /// For how long.
        duration: Duration,
    },
    /// One stack on an interface.
    Wire {
        /// Where.
        interface: Interface,
        /// What it does.
        load: Load,
        /// With whom.
        peer: SocketAddrV4,
        /// For how long.
        duration: Duration,
    },
}

/// Where a stack stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// The interface's name.
    pub name: String,
    /// The stack's address on it.
    pub address: Ipv4Addr,
    /// The length of the network's prefix.
    pub prefix: u8,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Bytes from us, as many as go.
    Send {
        /// Connections at once.
        flows: usize,
    },
    /// Bytes to us.
    Receive {
        /// Connections at once.
        flows: usize,
    },
    /// One message there and the same back, on one connection.
    Request {
        /// Bytes of a message.
        size: usize,
    },
    /// A connection, 64 bytes there, 64 back, and its end, one after the other.
    Connect,
}

impl Command {
    /// Understands a command line (without the program's name).
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
        let mut words = Words { words: arguments.collect::<Vec<_>>().into_iter() };
        let mut conditions = Conditions::default();
        let (mut name, mut address) = (None, None);
        let verb = loop {
            let word: String = words.next("a verb")?;
            match word.as_str() {
                "-m" => conditions.mtu = Some(words.next("an MTU")?),
                "-c" => conditions.checksums = true,
                "-i" => name = Some(words.next("an interface")?),
                "-a" => address = Some(words.next::<String>("ADDR/LEN")?),
                _ => break word,
            }
        };
        let command = if verb == "engine" {
            let load = match words.next::<String>("a load")?.as_str() {
                "bulk" => Load::Send { flows: 1 },
                "request" => Load::Request { size: 64 },
                "connect" => Load::Connect,
                other => return Err(format!("{other}: not a load; there are bulk, request and connect").into()),
            };
            let duration = words.seconds()?;
            conditions.idle = words.optional("a number of connections", 0)?;
            Command::Engine { conditions, load, duration }
        } else {
            if conditions != Conditions::default() {
                return Err("-m and -c are for an engine: an interface is as it is".into());
            }
            let text = address.ok_or("no address: -a ADDR/LEN")?;
            let malformed = || format!("{text}: not ADDR/LEN");
            let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
            let interface = Interface {
                name: name.ok_or("no interface: -i IFACE")?,
                address: address.parse().map_err(|_| malformed())?,
                prefix: prefix.parse().ok().filter(|&len| len <= 32).ok_or_else(malformed)?,
            };
            let peer = words.next("ADDR:PORT")?;
            let (load, duration) = match verb.as_str() {
                "send" => {
                    let duration = words.seconds()?;
                    (Load::Send { flows: words.optional("a number of flows", 1)? }, duration)
                }
                "receive" => {
                    let duration = words.seconds()?;
                    (Load::Receive { flows: words.optional("a number of flows", 1)? }, duration)
                }
                "request" => (Load::Request { size: words.next("a size")? }, words.seconds()?),
                "connect" => (Load::Connect, words.seconds()?),
                other => return Err(format!("{other}: not a verb").into()),
            };
            Command::Wire { interface, load, peer, duration }
        };
        match words.words.next() {
            None => Ok(command),
            Some(word) => Err(format!("{word}: one word too many").into()),
        }
    }
}

struct Words {
    words: std::vec::IntoIter<String>,
}

impl Words {
    fn next<T: FromStr<Err: Display>>(&mut self, what: &str) -> Result<T> {
        let word = self.words.next().ok_or_else(|| format!("{what} is missing"))?;
        word.parse().map_err(|error| format!("{word}: not {what}: {error}").into())
    }

    fn optional<T: FromStr<Err: Display>>(&mut self, what: &str, default: T) -> Result<T> {
        if self.words.as_slice().is_empty() { Ok(default) } else { self.next(what) }
    }

    fn seconds(&mut self) -> Result<Duration> {
        let seconds: f64 = self.next("a number of seconds")?;
        Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds}: {error}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_line_says_what_to_do() {
        let engine = parse("-m 1500 -c engine request 2.5 100").expect("well formed");
        let conditions = Conditions { mtu: Some(1500), checksums: true, idle: 100 };
        let (load, duration) = (Load::Request { size: 64 }, Duration::from_millis(2500));
        assert_eq!(engine, Command::Engine { conditions, load, duration });

        let wire = parse("-i veth0 -a 10.0.0.2/24 send 10.0.0.1:7001 3 8").expect("well formed");
        let interface = Interface { name: "veth0".into(), address: Ipv4Addr::new(10, 0, 0, 2), prefix: 24 };
        let (load, peer) = (Load::Send { flows: 8 }, SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7001));
        assert_eq!(wire, Command::Wire { interface, load, peer, duration: Duration::from_secs(3) });
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, complaint) in [
            ("", "a verb is missing"),
            ("engine run 1", "run: not a load"),
            ("engine bulk x", "x: not a number of seconds"),
            ("engine bulk -1", "-1: "),
            ("engine bulk 1 2 3", "3: one word too many"),
            ("send 10.0.0.1:7001 3", "no address"),
            ("-c -i x -a 10.0.0.2/24 send 10.0.0.1:7001 3", "-m and -c are for an engine"),
            ("-i x -a 10.0.0.2/33 send 10.0.0.1:7001 3", "10.0.0.2/33: not ADDR/LEN"),
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.starts_with(complaint), "{line}: {error}");
        }
    }
}
