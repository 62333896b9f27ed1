//! What a request needs, of whom and until when: the plan that a policy was evaluated into, once, when the request began.
//! The rules read it and never a policy, a directory or a calendar (DESIGN.md §6, "Plans").

use std::borrow::Cow;
use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::calendar::Calendar;
use crate::field::FieldError;
use crate::identity::{Approver, Proof, check_name};
use crate::policy::Template;
use crate::request::TIMEOUT_MAX;
use crate::rules::{Candidate, SEATS_MAX};

/// Stages of a request at most (APPROVALS.md §2).
pub(crate) const STAGES_MAX: usize = 32;

/// Approvers that a stage names at most, a group being one.
pub(crate) const APPROVERS_MAX: usize = 1_000;

/// Reminders and escalations of a stage at most (APPROVALS.md §3, "Escalation chain").
pub(crate) const STEPS_MAX: usize = 20;

/// Votes that a seat needs at most: resolved approvers of a request (APPROVALS.md §2).
pub(crate) const NEED_MAX: u32 = 10_000;

/// How long a claim holds if nothing else is said.
pub(crate) const CLAIM_TTL: SignedDuration = SignedDuration::from_hours(4);

/// How a request is decided. Its default is the mission's: whoever answers first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The policy that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyVersion>,
    /// In this order, each opened when the one before has said yes.
    pub stages: Vec<Stage>,
    /// What happens at the deadline.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_timeout: OnTimeout,
    /// Whether silence may count as consent, which only `on_timeout = approve` asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub silent_consent: bool,
    /// Whether whoever asks may decide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub self_approval: bool,
    /// Whether whoever has changed the content may be the last one needed for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub four_eyes: bool,
    /// Whether an approver may think again while the stage is open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revise: Revise,
    /// Which votes a change of the content undoes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reset: Reset,
    /// What of the payload an approver may change, as JSON pointers (RFC 6901).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub editable: Vec<String>,
    /// What an approver must be known by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proof: Proof,
    /// Who decides if nobody else is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Approver>,
    /// How long a claim holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_ttl: Option<SignedDuration>,
    /// How long what was approved may be begun.
    #[serde(default, deserialize_with = "optional_with_days", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub valid_for: Option<SignedDuration>,
    /// In whose hours the steps of its stages are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Whether it is of a kind that nobody decides in passing: not with others in one go, not by a standing grant.
    #[serde(default, skip_serializing_if = "is_default")]
    pub critical: bool,
    /// What of the payload is not shown to everybody who may read the request, as JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<String>,
    /// What approvers read, in the policy's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Template>,
    /// What the policy's conditions have read, as JSON pointers into the request: who is asked follows from it, so a revision
    /// leaves it as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions_read: Vec<String>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            policy: None,
            stages: vec![Stage::default()],
            on_timeout: OnTimeout::default(),
            silent_consent: false,
            self_approval: true,
            four_eyes: false,
            revise: Revise::default(),
            reset: Reset::default(),
            editable: Vec::new(),
            proof: Proof::None,
            fallback: Vec::new(),
            claim_ttl: None,
            valid_for: None,
            calendar: None,
            critical: false,
            redact: Vec::new(),
            details: None,
            conditions_read: Vec::new(),
        }
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which policy, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyVersion {
    /// Its name.
    pub name: String,
    /// What it said, as a digest.
    pub digest: String,
}

/// A stage: seats that are to be filled by people who say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// All of them are to be filled.
    pub seats: Vec<Seat>,
    /// How many may say no.
    #[serde(default, skip_serializing_if = "is_default")]
    pub veto: Veto,
    /// What happens while it is open and nobody decides, by time from its start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Step>,
    /// Whether a claim stops that clock.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claim_pauses: bool,
}

impl Default for Stage {
    fn default() -> Stage {
        let seats = vec![Seat { from: vec![Approver::Anyone], need: Need::Count(1) }];
        Stage { name: String::new(), seats, veto: Veto::default(), escalate: Vec::new(), claim_pauses: false }
    }
}

/// Votes that are needed of some people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// Of whom.
    pub from: Vec<Approver>,
    /// How many.
    #[serde(default, skip_serializing_if = "is_default")]
    pub need: Need,
}

impl Seat {
    /// These are asked, too. Whether any of them was not before.
    pub(crate) fn also_asks(&mut self, others: &[Approver]) -> bool {
        let before = self.from.len();
        for who in others {
            if !self.from.contains(who) {
                self.from.push(who.clone());
            }
        }
        self.from.len() > before
    }
}

/// How many of those whom a seat names: a number, `"any"` (one), `"all"` or `"60%"` (rounded up).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// So many.
    Count(u32),
    /// So many of a hundred, of those who are there when the stage opens.
    Percent(u8),
}

