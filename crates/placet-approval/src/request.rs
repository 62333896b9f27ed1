//! A request: what somebody asked for, until when it can be answered, how far it has come, and what came of it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::field::{FieldError, check_length, check_text};
use crate::identity::{Approver, NAME_CHARS_MAX, Person, check_name};
use crate::outcome::Outcome;
use crate::plan::{Plan, duration};
use crate::rules::{OpenStage, Vote};
use crate::schema;

/// An item is a line, not a document.
const ITEM_CHARS_MAX: usize = 10_000;

/// Details are a document.
pub(crate) const DETAILS_CHARS_MAX: usize = 100_000;

/// A payload is a megabyte at most (APPROVALS.md §2).
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A question is a few lines.
const QUESTION_CHARS_MAX: usize = 2_000;

/// A schema is shorter.
const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// That of one of many questions, more so.
const QUESTION_BYTES_MAX: usize = 4 << 10;

/// What a request that says nothing of it is given (the mission's sample).
pub(crate) const TIMEOUT_DEFAULT: SignedDuration = SignedDuration::from_hours(24);

/// A hundred years: nobody means more, and it fits every clock.
pub(crate) const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(876_000);

/// Tags, links, outcomes, questions and approvers of a request at most.
const LIST_MAX: usize = 100;

/// The rules that a request begun today lives by. It keeps them when they change.
const RULES: u32 = 2;

/// What somebody asks for: the mission's body, and the input of `placet.approval` when any program starts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    /// Who asks.
    pub requester: String,
    /// For what.
    pub item: String,
    /// How long it can be answered, in hours; fractions are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_hours: Option<f64>,
    /// The same as a duration: `3d`, `90m`, `PT24H`; a day has 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Until when it can be answered, if that was fixed when it was accepted; else it follows from the time at which
    /// the scheduler recorded the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Where people answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
    /// More about it, in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// What it is about, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// What an approver fills in, as a JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The request's own outcomes, beyond yes and no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Choice>,
    /// What else an approver is asked, each answered by its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Of which kind it is: policies go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// While a request of the same requester with this key is open, asking again through the API finds that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where there is more to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Who is to decide, if no policy says: any one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
    /// How long what was approved may be begun: a duration such as `1h`, counted from the approval. A policy may say less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<String>,
    /// Whether it is withdrawn when the orchestration that waits for it ends. When that is terminated, it is in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdraw_with_parent: bool,
    /// The whole plan, if no policy says and one of many is not what is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// An outcome of a request's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its name, which a decision gives as its `choice`.
    pub name: String,
    /// Whether it is a yes.
    pub is_approval: bool,
    /// What people read on the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A question of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its id, by which it is answered.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// What an answer is, as a JSON Schema; else any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Whether who approves must answer it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// Where there is more to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// `https:` or `http:`.
    pub url: String,
    /// What people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It can wait.
    Low,
    /// As most are.
    #[default]
    Normal,
    /// Before others.
    High,
    /// Now.
    Critical,
}

impl Priority {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
            Priority::Critical => "critical",
        }
    }

    pub(crate) fn is_normal(&self) -> bool {
        *self == Priority::Normal
    }
}

impl NewRequest {
    /// A request with all else left open.
    pub fn new(requester: impl Into<String>, item: impl Into<String>) -> NewRequest {
        NewRequest {
            requester: requester.into(),
            item: item.into(),
            timeout_hours: None,
            timeout: None,
            due: None,
            approval_url: None,
            details: String::new(),
            payload: None,
            input_schema: None,
            outcomes: Vec::new(),
            questions: Vec::new(),
            category: None,
            priority: Priority::Normal,
            dedupe_key: None,
            tags: Vec::new(),
            links: Vec::new(),
            approvers: Vec::new(),
            valid_for: None,
            withdraw_with_parent: false,
            plan: None,
        }
    }

