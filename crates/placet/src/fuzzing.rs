//! What a fuzzer feeds: HTTP calls with paths, headers and bodies of any bytes, through the API's own router to a scheduler
//! with its worker, without a socket. Whatever is sent is answered, and what is wrong with it is told in a problem document
//! that says that it was the caller's doing. The property test below feeds the same function; `fuzz/` at the root has it as
//! a target of cargo-fuzz.

mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use placet_api::{Api, Metrics, Operations, Reach};
use placet_core::fuzzing::Source;
use placet_scheduler::Scheduler;
use placet_sdk::{Client, Worker};
use placet_store::model::ModelStore;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::InProcess;

/// Calls of one run.
const CALLS_MAX: usize = 20;

/// A decision may wait for the orchestration for seconds: it is waited for so long …
const WAIT: Duration = Duration::from_millis(10);
/// … and nothing else takes longer, on the busiest machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// An orchestration of somebody's own, which no worker takes.
const OWN: &str = "own";

const PROBLEM: &str = "application/problem+json";

/// One call after another to everything that the API has.
pub fn http(data: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut source = Source(data);
            let mut world = World::start().await;
            for _ in 0..CALLS_MAX {
                if source.0.is_empty() {
                    break;
                }
                world.call(&mut source).await;
            }
            world.worker.shutdown().await;
        });
    });
}

struct World {
    scheduler: Stopped,
    worker: Worker,
    router: Router,
    /// Requests that there are.
    ids: Vec<String>,
}

/// A scheduler that ends with its world, however that does.
struct Stopped(Scheduler);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl World {
    async fn start() -> World {
        let scheduler = Stopped(Scheduler::start(Arc::new(ModelStore::default())).expect("threads"));
        let client = Client::over(Arc::new(InProcess::new(scheduler.0.clone())), "default");
        let worker = placet_worker::start(client.clone(), ["*"], placet_approval::nobody());
        client.start("somebodys.own", &7).id(OWN).await.expect("it is sound");
        let operations = Operations {
            readiness: Arc::new(|| Box::pin(std::future::ready(Vec::new()))),
            exposition: Arc::new(|| Box::pin(std::future::ready(String::new()))),
        };
        let router = placet_api::product(Api {
            client,
            operations,
            metrics: Metrics::default(),
            reach: Reach::ThisComputer,
            configuration: placet_approval::nobody(),
            intake: Arc::new(|_| Some(Box::new(()))),
        });
        let mut world = World { scheduler, worker, router, ids: vec![OWN.to_owned()] };
        // No choice at all is a new request that is sound.
        world.call(&mut Source(&[])).await;
        assert_eq!(world.ids.len(), 2, "it is there");
        world
    }

    async fn call(&mut self, source: &mut Source<'_>) {
        let Some(request) = self.request(source) else { return };
        let told = format!("{} {}", request.method(), request.uri());
        let may_wait = request.method() == Method::POST && request.uri().path().starts_with("/api/approvals/");
        let is_head = request.method() == Method::HEAD;
        let patience = if may_wait { WAIT } else { ANSWERED_WITHIN };
        let answer = match timeout(patience, TowerToHyperService::new(self.router.clone()).call(request)).await {
            Ok(Ok(answer)) => answer,
            Err(_) if may_wait => return,
            Err(_) => panic!("{told} is not answered"),
        };
        let (status, is_problem) = (answer.status(), is_of_type(&answer, PROBLEM));
        assert!(status.is_success() || status.is_client_error(), "{told}: {answer:?}");
        assert_eq!(is_problem, status.is_client_error(), "{told}: {answer:?}");
        let is_json = is_problem || is_of_type(&answer, "application/json");
        let body = to_bytes(answer.into_body(), usize::MAX).await.expect("it is in memory");
        if !is_json || is_head {
            return;
        }
        let document: Value = serde_json::from_slice(&body).expect("JSON is what it says");
        if is_problem {
            assert_problem(&document, status, &told);
        } else if let Some(id) = document.get("approval_url").and(document["request_id"].as_str()) {
            self.ids.push(id.to_owned());
        }
        assert!(self.scheduler.0.health().reasons().is_empty(), "{told}");
    }

