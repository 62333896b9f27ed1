//! What an approver says to a request: the mission's body, and the payload of the event that carries it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field::{FieldError, check_length, check_text};
use crate::identity::NAME_CHARS_MAX;

/// A comment is no document.
pub(crate) const COMMENTS_CHARS_MAX: usize = 10_000;

/// A yes or no, with who says it; and more, if the request asks for more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Whether he approves.
    pub is_approved: bool,
    /// Who decides.
    pub approver: String,
    /// What he says to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
    /// Which of the request's own outcomes he chooses; or `abstain`, whatever `is_approved` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// What he fills in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What he answers, by question.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub answers: Map<String, Value>,
    /// How he changes the payload (RFC 6902).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<Value>,
    /// The revision that he was shown; else he means the one of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The hash of the content that he was shown; else he means that of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// The stage that he was shown, from 1 on; else he means the one that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// He says it to many requests at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
}

/// The choice of somebody who wants to be left out.
pub const ABSTAIN: &str = "abstain";

impl Decision {
    /// A plain yes or no.
    pub fn new(is_approved: bool, approver: impl Into<String>) -> Decision {
        Decision { is_approved, approver: approver.into(), ..Decision::default() }
    }

    /// Whether it is a yes or no such as any orchestration understands that waits for one.
    pub fn is_plain(&self) -> bool {
        let Decision { choice, input, answers, edits, revision, content_hash, stage, .. } = self;
        choice.is_none()
            && input.is_none()
            && answers.is_empty()
            && edits.is_none()
            && revision.is_none()
            && content_hash.is_none()
            && stage.is_none()
    }

    /// Whether it says yes or no, and changes nothing.
    pub fn is_yes_or_no(&self) -> bool {
        self.choice.as_deref() != Some(ABSTAIN) && self.edits.is_none()
    }

    /// Whether it can be taken.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        check_text("approver", &self.approver, NAME_CHARS_MAX)?;
        check_length("comments", self.comments.as_deref().unwrap_or_default(), COMMENTS_CHARS_MAX)
    }

    /// A decision as it came with an event. What else stands in the payload is let be: other programs raise this
    /// event, too.
    pub(crate) fn of_payload(payload: Option<&str>) -> Result<Decision, String> {
        let decision: Decision = parse(payload)?;
        decision.check().map_err(|error| error.to_string())?;
        Ok(decision)
    }
}

/// What came with an event, or what is wrong with it.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(payload: Option<&str>) -> Result<T, String> {
    let text = payload.filter(|text| !text.is_empty()).ok_or("the payload is empty")?;
    serde_json::from_str(text).map_err(|error| short(&error.to_string()))
}

/// What is wrong with a payload, told to whoever sent it. The parser repeats a text that stands where none may, however long.
fn short(why: &str) -> String {
    match why.char_indices().nth(WHY_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &why[..at]),
        None => why.to_owned(),
    }
}

/// Letters of that.
const WHY_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_payload_that_is_none_so_much_is_repeated_as_helps() {
        let payload = format!(r#"{{"is_approved": "{}", "approver": "A"}}"#, "é".repeat(100_000));
        let why = Decision::of_payload(Some(&payload)).unwrap_err();
        assert!(why.starts_with(r#"invalid type: string "éé"#) && why.chars().count() == 301, "{why}");
    }
}
