//! Policies: what requests of a kind need, of whom and until when, as the operator's file says it. A policy is evaluated once,
//! when a request begins, into the [`Plan`] that the request keeps, with the policy's version: a later file changes nothing of
//! it (DESIGN.md §6, "Plans").

mod condition;
mod template;

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::calendar::Calendar;
use crate::field::FieldError;
use crate::hex;
use crate::identity::{Approver, Proof, check_name};
use crate::plan::{
    Escalation, Need, OnTimeout, Plan, PolicyVersion, Reset, Revise, Seat, Stage, Step, Veto, is_default,
    optional_with_days,
};
use crate::request::{Choice, NewRequest, Question, Request, TIMEOUT_DEFAULT, TIMEOUT_MAX, lies_under};
use condition::{Condition, Facts};

pub use template::Template;

/// The policy of this name applies where no other does.
const DEFAULT: &str = "default";

/// A policy, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Of which requests; with neither of the two: of those whose category has its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    critical: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<StageIf>,
    /// Whether whoever asks may name the approvers instead.
    #[serde(default, skip_serializing_if = "is_default")]
    approvers_by_requester: bool,
    /// How long a request can be answered that says nothing of it.
    #[serde(default, deserialize_with = "optional_with_days", skip_serializing_if = "Option::is_none")]
    timeout: Option<SignedDuration>,
    /// How long one can be answered at most.
    #[serde(default, deserialize_with = "optional_with_days", skip_serializing_if = "Option::is_none")]
    timeout_max: Option<SignedDuration>,
    #[serde(default, skip_serializing_if = "is_default")]
    on_timeout: OnTimeout,
    #[serde(default, skip_serializing_if = "is_default")]
    silent_consent: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    self_approval: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    four_eyes: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    revise: Revise,
    #[serde(default, skip_serializing_if = "is_default")]
    reset: Reset,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    editable: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    proof: Proof,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<Approver>,
    #[serde(default, deserialize_with = "optional_with_days", skip_serializing_if = "Option::is_none")]
    claim_ttl: Option<SignedDuration>,
    /// How long what was approved may be begun, at most.
    #[serde(default, deserialize_with = "optional_with_days", skip_serializing_if = "Option::is_none")]
    valid_for: Option<SignedDuration>,
    /// In whose hours its times are counted: a name of `[calendars]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redact: Vec<String>,
    /// What approvers read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Template>,
    /// What they fill in, answer and choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    questions: Vec<Question>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<Choice>,
}

/// A stage, if its condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageIf {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    seats: Vec<SeatIf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
    #[serde(default, skip_serializing_if = "is_default")]
    veto: Veto,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    escalate: Vec<Step>,
    #[serde(default, skip_serializing_if = "is_default")]
    claim_pauses: bool,
}

/// A seat, likewise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeatIf {
    from: Vec<Approver>,
    #[serde(default, skip_serializing_if = "is_default")]
    need: Need,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
}

/// What a policy makes of a request, absolute and complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    plan: Plan,
    due: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    questions: Vec<Question>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<Choice>,
}

/// What is to be planned: the input of [`crate::PLAN`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planning {
    /// What is asked for.
    pub asked: NewRequest,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// All policies that are in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    /// Each as it is in force.
    policies: BTreeMap<String, InForce>,
    /// Whose a category is.
    names: BTreeMap<String, String>,
}

/// A policy, the version that it is, and the calendar that it names.
#[derive(Debug, Clone, PartialEq)]
struct InForce {
    version: PolicyVersion,
    policy: Policy,
    calendar: Option<Calendar>,
}

