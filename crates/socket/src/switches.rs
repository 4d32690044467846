//! Options of IP that are on or off, for all kinds of sockets: one table says which there are, who has them, and how a value is read.
//!
//! Of some of them little comes on this host, as on a Linux whose devices or modules are the same: nobody labels packets (IP_PASSSEC), no device sums
//! them up whole (IP_CHECKSUM), and nothing that is sent is put together again on its way out (IP_NODEFRAG). A stream has no control messages, so
//! what asks for these is kept there, and what it asks for is told only to who asks again (`heard.rs`); as on Linux, again.
//!
//! # Standards
//!
//! RFC 3542; RFC 6935; Linux ip(7), ipv6(7), udp(7).

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Privilege, read_int, read_int_or_byte};

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// An int.
    Int,
    /// An int or a byte; nothing at all is 0.
    Loose,
    /// An int or a byte.
    Either,
    /// An int; less than one is 0.
    Lenient,
    /// An int that is 0 or 1.
    Flag,
    /// The same, or a byte; nothing at all is 0.
    LooseFlag,
}

/// Who may set it. All may ask, but those whom the whole option is unknown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Any socket.
    Any,
    /// One that is no stream; to others it is unknown.
    Messages,
    /// One that is no stream; to others the value is wrong.
    Datagrams,
    /// A raw socket.
    Raw,
}

/// Which kind of socket asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) ipv6: bool,
    pub(crate) stream: bool,
    pub(crate) raw: bool,
}

/// A switch: its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch(pub(crate) u64);

struct Row {
    level: i32,
    name: i32,
    reading: Reading,
    owner: Owner,
    switch: Switch,
}

