//! What an approver says to a request: the mission's body, and the payload of the event that carries it.

use serde::{Deserialize, Serialize};

use crate::field::{FieldError, check_length, check_text};

/// Names longer than this are no names.
const APPROVER_CHARS_MAX: usize = 256;

/// A comment is no document.
const COMMENTS_CHARS_MAX: usize = 10_000;

/// A yes or no, with who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether he approves.
    pub is_approved: bool,
    /// Who decides.
    pub approver: String,
    /// What he says to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
}

impl Decision {
    /// Whether it can be taken.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        check_text("approver", &self.approver, APPROVER_CHARS_MAX)?;
        check_length("comments", self.comments.as_deref().unwrap_or_default(), COMMENTS_CHARS_MAX)
    }

    /// A decision as it came with an event. What else stands in the payload is let be: other programs raise this
    /// event, too.
    pub(crate) fn of_payload(payload: Option<&str>) -> Result<Decision, String> {
        let text = payload.filter(|text| !text.is_empty()).ok_or("the payload is empty")?;
        let decision: Decision = serde_json::from_str(text).map_err(|error| short(&error.to_string()))?;
        decision.check().map_err(|error| error.to_string())?;
        Ok(decision)
    }
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
