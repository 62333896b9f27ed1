//! What goes over our own stream, for a frame of the SDK as it comes under load: put into bytes and read from them.

use anyhow::{Context as _, Result, ensure};
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::durabletask::{OrchestratorAction, OrchestratorResponse, ScheduleTaskAction};
use placet_proto::placet::v1::worker_frame::Frame;
use placet_proto::placet::v1::{Completions, TurnCompletion, WorkerFrame};
use prost::Message as _;

const COMPLETIONS: usize = 64;

pub(crate) fn run(units: u32) -> Result<()> {
    let turns = (0..COMPLETIONS).map(turn).collect();
    let frame = WorkerFrame { frame: Some(Frame::Completions(Completions { turns, ..Completions::default() })) };
    for _ in 0..units {
        let bytes = frame.encode_to_vec();
        let Some(Frame::Completions(read)) = WorkerFrame::decode(bytes.as_slice())?.frame else {
            anyhow::bail!("completions were sent")
        };
        ensure!(read.turns.len() == COMPLETIONS, "all of them");
        ensure!(read.turns.first().context("one")?.response.is_some(), "with what they did");
    }
    Ok(())
}

/// It calls an activity.
fn turn(number: usize) -> TurnCompletion {
    let task = ScheduleTaskAction { name: "add".to_owned(), input: Some(number.to_string()), ..Default::default() };
    let action =
        OrchestratorAction { id: 1, orchestrator_action_type: Some(OrchestratorActionType::ScheduleTask(task)) };
    let response = OrchestratorResponse {
        instance_id: format!("sequence-{number:08}"),
        actions: vec![action],
        completion_token: format!("pl1.1.{number}.1.1.a"),
        ..OrchestratorResponse::default()
    };
    TurnCompletion { response: Some(response), ..TurnCompletion::default() }
}
