//! The emulator's data calls over HTTP (PROTOCOL.md §13.2): what Microsoft's tools, and scripts, ask a scheduler.
//!
//! Each call checks, translates, and gives the commands that the same call over gRPC gives; nothing is decided here. The hub
//! is named by a header. Every refusal is a problem document (`problem.rs`). Entities and schedules are not there yet:
//! their lists are empty (`absent.rs`).

mod absent;
mod body;
mod events;
mod front;
mod history;
mod hub;
mod instances;
mod problem;
mod query;
mod shape;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};

use crate::connections::Peer;
use crate::outgoing::{Lent, Outgoing, Ties};
use crate::scheduler::Scheduler;
use problem::{Kind, Problem};

/// What the calls work with.
#[derive(Clone)]
struct Rest {
    scheduler: Scheduler,
}

/// The calls below `/v1/`, and `/healthz`: for a port of their own, or beside gRPC.
pub fn data(scheduler: Scheduler) -> Router {
    calls("/v1/taskhubs").route("/", get(front::index)).with_state(Rest { scheduler }).layer(middleware::from_fn(hold))
}

/// The port of the dashboard: the calls below `/api/v1/`, and a page where the dashboard's pages will be.
pub fn dashboard(scheduler: Scheduler) -> Router {
    const HUB: &str = "/subscriptions/{subscription}/schedulers/{scheduler}/taskhubs/{hub}";
    calls("/api/v1/taskhubs")
        .route("/health", get(async || "Healthy"))
        .route("/", get(front::page))
        .route(HUB, get(front::page))
        .route(&format!("{HUB}/orchestrations"), get(front::page))
        .route(&format!("{HUB}/orchestrations/{{id}}"), get(front::page))
        .with_state(Rest { scheduler })
        .layer(middleware::from_fn(hold))
}

/// What answers where nothing is, on a port where nothing else answers.
pub fn with_ends(router: Router) -> Router {
    router.fallback(async || nothing_here()).method_not_allowed_fallback(async || {
        Problem::new(Kind::MethodNotAllowed, "this path does not answer this method; GET / tells what there is")
    })
}

/// What a call over HTTP is told where nothing is.
pub(crate) fn nothing_here() -> Response {
    Problem::new(Kind::NoSuchPath, "there is nothing at this path; GET / tells what there is").into_response()
}

/// Every data call, below this path.
fn calls(base: &str) -> Router<Rest> {
    let calls = Router::new()
        .route("/ping", get(hub::ping))
        .route("/orchestrations", post(instances::start))
        .route("/orchestrations/query", post(query::query))
        .route("/orchestrations/addhistoryevents", post(events::post_to_many))
        .route("/orchestrations/forceterminate", post(instances::end_many))
        .route("/orchestrations/purge", delete(instances::purge_many))
        .route("/orchestrations/{id}", get(instances::show).delete(instances::purge))
        .route("/orchestrations/{id}/payloads", get(instances::payloads))
        .route("/orchestrations/{id}/history", post(events::post))
        .route("/orchestrations/{id}/restart", post(instances::restart))
        .route("/orchestrations/{id}/executions/{execution_id}/history", get(history::show))
        .route("/entities/query", post(absent::entities))
        .route("/entities/delete", delete(absent::delete_entities))
        .route("/entities/{id}", get(absent::entity).delete(absent::entity))
        .route("/entities/{id}/state", get(absent::entity))
        .route("/schedules", get(absent::schedules).post(absent::create_schedule))
        .route("/schedules/{id}", delete(absent::schedule))
        .route("/schedules/{id}/pause", post(absent::schedule))
        .route("/schedules/{id}/resume", post(absent::schedule))
        .route("/workers", get(workers::list));
    Router::new().nest(base, calls).route("/healthz", get(async || StatusCode::NO_CONTENT))
}

/// What an answer has of the budget it has until it is written, which must not take its reader for ever.
async fn hold(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let mut answer = next.run(request).await.into_response();
    let Some(kept) = answer.extensions_mut().remove::<Kept>() else { return answer };
    let ties = match kept {
        Kept::Whole { share, bytes } => {
            let ties = Ties::default();
            ties.lend(Lent::new(share, bytes, peer.as_ref()));
            ties
        }
        Kept::Parts(ties) => ties,
    };
    answer.map(|body| axum::body::Body::new(Outgoing::new(body, ties)))
}

/// What an answer has of the budget: an extension of it.
#[derive(Clone)]
enum Kept {
    /// All of it.
    Whole {
        /// Its share. An extension must be clonable.
        share: Arc<crate::budget::Share>,
        bytes: usize,
    },
    /// What each of its parts has is put in here when it is made.
    Parts(Ties),
}
