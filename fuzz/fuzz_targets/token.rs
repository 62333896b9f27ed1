//! See `placet_core::fuzzing::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| placet_core::fuzzing::token(data));
