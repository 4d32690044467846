//! What must hold for any bytes whatever, for the property tests, the kept corpus and the fuzzer alike.
//!
//! The bytes are read as a program and a packet. Bytes as they come are seldom a program, so one bit of the first says whether
//! they are taken as they are, or bent into what the verifier may accept. Expressions are taken as they are.

#![allow(unreachable_pub, reason = "the fuzz targets use this file in a crate of their own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

use std::sync::LazyLock;

use sockeye_filter::code::*;
use sockeye_filter::{Ancillary, Assembly, Device, Headers, Instruction, MAX_INSTRUCTIONS, Metadata, Numbers};
use sockeye_filter::{Packet, Program, VlanTag, compile, parse};

/// What is exercised.
pub type Exercise = fn(&[u8]);

/// All of it, by the name of the fuzz target and the corpus.
pub const ALL: [(&str, Exercise); 2] = [("filter", filter), ("expression", expression)];

/// The codes that the verifier knows, which are counted in its own tests; and one that it does not.
static CODES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let known = |&code: &u16| {
        let program = [Instruction::statement(ST, 1), Instruction::statement(code, 1), RETURN, RETURN, RETURN];
        Program::new(&program).is_ok()
    };
    (0..=u16::from(u8::MAX)).filter(known).chain([RET | X]).collect()
});

const RETURN: Instruction = Instruction::statement(RET | A, 0);

/// A program and a packet: the program is refused with a place and a reason, or runs the same on one piece and on several;
/// its text is read again as the same program.
pub fn filter(bytes: &[u8]) {
    let Some((&[mode, count], rest)) = bytes.split_first_chunk() else { return };
    let (records, tail) = rest.as_chunks::<{ Instruction::LEN }>();
    let (records, left) = records.split_at(records.len().min(count.into()));
    let mut instructions: Vec<_> = records.iter().copied().map(Instruction::from_ne_bytes).collect();
    if mode & 1 != 0 {
        bend(&mut instructions);
    }
    assert_eq!(parse(&Numbers(&instructions).to_string()).unwrap(), instructions);
    assert_eq!(Assembly(&instructions).to_string().lines().count(), instructions.len());

    let packet: Vec<u8> = left.as_flattened().iter().chain(tail).copied().collect();
    match Program::new(&instructions) {
        Ok(program) => runs(&program, &packet, mode),
        Err(rejected) => assert!(rejected.at < instructions.len() || instructions.is_empty()),
    }
    assert!(instructions.len() <= MAX_INSTRUCTIONS);
}

/// An expression: refused with a place inside it and a reason of one line, or a program that ends.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match compile(text, 96) {
        Ok(program) => runs(&program, bytes, 0),
        Err(error) => {
            assert!(error.at <= text.len());
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}

/// Takes numbers for what they may mean in their place: most of what comes out is allowed.
fn bend(instructions: &mut Vec<Instruction>) {
    for cell in 0..MEMORY_WORDS as u32 {
        instructions.insert(0, Instruction::statement(ST, cell));
    }
    instructions.push(RETURN);
    let len = instructions.len();
    for (at, Instruction { code, jt, jf, k }) in instructions.iter_mut().enumerate().skip(MEMORY_WORDS) {
        let following = len - 1 - at;
        if following == 0 {
            break;
        }
        *code = CODES[usize::from(*code) % CODES.len()];
        *jt = (usize::from(*jt) % following) as u8;
        *jf = (usize::from(*jf) % following) as u8;
        *k = match *code {
            code if code == JMP | JA => *k % following as u32,
            code if code & 0x07 == LD && code & 0xe0 == ABS => match *k >> 30 {
                0 => *k % 128,
                1 => Ancillary::ALL[*k as usize % Ancillary::ALL.len()].k(),
                2 => NETWORK_OFFSET + *k % 128,
                _ => LINK_OFFSET + *k % 128,
            },
            code if matches!(code, ST | STX) || code & 0xe0 == MEM && code & 0x07 <= LDX => *k % MEMORY_WORDS as u32,
            code if code & 0x07 == ALU && matches!(code & 0xf0, LSH | RSH) => *k % 32,
            code if code & 0x07 == ALU => *k | 1,
            _ => *k,
        };
    }
}

fn runs(program: &Program, packet: &[u8], mode: u8) {
    let metadata = Metadata {
        protocol: [0, 0x0800, 0x86dd, 0x8100][usize::from(mode >> 1 & 3)],
        packet_type: mode >> 3 & 3,
        device: (mode & 0x20 != 0).then_some(Device { index: 3, hardware_type: 1 }),
        vlan: (mode & 0x40 != 0).then_some(VlanTag { control: 0x2001, protocol: 0x8100 }),
        random: mode.into(),
        ..Metadata::default()
    };
    let begin = usize::from(mode & 0x1f);
    for headers in [
        Headers { link: None, network: 0, data: 0 },
        Headers { link: Some(0), network: 14, data: 0 },
        Headers { link: Some(begin), network: begin + 14, data: begin + 34 },
    ] {
        let kept = program.run(&Packet::with_headers(packet, headers, &metadata));
        let (first, rest) = packet.split_at(packet.len() / 3);
        let (second, third) = rest.split_at(rest.len().min(1));
        let pieces = [first, second, &[], third];
        assert_eq!(program.run(&Packet::with_headers(&pieces[..], headers, &metadata)), kept);
    }
    assert_eq!(Program::new(program.instructions()).unwrap().to_string(), program.to_string());
}
