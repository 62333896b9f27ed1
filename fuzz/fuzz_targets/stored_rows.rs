//! See `placet_core::fuzzing::stored_rows`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| placet_core::fuzzing::stored_rows(data));
