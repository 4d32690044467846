//! Everything that the fuzzer was given or has found, and random requests, run on every test.

mod exercise;

use std::fs;
use std::path::Path;

#[test]
fn kept_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/netlink_requests");
    let mut seeds = 0;
    for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        println!("{}", path.display());
        // Whole, and every way to cut it short.
        for len in 0..=bytes.len() {
            exercise::netlink_requests(&bytes[..len]);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "no corpus");
}

#[test]
fn whatever_is_asked_has_an_answer_that_can_be_read() {
    let mut state = 1u64;
    let mut next = move |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    for _ in 0..20_000 {
        let mut bytes = vec![next(2) as u8];
        for sequence in 0..=next(3) as u32 {
            let fixed = [8, 12, 16, next(20)][next(4)];
            // Mostly small numbers: families, indices and lengths that mean something.
            let mut body: Vec<u8> = (0..fixed).map(|_| [0, 0, next(12), next(256)][next(4)] as u8).collect();
            for _ in 0..next(4) {
                let value = next(20);
                let len = if next(8) == 0 { next(70_000) } else { 4 + value };
                body.extend([(len as u16).to_ne_bytes(), (next(64) as u16).to_ne_bytes()].concat());
                body.extend((0..value.next_multiple_of(4)).map(|_| [0, 2, 10, next(256)][next(4)] as u8));
            }
            let len = (16 + body.len() + if next(50) == 0 { next(9) } else { 0 }) as u32;
            let kind = [18, 22, 26, 30, 34, 16 + next(100)][next(6)] as u16;
            let flags = [1, 0x301, 0x305, next(65_536)][next(4)] as u16;
            bytes.extend([len, u32::from(kind) | u32::from(flags) << 16, sequence, 0].map(u32::to_le_bytes).concat());
            bytes.extend(body);
            bytes.resize(1 + (bytes.len() - 1).next_multiple_of(4), 0);
        }
        exercise::netlink_requests(&bytes);
    }
}