macro_rules! switches {
    ($($(#[$doc:meta])* $constant:ident: $($level:ident $name:ident $reading:ident $owner:ident),+;)*) => {
        /// The bits, counted in the order of the table.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Bit {
            $($constant),*
        }
        impl Switch {
            $($(#[$doc])* pub const $constant: Switch = Switch(1 << Bit::$constant as u32);)*
        }
        const SWITCHES: &[Row] = &[$($(Row {
            level: $level,
            name: $name,
            reading: Reading::$reading,
            owner: Owner::$owner,
            switch: Switch::$constant,
        }),+),*];
    };
}

switches! {
    /// IP_RECVOPTS.
    OPTIONS: IPPROTO_IP IP_RECVOPTS Loose Any;
    /// IP_RETOPTS.
    RETURN_OPTIONS: IPPROTO_IP IP_RETOPTS Loose Any;
    /// IP_RECVORIGDSTADDR.
    ORIGINAL_DESTINATION: IPPROTO_IP IP_RECVORIGDSTADDR Loose Any;
    /// IPV6_2292PKTINFO.
    OLD_PACKET_INFO: IPPROTO_IPV6 IPV6_2292PKTINFO Int Any;
    /// IPV6_2292HOPOPTS.
    OLD_HOP_BY_HOP: IPPROTO_IPV6 IPV6_2292HOPOPTS Int Any;
    /// IPV6_2292DSTOPTS.
    OLD_DESTINATION: IPPROTO_IPV6 IPV6_2292DSTOPTS Int Any;
    /// IPV6_2292RTHDR.
    OLD_ROUTING: IPPROTO_IPV6 IPV6_2292RTHDR Int Any;
    /// IPV6_2292HOPLIMIT.
    OLD_HOP_LIMIT: IPPROTO_IPV6 IPV6_2292HOPLIMIT Int Any;
    /// IPV6_FLOWINFO.
    FLOW: IPPROTO_IPV6 IPV6_FLOWINFO Int Any;
    /// IPV6_FLOWINFO_SEND.
    SENDS_FLOW: IPPROTO_IPV6 IPV6_FLOWINFO_SEND Int Any;
    /// IPV6_RECVHOPOPTS.
    HOP_BY_HOP: IPPROTO_IPV6 IPV6_RECVHOPOPTS Int Any;
    /// IPV6_RECVRTHDR.
    ROUTING: IPPROTO_IPV6 IPV6_RECVRTHDR Int Any;
    /// IPV6_RECVDSTOPTS.
    DESTINATION: IPPROTO_IPV6 IPV6_RECVDSTOPTS Int Any;
    /// IPV6_DONTFRAG.
    DONT_FRAGMENT: IPPROTO_IPV6 IPV6_DONTFRAG Lenient Any;
    /// IPV6_RECVORIGDSTADDR.
    ORIGINAL_DESTINATION_V6: IPPROTO_IPV6 IPV6_RECVORIGDSTADDR Int Any;
    /// UDP_NO_CHECK6_TX.
    NO_CHECKSUM_V6: IPPROTO_UDP UDP_NO_CHECK6_TX Int Messages;
    /// UDP_NO_CHECK6_RX.
    TAKES_UNCHECKED_V6: IPPROTO_UDP UDP_NO_CHECK6_RX Int Messages;
    /// SO_NO_CHECK.
    NO_CHECKSUM: SOL_SOCKET SO_NO_CHECK Int Any;
    /// IP_FREEBIND and IPV6_FREEBIND are one.
    BINDS_ANYWHERE: IPPROTO_IP IP_FREEBIND Either Any, IPPROTO_IPV6 IPV6_FREEBIND Int Any;
    /// IP_TRANSPARENT and IPV6_TRANSPARENT are one.
    FOREIGN: IPPROTO_IP IP_TRANSPARENT Either Any, IPPROTO_IPV6 IPV6_TRANSPARENT Int Any;
    /// IP_PASSSEC.
    SECURITY: IPPROTO_IP IP_PASSSEC Loose Any;
    /// IP_NODEFRAG.
    NOT_PUT_TOGETHER: IPPROTO_IP IP_NODEFRAG Loose Raw;
    /// IP_CHECKSUM.
    CHECKSUM: IPPROTO_IP IP_CHECKSUM Loose Any;
    /// IP_RECVFRAGSIZE.
    FRAGMENT_SIZE: IPPROTO_IP IP_RECVFRAGSIZE Loose Datagrams;
    /// IPV6_RECVFRAGSIZE.
    FRAGMENT_SIZE_V6: IPPROTO_IPV6 IPV6_RECVFRAGSIZE Lenient Any;
    /// IPV6_AUTOFLOWLABEL turned around.
    NO_LABELS: IPPROTO_IPV6 IPV6_AUTOFLOWLABEL Lenient Any;
    /// IPV6_RECVPATHMTU.
    PATH_MTU: IPPROTO_IPV6 IPV6_RECVPATHMTU Int Any;
    /// IP_RECVERR_RFC4884.
    EXTENDED_ERRORS: IPPROTO_IP IP_RECVERR_RFC4884 LooseFlag Any;
    /// IPV6_RECVERR_RFC4884.
    EXTENDED_ERRORS_V6: IPPROTO_IPV6 IPV6_RECVERR_RFC4884 Flag Any;
    /// IPV6_ROUTER_ALERT_ISOLATE: a node is a world of its own anyway.
    ALERT_ISOLATED: IPPROTO_IPV6 IPV6_ROUTER_ALERT_ISOLATE Int Any;
    /// UDP_CORK.
    CORK: IPPROTO_UDP UDP_CORK Int Messages;
    /// UDP_GRO.
    COALESCES: IPPROTO_UDP UDP_GRO Int Messages;
}

/// All switches of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches(u64);

impl Switches {
    /// Whether a switch is on.
    pub(crate) fn is_on(self, switch: Switch) -> bool {
        self.0 & switch.0 != 0
    }

    /// Whether headers must be kept with what comes.
    pub(crate) fn wants_headers(self) -> bool {
        const HEADERS: u64 = Switch::OPTIONS.0
            | Switch::RETURN_OPTIONS.0
            | Switch::OLD_HOP_BY_HOP.0
            | Switch::OLD_DESTINATION.0
            | Switch::OLD_ROUTING.0
            | Switch::FLOW.0
            | Switch::HOP_BY_HOP.0
            | Switch::ROUTING.0
            | Switch::DESTINATION.0;
        self.0 & HEADERS != 0
    }

    /// setsockopt, where the option is a switch.
    pub(crate) fn set(
        &mut self,
        asker: Asker,
        who: Privilege,
        level: i32,
        name: i32,
        bytes: &[u8],
    ) -> Option<Result<(), Errno>> {
        let row = row(asker, level, name)?;
        Some(self.turn(asker, row, who, bytes))
    }

    /// getsockopt, where the option is a switch.
    pub(crate) fn value(self, asker: Asker, level: i32, name: i32) -> Option<i32> {
        let row = row(asker, level, name)?;
        Some((self.is_on(row.switch) != (row.switch == Switch::NO_LABELS)).into())
    }

    fn turn(&mut self, asker: Asker, row: &Row, who: Privilege, bytes: &[u8]) -> Result<(), Errno> {
        match row.owner {
            Owner::Any | Owner::Messages => {}
            Owner::Datagrams if asker.stream => return Err(Errno::EINVAL),
            Owner::Raw if !asker.raw => return Err(Errno::ENOPROTOOPT),
            Owner::Datagrams | Owner::Raw => {}
        }
        let loose = || if bytes.is_empty() { Ok(0) } else { read_int_or_byte(bytes) };
        let value = match row.reading {
            Reading::Int | Reading::Flag => read_int(bytes),
            Reading::Loose | Reading::LooseFlag => loose(),
            Reading::Either => read_int_or_byte(bytes),
            Reading::Lenient => Ok(read_int(bytes).unwrap_or(0)),
        }?;
        if matches!(row.reading, Reading::Flag | Reading::LooseFlag) && !matches!(value, 0 | 1) {
            return Err(Errno::EINVAL);
        }
        // Who speaks from others' addresses may do anything.
        if row.switch == Switch::FOREIGN && value != 0 && who == Privilege::User {
            return Err(Errno::EPERM);
        }
        let on = (value != 0) != (row.switch == Switch::NO_LABELS);
        self.0 = if on { self.0 | row.switch.0 } else { self.0 & !row.switch.0 };
        Ok(())
    }
}

/// The switch of that name, where a socket of that family and kind has it.
fn row(asker: Asker, level: i32, name: i32) -> Option<&'static Row> {
    let row = SWITCHES.iter().find(|row| (row.level, row.name) == (level, name))?;
    let of_family = asker.ipv6 || row.level != IPPROTO_IPV6;
    (of_family && !(asker.stream && row.owner == Owner::Messages)).then_some(row)
}
