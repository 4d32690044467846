//! Everything that the fuzzer was given or has found, run on every test.

mod exercise;

use std::fs;
use std::path::Path;

#[test]
fn kept_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, run) in exercise::ALL {
        let mut seeds = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("corpus of {name}: {error}")) {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            println!("{}", path.display());
            run(&bytes);
            // Every way to cut it short, too.
            for len in 0..bytes.len().min(256) {
                run(&bytes[..len]);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "no corpus for {name}");
    }
}
