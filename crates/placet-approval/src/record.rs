//! The record of a request: what was done, by whom, as whom he was known, when, and on which revision. Each entry is written in
//! the commit of what it tells of, and never changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Person, Proof};
use crate::outcome::Outcome;
use crate::plan::PolicyVersion;
use crate::projection::SeatShown;
use crate::rules::Level;

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the scheduler recorded it.
    pub at: Timestamp,
    /// What it tells of.
    #[serde(flatten)]
    pub what: Entered,
    /// The revision of the content that was open then.
    pub revision: u32,
    /// The stage that was, from 1 on.
    pub stage: usize,
}

/// What an entry tells of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entered {
    /// Somebody asked.
    Requested {
        /// Who.
        requester: String,
        /// For what.
        item: String,
        /// Until when.
        due: Timestamp,
        /// By which policy it is decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<PolicyVersion>,
    },
    /// Somebody did something that counts: as he sent it.
    Said {
        /// Who, as the call was stamped; nobody, if it bore no name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
        /// By what he was known.
        proof: Proof,
        /// What he sent.
        said: Value,
    },
    /// These are asked from now on.
    Asked {
        /// The stage's name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
        /// Of whom which votes are needed.
        seats: Vec<SeatShown>,
        /// Whether they are those whom the plan names.
        level: Level,
    },
    /// It is decided.
    Ended {
        /// How.
        outcome: Outcome,
    },
}
