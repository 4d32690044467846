//! Words to conditions: who qualifies what, and what binds to what.
//!
//! `and` and `or` bind alike and to the left, `not` binds tightest. An identifier (an address, a port, ...) stands behind its
//! qualifiers, and one that stands alone behind `and` or `or` takes those of the one before: `port 80 or 443`.
//!
//! A parenthesis may hold a condition or a number. It is read as a number first, and as a condition when that leads nowhere.

use sockeye_wire::{EtherType, Protocol};

use super::ExpressionError;
use super::condition::{Base, Condition, Value};
use super::lexer::{Token, tokens};
use super::primitive::{Direction, Frame};
use crate::code::*;

/// How deep parentheses, brackets and signs may nest; the parser calls itself for each.
const MAX_DEPTH: usize = 200;
/// How many primitives, identifiers and numbers there may be, together.
const MAX_TERMS: usize = 1000;

/// What an expression asks of a frame.
pub(super) fn parse(text: &str) -> Result<Condition, ExpressionError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Condition::Constant(true));
    }
    let end = text.len();
    let mut parser = Parser { tokens, end, next: 0, frame: Frame::untagged(), qualifiers: None, depth: 0, terms: 0 };
    let condition = parser.expression()?;
    match parser.peek() {
        None => Ok(condition),
        Some(_) => parser.fail("expected `and`, `or` or the end"),
    }
}

type Parsed<T> = Result<T, ExpressionError>;

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    end: usize,
    next: usize,
    frame: Frame,
    /// Those of the identifier before.
    qualifiers: Option<Qualifiers<'a>>,
    depth: usize,
    terms: usize,
}

#[derive(Clone, Copy)]
struct Qualifiers<'a> {
    protocol: Option<&'a str>,
    direction: Option<Direction>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

