//! Replay: history in, actions out. Nothing here is async, and no IO happens while state changes.
//!
//! An orchestration's code is a future. It is polled once for every event that resolves something it may wait
//! for, so that the order of the events decides, and nothing else. What it asks for are *actions*; the
//! scheduler confirms each in the history, and on replay every confirmation must meet the same action again.

mod check;
mod machine;
mod rewind;
mod shared;
#[cfg(test)]
mod tests;

pub use check::check_history;
pub(crate) use machine::{Code, Orchestration, TurnResult};
pub(crate) use shared::{Raised, Resolved, Shared};
