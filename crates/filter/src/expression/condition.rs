//! What an expression asks of a frame: values that are computed from it, and comparisons of them.

use crate::code::*;

/// A 32-bit number computed from a frame. A load that fails drops the frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Constant(u32),
    /// The frame's length.
    Length,
    /// Bytes of the frame, as a number.
    Load {
        /// `W`, `H` or `B`.
        size: u16,
        from: Base,
        /// How far from there.
        index: Box<Value>,
    },
    /// One of `ADD` to `XOR`, on two values.
    Binary(u16, Box<Value>, Box<Value>),
    Negate(Box<Value>),
}

/// Where in a frame to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// So many bytes from the start.
    Start(u32),
    /// Behind the IPv4 header that begins so many bytes from the start.
    AfterIpv4(u32),
}

/// What must hold of a frame.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Constant(bool),
    /// A comparison by `JEQ`, `JGT`, `JGE` or `JSET`, of a left and a right value.
    Test(u16, Value, Value),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

impl Value {
    pub(super) fn load(size: u16, from: Base, index: u32) -> Value {
        Value::Load { size, from, index: Box::new(Value::Constant(index)) }
    }

    /// An operation on two values, done at once if both are constants. A constant that no program may have (a divisor of 0, a
    /// shift by 32) is an error, in words.
    pub(super) fn binary(operation: u16, left: Value, right: Value) -> Result<Value, &'static str> {
        match (operation, &right) {
            (DIV | MOD, Value::Constant(0)) => return Err("division by zero"),
            (LSH | RSH, Value::Constant(32..)) => return Err("shift by more than 31 bits"),
            _ => {}
        }
        let (Value::Constant(a), Value::Constant(b)) = (&left, &right) else {
            return Ok(Value::Binary(operation, Box::new(left), Box::new(right)));
        };
        let (a, b) = (*a, *b);
        Ok(Value::Constant(match operation {
            ADD => a.wrapping_add(b),
            SUB => a.wrapping_sub(b),
            MUL => a.wrapping_mul(b),
            DIV => a / b,
            MOD => a % b,
            AND => a & b,
            OR => a | b,
            XOR => a ^ b,
            LSH => a << b,
            _ => a >> b,
        }))
    }

    pub(super) fn negate(self) -> Value {
        match self {
            Value::Constant(value) => Value::Constant(value.wrapping_neg()),
            other => Value::Negate(Box::new(other)),
        }
    }

    /// The bits of a mask.
    pub(super) fn masked(self, mask: u32) -> Value {
        match mask {
            u32::MAX => self,
            _ => Value::Binary(AND, Box::new(self), Box::new(Value::Constant(mask))),
        }
    }
}

impl Condition {
    /// A comparison, done at once if both values are constants, and with a constant on its right if there is one.
    pub(super) fn test(test: u16, left: Value, right: Value) -> Condition {
        match (&left, &right) {
            (&Value::Constant(a), &Value::Constant(b)) => Condition::Constant(match test {
                JEQ => a == b,
                JGT => a > b,
                JGE => a >= b,
                _ => a & b != 0,
            }),
            (Value::Constant(_), _) => match test {
                JGT => Condition::Test(JGE, right, left).not(),
                JGE => Condition::Test(JGT, right, left).not(),
                _ => Condition::Test(test, right, left),
            },
            _ => Condition::Test(test, left, right),
        }
    }

    /// That a value is a constant.
    pub(super) fn is(value: Value, constant: u32) -> Condition {
        Condition::test(JEQ, value, Value::Constant(constant))
    }

    pub(super) fn not(self) -> Condition {
        match self {
            Condition::Constant(value) => Condition::Constant(!value),
            Condition::Not(inner) => *inner,
            other => Condition::Not(Box::new(other)),
        }
    }

    pub(super) fn and(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Constant(true), other) | (other, Condition::Constant(true)) => other,
            (this, other) => Condition::And(Box::new(this), Box::new(other)),
        }
    }

    pub(super) fn or(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Constant(false), other) | (other, Condition::Constant(false)) => other,
            (this, other) => Condition::Or(Box::new(this), Box::new(other)),
        }
    }
}
