//! Serving HTTP on listeners that are open already.

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::exit::Failure;

/// Serves until `shutdown` says so and the calls under way have ended.
///
/// # Errors
/// If a listener fails.
pub(crate) async fn serve(
    router: Router,
    listeners: Vec<TcpListener>,
    shutdown: tokio::sync::watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut servers = JoinSet::new();
    for listener in listeners {
        let listener = listener.tap_io(|connection| {
            // Small messages, each awaited: what they wait for is the answer, not more of them.
            drop(connection.set_nodelay(true));
        });
        let mut shutdown = shutdown.clone();
        let stop = async move { drop(shutdown.wait_for(|stop| *stop).await) };
        servers.spawn(axum::serve(listener, router.clone()).with_graceful_shutdown(stop).into_future());
    }
    while let Some(ended) = servers.join_next().await {
        ended
            .map_err(|error| Failure::system("the HTTP server", error))?
            .map_err(|error| Failure::system("the HTTP server", error))?;
    }
    Ok(())
}
