//! The kernel as judge of socket filters: the same random program is attached to a kernel socket and given to ours, then
//! both see the same packet, and the kernel must cut or drop it as we would.
//!
//! The kernel shows how many bytes a program keeps only by what arrives: 0 is nothing, more than there are is all. So
//! most programs end in a fold of all their state into about as many values as the packet has bytes. Programs and packets
//! follow from a seed, which a failure names with the program.
//!
//! `SOCKEYE_FILTER_RUNS` says how many programs each test tries. The kernel is to be 6.18 or one that looks into frames as that
//! does: older ones take other ways through PPPoE (which only `SKF_AD_PAY_OFFSET` shows).

mod expressions;
mod generate;
mod kernel;

use sockeye_filter::code::*;
use sockeye_filter::{Ancillary, Assembly, Instruction, Packet, Program};
use sockeye_peers::{Family, in_both_families};

use generate::{Random, attributes, frame, mutated, program};
use kernel::{Attached, Datagrams, Frames, Loopback, Seen};

/// What a variable says, or as many as usual.
fn runs(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

const RUNS: &str = "SOCKEYE_FILTER_RUNS";

/// What is left of a packet of so many bytes.
fn kept(returned: u32, len: usize) -> Option<usize> {
    (returned != 0).then(|| len.min(returned as usize))
}

/// The kernel's verdict on a program beside ours. Whether it can be run.
fn same_verdict(seed: u64, instructions: &[Instruction], attached: Attached) -> Option<Program> {
    let ours = Program::new(instructions);
    assert!(
        ours.is_err() == (attached == Attached::Refused),
        "seed {seed}: kernel {attached:?}, we {ours:?}\n{}",
        Assembly(instructions)
    );
    ours.ok().filter(|_| attached == Attached::Yes)
}

/// What became of packets.
#[derive(Debug, Default)]
struct Fates {
    dropped: u64,
    cut: u64,
    whole: u64,
}

impl Fates {
    fn count(&mut self, kept: Option<usize>, len: usize) {
        match kept {
            None => self.dropped += 1,
            Some(kept) if kept < len => self.cut += 1,
            Some(_) => self.whole += 1,
        }
    }

    /// Only a packet that is cut tells what was computed.
    fn tell_much(&self) {
        println!("{self:?}");
        assert!(self.cut > self.dropped / 4 && self.cut > self.whole / 4, "{self:?}: too little can be seen");
    }
}

#[test]
fn on_plain_bytes_programs_do_what_the_kernels_do() {
    let mut kernel = Datagrams::new();
    let mut fates = Fates::default();
    for seed in 0..runs(RUNS, 20_000) {
        let mut random = Random::new(seed);
        let bytes = attributes(&mut random);
        let instructions = program(&mut random, bytes.len());
        let Some(ours) = same_verdict(seed, &instructions, kernel.attach(&instructions)) else { continue };
        let expected = kept(ours.run(&Packet::new(&bytes[..], &kernel.metadata)), bytes.len());
        let arrived = kernel.pass(&bytes);
        assert_eq!(arrived, expected, "seed {seed}, {} bytes {bytes:02x?}\n{ours}", bytes.len());
        fates.count(arrived, bytes.len());
    }
    fates.tell_much();
}

/// Frames on a wire, with headers and all that the kernel knows about them.
fn on_frames(cooked: bool) {
    let mut kernel = Frames::new(cooked);
    let mut fates = Fates::default();
    for seed in 0..runs(RUNS, 10_000) {
        let mut random = Random::new(seed ^ 1 << 40);
        let frame = frame(&mut random);
        let instructions = program(&mut random, frame.len() - if cooked { 14 } else { 0 });
        let Some(ours) = same_verdict(seed, &instructions, kernel.attach(&instructions)) else { continue };
        let (Seen { frame: seen, metadata, headers }, arrived) = kernel.pass(&frame);
        let len = seen.len() - headers.data;
        let expected = kept(ours.run(&Packet::with_headers(&seen[..], headers, &metadata)), len);
        assert_eq!(arrived, expected, "seed {seed}, {metadata:x?}, sent {frame:02x?}, seen {seen:02x?}\n{ours}");
        fates.count(arrived, len);
    }
    fates.tell_much();
}

#[test]
fn on_frames_programs_do_what_the_kernels_do() {
    on_frames(false);
}

#[test]
fn on_the_packets_in_frames_programs_do_what_the_kernels_do() {
    on_frames(true);
}

fn on_datagrams_programs_do_what_the_kernels_do(family: Family) {
    let mut kernel = Loopback::new(family);
    let mut fates = Fates::default();
    for seed in 0..runs(RUNS, 10_000) {
        let mut random = Random::new(seed ^ 1 << 43);
        let payload = attributes(&mut random);
        let instructions = program(&mut random, 8 + payload.len());
        let Some(ours) = same_verdict(seed, &instructions, kernel.attach(&instructions)) else { continue };
        let (Seen { frame: seen, metadata, headers }, arrived) = kernel.pass(&payload);
        let len = seen.len() - headers.data;
        let expected = kept(ours.run(&Packet::with_headers(&seen[..], headers, &metadata)), len);
        // The header of UDP is kept, whatever the program says.
        let expected = expected.map(|kept| kept.saturating_sub(8));
        assert_eq!(arrived, expected, "seed {seed}, {metadata:x?}, {seen:02x?}\n{ours}");
        fates.count(arrived, payload.len());
    }
    fates.tell_much();
}

/// How far the headers of a frame reach is told by a program of two instructions.
#[test]
fn payloads_begin_where_the_kernel_says() {
    for cooked in [false, true] {
        let mut kernel = Frames::new(cooked);
        let ask = Instruction::statement(LD | W | ABS, Ancillary::PayloadOffset.k());
        let instructions = [ask, Instruction::statement(RET | A, 0)];
        let ours = same_verdict(0, &instructions, kernel.attach(&instructions)).unwrap();
        for seed in 0..runs(RUNS, 10_000) {
            let frame = frame(&mut Random::new(seed ^ 1 << 42));
            let (Seen { frame: seen, metadata, headers }, arrived) = kernel.pass(&frame);
            let offset = ours.run(&Packet::with_headers(&seen[..], headers, &metadata));
            let expected = kept(offset, seen.len() - headers.data);
            assert_eq!(arrived, expected, "seed {seed}, we {offset}, {metadata:x?}, {frame:02x?}");
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    let kernel = Datagrams::new();
    let (mut allowed, mut refused) = (0, 0);
    for seed in 0..runs(RUNS, 20_000) {
        let mut random = Random::new(seed ^ 1 << 41);
        let instructions = mutated(&mut random, 100);
        let attached = kernel.attach(&instructions);
        same_verdict(seed, &instructions, attached);
        if attached == Attached::Refused { refused += 1 } else { allowed += 1 }
    }
    println!("{allowed} allowed, {refused} refused");
    assert!(
        allowed > refused / 10 && refused > allowed / 10,
        "{allowed} allowed, {refused} refused: too little is tried"
    );
}

/// Every code, with constants at which a rule may begin or end.
#[test]
fn each_code_is_known_or_not_as_to_the_kernel() {
    let kernel = Datagrams::new();
    let constants = [0, 1, 15, 16, 31, 32, ANCILLARY_OFFSET - 1, ANCILLARY_OFFSET, ANCILLARY_OFFSET + 2];
    let more = [ANCILLARY_OFFSET + 60, ANCILLARY_OFFSET + 64, NETWORK_OFFSET, LINK_OFFSET, u32::MAX];
    for code in (0..=0x1ff).chain((9..16).map(|bit| 1 << bit)) {
        for k in constants.into_iter().chain(more) {
            let mut program = vec![Instruction::statement(RET | K, 1); 4];
            program[0] = Instruction::statement(ST, 1);
            program[1] = Instruction::jump(code, k, 1, 0);
            same_verdict(u64::from(code), &program, kernel.attach(&program));
        }
    }
}

in_both_families! {
    on_datagrams_programs_do_what_the_kernels_do
}
