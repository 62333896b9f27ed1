//! `If-None-Match` and `If-Match`: as what whoever calls knows a request, by the `ETag` that it was shown with.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use serde_json::json;

use super::requests::{Shown, find};
use crate::Api;
use crate::guard::BaseUrl;
use crate::openapi::{Inputs, Takes};
use crate::problem::{Kind, Problem};

/// The values of a header as one list; none, if it is not there or has other letters than these.
fn list_of(parts: &Parts, name: HeaderName) -> Option<String> {
    let values: Vec<&str> =
        parts.headers.get_all(name).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    (!values.is_empty()).then(|| values.join(","))
}

/// `If-None-Match`: as what whoever looks knows it (RFC 9110 §13.1.2).
pub(crate) struct IfNoneMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfNoneMatch, Infallible> {
        Ok(IfNoneMatch(list_of(parts, header::IF_NONE_MATCH)))
    }
}

impl Takes for IfNoneMatch {
    fn describe(input: &mut Inputs<'_>) {
        let says = "The `ETag` of what is known: the answer is 304 if it still is so.";
        input.parameter("header", "If-None-Match", false, says, &json!({"type": "string"}));
    }
}

impl IfNoneMatch {
    /// Whether what has this tag is known.
    pub(super) fn is(&self, tag: &str) -> bool {
        // Weak comparison (RFC 9110 §8.8.3.2).
        let mut known = self.0.iter().flat_map(|tags| tags.split(',')).map(|one| one.trim().trim_start_matches("W/"));
        known.any(|one| [tag, "*"].contains(&one))
    }
}

/// `If-Match`: as what the request was last seen by whoever does something to it (RFC 9110 §13.1.1).
pub(crate) struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, Problem> {
        if !parts.headers.contains_key(header::IF_MATCH) {
            return Ok(IfMatch(None));
        }
        let is_quoted = |tag: &str| {
            let inside = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            inside.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
        };
        let is_tag = |tag: &str| tag == "*" || is_quoted(tag.trim_start_matches("W/"));
        let tags = list_of(parts, header::IF_MATCH).filter(|tags| tags.split(',').all(|tag| is_tag(tag.trim())));
        let wrong = || Problem::field("If-Match", "must be the ETag that the request was shown with, in its quotes");
        tags.map(|tags| IfMatch(Some(tags))).ok_or_else(wrong)
    }
}

impl Takes for IfMatch {
    fn describe(input: &mut Inputs<'_>) {
        let says = "The `ETag` that the request was shown with: if it is another by now, nothing is done. It is looked at before an \
                    `Idempotency-Key`. A decision is bound to what was seen; an act may come right behind another one.";
        input.parameter(
            "header",
            "If-Match",
            false,
            says,
            &json!({"type": "string", "pattern": "^(\\*|(W/)?\"[!#-+.-~-]*\"(, ?(W/)?\"[!#-+.-~-]*\")*)$"}),
        );
        input.refuses(&[Kind::BadBody, Kind::SeenOtherwise]);
    }
}

impl IfMatch {
    /// The request, if it had to be looked at and is one that was seen.
    ///
    /// # Errors
    /// If it is not what was seen.
    pub(super) async fn check(&self, api: &Api, base: &BaseUrl, id: &str) -> Result<Option<Shown>, Problem> {
        let Some(seen) = &self.0 else { return Ok(None) };
        let shown = find(api, base, id).await?;
        // Strong comparison: no weak one is the same (RFC 9110 §8.8.3.2).
        let strong: Vec<&str> = seen.split(',').map(str::trim).filter(|tag| !tag.starts_with("W/")).collect();
        if strong.contains(&"*") {
            return Ok(None);
        }
        if strong.contains(&shown.tag()?.as_str()) {
            return Ok(Some(shown));
        }
        let detail = "the request is not what it was when that ETag was given: look at it again";
        Err(Problem::new(Kind::SeenOtherwise, detail).with("request_id", id))
    }
}
