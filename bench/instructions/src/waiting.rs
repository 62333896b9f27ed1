//! The core, for what waits for people: a request that is approved at once, and an event for an instance that has left
//! memory and is read back from its row.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use placet_core::command::{Ask, Caller, CommandKind, RaiseEvent, StartInstance};
use placet_core::time::Timestamp;
use placet_proto::durabletask::CreateTimerAction;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::placet::v1::{AskReply, PublishedRow, Term};

use crate::rig::{Done, Rig};
use crate::sequence;

const REQUEST: &str =
    r#"{"requester":"Dana","item":"Vacation request: 5 days in July","timeout_hours":24,"created":"2026-11-25"}"#;
const DECISION: &str = r#"{"is_approved":true,"approver":"Manager","comments":"Enjoy"}"#;
const STATUS: &str = r#"{"request_id":"0193","status":"Pending","submitted_at":"2026-11-25T00:00:00Z"}"#;

/// In microseconds.
const NEVER: i64 = 1 << 50;

/// Longer than a parked instance is kept in memory.
const LONG: Duration = Duration::from_secs(31);

pub(crate) fn approvals(units: u32) -> Result<()> {
    let mut rig = Rig::new(true);
    (0..units).try_for_each(|unit| approval(&mut rig, unit))
}

fn approval(rig: &mut Rig, unit: u32) -> Result<()> {
    let id = format!("approval-{unit:08}");
    start(rig, "placet.approval", &id, unit);
    rig.turn(park(&id))?;
    let ask = Ask {
        ask_id: format!("{unit:032x}").into(),
        event_name: "approval_response".to_owned(),
        payload: Some(DECISION.to_owned()),
        wait: Duration::from_secs(10),
        stamp: Caller::default(),
    };
    let ask_id = ask.ask_id.to_string();
    rig.command(&id, CommandKind::Ask(Arc::new(ask)));
    let replies = vec![AskReply { ask_id, answer: Some(DECISION.to_owned()) }];
    rig.turn(Done { replies, publish: vec![published(&id)], status: Some(STATUS.to_owned()), ..sequence::end() })
}

pub(crate) fn events_from_afar(units: u32) -> Result<()> {
    let mut rig = Rig::new(false);
    rig.keep_rows();
    start(&mut rig, "patient", "patient-1", 1);
    rig.turn(park("patient-1"))?;
    for _ in 0..units {
        rig.pass(LONG);
        let event = RaiseEvent { name: "news".to_owned(), input: Some(DECISION.to_owned()), stamp: Caller::default() };
        rig.command("patient-1", CommandKind::RaiseEvent(event));
        rig.turn(Done::default())?;
    }
    Ok(())
}

fn start(rig: &mut Rig, name: &str, id: &str, unit: u32) {
    let start = StartInstance {
        name: name.to_owned(),
        input: Some(REQUEST.to_owned()),
        execution_id: format!("{unit:032x}"),
        ..StartInstance::default()
    };
    rig.command(id, CommandKind::Start(Box::new(start)));
}

/// A turn that waits for very long, and shows what it waits for.
fn park(id: &str) -> Done {
    let timer = CreateTimerAction { fire_at: Some(Timestamp(NEVER).to_proto()) };
    let action = Some(OrchestratorActionType::CreateTimer(timer));
    Done { action, publish: vec![published(id)], status: Some(STATUS.to_owned()), ..Done::default() }
}

fn published(id: &str) -> PublishedRow {
    let order = 1_767_225_600_000_000;
    let text = ["s:pending", "r:alice", "a:anyone", "w:alice", "w:vacation", "w:request"];
    let terms = text.into_iter().map(|text| Term { text: text.to_owned(), order }).collect();
    PublishedRow { kind: "request".into(), key: id.into(), body: Some(REQUEST.into()), terms }
}
