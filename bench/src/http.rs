//! The lightest HTTP caller that there is: one connection, kept, one call after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::approvals;
use crate::load::Unit;

pub(crate) struct Connection {
    host: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { host: address.to_string(), sender })
    }

    /// Posts JSON and gives back the JSON of the answer, which must be 200 or 201.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await.context("the call")?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            matches!(status, StatusCode::OK | StatusCode::CREATED),
            "POST {path}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Connections for units that come at a pace: each takes one that is free, or opens another.
#[derive(Clone)]
pub(crate) struct Pool {
    address: SocketAddr,
    free: Arc<Mutex<Vec<Connection>>>,
}

impl Pool {
    pub(crate) fn of(address: SocketAddr) -> Pool {
        Pool { address, free: Arc::default() }
    }

    /// An approval.
    pub(crate) async fn one(self) -> Result<Unit> {
        let mut connection = self.take().await?;
        let unit = approvals::one_over_http(&mut connection).await?;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(unit)
    }

    async fn take(&self) -> Result<Connection> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match free {
            Some(connection) => Ok(connection),
            None => Connection::open(self.address).await,
        }
    }
}
