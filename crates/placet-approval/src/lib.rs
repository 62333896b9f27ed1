//! The approval rules: a pure function from a request and an event to a request and effects.
//!
//! A [`Request`] is what somebody asked for, with its absolute deadline; a [`Decision`] is what an approver says to
//! it; the [`Outcome`] is what came of it, once and for all. [`apply`] knows no clock, no IO and no chance: the
//! orchestration `placet.approval` feeds it and acts on its effects, the HTTP API reads what it wrote (P2).

mod decision;
mod field;
mod outcome;
pub mod planted;
mod projection;
mod request;
mod rules;

pub use decision::Decision;
pub use field::FieldError;
pub use outcome::{Decided, Outcome, TimedOut};
pub use projection::{Details, REQUEST_ROWS, RequestRow};
pub use request::{Input, NewRequest, Request};
pub use rules::{Effect, Event, Reply, apply};

/// The name of the built-in orchestration.
pub const ORCHESTRATION: &str = "placet.approval";

/// The external event that carries a decision: the mission's name, so that any orchestration that waits for it can
/// be answered.
pub const DECISION_EVENT: &str = "approval_response";
