//! What a call's headers say (PROTOCOL.md §2.2).

use placet_core::command::Caller;
use placet_core::ids::Hub;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::status::status_of;
use crate::connections::Peer;
use crate::hubs::{HUB_DEFAULT, hub_of};
use crate::scheduler::Scheduler;

/// What a worker may call itself.
const WORKER_ID_MAX: usize = 200;

/// The hub that a call means: one that is there, or would be made by its first use.
pub(super) fn hub<T>(scheduler: &Scheduler, request: &Request<T>) -> Result<Hub, Status> {
    scheduler.hub(hub_name(request.metadata())?).map_err(|error| status_of(&error.into()))
}

/// The hub that a call means, whether or not it is there.
pub(super) fn any_hub<T>(request: &Request<T>) -> Result<Hub, Status> {
    hub_of(hub_name(request.metadata())?).map_err(|error| status_of(&error.into()))
}

fn hub_name(metadata: &MetadataMap) -> Result<&str, Status> {
    match metadata.get("taskhub") {
        Some(value) => value.to_str().map_err(|_| Status::invalid_argument("taskhub: not a text")),
        None => Ok(HUB_DEFAULT),
    }
}

/// What a worker calls itself: Java's say nothing.
pub(super) fn worker_id<T>(request: &Request<T>) -> String {
    let id = request.metadata().get("workerid").and_then(|id| id.to_str().ok()).unwrap_or_default();
    id.chars().take(WORKER_ID_MAX).collect()
}

/// The other end of the call's connection.
pub(super) fn peer<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Peer>().cloned()
}

/// Who calls. Nothing is proved as long as there are no identities: any bearer token is accepted, absent too.
pub(super) fn caller<T>(_request: &Request<T>) -> Caller {
    Caller { principal: String::new(), proof: "none".to_owned() }
}
