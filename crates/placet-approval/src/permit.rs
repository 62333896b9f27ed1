//! The permit: approved is not done. An approved request yields the right to do exactly what was approved, once, for a while
//! (APPROVALS.md §3, "Permit"). Whoever is about to do it begins the permit, and tells how it went; until it is begun it may be
//! revoked, and what is never begun lapses.
//!
//! The rules are a pure function, as the request's are: [`Permit::apply`]. The orchestration `placet.permit` feeds them.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::decision::{COMMENTS_CHARS_MAX, parse};
use crate::field::{FieldError, check_length};
use crate::hex;
use crate::identity::{Caller, Person, Right};
use crate::outcome::{By, Outcome};
use crate::plan::PolicyVersion;
use crate::projection::{ContentRow, RequestRow};
use crate::record::{Entered, Entry};
use crate::request::{PAYLOAD_BYTES_MAX, check_size};
use crate::rules::{Refusal, Said, digest_of, salted};

/// The name of the built-in orchestration of a permit.
pub const PERMIT: &str = "placet.permit";

/// The external event that carries a [`PermitAct`].
pub const PERMIT_EVENT: &str = "permit";

/// The activity that finds what a permit is good for: a request's id in, a [`Grant`] out.
pub const GRANT: &str = "placet.grant";

/// The projection with each [`Permit`] as it stands, under the request's id.
pub const PERMIT_ROWS: &str = "permit";

/// The projection with what is said of each permit that was begun, once and for all: what its hub signs.
pub const BEGUN_ROWS: &str = "permit_begun";

/// How long what was approved may be begun, if nobody says.
const VALID_FOR_DEFAULT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An instance's id may be so long (PROTOCOL.md §2).
const ID_CHARS_MAX: usize = 100;

/// A key of an attempt is a line.
const ATTEMPT_CHARS_MAX: usize = 256;

/// The instance of a request's permit. A workflow that goes on for ever may ask under the same id again: the salt of its content
/// tells one such request from the next.
pub fn permit_id(request_id: &str, content_salt: &str) -> String {
    let after = format!("{BETWEEN}{}", content_salt.get(..SALT_CHARS).unwrap_or(content_salt));
    if request_id.chars().count() + after.len() <= ID_CHARS_MAX {
        return format!("{request_id}{after}");
    }
    format!("{}{after}", &hex(&Sha256::digest(request_id))[..32])
}

/// Whose permit an instance is, if its id says so.
pub fn request_of_permit(id: &str) -> Option<&str> {
    id.split_once(BETWEEN).map(|(request_id, _)| request_id)
}

/// What stands between a request's id and what tells its permit from others.
const BETWEEN: &str = ":permit:";

/// So much of a salt tells a few requests of one id apart.
const SALT_CHARS: usize = 8;

/// What somebody does with a permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum PermitAct {
    /// He is about to do what was approved.
    Begin(Begin),
    /// He has done it, or could not.
    Finish(Finish),
    /// It is not to be done after all.
    Revoke(Revoke),
}

/// What is about to be done: one of `action` and `content_hash` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The payload that is about to be acted upon.
    #[serde(default, deserialize_with = "even_null", skip_serializing_if = "Option::is_none")]
    pub action: Option<Value>,
    /// The hash of the whole content, as the approved request shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// What tells this attempt from others: the same one again is told the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_key: Option<String>,
}

/// A payload may be `null`, which is not the same as none.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// Any JSON.
    #[serde(default)]
    pub result: Value,
    /// The attempt, if it had a key: whoever knows it need not be who began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_key: Option<String>,
}

