//! Everything that the fuzzer was given or has found, run on every test; and what must hold for any bytes at all.

mod exercise;

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn kept_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, run) in exercise::ALL {
        let mut seeds = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("corpus of {name}: {error}")) {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            println!("{}", path.display());
            // Whole, and every way to cut it short.
            for len in 0..=bytes.len() {
                run(&bytes[..len]);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "no corpus for {name}");
    }
}

/// Words of the language, in any order.
fn words() -> impl Strategy<Value = String> {
    const WORDS: [&str; 40] = [
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ":",
        "=",
        "!=",
        "<",
        "&",
        "|",
        "<<",
        "-",
        "*",
        "/",
        "src",
        "dst",
        "host",
        "net",
        "port",
        "portrange",
        "proto",
        "ether",
        "ip",
        "ip6",
        "arp",
        "tcp",
        "udp",
        "icmp6",
        "vlan",
        "len",
        "less",
        "10.0.0.1",
        "10",
        "fd00::1",
        "2:0:0:0:0:1",
        "1-2",
        "tcpflags",
    ];
    vec(prop::sample::select(&WORDS[..]), 0..30).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_bytes_are_a_program_or_none(bytes in vec(any::<u8>(), 0..1200)) {
        exercise::filter(&bytes);
    }

    #[test]
    fn any_words_are_an_expression_or_none(text in words()) {
        exercise::expression(text.as_bytes());
    }

    #[test]
    fn any_text_is_an_expression_or_none(text in any::<String>()) {
        exercise::expression(text.as_bytes());
    }
}
