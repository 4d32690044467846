//! What a scene is made of: the subject, the two sides and their addresses, and what lies between them.

use sockeye_lab::Offloads;

use crate::wire::Impairments;

/// The peer's address of IPv4.
pub const PEER: &str = "10.9.0.1";
/// The subject's address of IPv4.
pub const SUBJECT: &str = "10.9.0.2";

/// The family that a test is about. What holds for the one holds for the other: see [`in_both_families`](crate::in_both_families).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6. There is IPv4 beside it.
    V6,
}

/// What is under test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The kernel's own stack: validates the test.
    Kernel,
    /// A node.
    Sockeye,
}

/// What `SUBJECT` in the environment says; a node, when it says nothing.
pub fn subject() -> Subject {
    match std::env::var("SUBJECT").as_deref() {
        Err(_) | Ok("" | "sockeye") => Subject::Sockeye,
        Ok("kernel") => Subject::Kernel,
        Ok(other) => panic!("SUBJECT is {other:?}; it may be `kernel` or `sockeye`"),
    }
}

/// One of the two hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The kernel at the other end.
    Peer,
    /// What is under test.
    Subject,
}

impl Side {
    /// Its address of IPv4.
    pub fn address(self) -> &'static str {
        self.address_in(Family::V4)
    }

    /// Its address of IPv6, in a scene that has it.
    pub fn address6(self) -> &'static str {
        self.address_in(Family::V6)
    }

    /// Its address of a family.
    pub fn address_in(self, family: Family) -> &'static str {
        match (self, family) {
            (Side::Peer, Family::V4) => PEER,
            (Side::Subject, Family::V4) => SUBJECT,
            (Side::Peer, Family::V6) => "fd09::1",
            (Side::Subject, Family::V6) => "fd09::2",
        }
    }

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Peer => Side::Subject,
            Side::Subject => Side::Peer,
        }
    }
}

/// What lies between the two hosts.
#[derive(Clone, Copy, Debug, Default)]
pub enum Medium {
    /// A veth pair.
    #[default]
    Veth,
    /// A TAP device: the node holds one end, the peer's kernel has the other. The kernel as subject stays on a veth pair.
    Tap,
    /// A wire that loses, doubles and reorders frames, which are such as a wire can carry.
    Bad(Impairments),
    /// Two routers with a hop of this MTU between them: each host sees a link that is wider.
    Narrow(u32),
}

/// What a scene is made of, where it is not the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// What is under test, where the environment is not to say.
    pub subject: Option<Subject>,
    /// What lies between.
    pub medium: Medium,
    /// The offloads of both hosts' interfaces, where they are not those a veth is born with.
    pub offloads: Option<Offloads>,
    /// The MTU of both hosts' interfaces, where it is not 1500.
    pub mtu: Option<u32>,
    /// The family that the test is about.
    pub family: Family,
    /// Both hosts have an address of IPv6, too, whatever the test is about.
    pub ipv6: bool,
}