impl Policies {
    /// # Errors
    /// The policy that cannot be taken, and its field.
    pub fn new(
        policies: BTreeMap<String, Policy>,
        calendars: &BTreeMap<String, Calendar>,
    ) -> Result<Policies, (String, FieldError)> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (name, policy) in &policies {
            policy.check(name).map_err(|error| (name.clone(), error))?;
            for category in policy.categories(name) {
                if let Some(other) = names.insert(category.clone(), name.clone()) {
                    let remedy =
                        format!("{category:?} is that of the policy {other}, too: one of them must let go of it");
                    return Err((name.clone(), FieldError::new("category", remedy)));
                }
            }
        }
        let in_force = |(name, policy): (String, Policy)| {
            let calendar = match &policy.calendar {
                Some(of) => Some(calendars.get(of).cloned().ok_or_else(|| {
                    (name.clone(), FieldError::new("calendar", format!("{of:?} is none of [calendars]")))
                })?),
                None => None,
            };
            let version = PolicyVersion { name: name.clone(), digest: policy.digest(calendar.as_ref()) };
            Ok((name, InForce { version, policy, calendar }))
        };
        Ok(Policies { policies: policies.into_iter().map(in_force).collect::<Result<_, _>>()?, names })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// Whether one of them says something of a request.
    pub fn apply_to(&self, asked: &NewRequest) -> bool {
        self.of(asked).is_some()
    }

    /// The version of the policy for requests of a category.
    pub fn version(&self, category: Option<&str>) -> Option<&PolicyVersion> {
        self.of_category(category).map(|in_force| &in_force.version)
    }

    fn of(&self, asked: &NewRequest) -> Option<&InForce> {
        self.of_category(asked.category.as_deref())
    }

    fn of_category(&self, category: Option<&str>) -> Option<&InForce> {
        let name = category.and_then(|category| self.names.get(category));
        self.policies.get(name.map_or(DEFAULT, String::as_str))
    }

    /// What a request that was opened ([`crate::Input::open`]) needs, of whom and until when; nothing, if no policy says so.
    ///
    /// # Errors
    /// Naming the field of a request that its policy does not take.
    pub fn plan(&self, asked: &NewRequest, accepted_at: Timestamp) -> Result<Option<Planned>, FieldError> {
        let Some(InForce { version, policy, calendar }) = self.of(asked) else { return Ok(None) };
        let name = &version.name;
        policy.takes(name, asked)?;
        let due = policy.due((name, calendar.as_ref()), asked, accepted_at)?;
        let stages = policy.stages(name, asked)?;
        let plan = Plan { policy: Some(version.clone()), calendar: calendar.clone(), ..policy.plan_of(stages) };
        plan.check()?;
        if let Some(template) = &policy.details {
            template
                .check(asked)
                .map_err(|why| FieldError::new("payload", format!("policy {name}: details: {why}")))?;
        }
        Ok(Some(Planned {
            plan,
            due,
            input_schema: policy.input_schema.clone(),
            questions: policy.questions.clone(),
            outcomes: policy.outcomes.clone(),
        }))
    }
}

impl Request {
    /// Its policy has spoken.
    #[must_use]
    pub fn planned(mut self, planned: Planned) -> Request {
        let Planned { plan, due, input_schema, questions, outcomes } = planned;
        (self.plan, self.due) = (plan, due);
        self.asked.input_schema = input_schema.or(self.asked.input_schema);
        if !questions.is_empty() {
            self.asked.questions = questions;
        }
        if !outcomes.is_empty() {
            self.asked.outcomes = outcomes;
        }
        self
    }
}

impl Policy {
    fn categories(&self, name: &str) -> Vec<String> {
        let named: Vec<String> = self.category.iter().chain(&self.categories).cloned().collect();
        if named.is_empty() && name != DEFAULT { vec![name.to_owned()] } else { named }
    }

    /// All whom it may ask.
    pub fn approvers(&self) -> impl Iterator<Item = &Approver> {
        let stages = self.stages.iter().flat_map(|stage| {
            let steps = stage.escalate.iter().flat_map(|step| match &step.what {
                Escalation::Remind(_) => &[][..],
                Escalation::Add(others) => others,
                Escalation::Replace(replacement) => &replacement.with,
            });
            stage.seats.iter().flat_map(|seat| &seat.from).chain(steps)
        });
        stages.chain(&self.fallback)
    }

