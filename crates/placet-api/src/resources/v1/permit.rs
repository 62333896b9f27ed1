//! `/api/v1/requests/{id}/permit`, and `begin`, `finish` and `revoke` beside it: what was approved is done once, by whoever begins it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use placet_approval::{
    BEGUN_ROWS, Begin, CONTENT_ROWS, Caller, Finish, Grant, Granted, PERMIT, PERMIT_EVENT, PERMIT_ROWS, Permit,
    PermitAct, PermitEffect, PermitEvent, PermitReply, PermitRow, REQUEST_ROWS, Refusal, RequestRow, Revoke, Said,
    permit_id,
};
use placet_sdk::{Answer, Code, StartError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::acts::named;
use super::refused;
use super::requests::published;
use crate::Api;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::idempotency::IdempotencyKey;
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::Wait;
use crate::resources::requests::{RequestId, not_started, status_url};
use crate::resources::time::timestamp;
use crate::rights;

/// A permit as it stands.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    row: PermitRow,
}

/// What whoever begins is given.
#[derive(Debug, Serialize)]
struct Signed {
    #[serde(flatten)]
    row: PermitRow,
    /// The permit: a note that the hub has signed, which `placet permit verify` checks without a server.
    permit: String,
    /// The key that it is signed with.
    key: String,
}

/// Who does something, if anybody is named, and what.
fn read<T: DeserializeOwned>(mut body: Map<String, Value>) -> Result<(Option<String>, T), Problem> {
    let by = match body.remove("by") {
        None | Some(Value::Null) => None,
        Some(Value::String(by)) => Some(by),
        Some(_) => return Err(Problem::field("by", "must be the name of whoever does it")),
    };
    let act = serde_json::from_value(Value::Object(body)).map_err(|error| named(&error.to_string()))?;
    Ok((by, act))
}

/// `GET /api/v1/requests/{id}/permit`.
pub(crate) async fn show(State(api): State<Api>, RequestId(id): RequestId) -> Result<Json<Shown>, Problem> {
    if let Some(row) = published::<PermitRow>(&api, PERMIT_ROWS, &id).await? {
        return Ok(Json(Shown { row }));
    }
    // Nobody has begun it, and it has not lapsed: nothing but its time can have changed it.
    let mut permit = Permit::new(grant(&api, &id).await?);
    let now = api.client.time().await.map_err(|error| problem::of_call(&id, &error))?.now;
    permit.apply(&PermitEvent::TimeReached(timestamp(now)));
    Ok(Json(Shown { row: permit.row() }))
}

/// What a request was approved for.
async fn grant(api: &Api, id: &str) -> Result<Grant, Problem> {
    let row = published::<RequestRow>(api, REQUEST_ROWS, id).await?;
    let content = published(api, CONTENT_ROWS, id).await?.unwrap_or_default();
    match row {
        Some(row) => Grant::of(&row, &content).map_err(|why| Problem::new(Kind::NotNow, why).with("request_id", id)),
        None => {
            // Is it there at all? Then no worker has begun with it.
            super::requests::is_there(api, id).await?;
            Err(Problem::new(Kind::NotNow, "the request is pending: only what is approved can be begun"))
        }
    }
}

/// `POST /api/v1/requests/{id}/begin`: whoever is about to do what was approved. The same `attempt_key` is told the same again;
/// an `Idempotency-Key` is one, if the body has none.
pub(crate) async fn begin(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    key: IdempotencyKey,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let (by, mut act) = read::<Begin>(body)?;
    act.attempt_key = act.attempt_key.or_else(|| key.text().map(str::to_owned));
    let act = PermitAct::Begin(act);
    let done = Doing { api: &api, base: &base, id: &id, by, act }.asked(&wait).await?;
    let Some(row) = done else { return Ok(recorded(&base, &id)) };
    let signed = api.client.signed(BEGUN_ROWS, &id).await.map_err(|error| problem::of_call(&id, &error))?;
    let Some((permit, key)) = signed else {
        return Err(Problem::new(Kind::SchedulerFailed, format!("the permit of {id} was begun, and is gone already")));
    };
    Ok((StatusCode::OK, Json(Signed { row, permit, key })).into_response())
}

/// `POST /api/v1/requests/{id}/finish`: how it went.
pub(crate) async fn finish(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let (by, act) = read::<Finish>(body)?;
    Doing { api: &api, base: &base, id: &id, by, act: PermitAct::Finish(act) }.told(&wait).await
}

/// `POST /api/v1/requests/{id}/revoke`: it is not to be done after all.
pub(crate) async fn revoke(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let (by, act) = read::<Revoke>(body)?;
    if by.is_none() {
        return Err(Problem::field("by", "must be the name of whoever does it"));
    }
    Doing { api: &api, base: &base, id: &id, by, act: PermitAct::Revoke(act) }.told(&wait).await
}