impl Need {
    /// Every one of them.
    pub const ALL: Need = Need::Percent(100);

    /// How many of `people`.
    pub fn of(self, people: u32) -> u32 {
        match self {
            Need::Count(count) => count,
            Need::Percent(percent) => {
                let exact = u64::from(people) * u64::from(percent);
                u32::try_from(exact.div_ceil(100)).expect("at most all of them")
            }
        }
    }

    /// Whether who counts is settled when the stage opens.
    pub fn is_share(self) -> bool {
        matches!(self, Need::Percent(_))
    }
}

impl Default for Need {
    fn default() -> Need {
        Need::Count(1)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Count(count) => write!(f, "{count}"),
            Need::Percent(100) => f.write_str("all"),
            Need::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Need {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Need::Count(count) => serializer.serialize_u32(*count),
            Need::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl JsonSchema for Need {
    fn schema_name() -> Cow<'static, str> {
        "Need".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many of those whom a seat names: a number, `any` (one), `all`, or a share of them, rounded up.",
            "oneOf": [
                {"type": "integer", "minimum": 1, "maximum": NEED_MAX},
                {"type": "string", "pattern": "^(any|all|(100|[1-9][0-9]?)%)$"},
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Need {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Need, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let wrong =
            || de::Error::custom("must be a number from 1 to 10000, \"any\", \"all\" or a percentage such as \"60%\"");
        match Written::deserialize(deserializer).map_err(|_| wrong())? {
            Written::Number(count) if (1..=NEED_MAX).contains(&count) => Ok(Need::Count(count)),
            Written::Number(_) => Err(wrong()),
            Written::Text(text) => {
                match (text.as_str(), text.strip_suffix('%').and_then(|number| number.trim().parse().ok())) {
                    ("any", _) => Ok(Need::Count(1)),
                    ("all", _) => Ok(Need::ALL),
                    (_, Some(percent @ 1..=100)) => Ok(Need::Percent(percent)),
                    _ => Err(wrong()),
                }
            }
        }
    }
}

/// How many of a stage may say no: one ends it by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Veto {
    /// So many end it.
    Count(u32),
    /// It ends when it can no longer say yes.
    None,
}

impl Default for Veto {
    fn default() -> Veto {
        Veto::Count(1)
    }
}

/// What happens at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// How long after the stage's start, in its calendar.
    #[serde(deserialize_with = "with_days")]
    #[schemars(with = "String")]
    pub after: SignedDuration,
    /// What.
    #[serde(flatten)]
    pub what: Escalation,
}

/// How a stage goes on when nobody decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Escalation {
    /// Those who have not voted are reminded.
    Remind(Remind),
    /// These may decide, too.
    Add(Vec<Approver>),
    /// These decide, and those of before no longer.
    Replace(Replacement),
}

/// A reminder has no more to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remind {}

/// Who decides instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// They.
    pub with: Vec<Approver>,
    /// No more than so many votes are needed of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

/// What happens at the deadline. Expired is nobody's decision, and no rejection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The request expires.
    #[default]
    Expire,
    /// Silence is consent, if the policy says so and everybody was told; else it expires.
    Approve,
    /// The policy says no.
    Reject,
    /// The fallback approvers have as long again; then it expires.
    Escalate,
}

/// Whether a vote may be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revise {
    /// While its stage is open.
    #[default]
    WhileOpen,
    /// Not at all.
    Never,
}

/// Which votes a change of the content undoes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// All: the first stage opens again.
    #[default]
    All,
    /// Those of the stage that is open.
    Stage,
}

impl Plan {
    /// One of them is enough, and none of them may have asked himself.
    pub fn of_any(approvers: Vec<Approver>) -> Plan {
        let seats = vec![Seat { from: approvers, need: Need::Count(1) }];
        Plan { stages: vec![Stage { seats, ..Stage::default() }], self_approval: false, ..Plan::default() }
    }

    /// Whether it is the mission's, of which nothing needs to be looked up.
    pub fn is_simple(&self) -> bool {
        self.stages.iter().all(|stage| {
            stage.escalate.is_empty()
                && stage.seats.iter().all(|seat| seat.from.iter().all(|who| *who == Approver::Anyone))
        })
    }

