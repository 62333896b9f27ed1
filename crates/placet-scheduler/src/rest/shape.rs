//! An orchestration as the tools read it: a list's entry, an instance, its payloads.

use std::collections::BTreeMap;

use placet_proto::durabletask::{OrchestrationState, OrchestrationStatus, TaskFailureDetails};
use serde::Serialize;

/// One orchestration. The last three say again what stands above, for the list of the VS Code extension.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Orchestration {
    pub(super) instance_id: String,
    pub(super) execution_id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) created_timestamp: String,
    pub(super) last_updated_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completed_timestamp: Option<String>,
    pub(super) orchestration_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheduled_start_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_instance_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
    pub(super) runtime_status: &'static str,
    pub(super) created_time: String,
    pub(super) last_updated_time: String,
}

impl From<OrchestrationState> for Orchestration {
    fn from(state: OrchestrationState) -> Orchestration {
        let status = state.orchestration_status();
        let time = |at: Option<prost_types::Timestamp>| at.map(|at| at.to_string());
        let created = time(state.created_timestamp).unwrap_or_default();
        let updated = time(state.last_updated_timestamp).unwrap_or_default();
        Orchestration {
            instance_id: state.instance_id,
            execution_id: state.execution_id.unwrap_or_default(),
            name: state.name,
            version: state.version.unwrap_or_default(),
            created_timestamp: created.clone(),
            last_updated_timestamp: updated.clone(),
            completed_timestamp: time(state.completed_timestamp),
            orchestration_status: status.as_str_name(),
            scheduled_start_timestamp: time(state.scheduled_start_timestamp),
            parent_instance_id: state.parent_instance_id,
            tags: state.tags,
            runtime_status: short_name(status),
            created_time: created,
            last_updated_time: updated,
        }
    }
}

/// A status as Durable Functions calls it.
fn short_name(status: OrchestrationStatus) -> &'static str {
    match status {
        OrchestrationStatus::Running => "Running",
        OrchestrationStatus::Completed => "Completed",
        OrchestrationStatus::ContinuedAsNew => "ContinuedAsNew",
        OrchestrationStatus::Failed => "Failed",
        OrchestrationStatus::Canceled => "Canceled",
        OrchestrationStatus::Terminated => "Terminated",
        OrchestrationStatus::Pending => "Pending",
        OrchestrationStatus::Suspended => "Suspended",
    }
}

/// What an orchestration was given and what it has given: each payload is a text, unread.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payloads {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_status: Option<String>,
    orchestration_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_details: Option<Failure>,
}

/// Why it failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    error_type: String,
    error_message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner_failure: Option<Box<Failure>>,
    is_non_retriable: bool,
}

impl From<OrchestrationState> for Payloads {
    fn from(state: OrchestrationState) -> Payloads {
        Payloads {
            orchestration_status: state.orchestration_status().as_str_name(),
            input: state.input,
            output: state.output,
            custom_status: state.custom_status,
            failure_details: state.failure_details.map(Failure::from),
        }
    }
}

impl From<TaskFailureDetails> for Failure {
    fn from(details: TaskFailureDetails) -> Failure {
        Failure {
            error_type: details.error_type,
            error_message: details.error_message,
            stack_trace: details.stack_trace,
            inner_failure: details.inner_failure.map(|inner| Box::new(Failure::from(*inner))),
            is_non_retriable: details.is_non_retriable,
        }
    }
}
