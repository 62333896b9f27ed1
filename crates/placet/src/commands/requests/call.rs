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

    /// Hears what a server tells by itself, until it ends that.
    pub(super) async fn listen(
        &self,
        path: &str,
        known: Option<&str>,
        mut told: impl FnMut(Event),
    ) -> Result<(), Failure> {
        let url = format!("{}{path}", self.base);
        let unreachable = |what: String| Failure::Unreachable { what: format!("{}: {what}", self.base) };
        let mut call = Request::builder().uri(&url).header("accept", "text/event-stream");
        if let Some(known) = known {
            call = call.header("last-event-id", known);
        }
        let call = call.body(Full::default());
        let call = call.map_err(|error| Failure::Flag { flag: "--url", what: format!("{url}: {error}") })?;
        let answer = timeout(PATIENCE, self.client.request(call)).await;
        let late = |_| unreachable(format!("no answer in {} s", PATIENCE.as_secs()));
        let response = answer.map_err(late)?.map_err(|error| unreachable(words::cause(&error)))?;
        let (parts, mut body) = response.into_parts();
        if !parts.status.is_success() {
            let body = body.collect().await.map_err(|error| unreachable(error.to_string()))?.to_bytes();
            return Err(problem(parts.status, &serde_json::from_slice(&body).unwrap_or_default()));
        }
        let mut events = Events::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(error.to_string()))?;
            if let Ok(bytes) = frame.into_data() {
                events.read(&bytes, &mut told);
            }
        }
        Ok(())
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

/// Something that a server tells of by itself.
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: Value,
}

/// Events as they come in, in pieces of any length.
#[derive(Default)]
struct Events {
    left: Vec<u8>,
    name: String,
    id: Option<String>,
    data: String,
}

impl Events {
    /// The events that end in these bytes.
    fn read(&mut self, bytes: &[u8], mut told: impl FnMut(Event)) {
        self.left.extend(bytes);
        while let Some(end) = self.left.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.left.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.name = value.to_owned(),
                "id" => self.id = Some(value.to_owned()),
                "data" => self.data.push_str(value),
                "" if line.is_empty() && !self.data.is_empty() => {
                    let data = serde_json::from_str(&std::mem::take(&mut self.data)).unwrap_or_default();
                    told(Event { name: std::mem::take(&mut self.name), id: self.id.take(), data });
                }
                _ => {}
            }
        }
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
