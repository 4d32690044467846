//! The numbers that an operation code is put together from, by their names in `<linux/filter.h>` less the prefix `BPF_`.
//!
//! A code is a class in the low three bits and, by class, what else it takes: size and mode of a load, operation and
//! operand of arithmetic and jumps. `LDX | B | MSH` is read as it stands in any text on BPF.

/// Class: load into A.
pub const LD: u16 = 0x00;
/// Class: load into X.
pub const LDX: u16 = 0x01;
/// Class: store A.
pub const ST: u16 = 0x02;
/// Class: store X.
pub const STX: u16 = 0x03;
/// Class: arithmetic on A.
pub const ALU: u16 = 0x04;
/// Class: jump.
pub const JMP: u16 = 0x05;
/// Class: return.
pub const RET: u16 = 0x06;
/// Class: moves between A and X.
pub const MISC: u16 = 0x07;

/// Size of a load: 32 bits.
pub const W: u16 = 0x00;
/// Size of a load: 16 bits.
pub const H: u16 = 0x08;
/// Size of a load: 8 bits.
pub const B: u16 = 0x10;

/// Mode of a load: the constant itself.
pub const IMM: u16 = 0x00;
/// Mode of a load: the packet at k.
pub const ABS: u16 = 0x20;
/// Mode of a load: the packet at X + k.
pub const IND: u16 = 0x40;
/// Mode of a load: a word of scratch memory.
pub const MEM: u16 = 0x60;
/// Mode of a load: the packet's length.
pub const LEN: u16 = 0x80;
/// Mode of a load: four times the low half of the byte at k, which is an IPv4 header's length.
pub const MSH: u16 = 0xa0;

/// A += operand.
pub const ADD: u16 = 0x00;
/// A -= operand.
pub const SUB: u16 = 0x10;
/// A *= operand.
pub const MUL: u16 = 0x20;
/// A /= operand.
pub const DIV: u16 = 0x30;
/// A |= operand.
pub const OR: u16 = 0x40;
/// A &= operand.
pub const AND: u16 = 0x50;
/// A <<= operand.
pub const LSH: u16 = 0x60;
/// A >>= operand.
pub const RSH: u16 = 0x70;
/// A = -A.
pub const NEG: u16 = 0x80;
/// A %= operand.
pub const MOD: u16 = 0x90;
/// A ^= operand.
pub const XOR: u16 = 0xa0;

/// Jump always.
pub const JA: u16 = 0x00;
/// Jump by A == operand.
pub const JEQ: u16 = 0x10;
/// Jump by A > operand.
pub const JGT: u16 = 0x20;
/// Jump by A >= operand.
pub const JGE: u16 = 0x30;
/// Jump by A & operand != 0.
pub const JSET: u16 = 0x40;

/// The operand is the constant k; returned is k.
pub const K: u16 = 0x00;
/// The operand is X.
pub const X: u16 = 0x08;
/// Returned is A.
pub const A: u16 = 0x10;

/// X = A.
pub const TAX: u16 = 0x00;
/// A = X.
pub const TXA: u16 = 0x80;

/// Words of scratch memory.
pub const MEMORY_WORDS: usize = 16;

/// `SKF_AD_OFF`: from here on an absolute load asks for [ancillary](crate::Ancillary) data.
pub const ANCILLARY_OFFSET: u32 = -0x1000_i32 as u32;
/// `SKF_NET_OFF`: from here on an offset counts from the network header.
pub const NETWORK_OFFSET: u32 = -0x10_0000_i32 as u32;
/// `SKF_LL_OFF`: from here on an offset counts from the link header.
pub const LINK_OFFSET: u32 = -0x20_0000_i32 as u32;
