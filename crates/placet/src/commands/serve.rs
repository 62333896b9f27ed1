//! `placet serve`: all three roles in one process.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use placet::InProcess;
use placet_core::ids::Hub;
use placet_scheduler::{Options, Scheduler, grpc};
use placet_sdk::Client;
use tokio::time::timeout;

use super::emulator::{Sides, beside, start};
use super::scheduler::Signing;
use super::{DRAIN_MAX, stop_switch, stopped};
use crate::announce::{Announcement, url};
use crate::config::Config;
use crate::exit::Failure;
use crate::flags::Serve;
use crate::listen::{Listening, Wanted, listen};
use crate::{flags, http, store};

/// The ports of the mission: the scheduler's and the API's.
pub(super) const GRPC_PORT: u16 = 8080;
pub(super) const HTTP_PORT: u16 = 8000;

pub(super) async fn run(flags: &Serve) -> Result<(), Failure> {
    let insecure = flags.common.insecure;
    let grpc = listen(Wanted {
        flag: "--grpc-addr",
        asked: flags.grpc.grpc_addr.as_deref(),
        port_default: GRPC_PORT,
        insecure,
    })?;
    let http = listen(Wanted {
        flag: "--http-addr",
        asked: flags.http.http_addr.as_deref(),
        port_default: HTTP_PORT,
        insecure,
    })?;
    let sides = Sides::open(&flags.ports, insecure)?;
    let hub = flags.hub.checked()?;
    let mut named = flags::hubs_of(flags.hubs.task_hubs.as_deref().unwrap_or_default())?;
    if !flags.hubs.dynamic_task_hubs {
        // Its own requests go there.
        named.push(Hub::new(&hub));
    }
    let time = flags.clock.time(&flags.data)?;
    let retention = flags.kept.all(flags.data.ephemeral)?;
    let config = Config::open(flags.configuration.config.as_deref())?;
    let opened = store::open(&flags.data)?;
    let dynamic_hubs = flags.hubs.dynamic_task_hubs;
    let options = Options { dynamic_hubs, time, retention, master_key: Some(opened.master_key) };
    let scheduler = start(opened.store, &named, options).await?;

    let mut announcement = Announcement::new(url(grpc.addr));
    announcement.serves = true;
    announcement.listening("gRPC", &grpc);
    sides.announce(&mut announcement);
    announcement.listening("HTTP", &http);
    announcement.http = Some(url(http.addr));
    announcement.taskhub = Some(hub.clone());
    announcement.data_dir = Some(opened.dir);
    announcement.ephemeral = opened.temporary.is_some();
    announcement.virtual_time = flags.clock.virtual_time;

    let stopping = stop_switch(&flags.common)?;
    let client = Client::over(Arc::new(InProcess::new(scheduler.clone())), &hub);
    let worker = placet_worker::start(client.clone(), ["*"], config.current());
    let router = super::api::router(&client, &http, config.current(), Some(scheduler.clone()));
    let router = router.layer(from_fn_with_state(scheduler.clone(), keep_time_meanwhile));
    sides.serve(&scheduler, &stopping)?;
    let beside = beside(&scheduler, &grpc, &stopping);
    let serve_grpc = grpc::serve(scheduler.clone(), beside, tokio_listeners(grpc)?, stopped(stopping.clone()));
    let serve_grpc = tokio::spawn(serve_grpc);
    let serve_http = tokio::spawn(http::serve(router, tokio_listeners(http)?, stopping.clone()));
    let signing = Signing::begin(&scheduler);
    announcement.make(&flags.common)?;

    stopped(stopping).await;
    // Calls under way may end; what asks for ever is cut off.
    drop(timeout(DRAIN_MAX, serve_http).await);
    drop(timeout(DRAIN_MAX, worker.shutdown()).await);
    signing.end().await;
    let stop = {
        let scheduler = scheduler.clone();
        move || scheduler.stop()
    };
    tokio::task::spawn_blocking(stop).await.map_err(|error| Failure::system("the scheduler", error))?;
    drop(timeout(DRAIN_MAX, serve_grpc).await);
    Ok(())
}

/// A clock that goes on by itself does not while a call over HTTP is under way.
async fn keep_time_meanwhile(State(scheduler): State<Scheduler>, call: Request, next: Next) -> Response {
    let _open = scheduler.open_call();
    next.run(call).await
}

/// The listeners, in the runtime's hands.
///
/// # Errors
/// If the runtime refuses them.
pub(super) fn tokio_listeners(listening: Listening) -> Result<Vec<tokio::net::TcpListener>, Failure> {
    let listeners = listening.listeners.into_iter().map(tokio::net::TcpListener::from_std);
    listeners.collect::<Result<_, _>>().map_err(|error| Failure::system("a listener", error))
}
