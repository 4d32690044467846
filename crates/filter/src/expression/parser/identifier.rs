//! What stands behind qualifiers: addresses, networks, ports and protocols' numbers.
//!
//! Nothing is looked up: where libpcap would ask a name server or `/etc/services`, a number is wanted.

use sockeye_wire::{EtherType, Protocol};

use super::super::condition::Condition;
use super::super::lexer::Token;
use super::super::names::{ether_type, ip_protocol};
use super::{Kind, MAX_TERMS, Parsed, Parser, Qualifiers};

impl<'a> Parser<'a> {
    pub(super) fn identifier(&mut self, qualifiers: Qualifiers<'a>) -> Parsed<Condition> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return self.fail(format!("more than {MAX_TERMS} terms"));
        }
        let Some(token) = self.peek().cloned() else {
            return self.fail("the expression ends where an identifier is expected");
        };
        self.next += 1;
        match qualifiers.kind {
            Kind::Host | Kind::Net => self.address(qualifiers, token),
            Kind::Port | Kind::PortRange => self.port(qualifiers, token),
            Kind::Proto => self.proto(qualifiers, token),
        }
    }

    fn address(&mut self, qualifiers: Qualifiers<'a>, token: Token<'a>) -> Parsed<Condition> {
        let Qualifiers { protocol, direction, kind } = qualifiers;
        let (frame, direction, is_net) = (self.frame, direction.unwrap_or_default(), kind == Kind::Net);
        match (protocol, token) {
            (Some("ether" | "link"), Token::Mac(address)) if !is_net => Ok(frame.mac_address(address, direction)),
            (_, Token::Mac(_)) => {
                self.fail_before("a hardware address stands behind `ether host`, `ether src` or `ether dst`")
            }
            (None | Some("ip6"), Token::Ipv6(address)) => {
                let len = if is_net { self.prefix_len(128)?.unwrap_or(128) } else { 128 };
                if address.to_bits().checked_shl(len).unwrap_or(0) != 0 {
                    return self.fail_before("there are bits behind the prefix");
                }
                Ok(frame.ipv6_address(address, len, direction))
            }
            (None | Some("ip" | "arp" | "rarp"), token @ (Token::Dotted(..) | Token::Number(_))) => {
                let (address, mask) = self.ipv4_network(token, is_net)?;
                Ok(match protocol {
                    Some("ip") => frame.ipv4_address(address, mask, direction),
                    Some("arp") => frame.arp_address(EtherType::ARP, address, mask, direction),
                    Some("rarp") => frame.arp_address(EtherType(0x8035), address, mask, direction),
                    _ => frame.any_ipv4_address(address, mask, direction),
                })
            }
            (_, Token::Word(name)) => {
                self.fail_before(format!("`{name}`: names are not looked up, an address is wanted"))
            }
            (Some(protocol), _) => self.fail_before(format!("`{protocol}` has no such addresses")),
            (None, _) => self.fail_before("expected an address"),
        }
    }

    /// An IPv4 address and mask, of an address that may have fewer than four parts.
    fn ipv4_network(&mut self, token: Token<'a>, is_net: bool) -> Parsed<(u32, u32)> {
        let (address, mut mask) = match token {
            Token::Dotted(value, parts) => (value << (32 - 8 * parts), u32::MAX << (32 - 8 * parts)),
            // A network may be written as its first part.
            Token::Number(value) if is_net => {
                let shift = if value == 0 { 0 } else { value.leading_zeros() / 8 * 8 };
                return Ok((value << shift, u32::MAX << shift));
            }
            Token::Number(value) => (value, u32::MAX),
            _ => return self.fail_before("expected an address"),
        };
        if is_net {
            if let Some(len) = self.prefix_len(32)? {
                mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
            } else if self.peek_word() == Some("mask") {
                self.next += 1;
                let Some(&Token::Dotted(value, parts)) = self.peek() else { return self.fail("expected a mask") };
                mask = value << (32 - 8 * parts);
                self.next += 1;
            }
            if address & !mask != 0 {
                return self.fail_before("there are bits outside of the mask");
            }
        }
        Ok((address, mask))
    }

    /// `/LEN`, if it is there.
    fn prefix_len(&mut self, max: u32) -> Parsed<Option<u32>> {
        if !self.eat("/") {
            return Ok(None);
        }
        match self.peek() {
            Some(&Token::Number(len)) if len <= max => {
                self.next += 1;
                Ok(Some(len))
            }
            _ => self.fail(format!("expected a prefix length of at most {max}")),
        }
    }

    fn port(&mut self, qualifiers: Qualifiers<'a>, token: Token<'a>) -> Parsed<Condition> {
        let transport = match qualifiers.protocol {
            None => None,
            Some("tcp") => Some(Protocol::TCP),
            Some("udp") => Some(Protocol::UDP),
            Some("sctp") => Some(Protocol(132)),
            Some(protocol) => return self.fail_before(format!("`{protocol}` has no ports")),
        };
        let (low, high) = match token {
            Token::Number(port) => (u16::try_from(port).ok(), u16::try_from(port).ok()),
            Token::Word(range) if qualifiers.kind == Kind::PortRange => match range.split_once('-') {
                Some((low, high)) => (low.parse().ok(), high.parse().ok()),
                None => (None, None),
            },
            Token::Word(name) => {
                return self.fail_before(format!("`{name}`: names are not looked up, a number is wanted"));
            }
            _ => (None, None),
        };
        let (Some(low), Some(high)) = (low, high) else { return self.fail_before("expected a port of at most 65535") };
        Ok(self.frame.ports(transport, low.min(high), low.max(high), qualifiers.direction.unwrap_or_default()))
    }

    fn proto(&mut self, qualifiers: Qualifiers<'a>, token: Token<'a>) -> Parsed<Condition> {
        if qualifiers.direction.is_some() {
            return self.fail_before("`proto` has neither source nor destination");
        }
        let on_link = matches!(qualifiers.protocol, Some("ether" | "link"));
        let number = match token {
            Token::Number(number) => number,
            Token::Escaped(name) => match if on_link { ether_type(name) } else { ip_protocol(name) } {
                Some(number) => number,
                None => return self.fail_before(format!("`{name}`: names are not looked up, a number is wanted")),
            },
            Token::Word(name) => {
                return self.fail_before(format!("`{name}`: a number is wanted, or the name behind `\\`"));
            }
            _ => return self.fail_before("expected a protocol's number"),
        };
        let ip = |number| u8::try_from(number).ok().map(Protocol);
        match (qualifiers.protocol, ip(number)) {
            // Below are lengths; these two come in 802.2 as well.
            (Some("ether" | "link"), _) => match u16::try_from(number) {
                Ok(0..=1500 | 0x809b | 0x80f3) => self.fail_before("802.2 is not supported"),
                Ok(number) => Ok(self.frame.ether_type(EtherType(number))),
                Err(_) => self.fail_before("an EtherType is at most 65535"),
            },
            (None | Some("ip" | "ip6"), None) => self.fail_before("a protocol's number is at most 255"),
            (None, Some(protocol)) => Ok(self.frame.protocol(protocol)),
            (Some("ip"), Some(protocol)) => Ok(self.frame.ipv4_protocol(protocol)),
            (Some("ip6"), Some(protocol)) => Ok(self.frame.ipv6_protocol(protocol)),
            (Some(protocol), _) => self.fail_before(format!("`{protocol} proto` means nothing")),
        }
    }
}
