//! Why bytes are not what they claim to be.

use core::fmt;

/// What a parser refused. Each variant is one reason to drop, small enough to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the fixed part of the header.
    Truncated,
    /// The version field names another protocol.
    Version,
    /// The header's own length is below the minimum, or beyond the bytes at hand.
    HeaderLength,
    /// The length of the whole contradicts the header, or the bytes at hand.
    TotalLength,
    /// The checksum does not match.
    Checksum,
    /// ARP for something other than IPv4 on Ethernet, or with address lengths that lie.
    AddressKind,
    /// An option's length is below its minimum, beyond the header, or not one that its kind can have.
    OptionLength,
    /// An option's pointer stands before its data, or leaves no room for a whole entry.
    OptionPointer,
    /// An option's flags or counters are outside what its kind defines.
    OptionValue,
    /// An option that may appear once appears again.
    OptionRepeated,
    /// Padding of other bytes than zeros, or more of it than a limit allows.
    Padding,
    /// A hop-by-hop options header that does not come first.
    HeaderOrder,
    /// The first fragment does not hold all headers.
    FirstFragment,
    /// An options header longer than a limit allows.
    HeaderTooLong,
    /// More options in a header than a limit allows.
    TooManyOptions,
    /// More extension headers than a limit allows.
    TooManyHeaders,
    /// Extension headers that are together longer than a limit allows.
    ChainTooLong,
    /// A field has a value that its format does not define.
    Value,
}

impl Malformed {
    /// The reason in a few words, without a full stop.
    pub const fn as_str(self) -> &'static str {
        match self {
            Malformed::Truncated => "truncated header",
            Malformed::Version => "wrong version",
            Malformed::HeaderLength => "bad header length",
            Malformed::TotalLength => "bad total length",
            Malformed::Checksum => "bad checksum",
            Malformed::AddressKind => "not IPv4 on Ethernet",
            Malformed::OptionLength => "bad option length",
            Malformed::OptionPointer => "bad option pointer",
            Malformed::OptionValue => "bad option value",
            Malformed::OptionRepeated => "repeated option",
            Malformed::Padding => "bad padding",
            Malformed::HeaderOrder => "hop-by-hop options not first",
            Malformed::FirstFragment => "headers beyond the first fragment",
            Malformed::HeaderTooLong => "options header too long",
            Malformed::TooManyOptions => "too many options",
            Malformed::TooManyHeaders => "too many extension headers",
            Malformed::ChainTooLong => "extension headers too long",
            Malformed::Value => "undefined value",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Malformed {}