/// Why not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl PermitAct {
    /// Whether it can be taken.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        let check_key = |key: &Option<String>| match key.as_deref() {
            Some("") => Err(FieldError::new("attempt_key", "must not be empty: leave it out")),
            Some(key) => check_length("attempt_key", key, ATTEMPT_CHARS_MAX),
            None => Ok(()),
        };
        match self {
            PermitAct::Begin(Begin { action: None, content_hash: None, .. }) => {
                Err(FieldError::new("action", "say what is about to be done: the payload, or `content_hash`"))
            }
            PermitAct::Begin(begin) => check_key(&begin.attempt_key),
            PermitAct::Finish(finish) => {
                check_size("result", &finish.result, RESULT_BYTES_MAX)?;
                if depth(&finish.result) > RESULT_DEPTH_MAX {
                    return Err(FieldError::new("result", format!("is nested deeper than {RESULT_DEPTH_MAX} times")));
                }
                check_key(&finish.attempt_key)
            }
            PermitAct::Revoke(revoke) => check_length("reason", &revoke.reason, COMMENTS_CHARS_MAX),
        }
    }
}

/// A result is told, not stored away.
const RESULT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX / 16;

/// It is told within something else, which is to be readable, too (`serde_json` reads 127).
const RESULT_DEPTH_MAX: usize = 64;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(all) => 1 + all.iter().map(depth).max().unwrap_or_default(),
        Value::Object(all) => 1 + all.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// What a permit is good for: what was approved, as it was read from the request, never as anybody says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The request.
    pub request_id: String,
    /// Who asked.
    pub requester: Person,
    /// When it was approved.
    pub granted_at: Timestamp,
    /// From then on it cannot be begun.
    pub not_after: Timestamp,
    /// The revision of the content that was approved.
    pub revision: u32,
    /// Its hash.
    pub content_hash: String,
    /// SHA-256 of the salt's digits and the payload as canonical JSON.
    pub action_hash: String,
    /// What both begin with.
    pub content_salt: String,
    /// Those who approved.
    pub approvers: Vec<Person>,
    /// How, if not by votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Of which kind the request is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// By which policy it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyVersion>,
}

impl Grant {
    /// What an approved request is good for.
    ///
    /// # Errors
    /// If it is not approved, or that content is not what was, in words.
    pub fn of(row: &RequestRow, content: Option<ContentRow>) -> Result<Grant, String> {
        let Some(Outcome::Approved(decided)) = &row.outcome else {
            let status = row.outcome.as_ref().map_or("pending", Outcome::detail);
            return Err(format!("the request is {status}: only what is approved can be begun"));
        };
        let granted_at = decided.processed_at;
        let not_after = decided.valid_until.or_else(|| granted_at.checked_add(VALID_FOR_DEFAULT).ok());
        let content = row.content(content)?;
        let approvers = match &decided.approvers[..] {
            [] if decided.by == Some(By::Policy) => Vec::new(),
            [] => vec![Person::named(&decided.approver)],
            all => all.to_vec(),
        };
        Ok(Grant {
            request_id: row.request_id.clone(),
            requester: Person::named(&row.requester),
            granted_at,
            not_after: not_after.unwrap_or(Timestamp::MAX),
            revision: row.revision.unwrap_or(1),
            content_hash: row.content_hash.clone(),
            action_hash: action_hash(&row.content_salt, content.payload.unwrap_or_default()),
            content_salt: row.content_salt.clone(),
            approvers,
            by: decided.by,
            category: row.category.clone(),
            policy: row.policy.clone(),
        })
    }
}

/// SHA-256 of the salt's digits, and of a payload as JSON in its canonical form (RFC 8785), as hexadecimal digits.
pub fn action_hash(salt: &str, action: Value) -> String {
    salted(salt, action)
}

/// A permit as it stands: the state that `placet.permit` carries from generation to generation, and publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// What it is good for.
    pub grant: Grant,
    /// How far it is.
    #[serde(flatten)]
    pub state: PermitState,
}

/// How far a permit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum PermitState {
    /// It can be begun.
    Granted,
    /// It was begun: nobody can once more.
    Begun {
        /// By whom, and when.
        begun: Begun,
    },
    /// It is known how it went.
    Finished {
        /// By whom it was begun, and when.
        begun: Begun,
        /// How it went.
        finished: Finished,
    },
    /// It was taken back before it was begun.
    Revoked {
        /// By whom, and when.
        revoked: Revoked,
    },
    /// It was not begun in time.
    Lapsed,
}