fn recorded(base: &BaseUrl, id: &str) -> Response {
    let message = "Recorded, not yet done: no worker has taken it";
    let body = serde_json::json!({"request_id": id, "message": message, "status_url": status_url(base, id)});
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// Something that is done with a permit.
struct Doing<'a> {
    api: &'a Api,
    base: &'a BaseUrl,
    id: &'a str,
    by: Option<String>,
    act: PermitAct,
}

impl Doing<'_> {
    async fn told(self, wait: &Wait) -> Result<Response, Problem> {
        let (base, id) = (self.base, self.id);
        let done = self.asked(wait).await?;
        Ok(done.map_or_else(|| recorded(base, id), |row| Json(Shown { row }).into_response()))
    }

    /// What became of it; nothing, if no worker has taken it yet.
    async fn asked(self, wait: &Wait) -> Result<Option<PermitRow>, Problem> {
        self.act.check()?;
        let caller = self.caller().await?;
        let instance = permit_id(self.id);
        // What is said twice is answered twice, by the state that it finds.
        let ask_id = Uuid::new_v4().to_string();
        let ask = || {
            let ask = self.api.client.ask(&instance, PERMIT_EVENT, &self.act);
            let ask = ask.on_behalf_of(rights::stamp(&caller), caller.proof.to_string());
            ask.ask_id(ask_id.as_str()).wait(wait.length())
        };
        let answer = match ask().await {
            Err(error) if error.code == Code::NotFound => {
                self.start(&instance).await?;
                ask().await
            }
            answer => answer,
        };
        match answer.map_err(|error| problem::of_call(self.id, &error))? {
            Answer::Reply(reply) => self.replied(serde_json::from_str(&reply).ok()),
            Answer::Ended(state) => match state.output_json().and_then(|text| serde_json::from_str(text).ok()) {
                Some(permit) => self.replied(self.after(permit, caller).await?),
                None => {
                    let why = state.failure().map(|failure| failure.message().to_owned());
                    Err(refused(&why.unwrap_or_else(|| "it has ended".to_owned()), Refusal::Conflict))
                }
            },
            Answer::State(_) => self.replied(None),
            Answer::Recorded => Ok(None),
        }
    }

    /// Nobody has, as yet, done anything with it.
    async fn start(&self, instance: &str) -> Result<(), Problem> {
        // It reads for itself what was approved: this only tells whoever asks too early what is wrong.
        grant(self.api, self.id).await?;
        let of = Granted { request_id: self.id.to_owned() };
        match self.api.client.start(PERMIT, &of).id(instance).only_if_absent().await {
            Ok(_) | Err(StartError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(not_started(self.id, &error)),
        }
    }

    async fn caller(&self) -> Result<Caller, Problem> {
        let begins = matches!(self.act, PermitAct::Begin(_));
        let grant = if begins || self.by.is_none() { Some(grant(self.api, self.id).await?) } else { None };
        let mut caller = match (&self.by, &grant) {
            (Some(by), _) => rights::caller(self.api, "by", by)?,
            (None, grant) => {
                Caller { person: grant.as_ref().map(|grant| grant.requester.clone()), ..Caller::default() }
            }
        };
        caller.rights = rights::of(self.api, &caller);
        let category = grant.as_ref().and_then(|grant| grant.category.as_deref());
        caller.policy = (self.api.configuration)().policies.version(category).filter(|_| begins).cloned();
        Ok(caller)
    }

    /// It has ended before: what that says to this follows by the same rules.
    async fn after(&self, mut permit: Permit, caller: Caller) -> Result<Option<PermitReply>, Problem> {
        let now = self.api.client.time().await.map_err(|error| problem::of_call(self.id, &error))?.now;
        let payload = serde_json::to_string(&self.act).ok();
        let said = Said { at: timestamp(now), ask_id: Some(String::new()), caller, payload };
        let effects = permit.apply(&PermitEvent::Said(said));
        Ok(effects.into_iter().find_map(|effect| match effect {
            PermitEffect::Reply { reply, .. } => Some(*reply),
            PermitEffect::Show | PermitEffect::Enter(_) => None,
        }))
    }

    fn replied(&self, reply: Option<PermitReply>) -> Result<Option<PermitRow>, Problem> {
        match reply {
            Some(PermitReply::Done { permit }) => Ok(Some(permit)),
            Some(PermitReply::Refused { why, as_it_is, permit }) => Err(match as_it_is {
                Refusal::Changed => Problem::new(Kind::NotApproved, why.split_once(": ").map_or(&*why, |(_, why)| why)),
                as_it_is => refused(&why, as_it_is),
            }
            .with("request_id", self.id)
            .with("permit", serde_json::to_value(permit).unwrap_or_default())),
            None => Err(Problem::new(Kind::SchedulerFailed, format!("{} is no permit", permit_id(self.id)))),
        }
    }
}
