//! The machine, and the programs that it can run.

use std::fmt;

use crate::ancillary::Ancillary;
use crate::attributes;
use crate::code::MEMORY_WORDS;
use crate::instruction::Instruction;
use crate::listing::Assembly;
use crate::metadata::Metadata;
use crate::operation::{Arithmetic, Operation, Test};
use crate::packet::{Bytes, Packet};
use crate::payload;
use crate::verify::{Rejected, verify};

/// `BPF_MAXINSNS`: the longest program.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A program that was verified: it ends, whatever packet it is run on, and touches nothing but that and its own memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Box<[Instruction]>,
    operations: Box<[Operation]>,
}

impl Program {
    /// Verifies a program. What the kernel refuses with EINVAL is refused, with the instruction and the reason.
    pub fn new(instructions: &[Instruction]) -> Result<Program, Rejected> {
        Ok(Program { operations: verify(instructions)?, instructions: instructions.into() })
    }

    /// The program as it was given, down to the fields that mean nothing.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Runs the program on a packet. Returns how many bytes of it are to be kept, which may be more than there are; 0 is to
    /// drop it.
    pub fn run<B: Bytes + ?Sized>(&self, packet: &Packet<'_, B>) -> u32 {
        // A load outside of the packet and a division by zero end the run, and drop the packet.
        self.execute(packet).unwrap_or(0)
    }

    fn execute<B: Bytes + ?Sized>(&self, packet: &Packet<'_, B>) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0; MEMORY_WORDS];
        let mut random = packet.metadata().random;
        let mut at = 0;
        loop {
            // Always there: no jump leads outside, and the last operation returns.
            let operation = self.operations[at];
            at += 1;
            match operation {
                Operation::LoadWord(k) => a = u32::from_be_bytes(packet.load(k)?),
                Operation::LoadHalf(k) => a = u16::from_be_bytes(packet.load(k)?).into(),
                Operation::LoadByte(k) => a = u8::from_be_bytes(packet.load(k)?).into(),
                Operation::LoadWordAtX(k) => a = u32::from_be_bytes(packet.load(x.wrapping_add(k))?),
                Operation::LoadHalfAtX(k) => a = u16::from_be_bytes(packet.load(x.wrapping_add(k))?).into(),
                Operation::LoadByteAtX(k) => a = u8::from_be_bytes(packet.load(x.wrapping_add(k))?).into(),
                Operation::LoadConstant(k) => a = k,
                Operation::LoadLength => a = packet.data_len(),
                Operation::LoadMemory(word) => a = memory[usize::from(word.index())],
                Operation::LoadXConstant(k) => x = k,
                Operation::LoadXLength => x = packet.data_len(),
                Operation::LoadXMemory(word) => x = memory[usize::from(word.index())],
                Operation::LoadXHeaderLength(k) => x = u32::from(u8::from_be_bytes(packet.load(k)?) & 0x0f) * 4,
                Operation::LoadAncillary(ancillary) => match load_ancillary(ancillary, packet, a, x, &mut random) {
                    Some(value) => a = value,
                    None => return Some(a),
                },
                Operation::Store(word) => memory[usize::from(word.index())] = a,
                Operation::StoreX(word) => memory[usize::from(word.index())] = x,
                Operation::Add(k) => a = a.wrapping_add(k),
                Operation::Multiply(k) => a = a.wrapping_mul(k),
                Operation::Divide(k) => a /= k,
                Operation::Remainder(k) => a %= k,
                Operation::And(k) => a &= k,
                Operation::Or(k) => a |= k,
                Operation::Xor(k) => a ^= k,
                Operation::ShiftLeft(k) => a <<= k & 31,
                Operation::ShiftRight(k) => a >>= k & 31,
                Operation::Negate => a = a.wrapping_neg(),
                Operation::WithX(arithmetic) => a = compute(arithmetic, a, x)?,
                Operation::SetX => x = a,
                Operation::SetA => a = x,
                Operation::Jump(skip) => at += usize::from(skip),
                Operation::JumpIfEqual(ways, k) => at += ways.after(a == k),
                Operation::JumpIfGreater(ways, k) => at += ways.after(a > k),
                Operation::JumpIfGreaterOrEqual(ways, k) => at += ways.after(a >= k),
                Operation::JumpIfAnyBit(ways, k) => at += ways.after(a & k != 0),
                Operation::JumpIfX(test, ways) => at += ways.after(holds(test, a, x)),
                Operation::Return(k) => return Some(k),
                Operation::ReturnA => return Some(a),
            }
        }
    }
}

/// As [`Assembly`].
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Assembly(&self.instructions).fmt(f)
    }
}