/// Who began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Person,
    /// The digest of his key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// Nobody, if the permit's orchestration was terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
    /// Any JSON.
    pub result: Value,
}

/// Who took it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// When.
    pub at: Timestamp,
    /// Nobody, if the permit's orchestration was terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A permit as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermitShown {
    /// The request that was approved.
    pub request_id: String,
    /// Since when it can be begun.
    pub granted_at: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// The revision of the content that was approved.
    pub revision: u32,
    /// The hash of that content.
    pub content_hash: String,
    /// The hash of its payload: what is to be done.
    pub action_hash: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: PermitState,
}

/// A row of [`BEGUN_ROWS`]: the statement that the hub signs. Nothing of it ever changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunRow {
    /// What may be done.
    #[serde(flatten)]
    pub grant: Grant,
    /// By whom, and since when.
    pub begun: Begun,
    /// How often: once.
    pub uses: u32,
}

/// Something that happens to a permit.
#[derive(Debug, Clone, PartialEq)]
pub enum PermitEvent {
    /// Somebody does something: a [`PermitAct`].
    Said(Said),
    /// It is as late as this.
    TimeReached(Timestamp),
    /// The orchestration was terminated.
    Terminated {
        /// When.
        at: Timestamp,
        /// Why, as whoever did it said.
        reason: String,
    },
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum PermitEffect {
    /// It is to be shown anew.
    Show,
    /// This is to be entered in the record.
    Enter(Box<Entry>),
    /// Whoever asked is to be told.
    Reply {
        /// The ask.
        ask_id: String,
        /// What.
        reply: Box<PermitReply>,
    },
}

/// What whoever does something with a permit is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum PermitReply {
    /// It is so, or was already.
    Done {
        /// The permit as it stands.
        permit: PermitShown,
    },
    /// It is not.
    Refused {
        /// Why, in words.
        why: String,
        /// What kind of thing is wrong.
        as_it_is: Refusal,
        /// The permit as it stands.
        permit: PermitShown,
    },
}

type Refused = (Refusal, String);

impl Permit {
    /// A permit that nobody has begun.
    pub fn new(grant: Grant) -> Permit {
        Permit { grant, state: PermitState::Granted }
    }

