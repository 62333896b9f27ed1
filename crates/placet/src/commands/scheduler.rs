//! `placet scheduler`: the gRPC service and the store, alone.

use placet_scheduler::{Scheduler, grpc};
use tokio::time::timeout;

use super::serve::{GRPC_PORT, tokio_listeners};
use super::{DRAIN_MAX, stop_switch, stopped};
use crate::announce::{Announcement, url};
use crate::exit::Failure;
use crate::flags;
use crate::listen::{Wanted, listen};
use crate::store;

pub(super) async fn run(flags: &flags::Scheduler) -> Result<(), Failure> {
    let grpc = listen(Wanted {
        flag: "--grpc-addr",
        asked: flags.grpc.grpc_addr.as_deref(),
        port_default: GRPC_PORT,
        insecure: flags.common.insecure,
    })?;
    let opened = store::open(&flags.data)?;
    let scheduler =
        Scheduler::start(opened.store).map_err(|error| Failure::system("the scheduler did not start", error))?;
    let mut announcement = Announcement::new(url(grpc.addr));
    announcement.listening("gRPC", &grpc);
    announcement.data_dir = Some(opened.dir);
    announcement.ephemeral = opened.temporary.is_some();

    let stopping = stop_switch()?;
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
