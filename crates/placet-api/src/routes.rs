//! Every path, on one screen.

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::Api;
use crate::guard;
use crate::problem::{Kind, Problem};
use crate::resources::{approvals, front, health, identity, requests};

/// The approvals API.
pub fn product(api: Api) -> Router {
    Router::new()
        .route("/", get(front::show))
        .route("/api/requests", post(requests::create))
        .route("/api/requests/{id}", get(requests::show))
        .route("/api/approvals/{id}", post(approvals::decide).get(approvals::explain))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/msi/token", get(identity::token))
        .fallback(async || Problem::new(Kind::NoSuchPath, "there is nothing at this path; GET / tells what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "this path does not answer this method; GET / tells what there is")
        })
        .layer(middleware::from_fn_with_state(api.clone(), guard::guard))
        .with_state(api)
}
