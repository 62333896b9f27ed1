//! The workers that serve a hub now, and what each has.

use axum::Json;
use axum::extract::State;
use placet_core::dispatch::{Filter, StreamLoad};
use serde::Serialize;

use super::Rest;
use super::hub::TaskHub;
use super::problem::Problem;

/// The list.
#[derive(Debug, Serialize)]
pub(super) struct Workers {
    workers: Vec<Worker>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Worker {
    worker_id: String,
    active_orchestrations_count: usize,
    max_orchestrations_count: usize,
    active_activities_count: usize,
    max_activities_count: usize,
    active_entities_count: usize,
    max_entities_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_item_filters: Option<WorkItemFilters>,
}

#[derive(Debug, Serialize)]
struct WorkItemFilters {
    orchestrations: Vec<WorkItemFilter>,
    activities: Vec<WorkItemFilter>,
    entities: [(); 0],
}

#[derive(Debug, Serialize)]
struct WorkItemFilter {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

pub(super) async fn list(State(rest): State<Rest>, TaskHub(hub): TaskHub) -> Result<Json<Workers>, Problem> {
    let loads = rest.scheduler.workers(hub).await?;
    Ok(Json(Workers { workers: loads.into_iter().map(Worker::from).collect() }))
}

impl From<StreamLoad> for Worker {
    fn from(load: StreamLoad) -> Worker {
        Worker {
            worker_id: load.worker_id,
            active_orchestrations_count: load.turns,
            max_orchestrations_count: load.turns_max,
            active_activities_count: load.activities,
            max_activities_count: load.activities_max,
            // Entities are not there yet.
            active_entities_count: 0,
            max_entities_count: 0,
            work_item_filters: load.filters.map(|filters| WorkItemFilters {
                orchestrations: filters.orchestrations.iter().flat_map(by_version).collect(),
                activities: filters.activities.iter().flat_map(by_version).collect(),
                entities: [],
            }),
        }
    }
}

/// One for each version that is taken; one without, if any is.
fn by_version(filter: &Filter) -> Vec<WorkItemFilter> {
    let of = |version| WorkItemFilter { name: filter.name.clone(), version };
    if filter.versions.is_empty() {
        return vec![of(None)];
    }
    filter.versions.iter().map(|version| of(Some(version.clone()))).collect()
}
