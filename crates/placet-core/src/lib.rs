//! The scheduler's three machines, pure: no clock, no IO, no async, no randomness.
//!
//! A [`shard::Shard`] is what is driven: it wires the **partitions** (what a command means), the **commit**
//! (many commands, one transaction, effects held until it is durable) and the **dispatch** (who gets which
//! work item). It is told what arrived and what time it is, and says what is to be done; the scheduler gives
//! it sockets and threads, the simulator gives it chance.
//!
//! The words: an *instance* is one orchestration; a *turn* is one run of its code between two waits; a
//! *command* asks for something, *writes* are what is stored of it, *effects* what the world is told once the
//! writes are durable. ARCHITECTURE.md has the glossary.

pub mod body;
pub mod chain;
pub mod clock;
pub mod command;
mod commands;
pub mod commit;
pub mod dispatch;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ids;
pub mod item;
pub mod limits;
pub mod outcome;
pub mod partition;
pub mod planted;
pub mod reach;
pub mod rows;
pub mod shard;
pub mod tally;
pub mod time;
pub mod timers;
pub mod token;
pub mod why;
pub mod wire;
