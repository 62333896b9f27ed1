//! The App Service identity protocol (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`), so that programs which insist on an
//! Azure credential run unchanged without Azure: `DefaultAzureCredential` asks here and gets a token that this
//! scheduler accepts, as it accepts any.
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::openapi::{About, Answer, Content, Inputs, Takes};
use crate::problem::{Kind, Problem};

/// How long a token is said to last: the SDKs renew it some minutes before.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    resource: String,
}

/// A page cannot send the header to another origin without asking first, which is its whole purpose.
pub(crate) struct Identified;

impl<S: Send + Sync> FromRequestParts<S> for Identified {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Identified, Problem> {
        if parts.headers.get("x-identity-header").is_none_or(|value| value.is_empty()) {
            return Err(Problem::new(Kind::MissingHeader, "X-IDENTITY-HEADER: send what IDENTITY_HEADER says"));
        }
        Ok(Identified)
    }
}

impl Takes for Identified {
    fn describe(input: &mut Inputs<'_>) {
        let says = "What the variable `IDENTITY_HEADER` says.";
        input.parameter("header", "X-IDENTITY-HEADER", true, says, &json!({"type": "string", "minLength": 1}));
        input.refuses(&[Kind::MissingHeader]);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| asked).map_err(|_| Problem::field("resource", "must be one text"))
    }
}

impl Takes for Asked {
    fn describe(input: &mut Inputs<'_>) {
        input.parameter("query", "resource", false, "For what the token is.", &json!({"type": "string"}));
        input.refuses(&[Kind::BadBody]);
    }
}

/// The answer, as the protocol has it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Token {
    /// Which this server accepts, as it accepts any.
    access_token: String,
    /// Unix seconds, as a text.
    expires_on: String,
    /// For what it is.
    resource: String,
    /// Bearer.
    token_type: &'static str,
}

pub(crate) const TOKEN: About = About {
    id: "getToken",
    summary: "A token for programs that insist on one",
    details: "App Service's identity protocol: programs with a `DefaultAzureCredential` run unchanged.",
    answers: &[Answer::new(200, "A token", &[Content::json::<Token>()])],
    ..About::NOTHING
};

pub(crate) async fn token(_: Identified, asked: Asked) -> Json<Token> {
    // By the real clock, as whoever is given it goes by his own.
    let expires_on = Timestamp::now().saturating_add(LASTS).map_or(i64::MAX, Timestamp::as_second);
    Json(Token {
        access_token: format!("placet-{}", Uuid::new_v4().simple()),
        expires_on: expires_on.to_string(),
        resource: asked.resource,
        token_type: "Bearer",
    })
}
