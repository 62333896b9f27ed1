//! Calls of the HTTP API, and what its problems end a command with.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use super::words;
use crate::exit::Failure;
use crate::flags::requests::Speaker;

/// How long an answer may take that nobody waits for: a decision waits ten seconds for its worker.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API.
pub(super) struct Api {
    base: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl Api {
    /// Does what needs the API, in a runtime of its own.
    ///
    /// # Errors
    /// If the URL is none, and whatever `what` fails with.
    pub(super) fn with<T>(speaker: &Speaker, what: impl AsyncFnOnce(Api) -> Result<T, Failure>) -> Result<T, Failure> {
        let base = speaker.url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            let what = format!("{base:?} must begin with http://");
            return Err(Failure::Flag { flag: "--url", what });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::system("no runtime", error))?;
        runtime.block_on(async {
            let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
            what(Api { base, client }).await
        })
    }

    /// A request as it stands once it is decided, or after so long.
    pub(super) async fn look(&self, id: &str, wait: Duration) -> Result<Value, Failure> {
        let id = segment(id);
        let path = match wait.as_secs() {
            0 => format!("/api/v1/requests/{id}"),
            seconds => format!("/api/v1/requests/{id}?wait={seconds}"),
        };
        self.call(Method::GET, &path, None, None, PATIENCE + wait).await
    }

    /// A page of requests.
    pub(super) async fn list(&self, path: &str, asked: &[(&str, String)]) -> Result<Value, Failure> {
        let asked: Vec<String> = asked.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
        self.get(&format!("{path}?{}", asked.join("&"))).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None, None, PATIENCE).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value, header: Option<(&str, &str)>) -> Result<Value, Failure> {
        self.call(Method::POST, path, header, Some(body), PATIENCE).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        header: Option<(&str, &str)>,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.base);
        let wrong = |error: http::Error| Failure::Flag { flag: "--url", what: format!("{url}: {error}") };
        let mut call = Request::builder().method(method).uri(&url).header("content-type", "application/json");
        if let Some((name, value)) = header {
            call = call.header(name, value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let call = call.body(Full::new(body.into())).map_err(wrong)?;
        let unreachable = |what: String| Failure::Unreachable { what: format!("{}: {what}", self.base) };
        let exchange = async {
            let response = self.client.request(call).await.map_err(|error| unreachable(words::cause(&error)))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| unreachable(error.to_string()))?.to_bytes();
            Ok::<_, Failure>((parts.status, body))
        };
        let answer = timeout(patience, exchange).await;
        let (status, body) = answer.map_err(|_| unreachable(format!("no answer in {} s", patience.as_secs())))??;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| unreachable(format!("answered {status} and no JSON: is this Placet's HTTP API?")))?;
        if status.is_success() { Ok(value) } else { Err(problem(status, &value)) }
    }
}

fn problem(status: StatusCode, problem: &Value) -> Failure {
    let what = words::text(&problem["detail"]);
    match status {
        StatusCode::FORBIDDEN => Failure::Forbidden { what },
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => Failure::Unreachable { what },
        _ => Failure::Data { what },
    }
}

/// An id as a part of a path; a value as a part of a query.
pub(super) fn segment(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    id.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
