//! `/`: what this is and how to use it, for a person and for a program.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::guard::BaseUrl;
use crate::openapi::{About, Answer, Content, Inputs, Takes};
use crate::{Api, Shared};

/// The page. `{base}` and `{hub}` are filled in.
const PAGE: &str = include_str!("front.html");

/// The page has a style of its own and nothing else: no script, no picture, nothing from elsewhere.
pub(crate) const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");

pub(crate) const SHOW: About = About {
    id: "getIndex",
    summary: "What there is",
    details: "A page for people, or the same as JSON.",
    answers: &[Answer::new(200, "What there is", &[Content::json::<Value>(), Content::text("text/html")])],
    ..About::NOTHING
};

/// Whether somebody reads the answer, or something.
pub(crate) struct IsForPeople(bool);

impl<S: Send + Sync> FromRequestParts<S> for IsForPeople {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IsForPeople, Infallible> {
        let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        Ok(IsForPeople(accept.is_some_and(|accept| accept.contains("text/html"))))
    }
}

/// `Accept` follows from the forms of the answer (OpenAPI 3.1.1, "Parameter Object").
impl Takes for IsForPeople {
    fn describe(_: &mut Inputs<'_>) {}
}

pub(crate) async fn show(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    IsForPeople(is_for_people): IsForPeople,
) -> Response {
    let mut response = if is_for_people { page(&api, &base) } else { index(&api, &base) };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn page(api: &Api, BaseUrl(base): &BaseUrl) -> Response {
    let html = PAGE.replace("{base}", &escaped(base)).replace("{hub}", &escaped(api.client.hub()));
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response()
}

fn index(api: &Api, BaseUrl(base): &BaseUrl) -> Response {
    Json(json!({
        "name": "Placet",
        "version": env!("CARGO_PKG_VERSION"),
        "taskhub": api.client.hub(),
        "ask": {
            "call": format!("POST {base}/api/requests"),
            "body": {"requester": "Alice", "item": "Vacation Request", "timeout_hours": 1},
        },
        "look": {"call": format!("GET {base}/api/requests/{{request_id}}")},
        "decide": {
            "call": format!("POST {base}/api/approvals/{{request_id}}"),
            "body": {"is_approved": true, "approver": "Manager", "comments": "Approved!"},
        },
        "requests": {
            "call": format!("POST {base}/api/v1/requests"),
            "body": {"requester": "Alice", "item": "Deploy 2.3", "approvers": ["user:bob", "group:sre"], "timeout": "3d"},
            "then": [
                format!("GET {base}/api/v1/requests/{{request_id}}?wait=30s"),
                format!("POST {base}/api/v1/requests/{{request_id}}/decisions"),
                format!("POST {base}/api/v1/requests/{{request_id}}/{{claim, delegate, return, withdraw, ...}}"),
            ],
            "before": format!("POST {base}/api/v1/policies/check"),
        },
        "docs": {"page": format!("{base}/docs"), "openapi": format!("{base}/openapi.json")},
        "health": {"alive": format!("{base}/healthz"), "ready": format!("{base}/readyz")},
        "metrics": format!("{base}/metrics"),
    }))
    .into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