#[inline(always)]
fn holds(test: Test, a: u32, x: u32) -> bool {
    match test {
        Test::Equal => a == x,
        Test::Greater => a > x,
        Test::GreaterOrEqual => a >= x,
        Test::AnyBit => a & x != 0,
    }
}

/// `None` is division by zero. A shift takes the low five bits of X, as it does in Linux.
#[inline(always)]
fn compute(arithmetic: Arithmetic, a: u32, x: u32) -> Option<u32> {
    Some(match arithmetic {
        Arithmetic::Add => a.wrapping_add(x),
        Arithmetic::Subtract => a.wrapping_sub(x),
        Arithmetic::Multiply => a.wrapping_mul(x),
        Arithmetic::Divide => a.checked_div(x)?,
        Arithmetic::Remainder => a.checked_rem(x)?,
        Arithmetic::And => a & x,
        Arithmetic::Or => a | x,
        Arithmetic::Xor => a ^ x,
        Arithmetic::ShiftLeft => a.wrapping_shl(x),
        Arithmetic::ShiftRight => a.wrapping_shr(x),
    })
}

/// What A becomes. `None` for a fact about the interface where there is none: the run ends, and returns A.
#[cold]
fn load_ancillary<B: Bytes + ?Sized>(
    ancillary: Ancillary,
    packet: &Packet<'_, B>,
    a: u32,
    x: u32,
    random: &mut u64,
) -> Option<u32> {
    let Metadata { protocol, packet_type, device, mark, queue, hash, cpu, vlan, random: _ } = *packet.metadata();
    Some(match ancillary {
        Ancillary::Protocol => protocol.into(),
        Ancillary::PacketType => packet_type.into(),
        Ancillary::InterfaceIndex => device?.index,
        Ancillary::HardwareType => device?.hardware_type.into(),
        Ancillary::Attribute => attributes::find(packet, a, x),
        Ancillary::NestedAttribute => attributes::find_nested(packet, a, x),
        Ancillary::Mark => mark,
        Ancillary::Queue => queue.into(),
        Ancillary::Hash => hash,
        Ancillary::Cpu => cpu,
        Ancillary::XorX => a ^ x,
        Ancillary::VlanTag => vlan.map_or(0, |tag| tag.control.into()),
        Ancillary::VlanTagPresent => vlan.is_some().into(),
        Ancillary::VlanProtocol => vlan.map_or(0, |tag| tag.protocol.into()),
        Ancillary::PayloadOffset => payload::offset(packet),
        Ancillary::Random => next_random(random),
    })
}

