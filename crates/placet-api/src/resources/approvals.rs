//! `/api/approvals/{id}`: decide a request. The answer comes once the decision is durable and known to have won, or
//! to have lost (P2).

use std::time::Duration;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use placet_approval::{Answered, Caller, DECISION_EVENT, Decided, Decision, ORCHESTRATION, Outcome, Reply, digest_of};
use placet_sdk::{Answer, ExternalEvent, InstanceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::requests::{RequestId, json, status, status_url, was_terminated};
use super::v1;
use crate::body::Body;
use crate::duration::duration;
use crate::guard::BaseUrl;
use crate::openapi::{About, Answer as Answers, Content, Inputs, Takes};
use crate::problem::{self, Kind, Problem};
use crate::rights;
use crate::{Api, Shared};

/// How long a decider waits for the orchestration, if he does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// The longest that he may wait: proxies cut connections that say nothing for longer.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// `?wait=`: so many seconds, or a duration such as `30s`.
#[derive(Debug)]
pub(crate) struct Wait(Option<Duration>);

#[derive(Debug, Deserialize)]
struct WaitQuery {
    wait: Option<String>,
}

impl Wait {
    /// Whether anybody has said how long.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// As long as is left of it since then, and a second at least.
    pub(crate) fn left_since(&self, begun: std::time::Instant) -> Wait {
        Wait(Some(self.length().saturating_sub(begun.elapsed())))
    }

    /// How long, within measure.
    pub(crate) fn length(&self) -> Duration {
        self.0.unwrap_or(WAIT_DEFAULT).clamp(Duration::from_secs(1), WAIT_MAX)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Wait, Problem> {
        let wrong = || Problem::field("wait", "must be a number of whole seconds, or a duration such as 30s");
        let Query(WaitQuery { wait }) = Query::from_request_parts(parts, state).await.map_err(|_| wrong())?;
        let Some(text) = wait else { return Ok(Wait(None)) };
        let seconds = text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()));
        seconds.or_else(|| duration(&text).ok()).map(|wait| Wait(Some(wait))).ok_or_else(wrong)
    }
}

impl Takes for Wait {
    fn describe(input: &mut Inputs<'_>) {
        let (default, most) = (WAIT_DEFAULT.as_secs(), WAIT_MAX.as_secs());
        let says = format!(
            "How long the answer may wait for what comes of it: whole seconds, or a duration such as `30s`; {most} seconds at most. \
             Whoever does something waits {default} if he does not say."
        );
        input.parameter("query", "wait", false, &says, &json!({"type": "string", "examples": ["30s"]}));
        input.refuses(&[Kind::BadBody]);
    }
}

/// What a decider is told whose decision won, or counts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissionDecided")]
pub(crate) struct Told {
    request_id: String,
    message: String,
    status_url: String,
}

pub(crate) const DECIDE: About = About {
    id: "decideMissionRequest",
    summary: "Decide a request",
    details: "The answer comes once the decision is on disk and known to have won, or to have lost. An orchestration of another program \
              that waits for the event `approval_response` is decided in the same way.",
    answers: &[
        Answers::new(200, "It won, or counts", &[Content::json::<Told>()]),
        Answers::new(202, "It was recorded; no worker has taken it yet", &[Content::json::<Told>()]),
    ],
    problems: &[Kind::AlreadyDecided, Kind::ContentChanged, Kind::NotNow, Kind::NotYours],
    example: Some(r#"{"is_approved": true, "approver": "Manager", "comments": "Approved!"}"#),
};

/// `POST /api/approvals/{id}`.
pub(crate) async fn decide(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    Body(decision): Body<Decision>,
) -> Result<Response, Problem> {
    decision.check()?;
    let caller = rights::caller(&api, "approver", &decision.approver)?;
    let ask_id = Uuid::new_v4().to_string();
    let (caller, decision) = (&caller, &decision);
    Case { api: &api, base: &base, id: &id, ask_id: &ask_id, caller, decision, form: Form::Missions, is_keyed: false }
        .ask(&wait)
        .await
}

/// In which form somebody is told what became of his decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The mission's.
    Missions,
    /// That of `/api/v1`.
    Ours,
}

/// How a request is decided.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissionHow")]
pub(crate) struct How {
    request_id: String,
    /// In a sentence.
    how: &'static str,
    status_url: String,
}

pub(crate) const EXPLAIN: About = About {
    id: "explainMissionDecision",
    summary: "How a request is decided",
    details: "The link that people are sent. Following it decides nothing.",
    answers: &[Answers::new(200, "What to send", &[Content::json::<How>()])],
    ..About::NOTHING
};

