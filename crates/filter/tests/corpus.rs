//! Everything that the fuzzer was given or has found, run on every test; and what must hold for any bytes at all.

mod exercise;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn kept_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/filter");
    let mut seeds = 0;
    for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        println!("{}", path.display());
        // Whole, and every way to cut it short.
        for len in 0..=bytes.len() {
            exercise::filter(&bytes[..len]);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "no corpus");
}

proptest! {
    #[test]
    fn any_bytes_are_a_program_or_none(bytes in vec(any::<u8>(), 0..1200)) {
        exercise::filter(&bytes);
    }
}
