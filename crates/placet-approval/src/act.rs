//! What people do with a request other than decide it. Who does it stands beside the payload, stamped where the call entered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::COMMENTS_CHARS_MAX;
use crate::field::{FieldError, check_length, check_text};
use crate::identity::{Person, check_name};

/// An act. The first four are WS-HumanTask's (APPROVALS.md §1): I take it, it is given, he acts for me, not mine but his.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// I take it: others leave it to me for a while.
    Claim,
    /// I leave it again.
    Release,
    /// It is given to somebody who could decide it.
    Assign(To),
    /// He acts for me; so may I, until he has.
    Delegate(To),
    /// It is not mine, but his.
    Forward(To),
    /// A word to it.
    Comment(Text),
    /// An approver asks whoever requested it.
    Question(Text),
    /// He is answered.
    Answer(Answer),
    /// An approver wants it otherwise: nobody votes until it is resubmitted.
    Return(Text),
    /// Whoever requested it changes it, returned or not.
    Revise(Revision),
    /// It is taken back.
    Withdraw(Reason),
    /// Somebody who may approves it over the heads of those who should have decided.
    Override(Text),
}

/// To whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// A person.
    pub to: Person,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The words.
    pub text: String,
}

/// What may be said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which question.
    pub question: u32,
    /// The words.
    pub text: String,
}

/// How a request changes. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// A new item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// New details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// A new payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// What is said to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Act {
    /// Its name, as in its JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Act::Claim => "claim",
            Act::Release => "release",
            Act::Assign(_) => "assign",
            Act::Delegate(_) => "delegate",
            Act::Forward(_) => "forward",
            Act::Comment(_) => "comment",
            Act::Question(_) => "question",
            Act::Answer(_) => "answer",
            Act::Return(_) => "return",
            Act::Revise(_) => "revise",
            Act::Withdraw(_) => "withdraw",
            Act::Override(_) => "override",
        }
    }

    /// Whether it can be taken.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        match self {
            Act::Claim | Act::Release => Ok(()),
            Act::Assign(to) | Act::Delegate(to) | Act::Forward(to) => {
                check_name("to", to.to.as_str())?;
                check_length("text", &to.text, COMMENTS_CHARS_MAX)
            }
            Act::Comment(Text { text })
            | Act::Question(Text { text })
            | Act::Return(Text { text })
            | Act::Override(Text { text })
            | Act::Answer(Answer { text, .. }) => check_text("text", text, COMMENTS_CHARS_MAX),
            Act::Withdraw(Reason { text }) => check_length("text", text, COMMENTS_CHARS_MAX),
            Act::Revise(revision) => {
                if revision.item.is_none() && revision.details.is_none() && revision.payload.is_none() {
                    return Err(FieldError::new("payload", "change the item, the details or the payload"));
                }
                check_length("text", &revision.text, COMMENTS_CHARS_MAX)
            }
        }
    }
}
