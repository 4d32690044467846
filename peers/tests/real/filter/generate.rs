//! Random programs and packets, from a seed.
//!
//! What is drawn evenly from all that is possible would tell little: a load far outside ends most programs, a random
//! code is refused. So offsets are drawn near what is interesting in a packet, operands near the ends of their range, and
//! what only makes sense together (an index and an indirect load) is drawn together.

use sockeye_filter::code::*;
use sockeye_filter::{Ancillary, Instruction, Program, Reason};

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as u32
    }

    /// Below a limit, which is not 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.word() as usize % limit
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.word() as u8).collect()
    }
}

/// A program that is allowed, for a packet of so many bytes.
pub(super) fn program(random: &mut Random, len: usize) -> Vec<Instruction> {
    let count = if random.one_in(20) { 10 + random.below(300) } else { 1 + random.below(30) };
    let mut program = Vec::new();
    while program.len() < count {
        step(random, len, &mut program);
    }
    fold(random, len, &mut program);
    let last = program.len() - 1;
    for (at, instruction) in program[..last].iter_mut().enumerate() {
        aim(random, instruction, last - at);
    }
    // A read of memory that was not written becomes a constant.
    while let Err(rejected) = Program::new(&program) {
        let Reason::ReadBeforeWritten(_) = rejected.reason else { panic!("{rejected}") };
        let class = program[rejected.at].code & 0x07;
        program[rejected.at] = Instruction::statement(class | IMM, random.word());
    }
    program
}

/// A program that is allowed, with a few fields changed: it may be or not.
pub(super) fn mutated(random: &mut Random, len: usize) -> Vec<Instruction> {
    let mut program = program(random, len);
    for _ in 0..1 + random.below(3) {
        let at = random.below(program.len());
        let instruction = &mut program[at];
        match random.below(8) {
            0 => instruction.code = random.word() as u16 & 0xff,
            1 => instruction.code ^= 1 << random.below(16),
            2 => instruction.k = random.of(&EDGES),
            3 => instruction.k = ANCILLARY_OFFSET.wrapping_add(random.below(80) as u32).wrapping_sub(8),
            4 => instruction.k = random.below(40) as u32,
            5 => instruction.jt = random.below(40) as u8,
            6 => instruction.jf = random.of(&[0, 1, 2, 3, 5, 8, 13, 21, 100, 254, 255]),
            _ => *instruction = Instruction::statement(random.of(&[LD | MEM, LDX | MEM]), random.below(17) as u32),
        }
    }
    match random.below(20) {
        0 => program.truncate(random.below(program.len() + 1)),
        1 => program.extend_from_within(..random.below(program.len())),
        2 => {
            let to = 4094 + random.below(4);
            program.resize(to, Instruction::statement(RET | K, 1));
        }
        _ => {}
    }
    program
}

