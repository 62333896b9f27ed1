//! What a call's headers say (PROTOCOL.md §2.2).

use placet_core::command::Caller;
use placet_core::ids::Hub;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::connections::Peer;
use crate::hubs::hub_of;

/// The hub of a call without a `taskhub` header: plain clients send none.
const HUB_DEFAULT: &str = "default";

/// The hub that a call means.
pub(super) fn hub<T>(request: &Request<T>) -> Result<Hub, Status> {
    hub_named(request.metadata())
}

fn hub_named(metadata: &MetadataMap) -> Result<Hub, Status> {
    let name = match metadata.get("taskhub") {
        Some(value) => value.to_str().map_err(|_| Status::invalid_argument("taskhub: not a text"))?,
        None => HUB_DEFAULT,
    };
    hub_of(name).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The other end of the call's connection.
pub(super) fn peer<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Peer>().cloned()
}

/// Who calls. Nothing is proved as long as there are no identities: any bearer token is accepted, absent too.
pub(super) fn caller<T>(_request: &Request<T>) -> Caller {
    Caller { principal: String::new(), proof: "none".to_owned() }
}
