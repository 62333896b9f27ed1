//! What others see of a request: the custom status, and the rows that lists and the API read.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Approver, Person};
use crate::outcome::Outcome;
use crate::plan::{Need, PolicyVersion};
use crate::request::{Choice, Link, Priority, Question, Request, Said};
use crate::rules::{Ballot, Claim, Level, Standing, content_hash};

/// The projection of which each request publishes one row, under its id.
pub const REQUEST_ROWS: &str = "request";

/// The projection with what each request is about, if it is about more than an item: written anew with each revision only.
pub const CONTENT_ROWS: &str = "content";

/// The custom status: the mission's `details`, and the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of Request")]
pub struct Details {
    pub request_id: String,
    /// Pending, Approved, Rejected, Timeout or Withdrawn.
    pub status: String,
    pub submitted_at: Timestamp,
    #[serde(default)]
    pub approval_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
}

/// A row of [`REQUEST_ROWS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRow {
    /// Its id.
    pub request_id: String,
    /// Pending, Approved, Rejected, Timeout or Withdrawn.
    pub status: String,
    /// Who asks.
    pub requester: String,
    /// For what.
    pub item: String,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// Until when it can be answered: an answer counts if it was recorded before.
    pub due: Timestamp,
    /// What came of it, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Of which kind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How urgent it is; absent: normal.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// By which policy it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyVersion>,
    /// How often its content has been fixed; absent: once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The hash of its content: salted SHA-256 over canonical JSON (RFC 8785), in hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
    /// What is hashed before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_salt: String,
    /// Where it stands, while it is open, unless whoever answers first decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageShown>,
    /// What an approver wants otherwise, while it is with whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Said>,
    /// Questions of approvers that nobody has answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Said>,
}

impl RequestRow {
    /// Whether a content is its own: an earlier life of the id may have left another one, and a request that is about nothing but
    /// its item has none.
    pub fn is_about(&self, content: &ContentRow) -> bool {
        match content.of.as_str() {
            "" => content_hash(&self.content_salt, &self.item, content.clone()) == self.content_hash,
            of => of == self.content_hash,
        }
    }

    /// The content that belongs to it, of a row of its id.
    ///
    /// # Errors
    /// If neither that nor none is what its hash says.
    pub fn content(&self, row: Option<ContentRow>) -> Result<ContentRow, String> {
        let content = row.into_iter().chain([ContentRow::default()]).find(|content| self.is_about(content));
        content.ok_or_else(|| format!("the content of {} is not what its hash says", self.request_id))
    }
}

/// The stage that is open, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageShown {
    /// Its place, from 1 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How many more must say yes, at least.
    pub more: u32,
    /// Who is asked.
    pub seats: Vec<SeatShown>,
    /// Who has said what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<VoteShown>,
    /// Who has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Whether others are asked than those whom the plan names.
    #[serde(default)]
    pub asks: Level,
}

/// Votes that are needed, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatShown {
    /// Of whom.
    pub from: Vec<Approver>,
    /// How many.
    pub need: Need,
}

/// A vote, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteShown {
    /// Whose.
    pub person: Person,
    /// What he says.
    pub ballot: Ballot,
    /// Which of the request's own outcomes he chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// Those for whom he acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts_for: Vec<Person>,
    /// When it was recorded.
    pub at: Timestamp,
    /// What he says to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comments: String,
}

/// A row of [`CONTENT_ROWS`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContentRow {
    /// More about it, in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// What it is about, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The payload as whoever asked proposed it, if an approver has changed it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Value>,
    /// What an approver fills in, as a JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// Its own outcomes, beyond yes and no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Choice>,
    /// What else an approver is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Where there is more to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What an approver may change of the payload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub editable: Vec<String>,
    /// Its hash: whose it is, is told without computing that again. Of earlier versions' rows absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(skip)]
    pub of: String,
}

impl Request {
    /// Pending, Approved, Rejected, Timeout or Withdrawn.
    pub fn status(&self) -> &'static str {
        self.outcome.as_ref().map_or("Pending", Outcome::status)
    }

    /// Its custom status.
    pub fn details(&self) -> Details {
        Details {
            request_id: self.request_id.clone(),
            status: self.status().to_owned(),
            submitted_at: self.submitted_at,
            approval_url: self.asked.approval_url.clone(),
            due: Some(self.due),
        }
    }

    /// Its row.
    pub fn row(&self) -> RequestRow {
        RequestRow {
            request_id: self.request_id.clone(),
            status: self.status().to_owned(),
            requester: self.asked.requester.clone(),
            item: self.asked.item.clone(),
            submitted_at: self.submitted_at,
            due: self.due,
            outcome: self.outcome.clone(),
            category: self.asked.category.clone(),
            priority: self.asked.priority,
            tags: self.asked.tags.clone(),
            policy: self.plan.policy.clone(),
            revision: self.revision_if_changed(),
            content_hash: self.content_hash.clone(),
            content_salt: self.salt.clone(),
            stage: self.stage_shown(),
            returned: self.returned.as_ref().map(Said::in_short),
            unanswered: self.unanswered.iter().map(Said::in_short).collect(),
        }
    }

    fn stage_shown(&self) -> Option<StageShown> {
        let open = self.open.as_ref().filter(|_| self.outcome.is_none() && !self.plan.is_simple())?;
        let stage = &self.plan.stages[self.stage];
        let votes = open.votes.iter().rev().take(VOTES_SHOWN).rev().map(|vote| VoteShown {
            person: vote.person.clone(),
            ballot: vote.ballot,
            choice: vote.choice.clone(),
            acts_for: vote.acts_for.clone(),
            at: vote.at,
            comments: beginning(&vote.comments),
        });
        Some(StageShown {
            number: self.stage + 1,
            of: self.plan.stages.len(),
            name: stage.name.clone(),
            more: if let Standing::Open { more } = open.standing(stage.veto) { more } else { 1 },
            seats: open.seats.iter().map(|seat| SeatShown { from: seat.from.clone(), need: seat.need }).collect(),
            votes: votes.collect(),
            claim: open.claim.clone(),
            asks: open.level,
        })
    }

    /// Its content, if it is or was about more than its item.
    pub fn content(&self) -> Option<ContentRow> {
        let content = self.shown_content();
        let is_any = self.revision > 1 || content != ContentRow::default();
        is_any.then(|| ContentRow { of: self.content_hash.clone(), ..content })
    }

    /// Its content as it is shown.
    pub(crate) fn shown_content(&self) -> ContentRow {
        let asked = &self.asked;
        ContentRow {
            details: match &self.plan.details {
                Some(template) => template.fill(asked),
                None => asked.details.clone(),
            },
            payload: asked.payload.clone(),
            proposed: self.edited.as_ref().map(|edited| edited.proposed.clone()),
            input_schema: asked.input_schema.clone(),
            outcomes: asked.outcomes.clone(),
            questions: asked.questions.clone(),
            links: asked.links.clone(),
            editable: self.plan.editable.clone(),
            of: String::new(),
        }
    }
}

/// A row shows so many votes, the last ones, and of what people say the beginning: it is written with every act.
const VOTES_SHOWN: usize = 1_000;

/// Letters of that.
const SAID_SHOWN: usize = 500;

impl Said {
    fn in_short(&self) -> Said {
        Said { text: beginning(&self.text), ..self.clone() }
    }
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(SAID_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
