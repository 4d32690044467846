//! Which programs are refused, by the rules of the kernel's `bpf_check_classic`, and why.
//!
//! A program is 1 to 4,096 instructions, each with a code that Linux knows and a constant that it allows, no jump leads outside,
//! the last instruction returns, and no word of scratch memory is read before it was written. The first part is the
//! [decoder's](crate::operation), because a decoded instruction cannot express what is refused. The last is decided here, by one
//! pass that carries the set of words written so far to the targets of each jump; there it meets the sets that come by
//! other ways, and what all of them have written counts. A word written only on one of two ways is not.
//!
//! Code that nothing reaches is checked too, as if everything had been written before it, but for what falls into it
//! after a return: Linux does not end a way there, and neither do we.

use std::fmt;

use crate::instruction::Instruction;
use crate::operation::Operation;
use crate::program::MAX_INSTRUCTIONS;

/// A program that was refused: the first culprit, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The instruction's number, from 0. For a program of no or too many instructions: how many there are.
    pub at: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What can be wrong with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no instruction.
    Empty,
    /// There are more than [`MAX_INSTRUCTIONS`].
    TooLong,
    /// The code is none of those that Linux knows.
    UnknownCode(u16),
    /// A division, or a remainder of one, by the constant 0.
    DivisionByZero,
    /// A shift by a constant of 32 bits or more.
    ShiftTooFar(u32),
    /// A word of scratch memory that does not exist.
    NoSuchWord(u32),
    /// An absolute load at an ancillary offset that Linux does not know.
    UnknownAncillary(u32),
    /// A jump to behind the last instruction.
    JumpOutside,
    /// The last instruction is no return.
    NoReturn,
    /// A word of scratch memory is read that was not written on every way there.
    ReadBeforeWritten(u8),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Empty => return f.write_str("a program without an instruction"),
            Reason::TooLong => {
                return write!(f, "a program of {} instructions, where {MAX_INSTRUCTIONS} are allowed", self.at);
            }
            _ => write!(f, "instruction {}: ", self.at)?,
        }
        match self.reason {
            Reason::Empty | Reason::TooLong => Ok(()),
            Reason::UnknownCode(code) => write!(f, "unknown code {code:#x}"),
            Reason::DivisionByZero => f.write_str("division by the constant 0"),
            Reason::ShiftTooFar(by) => write!(f, "shift of a 32-bit word by {by}"),
            Reason::NoSuchWord(index) => write!(f, "no word {index} in the scratch memory"),
            Reason::UnknownAncillary(k) => write!(f, "unknown ancillary offset {}", k.cast_signed()),
            Reason::JumpOutside => f.write_str("jump to behind the last instruction"),
            Reason::NoReturn => f.write_str("the last instruction does not return"),
            Reason::ReadBeforeWritten(index) => write!(f, "M[{index}] may be read before it is written"),
        }
    }
}

impl std::error::Error for Rejected {}

/// The program, decoded, if it is allowed.
pub(crate) fn verify(instructions: &[Instruction]) -> Result<Box<[Operation]>, Rejected> {
    let rejected = |at, reason| Rejected { at, reason };
    let last = instructions.len().checked_sub(1).ok_or(rejected(0, Reason::Empty))?;
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(rejected(instructions.len(), Reason::TooLong));
    }
    let decode = |(at, instruction)| Operation::decode(instruction, last - at).map_err(|reason| rejected(at, reason));
    let operations = instructions.iter().copied().enumerate().map(decode).collect::<Result<Box<[_]>, _>>()?;
    if !matches!(operations[last], Operation::Return(_) | Operation::ReturnA) {
        return Err(rejected(last, Reason::NoReturn));
    }
    check_memory(&operations)?;
    Ok(operations)
}

