//! The approval rules: a pure function from a request and an event to a request and effects.
//!
//! A [`Request`] is what somebody asked for, with its absolute deadline and its [`Plan`]: who decides, in which stages; a
//! [`Decision`] is what an approver says to it, an [`Act`] what people do with it otherwise; the [`Outcome`] is what came of
//! it, once and for all. [`apply`] knows no clock, no IO and no chance: the orchestration `placet.approval` feeds it and acts
//! on its effects, the HTTP API reads what it wrote (P2).

mod act;
mod calendar;
mod configuration;
mod decision;
mod directory;
mod field;
mod identity;
mod outcome;
mod permit;
mod plan;
pub mod planted;
mod policy;
mod projection;
mod record;
mod request;
mod rules;
mod schema;
pub mod terms;

pub use act::{Act, Answer, Reason, Revision, Text, To};
pub use calendar::{Calendar, Day, Hours};
pub use configuration::{Configuration, Configurations, Needs, nobody};
pub use decision::{ABSTAIN, Decision};
pub use directory::{Absence, Directory, User, undecidable};
pub use field::FieldError;
pub use identity::{Approver, Caller, Person, Proof, Right};
pub use outcome::{By, Decided, Outcome, TimedOut, Withdrawn};
pub use permit::{
    BEGUN_ROWS, Begin, Begun, BegunRow, Finish, Finished, GRANT, Grant, Granted, PERMIT, PERMIT_EVENT, PERMIT_ROWS,
    Permit, PermitAct, PermitEffect, PermitEvent, PermitInput, PermitReply, PermitShown, PermitState, Revoke, Revoked,
    action_hash, permit_id, request_of_permit,
};
pub use plan::{
    Escalation, Need, OnTimeout, Plan, PolicyVersion, Remind, Replacement, Reset, Resolved, Revise, Seat, Stage, Step,
    Veto, duration,
};
pub use policy::{Planned, Planning, Policies, Policy, Template};
pub use projection::{CONTENT_ROWS, ContentRow, Details, REQUEST_ROWS, RequestRow, SeatShown, StageShown, VoteShown};
pub use record::{Entered, Entry};
pub use request::{Choice, Edited, Input, Link, NewRequest, Priority, Question, Request};
pub use rules::{
    Answered, Ballot, Candidate, Claim, Effect, Event, Level, LookUp, OpenStage, Refusal, Reply, SEATS_MAX, Said,
    SeatSet, Standing, Vote, apply, digest_of,
};

/// The name of the built-in orchestration.
pub const ORCHESTRATION: &str = "placet.approval";

/// The external event that carries a [`Decision`], or for a request another [`Act`]: the mission's name, so that any
/// orchestration that waits for it can be answered, and one name, so that what people do happens in the order in which they
/// did it.
pub const DECISION_EVENT: &str = "approval_response";

/// The event that tells a request that the orchestration which waited for it does so no more: its payload is that one's id. The
/// scheduler sends it.
pub const PARENT_ENDED_EVENT: &str = "placet.parent-ended";

/// The activity that looks up who could vote in a stage: a [`LookUp`] in, a [`Resolved`] out.
pub const LOOK_UP: &str = "placet.look_up";

/// The activity that evaluates the policy of a new request: a [`Planning`] in, a [`Planned`] out, if a policy says something.
pub const PLAN: &str = "placet.plan";

/// As people read a hash.
fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