const EDGES: [u32; 16] =
    [0, 1, 2, 3, 4, 7, 15, 16, 31, 32, 33, 255, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

fn constant(random: &mut Random) -> u32 {
    match random.below(3) {
        0 => random.of(&EDGES),
        1 => random.below(1 << 16) as u32,
        _ => random.word(),
    }
}

/// An offset into a packet of so many bytes: mostly inside.
fn offset(random: &mut Random, len: usize) -> u32 {
    let len = len as u32;
    let inside = |random: &mut Random| random.below(len.saturating_sub(3).max(1) as usize) as u32;
    match random.below(40) {
        0 => len.saturating_sub(random.below(6) as u32),
        1 => len + random.below(3) as u32,
        2..6 => NETWORK_OFFSET + inside(random),
        6..9 => LINK_OFFSET + inside(random),
        9 => random.of(&[NETWORK_OFFSET, LINK_OFFSET]).wrapping_sub(random.below(4) as u32),
        10 => random.of(&[0x7fff_ffff, 0x7fff_fffc, 0x8000_0000, 0x0010_0000, LINK_OFFSET - 1, 0xffff]),
        _ => inside(random),
    }
}

fn step(random: &mut Random, len: usize, program: &mut Vec<Instruction>) {
    let mut push = |code, k| program.push(Instruction::statement(code, k));
    let size = random.of(&[W, H, B]);
    match random.below(32) {
        0..5 => push(LD | size | ABS, offset(random, len)),
        5..8 => {
            // An index that leads somewhere, or whatever X is.
            match random.below(8) {
                0 => {}
                1 => push(LDX | B | MSH, offset(random, len)),
                2 => {
                    push(ALU | AND | K, 0x1f);
                    push(MISC | TAX, 0);
                }
                _ => push(LDX | IMM, random.below(len.max(1)) as u32),
            }
            let near = random.below(8) as u32;
            let k = match random.below(16) {
                0 => offset(random, len),
                1 => near.wrapping_neg(),
                2 => NETWORK_OFFSET + near,
                _ => near,
            };
            push(LD | size | IND, k);
        }
        8 => push(LDX | B | MSH, offset(random, len)),
        9 => push(random.of(&[LD, LDX]) | IMM, constant(random)),
        10 => push(random.of(&[LD, LDX]) | W | LEN, 0),
        11..13 => push(random.of(&[ST, STX]), random.below(MEMORY_WORDS) as u32),
        13..15 => push(random.of(&[LD, LDX]) | MEM, random.below(MEMORY_WORDS) as u32),
        15 => push(random.of(&[MISC | TAX, MISC | TXA]), 0),
        16..20 => {
            let operation = random.of(&[ADD, SUB, MUL, DIV, MOD, AND, OR, XOR]);
            let k = constant(random);
            // A constant divisor of 0 is refused.
            push(ALU | operation | K, if matches!(operation, DIV | MOD) { k.max(1) } else { k });
        }
        20 => push(ALU | random.of(&[LSH, RSH]) | K, random.below(32) as u32),
        21 => push(ALU | NEG, 0),
        22..24 => push(ALU | random.of(&[ADD, SUB, MUL, DIV, MOD, AND, OR, XOR, LSH, RSH]) | X, 0),
        24..28 => {
            let test = random.of(&[JEQ, JGT, JGE, JSET]) | random.of(&[K, K, X]);
            let k = constant(random);
            program.push(Instruction::jump(JMP | test, k, random.below(6) as u8, random.below(6) as u8));
        }
        28 => push(JMP | JA, random.below(4) as u32),
        29 if random.one_in(4) => push(RET | random.of(&[K, A]), constant(random)),
        29..31 => {
            let ancillary = random.of(&Ancillary::ALL);
            match ancillary {
                // Nobody knows the kernel's.
                Ancillary::Random => return,
                // Mostly there is an interface; where not, that is the end of the program.
                Ancillary::InterfaceIndex | Ancillary::HardwareType if random.one_in(2) => return,
                Ancillary::Attribute | Ancillary::NestedAttribute => {
                    push(LD | IMM, random.below(len + 4) as u32 & !if random.one_in(8) { 0 } else { 3 });
                    push(LDX | IMM, random.below(6) as u32);
                }
                _ => {}
            }
            push(LD | size | ABS, ancillary.k());
        }
        _ => {
            push(MISC | TAX, 0);
            push(ALU | random.of(&[MUL, XOR, ADD]) | X, 0);
        }
    }
}

/// Ends a program such that what it has computed shows in how many bytes it keeps.
fn fold(random: &mut Random, len: usize, program: &mut Vec<Instruction>) {
    let mut push = |code, k| program.push(Instruction::statement(code, k));
    match random.below(8) {
        0 => return push(RET | A, 0),
        1 => return push(RET | K, random.below(len + 2) as u32),
        _ => {}
    }
    push(ALU | MUL | K, 0x9e37_79b1);
    push(ALU | XOR | X, 0);
    for _ in 0..3 {
        push(LDX | MEM, random.below(MEMORY_WORDS) as u32);
        push(ALU | ADD | X, 0);
        push(ALU | MUL | K, 0x85eb_ca6b);
    }
    push(ALU | RSH | K, 7);
    push(ALU | MOD | K, len as u32 + 2);
    push(RET | A, 0);
}

/// Makes a jump end inside.
fn aim(random: &mut Random, instruction: &mut Instruction, following: usize) {
    if instruction.code & 0x07 != JMP {
        return;
    }
    if instruction.code == JMP | JA {
        instruction.k %= following as u32;
        return;
    }
    if random.one_in(10) {
        instruction.jt = random.below(256) as u8;
    }
    instruction.jt = (usize::from(instruction.jt) % following) as u8;
    instruction.jf = (usize::from(instruction.jf) % following) as u8;
}

/// Bytes with netlink attributes among them.
pub(super) fn attributes(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let len = if random.one_in(30) { random.below(3000) } else { random.below(200) };
    while bytes.len() < len {
        match random.below(4) {
            0 => {
                let count = random.below(12);
                bytes.extend(random.bytes(count));
            }
            1 => bytes.resize(bytes.len().next_multiple_of(4), 0),
            _ => {
                // Right, nested in what follows, or a lie.
                let claimed = if random.one_in(10) { random.word() as u16 } else { 4 + random.below(24) as u16 };
                bytes.extend(claimed.to_ne_bytes());
                bytes.extend((random.below(6) as u16 | random.of(&[0, 0, 0x4000, 0x8000])).to_ne_bytes());
            }
        }
    }
    bytes
}

/// An Ethernet frame with what the kernel knows to look into: tags, tunnels, extension headers, fragments; sometimes
/// bent, sometimes cut short.
pub(super) fn frame(random: &mut Random) -> Vec<u8> {
    const DESTINATIONS: [[u8; 6]; 4] = [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5e, 0, 0, 1], [2, 9, 9, 9, 9, 9]];
    let mut bytes = random.of(&DESTINATIONS).to_vec();
    bytes.extend([2, 0, 0, 0, 0, 1]);
    link(random, &mut bytes, 8);
    if random.one_in(6) {
        let at = 12 + random.below(bytes.len() - 12);
        bytes[at] = random.word() as u8;
    }
    if random.one_in(6) {
        bytes.truncate(14 + random.below(bytes.len() - 13));
    }
    // A tagged frame that ends in its tag is no frame, and nothing is shorter than its link header.
    bytes.resize(bytes.len().max(20), 0);
    bytes.truncate(1514);
    bytes
}