/// Refuses a read of scratch memory that was not written on every way to it.
fn check_memory(operations: &[Operation]) -> Result<(), Rejected> {
    // A bit for each word; for each instruction, what all the jumps to it agree on.
    const ALL: u16 = u16::MAX;
    let mut agreed = vec![ALL; operations.len()];
    let mut written = 0;
    for (at, operation) in operations.iter().enumerate() {
        written &= agreed[at];
        match *operation {
            Operation::Store(word) | Operation::StoreX(word) => written |= 1 << word.index(),
            Operation::LoadMemory(word) | Operation::LoadXMemory(word) if written & 1 << word.index() == 0 => {
                return Err(Rejected { at, reason: Reason::ReadBeforeWritten(word.index()) });
            }
            Operation::Jump(skip) => {
                agreed[at + 1 + usize::from(skip)] &= written;
                written = ALL;
            }
            Operation::JumpIfEqual(ways, _)
            | Operation::JumpIfGreater(ways, _)
            | Operation::JumpIfGreaterOrEqual(ways, _)
            | Operation::JumpIfAnyBit(ways, _)
            | Operation::JumpIfX(_, ways) => {
                agreed[at + 1 + usize::from(ways.holds)] &= written;
                agreed[at + 1 + usize::from(ways.fails)] &= written;
                written = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::*;

    const RETURN: Instruction = Instruction::statement(RET | K, 1);

    fn reason(instructions: &[Instruction]) -> Option<(usize, Reason)> {
        verify(instructions).err().map(|Rejected { at, reason }| (at, reason))
    }

    fn statement(code: u16, k: u32) -> Option<Reason> {
        reason(&[Instruction::statement(code, k), RETURN]).map(|(_, reason)| reason)
    }

    #[test]
    fn length_and_end() {
        assert_eq!(reason(&[]), Some((0, Reason::Empty)));
        assert_eq!(reason(&[RETURN; 4096]), None);
        assert_eq!(reason(&[RETURN; 4097]), Some((4097, Reason::TooLong)));
        assert_eq!(reason(&[RETURN, Instruction::statement(LD | IMM, 1)]), Some((1, Reason::NoReturn)));
        assert_eq!(reason(&[Instruction::statement(RET | A, 0)]), None);
        assert_eq!(reason(&[Instruction::statement(RET | X, 0)]), Some((0, Reason::UnknownCode(0x0e))));
    }

    #[test]
    fn constants() {
        assert_eq!(statement(ALU | DIV | K, 0), Some(Reason::DivisionByZero));
        assert_eq!(statement(ALU | MOD | K, 0), Some(Reason::DivisionByZero));
        assert_eq!(statement(ALU | DIV | X, 0), None);
        assert_eq!(statement(ALU | LSH | K, 31), None);
        assert_eq!(statement(ALU | LSH | K, 32), Some(Reason::ShiftTooFar(32)));
        assert_eq!(statement(ALU | RSH | K, u32::MAX), Some(Reason::ShiftTooFar(u32::MAX)));
        assert_eq!(statement(ST, 15), None);
        assert_eq!(statement(STX, 16), Some(Reason::NoSuchWord(16)));
        assert_eq!(statement(LD | H | ABS, ANCILLARY_OFFSET), None);
        assert_eq!(statement(LD | B | ABS, ANCILLARY_OFFSET + 2), Some(Reason::UnknownAncillary(ANCILLARY_OFFSET + 2)));
        assert_eq!(statement(LD | W | ABS, ANCILLARY_OFFSET - 2), None);
        assert_eq!(statement(LD | W | IND, u32::MAX), None);
        assert_eq!(statement(LDX | B | MSH, u32::MAX), None);
    }

    #[test]
    fn jumps() {
        assert_eq!(reason(&[Instruction::statement(JMP | JA, 0), RETURN]), None);
        assert_eq!(reason(&[Instruction::statement(JMP | JA, 1), RETURN]), Some((0, Reason::JumpOutside)));
        assert_eq!(reason(&[Instruction::statement(JMP | JA, u32::MAX), RETURN]), Some((0, Reason::JumpOutside)));
        assert_eq!(reason(&[Instruction::jump(JMP | JEQ | K, 0, 0, 1), RETURN]), Some((0, Reason::JumpOutside)));
        assert_eq!(reason(&[Instruction::jump(JMP | JEQ | X, 0, 1, 0), RETURN, RETURN]), None);
    }

    #[test]
    fn memory_is_written_before_it_is_read() {
        let (store, load) = (Instruction::statement(ST, 3), Instruction::statement(LD | MEM, 3));
        let unset = |at| Some((at, Reason::ReadBeforeWritten(3)));
        assert_eq!(reason(&[load, RETURN]), unset(0));
        assert_eq!(reason(&[store, load, RETURN]), None);
        assert_eq!(reason(&[Instruction::statement(STX, 2), load, RETURN]), unset(1));
        // One way writes, the other skips it.
        assert_eq!(reason(&[Instruction::jump(JMP | JEQ | K, 0, 0, 1), store, load, RETURN]), unset(2));
        // Both ways write.
        let both = [
            Instruction::jump(JMP | JEQ | K, 0, 0, 2),
            store,
            Instruction::statement(JMP | JA, 1),
            store,
            load,
            RETURN,
        ];
        assert_eq!(reason(&both), None);
        // What nothing reaches may read, unless it stands behind a return.
        assert_eq!(reason(&[Instruction::statement(JMP | JA, 1), load, RETURN]), None);
        assert_eq!(reason(&[RETURN, load, RETURN]), unset(1));
    }

    #[test]
    fn a_refusal_names_instruction_and_reason() {
        let program = [Instruction::statement(LD | IMM, 1), Instruction::statement(ALU | DIV | K, 0), RETURN];
        assert_eq!(verify(&program).unwrap_err().to_string(), "instruction 1: division by the constant 0");
        assert_eq!(verify(&[]).unwrap_err().to_string(), "a program without an instruction");
        let unknown = verify(&[Instruction::statement(LD | W | ABS, -1_i32 as u32), RETURN]).unwrap_err();
        assert_eq!(unknown.to_string(), "instruction 0: unknown ancillary offset -1");
    }
}
