//! Who may call: not a page elsewhere, whose visitor happens to run a server on his own computer.
//!
//! A page can make a browser send calls to loopback, and by rebinding its own name read the answers. So the `Host` must
//! be a name of this computer, and an `Origin`, if there is one, must be that of this server itself. Headers that
//! keep answers from being sniffed, framed or cached are set here, too.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;

use crate::problem::{Kind, Problem};

/// Who can reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Programs on this computer: `Host` must be a name of it.
    ThisComputer,
    /// Whoever reaches the address that it was told to listen on, under whatever name.
    Network,
}

/// The host under which a call came in, for the links in its answer. Checked.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl(pub(crate) String);

/// A router behind the guard.
pub fn guarded(router: Router, reach: Reach) -> Router {
    router.layer(middleware::from_fn_with_state(reach, guard))
}

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

pub(crate) async fn guard(State(reach): State<Reach>, mut call: Request, next: Next) -> Response {
    let mut response = match check(reach, &call) {
        Ok(host) => {
            call.extensions_mut().insert(BaseUrl(format!("http://{host}")));
            next.run(call).await
        }
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn check(reach: Reach, call: &Request) -> Result<String, Problem> {
    // HTTP/2 has the host in the URI.
    let host = call.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = host.or_else(|| text(call.headers(), &header::HOST)).unwrap_or_default();
    if host.is_empty() {
        return Err(Problem::new(Kind::MissingHeader, "Host: name the server that is meant"));
    }
    if reach == Reach::ThisComputer && !is_this_computer(&host) {
        let detail = format!("Host: {host:?} is no name of this computer; call it localhost or 127.0.0.1");
        return Err(Problem::new(Kind::ForbiddenHost, detail));
    }
    if call.headers().get(header::ORIGIN).is_some_and(|origin| !is_origin(origin, &host)) {
        return Err(Problem::new(Kind::ForbiddenOrigin, "Origin: a page may only call the server that it came from"));
    }
    Ok(host)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is_origin(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    // A proxy in front may speak TLS.
    ["http://", "https://"]
        .iter()
        .any(|scheme| origin.strip_prefix(scheme).is_some_and(|origin| origin.eq_ignore_ascii_case(host)))
}

fn is_this_computer(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_computer_are_its_names() {
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:8000", "127.8.8.8", "[::1]", "[::1]:8000"] {
            assert!(is_this_computer(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com:8000", "127.0.0.1.nip.io", "10.0.0.1", "[::2]:8000"] {
            assert!(!is_this_computer(host), "{host}");
        }
    }

    #[test]
    fn only_the_server_itself_is_its_origin() {
        let table = [
            ("http://localhost:8000", true),
            ("https://localhost:8000", true),
            ("http://localhost:3000", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
        ];
        for (origin, same) in table {
            assert_eq!(is_origin(&HeaderValue::from_static(origin), "localhost:8000"), same, "{origin}");
        }
    }
}
