//! The task hub that a call means: its header `x-taskhub`, whatever the case of the name.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use placet_core::ids::Hub;

use super::Rest;
use super::problem::Problem;
use crate::hubs::HUB_DEFAULT;

/// The header, and the one that gRPC has for it.
const HEADERS: [&str; 2] = ["x-taskhub", "taskhub"];

/// The hub of a call. Without a header it is the default one.
pub(super) struct TaskHub(pub(super) Hub);

impl FromRequestParts<Rest> for TaskHub {
    type Rejection = Problem;

    async fn from_request_parts(call: &mut Parts, rest: &Rest) -> Result<TaskHub, Problem> {
        let header = HEADERS.iter().find_map(|name| call.headers.get(*name));
        let name = match header {
            Some(name) => name.to_str().map_err(|_| Problem::field("x-taskhub", "not a text"))?,
            None => HUB_DEFAULT,
        };
        Ok(TaskHub(rest.scheduler.hub(name)?))
    }
}

/// Whether there is such a hub, or one would be made by its first use.
pub(super) async fn ping(TaskHub(_hub): TaskHub) -> StatusCode {
    StatusCode::OK
}
