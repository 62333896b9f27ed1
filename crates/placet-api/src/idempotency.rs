//! `Idempotency-Key`: who sends the same call twice asks once. A request's id follows from the key, so that the start itself is
//! the check (DESIGN.md §6, "Small things that need one home").

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use placet_approval::NewRequest;
use placet_sdk::InstanceState;
use serde_json::json;
use uuid::Uuid;

use crate::Api;
use crate::openapi::{Inputs, Takes};
use crate::problem::{Kind, Problem};

/// Of the ids that are made here from names (RFC 9562 §5.5).
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x6b1c_5f0e_91a4_4c5b_9d3e_5a0c_77f2_1d84);

/// Longer keys are none.
const CHARS_MAX: usize = 256;

/// The tag that keeps what was asked for under a key.
const TAG: &str = "placet.idempotency";

/// The tag that keeps the key itself, as a digest.
const KEY_TAG: &str = "placet.idempotency-key";

/// The header, if there is one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(IdempotencyKey(None)) };
        let key = value.to_str().unwrap_or_default();
        let is_taken = key.len() <= CHARS_MAX && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if key.is_empty() || !is_taken {
            return Err(Problem::field("Idempotency-Key", format!("must be 1 to {CHARS_MAX} letters of ASCII")));
        }
        Ok(IdempotencyKey(Some(key.to_owned())))
    }
}

impl Takes for IdempotencyKey {
    fn describe(input: &mut Inputs<'_>) {
        let says = "The same call with the same key is done once, and answered the same again.";
        let schema = json!({"type": "string", "minLength": 1, "maxLength": CHARS_MAX, "pattern": "^[ -~]+$"});
        input.parameter("header", "Idempotency-Key", false, says, &schema);
        input.refuses(&[Kind::BadBody]);
    }
}

impl IdempotencyKey {
    /// The id of the request that is asked for. One requester's keys are not another's.
    pub(crate) fn request_id(&self, api: &Api, asked: &NewRequest) -> Uuid {
        match &self.0 {
            Some(key) => {
                let name = format!("{}\0{}\0{key}", api.client.hub(), asked.requester);
                Uuid::new_v5(&NAMESPACE, name.as_bytes())
            }
            None => Uuid::now_v7(),
        }
    }

    /// The id under which a decision is asked: the same again gets the same answer.
    pub(crate) fn ask_id(&self, id: &str, approver: &str) -> Option<String> {
        let key = self.0.as_ref()?;
        Some(Uuid::new_v5(&NAMESPACE, format!("{id}\0{approver}\0{key}").as_bytes()).to_string())
    }

    /// As it was sent.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The key of one of many that came under this one.
    pub(crate) fn of_line(&self, line: u64) -> IdempotencyKey {
        IdempotencyKey(self.0.as_ref().map(|key| format!("{key}\0{line}")))
    }

    /// What is kept of the key and of the body.
    pub(crate) fn tags(&self, asked: &NewRequest) -> BTreeMap<String, String> {
        let tags = |key: &String| [(TAG.to_owned(), digest(asked)), (KEY_TAG.to_owned(), digest_of(key.as_bytes()))];
        self.0.iter().flat_map(tags).collect()
    }

    /// Whether something was asked for under this key, whichever its id.
    pub(crate) fn is_of(&self, state: &InstanceState) -> bool {
        self.0.as_ref().is_some_and(|key| state.tags().get(KEY_TAG) == Some(&digest_of(key.as_bytes())))
    }

    /// Whether what is there under this key is what is asked for again.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn check(&self, state: &InstanceState, asked: &NewRequest) -> Result<(), Problem> {
        if state.tags().get(TAG) == Some(&digest(asked)) {
            return Ok(());
        }
        let detail = "something else was asked for under this Idempotency-Key: take another key, or send the same body";
        Err(Problem::new(Kind::KeyReused, detail).with("request_id", state.id()))
    }
}

/// By which the same bytes are known again.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    Uuid::new_v5(&NAMESPACE, bytes).simple().to_string()
}

fn digest(asked: &NewRequest) -> String {
    let body = serde_json::to_vec(asked).expect("a request is JSON");
    digest_of(&body)
}