    /// Whether it can be accepted.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        check_text("requester", &self.requester, NAME_CHARS_MAX)?;
        check_text("item", &self.item, ITEM_CHARS_MAX)?;
        check_length("approval_url", self.approval_url.as_deref().unwrap_or_default(), ITEM_CHARS_MAX)?;
        check_length("details", &self.details, DETAILS_CHARS_MAX)?;
        self.check_lists()?;
        for (field, value, most) in [
            ("payload", self.payload.as_ref(), PAYLOAD_BYTES_MAX),
            ("input_schema", self.input_schema.as_ref(), SCHEMA_BYTES_MAX),
        ] {
            value.map_or(Ok(()), |value| check_size(field, value, most))?;
        }
        let schemas = self.questions.iter().filter_map(|question| question.schema.as_ref());
        schemas.into_iter().try_for_each(|schema| check_size("questions", schema, QUESTION_BYTES_MAX))?;
        if let Some(plan) = &self.plan {
            plan.check()?;
            if plan.policy.is_some() {
                return Err(FieldError::new("plan", "the policy is not for whoever asks to name: give a category"));
            }
            if !self.approvers.is_empty() {
                return Err(FieldError::new("approvers", "stands in the plan's stages: give one of the two"));
            }
        }
        for (field, text) in [("timeout", &self.timeout), ("valid_for", &self.valid_for)] {
            text.as_deref().map_or(Ok(SignedDuration::ZERO), |text| long(field, text))?;
        }
        let most = TIMEOUT_MAX.as_secs_f64() / 3_600.0;
        match self.timeout_hours {
            Some(hours) if !(hours > 0.0 && hours <= most) => {
                Err(FieldError::new("timeout_hours", format!("must be more than 0 and at most {most}, not {hours}")))
            }
            _ => Ok(()),
        }
    }

    fn check_lists(&self) -> Result<(), FieldError> {
        let lists = [
            ("outcomes", self.outcomes.len()),
            ("questions", self.questions.len()),
            ("tags", self.tags.len()),
            ("links", self.links.len()),
            ("approvers", self.approvers.len()),
        ];
        for (field, entries) in lists {
            if entries > LIST_MAX {
                return Err(FieldError::new(field, format!("has {entries} entries, {LIST_MAX} at most are taken")));
            }
        }
        let schemas = self.questions.iter().filter_map(|question| question.schema.as_ref());
        for schema in schemas.chain(&self.input_schema) {
            schema::check_schema(schema).map_err(|why| FieldError::new("input_schema", why))?;
        }
        if let Some(category) = &self.category {
            check_name("category", category)?;
        }
        self.dedupe_key.as_deref().map_or(Ok(()), |key| check_name("dedupe_key", key))?;
        self.tags.iter().try_for_each(|tag| check_name("tags", tag))?;
        for choice in &self.outcomes {
            check_name("outcomes", &choice.name)?;
            if [crate::decision::ABSTAIN, "approve", "reject"].contains(&choice.name.as_str()) {
                return Err(FieldError::new("outcomes", format!("{:?} is there already", choice.name)));
            }
        }
        for question in &self.questions {
            check_name("questions", &question.id)?;
            check_text("questions", &question.text, QUESTION_CHARS_MAX)?;
        }
        unique("outcomes", self.outcomes.iter().map(|choice| choice.name.as_str()))?;
        unique("questions", self.questions.iter().map(|question| question.id.as_str()))?;
        for link in &self.links {
            check_text("links", &link.url, QUESTION_CHARS_MAX)?;
            check_length("links", link.title.as_deref().unwrap_or_default(), QUESTION_CHARS_MAX)?;
            // Anything else might run where somebody clicks on it.
            if !link.url.starts_with("https://") && !link.url.starts_with("http://") {
                return Err(FieldError::new("links", format!("{:?} must begin with https:// or http://", link.url)));
            }
        }
        Ok(())
    }

    /// Whether whoever asks says until when.
    pub(crate) fn says_until_when(&self) -> bool {
        self.due.is_some() || self.timeout.is_some() || self.timeout_hours.is_some()
    }

    /// The deadline of a request that was accepted at this time.
    ///
    /// # Errors
    /// If it lies beyond every calendar.
    pub fn due_from(&self, accepted_at: Timestamp) -> Result<Timestamp, FieldError> {
        if let Some(due) = self.due {
            return Ok(due);
        }
        self.check()?;
        let after = match (&self.timeout, self.timeout_hours) {
            (Some(text), _) => long("timeout", text)?,
            (None, Some(hours)) => SignedDuration::from_secs_f64(hours * 3_600.0),
            (None, None) => TIMEOUT_DEFAULT,
        };
        // Whole microseconds, as the scheduler's clock has them.
        let after = SignedDuration::from_micros(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
        accepted_at.checked_add(after).map_err(|error| FieldError::new("timeout_hours", error.to_string()))
    }

    /// What stands at a JSON pointer of what may be revised.
    pub(crate) fn at(&self, pointer: &str) -> Option<Cow<'_, Value>> {
        match pointer.strip_prefix("/payload") {
            Some(rest) => self.payload.as_ref()?.pointer(rest).map(Cow::Borrowed),
            None if pointer == "/item" => Some(Cow::Owned(self.item.clone().into())),
            None => None, // nothing else of what conditions read is ever revised
        }
    }

    /// The plan that it has without a policy.
    pub fn own_plan(&mut self) -> Plan {
        let approvers = std::mem::take(&mut self.approvers);
        match self.plan.take() {
            Some(plan) => plan,
            None if approvers.is_empty() => Plan::default(),
            None => Plan::of_any(approvers),
        }
    }
}