/// A number, and what must hold of a frame for it to mean what it says.
struct Guarded {
    value: Value,
    guard: Condition,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Token<'a>> {
        self.tokens.get(self.next + ahead).map(|(_, token)| token)
    }

    fn peek_word(&self) -> Option<&'a str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is_sign(&self, ahead: usize, wanted: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Sign(sign)) if *sign == wanted)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let there = self.is_sign(0, sign);
        self.next += usize::from(there);
        there
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.eat(sign) { Ok(()) } else { self.fail(format!("expected `{sign}`")) }
    }

    /// An error at the next token.
    fn fail<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        Err(ExpressionError::new(at, reason))
    }

    /// An error at the token before.
    fn fail_before<T>(&mut self, reason: impl Into<String>) -> Parsed<T> {
        self.next -= 1;
        self.fail(reason)
    }

    /// Parses something that is one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed<Condition> {
        self.qualifiers = None;
        let mut condition = self.term()?;
        loop {
            if self.eat("&&") {
                condition = condition.and(self.term()?);
            } else if self.eat("||") {
                condition = condition.or(self.term()?);
            } else {
                return Ok(condition);
            }
        }
    }

    fn term(&mut self) -> Parsed<Condition> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return self.fail(format!("more than {MAX_TERMS} terms"));
        }
        if self.eat("!") {
            return Ok(self.nested(Self::term)?.not());
        }
        match self.peek() {
            Some(Token::Sign("(")) => self.parenthesis(),
            Some(Token::Sign("-")) => self.relation(),
            Some(Token::Number(_)) if self.is_operator(1) => self.relation(),
            Some(Token::Word(word)) if *word == "len" || constant(word).is_some() => self.relation(),
            Some(Token::Word(word)) if is_protocol(word) && self.is_sign(1, "[") => self.relation(),
            Some(Token::Word(_)) => self.primitive(),
            Some(Token::Number(_) | Token::Dotted(..) | Token::Ipv6(_) | Token::Mac(_) | Token::Escaped(_)) => {
                match self.qualifiers {
                    Some(qualifiers) => self.identifier(qualifiers),
                    None => {
                        self.fail("what this is must be said before it: `host`, `net`, `port`, `portrange` or `proto`")
                    }
                }
            }
            Some(Token::Sign(_)) => self.fail("expected a primitive"),
            None => self.fail("the expression ends where a primitive is expected"),
        }
    }

    fn is_operator(&self, ahead: usize) -> bool {
        let operators = ["==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];
        operators.into_iter().any(|sign| self.is_sign(ahead, sign))
    }

    fn parenthesis(&mut self) -> Parsed<Condition> {
        let (start, frame) = (self.next, self.frame);
        let as_number = match self.nested(Self::relation) {
            Ok(condition) => return Ok(condition),
            Err(error) => error,
        };
        (self.next, self.frame) = (start, frame);
        let condition = self.nested(|parser| {
            parser.expect("(")?;
            let condition = parser.expression()?;
            parser.expect(")")?;
            Ok(condition)
        });
        // Whichever understood more knows better what is wrong.
        condition.map_err(|error| if as_number.at > error.at { as_number } else { error })
    }

    fn primitive(&mut self) -> Parsed<Condition> {
        let protocol = self.peek_word().filter(|word| is_protocol(word));
        self.next += usize::from(protocol.is_some());
        match self.peek_word() {
            Some("broadcast" | "multicast") => return self.group(protocol),
            Some("less" | "greater" | "vlan") if protocol.is_none() => return self.lone(),
            _ => {}
        }
        let direction = self.direction()?;
        let kind = match self.peek_word() {
            Some("host") => Some(Kind::Host),
            Some("net") => Some(Kind::Net),
            Some("port") => Some(Kind::Port),
            Some("portrange") => Some(Kind::PortRange),
            Some("proto") => Some(Kind::Proto),
            _ => None,
        };
        self.next += usize::from(kind.is_some());
        match (protocol, direction, kind) {
            (None, None, None) => {
                let word = self.peek_word().unwrap_or_default();
                self.fail(format!("`{word}` is not supported, or no word of the language"))
            }
            (Some(protocol), None, None) => {
                self.qualifiers = None;
                self.carries(protocol)
            }
            (protocol, direction, kind) => {
                let qualifiers = Qualifiers { protocol, direction, kind: kind.unwrap_or(Kind::Host) };
                self.qualifiers = Some(qualifiers);
                self.identifiers(qualifiers)
            }
        }
    }

    /// `ether broadcast`, `ip multicast`, ...
    fn group(&mut self, protocol: Option<&str>) -> Parsed<Condition> {
        let word = self.peek_word();
        self.next += 1;
        self.qualifiers = None;
        match (protocol, word) {
            (None | Some("ether" | "link"), Some("broadcast")) => {
                Ok(self.frame.mac_address(sockeye_wire::MacAddr::BROADCAST, Direction::Destination))
            }
            (None | Some("ether" | "link"), _) => Ok(self.frame.ethernet_multicast()),
            (Some("ip"), Some("multicast")) => Ok(self.frame.ipv4_multicast()),
            (Some("ip6"), Some("multicast")) => Ok(self.frame.ipv6_multicast()),
            (Some("ip"), _) => self.fail_before("`ip broadcast` needs the netmask of an interface; there is none here"),
            (Some(protocol), _) => self.fail_before(format!("`{protocol}` has no such thing")),
        }
    }

    /// `less 100`, `greater 100`, `vlan`, `vlan 5`.
    fn lone(&mut self) -> Parsed<Condition> {
        let word = self.peek_word();
        self.next += 1;
        self.qualifiers = None;
        let number = match self.peek() {
            Some(&Token::Number(number)) => {
                self.next += 1;
                Some(number)
            }
            _ => None,
        };
        match (word, number) {
            (Some("vlan"), None) => Ok(self.frame.vlan(None)),
            (Some("vlan"), Some(id @ 0..=0xfff)) => Ok(self.frame.vlan(Some(id as u16))),
            (Some("vlan"), Some(_)) => self.fail_before("a VLAN identifier is at most 4095"),
            (_, None) => self.fail("expected a length"),
            (Some("less"), Some(len)) => Ok(Condition::test(JGT, Value::Length, Value::Constant(len)).not()),
            (_, Some(len)) => Ok(Condition::test(JGE, Value::Length, Value::Constant(len))),
        }
    }

    /// `src`, `dst`, `src or dst`, `src and dst`.
    fn direction(&mut self) -> Parsed<Option<Direction>> {
        let one = match self.peek_word() {
            Some("src") => Direction::Source,
            Some("dst") => Direction::Destination,
            _ => return Ok(None),
        };
        self.next += 1;
        let both = match self.peek() {
            Some(Token::Sign("||")) => Direction::Either,
            Some(Token::Sign("&&")) => Direction::Both,
            _ => return Ok(Some(one)),
        };
        let other = if one == Direction::Source { "dst" } else { "src" };
        match self.peek_at(1) {
            Some(Token::Word(word)) if *word == other => {
                self.next += 2;
                Ok(Some(both))
            }
            _ => self.fail("expected what `src` or `dst` is to be"),
        }
    }

    /// A protocol and nothing else.
    fn carries(&mut self, word: &str) -> Parsed<Condition> {
        match protocol(self.frame, word) {
            Some(condition) => Ok(condition),
            None => {
                self.fail(format!("`{word}` alone says nothing: expected `host`, `proto`, `broadcast`, ... or `[`"))
            }
        }
    }

    /// One identifier, or several in parentheses.
    fn identifiers(&mut self, qualifiers: Qualifiers<'a>) -> Parsed<Condition> {
        if self.eat("!") {
            return Ok(self.nested(|parser| parser.identifiers(qualifiers))?.not());
        }
        if !self.eat("(") {
            return self.identifier(qualifiers);
        }
        self.nested(|parser| {
            let mut condition = parser.identifiers(qualifiers)?;
            loop {
                if parser.eat("&&") {
                    condition = condition.and(parser.identifiers(qualifiers)?);
                } else if parser.eat("||") {
                    condition = condition.or(parser.identifiers(qualifiers)?);
                } else {
                    parser.expect(")")?;
                    return Ok(condition);
                }
            }
        })
    }

    fn identifier(&mut self, qualifiers: Qualifiers<'a>) -> Parsed<Condition> {
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

    /// Two numbers and how they compare.
    fn relation(&mut self) -> Parsed<Condition> {
        self.qualifiers = None;
        let left = self.number(0)?;
        let Some(&Token::Sign(sign)) = self.peek() else { return self.fail("expected a comparison") };
        let (test, negated) = match sign {
            "==" => (JEQ, false),
            "!=" => (JEQ, true),
            ">" => (JGT, false),
            "<=" => (JGT, true),
            ">=" => (JGE, false),
            "<" => (JGE, true),
            _ => return self.fail("expected a comparison"),
        };
        self.next += 1;
        let right = self.number(0)?;
        let condition = Condition::test(test, left.value, right.value);
        let condition = if negated { condition.not() } else { condition };
        Ok(left.guard.and(right.guard).and(condition))
    }

    /// A number whose operators bind at least so tightly.
    fn number(&mut self, least: usize) -> Parsed<Guarded> {
        const LEVELS: [&[(&str, u16)]; 6] = [
            &[("|", OR)],
            &[("^", XOR)],
            &[("&", AND)],
            &[("<<", LSH), (">>", RSH)],
            &[("+", ADD), ("-", SUB)],
            &[("*", MUL), ("/", DIV), ("%", MOD)],
        ];
        let mut left = self.nested(Self::operand)?;
        'operators: loop {
            for (level, operators) in LEVELS.iter().enumerate().skip(least) {
                for (sign, operation) in *operators {
                    if !self.eat(sign) {
                        continue;
                    }
                    let right = self.nested(|parser| parser.number(level + 1))?;
                    left.value = match Value::binary(*operation, left.value, right.value) {
                        Ok(value) => value,
                        Err(reason) => return self.fail_before(reason),
                    };
                    left.guard = left.guard.and(right.guard);
                    continue 'operators;
                }
            }
            return Ok(left);
        }
    }

    fn operand(&mut self) -> Parsed<Guarded> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return self.fail(format!("more than {MAX_TERMS} terms"));
        }
        let plain = |value| Ok(Guarded { value, guard: Condition::Constant(true) });
        if self.eat("-") {
            let Guarded { value, guard } = self.nested(Self::operand)?;
            return Ok(Guarded { value: value.negate(), guard });
        }
        if self.eat("(") {
            let inner = self.number(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.peek() {
            Some(&Token::Number(number)) => {
                self.next += 1;
                plain(Value::Constant(number))
            }
            Some(&Token::Word("len")) => {
                self.next += 1;
                plain(Value::Length)
            }
            Some(&Token::Word(word)) => match constant(word) {
                Some(number) => {
                    self.next += 1;
                    plain(Value::Constant(number))
                }
                None if is_protocol(word) && self.is_sign(1, "[") => self.load(word),
                None => self.fail("expected a number"),
            },
            _ => self.fail("expected a number"),
        }
    }

    /// `proto[index]`, `proto[index:size]`.
    fn load(&mut self, word: &str) -> Parsed<Guarded> {
        let frame = self.frame;
        let network = frame.network();
        let ether_type = |number| frame.ether_type(EtherType(number));
        // Where to count from, and what must hold before and after the conditions of the index.
        let yes = Condition::Constant(true);
        let (from, before, after) = match word {
            "ether" | "link" => (Base::Start(0), yes.clone(), yes),
            "ip" => (Base::Start(network), yes, ether_type(0x0800)),
            "ip6" => (Base::Start(network), yes, ether_type(0x86dd)),
            "arp" => (Base::Start(network), yes, ether_type(0x0806)),
            "rarp" => (Base::Start(network), yes, ether_type(0x8035)),
            "icmp6" => {
                let next = Condition::is(Value::load(B, Base::Start(network), 6), Protocol::ICMPV6.0.into());
                (Base::Start(network + 40), ether_type(0x86dd), next)
            }
            "tcp" | "udp" | "sctp" | "icmp" | "igmp" | "igrp" | "pim" | "vrrp" | "carp" => {
                let transport = protocol(frame, word).unwrap_or(yes).and(frame.first_fragment());
                (Base::AfterIpv4(network), ether_type(0x0800), transport)
            }
            _ => return self.fail(format!("`{word}` cannot be looked into")),
        };
        self.next += 1;
        self.expect("[")?;
        let index = self.nested(|parser| parser.number(0))?;
        let size = match (self.eat(":"), self.peek()) {
            (false, _) => B,
            (true, Some(Token::Number(size @ (1 | 2 | 4)))) => {
                let size = [B, H, W][*size as usize / 2];
                self.next += 1;
                size
            }
            (true, _) => return self.fail("a size is 1, 2 or 4"),
        };
        self.expect("]")?;
        if matches!(index.value, Value::Constant(0x7fff_0000..)) {
            return self.fail_before("this is beyond any frame");
        }
        let guard = before.and(index.guard).and(after);
        Ok(Guarded { value: Value::Load { size, from, index: Box::new(index.value) }, guard })
    }
}

