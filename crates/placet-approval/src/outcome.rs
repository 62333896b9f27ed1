//! What came of a request: decided once, told the same to everybody.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity::Person;

/// What came of a request. Its JSON is the mission's `output`, and more where there is more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status")]
pub enum Outcome {
    /// They said yes. Nothing else means yes.
    Approved(Decided),
    /// They said no.
    Rejected(Decided),
    /// Too few said anything before the deadline: nobody's decision, and no rejection.
    Timeout(TimedOut),
    /// Whoever asked, or whoever may, has taken it back.
    Withdrawn(Withdrawn),
}

/// A decision that won.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// The request.
    pub request_id: String,
    /// When the scheduler recorded the vote that settled it.
    pub processed_at: Timestamp,
    /// Whose vote that was, by the name that he gave.
    pub approver: String,
    /// What he said to it.
    pub comments: String,
    /// How it was decided, if not by votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Which of the request's own outcomes it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// What the approvers filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What they answered, by question.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub answers: Map<String, Value>,
    /// The revision of the content that it is about, if that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The payload as it was approved, if an approver has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Value>,
    /// Until when what was approved may be begun, if the request or its policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// All whose votes counted, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Person>,
}

/// How a request is decided other than by votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By somebody who may, over the heads of those who should have.
    Override,
    /// By the policy, since nobody said anything.
    Policy,
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimedOut {
    /// The request.
    pub request_id: String,
    /// The deadline.
    pub timed_out_at: Timestamp,
}

/// A request that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withdrawn {
    /// The request.
    pub request_id: String,
    /// When.
    pub withdrawn_at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Outcome {
    /// The mission's word for it; what is taken back is none of its three.
    pub fn status(&self) -> &'static str {
        match self {
            Outcome::Approved(_) => "Approved",
            Outcome::Rejected(_) => "Rejected",
            Outcome::Timeout(_) => "Timeout",
            Outcome::Withdrawn(_) => "Withdrawn",
        }
    }

    /// Our word for it, which tells more.
    pub fn detail(&self) -> &'static str {
        match self {
            Outcome::Approved(Decided { by: None, .. }) => "approved",
            Outcome::Approved(Decided { by: Some(By::Override), .. }) => "approved_by_override",
            Outcome::Approved(Decided { by: Some(By::Policy), .. }) => "approved_by_policy",
            Outcome::Rejected(Decided { by: Some(By::Policy), .. }) => "rejected_by_policy",
            Outcome::Rejected(_) => "rejected",
            Outcome::Timeout(_) => "expired",
            Outcome::Withdrawn(_) => "withdrawn",
        }
    }

    /// A sentence that tells it.
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Approved(Decided { by: Some(By::Policy), .. }) => {
                "Request approved by its policy: nobody objected".to_owned()
            }
            Outcome::Rejected(Decided { by: Some(By::Policy), .. }) => {
                "Request rejected by its policy: nobody approved".to_owned()
            }
            Outcome::Approved(by) => format!("Request approved by {}", by.approver),
            Outcome::Rejected(by) => format!("Request rejected by {}", by.approver),
            Outcome::Timeout(TimedOut { timed_out_at, .. }) => format!("Request timed out at {timed_out_at}"),
            Outcome::Withdrawn(Withdrawn { by, .. }) => format!("Request withdrawn by {by}"),
        }
    }
}
