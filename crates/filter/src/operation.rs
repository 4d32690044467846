//! An instruction, decoded and allowed: what the machine executes.
//!
//! Decoding is the larger part of verifying. A divisor is a [`NonZeroU32`], a shift is below 32, a [`Word`] of memory exists, a
//! jump's target was compared with what follows: what an [`Operation`] can express, the machine can do without a look.

use std::num::NonZeroU32;

use crate::ancillary::Ancillary;
use crate::code::*;
use crate::instruction::Instruction;
use crate::verify::Reason;

/// What to do. Eight bytes, as the instruction it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    LoadWord(u32),
    LoadHalf(u32),
    LoadByte(u32),
    LoadWordAtX(u32),
    LoadHalfAtX(u32),
    LoadByteAtX(u32),
    LoadAncillary(Ancillary),
    LoadConstant(u32),
    LoadLength,
    LoadMemory(Word),
    LoadXConstant(u32),
    LoadXLength,
    LoadXMemory(Word),
    /// Four times the low half of a byte, into X.
    LoadXHeaderLength(u32),
    Store(Word),
    StoreX(Word),
    Add(u32),
    Multiply(u32),
    Divide(NonZeroU32),
    Remainder(NonZeroU32),
    And(u32),
    Or(u32),
    Xor(u32),
    ShiftLeft(u8),
    ShiftRight(u8),
    Negate,
    /// A with X.
    WithX(Arithmetic),
    SetX,
    SetA,
    /// How many operations to skip.
    Jump(u16),
    JumpIfEqual(Ways, u32),
    JumpIfGreater(Ways, u32),
    JumpIfGreaterOrEqual(Ways, u32),
    JumpIfAnyBit(Ways, u32),
    /// A with X.
    JumpIfX(Test, Ways),
    Return(u32),
    ReturnA,
}

/// A word of scratch memory that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u8);

/// Arithmetic on A and X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// How many operations to skip when a condition holds, and when it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) holds: u8,
    pub(crate) fails: u8,
}

/// A comparison of A and X, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

impl Operation {
    /// Decodes an instruction that so many others follow.
    pub(crate) fn decode(instruction: Instruction, following: usize) -> Result<Operation, Reason> {
        let Instruction { code, jt, jf, k } = instruction;
        let inside = usize::from(jt) < following && usize::from(jf) < following;
        let ways = if inside { Ok(Ways { holds: jt, fails: jf }) } else { Err(Reason::JumpOutside) };
        let divisor = NonZeroU32::new(k).ok_or(Reason::DivisionByZero);
        let shift = if k < u32::BITS { Ok(k as u8) } else { Err(Reason::ShiftTooFar(k)) };

        Ok(match code {
            LD_W_ABS => absolute(k)?.unwrap_or(Operation::LoadWord(k)),
            LD_H_ABS => absolute(k)?.unwrap_or(Operation::LoadHalf(k)),
            LD_B_ABS => absolute(k)?.unwrap_or(Operation::LoadByte(k)),
            LD_W_IND => Operation::LoadWordAtX(k),
            LD_H_IND => Operation::LoadHalfAtX(k),
            LD_B_IND => Operation::LoadByteAtX(k),
            LD_IMM => Operation::LoadConstant(k),
            LD_LEN => Operation::LoadLength,
            LD_MEM => Operation::LoadMemory(Word::new(k)?),
            LDX_IMM => Operation::LoadXConstant(k),
            LDX_LEN => Operation::LoadXLength,
            LDX_MEM => Operation::LoadXMemory(Word::new(k)?),
            LDX_MSH => Operation::LoadXHeaderLength(k),
            ST => Operation::Store(Word::new(k)?),
            STX => Operation::StoreX(Word::new(k)?),
            ADD_K => Operation::Add(k),
            SUB_K => Operation::Add(k.wrapping_neg()),
            MUL_K => Operation::Multiply(k),
            DIV_K => Operation::Divide(divisor?),
            MOD_K => Operation::Remainder(divisor?),
            AND_K => Operation::And(k),
            OR_K => Operation::Or(k),
            XOR_K => Operation::Xor(k),
            LSH_K => Operation::ShiftLeft(shift?),
            RSH_K => Operation::ShiftRight(shift?),
            ADD_X => Operation::WithX(Arithmetic::Add),
            SUB_X => Operation::WithX(Arithmetic::Subtract),
            MUL_X => Operation::WithX(Arithmetic::Multiply),
            DIV_X => Operation::WithX(Arithmetic::Divide),
            MOD_X => Operation::WithX(Arithmetic::Remainder),
            AND_X => Operation::WithX(Arithmetic::And),
            OR_X => Operation::WithX(Arithmetic::Or),
            XOR_X => Operation::WithX(Arithmetic::Xor),
            LSH_X => Operation::WithX(Arithmetic::ShiftLeft),
            RSH_X => Operation::WithX(Arithmetic::ShiftRight),
            NEG_A => Operation::Negate,
            JUMP if (k as usize) < following => Operation::Jump(k as u16),
            JUMP => return Err(Reason::JumpOutside),
            JEQ_K => Operation::JumpIfEqual(ways?, k),
            JGT_K => Operation::JumpIfGreater(ways?, k),
            JGE_K => Operation::JumpIfGreaterOrEqual(ways?, k),
            JSET_K => Operation::JumpIfAnyBit(ways?, k),
            JEQ_X => Operation::JumpIfX(Test::Equal, ways?),
            JGT_X => Operation::JumpIfX(Test::Greater, ways?),
            JGE_X => Operation::JumpIfX(Test::GreaterOrEqual, ways?),
            JSET_X => Operation::JumpIfX(Test::AnyBit, ways?),
            RET_K => Operation::Return(k),
            RET_A => Operation::ReturnA,
            TAX_ => Operation::SetX,
            TXA_ => Operation::SetA,
            _ => return Err(Reason::UnknownCode(code)),
        })
    }
}