/// `GET /api/approvals/{id}`: the link that people are sent. It decides nothing, and says how to.
pub(crate) async fn explain(Extension(base): Extension<BaseUrl>, RequestId(id): RequestId) -> Json<How> {
    let how =
        "POST here {\"is_approved\": true or false, \"approver\": \"…\", \"comments\": \"…\"} as application/json";
    Json(How { status_url: status_url(&base, &id), request_id: id, how })
}

/// One decision, and what became of it.
pub(crate) struct Case<'a> {
    pub(crate) api: &'a Api,
    pub(crate) base: &'a BaseUrl,
    pub(crate) id: &'a str,
    pub(crate) ask_id: &'a str,
    pub(crate) caller: &'a Caller,
    pub(crate) decision: &'a Decision,
    pub(crate) form: Form,
    /// Whether the ask id follows from a key of the caller's, who may have said something else under it before.
    pub(crate) is_keyed: bool,
}

impl Case<'_> {
    /// Passes the decision on, and tells what became of it.
    pub(crate) async fn ask(&self, wait: &Wait) -> Result<Response, Problem> {
        let ask = self.api.client.ask(self.id, DECISION_EVENT, self.decision);
        let ask = ask.on_behalf_of(rights::stamp(self.caller), self.caller.proof.to_string());
        let answer = ask.ask_id(self.ask_id).wait(wait.length()).await;
        let answer = answer.map_err(|error| problem::of_call(self.id, &error))?;
        let told = match &answer {
            Answer::Reply(reply) => self.replied(reply),
            Answer::State(state) => self.taken(state).await,
            Answer::Ended(state) => self.ended(state).await,
            Answer::Recorded => Ok(self.recorded()),
        };
        // What won may be told at length: it keeps the room of what it is from.
        Ok((Extension(answer.room()), told).into_response())
    }

    /// An orchestration that knows of asks has answered.
    fn replied(&self, reply: &str) -> Result<Response, Problem> {
        let answered = serde_json::from_str::<Answered>(reply);
        if self.is_keyed && answered.as_ref().is_ok_and(|answered| self.is_to_another(&answered.to)) {
            let detail = "something else was said under this Idempotency-Key: take another key, or send the same body";
            return Err(Problem::new(Kind::KeyReused, detail).with("request_id", self.id));
        }
        match answered.map(|answered| answered.reply) {
            Ok(reply) if self.form == Form::Ours => v1::told(self.base, self.id, reply),
            Ok(Reply::Accepted { outcome }) => Ok(self.told(StatusCode::OK, outcome.sentence())),
            Ok(Reply::Recorded { more, .. }) => Ok(self.told(StatusCode::OK, v1::recorded(more))),
            Ok(Reply::Lost { outcome }) => Err(v1::lost(self.base, self.id, &outcome)),
            Ok(Reply::Refused { why, as_it_is }) => Err(v1::refused(&why, as_it_is)),
            Err(_) => Ok(self.won()), // an orchestration of somebody's own, which took it
        }
    }

    fn is_to_another(&self, to: &str) -> bool {
        let said = serde_json::to_string(self.decision).unwrap_or_default();
        !to.is_empty() && to != digest_of(&said)
    }

    /// An orchestration that does not know of asks has taken the event: it won if it was the first of its name, and
    /// if the orchestration does not say that something else came before.
    async fn taken(&self, state: &InstanceState) -> Result<Response, Problem> {
        let other = if self.decision.is_approved { "Rejected" } else { "Approved" };
        let lost = [other, "Timeout", "Withdrawn", "Failed"].contains(&status(state).as_str());
        let first = self.first().await?;
        if !lost && self.is_mine(first.as_ref()) { Ok(self.won()) } else { Err(self.lost_to(state, first.as_ref())) }
    }

    /// It has ended, and nobody saw it take the event: it won if the outcome is this very decision.
    async fn ended(&self, state: &InstanceState) -> Result<Response, Problem> {
        if state.name() == ORCHESTRATION
            && let Some(outcome) = state.output_json().and_then(|output| serde_json::from_str::<Outcome>(output).ok())
        {
            return self.after(outcome);
        }
        let said = if self.decision.is_approved { "Approved" } else { "Rejected" };
        let outcome = Said::of(state.output_json());
        let mine = outcome.status.as_deref() == Some(said)
            && outcome.approver.is_none_or(|approver| approver == self.decision.approver);
        let first = self.first().await?;
        if mine && self.is_mine(first.as_ref()) { Ok(self.won()) } else { Err(self.lost_to(state, first.as_ref())) }
    }

    /// One of our requests has its outcome: the same answer once more is the same, and any other comes too late.
    fn after(&self, outcome: Outcome) -> Result<Response, Problem> {
        let decided = match &outcome {
            Outcome::Approved(decided) if self.decision.is_approved => Some(decided),
            Outcome::Rejected(decided) if !self.decision.is_approved => Some(decided),
            _ => None,
        };
        let is_his = |decided: &Decided| {
            let comments = self.decision.comments.as_deref().unwrap_or_default();
            let is_last = decided.approver == self.decision.approver && decided.comments == comments;
            let is_earlier = self.caller.person.as_ref().is_some_and(|person| decided.approvers.contains(person));
            decided.by.is_none() && (is_last || is_earlier)
        };
        if self.decision.is_yes_or_no() && decided.is_some_and(is_his) {
            return match self.form {
                Form::Ours => v1::told(self.base, self.id, Reply::Accepted { outcome }),
                Form::Missions => Ok(self.told(StatusCode::OK, outcome.sentence())),
            };
        }
        Err(v1::lost(self.base, self.id, &outcome))
    }

    /// The first event of its name in the history.
    async fn first(&self) -> Result<Option<Raised>, Problem> {
        let first = self.api.client.first_event(self.id, DECISION_EVENT).await;
        first.map_err(|error| problem::of_call(self.id, &error))
    }

    fn is_mine(&self, first: Option<&Raised>) -> bool {
        first.is_some_and(|event| event.ask_id.as_deref() == Some(self.ask_id))
    }

    fn won(&self) -> Response {
        let said = if self.decision.is_approved { "approved" } else { "rejected" };
        self.told(StatusCode::OK, format!("Request {said} by {}", self.decision.approver))
    }

    fn told(&self, status: StatusCode, message: String) -> Response {
        let told = Told { request_id: self.id.to_owned(), message, status_url: status_url(self.base, self.id) };
        (status, Json(told)).into_response()
    }

    /// No worker has taken it yet: it will count, or not, when one does.
    fn recorded(&self) -> Response {
        self.told(StatusCode::ACCEPTED, "Recorded, not yet decided: no worker has taken it".to_owned())
    }

    fn lost_to(&self, state: &InstanceState, first: Option<&Raised>) -> Problem {
        let terminated = || {
            let is_ours = state.name() == ORCHESTRATION && was_terminated(state);
            let reason = json(state.output_json()).unwrap_or_default();
            is_ours.then(|| json!({"status": "Withdrawn", "request_id": self.id, "reason": reason}))
        };
        let outcome = terminated().or_else(|| json(state.output_json())).or_else(|| self.outcome_so_far(state, first));
        let said = outcome.as_ref().map(Said::read).unwrap_or_default();
        let status = said.status.unwrap_or_else(|| status(state));
        let sentence = match said.approver {
            Some(approver) => format!("Request {} by {approver}", status.to_lowercase()),
            None => format!("Request is {status}"),
        };
        self.lost(&sentence, outcome)
    }

    /// What has won while the orchestration still acts on it: what it shows, else what the first answer says.
    fn outcome_so_far(&self, state: &InstanceState, first: Option<&Raised>) -> Option<Value> {
        if state.status().is_terminal() {
            return None;
        }
        let shown = Said::of(state.custom_status_json());
        let is_outcome = |status: &str| ["Approved", "Rejected", "Timeout", "Withdrawn", "Failed"].contains(&status);
        let won = if shown.status.as_deref().is_some_and(is_outcome) {
            shown
        } else {
            let answer: FirstAnswer = serde_json::from_str(first?.payload.as_deref()?).ok()?;
            let status = if answer.is_approved { "Approved" } else { "Rejected" };
            Said { status: Some(status.to_owned()), approver: answer.approver, comments: answer.comments }
        };
        let mut outcome = serde_json::to_value(won).ok()?;
        outcome["request_id"] = self.id.into();
        Some(outcome)
    }

    fn lost(&self, sentence: &str, outcome: Option<Value>) -> Problem {
        Problem::new(Kind::AlreadyDecided, sentence)
            .with("request_id", self.id)
            .with("outcome", outcome)
            .with("status_url", status_url(self.base, self.id))
    }
}

/// The event of a decision, as it was recorded.
type Raised = ExternalEvent<Option<String>>;

/// What other programs may leave out of a decision.
#[derive(Debug, Deserialize)]
struct FirstAnswer {
    is_approved: bool,
    approver: Option<String>,
    comments: Option<String>,
}

/// What an orchestration says of its outcome, if it speaks of it as the mission's does.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Said {
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comments: Option<String>,
}

impl Said {
    fn of(payload: Option<&str>) -> Said {
        payload.and_then(|payload| serde_json::from_str(payload).ok()).unwrap_or_default()
    }

    fn read(value: &Value) -> Said {
        Said::deserialize(value).unwrap_or_default()
    }
}
