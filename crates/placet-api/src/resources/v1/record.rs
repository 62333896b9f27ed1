//! `GET /api/v1/requests/{id}/record`: what the record holds of a request, also after the request itself has gone.

use axum::Json;
use axum::extract::State;
use placet_approval::{Entry, permit_id};
use placet_sdk::record::{ChainedEntry, texts};
use serde::Serialize;
use serde_json::Value;

use crate::Api;
use crate::problem::{self, Kind, Problem};
use crate::resources::requests::RequestId;

/// The record of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    request_id: String,
    entries: Vec<EntryShown>,
}

/// An entry, and where it stands.
#[derive(Debug, Serialize)]
struct EntryShown {
    /// The chain.
    partition: u32,
    /// The place in it, from 1 on.
    number: u64,
    /// SHA-256 in hexadecimal digits, of all that stands in the chain so far: `placet audit verify` computes it again.
    link: String,
    /// What it says. Absent if that was erased; `~1`, `~2` stand for people who were.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Value>,
}

/// `GET /api/v1/requests/{id}/record`.
pub(crate) async fn show(State(api): State<Api>, RequestId(id): RequestId) -> Result<Json<Shown>, Problem> {
    let mut entries = Vec::new();
    read(&api, &id, &id, &mut entries).await?;
    // Of each request that had this id; whatever happens to a permit happens after all else.
    let salts: Vec<String> = entries.iter().filter_map(EntryShown::content_salt).collect();
    for salt in salts {
        read(&api, &id, &permit_id(&id, &salt), &mut entries).await?;
    }
    if entries.is_empty() {
        return Err(Problem::no_such_request(&id));
    }
    Ok(Json(Shown { request_id: id, entries }))
}

/// All that somebody has entered.
async fn read(api: &Api, id: &str, owner: &str, entries: &mut Vec<EntryShown>) -> Result<(), Problem> {
    let mut after = 0;
    loop {
        let page = api.client.entries_of(owner, after).await.map_err(|error| problem::of_call(id, &error))?;
        let Some(last) = page.value.entries.last() else { return Ok(()) };
        after = last.number;
        entries.extend(page.value.entries.iter().cloned().map(shown).collect::<Result<Vec<_>, _>>()?);
    }
}

impl EntryShown {
    /// The salt of the content, if this is where somebody asked.
    fn content_salt(&self) -> Option<String> {
        self.entry.as_ref()?.get("content_salt")?.as_str().map(str::to_owned)
    }
}

fn shown(entry: ChainedEntry) -> Result<EntryShown, Problem> {
    let said = entry.said.unwrap_or_default();
    let failed = |error| Problem::new(Kind::SchedulerFailed, format!("entry {}: {error}", entry.number));
    let text = Entry::read(texts(&said)).map_err(failed)?;
    Ok(EntryShown { partition: entry.partition, number: entry.number, link: hex(&entry.link), entry: text })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
