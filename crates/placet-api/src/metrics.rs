//! What the API tells Prometheus of itself; docs/metrics.md has every metric.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds, in seconds.
const SECONDS: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of one API. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<Call, Counter>,
    seconds: Family<Resource, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: &'static str,
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resource {
    method: &'static str,
    path: String,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { calls: Family::default(), seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)) }
    }
}

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_calls",
            "Calls over HTTP that were answered, by method, path and status",
            self.calls.clone(),
        );
        let help = "How long the answer took";
        registry.register_with_unit("http_call", help, Unit::Seconds, self.seconds.clone());
    }
}

pub(crate) async fn count(State(metrics): State<Metrics>, call: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method(call.method());
    // Only paths that are routes: nobody can make the server remember others.
    let path = call.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(call).await;
    let status = response.status().as_u16();
    metrics.calls.get_or_create(&Call { method, path: path.clone(), status }).inc();
    metrics.seconds.get_or_create(&Resource { method, path }).observe(begun.elapsed().as_secs_f64());
    response
}

/// The method's name; one for all that no route has.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}
