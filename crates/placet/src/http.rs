//! Serving HTTP on listeners that are open already.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use placet_scheduler::connections::{Connection, Peer, accept};
use placet_scheduler::outgoing::{Lent, Outgoing, Ties};
use placet_sdk::Room;
use tokio::net::TcpListener;

use crate::commands::stopped;

/// The head of a call has come within this time, its first byte included: a browser that opens a connection in advance
/// opens another.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// A silent peer is asked this often over HTTP/2 whether it is still there, and has as long to answer.
const PING_EVERY: Duration = Duration::from_secs(30);

/// What the head of a call may hold, and what is read ahead.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a connection may send over HTTP/2 that nobody has looked at yet.
const WINDOW: u32 = 1 << 20;

/// Calls under way on one connection of HTTP/2.
const STREAMS_MAX: u32 = 200;

/// Serves until `shutdown` says so and the calls under way have ended.
pub(crate) async fn serve(
    router: Router,
    listeners: Vec<TcpListener>,
    mut shutdown: tokio::sync::watch::Receiver<bool>,
) {
    let builder = builder();
    let under_way = GracefulShutdown::new();
    let mut incoming = select_all(listeners.into_iter().map(|listener| accept(listener).boxed()));
    let mut stop = pin!(shutdown.wait_for(|stop| *stop));
    loop {
        tokio::select! {
            _ = &mut stop => break,
            connection = incoming.next() => match connection {
                Some(Ok(connection)) => serve_one(&builder, &router, connection, &under_way),
                Some(Err(_)) => {}
                None => break,
            },
        }
    }
    drop(incoming);
    under_way.shutdown().await;
}

/// Serves single connections that somebody else has accepted. When the process is to stop each ends with the call that is
/// under way on it.
pub(crate) fn connections(
    router: Router,
    stopping: tokio::sync::watch::Receiver<bool>,
) -> impl Fn(Connection) + Send + Sync {
    let builder = builder();
    move |connection| {
        let service = service_of(router.clone(), connection.peer());
        let served = builder.serve_connection(TokioIo::new(connection), service).into_owned();
        let stopping = stopping.clone();
        tokio::spawn(async move {
            let (mut served, stop) = (pin!(served), stopped(stopping));
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = stop => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "an HTTP connection ended");
            }
        });
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

fn serve_one(builder: &Builder<TokioExecutor>, router: &Router, connection: Connection, under_way: &GracefulShutdown) {
    let service = service_of(router.clone(), connection.peer());
    let served = builder.serve_connection(TokioIo::new(connection), service).into_owned();
    let served = under_way.watch(served);
    tokio::spawn(async move {
        if let Err(error) = served.await {
            tracing::debug!(error, "an HTTP connection ended");
        }
    });
}

type Incoming = Request<hyper::body::Incoming>;

/// The router, for bodies as they come in. An answer that has room of the scheduler's keeps it until it is written, which
/// must not take its peer for ever.
fn service_of(
    router: Router,
    peer: Peer,
) -> impl hyper::service::Service<
    Incoming,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> + Send
+ 'static {
    let router = TowerToHyperService::new(router);
    hyper::service::service_fn(move |mut call: Incoming| {
        call.extensions_mut().insert(peer.clone());
        let answer = hyper::service::Service::call(&router, call.map(Body::new));
        let peer = peer.clone();
        async move { Ok(held(answer.await?, &peer)) }
    })
}

fn held(mut answer: Response<Body>, peer: &Peer) -> Response<Body> {
    let Some(room) = answer.extensions_mut().remove::<Room>().filter(Room::is_some) else { return answer };
    let bytes = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
    let ties = Ties::default();
    ties.lend(Lent::new(room, bytes, Some(peer)));
    answer.map(|body| Body::new(Outgoing::new(body, ties)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_answer_has_its_room_until_the_last_of_it_is_written() {
        const LONG: usize = 200 << 10;
        let (room, peer) = (Arc::new(()), Peer::default());
        let mut answer = Response::new(Body::from("x".repeat(LONG)));
        answer.extensions_mut().insert(Room::new(room.clone()));
        let answer = held(answer, &peer);
        assert_eq!(answer.body().size_hint().exact(), Some(LONG as u64), "its length is told in its head");
        let mut pieces: Vec<_> = answer.into_body().into_data_stream().map(Result::unwrap).collect().await;
        assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), LONG);
        pieces.drain(..pieces.len() - 1);
        assert_eq!(Arc::strong_count(&room), 2);
        drop(pieces);
        assert_eq!(Arc::strong_count(&room), 1);
    }

    /// In the middle of an answer HTTP/1 reads nothing as long as it has something that it has not looked at.
    #[tokio::test]
    async fn a_slow_reader_that_has_said_more_is_cut_off_and_what_it_had_is_free() {
        let room = Arc::new(());
        let given = room.clone();
        let answer = async move || (axum::Extension(Room::new(given)), "x".repeat(64 << 20));
        let router = Router::new().route("/", axum::routing::get(answer.clone()));
        drop(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut slow = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let connection = pin!(accept(listener)).next().await.unwrap().unwrap();
        let peer = connection.peer();
        let under_way = GracefulShutdown::new();
        serve_one(&builder(), &router, connection, &under_way);
        drop(router);
        slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nG").await.unwrap();
        slow.read_exact(&mut [0; 1_000]).await.unwrap();
        peer.cut();
        let freed = async {
            while Arc::strong_count(&room) > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), freed).await.expect("the connection has ended, and all that was its own");
    }
}
