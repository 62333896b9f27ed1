//! What comes with a call: a body of JSON, counted in the budget as it arrives, and an id in its path.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Rest;
use super::problem::{Kind, Problem};
use crate::budget::{Budget, Busy, LARGE_FROM, Share};
use crate::scheduler::CallError;

/// What a body may hold. Longer payloads go by gRPC.
pub(super) const BYTES_MAX: usize = 8 << 20;

/// Of a body that is too large so much is thrown away for its sender to come to its end.
const THROWN_AWAY_MAX: usize = 4 * BYTES_MAX;

/// A body has come within this time.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A body that was read, and what it takes of the budget until it is answered. No body at all is an empty object.
pub(super) struct Body<T> {
    pub(super) value: T,
    pub(super) _shares: Vec<Share>,
}

impl<T: DeserializeOwned> FromRequest<Rest> for Body<T> {
    type Rejection = Problem;

    async fn from_request(call: Request, rest: &Rest) -> Result<Body<T>, Problem> {
        let is_json = is_json(call.headers());
        let mut shares = Vec::new();
        let bytes = match timeout(TIME_MAX, collect(call.into_body(), rest.scheduler.budget(), &mut shares)).await {
            Ok(bytes) => bytes?,
            Err(_) => {
                let detail = format!("the body must come within {} s", TIME_MAX.as_secs());
                return Err(Problem::new(Kind::BodyTooSlow, detail));
            }
        };
        // A form on a page elsewhere cannot send JSON without asking first (CORS preflight).
        if !is_json && !bytes.is_empty() {
            return Err(Problem::new(Kind::NotJson, "send the header Content-Type: application/json"));
        }
        let value = read(if bytes.is_empty() { b"{}" } else { &bytes })?;
        Ok(Body { value, _shares: shares })
    }
}

async fn collect(body: axum::body::Body, budget: &Budget, shares: &mut Vec<Share>) -> Result<BytesMut, Problem> {
    let busy = |Busy| Problem::from(CallError::Busy);
    let mut bytes = BytesMut::new();
    let mut frames = body.into_data_stream();
    let (mut is_large, mut thrown_away) = (false, 0);
    while let Some(data) = frames.next().await {
        let data = data.map_err(|error| Problem::field("body", format!("it broke off: {error}")))?;
        if thrown_away > 0 || bytes.len() + data.len() > BYTES_MAX {
            // A sender that is cut off in the middle may not read why.
            (bytes, thrown_away) = (BytesMut::new(), thrown_away + bytes.len() + data.len());
            if thrown_away > THROWN_AWAY_MAX {
                break;
            }
            continue;
        }
        // Only who has sent so much gets room for as much as anybody may send.
        if !is_large && bytes.len() + data.len() > LARGE_FROM {
            is_large = true;
            shares.push(budget.large(BYTES_MAX).await.map_err(busy)?);
        } else if !is_large {
            shares.push(budget.small(data.len()).await.map_err(busy)?);
        }
        bytes.extend_from_slice(&data);
    }
    if thrown_away > 0 {
        return Err(Problem::new(Kind::BodyTooLarge, format!("{BYTES_MAX} bytes at most are taken; use gRPC")));
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("application/") && (essence.ends_with("/json") || essence.ends_with("+json"))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // "." is the body itself, "?" a place in it that is cut off.
        let field = if path == "." || path == "?" { "body".to_owned() } else { path };
        Problem::field(&field, error.into_inner())
    })?;
    json.end().map_err(|error| Problem::field("body", error))?;
    Ok(value)
}

/// The id in a path, decoded.
pub(super) struct Id(pub(super) String);

impl FromRequestParts<Rest> for Id {
    type Rejection = Problem;

    async fn from_request_parts(call: &mut Parts, rest: &Rest) -> Result<Id, Problem> {
        match Path::<String>::from_request_parts(call, rest).await {
            Ok(Path(id)) => Ok(Id(id)),
            Err(error) => Err(Problem::field("id", error)),
        }
    }
}
