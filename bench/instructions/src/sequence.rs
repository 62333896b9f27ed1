//! The core, for an orchestration that calls five activities one after the other: eleven work items, six commits.

use anyhow::Result;
use placet_core::command::{CommandKind, StartInstance};
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::durabletask::{CompleteOrchestrationAction, OrchestrationStatus, ScheduleTaskAction};

use crate::rig::{Done, Rig};

const ACTIVITIES: u32 = 5;

pub(crate) fn run(units: u32) -> Result<()> {
    let mut rig = Rig::new(false);
    (0..units).try_for_each(|unit| one(&mut rig, unit))
}

fn one(rig: &mut Rig, unit: u32) -> Result<()> {
    begin(rig, unit);
    for number in 0..ACTIVITIES {
        rig.turn(call())?;
        rig.activity(&number.to_string())?;
    }
    rig.turn(end())
}

pub(crate) fn begin(rig: &mut Rig, unit: u32) {
    let start = StartInstance {
        name: "sequence".to_owned(),
        input: Some("0".to_owned()),
        execution_id: format!("{unit:032x}"),
        ..StartInstance::default()
    };
    rig.command(&format!("sequence-{unit:08}"), CommandKind::Start(Box::new(start)));
}

/// A turn that calls an activity.
pub(crate) fn call() -> Done {
    let task = ScheduleTaskAction { name: "add".to_owned(), input: Some("1".to_owned()), ..Default::default() };
    Done { action: Some(OrchestratorActionType::ScheduleTask(task)), ..Done::default() }
}

/// A turn that ends it.
pub(crate) fn end() -> Done {
    let orchestration_status = OrchestrationStatus::Completed.into();
    let complete = CompleteOrchestrationAction {
        orchestration_status,
        result: Some("5".to_owned()),
        ..CompleteOrchestrationAction::default()
    };
    Done { action: Some(OrchestratorActionType::CompleteOrchestration(complete)), ..Done::default() }
}
