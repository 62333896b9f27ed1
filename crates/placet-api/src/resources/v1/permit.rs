//! `/api/v1/requests/{id}/permit`, and `begin`, `finish` and `revoke` beside it: what was approved is done once, by whoever begins it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use placet_approval::{
    BEGUN_ROWS, Begin, CONTENT_ROWS, Caller, Finish, Grant, Granted, PERMIT, PERMIT_EVENT, PERMIT_ROWS, Permit,
    PermitAct, PermitEffect, PermitEvent, PermitReply, PermitShown, REQUEST_ROWS, Refusal, RequestRow, Revoke, Said,
    permit_id,
};
use placet_sdk::{Answer, Code, InstanceState, StartError};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::requests::published;
use super::{not_yet, refused};
use crate::body::{By, ByAnybody};
use crate::guard::BaseUrl;
use crate::idempotency::IdempotencyKey;
use crate::openapi::{About, Answer as Answers, Content};
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::Wait;
use crate::resources::requests::{RequestId, not_started, said_at_the_end, was_terminated};
use crate::resources::time::timestamp;
use crate::rights;
use crate::{Api, Shared};

/// A permit that has failed is started anew, and one that is not there is started.
const ATTEMPTS: u32 = 4;

/// What whoever begins is given.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SignedPermit")]
struct Signed {
    #[serde(flatten)]
    shown: PermitShown,
    /// The permit: a note that the hub has signed, which `placet permit verify` checks without a server.
    permit: String,
    /// The key that it is signed with.
    key: String,
}

/// The answer if no worker has taken what is said.
const NOT_YET: Answers =
    Answers::new(202, "It was recorded; no worker has taken it yet", &[Content::json::<super::Told>()]);

/// What whoever says something of a permit is answered.
const TOLD: &[Answers] = &[Answers::new(200, "As it stands now", &[Content::json::<PermitShown>()]), NOT_YET];

pub(crate) const SHOW: About = About {
    id: "getPermit",
    summary: "The permit of a request",
    details: "What was approved may be done once: whether it was, and how it went.",
    answers: &[Answers::new(200, "As it stands", &[Content::json::<PermitShown>()])],
    problems: &[Kind::NotNow],
    ..About::NOTHING
};

/// `GET /api/v1/requests/{id}/permit`.
pub(crate) async fn show(State(api): State<Shared>, RequestId(id): RequestId) -> Result<Json<PermitShown>, Problem> {
    let held = Held::of(&api, &id).await?;
    if let Some(permit) = held.permit {
        return Ok(Json(permit.shown()));
    }
    if was_used(&api, &id, &held.instance()).await? {
        return Err(used(&id));
    }
    let state = api.client.get(&held.instance()).await.map_err(|error| problem::of_call(&id, &error))?;
    if let Some(state) = state.filter(|state| state.name() == PERMIT && was_terminated(state)) {
        return Ok(Json(taken_back(held.grant, &state).shown()));
    }
    // Nobody has begun it: nothing but its time can have changed it.
    let now = api.client.time().await.map_err(|error| problem::of_call(&id, &error))?.now;
    let mut permit = Permit::new(held.grant);
    permit.apply(&PermitEvent::TimeReached(timestamp(now)));
    Ok(Json(permit.shown()))
}

/// One that was terminated before it had shown anything is taken back, as any other is.
fn taken_back(grant: Grant, state: &InstanceState) -> Permit {
    let mut permit = Permit::new(grant);
    let at = timestamp(state.updated_at());
    permit.apply(&PermitEvent::Terminated { at, reason: said_at_the_end(state) });
    permit
}

/// What there is of a permit, and of its request.
struct Held {
    /// What the request was approved for.
    grant: Grant,
    /// As it stands, once there is one.
    permit: Option<Permit>,
    /// Whether there is the request still.
    has_request: bool,
}

impl Held {
    async fn of(api: &Api, id: &str) -> Result<Held, Problem> {
        let request = published::<RequestRow>(api, REQUEST_ROWS, id).await?;
        let permit = published::<Permit>(api, PERMIT_ROWS, id).await?;
        match (request, permit) {
            (Some(request), permit) => {
                // An earlier request of this id may have had one, too.
                let permit = permit.filter(|permit| permit.grant.content_salt == request.content_salt);
                let content = published(api, CONTENT_ROWS, id).await?;
                let refused = |why| Problem::new(Kind::NotNow, why).with("request_id", id);
                let grant = Grant::of(&request, content).map_err(refused)?;
                Ok(Held { grant, permit, has_request: true })
            }
            // It may outlive its request.
            (None, Some(permit)) => Ok(Held { grant: permit.grant.clone(), permit: Some(permit), has_request: false }),
            (None, None) => {
                super::requests::is_there(api, id).await?;
                Err(Problem::new(Kind::NotNow, "the request is pending: only what is approved can be begun"))
            }
        }
    }