    fn request(&self, source: &mut Source<'_>) -> Option<Request<Body>> {
        let mut request = Request::new(Body::empty());
        let (method, path) = match source.byte() % 9 {
            0 | 1 => (Method::POST, "/api/requests".to_owned()),
            2 | 3 => (Method::POST, format!("/api/approvals/{}", self.id(source))),
            4 => (Method::GET, format!("/api/requests/{}", self.id(source))),
            5 => (Method::GET, format!("/api/approvals/{}", self.id(source))),
            6 => (Method::GET, "/msi/token".to_owned()),
            7 => (Method::GET, PATHS[usize::from(source.byte()) % PATHS.len()].to_owned()),
            _ => (method(source), format!("/{}", escaped(source))),
        };
        *request.method_mut() = if source.byte() % 16 == 15 { self::method(source) } else { method };
        let query = match source.byte() % 8 {
            1 => format!("?wait={}", source.number()),
            2 => format!("?resource={}&resource={}", escaped(source), escaped(source)),
            3 => format!("?{}", escaped(source)),
            _ => String::new(),
        };
        // What is no address at all does not come through the server that stands before the router.
        *request.uri_mut() = Uri::try_from(format!("{path}{query}")).ok()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:8000"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for _ in 0..source.byte() % 3 {
            let (name, usual) = &HEADERS[usize::from(source.byte()) % HEADERS.len()];
            let value = match source.flag() {
                true => HeaderValue::from_static(usual),
                false => HeaderValue::from_bytes(source.bytes()).ok()?,
            };
            headers.insert(name, value);
        }
        let decides = request.uri().path().starts_with("/api/approvals/");
        *request.body_mut() = body::body(source, decides).into();
        Some(request)
    }

    /// Of a request that there is, or of any.
    fn id(&self, source: &mut Source<'_>) -> String {
        if source.byte() % 4 == 3 {
            return escaped(source);
        }
        self.ids[usize::from(source.byte()) % self.ids.len()].clone()
    }
}

const PATHS: [&str; 7] =
    ["/", "/healthz", "/readyz", "/metrics", "/api/requests", "/api/requests/", "/api/approvals/x/y"];

const HEADERS: [(HeaderName, &str); 6] = [
    (header::HOST, "evil.example"),
    (header::ORIGIN, "http://localhost:8000"),
    (header::CONTENT_TYPE, "application/problem+json; charset=utf-8"),
    (header::ACCEPT, "text/html"),
    (header::CONTENT_LENGTH, "7"),
    (HeaderName::from_static("x-identity-header"), "any"),
];

fn method(source: &mut Source<'_>) -> Method {
    let methods = [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS];
    let known = methods.get(usize::from(source.byte() % 8)).cloned();
    known.unwrap_or_else(|| Method::from_bytes(source.bytes()).unwrap_or(Method::TRACE))
}

/// A part of an address that stands for any bytes.
fn escaped(source: &mut Source<'_>) -> String {
    let bytes = match source.byte() % 4 {
        0 => source.text().into_bytes(),
        1 => [b'x'; 2_000].to_vec(),
        _ => source.bytes().to_vec(),
    };
    let plain = source.flag();
    let escape = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'=' | b'&' | b'%' if plain => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(escape).collect()
}

fn is_of_type<B>(answer: &Response<B>, essence: &str) -> bool {
    answer.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == essence)
}

fn assert_problem(document: &Value, status: StatusCode, told: &str) {
    let kind = document["type"].as_str().unwrap_or_default();
    assert!(kind.starts_with("urn:placet:problem:"), "{told}: {document}");
    assert_eq!(document["status"].as_u64(), Some(status.as_u16().into()), "{told}: {document}");
    for member in ["title", "detail"] {
        assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{told}: {document}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_sent_is_answered_and_what_is_wrong_with_it_is_told_as_the_callers_fault(
            data in vec(any::<u8>(), 0..5_000),
        ) {
            super::http(&data);
        }
    }
}