fn is_protocol(word: &str) -> bool {
    matches!(word, "ether" | "link") || protocol(Frame::untagged(), word).is_some()
}

/// What it means that a frame carries a protocol. `None` for what is no protocol, and for the link, which all carry.
fn protocol(frame: Frame, word: &str) -> Option<Condition> {
    Some(match word {
        "ip" => frame.ether_type(EtherType::IPV4),
        "ip6" => frame.ether_type(EtherType::IPV6),
        "arp" => frame.ether_type(EtherType::ARP),
        "rarp" => frame.ether_type(EtherType(0x8035)),
        "tcp" => frame.protocol(Protocol::TCP),
        "udp" => frame.protocol(Protocol::UDP),
        "sctp" => frame.protocol(Protocol(132)),
        "ah" => frame.protocol(Protocol(51)),
        "esp" => frame.protocol(Protocol(50)),
        "pim" => frame.protocol(Protocol(103)),
        "icmp" => frame.ipv4_protocol(Protocol::ICMP),
        "igmp" => frame.ipv4_protocol(Protocol::IGMP),
        "igrp" => frame.ipv4_protocol(Protocol(9)),
        "vrrp" | "carp" => frame.ipv4_protocol(Protocol(112)),
        "icmp6" => frame.ipv6_protocol(Protocol::ICMPV6),
        _ => return None,
    })
}

