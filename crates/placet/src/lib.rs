//! Placet in a program of your own: the scheduler in the same process, without a socket.
//!
//! The binary of this crate is the server. This library is what joins the SDK and the scheduler, and the one place
//! that knows both; programs that want everything in one process, the tests and the benchmarks use it, too.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod in_process;

pub use in_process::InProcess;

const _: () = assert!(!placet_core::planted::BUILT_IN, "the core's planted bugs are for the simulator alone");
const _: () = assert!(!placet_approval::planted::BUILT_IN, "the rules' planted bugs, too");