/// An EtherType, and what it promises.
fn link(random: &mut Random, bytes: &mut Vec<u8>, depth: usize) {
    let push = |bytes: &mut Vec<u8>, ether_type: u16| bytes.extend(ether_type.to_be_bytes());
    match if depth == 0 { 0 } else { random.below(20) } {
        0..5 => {
            push(bytes, 0x0800);
            ipv4(random, bytes, depth);
        }
        5..9 => {
            push(bytes, 0x86dd);
            ipv6(random, bytes, depth);
        }
        9..13 => {
            push(bytes, random.of(&[0x8100, 0x8100, 0x88a8]));
            bytes.extend((random.word() as u16).to_be_bytes());
            link(random, bytes, depth - 1);
        }
        13 => {
            push(bytes, 0x8864);
            bytes.extend([0x11, 0, 0, 1, 0, 40]);
            match random.below(4) {
                0 => {
                    push(bytes, 0x0021);
                    ipv4(random, bytes, depth);
                }
                1 => {
                    push(bytes, 0x0057);
                    ipv6(random, bytes, depth);
                }
                // Compressed, MPLS, LCP, none at all.
                _ => {
                    push(bytes, random.of(&[0x2145, 0x5760, 0x0281, 0x0283, 0xc021, 0x0100, 0x0002, 0x0101]));
                    bytes.extend(random.bytes(40));
                }
            }
        }
        14 => {
            // HSR, PRP, and batman-adv with its own Ethernet header.
            match random.below(3) {
                0 => {
                    push(bytes, 0x4305);
                    bytes.extend([0x40, 15, 50, 0]);
                    bytes.extend([7; 18]);
                }
                _ => {
                    push(bytes, random.of(&[0x892f, 0x88fb]));
                    bytes.extend([0; 4]);
                }
            }
            link(random, bytes, depth - 1);
        }
        15 => {
            // A length, and no type.
            push(bytes, random.below(0x0600) as u16);
            bytes.extend(random.of(&[[0xff, 0xff], [0xaa, 0xaa]]));
            bytes.extend(random.bytes(30));
        }
        _ => {
            push(bytes, random.of(&[0x0806, 0x8035, 0x8847, 0x8848, 0x88ca, 0x88f7, 0x8902, 0x8906, 0x1234]));
            let count = random.below(60);
            bytes.extend(random.bytes(count));
        }
    }
}

