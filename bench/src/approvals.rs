//! A unit of the approval cases: somebody asks, somebody else approves, and learns that it counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use placet_approval::{DECISION_EVENT, ORCHESTRATION};
use placet_sdk::{Answer, Client};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::load::{GoOn, Units};

/// By the mission's two calls.
pub(crate) async fn over_http(address: SocketAddr, go_on: GoOn) -> Result<Units> {
    let mut connection = Connection::open(address).await?;
    let (request, decision) = (request(), decision());
    let mut units = Units::default();
    while go_on.holds() {
        let begun = Instant::now();
        let created = connection.post("/api/requests", &request).await?;
        let id = created["request_id"].as_str().context("request_id")?.to_owned();
        let decided = Instant::now();
        connection.post(&format!("/api/approvals/{id}"), &decision).await?;
        units.ended(begun, Some(decided.elapsed()));
    }
    Ok(units)
}

/// By the SDK's two calls, whatever its transport.
pub(crate) async fn by_sdk(client: Client, go_on: GoOn) -> Result<Units> {
    let (request, decision) = (request(), decision());
    let mut units = Units::default();
    while go_on.holds() {
        let begun = Instant::now();
        let id = Uuid::now_v7().to_string();
        let id = client.start(ORCHESTRATION, &request).id(id).only_if_absent().await?;
        units.ended(begun, Some(decide(&client, &id, &decision).await?));
    }
    Ok(units)
}

async fn decide(client: &Client, id: &str, decision: &Value) -> Result<Duration> {
    let decided = Instant::now();
    match client.ask(id, DECISION_EVENT, decision).await? {
        Answer::Reply(_) => Ok(decided.elapsed()),
        other => bail!("the decision should have been taken: {other:?}"),
    }
}

fn request() -> Value {
    json!({"requester": "Dana", "item": "Vacation request: 5 days in July", "timeout_hours": 24})
}

fn decision() -> Value {
    json!({"is_approved": true, "approver": "Manager", "comments": "Enjoy"})
}
