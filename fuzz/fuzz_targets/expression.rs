#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sockeye_fuzz::filter::expression(bytes));
