//! What others see of a request: the custom status, and the row that lists read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::request::Request;

/// The projection of which each request publishes one row, under its id.
pub const REQUEST_ROWS: &str = "request";

/// The custom status: the mission's `details`, and the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of Request")]
pub struct Details {
    pub request_id: String,
    /// Pending, Approved, Rejected or Timeout.
    pub status: String,
    pub submitted_at: Timestamp,
    #[serde(default)]
    pub approval_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// A row of [`REQUEST_ROWS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of Request")]
pub struct RequestRow {
    pub request_id: String,
    pub status: String,
    pub requester: String,
    pub item: String,
    pub submitted_at: Timestamp,
    pub due: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Request {
    /// Pending, Approved, Rejected or Timeout.
    pub fn status(&self) -> &'static str {
        self.outcome.as_ref().map_or("Pending", Outcome::status)
    }

    /// Its custom status.
    pub fn details(&self) -> Details {
        Details {
            request_id: self.request_id.clone(),
            status: self.status().to_owned(),
            submitted_at: self.submitted_at,
            approval_url: self.approval_url.clone(),
            due: Some(self.due),
        }
    }

    /// Its row.
    pub fn row(&self) -> RequestRow {
        RequestRow {
            request_id: self.request_id.clone(),
            status: self.status().to_owned(),
            requester: self.requester.clone(),
            item: self.item.clone(),
            submitted_at: self.submitted_at,
            due: self.due,
            outcome: self.outcome.clone(),
        }
    }
}
