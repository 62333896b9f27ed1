//! Every path, on one screen. The router and the document (`openapi/`) are made of this table.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use placet_approval::Act;

use crate::metrics::count;
use crate::openapi::{self, Paths, get, post};
use crate::problem::{Kind, Problem};
use crate::resources::{approvals, front, health, identity, metrics, requests, time, v1};
use crate::{Api, Operations, Reach, Shared, guard};

/// The approvals API.
pub(crate) fn paths() -> Paths<Shared> {
    use v1::{acts, decisions, events, lists, permit, policies, record, requests as ours, sheets};
    Paths::new()
        .part("Mission", "The three calls of the Human Interaction sample, as it has them.")
        .at("/api/requests", post(requests::create, &requests::CREATE))
        .at("/api/requests/{id}", get(requests::show, &requests::SHOW))
        .at(
            "/api/approvals/{id}",
            post(approvals::decide, &approvals::DECIDE).get(approvals::explain, &approvals::EXPLAIN),
        )
        .part("Requests", "Ask for an approval with all that belongs to it, look at it, find it.")
        .at("/api/v1/requests", post(ours::create, &ours::CREATE).get(lists::list, &lists::LIST))
        .at("/api/v1/requests/{id}", get(ours::show, &ours::SHOW))
        .at("/api/v1/requests/{id}/events", get(events::of_request, &events::OF_REQUEST))
        .at("/api/v1/requests/{id}/record", get(record::show, &record::SHOW))
        .at("/api/v1/requests/export", get(sheets::export, &sheets::EXPORT))
        .at("/api/v1/requests/import", post(sheets::import, &sheets::IMPORT))
        .at("/api/v1/policies/check", post(policies::check, &policies::CHECK))
        .part("Approvers", "What waits for somebody, and what he says to it.")
        .at("/api/v1/inbox", get(lists::inbox, &lists::INBOX))
        .at("/api/v1/inbox/events", get(events::of_inbox, &events::OF_INBOX))
        .at("/api/v1/requests/{id}/decisions", post(decisions::decide, &decisions::DECIDE))
        .at("/api/v1/decisions", post(decisions::decide_many, &decisions::DECIDE_MANY))
        .part("Acts", "What people do with a request other than decide it. `by` says who.")
        .at("/api/v1/requests/{id}/claim", post(acts::act(|_: acts::Nothing| Act::Claim), &acts::CLAIM))
        .at("/api/v1/requests/{id}/release", post(acts::act(|_: acts::Nothing| Act::Release), &acts::RELEASE))
        .at("/api/v1/requests/{id}/assign", post(acts::act(Act::Assign), &acts::ASSIGN))
        .at("/api/v1/requests/{id}/delegate", post(acts::act(Act::Delegate), &acts::DELEGATE))
        .at("/api/v1/requests/{id}/forward", post(acts::act(Act::Forward), &acts::FORWARD))
        .at("/api/v1/requests/{id}/comment", post(acts::act(Act::Comment), &acts::COMMENT))
        .at("/api/v1/requests/{id}/question", post(acts::act(Act::Question), &acts::QUESTION))
        .at("/api/v1/requests/{id}/answer", post(acts::act(Act::Answer), &acts::ANSWER))
        .at("/api/v1/requests/{id}/return", post(acts::act(Act::Return), &acts::RETURN))
        .at("/api/v1/requests/{id}/revise", post(acts::act(Act::Revise), &acts::REVISE))
        .at("/api/v1/requests/{id}/withdraw", post(acts::act(Act::Withdraw), &acts::WITHDRAW))
        .at("/api/v1/requests/{id}/override", post(acts::act(Act::Override), &acts::OVERRIDE))
        .part("Permits", "What was approved is done once, by whoever begins it.")
        .at("/api/v1/requests/{id}/permit", get(permit::show, &permit::SHOW))
        .at("/api/v1/requests/{id}/begin", post(permit::begin, &permit::BEGIN))
        .at("/api/v1/requests/{id}/finish", post(permit::finish, &permit::FINISH))
        .at("/api/v1/requests/{id}/revoke", post(permit::revoke, &permit::REVOKE))
        .part("Server", "The server itself.")
        .at("/", get(front::show, &front::SHOW))
        .at("/openapi.json", get(openapi::show, &openapi::SHOW))
        .at("/docs", get(openapi::page, &openapi::PAGE))
        .at("/api/time", get(time::show, &time::SHOW))
        .at("/api/time/advance", post(time::advance, &time::ADVANCE))
        .at("/msi/token", get(identity::token, &identity::TOKEN))
}

/// What those who run a server look at.
pub(crate) fn for_operators() -> Paths<Operations> {
    Paths::new()
        .part("Operations", "For those who run the server.")
        .at("/healthz", get(health::alive, &health::ALIVE))
        .at("/readyz", get(health::ready, &health::READY))
        .at("/metrics", get(metrics::show, &metrics::SHOW))
}

/// The approvals API, and what those who run it look at.
pub fn product(api: Api) -> Router {
    paths()
        .router()
        .with_state(Arc::new(api.clone()))
        .merge(for_operators().router().with_state(api.operations))
        .fallback(async || Problem::new(Kind::NoSuchPath, "there is nothing at this path; /docs has all that there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "this path does not answer this method; /docs has those that it does")
        })
        .layer(middleware::from_fn_with_state(api.reach, guard::guard))
        .layer(middleware::from_fn_with_state(api.metrics, count))
}

/// What those who run a server look at, for a role that has no API.
pub fn operators(operations: Operations, reach: Reach) -> Router {
    for_operators()
        .router()
        .with_state(operations)
        .fallback(async || Problem::new(Kind::NoSuchPath, "here are /healthz, /readyz and /metrics"))
        .layer(middleware::from_fn_with_state(reach, guard::guard))
}