/// The names that may stand behind `ether proto \`.
fn ether_type(name: &str) -> Option<u32> {
    Some(match name {
        "ip" => 0x0800,
        "arp" => 0x0806,
        "rarp" => 0x8035,
        "ip6" => 0x86dd,
        _ => return None,
    })
}

/// The names that may stand behind `proto \`.
fn ip_protocol(name: &str) -> Option<u32> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "pim" => 103,
        "vrrp" => 112,
        "sctp" => 132,
        _ => return None,
    })
}

/// Numbers that have a name: offsets of fields, and values of them.
fn constant(word: &str) -> Option<u32> {
    Some(match word {
        "icmptype" | "icmp6type" => 0,
        "icmpcode" | "icmp6code" => 1,
        "tcpflags" => 13,
        "tcp-fin" => 0x01,
        "tcp-syn" => 0x02,
        "tcp-rst" => 0x04,
        "tcp-push" => 0x08,
        "tcp-ack" => 0x10,
        "tcp-urg" => 0x20,
        "tcp-ece" => 0x40,
        "tcp-cwr" => 0x80,
        "icmp-echoreply" => 0,
        "icmp-unreach" => 3,
        "icmp-sourcequench" => 4,
        "icmp-redirect" => 5,
        "icmp-echo" => 8,
        "icmp-routeradvert" => 9,
        "icmp-routersolicit" => 10,
        "icmp-timxceed" => 11,
        "icmp-paramprob" => 12,
        "icmp-tstamp" => 13,
        "icmp-tstampreply" => 14,
        "icmp-ireq" => 15,
        "icmp-ireqreply" => 16,
        "icmp-maskreq" => 17,
        "icmp-maskreply" => 18,
        "icmp6-destinationunreach" => 1,
        "icmp6-packettoobig" => 2,
        "icmp6-timeexceeded" => 3,
        "icmp6-parameterproblem" => 4,
        "icmp6-echo" => 128,
        "icmp6-echoreply" => 129,
        "icmp6-multicastlistenerquery" => 130,
        "icmp6-multicastlistenerreportv1" => 131,
        "icmp6-multicastlistenerdone" => 132,
        "icmp6-routersolicit" => 133,
        "icmp6-routeradvert" => 134,
        "icmp6-neighborsolicit" => 135,
        "icmp6-neighboradvert" => 136,
        "icmp6-redirect" => 137,
        "icmp6-multicastlistenerreportv2" => 143,
        _ => return None,
    })
}
