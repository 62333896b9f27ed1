//! See `placet_store_sqlite::fuzzing::file_header`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet_store_sqlite::fuzzing::file_header);
