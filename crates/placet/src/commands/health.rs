//! `placet health`: whether a running server is ready, for images without a shell.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

use super::{CALL_PATIENCE, call_once};
use crate::exit::Failure;
use crate::flags::Health;

pub(super) fn run(flags: &Health) -> Result<(), Failure> {
    match &flags.endpoint {
        Some(endpoint) => call_once(endpoint, async |client| client.hello().await),
        None => ask_api(&flags.http_addr),
    }
}

fn ask_api(address: &str) -> Result<(), Failure> {
    let not_ready = |error: std::io::Error| Failure::NotReady(format!("{address}: {error}"));
    let wrong = |error: std::io::Error| Failure::Flag { flag: "--http-addr", what: format!("{address}: {error}") };
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let target = address.to_socket_addrs().map_err(wrong)?.next();
    let target = target.ok_or_else(|| wrong(std::io::ErrorKind::AddrNotAvailable.into()))?;
    let mut connection = TcpStream::connect_timeout(&target, CALL_PATIENCE).map_err(not_ready)?;
    connection.set_read_timeout(Some(CALL_PATIENCE)).map_err(not_ready)?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).map_err(not_ready)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(not_ready)?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    let reasons = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    Err(Failure::NotReady(format!("{status} {reasons}")))
}
