//! What is wrong with a field of what somebody sent.

/// A field that cannot be accepted, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {remedy}")]
pub struct FieldError {
    /// The field, as it is written in the body.
    pub field: &'static str,
    /// What it must be.
    pub remedy: String,
}

impl FieldError {
    pub(crate) fn new(field: &'static str, remedy: impl Into<String>) -> FieldError {
        FieldError { field, remedy: remedy.into() }
    }
}

/// A text that says something, within measure.
pub(crate) fn check_text(field: &'static str, text: &str, chars_max: usize) -> Result<(), FieldError> {
    if text.trim().is_empty() {
        return Err(FieldError::new(field, "must not be empty"));
    }
    check_length(field, text, chars_max)
}

/// A text, perhaps empty, within measure.
pub(crate) fn check_length(field: &'static str, text: &str, chars_max: usize) -> Result<(), FieldError> {
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(FieldError::new(field, format!("has {chars} characters, {chars_max} at most are taken")));
    }
    Ok(())
}
