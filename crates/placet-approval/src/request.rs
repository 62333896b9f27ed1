//! A request: what somebody asked for, until when it can be answered, and what came of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::field::{FieldError, check_length, check_text};
use crate::outcome::Outcome;

/// Names longer than this are no names.
const REQUESTER_CHARS_MAX: usize = 256;

/// An item is a line, not a document.
const ITEM_CHARS_MAX: usize = 10_000;

/// What a request that says nothing of it is given (the mission's sample).
const TIMEOUT_HOURS_DEFAULT: f64 = 24.0;

/// A hundred years: nobody means more, and it fits every clock.
const TIMEOUT_HOURS_MAX: f64 = 876_000.0;

/// The rules that a request begun today lives by. It keeps them when they change.
const RULES: u32 = 1;

/// What somebody asks for: the mission's body, and the input of `placet.approval` when any program starts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    /// Who asks.
    pub requester: String,
    /// For what.
    pub item: String,
    /// How long it can be answered, in hours; fractions are allowed.
    #[serde(default = "timeout_hours_default")]
    pub timeout_hours: f64,
    /// Until when it can be answered, if that was fixed when it was accepted; else it follows from the time at which
    /// the scheduler recorded the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Where people answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
}

fn timeout_hours_default() -> f64 {
    TIMEOUT_HOURS_DEFAULT
}

impl NewRequest {
    /// A request with all else left open.
    pub fn new(requester: impl Into<String>, item: impl Into<String>) -> NewRequest {
        NewRequest {
            requester: requester.into(),
            item: item.into(),
            timeout_hours: TIMEOUT_HOURS_DEFAULT,
            due: None,
            approval_url: None,
        }
    }

    /// Whether it can be accepted.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        check_text("requester", &self.requester, REQUESTER_CHARS_MAX)?;
        check_text("item", &self.item, ITEM_CHARS_MAX)?;
        check_length("approval_url", self.approval_url.as_deref().unwrap_or_default(), ITEM_CHARS_MAX)?;
        let hours = self.timeout_hours;
        if hours > 0.0 && hours <= TIMEOUT_HOURS_MAX {
            return Ok(());
        }
        Err(FieldError::new(
            "timeout_hours",
            format!("must be more than 0 and at most {TIMEOUT_HOURS_MAX}, not {hours}"),
        ))
    }

    /// The deadline of a request that was accepted at this time.
    ///
    /// # Errors
    /// If it lies beyond every calendar.
    pub fn due_from(&self, accepted_at: Timestamp) -> Result<Timestamp, FieldError> {
        if let Some(due) = self.due {
            return Ok(due);
        }
        self.check()?;
        let after = SignedDuration::from_secs_f64(self.timeout_hours * 3_600.0);
        // Whole microseconds, as the scheduler's clock has them.
        let after = SignedDuration::from_micros(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
        accepted_at.checked_add(after).map_err(|error| FieldError::new("timeout_hours", error.to_string()))
    }
}

/// A request as it stands: the state that `placet.approval` carries from generation to generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the rules that it began with.
    pub rules: u32,
    /// Its id: the instance's.
    pub request_id: String,
    /// Who asked.
    pub requester: String,
    /// For what.
    pub item: String,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// Until when it can be answered: an answer counts if it was recorded before.
    pub due: Timestamp,
    /// Where people answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// The input of `placet.approval`: a new request, or one that continues as new.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody asks.
    New(NewRequest),
    /// The generation before has handed it over.
    Continued(Request),
}

impl Input {
    /// The request that it stands for. `accepted_at` is when the scheduler recorded the start.
    ///
    /// # Errors
    /// Naming the field of a new request that cannot be accepted.
    pub fn open(self, request_id: String, accepted_at: Timestamp) -> Result<Request, FieldError> {
        match self {
            Input::Continued(request) => Ok(request),
            Input::New(new) => {
                new.check()?;
                let due = new.due_from(accepted_at)?;
                let NewRequest { requester, item, approval_url, .. } = new;
                let submitted_at = accepted_at;
                let outcome = None;
                Ok(Request { rules: RULES, request_id, requester, item, submitted_at, due, approval_url, outcome })
            }
        }
    }
}

/// Told apart by the field that only a continued one has, so that each is told what is wrong with itself.
impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value.get("rules").is_some() {
            return serde_json::from_value(value).map(Input::Continued).map_err(de::Error::custom);
        }
        serde_json::from_value(value).map(Input::New).map_err(de::Error::custom)
    }
}
