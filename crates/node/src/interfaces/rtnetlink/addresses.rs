//! Addresses: RTM_NEWADDR. Those of IPv4 come first, then those of IPv6.

use std::net::IpAddr;

use sockeye_socket::Errno;

use super::messages::{Messages, Request};
use super::{AF_INET, AF_INET6, NO_INTERFACE, Refused};
use crate::interfaces::{Address, Interface};

const RTM_NEWADDR: u16 = 20;

/// `struct ifaddrmsg`: family, length, flags, scope, index.
const FIXED_LEN: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// The addresses that a dump asks for: of a family, and, if that is to be looked at, of an interface.
pub(super) fn asked(
    messages: &mut Messages,
    all: &[Interface],
    request: &Request<'_>,
    strict: bool,
) -> Result<(), Refused> {
    let (family, index) = (request.byte(0), if strict { request.word(4) } else { 0 });
    if index != 0 {
        messages.filtered();
        if !all.iter().any(|one| one.index == index) {
            return Err(NO_INTERFACE);
        }
    }
    for which in super::families(family) {
        for interface in all.iter().filter(|one| index == 0 || one.index == index) {
            put_family(messages, interface, which);
        }
    }
    Ok(())
}

/// The address of IPv6 that is asked for; on its interface, if one is named that there is.
pub(super) fn one(messages: &mut Messages, all: &[Interface], request: &Request<'_>) -> Result<(), Refused> {
    let attributes = request.attributes(FIXED_LEN);
    let value = attributes.find(IFA_ADDRESS).or_else(|| attributes.find(IFA_LOCAL));
    let value = value.ok_or(Refused(Errno::EINVAL, "no address is named"))?;
    let address = super::ip(AF_INET6, value).ok_or(Refused(Errno::ERANGE, "an address is too short"))?;
    let index = Some(request.word(4)).filter(|&index| all.iter().any(|one| one.index == index));
    let mut places = all.iter().filter(|one| index.is_none_or(|index| one.index == index));
    let found = places.find_map(|one| Some((one, one.addresses.iter().find(|own| own.prefix.addr() == address)?)));
    let (interface, own) = found.ok_or(Refused(Errno::EADDRNOTAVAIL, "it is no address of this node"))?;
    put(messages, interface, own);
    Ok(())
}

/// All of them.
pub(super) fn put_all(messages: &mut Messages, all: &[Interface]) {
    for family in [AF_INET, AF_INET6] {
        for interface in all {
            put_family(messages, interface, family);
        }
    }
}

fn put_family(messages: &mut Messages, interface: &Interface, family: u8) {
    let of_family = interface.addresses.iter().filter(|own| super::family(own.prefix.addr()) == family);
    let mut own: Vec<&Address> = of_family.collect();
    if family == AF_INET6 {
        // Those that reach further come first.
        own.sort_by_key(|own| scope(own.prefix.addr()));
    }
    for own in own {
        put(messages, interface, own);
    }
}

pub(super) fn put(messages: &mut Messages, interface: &Interface, own: &Address) {
    let Address { prefix, flags, preferred, valid } = *own;
    let ip = prefix.addr();
    let mut fixed = [super::family(ip), prefix.len(), flags, scope(ip), 0, 0, 0, 0];
    fixed[4..8].copy_from_slice(&interface.index.to_ne_bytes());
    // u32::MAX is for ever. When it was made, and when it was changed, nobody asks.
    let times = [preferred.unwrap_or(u32::MAX), valid.unwrap_or(u32::MAX), 0, 0].map(u32::to_ne_bytes).concat();
    messages.message(RTM_NEWADDR, &fixed, |messages| match ip {
        IpAddr::V4(v4) => {
            messages.attribute(IFA_ADDRESS, &v4.octets());
            messages.attribute(IFA_LOCAL, &v4.octets());
            if let Some(broadcast) = prefix.broadcast().filter(|_| !interface.is_loopback()) {
                messages.attribute(IFA_BROADCAST, &broadcast.octets());
            }
            messages.text(IFA_LABEL, &interface.name);
            messages.number(IFA_FLAGS, flags.into());
            messages.attribute(IFA_CACHEINFO, &times);
        }
        IpAddr::V6(v6) => {
            messages.attribute(IFA_ADDRESS, &v6.octets());
            messages.attribute(IFA_CACHEINFO, &times);
            messages.number(IFA_FLAGS, flags.into());
        }
    });
}

/// RT_SCOPE_*: how far an address means anything.
fn scope(address: IpAddr) -> u8 {
    match address {
        _ if address.is_loopback() => 254,
        IpAddr::V4(address) if address.is_link_local() => 253,
        IpAddr::V6(address) if address.is_unicast_link_local() => 253,
        _ => 0,
    }
}
