//! Numbers computed from a frame, and how two of them compare.
//!
//! A number that is loaded from behind a protocol's header means something only in a frame that carries the protocol. What
//! must hold for that, its guard, stands before the comparison: where it does not hold, the comparison does not either.

use sockeye_wire::{EtherType, Protocol};

use super::super::condition::{Base, Condition, Value};
use super::super::lexer::Token;
use super::super::names::{constant, is_protocol, protocol};
use super::{MAX_TERMS, Parsed, Parser};
use crate::code::*;

/// A number, and what must hold of a frame for it to mean what it says.
struct Guarded {
    value: Value,
    guard: Condition,
}

impl Parser<'_> {
    /// Two numbers and how they compare.
    pub(super) fn relation(&mut self) -> Parsed<Condition> {
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
