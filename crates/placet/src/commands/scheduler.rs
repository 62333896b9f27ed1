//! `placet scheduler`: the gRPC service and the store, alone.

use placet_scheduler::{Options, Scheduler, grpc};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::api;
use super::emulator::{Sides, beside, start};
use super::serve::{GRPC_PORT, tokio_listeners};
use super::{DRAIN_MAX, stop_switch, stopped};
use crate::announce::{Announcement, url};
use crate::exit::Failure;
use crate::flags;
use crate::listen::{Listening, Wanted, listen};
use crate::{http, store};

pub(super) async fn run(flags: &flags::Scheduler) -> Result<(), Failure> {
    let grpc = listen(Wanted {
        flag: "--grpc-addr",
        asked: flags.grpc.grpc_addr.as_deref(),
        port_default: GRPC_PORT,
        insecure: flags.common.insecure,
    })?;
    let metrics = flags.metrics_addr.as_deref().map(|asked| {
        let (flag, insecure) = ("--metrics-addr", flags.common.insecure);
        listen(Wanted { flag, asked: Some(asked), port_default: 0, insecure })
    });
    let metrics = metrics.transpose()?;
    let sides = Sides::open(&flags.ports, flags.common.insecure)?;
    let named = flags::hubs_of(flags.hubs.task_hubs.as_deref().unwrap_or_default())?;
    let time = flags.clock.time(&flags.data)?;
    let retention = flags.kept.all(flags.data.ephemeral)?;
    let opened = store::open(&flags.data)?;
    let dynamic_hubs = flags.hubs.dynamic_task_hubs;
    let options = Options { dynamic_hubs, time, retention, master_key: Some(opened.master_key) };
    let scheduler = start(opened.store, &named, options).await?;
    let mut announcement = Announcement::new(url(grpc.addr));
    announcement.serves = true;
    announcement.listening("gRPC", &grpc);
    sides.announce(&mut announcement);
    announcement.data_dir = Some(opened.dir);
    announcement.ephemeral = opened.temporary.is_some();
    announcement.virtual_time = flags.clock.virtual_time;

    let stopping = stop_switch(&flags.common)?;
    if let Some(metrics) = metrics {
        announcement.listening("metrics", &metrics);
        announcement.metrics = Some(url(metrics.addr));
        let router = api::operators(scheduler.clone(), &metrics);
        tokio::spawn(http::serve(router, tokio_listeners(metrics)?, stopping.clone()));
    }
    sides.serve(&scheduler, &stopping)?;
    announcement.make(&flags.common)?;
    serve_grpc(scheduler, grpc, stopping).await
}

/// Serves gRPC, and the REST calls beside it, until the process is to stop; then stops the scheduler.
pub(super) async fn serve_grpc(
    scheduler: Scheduler,
    grpc: Listening,
    stopping: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let beside = beside(&scheduler, &grpc, &stopping);
    let serve = grpc::serve(scheduler.clone(), beside, tokio_listeners(grpc)?, stopped(stopping.clone()));
    let serve = tokio::spawn(serve);
    let signing = Signing::begin(&scheduler);
    stopped(stopping).await;
    signing.end().await;
    tokio::task::spawn_blocking(move || scheduler.stop())
        .await
        .map_err(|error| Failure::system("the scheduler", error))?;
    drop(timeout(DRAIN_MAX, serve).await);
    Ok(())
}

/// Checkpoints of the record are signed, as long as this runs and once more at its end.
pub(super) struct Signing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Signing {
    pub(super) fn begin(scheduler: &Scheduler) -> Signing {
        let (stop, stopped) = oneshot::channel();
        let scheduler = scheduler.clone();
        // Whoever drops the other end stops it, too.
        let task = tokio::spawn(async move { scheduler.keep_checkpoints(async { drop(stopped.await) }).await });
        Signing { stop, task }
    }

    pub(super) async fn end(self) {
        drop(self.stop);
        drop(timeout(DRAIN_MAX, self.task).await);
    }
}
