//! A unit of the approval cases: somebody asks, somebody else approves, and learns that it counted.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use placet_approval::{DECISION_EVENT, ORCHESTRATION};
use placet_sdk::{Answer, Client};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::load::{GoOn, Unit, Units};
use crate::raw;

/// By the mission's two calls.
pub(crate) async fn over_http(address: SocketAddr, go_on: GoOn) -> Result<Units> {
    let mut connection = Connection::open(address).await?;
    let mut units = Units::default();
    while go_on.holds() {
        units.push(one_over_http(&mut connection).await?);
    }
    Ok(units)
}

pub(crate) async fn one_over_http(connection: &mut Connection) -> Result<Unit> {
    let begun = Instant::now();
    let id = ask_over_http(connection).await?;
    let decided = Instant::now();
    approve_over_http(connection, &id).await?;
    Ok(Unit::ended(begun, Some(decided.elapsed())))
}

/// By `/api/v1`: somebody who is named is asked, and decides.
pub(crate) async fn by_v1(address: SocketAddr, go_on: GoOn) -> Result<Units> {
    let mut connection = Connection::open(address).await?;
    let mut units = Units::default();
    while go_on.holds() {
        let begun = Instant::now();
        let asked = json!({"requester": "Dana", "item": "Vacation request: 5 days in July", "timeout": "24h", "approvers": ["Manager"]});
        let created = connection.post("/api/v1/requests", &asked).await?;
        let id = created["request_id"].as_str().context("request_id")?;
        let decided = Instant::now();
        let said = json!({"decision": "approve", "approver": "Manager", "comments": "Enjoy"});
        let told = connection.post(&format!("/api/v1/requests/{id}/decisions"), &said).await?;
        ensure!(told["outcome"]["status"] == "Approved", "it should be approved: {told}");
        units.push(Unit::ended(begun, Some(decided.elapsed())));
    }
    Ok(units)
}

/// Makes a request; its id.
pub(crate) async fn ask_over_http(connection: &mut Connection) -> Result<String> {
    let created = connection.post("/api/requests", &request()).await?;
    Ok(created["request_id"].as_str().context("request_id")?.to_owned())
}

/// Approves it.
pub(crate) async fn approve_over_http(connection: &mut Connection, id: &str) -> Result<()> {
    connection.post(&format!("/api/approvals/{id}"), &decision()).await.map(drop)
}

/// By the SDK's two calls, whatever its transport.
pub(crate) async fn by_sdk(client: Client, go_on: GoOn) -> Result<Units> {
    let mut units = Units::default();
    while go_on.holds() {
        units.push(one_by_sdk(&client).await?);
    }
    Ok(units)
}

pub(crate) async fn one_by_sdk(client: &Client) -> Result<Unit> {
    let begun = Instant::now();
    let id = Uuid::now_v7().to_string();
    let id = client.start(ORCHESTRATION, &request()).id(id).only_if_absent().await?;
    let decided = Instant::now();
    match client.ask(&id, DECISION_EVENT, &decision()).await? {
        Answer::Reply(_) => Ok(Unit::ended(begun, Some(decided.elapsed()))),
        other => bail!("the decision should have been taken: {other:?}"),
    }
}

/// By Microsoft's calls: the decision is an event, its outcome that of the instance.
pub(crate) async fn by_raw_calls(connection: raw::Connection, go_on: GoOn) -> Result<Units> {
    let mut units = Units::default();
    while go_on.holds() {
        units.push(one_by_raw_calls(&connection).await?);
    }
    Ok(units)
}

pub(crate) async fn one_by_raw_calls(connection: &raw::Connection) -> Result<Unit> {
    let begun = Instant::now();
    let id = connection.start(raw::APPROVAL, &request().to_string()).await?;
    let decided = Instant::now();
    let decision = decision().to_string();
    connection.raise_event(&id, raw::APPROVAL_EVENT, &decision).await?;
    let state = connection.wait(&id).await?;
    ensure!(state.output.as_ref() == Some(&decision), "{id}: {state:?}");
    Ok(Unit::ended(begun, Some(decided.elapsed())))
}

fn request() -> Value {
    json!({"requester": "Dana", "item": "Vacation request: 5 days in July", "timeout_hours": 24})
}

fn decision() -> Value {
    json!({"is_approved": true, "approver": "Manager", "comments": "Enjoy"})
}
