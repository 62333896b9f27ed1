//! Every path, on one screen.

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::Api;
use crate::guard;
use crate::metrics::count;
use crate::problem::{Kind, Problem};
use crate::resources::{approvals, front, health, identity, metrics, requests, time, v1};
use crate::{Operations, Reach};

/// The approvals API.
pub fn product(api: Api) -> Router {
    Router::new()
        .route("/", get(front::show))
        .route("/api/requests", post(requests::create))
        .route("/api/requests/{id}", get(requests::show))
        .route("/api/approvals/{id}", post(approvals::decide).get(approvals::explain))
        .route("/api/v1/requests", post(v1::requests::create).get(v1::lists::list))
        .route("/api/v1/requests/export", get(v1::sheets::export))
        .route("/api/v1/requests/import", post(v1::sheets::import))
        .route("/api/v1/inbox", get(v1::lists::inbox))
        .route("/api/v1/requests/{id}", get(v1::requests::show))
        .route("/api/v1/requests/{id}/record", get(v1::record::show))
        .route("/api/v1/requests/{id}/events", get(v1::events::of_request))
        .route("/api/v1/inbox/events", get(v1::events::of_inbox))
        .route("/api/v1/requests/{id}/permit", get(v1::permit::show))
        .route("/api/v1/requests/{id}/begin", post(v1::permit::begin))
        .route("/api/v1/requests/{id}/finish", post(v1::permit::finish))
        .route("/api/v1/requests/{id}/revoke", post(v1::permit::revoke))
        .route("/api/v1/requests/{id}/decisions", post(v1::decisions::decide))
        .route("/api/v1/decisions", post(v1::decisions::decide_many))
        .route("/api/v1/requests/{id}/{act}", post(v1::acts::act))
        .route("/api/v1/policies/check", post(v1::policies::check))
        .route("/api/time", get(time::show))
        .route("/api/time/advance", post(time::advance))
        .route("/msi/token", get(identity::token))
        .with_state(api.clone())
        .merge(for_operators(api.operations))
        .fallback(async || Problem::new(Kind::NoSuchPath, "there is nothing at this path; GET / tells what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "this path does not answer this method; GET / tells what there is")
        })
        .layer(middleware::from_fn_with_state(api.reach, guard::guard))
        .layer(middleware::from_fn_with_state(api.metrics, count))
}

/// What those who run a server look at, for a role that has no API.
pub fn operators(operations: Operations, reach: Reach) -> Router {
    for_operators(operations)
        .fallback(async || Problem::new(Kind::NoSuchPath, "here are /healthz, /readyz and /metrics"))
        .layer(middleware::from_fn_with_state(reach, guard::guard))
}

fn for_operators(operations: Operations) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .with_state(operations)
}
