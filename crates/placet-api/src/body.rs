//! A body of JSON, or a problem that names the field.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Problem};

/// What a body may hold: texts, no files.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// A body that was read.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(call: Request, state: &S) -> Result<Body<T>, Problem> {
        if !is_json(call.headers()) {
            return Err(Problem::new(Kind::NotJson, "send the header Content-Type: application/json"));
        }
        let bytes = Bytes::from_request(call, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Kind::BodyTooLarge, format!("{BYTES_MAX} bytes at most are taken"))
            }
            _ => Problem::field("body", rejection.body_text()),
        })?;
        read(&bytes).map(Body)
    }
}

/// A media type of JSON. A form on a page elsewhere cannot send one without asking first (CORS preflight).
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be taken for the fields in their order, and anything else be told what it is not in Rust's names.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::field("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let what = without_place(&error.into_inner().to_string());
        // A field that is missing or unknown is named in the message, between backquotes.
        let named = what.split('`').nth(1).filter(|_| what.starts_with("missing") || what.starts_with("unknown"));
        // "." is the body itself, "?" a place in it that is cut off.
        let field = if path != "." && path != "?" { path } else { named.unwrap_or("body").to_owned() };
        Problem::field(field, what)
    })?;
    json.end().map_err(|error| Problem::field("body", without_place(&error.to_string())))?;
    Ok(read)
}

/// Without "at line 1 column 7": the body is one line to whoever sent it.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or_default().replace("expected f64", "expected a number")
}

#[cfg(test)]
mod tests {
    use placet_approval::{Decision, NewRequest};

    use super::*;

    #[test]
    fn a_bad_body_is_refused_with_the_name_of_the_field() {
        let new = |text: &str| read::<NewRequest>(text.as_bytes()).map(drop);
        let decision = |text: &str| read::<Decision>(text.as_bytes()).map(drop);
        let table = [
            (new(r#"{"item": "x"}"#), "requester: missing field `requester`"),
            (new(r#"{"requester": 7, "item": "x"}"#), "requester: invalid type: integer `7`, expected a string"),
            (
                new(r#"{"requester": "A", "item": "x", "timeout_hours": "1"}"#),
                "timeout_hours: invalid type: string \"1\", expected a number",
            ),
            (
                new(r#"{"requester": "A", "item": "x", "timeout_hour": 1}"#),
                "timeout_hour: unknown field `timeout_hour`, expected one of `requester`, `item`, `timeout_hours`, \
                 `due`, `approval_url`",
            ),
            (decision(r#"{"approver": "M"}"#), "is_approved: missing field `is_approved`"),
            (
                decision(r#"{"is_approved": "yes", "approver": "M"}"#),
                "is_approved: invalid type: string \"yes\", expected a boolean",
            ),
            (decision(""), "body: EOF while parsing a value"),
            (decision(r#"{"is_approved": true"#), "body: EOF while parsing an object"),
            (decision(r#"[true, "M", "so be it"]"#), "body: must be a JSON object"),
            (decision("is_approved=true"), "body: must be a JSON object"),
            (decision(r#"{"is_approved": true, "approver": "M"} x"#), "body: trailing characters"),
        ];
        for (refused, message) in table {
            let problem = format!("{:?}", refused.unwrap_err());
            assert!(problem.contains(&format!("detail: {message:?}")), "{problem}\nis not\n{message}");
        }
    }
}