    /// When time changes something of it.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        (self.state == PermitState::Granted).then_some(self.grant.not_after)
    }

    /// Whether nothing more can happen to it.
    pub fn has_ended(&self) -> bool {
        !matches!(self.state, PermitState::Granted | PermitState::Begun { .. })
    }

    /// As people are told of it.
    pub fn shown(&self) -> PermitShown {
        let Grant { request_id, granted_at, not_after, revision, content_hash, action_hash, .. } = self.grant.clone();
        let mut state = self.state.clone();
        // Whoever knows the attempt's key may finish: nobody is to try keys on what is shown.
        if let PermitState::Begun { begun } | PermitState::Finished { begun, .. } = &mut state {
            begun.attempt = None;
        }
        PermitShown { request_id, granted_at, not_after, revision, content_hash, action_hash, state }
    }

    /// What the hub is to sign, once it is begun.
    pub fn begun(&self) -> Option<BegunRow> {
        match &self.state {
            PermitState::Begun { begun } | PermitState::Finished { begun, .. } => {
                let begun = Begun { attempt: None, ..begun.clone() };
                Some(BegunRow { grant: self.grant.clone(), begun, uses: 1 })
            }
            PermitState::Granted | PermitState::Revoked { .. } | PermitState::Lapsed => None,
        }
    }

    /// What an event makes of it, and what is to be done about that.
    pub fn apply(&mut self, event: &PermitEvent) -> Vec<PermitEffect> {
        let mut effects = Vec::new();
        match event {
            PermitEvent::TimeReached(at) => self.pass_time(*at, &mut effects),
            PermitEvent::Said(said) => {
                self.pass_time(said.at, &mut effects);
                let done = self.act(said);
                let (permit, reply) = (self.shown(), said.ask_id.clone());
                let told = match done {
                    Ok(entered) => {
                        self.changed(said.at, entered, &mut effects);
                        PermitReply::Done { permit }
                    }
                    Err((as_it_is, why)) => PermitReply::Refused { why, as_it_is, permit },
                };
                effects.extend(reply.map(|ask_id| PermitEffect::Reply { ask_id, reply: Box::new(told) }));
            }
            PermitEvent::Terminated { at, reason } => {
                let entered = self.terminated(*at, reason);
                self.changed(*at, entered, &mut effects);
            }
        }
        effects
    }

    fn changed(&self, at: Timestamp, entered: Option<Entered>, effects: &mut Vec<PermitEffect>) {
        let Some(what) = entered else { return };
        let Grant { revision, content_hash, .. } = self.grant.clone();
        effects.push(PermitEffect::Show);
        effects.push(PermitEffect::Enter(Box::new(Entry { at, what, revision, content_hash, stage: 0 })));
    }

    /// Half-open, as all deadlines are.
    fn pass_time(&mut self, at: Timestamp, effects: &mut Vec<PermitEffect>) {
        if self.wakes_at().is_some_and(|not_after| not_after <= at) {
            self.state = PermitState::Lapsed;
            self.changed(self.grant.not_after, Some(Entered::Lapsed), effects);
        }
    }

    fn act(&mut self, said: &Said) -> Result<Option<Entered>, Refused> {
        let invalid = |why: String| (Refusal::Invalid, why);
        let act: PermitAct = parse(said.payload.as_deref()).map_err(invalid)?;
        act.check().map_err(|error| invalid(error.to_string()))?;
        let nobody = || (Refusal::Forbidden, "nobody knows who you are: say so through the API".to_owned());
        let by = said.caller.person.clone().ok_or_else(nobody)?;
        match act {
            PermitAct::Begin(begin) => self.begin(said, by, begin),
            PermitAct::Finish(finish) => self.finish(said, by, finish),
            PermitAct::Revoke(revoke) => self.revoke(said, by, revoke),
        }
    }

    fn begin(&mut self, said: &Said, by: Person, begin: Begin) -> Result<Option<Entered>, Refused> {
        let attempt = begin.attempt_key.as_deref().map(digest_of);
        let is_for = |what: &str| (Refusal::Changed, format!("{what}: this is not what was approved"));
        let Grant { content_hash, action_hash: approved, content_salt, .. } = &self.grant;
        if begin.content_hash.is_some_and(|hash| !hash.eq_ignore_ascii_case(content_hash)) {
            return Err(is_for("content_hash"));
        }
        if begin.action.is_some_and(|action| action_hash(content_salt, action) != *approved) {
            return Err(is_for("action"));
        }
        match &self.state {
            PermitState::Granted => {}
            PermitState::Begun { begun } | PermitState::Finished { begun, .. }
                if attempt.is_some() && begun.attempt == attempt =>
            {
                return Ok(None);
            }
            _ => return Err(self.not_now()),
        }
        if let Some(before) = self.grant.policy.as_ref().filter(|before| said.caller.policy.as_ref() != Some(before)) {
            let name = &before.name;
            let what = format!("the policy {name} has changed since it was asked: ask anew");
            return Err((Refusal::Conflict, what));
        }
        self.state = PermitState::Begun { begun: Begun { at: said.at, by: by.clone(), attempt } };
        let (proof, not_after) = (said.caller.proof, self.grant.not_after);
        Ok(Some(Entered::Begun { by, proof, action_hash: self.grant.action_hash.clone(), not_after }))
    }

    fn finish(&mut self, said: &Said, by: Person, finish: Finish) -> Result<Option<Entered>, Refused> {
        let attempt = finish.attempt_key.as_deref().map(digest_of);
        let is_his = |begun: &Begun| if attempt.is_some() { begun.attempt == attempt } else { begun.by == by };
        match &self.state {
            PermitState::Begun { begun } | PermitState::Finished { begun, .. } if !is_his(begun) => {
                Err((Refusal::Forbidden, format!("it was begun by {}, in an attempt of his own", begun.by)))
            }
            PermitState::Finished { finished, .. } if finished.result == finish.result => Ok(None),
            PermitState::Begun { begun } => {
                let finished = Finished { at: said.at, by: Some(by.clone()), result: finish.result.clone() };
                self.state = PermitState::Finished { begun: begun.clone(), finished };
                Ok(Some(Entered::Finished { by: Some(by), proof: said.caller.proof, result: finish.result }))
            }
            _ => Err(self.not_now()),
        }
    }

    fn revoke(&mut self, said: &Said, by: Person, revoke: Revoke) -> Result<Option<Entered>, Refused> {
        if !self.may_revoke(&by, &said.caller) {
            return Err((Refusal::Forbidden, "those revoke it who approved it, or who asked for it".to_owned()));
        }
        match &self.state {
            PermitState::Revoked { revoked } if revoked.by.as_ref() == Some(&by) => Ok(None),
            PermitState::Granted => {
                let Revoke { reason } = revoke;
                let revoked = Revoked { at: said.at, by: Some(by.clone()), reason: reason.clone() };
                self.state = PermitState::Revoked { revoked };
                Ok(Some(Entered::Revoked { by: Some(by), proof: said.caller.proof, reason }))
            }
            _ => Err(self.not_now()),
        }
    }

    fn may_revoke(&self, by: &Person, caller: &Caller) -> bool {
        let Grant { requester, approvers, .. } = &self.grant;
        by == requester || approvers.contains(by) || caller.rights.contains(&Right::Withdraw)
    }

    fn terminated(&mut self, at: Timestamp, reason: &str) -> Option<Entered> {
        let (proof, reason) = (Default::default(), reason.to_owned());
        match &self.state {
            PermitState::Granted => {
                self.state = PermitState::Revoked { revoked: Revoked { at, by: None, reason: reason.clone() } };
                Some(Entered::Revoked { by: None, proof, reason })
            }
            PermitState::Begun { begun } => {
                let result = serde_json::json!({"terminated": reason});
                let finished = Finished { at, by: None, result: result.clone() };
                self.state = PermitState::Finished { begun: begun.clone(), finished };
                Some(Entered::Finished { by: None, proof, result })
            }
            PermitState::Finished { .. } | PermitState::Revoked { .. } | PermitState::Lapsed => None,
        }
    }

    /// Why nothing of the kind can be done now.
    fn not_now(&self) -> Refused {
        let by = |by: &Option<Person>| by.as_ref().map_or("an operator".to_owned(), Person::to_string);
        let what = match &self.state {
            PermitState::Granted => "it was not begun yet".to_owned(),
            PermitState::Begun { begun } => format!("it was begun by {} at {}: once is all", begun.by, begun.at),
            PermitState::Finished { begun, finished } => {
                format!("it was begun by {} at {} and finished at {}", begun.by, begun.at, finished.at)
            }
            PermitState::Revoked { revoked } => {
                let why = if revoked.reason.is_empty() { String::new() } else { format!(": {}", revoked.reason) };
                format!("it was revoked by {} at {}{why}", by(&revoked.by), revoked.at)
            }
            PermitState::Lapsed => format!("it lapsed at {}: nobody had begun it", self.grant.not_after),
        };
        (Refusal::Conflict, what)
    }
}

