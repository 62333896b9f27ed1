//! See `placet_core::fuzzing::stored_rows`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet_core::fuzzing::stored_rows);
