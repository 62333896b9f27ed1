//! Entities and schedules, of which there are none yet: lists are empty and well-formed, and what is named is not there.

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::body::{Body, Id};
use super::hub::TaskHub;
use super::problem::{Kind, Problem};

/// A list of entities.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entities {
    entities: [(); 0],
    total_count: u64,
}

pub(super) async fn entities(_hub: TaskHub, _query: Body<Value>) -> Json<Entities> {
    Json(Entities { entities: [], total_count: 0 })
}

pub(super) async fn entity(_hub: TaskHub, Id(id): Id) -> Problem {
    Problem::new(Kind::NoSuchEntity, format!("there is no entity {id:?} in this task hub"))
}

pub(super) async fn delete_entities(_hub: TaskHub, _ids: Body<Vec<String>>) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// A list of schedules.
#[derive(Debug, Serialize)]
pub(super) struct Schedules {
    entities: [(); 0],
}

pub(super) async fn schedules(_hub: TaskHub) -> Json<Schedules> {
    Json(Schedules { entities: [] })
}

pub(super) async fn create_schedule(_hub: TaskHub, _schedule: Body<Value>) -> Problem {
    Problem::new(Kind::NotImplemented, "schedules are not implemented by this server yet")
}

pub(super) async fn schedule(_hub: TaskHub, Id(id): Id) -> Problem {
    Problem::new(Kind::NoSuchSchedule, format!("there is no schedule {id:?} in this task hub"))
}