/// The input of `placet.permit`: a request, or what the generation before has handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PermitInput {
    /// A permit that goes on.
    Continued(Box<Permit>),
    /// Of this request.
    New(Granted),
}

/// Whose permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The request.
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outcome::Decided;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn content() -> ContentRow {
        ContentRow { payload: Some(json!({"to": "x", "amount": 7})), ..ContentRow::default() }
    }

    fn hash(content: ContentRow) -> String {
        crate::rules::content_hash("salt", "x", content)
    }

    fn approved(valid_until: Option<Timestamp>) -> RequestRow {
        let decided = Decided { processed_at: at(10), approver: "bob".into(), valid_until, ..Decided::default() };
        serde_json::from_value(json!({
            "request_id": "r", "status": "Approved", "requester": "ann", "item": "x", "submitted_at": at(0), "due": at(99),
            "outcome": Outcome::Approved(decided), "content_hash": hash(content()), "content_salt": "salt",
        }))
        .unwrap()
    }

    fn permit() -> Permit {
        Permit::new(Grant::of(&approved(Some(at(100))), Some(content())).unwrap())
    }

    fn says(permit: &mut Permit, second: i64, who: &str, act: Value) -> Result<PermitShown, (Refusal, String)> {
        let caller = if who.is_empty() { Caller::default() } else { Caller::person(who) };
        let said = Said { at: at(second), ask_id: Some("a".into()), caller, payload: Some(act.to_string()) };
        let effects = permit.apply(&PermitEvent::Said(said));
        match effects.into_iter().next_back() {
            Some(PermitEffect::Reply { reply, .. }) => match *reply {
                PermitReply::Done { permit } => Ok(permit),
                PermitReply::Refused { why, as_it_is, .. } => Err((as_it_is, why)),
            },
            other => panic!("{other:?}"),
        }
    }

    fn begin(key: &str) -> Value {
        json!({"act": "begin", "action": {"amount": 7.0, "to": "x"}, "attempt_key": key})
    }

    #[test]
    fn it_is_begun_once_and_the_same_attempt_is_told_the_same() {
        let mut permit = permit();
        let first = says(&mut permit, 20, "ann", begin("k")).unwrap();
        assert_eq!(says(&mut permit, 30, "ann", begin("k")).unwrap(), first);
        let signed = permit.begun();
        for other in [begin("l"), json!({"act": "begin", "content_hash": hash(content()).to_uppercase()})] {
            assert_eq!(says(&mut permit, 40, "ann", other).unwrap_err().0, Refusal::Conflict);
        }
        assert_eq!(says(&mut permit, 50, "bob", json!({"act": "revoke"})).unwrap_err().0, Refusal::Conflict);
        let finish = json!({"act": "finish", "result": {"exit_code": 0}, "attempt_key": "k"});
        assert_eq!(says(&mut permit, 60, "eve", json!({"act": "finish"})).unwrap_err().0, Refusal::Forbidden);
        says(&mut permit, 60, "ann", finish.clone()).unwrap();
        says(&mut permit, 70, "ann", finish).unwrap();
        let other = json!({"act": "finish", "result": 1});
        assert_eq!(says(&mut permit, 70, "ann", other).unwrap_err().0, Refusal::Conflict);
        assert!(says(&mut permit, 200, "ann", begin("k")).is_ok(), "what was begun does not lapse");
        assert!(permit.has_ended());
        assert_eq!(permit.begun(), signed, "what is signed never changes");
    }

    #[test]
    fn only_what_was_approved_can_be_begun_and_only_by_somebody() {
        let mut permit = permit();
        let other = json!({"act": "begin", "action": {"amount": 8, "to": "x"}});
        assert_eq!(says(&mut permit, 20, "ann", other).unwrap_err().0, Refusal::Changed);
        let other = json!({"act": "begin", "content_hash": "abd"});
        assert_eq!(says(&mut permit, 20, "ann", other).unwrap_err().0, Refusal::Changed);
        assert_eq!(says(&mut permit, 20, "ann", json!({"act": "begin"})).unwrap_err().0, Refusal::Invalid);
        assert_eq!(says(&mut permit, 20, "", begin("k")).unwrap_err().0, Refusal::Forbidden);
        assert_eq!(says(&mut permit, 20, "ann", json!({"act": "finish"})).unwrap_err().0, Refusal::Conflict);
        assert_eq!(permit.state, PermitState::Granted);
    }

    #[test]
    fn it_lapses_at_its_end_and_not_a_microsecond_before() {
        let mut permit = permit();
        assert!(permit.apply(&PermitEvent::TimeReached(at(99))).is_empty(), "the timer is early");
        let mut late = permit.clone();
        assert_eq!(says(&mut late, 100, "ann", begin("k")).unwrap_err().0, Refusal::Conflict);
        assert_eq!(late.state, PermitState::Lapsed);
        assert_eq!(permit.apply(&PermitEvent::TimeReached(at(100))).len(), 2);
        assert!(permit.apply(&PermitEvent::TimeReached(at(101))).is_empty(), "and it lapses once");
        let unsaid = Grant::of(&approved(None), Some(content())).unwrap();
        assert_eq!(unsaid.not_after, at(10) + VALID_FOR_DEFAULT);
    }

    #[test]
    fn those_revoke_it_who_approved_it_and_until_it_is_begun() {
        let mut permit = permit();
        assert_eq!(says(&mut permit, 20, "eve", json!({"act": "revoke"})).unwrap_err().0, Refusal::Forbidden);
        says(&mut permit, 20, "bob", json!({"act": "revoke", "reason": "no"})).unwrap();
        says(&mut permit, 21, "bob", json!({"act": "revoke"})).unwrap();
        let (kind, why) = says(&mut permit, 30, "ann", begin("k")).unwrap_err();
        assert_eq!(kind, Refusal::Conflict);
        assert!(why.contains("revoked by bob") && why.ends_with(": no"), "{why}");
    }

    #[test]
    fn another_policy_than_that_which_it_was_approved_under_is_not_passed_over() {
        let version = |digest: &str| PolicyVersion { name: "change".into(), digest: digest.into() };
        let row = RequestRow { policy: Some(version("1")), ..approved(None) };
        let mut permit = Permit::new(Grant::of(&row, Some(content())).unwrap());
        let payload = Some(json!({"act": "begin", "content_hash": hash(content())}).to_string());
        for (policy, is_begun) in [(None, false), (Some(version("2")), false), (Some(version("1")), true)] {
            let caller = Caller { policy, ..Caller::person("ann") };
            let said = Said { at: at(20), ask_id: None, caller, payload: payload.clone() };
            permit.apply(&PermitEvent::Said(said));
            assert_eq!(matches!(permit.state, PermitState::Begun { .. }), is_begun);
        }
    }

    #[test]
    fn what_is_not_approved_grants_nothing() {
        let row = RequestRow { outcome: None, ..approved(None) };
        assert!(Grant::of(&row, Some(content())).unwrap_err().contains("pending"));
    }

    #[test]
    fn what_an_earlier_life_of_the_id_was_about_is_not_what_was_approved() {
        let other = ContentRow { payload: Some(json!({"amount": 1_000_000})), ..ContentRow::default() };
        assert!(Grant::of(&approved(None), Some(other.clone())).is_err());
        assert!(Grant::of(&approved(None), None).is_err());
        let item_only = RequestRow { content_hash: hash(ContentRow::default()), ..approved(None) };
        for left in [Some(other), None] {
            let mut permit = Permit::new(Grant::of(&item_only, left).unwrap());
            let of_other = json!({"act": "begin", "action": {"amount": 1_000_000}});
            assert_eq!(says(&mut permit, 20, "ann", of_other).unwrap_err().0, Refusal::Changed);
            says(&mut permit, 20, "ann", json!({"act": "begin", "action": null})).unwrap();
        }
        let unhashed = RequestRow { content_hash: String::new(), ..approved(None) };
        assert!(Grant::of(&unhashed, Some(content())).is_err(), "of an earlier version");
    }

    #[test]
    fn a_long_id_has_a_permit_too() {
        assert_eq!(permit_id("r", "0123456789abcdef"), "r:permit:01234567");
        let of = |length| permit_id(&"x".repeat(length), "0123456789abcdef");
        assert!(of(85) != of(86) && of(86).len() <= ID_CHARS_MAX && of(84).len() == ID_CHARS_MAX);
    }

    #[test]
    fn its_state_is_read_as_it_was_written_and_a_request_is_not_taken_for_one() {
        let mut permit = permit();
        says(&mut permit, 20, "ann", begin("k")).unwrap();
        let text = serde_json::to_string(&permit).unwrap();
        let read: PermitInput = serde_json::from_str(&text).unwrap();
        assert_eq!(read, PermitInput::Continued(Box::new(permit)));
        let read: PermitInput = serde_json::from_value(json!({"request_id": "r"})).unwrap();
        assert_eq!(read, PermitInput::New(Granted { request_id: "r".into() }));
    }
}