/// An absolute load that asks for something else than bytes.
fn absolute(k: u32) -> Result<Option<Operation>, Reason> {
    match Ancillary::at(k) {
        Some(ancillary) => Ok(Some(Operation::LoadAncillary(ancillary))),
        None if k >= ANCILLARY_OFFSET => Err(Reason::UnknownAncillary(k)),
        None => Ok(None),
    }
}

impl Ways {
    /// How many operations to skip after this answer.
    #[inline(always)]
    pub(crate) fn after(self, holds: bool) -> usize {
        usize::from(if holds { self.holds } else { self.fails })
    }
}

impl Word {
    fn new(k: u32) -> Result<Word, Reason> {
        if (k as usize) < MEMORY_WORDS { Ok(Word(k as u8)) } else { Err(Reason::NoSuchWord(k)) }
    }

    /// Below [`MEMORY_WORDS`]; the mask tells the compiler.
    #[inline(always)]
    pub(crate) fn index(self) -> u8 {
        self.0 & (MEMORY_WORDS as u8 - 1)
    }
}

// The codes that Linux allows, in full.
const LD_W_ABS: u16 = LD | W | ABS;
const LD_H_ABS: u16 = LD | H | ABS;
const LD_B_ABS: u16 = LD | B | ABS;
const LD_W_IND: u16 = LD | W | IND;
const LD_H_IND: u16 = LD | H | IND;
const LD_B_IND: u16 = LD | B | IND;
const LD_IMM: u16 = LD | IMM;
const LD_LEN: u16 = LD | W | LEN;
const LD_MEM: u16 = LD | MEM;
const LDX_IMM: u16 = LDX | IMM;
const LDX_LEN: u16 = LDX | W | LEN;
const LDX_MEM: u16 = LDX | MEM;
const LDX_MSH: u16 = LDX | B | MSH;
const ADD_K: u16 = ALU | ADD | K;
const SUB_K: u16 = ALU | SUB | K;
const MUL_K: u16 = ALU | MUL | K;
const DIV_K: u16 = ALU | DIV | K;
const MOD_K: u16 = ALU | MOD | K;
const AND_K: u16 = ALU | AND | K;
const OR_K: u16 = ALU | OR | K;
const XOR_K: u16 = ALU | XOR | K;
const LSH_K: u16 = ALU | LSH | K;
const RSH_K: u16 = ALU | RSH | K;
const ADD_X: u16 = ALU | ADD | X;
const SUB_X: u16 = ALU | SUB | X;
const MUL_X: u16 = ALU | MUL | X;
const DIV_X: u16 = ALU | DIV | X;
const MOD_X: u16 = ALU | MOD | X;
const AND_X: u16 = ALU | AND | X;
const OR_X: u16 = ALU | OR | X;
const XOR_X: u16 = ALU | XOR | X;
const LSH_X: u16 = ALU | LSH | X;
const RSH_X: u16 = ALU | RSH | X;
const NEG_A: u16 = ALU | NEG;
const JUMP: u16 = JMP | JA;
const JEQ_K: u16 = JMP | JEQ | K;
const JGT_K: u16 = JMP | JGT | K;
const JGE_K: u16 = JMP | JGE | K;
const JSET_K: u16 = JMP | JSET | K;
const JEQ_X: u16 = JMP | JEQ | X;
const JGT_X: u16 = JMP | JGT | X;
const JGE_X: u16 = JMP | JGE | X;
const JSET_X: u16 = JMP | JSET | X;
const RET_K: u16 = RET | K;
const RET_A: u16 = RET | A;
const TAX_: u16 = MISC | TAX;
const TXA_: u16 = MISC | TXA;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_as_small_as_its_instruction() {
        assert_eq!(size_of::<Operation>(), Instruction::LEN);
    }

    #[test]
    fn forty_nine_codes_are_known() {
        let known = |code: &u16| Operation::decode(Instruction::statement(*code, 1), 2).is_ok();
        assert_eq!((0..=u16::MAX).filter(known).count(), 49);
    }
}