/// SplitMix64: each state gives one word, the upper half of what is mixed from it.
fn next_random(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::*;
    use crate::metadata::Device;

    /// What a program returns that ends with A, on the bytes 0, 1, 2, ... and with this metadata.
    fn run_with(metadata: &Metadata, statements: &[(u16, u32)]) -> u32 {
        let mut instructions: Vec<_> = statements.iter().map(|&(code, k)| Instruction::statement(code, k)).collect();
        instructions.push(Instruction::statement(RET | A, 0));
        let bytes: Vec<u8> = (0..64).collect();
        Program::new(&instructions).unwrap().run(&Packet::new(&bytes[..], metadata))
    }

    fn run(statements: &[(u16, u32)]) -> u32 {
        run_with(&Metadata::default(), statements)
    }

    /// A op X.
    fn with_x(code: u16, a: u32, x: u32) -> u32 {
        run(&[(LD | IMM, a), (LDX | IMM, x), (ALU | code | X, 0)])
    }

    #[test]
    fn loads() {
        assert_eq!(run(&[(LD | W | ABS, 1)]), 0x0102_0304);
        assert_eq!(run(&[(LD | H | ABS, 62)]), 0x3e3f);
        assert_eq!(run(&[(LD | B | ABS, 63)]), 63);
        assert_eq!(run(&[(LDX | IMM, 10), (LD | H | IND, u32::MAX)]), 0x090a);
        assert_eq!(run(&[(LDX | B | MSH, 21), (MISC | TXA, 0)]), 20);
        assert_eq!(run(&[(LD | W | LEN, 0)]), 64);
        assert_eq!(run(&[(LDX | W | LEN, 0), (MISC | TXA, 0)]), 64);
        assert_eq!(run(&[(LD | IMM, 7), (ST, 15), (LDX | MEM, 15), (MISC | TXA, 0)]), 7);
    }

    #[test]
    fn a_load_outside_of_the_packet_drops_it() {
        for (code, k) in [(LD | W | ABS, 61), (LD | H | ABS, 63), (LD | B | ABS, 64), (LD | B | ABS, LINK_OFFSET)] {
            assert_eq!(run(&[(LD | IMM, 7), (code, k), (LD | IMM, 9)]), 0);
        }
        assert_eq!(run(&[(LDX | B | MSH, 64), (LD | IMM, 9)]), 0);
        assert_eq!(run(&[(LDX | IMM, u32::MAX), (LD | B | IND, 0), (LD | IMM, 9)]), 0);
    }

    #[test]
    fn arithmetic_wraps() {
        assert_eq!(run(&[(LD | IMM, 1), (ALU | SUB | K, 2)]), u32::MAX);
        assert_eq!(run(&[(LD | IMM, 1), (ALU | NEG, 0)]), u32::MAX);
        assert_eq!(with_x(ADD, u32::MAX, 2), 1);
        assert_eq!(with_x(SUB, 1, 2), u32::MAX);
        assert_eq!(with_x(MUL, 0x8000_0001, 2), 2);
        assert_eq!([DIV, MOD, AND, OR, XOR].map(|code| with_x(code, 14, 4)), [3, 2, 4, 14, 10]);
        assert_eq!([LSH, RSH].map(|code| with_x(code, 0x11, 36)), [0x110, 1]);
    }

    #[test]
    fn division_by_zero_drops_the_packet() {
        assert_eq!(with_x(DIV, 1, 0), 0);
        assert_eq!(run(&[(LD | IMM, 1), (ALU | MOD | X, 0), (LD | IMM, 9)]), 0);
    }

    #[test]
    fn jumps_go_either_way() {
        let taken = |code, k, a| {
            let program = [
                Instruction::statement(LD | IMM, a),
                Instruction::statement(LDX | IMM, k),
                Instruction::jump(JMP | code, k, 1, 0),
                Instruction::statement(RET | K, 1),
                Instruction::statement(RET | K, 2),
            ];
            let nothing: &[u8] = &[];
            Program::new(&program).unwrap().run(&Packet::new(nothing, &Metadata::default())) == 2
        };
        for operand in [K, X] {
            assert!(taken(JEQ | operand, 5, 5) && !taken(JEQ | operand, 5, 6));
            assert!(taken(JGT | operand, 5, u32::MAX) && !taken(JGT | operand, 5, 5));
            assert!(taken(JGE | operand, 5, 5) && !taken(JGE | operand, u32::MAX, 5));
            assert!(taken(JSET | operand, 6, 5) && !taken(JSET | operand, 6, 9));
        }
    }

    #[test]
    fn ancillary_loads() {
        let metadata = Metadata {
            protocol: 0x86dd,
            packet_type: 2,
            device: Some(Device { index: 7, hardware_type: 772 }),
            mark: 0xdead_beef,
            queue: 3,
            hash: 99,
            cpu: 5,
            vlan: Some(crate::VlanTag { control: 0x6005, protocol: 0x88a8 }),
            random: 1,
        };
        let ask = |ancillary: Ancillary| run_with(&metadata, &[(LD | B | ABS, ancillary.k())]);
        assert_eq!(ask(Ancillary::Protocol), 0x86dd);
        assert_eq!(ask(Ancillary::PacketType), 2);
        assert_eq!(ask(Ancillary::InterfaceIndex), 7);
        assert_eq!(ask(Ancillary::HardwareType), 772);
        assert_eq!(ask(Ancillary::Mark), 0xdead_beef);
        assert_eq!(ask(Ancillary::Queue), 3);
        assert_eq!(ask(Ancillary::Hash), 99);
        assert_eq!(ask(Ancillary::Cpu), 5);
        assert_eq!(ask(Ancillary::VlanTag), 0x6005);
        assert_eq!(ask(Ancillary::VlanTagPresent), 1);
        assert_eq!(ask(Ancillary::VlanProtocol), 0x88a8);
        assert_eq!(run(&[(LD | IMM, 5), (LDX | IMM, 3), (LD | W | ABS, Ancillary::XorX.k())]), 6);
        let twice = [(LD | W | ABS, Ancillary::Random.k()), (MISC | TAX, 0), (LD | W | ABS, Ancillary::Random.k())];
        assert_ne!(run_with(&metadata, &[&twice[..], &[(ALU | XOR | X, 0)]].concat()), 0);
    }

    #[test]
    fn asking_for_an_interface_where_there_is_none_ends_the_run() {
        let ask = (LD | W | ABS, Ancillary::InterfaceIndex.k());
        assert_eq!(run(&[ask, (LD | IMM, 9)]), 0);
        assert_eq!(run(&[(LD | IMM, 5), ask, (LD | IMM, 9)]), 5);
    }
}
