//! An instance as its caller is told of it.

use std::sync::Arc;

use crate::command::InstanceView;
use placet_proto::durabletask::{OrchestrationState, OrchestrationStatus};

use super::Instance;
use super::instance::{Damage, Known, check_counts};
use crate::body::InstanceBody;
use crate::ids::Turn;
use crate::rows::InstanceRow;

impl Instance {
    pub(crate) fn view(&self) -> Arc<InstanceView> {
        let mut state = state_of(&self.body, self.status);
        state.instance_id = self.key.id.as_str().to_owned();
        state.name = (*self.name).to_owned();
        state.created_timestamp = Some(self.created_at.to_proto());
        state.last_updated_timestamp = Some(self.updated_at.to_proto());
        state.completed_timestamp = self.completed_at.map(|at| at.to_proto());
        let (mut input_known, mut output_known) = (false, !self.is_terminal());
        if let Known::Is(input) = &self.input {
            (state.input, input_known) = (input.clone(), true);
        }
        if let Known::Is(ended) = &self.output {
            (state.output, state.failure_details) = (ended.output.clone(), ended.failure.clone());
            output_known = true;
        }
        let (iid, history_bytes, turn) = (self.iid, bytes_to_read(&self.body), self.turn());
        Arc::new(InstanceView { iid, history_bytes, turn, state, input_known, output_known })
    }
}

/// An instance as it stands in the store; its input and output are in its history.
///
/// # Errors
/// If the row's body is damaged.
pub fn view_of_row(row: &InstanceRow) -> Result<InstanceView, Damage> {
    let body: InstanceBody = prost::Message::decode(row.body.clone())?;
    check_counts(&body, &[], &[])?;
    let mut state = state_of(&body, row.status);
    state.instance_id = row.id.as_str().to_owned();
    state.name = (*row.name).to_owned();
    state.created_timestamp = Some(row.created_at.to_proto());
    state.last_updated_timestamp = Some(row.updated_at.to_proto());
    state.completed_timestamp = row.completed_at.map(|at| at.to_proto());
    let output_known = !crate::command::is_terminal(row.status);
    let (iid, history_bytes, turn) = (row.iid, bytes_to_read(&body), Turn(body.turn));
    Ok(InstanceView { iid, history_bytes, turn, state, input_known: false, output_known })
}

/// Where its input stands, before its first turn and afterwards.
fn bytes_to_read(body: &InstanceBody) -> u64 {
    body.history_bytes.max(body.input_bytes)
}

fn state_of(body: &InstanceBody, status: OrchestrationStatus) -> OrchestrationState {
    OrchestrationState {
        orchestration_status: status.into(),
        version: body.version.clone(),
        execution_id: Some(body.execution_id.clone()),
        custom_status: body.custom_status.clone(),
        tags: body.tags.clone(),
        scheduled_start_timestamp: body.scheduled_start,
        parent_instance_id: body
            .parent
            .as_ref()
            .and_then(|parent| parent.orchestration_instance.as_ref())
            .map(|instance| instance.instance_id.clone()),
        ..OrchestrationState::default()
    }
}
