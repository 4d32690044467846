//! Words to conditions: who qualifies what, and what binds to what.
//!
//! `and` and `or` bind alike and to the left, `not` binds tightest. An identifier (an address, a port, ...) stands behind its
//! qualifiers, and one that stands alone behind `and` or `or` takes those of the one before: `port 80 or 443`.
//!
//! A parenthesis may hold a condition or a number. It is read as a number first, and as a condition when that leads nowhere.

mod identifier;
mod number;

use sockeye_wire::MacAddr;

use super::ExpressionError;
use super::condition::{Condition, Value};
use super::lexer::{Token, tokens};
use super::names::{constant, is_protocol, protocol};
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
        let (start, frame, qualifiers) = (self.next, self.frame, self.qualifiers);
        let as_number = match self.nested(Self::relation) {
            Ok(condition) => return Ok(condition),
            Err(error) => error,
        };
        (self.next, self.frame, self.qualifiers) = (start, frame, qualifiers);
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
                Ok(self.frame.mac_address(MacAddr::BROADCAST, Direction::Destination))
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
}
