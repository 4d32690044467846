//! Everything that the fuzzer was given or has found, run on every test.

mod exercise;

use std::fs;
use std::path::Path;

/// Runs a corpus; returns how many seeds it has.
fn run(name: &str, exercise: fn(&[u8]), every_prefix: bool) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut seeds = 0;
    for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        println!("{}", path.display());
        exercise(&bytes);
        let prefixes = if every_prefix { bytes.len().min(128) } else { 0 };
        for len in 0..prefixes {
            exercise(&bytes[..len]);
        }
        seeds += 1;
    }
    seeds
}

#[test]
fn kept_frames_pass() {
    assert!(run("stack_frames", exercise::stack_frames, true) > 0, "no corpus");
}

#[test]
fn kept_operations_pass() {
    assert!(run("stack_operations", exercise::stack_operations, false) > 0, "no corpus");
}

#[test]
fn kept_packets_pass() {
    assert!(run("stack_packets", exercise::stack_packets, true) > 0, "no corpus");
}
