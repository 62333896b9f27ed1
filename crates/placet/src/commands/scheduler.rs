//! `placet scheduler`: the gRPC service and the store, alone.

use placet_scheduler::{Scheduler, grpc};
use tokio::time::timeout;

use super::api;
use super::serve::{GRPC_PORT, tokio_listeners};
use super::{DRAIN_MAX, stop_switch, stopped};
use crate::announce::{Announcement, url};
use crate::exit::Failure;
use crate::flags;
use crate::listen::{Wanted, listen};
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
    let time = flags.clock.time(&flags.data)?;
    let opened = store::open(&flags.data)?;
    let scheduler = Scheduler::start_on(opened.store, time);
    let scheduler = scheduler.map_err(|error| Failure::system("the scheduler did not start", error))?;
    let mut announcement = Announcement::new(url(grpc.addr));
    announcement.listening("gRPC", &grpc);
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
    let serve = tokio::spawn(grpc::serve(scheduler.clone(), tokio_listeners(grpc)?, stopped(stopping.clone())));
    announcement.make(&flags.common)?;
    stopped(stopping).await;
    let stop = {
        let scheduler = scheduler.clone();
        move || scheduler.stop()
    };
    tokio::task::spawn_blocking(stop).await.map_err(|error| Failure::system("the scheduler", error))?;
    drop(timeout(DRAIN_MAX, serve).await);
    Ok(())
}
