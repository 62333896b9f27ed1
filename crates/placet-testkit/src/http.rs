//! Calls over HTTP/1.1, or HTTP/2 without asking first, with whatever headers a test likes.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A caller of one server. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a call was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Http {
    /// A caller of the server at this URL.
    pub fn new(base: &str) -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Http { base: base.to_owned(), client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// A caller that speaks HTTP/2 from its first word.
    pub fn over_http2(base: &str) -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
        Http { base: base.to_owned(), client }
    }

    /// The server's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET.
    ///
    /// # Errors
    /// If there is no answer: nobody knows what became of the call.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, &[], "").await
    }

    /// POST of a value as JSON.
    ///
    /// # Errors
    /// If there is no answer: nobody knows what became of the call.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        let body = serde_json::to_string(body)?;
        self.call(Method::POST, path, &[("content-type", "application/json")], &body).await
    }

    /// Any call. A path that begins with `http://` goes to that server.
    ///
    /// # Errors
    /// If there is no answer: nobody knows what became of the call.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let url = if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut call = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let call = call.body(Full::new(Bytes::from(body.to_owned())))?;
        let response = self.client.request(call).await.with_context(|| url.clone())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.with_context(|| url.clone())?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        self.read()
    }

    /// The body as what it should be.
    ///
    /// # Panics
    /// If it is not.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// The media type, without its parameters.
    pub fn content_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }
}
