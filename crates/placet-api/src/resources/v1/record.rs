//! `GET /api/v1/requests/{id}/record`: what the record holds of a request, also after the request itself has gone.

use axum::Json;
use axum::extract::State;
use placet_approval::{Entry, permit_id};
use placet_sdk::record::{ChainedEntry, texts};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::openapi::{About, Answer, Content};
use crate::problem::{self, Kind, Problem};
use crate::resources::requests::RequestId;
use crate::{Api, Shared};

/// The record of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Record")]
pub(crate) struct Shown {
    request_id: String,
    entries: Vec<EntryShown>,
}

/// An entry, and where it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordEntry")]
struct EntryShown {
    /// The chain.
    partition: u32,
    /// The place in it, from 1 on.
    number: u64,
    /// SHA-256 in hexadecimal digits, of all that stands in the chain so far: `placet audit verify` computes it again.
    link: String,
    /// What it says. Absent if that was erased; `~1`, `~2` stand for people who were.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Entry")]
    entry: Option<Value>,
}

pub(crate) const SHOW: About = About {
    id: "getRecord",
    summary: "The record of a request",
    details: "Every act that counted, in the order of the chain that it stands in, also after the request itself has gone.",
    answers: &[Answer::new(200, "All that was entered", &[Content::json::<Shown>()])],
    ..About::NOTHING
};

/// `GET /api/v1/requests/{id}/record`.
pub(crate) async fn show(State(api): State<Shared>, RequestId(id): RequestId) -> Result<Json<Shown>, Problem> {
    let mut entries = read(&api, &id, &id).await?;
    // Of each request that had this id; whatever happens to a permit happens after all else.
    let salts = entries.iter().filter_map(|shown| Entry::content_salt(shown.entry.as_ref()?));
    let permits: Vec<String> = salts.map(|salt| permit_id(&id, salt)).collect();
    for permit in permits {
        entries.extend(read(&api, &id, &permit).await?);
    }
    if entries.is_empty() {
        return Err(Problem::no_such_request(&id));
    }
    Ok(Json(Shown { request_id: id, entries }))
}

/// All that somebody has entered.
async fn read(api: &Api, id: &str, owner: &str) -> Result<Vec<EntryShown>, Problem> {
    let entries = api.client.all_entries_of(owner).await.map_err(|error| problem::of_call(id, &error))?;
    entries.into_iter().map(shown).collect()
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
