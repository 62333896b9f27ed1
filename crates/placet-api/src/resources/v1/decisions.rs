//! `POST /api/v1/requests/{id}/decisions`: approve, reject, abstain, or choose one of the request's own outcomes; and
//! `POST /api/v1/decisions`, the same to many requests.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::stream::{self, StreamExt as _};
use placet_approval::{ABSTAIN, Decision, ORCHESTRATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::etag::IfMatch;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::idempotency::IdempotencyKey;
use crate::openapi::{About, Answer, Content};
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::{Case, Form, Wait};
use crate::resources::requests::RequestId;
use crate::rights;
use crate::{Api, Shared};

/// What somebody says to a request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDecision")]
pub(crate) struct Said {
    /// Who: a user of the configuration, or a name if that names none.
    approver: String,
    /// `approve`, `reject`, `abstain`, or one of the request's own outcomes together with `is_approved`.
    decision: String,
    /// What one of the request's own outcomes means.
    #[serde(default)]
    is_approved: Option<bool>,
    /// What he says to it.
    #[serde(default)]
    comments: Option<String>,
    /// What the request asks to be filled in.
    #[serde(default)]
    input: Option<Value>,
    /// What its questions are answered with, by their ids.
    #[serde(default)]
    answers: Map<String, Value>,
    /// How the payload is changed (RFC 6902).
    #[serde(default)]
    edits: Option<Value>,
    /// The revision that was shown.
    #[serde(default)]
    revision: Option<u32>,
    /// The hash of the content that was shown.
    #[serde(default)]
    content_hash: Option<String>,
    /// The stage that was shown, from 1 on.
    #[serde(default)]
    stage: Option<usize>,
}

impl Said {
    fn decision(self) -> Result<Decision, Problem> {
        let (is_approved, choice) = match (self.decision.as_str(), self.is_approved) {
            ("approve", None | Some(true)) => (true, None),
            ("reject", None | Some(false)) => (false, None),
            ("approve" | "reject", Some(_)) => return Err(Problem::field("is_approved", "`decision` says otherwise")),
            (ABSTAIN, _) => (false, Some(ABSTAIN.to_owned())),
            (_, Some(is_approved)) => (is_approved, Some(self.decision)),
            (_, None) => {
                let remedy = "must be approve, reject or abstain; with one of the request's own outcomes give `is_approved`, too";
                return Err(Problem::field("decision", remedy));
            }
        };
        Ok(Decision {
            is_approved,
            approver: self.approver,
            comments: self.comments,
            choice,
            input: self.input,
            answers: self.answers,
            edits: self.edits,
            revision: self.revision,
            content_hash: self.content_hash,
            stage: self.stage,
            bulk: false,
        })
    }
}

/// As of every act, and what a key was used for before.
const DECIDE_REFUSED: &[Kind] =
    &[Kind::AlreadyDecided, Kind::ContentChanged, Kind::NotNow, Kind::NotYours, Kind::KeyReused];

pub(crate) const DECIDE: About = About {
    id: "decideRequest",
    summary: "Decide a request",
    details: "Approve, reject, abstain, or choose one of its own outcomes. The answer comes once the vote is on disk, and says whether it \
              decides.",
    answers: super::TOLD,
    problems: DECIDE_REFUSED,
    example: Some(r#"{"approver": "bob", "decision": "approve", "comments": "Go ahead"}"#),
};

/// `POST /api/v1/requests/{id}/decisions`.
pub(crate) async fn decide(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    key: IdempotencyKey,
    seen: IfMatch,
    Body(said): Body<Said>,
) -> Result<Response, Problem> {
    let mut decision = said.decision()?;
    decision.check()?;
    if let Some(shown) = seen.check(&api, &base, &id).await? {
        // What it is now is what is decided on, whatever happens in between.
        let (revision, content_hash, stage) = shown.place();
        decision.revision = decision.revision.or(Some(revision));
        decision.content_hash = decision.content_hash.or(content_hash);
        decision.stage = decision.stage.or(stage);
    }
    decide_one(&api, &base, &id, (&wait, &key), &decision).await
}

async fn decide_one(
    api: &Api,
    base: &BaseUrl,
    id: &str,
    (wait, key): (&Wait, &IdempotencyKey),
    decision: &Decision,
) -> Result<Response, Problem> {
    let caller = &rights::caller(api, "approver", &decision.approver)?;
    if !decision.is_plain() {
        // Another program's orchestration would take an abstention for a no, and know nothing of edits.
        let state = api.client.get(id).await.map_err(|error| problem::of_call(id, &error))?;
        if state.ok_or_else(|| Problem::no_such_request(id))?.name() != ORCHESTRATION {
            return Err(super::acts::foreign(id));
        }
    }
    let ask_id = &key.ask_id(id, &decision.approver).unwrap_or_else(|| Uuid::new_v4().to_string());
    Case { api, base, id, ask_id, caller, decision, form: Form::Ours, is_keyed: key.is_given() }.ask(wait).await
}

/// Decisions that are taken at once.
const MANY_MAX: usize = 500;

/// A yes or no to many requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ManyDecisions")]
pub(crate) struct ToMany {
    /// Who.
    approver: String,
    /// `approve`, `reject` or `abstain`.
    decision: String,
    /// What he says to each.
    #[serde(default)]
    comments: Option<String>,
    /// To which, and as what each was shown.
    #[schemars(length(min = 1, max = MANY_MAX))]
    requests: Vec<ToOne>,
}

/// A request among those.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DecidedRequest")]
struct ToOne {
    /// Which.
    request_id: String,
    /// The revision that was shown.
    #[serde(default)]
    revision: Option<u32>,
    /// The hash of the content that was shown.
    #[serde(default)]
    content_hash: Option<String>,
    /// The stage that was shown, from 1 on.
    #[serde(default)]
    stage: Option<usize>,
}

/// What became of each, in the order in which they were given.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ManyDecided")]
pub(crate) struct Became {
    results: Vec<BecameOne>,
}

/// What the same decision by itself would have been answered.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OneDecided")]
struct BecameOne {
    /// Which.
    request_id: String,
    /// The status of its answer.
    status: u16,
    /// The body of its answer.
    answer: Value,
}

pub(crate) const DECIDE_MANY: About = About {
    id: "decideRequests",
    summary: "Decide many requests",
    details: "Some hundreds, each answered as it would be by itself. Plans with `four_eyes` or `critical` refuse it.",
    answers: &[Answer::new(200, "What became of each", &[Content::json::<Became>()])],
    problems: &[],
    example: Some(r#"{"approver": "bob", "decision": "approve", "requests": [{"request_id": "r-1", "revision": 1}]}"#),
};

/// `POST /api/v1/decisions`.
pub(crate) async fn decide_many(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    wait: Wait,
    key: IdempotencyKey,
    Body(ToMany { approver, decision, comments, requests }): Body<ToMany>,
) -> Result<Json<Became>, Problem> {
    if requests.is_empty() || requests.len() > MANY_MAX {
        return Err(Problem::field("requests", format!("must name 1 to {MANY_MAX} requests")));
    }
    let said = Said { approver, decision, comments, ..Said::default() };
    let decision = Decision { bulk: true, ..said.decision()? };
    decision.check()?;
    let begun = Instant::now();
    let one = async |one: ToOne| {
        let ToOne { request_id, revision, content_hash, stage } = one;
        let decision = Decision { revision, content_hash, stage, ..decision.clone() };
        // All of them together wait for as long as one would.
        let wait = wait.left_since(begun);
        let (status, answer) =
            super::told_apart(decide_one(&api, &base, &request_id, (&wait, &key), &decision).await).await;
        BecameOne { request_id, status, answer }
    };
    let results = stream::iter(requests.into_iter().map(one)).buffered(super::AT_ONCE).collect().await;
    Ok(Json(Became { results }))
}
