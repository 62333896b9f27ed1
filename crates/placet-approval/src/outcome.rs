//! What came of a request: decided once, told the same to everybody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What came of a request. Its JSON is the mission's `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status")]
pub enum Outcome {
    /// Somebody said yes. Nothing else means yes.
    Approved(Decided),
    /// Somebody said no.
    Rejected(Decided),
    /// Nobody said anything before the deadline: nobody's decision, and no rejection.
    Timeout(TimedOut),
}

/// A decision that won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The request.
    pub request_id: String,
    /// When the scheduler recorded the decision.
    pub processed_at: Timestamp,
    /// Who decided.
    pub approver: String,
    /// What he said to it.
    pub comments: String,
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedOut {
    /// The request.
    pub request_id: String,
    /// The deadline.
    pub timed_out_at: Timestamp,
}

impl Outcome {
    /// The mission's word for it.
    pub fn status(&self) -> &'static str {
        match self {
            Outcome::Approved(_) => "Approved",
            Outcome::Rejected(_) => "Rejected",
            Outcome::Timeout(_) => "Timeout",
        }
    }

    /// A sentence that tells it.
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Approved(by) => format!("Request approved by {}", by.approver),
            Outcome::Rejected(by) => format!("Request rejected by {}", by.approver),
            Outcome::Timeout(TimedOut { timed_out_at, .. }) => format!("Request timed out at {timed_out_at}"),
        }
    }
}
