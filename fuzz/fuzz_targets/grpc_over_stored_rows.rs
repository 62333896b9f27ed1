//! See `placet_scheduler::fuzzing::grpc_over_stored_rows`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet_scheduler::fuzzing::grpc_over_stored_rows);
