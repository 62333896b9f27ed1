//! `dedupe_key`: while a request of somebody's with a key is open, asking for the same again finds that one.
//!
//! The id of a request follows from its key and from the last request that had it: so of those who ask at the same time one starts
//! it, since an id is started once, and the others find what he started.

use placet_approval::{NewRequest, RequestRow, terms};
use placet_sdk::published::{ListPublishedRequest, any_of};
use uuid::Uuid;

use super::lists::rows;
use crate::Api;
use crate::idempotency::NAMESPACE;
use crate::problem::{self, Problem};

/// The last request that had this requester's key.
pub(super) async fn last(api: &Api, asked: &NewRequest, key: &str) -> Result<Option<RequestRow>, Problem> {
    let question = ListPublishedRequest {
        kind: placet_approval::REQUEST_ROWS.to_owned(),
        all: vec![any_of([terms::of_dedupe_key(&asked.requester, key)])],
        descending: true,
        limit: 1,
        ..ListPublishedRequest::default()
    };
    Ok(rows(api, &question).await?.0.pop())
}

/// The id of the one behind it. Ids of requests that were purged are passed over: their record stays, and is not this one's.
pub(super) async fn next_id(
    api: &Api,
    asked: &NewRequest,
    key: &str,
    last: Option<&RequestRow>,
) -> Result<String, Problem> {
    let behind = |last: &str| {
        let name = format!("dedupe\0{}\0{}\0{key}\0{last}", api.client.hub(), asked.requester);
        Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
    };
    let mut id = behind(last.map_or("", |row| &row.request_id));
    loop {
        let of_call = |error| problem::of_call(&id, &error);
        let is_recorded = !api.client.entries_of(&id, 0).await.map_err(of_call)?.value.entries.is_empty();
        if !is_recorded || api.client.get(&id).await.map_err(of_call)?.is_some() {
            return Ok(id);
        }
        id = behind(&id);
    }
}
