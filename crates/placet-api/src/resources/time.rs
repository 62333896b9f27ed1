//! `/api/time`: what the scheduler's clock says, and, if its time is virtual, that it is to go on.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use placet_sdk::{Advanced, CallError, Code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Shared;
use crate::body::Body;
use crate::duration::duration;
use crate::openapi::{About, Answer, Content};
use crate::problem::{self, Kind, Problem};

/// The answer of `GET /api/time`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Time")]
pub(crate) struct Told {
    /// What the clock says.
    now: Timestamp,
    /// Whether it stands until it is told to go on.
    is_virtual: bool,
}

pub(crate) const SHOW: About = About {
    id: "getTime",
    summary: "The scheduler's clock",
    answers: &[Answer::new(200, "What it says", &[Content::json::<Told>()])],
    ..About::NOTHING
};

pub(crate) async fn show(State(api): State<Shared>) -> Result<Json<Told>, Problem> {
    let time = api.client.time().await.map_err(|error| problem::of_call("", &error))?;
    Ok(Json(Told { now: timestamp(time.now), is_virtual: time.is_virtual }))
}

/// The body of `POST /api/time/advance`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Advance")]
pub(crate) struct Asked {
    /// By how much: a duration such as `24h`.
    by: String,
    /// How long, of real time, to wait for what is under way.
    #[serde(default)]
    patience: Option<String>,
}

/// Where the clock has come to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Advanced")]
pub(crate) struct Arrived {
    now: Timestamp,
    timers_fired: u64,
    items_out: u64,
    items_ready: u64,
}

pub(crate) const ADVANCE: About = About {
    id: "advanceTime",
    summary: "Let virtual time go on",
    details: "Of a server that was started with `--virtual-time`. Answered when the clock has arrived, and all that could happen by \
              then has happened.",
    answers: &[Answer::new(200, "Where it has come to", &[Content::json::<Arrived>()])],
    problems: &[Kind::TimeIsReal],
    example: Some(r#"{"by": "24h"}"#),
};

/// `POST /api/time/advance`: answered when the clock has arrived, and all that could happen by then has happened.
pub(crate) async fn advance(State(api): State<Shared>, Body(asked): Body<Asked>) -> Result<Json<Arrived>, Problem> {
    let by = field("by", &asked.by)?;
    let mut advance = api.client.advance_time(by);
    if let Some(patience) = &asked.patience {
        advance = advance.patience(field("patience", patience)?);
    }
    let Advanced { now, timers_fired, items_out, items_ready } = advance.await.map_err(|error| refused(&error))?;
    Ok(Json(Arrived { now: timestamp(now), timers_fired, items_out, items_ready }))
}

fn field(name: &str, text: &str) -> Result<Duration, Problem> {
    duration(text).map_err(|remedy| Problem::field(name, remedy))
}

fn refused(error: &CallError) -> Problem {
    match error.code {
        Code::FailedPrecondition => Problem::new(Kind::TimeIsReal, error.message.clone()),
        Code::InvalidArgument => Problem::field("by", error.message.trim_start_matches("by: ")),
        _ => problem::of_call("", error),
    }
}

/// The scheduler's clock has whole microseconds.
pub(crate) fn timestamp(at: SystemTime) -> Timestamp {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
