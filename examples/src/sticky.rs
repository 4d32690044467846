//! Options of a raw socket whose values are pieces of packets: told once, they are in all that the socket sends.
//!
//! `IP_OPTIONS` takes the options of an IPv4 header; the advanced API of IPv6 (RFC 3542) takes one extension header each, and
//! puts them into their order itself.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use nix::setsockopt_impl;
use nix::sys::socket::sockopt::SetOsString;
use nix::sys::socket::{SetSockOpt, setsockopt};
use socket2::Socket;

use crate::Result;

macro_rules! options {
    ($($(#[$meta:meta])* $name:ident $function:ident $level:ident $number:ident)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;
            setsockopt_impl!($name, libc::$level, libc::$number, OsString, SetOsString<'_>);

            $(#[$meta])*
            pub fn $function(socket: &Socket, bytes: &[u8]) -> Result<()> {
                let mend = "the system does not take this one from a program: say --socket hdrincl";
                set(socket, $name, bytes).map_err(|error| format!("cannot set {}: {}: {mend}", stringify!($number), error.desc()))
            }
        )*
    };
}

options! {
    /// The options of an IPv4 header.
    IpOptions ip_options IPPROTO_IP IP_OPTIONS
    /// A header of hop-by-hop options.
    HopByHop hop_by_hop IPPROTO_IPV6 IPV6_HOPOPTS
    /// A routing header. Linux takes types 2 and 4.
    Routing routing IPPROTO_IPV6 IPV6_RTHDR
    /// A header of destination options, the last of all.
    Destination destination IPPROTO_IPV6 IPV6_DSTOPTS
}

/// On Unix this string is bytes of any kind: the only type of `nix` that has no length of its own.
fn set<O: SetSockOpt<Val = OsString>>(socket: &Socket, option: O, bytes: &[u8]) -> nix::Result<()> {
    setsockopt(socket, option, &OsString::from_vec(bytes.to_vec()))
}
