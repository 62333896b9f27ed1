//! See `placet_scheduler::fuzzing::grpc`.
#![cfg_attr(feature = "libfuzzer", no_main)]

placet_fuzz::target!(placet_scheduler::fuzzing::grpc);