    /// The permit's orchestration.
    fn instance(&self) -> String {
        permit_id(&self.grant.request_id, &self.grant.content_salt)
    }
}

/// Whether the record has anything of a permit.
async fn was_used(api: &Api, id: &str, instance: &str) -> Result<bool, Problem> {
    api.client.has_entered(instance).await.map_err(|error| problem::of_call(id, &error))
}

/// It is known no more what became of it, but in the record.
fn used(id: &str) -> Problem {
    let what = format!("the permit of {id} was used or taken back before: see its record");
    Problem::new(Kind::NotNow, what).with("request_id", id)
}

pub(crate) const BEGIN: About = About {
    id: "beginPermit",
    summary: "Begin what was approved",
    details: "Exactly one attempt may. Say by `action` what is about to be done, or by `content_hash` as what it was shown. The same \
              `attempt_key` is answered the same again.",
    answers: &[Answers::new(200, "It may be done, once", &[Content::json::<Signed>()]), NOT_YET],
    problems: &[Kind::NotApproved, Kind::NotNow, Kind::NotYours],
    example: Some(r#"{"by": "alice", "action": {"version": "2.3"}, "attempt_key": "run-17"}"#),
};

/// `POST /api/v1/requests/{id}/begin`: whoever is about to do what was approved. The same `attempt_key` is told the same again;
/// an `Idempotency-Key` is one, if the body has none.
pub(crate) async fn begin(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    key: IdempotencyKey,
    ByAnybody(by, mut act): ByAnybody<Begin>,
) -> Result<Response, Problem> {
    act.attempt_key = act.attempt_key.or_else(|| key.text().map(str::to_owned));
    let act = PermitAct::Begin(act);
    // A hub that cannot sign is to say so before anything is begun.
    api.client.signed(BEGUN_ROWS, &id).await.map_err(|error| problem::of_call(&id, &error))?;
    let done = Doing { api: &api, base: &base, id: &id, by, act }.asked(&wait).await?;
    let Some(shown) = done else { return Ok(not_yet(&base, &id)) };
    let signed = api.client.signed(BEGUN_ROWS, &id).await.map_err(|error| problem::of_call(&id, &error))?;
    let Some((permit, key)) = signed else {
        return Err(Problem::new(Kind::SchedulerFailed, format!("the permit of {id} was begun, and is gone already")));
    };
    Ok((StatusCode::OK, Json(Signed { shown, permit, key })).into_response())
}

pub(crate) const FINISH: About = About {
    id: "finishPermit",
    summary: "Say how it went",
    details: "By whoever began, or whoever knows the `attempt_key`.",
    answers: TOLD,
    problems: &[Kind::NotNow, Kind::NotYours],
    example: Some(r#"{"by": "alice", "attempt_key": "run-17", "result": {"exit_code": 0}}"#),
};

/// `POST /api/v1/requests/{id}/finish`: how it went.
pub(crate) async fn finish(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    ByAnybody(by, act): ByAnybody<Finish>,
) -> Result<Response, Problem> {
    Doing { api: &api, base: &base, id: &id, by, act: PermitAct::Finish(act) }.told(&wait).await
}

pub(crate) const REVOKE: About = About {
    id: "revokePermit",
    summary: "Take the permit back",
    details: "By an approver, or by whoever asked, until it is begun.",
    answers: TOLD,
    problems: &[Kind::NotNow, Kind::NotYours],
    example: Some(r#"{"by": "bob", "reason": "The release was recalled"}"#),
};

/// `POST /api/v1/requests/{id}/revoke`: it is not to be done after all.
pub(crate) async fn revoke(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    By(by, act): By<Revoke>,
) -> Result<Response, Problem> {
    Doing { api: &api, base: &base, id: &id, by: Some(by), act: PermitAct::Revoke(act) }.told(&wait).await
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
        Ok(done.map_or_else(|| not_yet(base, id), |shown| Json(shown).into_response()))
    }

    /// What became of it; nothing, if no worker has taken it yet.
    async fn asked(self, wait: &Wait) -> Result<Option<PermitShown>, Problem> {
        self.act.check()?;
        let held = Held::of(self.api, self.id).await?;
        let (caller, instance) = (self.caller(&held)?, held.instance());
        // What is said twice is answered twice, by the state that it finds.
        let ask_id = Uuid::new_v4().to_string();
        let of_call = |error| problem::of_call(self.id, &error);
        for _ in 0..ATTEMPTS {
            let ask = self.api.client.ask(&instance, PERMIT_EVENT, &self.act);
            let ask = ask.on_behalf_of(rights::stamp(&caller), caller.proof.to_string());
            let state = match ask.ask_id(ask_id.as_str()).wait(wait.length()).await {
                Err(error) if error.code == Code::NotFound => {
                    self.start(&held).await?;
                    continue;
                }
                Err(error) => return Err(of_call(error)),
                Ok(Answer::Reply(reply)) => {
                    let told = self.replied(serde_json::from_str(&reply).ok())?;
                    // Whoever answers under its id is believed if it has published a permit: nobody else can.
                    return self.permit(&held).await?.map(|_| Some(told)).ok_or_else(|| self.no_permit());
                }
                Ok(Answer::Recorded) => return Ok(None),
                Ok(Answer::State(_)) => return Err(self.no_permit()),
                Ok(Answer::Ended(state)) => state,
            };
            // Whoever terminates it says what its output is: what it has published is its own.
            if let Some(permit) = self.permit(&held).await? {
                return self.replied(self.after(permit, caller).await?).map(Some);
            }
            if state.name() != PERMIT {
                return Err(self.no_permit());
            }
            if was_terminated(&state) {
                return self.replied(self.after(taken_back(held.grant, &state), caller).await?).map(Some);
            }
            // It has failed: somebody started it too early, say. As long as it was no permit, the next one may be.
            if was_used(self.api, self.id, &instance).await? {
                return Err(used(self.id));
            }
            self.api.client.purge(&instance).await.map_err(of_call)?;
        }
        Err(Problem::new(Kind::NotNow, format!("the permit of {} cannot be had: try again", self.id)))
    }

    /// The permit as it stands.
    async fn permit(&self, held: &Held) -> Result<Option<Permit>, Problem> {
        let permit = published::<Permit>(self.api, PERMIT_ROWS, self.id).await?;
        Ok(permit.filter(|permit| permit.grant.content_salt == held.grant.content_salt))
    }

    fn no_permit(&self) -> Problem {
        Problem::new(Kind::SchedulerFailed, format!("what answers for the permit of {} is none", self.id))
    }

    /// Nobody has, as yet, done anything with it. It reads for itself what was approved.
    async fn start(&self, held: &Held) -> Result<(), Problem> {
        if !held.has_request {
            return Err(Problem::no_such_request(self.id));
        }
        let of = Granted { request_id: self.id.to_owned() };
        match self.api.client.start(PERMIT, &of).id(held.instance()).only_if_absent().await {
            Ok(_) | Err(StartError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(not_started(self.id, &error)),
        }
    }

    fn caller(&self, held: &Held) -> Result<Caller, Problem> {
        let mut caller = match &self.by {
            Some(by) => rights::caller(self.api, "by", by)?,
            None => Caller { person: Some(held.grant.requester.clone()), ..Caller::default() },
        };
        caller.rights = rights::of(self.api, &caller);
        if matches!(self.act, PermitAct::Begin(_)) {
            let policies = &(self.api.configuration)().policies;
            caller.policy = policies.version(held.grant.category.as_deref()).cloned();
        }
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

    fn replied(&self, reply: Option<PermitReply>) -> Result<PermitShown, Problem> {
        match reply {
            Some(PermitReply::Done { permit }) => Ok(permit),
            Some(PermitReply::Refused { why, as_it_is, permit }) => Err(match as_it_is {
                Refusal::Changed => Problem::new(Kind::NotApproved, why.split_once(": ").map_or(&*why, |(_, why)| why)),
                as_it_is => refused(&why, as_it_is),
            }
            .with("request_id", self.id)
            .with("permit", serde_json::to_value(permit).unwrap_or_default())),
            None => Err(self.no_permit()),
        }
    }
}
