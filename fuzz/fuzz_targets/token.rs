//! See `placet_core::fuzzing::token`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet_core::fuzzing::token);
