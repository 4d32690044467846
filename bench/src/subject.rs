//! Who is measured.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A stack, by the name it has on the command line and in the table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The kernel's own: what all others are compared with
    Kernel,
    /// Unmodified programs on a Sockeye node
    Sockeye,
    /// Sockeye linked into the program
    SockeyeLibrary,
    /// smoltcp linked into the program
    Smoltcp,
    /// lwIP linked into the program
    Lwip,
    /// gVisor's netstack linked into the program
    Gvisor,
    /// netstack3 linked into the program
    Netstack3,
    /// Unmodified programs behind passt
    Passt,
    /// Unmodified programs behind slirp4netns
    Slirp4netns,
}

impl Subject {
    /// Whether programs that know nothing of it run on it.
    pub fn takes_programs(self) -> bool {
        matches!(self, Subject::Kernel | Subject::Sockeye | Subject::Passt | Subject::Slirp4netns)
    }

    /// Whether it is a stack that a driver in `drivers/` has linked in.
    pub fn is_linked(self) -> bool {
        !self.takes_programs()
    }

    /// The directory of its driver, where that is not ours.
    pub fn driver(self) -> Option<&'static str> {
        match self {
            Subject::Smoltcp => Some("smoltcp"),
            Subject::Lwip => Some("lwip"),
            Subject::Gvisor => Some("gvisor"),
            Subject::Netstack3 => Some("netstack3"),
            _ => None,
        }
    }

    /// What a reader of its figures should know.
    pub fn note(self) -> &'static str {
        let note = match self {
            Subject::Kernel => "programs on the kernel's own stack, in a network namespace",
            Subject::Sockeye => "unmodified programs; the node shares the core of the program under test",
            Subject::SockeyeLibrary => {
                "the stack and the traffic in one loop on a packet socket, no system call per call"
            }
            Subject::Smoltcp => include_str!("../drivers/smoltcp/NOTE"),
            Subject::Lwip => include_str!("../drivers/lwip/NOTE"),
            Subject::Gvisor => include_str!("../drivers/gvisor/NOTE"),
            Subject::Netstack3 => "0.1.0 exports no way to install a route: see bench/drivers/README.md",
            Subject::Passt => {
                "Debian's package; a translator: programs run on the kernel's stack behind a TAP of 65,520 bytes"
            }
            Subject::Slirp4netns => {
                "Debian's package; a translator: programs run on the kernel's stack behind a TAP of 65,520 bytes"
            }
        };
        note.trim_end()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
    }
}