/// How long something is to last.
fn long(field: &'static str, text: &str) -> Result<SignedDuration, FieldError> {
    let wrong = |what: String| FieldError::new(field, format!("{text:?} is no duration such as 3d, 24h or 90m{what}"));
    let after = duration(text).map_err(|error| wrong(format!(": {error}")))?;
    if after > SignedDuration::ZERO && after <= TIMEOUT_MAX {
        Ok(after)
    } else {
        Err(wrong(", or not within a hundred years".into()))
    }
}

/// A value of so many bytes at most, written as JSON.
pub(crate) fn check_size(field: &'static str, value: &Value, bytes_max: usize) -> Result<(), FieldError> {
    let bytes = serde_json::to_vec(value).map_or(usize::MAX, |text| text.len());
    if bytes > bytes_max {
        return Err(FieldError::new(field, format!("has {bytes} bytes as JSON, {bytes_max} at most are taken")));
    }
    Ok(())
}

/// Whether a JSON pointer is another one or one below it.
pub(crate) fn lies_under(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn unique<'a>(field: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), FieldError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(FieldError::new(field, format!("{name:?} is there twice")));
        }
    }
    Ok(())
}

/// A request as it stands: the state that `placet.approval` carries from generation to generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the rules that it began with.
    pub rules: u32,
    /// Its id: the instance's.
    pub request_id: String,
    /// What is asked for, as it is now; approvers and plan are taken out of it.
    pub asked: NewRequest,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// Until when it can be answered: an answer counts if it was recorded before.
    pub due: Timestamp,
    /// How it is decided.
    #[serde(default, skip_serializing_if = "is_mission")]
    pub plan: Plan,
    /// How often its content has been fixed anew, the first time included.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub revision: u32,
    /// The payload as whoever asked proposed it, if an approver has changed it since, and which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    /// The stage that is open, or is to be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stage: usize,
    /// How far that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenStage>,
    /// Those whose yes counted in the stages before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Person>,
    /// The vote that settled the stage before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<Box<Vote>>,
    /// It went back to whoever asked, with these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Said>,
    /// Questions of approvers without an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Said>,
    /// Words that were said, by number.
    #[serde(default, skip_serializing_if = "none")]
    pub said: u32,
    /// Whether it had its time a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extended: bool,
    /// What keeps others from guessing its content by the hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub salt: String,
    /// The hash of its content as it is now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What an approver has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The payload before.
    pub proposed: Value,
    /// Who.
    pub by: Person,
    /// How many yes had counted by then, in the stages before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub counted: usize,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// Which word of the thread it is.
    pub number: u32,
    /// Who.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn none(number: &u32) -> bool {
    *number == 0
}

fn is_mission(plan: &Plan) -> bool {
    *plan == Plan::default()
}

/// The input of `placet.approval`: a new request, or one that continues as new.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody asks.
    New(Box<NewRequest>),
    /// The generation before has handed it over.
    Continued(Box<Request>),
}

