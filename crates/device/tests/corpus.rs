//! Everything that the fuzzer was given or has found, run on every test.

mod exercise;

use std::fs;
use std::path::Path;

#[test]
fn kept_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/device_segments");
    let mut seeds = 0;
    for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        println!("{}", path.display());
        // Whole, and every way to cut it short.
        for len in (0..=bytes.len().min(256)).chain([bytes.len()]) {
            exercise::device_segments(&bytes[..len]);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "no corpus");
}
