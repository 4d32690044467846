//! The table `[ipv6]` of a node's file: what its interfaces do by themselves.
//!
//! Temporary addresses are off, as in Linux itself: a node is where servers run, and what it is known by should last.
//! Without a secret and without a machine's identity, addresses are other ones after each start.

use serde::{Deserialize, Deserializer};
use sockeye_stack::autoconf::{Identifiers, Settings};
use sockeye_stack::hash::Keys;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default = "yes")]
    routers: bool,
    #[serde(default = "yes")]
    autonomous: bool,
    #[serde(default)]
    temporary: bool,
    #[serde(default)]
    identifiers: Word,
    #[serde(default)]
    duplicate_detection: Questions,
    #[serde(default = "yes")]
    optimistic: bool,
    secret: Option<String>,
}

fn yes() -> bool {
    true
}

/// How often it is asked whether somebody has an address.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "neither true nor false nor how often, from 0 to 60")]
enum Questions {
    Asked(bool),
    Times(Times),
}

/// A question takes a second: more than a minute of them would be a mistake.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u8")]
struct Times(u8);

impl TryFrom<u8> for Times {
    type Error = &'static str;

    fn try_from(times: u8) -> Result<Self, Self::Error> {
        if times <= 60 { Ok(Times(times)) } else { Err("too often") }
    }
}

impl Default for Questions {
    fn default() -> Self {
        Questions::Asked(true)
    }
}

impl Questions {
    fn count(self) -> u8 {
        match self {
            Questions::Asked(asked) => asked.into(),
            Questions::Times(Times(times)) => times,
        }
    }
}

#[derive(Default)]
struct Word(Identifiers);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "stable" => Ok(Word(Identifiers::Stable)),
            "hardware" => Ok(Word(Identifiers::Hardware)),
            text => Err(serde::de::Error::custom(format!("{text:?} is neither \"stable\" nor \"hardware\""))),
        }
    }
}

impl Table {
    /// What the stack is told; nothing where it is to do nothing by itself.
    pub(super) fn settings(self) -> Option<Settings> {
        let Table { enabled, routers, autonomous, temporary, identifiers, duplicate_detection, optimistic, secret } =
            self;
        enabled.then(|| Settings {
            routers,
            autonomous,
            temporary,
            identifiers: identifiers.0,
            detection: duplicate_detection.count(),
            optimistic,
            secret: secret.map_or_else(machine, |text| Some(digest(b"given", text.trim().as_bytes()))),
        })
    }
}

/// What a port does by itself where no file says anything.
pub fn default() -> Option<Settings> {
    Some(Settings { secret: machine(), ..Settings::default() })
}

/// A secret that stays with the machine, as its addresses shall.
fn machine() -> Option<[u8; 16]> {
    let identity = std::fs::read("/etc/machine-id").ok().filter(|identity| !identity.trim_ascii().is_empty())?;
    Some(digest(b"machine", identity.trim_ascii()))
}

fn digest(kind: &[u8], text: &[u8]) -> [u8; 16] {
    let mut seed = [0; 32];
    seed[..kind.len()].copy_from_slice(kind);
    Keys::new(seed).derive(text)
}