    /// What it said, in a few letters: the same as long as it says the same.
    fn digest(&self, calendar: Option<&Calendar>) -> String {
        let mut text = serde_json::to_vec(self).expect("a policy is JSON");
        text.extend(
            calendar.map(|calendar| serde_json::to_vec(calendar).expect("a calendar is JSON")).unwrap_or_default(),
        );
        hex(&Sha256::digest(text))
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.stages.iter().flat_map(|stage| stage.seats.iter().filter_map(|seat| seat.when.as_ref()).chain(&stage.when))
    }

    fn plan_of(&self, stages: Vec<Stage>) -> Plan {
        let conditions_read: BTreeSet<String> = self.conditions().flat_map(Condition::reads).cloned().collect();
        Plan {
            policy: None,
            stages,
            on_timeout: self.on_timeout,
            silent_consent: self.silent_consent,
            self_approval: self.self_approval,
            four_eyes: self.four_eyes,
            revise: self.revise,
            reset: self.reset,
            editable: self.editable.clone(),
            proof: self.proof,
            fallback: self.fallback.clone(),
            claim_ttl: self.claim_ttl,
            valid_for: self.valid_for,
            calendar: None,
            critical: self.critical,
            redact: self.redact.clone(),
            details: self.details.clone(),
            conditions_read: conditions_read.into_iter().collect(),
        }
    }

    /// Whether requests can live by it.
    fn check(&self, name: &str) -> Result<(), FieldError> {
        check_name("policies", name)?;
        if self.category.is_some() && !self.categories.is_empty() {
            return Err(FieldError::new("category", "stands beside `categories`: give one of the two"));
        }
        if name == DEFAULT && !self.categories(name).is_empty() {
            return Err(FieldError::new("category", "applies where no other policy does: leave it out, or rename it"));
        }
        self.categories(name).iter().try_for_each(|category| check_name("category", category))?;
        if self.stages.is_empty() && !self.approvers_by_requester {
            return Err(FieldError::new("stages", "nobody would decide: name stages, or set `approvers_by_requester`"));
        }
        let whole: Vec<Stage> = self.stages.iter().map(StageIf::whole).collect();
        self.plan_of(if whole.is_empty() { vec![Stage::default()] } else { whole }).check()?;
        let times = [("timeout", self.timeout), ("timeout_max", self.timeout_max), ("claim_ttl", self.claim_ttl)];
        for (field, time) in times {
            if time.is_some_and(|time| time <= SignedDuration::ZERO || time > TIMEOUT_MAX) {
                return Err(FieldError::new(field, "must be more than nothing, and a hundred years at most"));
            }
        }
        if let (Some(time), Some(most)) = (self.timeout, self.timeout_max)
            && time > most
        {
            return Err(FieldError::new("timeout", "is longer than `timeout_max`"));
        }
        self.check_editable()?;
        self.form().check()
    }

    /// An edit is not to go past those whom the old value did not ask.
    fn check_editable(&self) -> Result<(), FieldError> {
        for condition in self.conditions() {
            for pointer in &self.editable {
                let edited = format!("/payload{pointer}");
                if condition.reads().iter().any(|read| lies_under(read, &edited) || lies_under(&edited, read)) {
                    let remedy = format!(
                        "{pointer:?} is read by the condition {:?}: who is asked follows from it, and an edit would go past them",
                        condition.to_string()
                    );
                    return Err(FieldError::new("editable", remedy));
                }
            }
        }
        Ok(())
    }

    /// A request with nothing but its form, to be checked as a request is.
    fn form(&self) -> NewRequest {
        NewRequest {
            input_schema: self.input_schema.clone(),
            questions: self.questions.clone(),
            outcomes: self.outcomes.clone(),
            ..NewRequest::new("anybody", "anything")
        }
    }

    /// Whether what whoever asks says is his to say: where the policy says something, it does.
    fn takes(&self, name: &str, asked: &NewRequest) -> Result<(), FieldError> {
        let refused = |field, remedy: &str| Err(FieldError::new(field, format!("policy {name}: {remedy}")));
        if asked.plan.is_some() {
            return refused("plan", "it says who decides, and how: leave the plan out");
        }
        if !asked.approvers.is_empty() && !self.approvers_by_requester {
            return refused("approvers", "it says who decides: leave them out");
        }
        if asked.approvers.contains(&Approver::Anyone) {
            return refused("approvers", "not anyone may decide: name people or groups");
        }
        if self.input_schema.is_some() && asked.input_schema.is_some() {
            return refused("input_schema", "it says what is filled in: leave it out");
        }
        if !self.questions.is_empty() && !asked.questions.is_empty() {
            return refused("questions", "it says what is asked: leave them out");
        }
        if !self.outcomes.is_empty() && !asked.outcomes.is_empty() {
            return refused("outcomes", "it says which there are: leave them out");
        }
        Ok(())
    }

