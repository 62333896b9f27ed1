//! A body of JSON, or a problem that names the field.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::openapi::{Inputs, Takes};
use crate::problem::{Kind, Problem};
use crate::{Api, Intake, Shared};

/// What a body may hold: texts, no files.
pub(crate) const BYTES_MAX: usize = 1 << 20;

const JSON: &str = "application/json";

/// A body has come within this time.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A body that was read.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(call: Request, api: &Shared) -> Result<Body<T>, Problem> {
        if !is_json(call.headers()) {
            return Err(Problem::new(Kind::NotJson, "send the header Content-Type: application/json"));
        }
        let mut room = Vec::new();
        read(&whole(call, api, &mut room).await?).map(Body)
    }
}

impl<T: JsonSchema> Takes for Body<T> {
    fn describe(input: &mut Inputs<'_>) {
        let schema = input.schema_of::<T>();
        input.body(&[JSON], &schema);
    }
}

/// A body that says in `by` who does something, and beside that what.
pub(crate) struct By<T>(pub(crate) String, pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for By<T> {
    type Rejection = Problem;

    async fn from_request(call: Request, api: &Shared) -> Result<By<T>, Problem> {
        let ByAnybody(by, what) = ByAnybody::from_request(call, api).await?;
        by.map(|by| By(by, what)).ok_or_else(|| Problem::field("by", "must be the name of whoever does it"))
    }
}

impl<T: JsonSchema> Takes for By<T> {
    fn describe(input: &mut Inputs<'_>) {
        let schema = with_by::<T>(input, true);
        input.body(&[JSON], &schema);
    }
}

/// The same, if nobody need say who he is.
pub(crate) struct ByAnybody<T>(pub(crate) Option<String>, pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for ByAnybody<T> {
    type Rejection = Problem;

    async fn from_request(call: Request, api: &Shared) -> Result<ByAnybody<T>, Problem> {
        let Body(mut body) = Body::<Map<String, Value>>::from_request(call, api).await?;
        let by = match body.remove("by") {
            None | Some(Value::Null) => None,
            Some(Value::String(by)) => Some(by),
            Some(_) => return Err(Problem::field("by", "must be the name of whoever does it")),
        };
        Ok(ByAnybody(by, read_from(Value::Object(body))?))
    }
}

impl<T: JsonSchema> Takes for ByAnybody<T> {
    fn describe(input: &mut Inputs<'_>) {
        let schema = with_by::<T>(input, false);
        input.body(&[JSON], &schema);
    }
}

/// The schema of something that somebody does.
fn with_by<T: JsonSchema>(input: &mut Inputs<'_>, is_required: bool) -> Value {
    let mut schema = T::json_schema(input.schemas()).to_value();
    let kind = if is_required { json!("string") } else { json!(["string", "null"]) };
    let by =
        json!({"type": kind, "description": "Who does it: a user of the configuration, or a name if that names none."});
    let mut fields = Map::from_iter([("by".to_owned(), by)]);
    if let Some(Value::Object(others)) = schema.get_mut("properties").map(Value::take) {
        fields.extend(others);
    }
    schema["properties"] = fields.into();
    if is_required {
        let others = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        schema["required"] = std::iter::once("by".into()).chain(others).collect();
    }
    schema
}

/// A body of many objects.
pub(crate) enum Sheet {
    /// One on each line, as JSON.
    Lines(Vec<u8>),
    /// A table with a line of names above it.
    Csv(Vec<u8>),
}

impl FromRequest<Shared> for Sheet {
    type Rejection = Problem;

    async fn from_request(call: Request, api: &Shared) -> Result<Sheet, Problem> {
        let sheet = match essence(call.headers()).as_str() {
            "application/x-ndjson" | "application/jsonl" => Sheet::Lines,
            "text/csv" => Sheet::Csv,
            _ => {
                let remedy = "send the header Content-Type: application/x-ndjson, or text/csv";
                return Err(Problem::new(Kind::NotJson, remedy));
            }
        };
        let mut room = Vec::new();
        whole(call, api, &mut room).await.map(sheet)
    }
}

impl Takes for Sheet {
    fn describe(input: &mut Inputs<'_>) {
        let lines = json!({"type": "string", "description": "A request on each line, or a table with a line of names above it."});
        input.body(&["application/x-ndjson", "text/csv"], &lines);
    }
}

async fn whole(call: Request, api: &Api, room: &mut Vec<Box<dyn Send>>) -> Result<Vec<u8>, Problem> {
    timeout(TIME_MAX, collect(call.into_body(), &api.intake, room)).await.unwrap_or_else(|_| {
        let seconds = TIME_MAX.as_secs();
        Err(Problem::new(Kind::BodyTooSlow, format!("the body must come within {seconds} s")))
    })
}

/// The whole body. What it takes of the budget is kept in `room`.
async fn collect(
    mut body: axum::body::Body,
    intake: &Intake,
    room: &mut Vec<Box<dyn Send>>,
) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::field("body", format!("it broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BYTES_MAX {
            return Err(Problem::new(Kind::BodyTooLarge, format!("{BYTES_MAX} bytes at most are taken")));
        }
        let Some(taken) = intake(data.len()) else {
            return Err(Problem::new(Kind::Overloaded, "too many bytes are in flight in this server; try again"));
        };
        room.push(taken);
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A media type of JSON. A form on a page elsewhere cannot send one without asking first (CORS preflight).
fn is_json(headers: &HeaderMap) -> bool {
    let essence = essence(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn essence(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// # Errors
/// Naming the field.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list would be taken for the fields in their order, and anything else be told what it is not in Rust's names.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::field("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = read_from(&mut json)?;
    json.end().map_err(|error| Problem::field("body", without_place(&error.to_string())))?;
    Ok(read)
}

fn read_from<'de, T: Deserialize<'de>>(json: impl Deserializer<'de, Error = serde_json::Error>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        let what = without_place(&error.into_inner().to_string());
        // A field that is missing or unknown is named in the message, between backquotes.
        let named = what.split('`').nth(1).filter(|_| what.starts_with("missing") || what.starts_with("unknown"));
        // "." is the body itself, "?" a place in it that is cut off.
        let field = if path != "." && path != "?" { path } else { named.unwrap_or("body").to_owned() };
        Problem::field(field, what)
    })
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
                "timeout_hour: unknown field `timeout_hour`, expected one of `requester`, `item`, `timeout_hours`, `timeout`, \
                 `due`, `approval_url`, `details`, `payload`, `input_schema`, `outcomes`, `questions`, `category`, \
                 `priority`, `dedupe_key`, `tags`, `links`, `approvers`, `valid_for`, `withdraw_with_parent`, `plan`",
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

    proptest::proptest! {
        /// Anything that is nearly a body, or is none.
        #[test]
        fn whatever_is_sent_is_read_or_refused_in_words(
            body in proptest::prop_oneof![
                r#"\{("(requester|item|is_approved|approver|comments|timeout_hours|due)": ?(true|null|1e[0-9]{1,3}|-?[0-9.]{1,9}|"[^"]{0,9}"|\[\]|\{),? ?){0,5}\}?"#,
                "\\PC{0,60}",
            ],
            noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        ) {
            for bytes in [body.as_bytes(), &noise] {
                if let Ok(new) = read::<NewRequest>(bytes) {
                    drop((new.check(), new.due_from(jiff::Timestamp::UNIX_EPOCH)));
                }
                if let Err(problem) = read::<Decision>(bytes) {
                    assert!(format!("{problem:?}").contains("BadBody"), "{problem:?}");
                }
            }
        }
    }
}