fn ipv4(random: &mut Random, bytes: &mut Vec<u8>, depth: usize) {
    let words = if random.one_in(4) { random.below(16) as u8 } else { 5 };
    let fragment: u16 = if random.one_in(6) { random.of(&[0x2000, 0x2001, 0x0001, 0x1fff]) } else { 0x4000 };
    let protocol = protocol(random, depth);
    bytes.extend([0x40 | words, 0, 0, 60, 0, 0]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    bytes.extend(random.bytes(usize::from(words.saturating_sub(5)) * 4));
    carried(random, bytes, protocol, depth);
}

fn ipv6(random: &mut Random, bytes: &mut Vec<u8>, depth: usize) {
    let protocol = protocol(random, depth);
    bytes.extend([0x60, 0, 0, 0, 0, 40, protocol, 64]);
    bytes.extend(random.bytes(32));
    carried(random, bytes, protocol, depth);
}

fn protocol(random: &mut Random, depth: usize) -> u8 {
    match if depth == 0 { 0 } else { random.below(3) } {
        0 => random.of(&[6, 6, 17, 17, 1, 58, 2, 33, 132, 136, 50, 51, 59, 115, 255]),
        1 => random.of(&[4, 41, 47, 137]),
        _ => random.of(&[0, 43, 44, 60]),
    }
}

fn carried(random: &mut Random, bytes: &mut Vec<u8>, protocol: u8, depth: usize) {
    match protocol {
        4 => ipv4(random, bytes, depth - 1),
        41 => ipv6(random, bytes, depth - 1),
        47 => gre(random, bytes, depth),
        0 | 43 | 60 => {
            let (next, units) = (self::protocol(random, depth - 1), random.below(3));
            bytes.extend([next, units as u8]);
            bytes.extend(random.bytes(6 + units * 8));
            carried(random, bytes, next, depth - 1);
        }
        44 => {
            let next = self::protocol(random, depth - 1);
            bytes.extend([next, 0]);
            bytes.extend(random.of(&[0_u16, 1, 8, 9]).to_be_bytes());
            bytes.extend(random.bytes(4));
            carried(random, bytes, next, depth - 1);
        }
        _ => {
            let count = random.below(60);
            bytes.extend(random.bytes(count));
        }
    }
}

fn gre(random: &mut Random, bytes: &mut Vec<u8>, depth: usize) {
    let flags = random.of(&[0, 0, 0x8000, 0x2000, 0x1000, 0xb000, 0x4000, 0x2001, 0x3081, 0x0001, 0x0002]);
    bytes.extend(u16::to_be_bytes(flags));
    let words = (flags & 0xb000).count_ones() as usize;
    if flags & 7 == 1 {
        bytes.extend([0x88, 0x0b]);
        bytes.extend(random.bytes(4 * (words + usize::from(flags & 0x80 != 0))));
        bytes.extend([0xff, 3, 0, random.of(&[0x21, 0x57, 0x99])]);
        return ipv4(random, bytes, depth - 1);
    }
    let inner = random.of(&[0x0800_u16, 0x86dd, 0x6558]);
    bytes.extend(inner.to_be_bytes());
    bytes.extend(random.bytes(4 * words));
    match inner {
        0x0800 => ipv4(random, bytes, depth - 1),
        0x86dd => ipv6(random, bytes, depth - 1),
        _ => {
            bytes.extend(random.bytes(12));
            link(random, bytes, depth - 1);
        }
    }
}
