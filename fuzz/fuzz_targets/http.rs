//! See `placet::fuzzing::http`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet::fuzzing::http);
