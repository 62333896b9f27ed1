//! The App Service identity protocol (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`), so that programs which insist on an
//! Azure credential run unchanged without Azure: `DefaultAzureCredential` asks here and gets a token that this
//! scheduler accepts, as it accepts any.
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// How long a token is said to last: the SDKs renew it some minutes before.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    resource: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| asked).map_err(|_| Problem::field("resource", "must be one text"))
    }
}

/// The answer, as the protocol has it.
#[derive(Debug, Serialize)]
pub(crate) struct Token {
    access_token: String,
    /// Unix seconds, as a text.
    expires_on: String,
    resource: String,
    token_type: &'static str,
}

/// A page cannot send the header to another origin without asking first, which is its whole purpose.
pub(crate) async fn token(headers: HeaderMap, asked: Asked) -> Result<Json<Token>, Problem> {
    if headers.get("x-identity-header").is_none_or(|value| value.is_empty()) {
        return Err(Problem::new(Kind::MissingHeader, "X-IDENTITY-HEADER: send what IDENTITY_HEADER says"));
    }
    // By the real clock, as whoever is given it goes by his own.
    let expires_on = Timestamp::now().saturating_add(LASTS).map_or(i64::MAX, Timestamp::as_second);
    Ok(Json(Token {
        access_token: format!("placet-{}", Uuid::new_v4().simple()),
        expires_on: expires_on.to_string(),
        resource: asked.resource,
        token_type: "Bearer",
    }))
}