impl Input {
    /// What is asked for by whoever starts it: all but what the generation before has handed over, of which the scheduler tells. One
    /// in the form of the first rules, which nobody vouched for, is somebody's wish like any other.
    pub fn asked(&self, is_continued: bool) -> Option<&NewRequest> {
        match self {
            Input::New(asked) => Some(asked),
            Input::Continued(request) => (!is_continued).then_some(&request.asked),
        }
    }

    /// The request that it stands for. `accepted_at` is when the scheduler recorded the start.
    ///
    /// # Errors
    /// Naming the field of a new request that cannot be accepted.
    ///
    /// `is_continued` is whether the scheduler vouches that it was handed over: who starts a request cannot say how far it is.
    pub fn open(self, request_id: String, accepted_at: Timestamp, is_continued: bool) -> Result<Request, FieldError> {
        match self {
            Input::Continued(request) if (request.rules > 1 || request.plan.policy.is_some()) && !is_continued => {
                Err(FieldError::new("rules", "is not for whoever asks to say: leave it out"))
            }
            Input::Continued(request) => Ok(Request { request_id, outcome: None, ..*request }),
            Input::New(mut asked) => {
                asked.check()?;
                let due = asked.due_from(accepted_at)?;
                let plan = asked.own_plan();
                Ok(Request::begun(request_id, *asked, plan, accepted_at, due))
            }
        }
    }
}

impl Request {
    fn begun(request_id: String, asked: NewRequest, plan: Plan, submitted_at: Timestamp, due: Timestamp) -> Request {
        Request {
            rules: RULES,
            request_id,
            asked,
            submitted_at,
            due,
            plan,
            revision: 1,
            edited: None,
            stage: 0,
            open: None,
            counted: Vec::new(),
            settled_by: None,
            returned: None,
            unanswered: Vec::new(),
            said: 0,
            extended: false,
            salt: String::new(),
            content_hash: String::new(),
            outcome: None,
        }
    }

    /// Until when it may be begun if it is approved now, if anybody says: the sooner of the two.
    pub(crate) fn valid_until(&self, approved_at: Timestamp) -> Option<Timestamp> {
        let asked = self.asked.valid_for.as_deref().and_then(|text| duration(text).ok());
        let valid_for = [asked, self.plan.valid_for].into_iter().flatten().min()?;
        approved_at.checked_add(valid_for).ok()
    }

    /// Who asks.
    pub fn requester(&self) -> Person {
        Person::named(&self.asked.requester)
    }
}

/// A request of the first rules as it was carried over then.
#[derive(Deserialize)]
struct First {
    request_id: String,
    requester: String,
    item: String,
    submitted_at: Timestamp,
    due: Timestamp,
    approval_url: Option<String>,
    outcome: Option<Outcome>,
}

impl First {
    fn into_request(self) -> Request {
        let mut asked = NewRequest::new(self.requester, self.item);
        asked.approval_url = self.approval_url;
        let mut request = Request::begun(self.request_id, asked, Plan::default(), self.submitted_at, self.due);
        request.rules = 1;
        request.outcome = self.outcome;
        request
    }
}

/// What is not read so is read as earlier versions did: of a key that stands twice the last one counts, and what is wrong is told
/// without a place in a text that nobody sees.
fn read<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    serde_json::from_str(json).or_else(|_| serde_json::from_value(serde_json::from_str(json)?))
}

/// Told apart by the field that only a continued one has, so that each is told what is wrong with itself.
impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            rules: Option<IgnoredAny>,
            asked: Option<IgnoredAny>,
        }
        let json: Box<RawValue> = Deserialize::deserialize(deserializer)?;
        let json = json.get();
        let continued = |request: Request| Input::Continued(Box::new(request));
        // What is no object has neither, and is told so.
        let form = read(json).unwrap_or(Form { rules: None, asked: None });
        // The first rules knew no `asked`.
        let read = match (form.rules, form.asked) {
            (None, _) => read(json).map(|new| Input::New(Box::new(new))),
            (Some(_), None) => read(json).map(First::into_request).map(continued),
            (Some(_), Some(_)) => read(json).map(continued),
        };
        read.map_err(de::Error::custom)
    }
}