    /// Whether rules can go by it.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        within("stages", self.stages.len(), 1, STAGES_MAX)?;
        for stage in &self.stages {
            stage.check()?;
        }
        within("fallback", self.fallback.len(), 0, APPROVERS_MAX)?;
        self.calendar.as_ref().map_or(Ok(()), Calendar::check)?;
        for (field, pointers) in [("editable", &self.editable), ("redact", &self.redact)] {
            if let Some(pointer) = pointers.iter().find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                return Err(FieldError::new(field, format!("{pointer:?} is no JSON pointer: it begins with \"/\"")));
            }
        }
        let is_time = |time: SignedDuration| time > SignedDuration::ZERO && time <= TIMEOUT_MAX;
        if !self.valid_for.is_none_or(is_time) {
            return Err(FieldError::new("valid_for", "must be more than nothing, and a hundred years at most"));
        }
        if self.on_timeout == OnTimeout::Escalate && self.fallback.is_empty() {
            return Err(FieldError::new("on_timeout", "escalate needs somebody in `fallback`"));
        }
        if self.on_timeout == OnTimeout::Approve && !self.silent_consent {
            return Err(FieldError::new("on_timeout", "approve needs `silent_consent = true` in the policy"));
        }
        Ok(())
    }
}

impl Stage {
    fn check(&self) -> Result<(), FieldError> {
        if !self.name.is_empty() {
            check_name("stages.name", &self.name)?;
        }
        within("seats", self.seats.len(), 1, SEATS_MAX)?;
        for seat in &self.seats {
            within("approvers", seat.from.len(), 1, APPROVERS_MAX)?;
            if seat.need.is_share() && seat.from.contains(&Approver::Anyone) {
                return Err(FieldError::new("need", "of anyone there is no share: give a number"));
            }
        }
        if self.veto == Veto::Count(0) {
            return Err(FieldError::new("veto", "must be 1 or more, or none"));
        }
        within("escalate", self.escalate.len(), 0, STEPS_MAX)?;
        let mut before = SignedDuration::ZERO;
        for step in &self.escalate {
            if step.after <= before {
                return Err(FieldError::new("escalate", "each `after` must be longer than the one before it"));
            }
            before = step.after;
            let others = match &step.what {
                Escalation::Remind(_) => continue,
                Escalation::Add(others) => others,
                Escalation::Replace(replacement) => &replacement.with,
            };
            within("escalate", others.len(), 1, APPROVERS_MAX)?;
        }
        Ok(())
    }
}

/// A duration in ISO 8601 or in words, of which a day has 24 hours.
fn with_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// The same, if there is one.
pub(crate) fn optional_with_days<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SignedDuration>, D::Error> {
    with_days(deserializer).map(Some)
}

/// A duration as people write it: `24h`, `1d`, `90m`, `1d 12h`, `PT24H`. A day has 24 hours.
///
/// # Errors
/// If it is none, or names months or years, which have no length of their own.
pub fn duration(text: &str) -> Result<SignedDuration, jiff::Error> {
    let span: Span = text.trim().parse()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
}

fn within(field: &'static str, count: usize, least: usize, most: usize) -> Result<(), FieldError> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    Err(FieldError::new(field, format!("has {count} entries, {least} to {most} are taken")))
}

/// Who could vote in a stage and when its steps are due, as it was found when the stage opened or when who is asked changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// When it was asked.
    #[serde(default)]
    pub at: Timestamp,
    /// Each person once.
    pub people: Vec<Candidate>,
    /// When each step is due, in the order of the stage's steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_are_needed_is_a_number_or_a_share() {
        let table = [
            ("1", 10, Ok(1)),
            ("\"any\"", 10, Ok(1)),
            ("3", 2, Ok(3)),
            ("\"all\"", 7, Ok(7)),
            ("\"60%\"", 5, Ok(3)),
            ("\"60%\"", 4, Ok(3)),
            ("\"1%\"", 4, Ok(1)),
            ("\"all\"", 0, Ok(0)),
            ("0", 1, Err(())),
            ("\"0%\"", 1, Err(())),
            ("\"101%\"", 1, Err(())),
            ("\"most\"", 1, Err(())),
            ("-1", 1, Err(())),
        ];
        for (text, people, needed) in table {
            let need = serde_json::from_str::<Need>(text);
            assert_eq!(need.as_ref().map(|need| need.of(people)).map_err(drop), needed, "{text}");
            if let Ok(need) = need {
                let again: Need = serde_json::from_str(&serde_json::to_string(&need).unwrap()).unwrap();
                assert_eq!(again, need);
            }
        }
    }

    #[test]
    fn a_plan_is_written_as_it_is_read_and_the_missions_is_short() {
        let plan = r#"{"stages":[{"name":"security","seats":[{"from":["group:sec","user:zoe"],"need":2}],"escalate":[{"after":"PT4H","remind":{}},{"after":"P1DT2H","replace":{"with":["user:cto"],"at_most":1}}]}],"four_eyes":true,"fallback":["group:leads"]}"#;
        let read: Plan = serde_json::from_str(plan).unwrap();
        read.check().unwrap();
        assert!(!read.is_simple() && Plan::default().is_simple());
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&again).unwrap(), read);
    }
}