    /// Until when: as whoever asks says, within what the policy allows.
    fn due(
        &self,
        (name, calendar): (&str, Option<&Calendar>),
        asked: &NewRequest,
        accepted_at: Timestamp,
    ) -> Result<Timestamp, FieldError> {
        let most = self.timeout_max.unwrap_or(TIMEOUT_MAX);
        let until = |after: SignedDuration| match calendar {
            Some(calendar) => Ok(calendar.after(accepted_at, after)),
            None => accepted_at.checked_add(after).map_err(|error| FieldError::new("timeout", error.to_string())),
        };
        if !asked.says_until_when() {
            return until(self.timeout.unwrap_or(TIMEOUT_DEFAULT).min(most));
        }
        let due = asked.due_from(accepted_at)?;
        let (after, longest) = (due.duration_since(accepted_at), until(most)?);
        // A date is one by any calendar; how long is said in hours of the policy's.
        let due = if asked.due.is_some() { due } else { until(after)? };
        if self.timeout_max.is_some() && due > longest {
            return Err(FieldError::new("timeout", format!("policy {name}: must be {most:#} at most")));
        }
        Ok(due)
    }

    /// The stages whose conditions hold, with the seats whose do.
    fn stages(&self, name: &str, asked: &NewRequest) -> Result<Vec<Stage>, FieldError> {
        if !asked.approvers.is_empty() {
            let seats = vec![Seat { from: asked.approvers.clone(), need: Need::Count(1) }];
            return Ok(vec![Stage { seats, ..Stage::default() }]);
        }
        let facts = LazyCell::new(|| Facts::of(asked));
        let mut stages = Vec::new();
        for (number, stage) in self.stages.iter().enumerate() {
            let holds = |when: &Option<Condition>| match when {
                Some(condition) => condition.holds(&facts).map_err(|why| {
                    let remedy = format!(
                        "policy {name}: stage {} asks {:?}, and that cannot be said of this request: {why}",
                        number + 1,
                        condition.to_string()
                    );
                    FieldError::new(field_of(condition), remedy)
                }),
                None => Ok(true),
            };
            if !holds(&stage.when)? {
                continue;
            }
            let mut seats = Vec::new();
            for seat in &stage.seats {
                if holds(&seat.when)? {
                    seats.push(seat.whole());
                }
            }
            if !seats.is_empty() {
                stages.push(Stage { seats, ..stage.whole() });
            }
        }
        match (stages.is_empty(), self.stages.is_empty()) {
            (false, _) => Ok(stages),
            (true, true) => Err(FieldError::new("approvers", format!("policy {name}: name those who decide"))),
            (true, false) => Err(FieldError::new(
                "category",
                format!("policy {name}: none of its stages asks anybody of this request"),
            )),
        }
    }
}

/// Where a request says what a condition asks.
fn field_of(condition: &Condition) -> &'static str {
    let is_read = |root: &&&str| condition.reads().iter().any(|read| lies_under(read, &format!("/{root}")));
    ["payload", "tags", "links", "priority", "item", "requester"].iter().find(is_read).unwrap_or(&"category")
}

impl StageIf {
    /// With all its seats.
    fn whole(&self) -> Stage {
        Stage {
            name: self.name.clone(),
            seats: self.seats.iter().map(SeatIf::whole).collect(),
            veto: self.veto,
            escalate: self.escalate.clone(),
            claim_pauses: self.claim_pauses,
        }
    }
}

impl SeatIf {
    fn whole(&self) -> Seat {
        Seat { from: self.from.clone(), need: self.need }
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
