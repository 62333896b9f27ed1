//! `dedupe_key`: while a request of somebody's with a key is open, asking for the same again finds that one.
//!
//! The id of a request follows from its key and from the last request that had it: so of those who ask at the same time one starts
//! it, since an id is started once, and the others find what he started.

use axum::http::StatusCode;
use axum::response::Response;
use placet_approval::{NewRequest, RequestRow, terms};
use placet_sdk::InstanceState;
use placet_sdk::published::{ListPublishedRequest, any_of};
use uuid::Uuid;

use super::lists::rows;
use super::requests::{created, find, shown, start};
use crate::Api;
use crate::guard::BaseUrl;
use crate::idempotency::{IdempotencyKey, NAMESPACE};
use crate::problem::{self, Problem};

/// The last request that had this requester's key.
async fn last(api: &Api, asked: &NewRequest, key: &str) -> Result<Option<RequestRow>, Problem> {
    let question = ListPublishedRequest {
        kind: placet_approval::REQUEST_ROWS.to_owned(),
        all: vec![any_of([terms::of_dedupe_key(&asked.requester, key)])],
        descending: true,
        limit: 1,
        ..ListPublishedRequest::default()
    };
    Ok(rows(api, &question).await?.0.pop())
}

/// The id of the request behind another one: of the first, if there is none.
fn behind(api: &Api, asked: &NewRequest, key: &str, last: &str) -> String {
    let name = format!("dedupe\0{}\0{}\0{key}\0{last}", api.client.hub(), asked.requester);
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

/// Requests that are passed over, at most: those of which no list tells any more, or not yet.
const PASSED_OVER_MAX: u32 = 1_000;

/// Starts a request unless one with its key is open.
///
/// # Errors
/// If it cannot be accepted.
pub(super) async fn create(
    api: &Api,
    base: &BaseUrl,
    key: &IdempotencyKey,
    asked: &NewRequest,
    dedupe_key: &str,
) -> Result<Response, Problem> {
    let last = last(api, asked, dedupe_key).await?;
    let mut before = String::new();
    if let Some(row) = last {
        if let Some(state) = state(api, &row.request_id).await? {
            let is_same_call = key.is_of(&state);
            if is_same_call {
                key.check(&state, asked)?;
            }
            if is_same_call || (row.outcome.is_none() && is_open(&state)) {
                return existing(api, base, &row.request_id).await;
            }
        }
        before = row.request_id;
    }
    for _ in 0..PASSED_OVER_MAX {
        let id = behind(api, asked, dedupe_key, &before);
        if !was_purged(api, &id).await? {
            if let Some(request) = start(api, base, key, &id, asked).await? {
                return Ok(created(base, StatusCode::CREATED, shown(base, &request)));
            }
            if state(api, &id).await?.as_ref().is_some_and(is_open) {
                return existing(api, base, &id).await;
            }
        }
        // One that has ended without having been on any list, or whose record alone is left, which is not this one's.
        before = id;
    }
    let remedy = format!("{dedupe_key:?} was used by very many requests that are gone: take another one");
    Err(Problem::field("dedupe_key", remedy))
}

async fn existing(api: &Api, base: &BaseUrl, id: &str) -> Result<Response, Problem> {
    Ok(created(base, StatusCode::OK, find(api, base, id).await?.existing()))
}

async fn state(api: &Api, id: &str) -> Result<Option<InstanceState>, Problem> {
    api.client.get(id).await.map_err(|error| problem::of_call(id, &error))
}

/// Whether anybody can still decide it: one that has failed shows no outcome.
fn is_open(state: &InstanceState) -> bool {
    !state.status().is_terminal()
}

async fn was_purged(api: &Api, id: &str) -> Result<bool, Problem> {
    let has_entered = api.client.has_entered(id).await.map_err(|error| problem::of_call(id, &error))?;
    Ok(has_entered && state(api, id).await?.is_none())
}
