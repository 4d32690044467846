//! Codes of errors.
//!
//! # Standards
//!
//! RFC 4443 §3.1, §3.3 and §3.4; RFC 6550 §20.18 (source routes); RFC 7112 §7 (first fragments); RFC 8883 §2 and §3 (limits);
//! RFC 8754 §8.1 (segment routing).

use core::fmt;

/// Why a destination cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route.
    pub const NO_ROUTE: UnreachableCode = UnreachableCode(0);
    /// A filter forbids it.
    pub const PROHIBITED: UnreachableCode = UnreachableCode(1);
    /// The source address does not reach so far.
    pub const BEYOND_SCOPE: UnreachableCode = UnreachableCode(2);
    /// The host does not answer on its link, or anything else is wrong.
    pub const ADDRESS: UnreachableCode = UnreachableCode(3);
    /// Nobody listens on the port.
    pub const PORT: UnreachableCode = UnreachableCode(4);
    /// The source address is not one for this way.
    pub const SOURCE_POLICY: UnreachableCode = UnreachableCode(5);
    /// The route is one that rejects.
    pub const REJECT_ROUTE: UnreachableCode = UnreachableCode(6);
    /// The routing header leads nowhere.
    pub const ROUTING_HEADER: UnreachableCode = UnreachableCode(7);
    /// The headers are longer than a node can look at.
    pub const HEADERS_TOO_LONG: UnreachableCode = UnreachableCode(8);
}

impl fmt::Display for UnreachableCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no route",
            1 => "administratively prohibited",
            2 => "beyond scope of source address",
            3 => "address unreachable",
            4 => "port unreachable",
            5 => "source address failed policy",
            6 => "reject route",
            7 => "error in routing header",
            8 => "headers too long",
            code => return write!(f, "unreachable, code {code}"),
        })
    }
}

/// Where a packet's time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeExceededCode(pub u8);

impl TimeExceededCode {
    /// In a router: its hop limit reached zero.
    pub const HOP_LIMIT: TimeExceededCode = TimeExceededCode(0);
    /// In the receiver: not all fragments came.
    pub const REASSEMBLY: TimeExceededCode = TimeExceededCode(1);
}

impl fmt::Display for TimeExceededCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("hop limit exceeded"),
            1 => f.write_str("reassembly time exceeded"),
            code => write!(f, "time exceeded, code {code}"),
        }
    }
}

/// What is the matter with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterCode(pub u8);

impl ParameterCode {
    /// A field has a value that it may not have.
    pub const ERRONEOUS_FIELD: ParameterCode = ParameterCode(0);
    /// A next header is unknown.
    pub const UNKNOWN_NEXT_HEADER: ParameterCode = ParameterCode(1);
    /// An option is unknown.
    pub const UNKNOWN_OPTION: ParameterCode = ParameterCode(2);
    /// A first fragment does not hold all headers.
    pub const FIRST_FRAGMENT: ParameterCode = ParameterCode(3);
    /// What a segment routing header ends with may not stand there.
    pub const SEGMENT_ROUTING: ParameterCode = ParameterCode(4);
    /// A node on the way does not know a next header.
    pub const UNKNOWN_NEXT_HEADER_ON_THE_WAY: ParameterCode = ParameterCode(5);
    /// An extension header is longer than a limit.
    pub const HEADER_TOO_LONG: ParameterCode = ParameterCode(6);
    /// All extension headers are longer than a limit.
    pub const CHAIN_TOO_LONG: ParameterCode = ParameterCode(7);
    /// There are more extension headers than a limit.
    pub const TOO_MANY_HEADERS: ParameterCode = ParameterCode(8);
    /// There are more options in a header than a limit.
    pub const TOO_MANY_OPTIONS: ParameterCode = ParameterCode(9);
    /// An option is longer than a limit.
    pub const OPTION_TOO_LONG: ParameterCode = ParameterCode(10);
}

impl fmt::Display for ParameterCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "erroneous header field",
            1 => "unknown next header",
            2 => "unknown option",
            3 => "headers beyond the first fragment",
            4 => "error behind a segment routing header",
            5 => "unknown next header on the way",
            6 => "extension header too long",
            7 => "extension headers too long",
            8 => "too many extension headers",
            9 => "too many options",
            10 => "option too long",
            code => return write!(f, "parameter problem, code {code}"),
        })
    }
}
