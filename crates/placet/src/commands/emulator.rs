//! `placet emulator`: what Microsoft's image is to its tools (PROTOCOL.md §13), and the ports that the other commands share
//! with it.

use std::sync::Arc;

use axum::Router;
use placet_api::{Reach, guarded};
use placet_core::ids::Hub;
use placet_scheduler::grpc::Beside;
use placet_scheduler::{Options, Scheduler, rest};
use placet_store::Store;
use tokio::sync::watch;

use super::scheduler::serve_grpc;
use super::serve::tokio_listeners;
use super::stop_switch;
use crate::announce::{Announcement, url};
use crate::exit::Failure;
use crate::flags::{self, Data, EmulatorPorts};
use crate::listen::{Listening, Wanted, listen};
use crate::{http, store};

pub(super) async fn run(flags: &flags::Emulator) -> Result<(), Failure> {
    // As the image does: whoever starts an emulator means it to be found.
    let insecure = true;
    let asked = Some(flags.grpc_addr.as_str());
    let grpc = listen(Wanted { flag: "--grpc-addr", asked, port_default: 0, insecure })?;
    let ports =
        EmulatorPorts { rest_addr: Some(flags.rest_addr.clone()), dashboard_addr: Some(flags.dashboard_addr.clone()) };
    let sides = Sides::open(&ports, insecure)?;
    let named = flags::hubs_of(&flags.task_hubs)?;
    let data = Data { data_dir: flags.data_dir.clone().unwrap_or_default(), ephemeral: flags.data_dir.is_none() };
    let retention = flags.kept.all(data.ephemeral)?;
    let opened = store::open(&data)?;
    let master_key = Some(opened.master_key);
    let options = Options { dynamic_hubs: flags.dynamic_task_hubs, retention, master_key, ..Options::default() };
    let scheduler = start(opened.store, &named, options).await?;

    let mut announcement = Announcement::new(url(grpc.addr));
    announcement.serves = true;
    announcement.listening("gRPC", &grpc);
    sides.announce(&mut announcement);
    announcement.taskhub = Some(named.iter().map(Hub::as_str).collect::<Vec<_>>().join(", "));
    announcement.data_dir = Some(opened.dir);
    announcement.ephemeral = opened.temporary.is_some();
    let stopping = stop_switch(&flags.common)?;
    sides.serve(&scheduler, &stopping)?;
    announcement.make(&flags.common)?;
    serve_grpc(scheduler, grpc, stopping).await
}

/// A scheduler on this store, in which these hubs are.
///
/// # Errors
/// If it does not start, or a hub cannot be made.
pub(super) async fn start(store: Arc<dyn Store>, hubs: &[Hub], options: Options) -> Result<Scheduler, Failure> {
    let scheduler =
        Scheduler::start_with(store, options).map_err(|error| Failure::system("the scheduler did not start", error))?;
    for hub in hubs {
        // One that is there stays as it is.
        let made = scheduler.create_hub(hub.clone(), false).await;
        made.map_err(|error| Failure::system(format!("task hub {hub}"), error))?;
    }
    scheduler.resume_bulks().await.map_err(|error| Failure::system("the bulk operations under way", error))?;
    Ok(scheduler)
}

/// The REST calls, for the port of gRPC.
pub(super) fn beside(scheduler: &Scheduler, listening: &Listening, stopping: &watch::Receiver<bool>) -> Beside {
    let http2 = guarded(rest::data(scheduler.clone()), reach(listening));
    let alone = guarded(rest::with_ends(rest::data(scheduler.clone())), reach(listening));
    Beside { http2, http1: Box::new(http::connections(alone, stopping.clone())) }
}

fn reach(listening: &Listening) -> Reach {
    if listening.addr.ip().is_loopback() { Reach::ThisComputer } else { Reach::Network }
}

/// The further ports, as far as they are wanted.
pub(super) struct Sides {
    rest: Option<Listening>,
    dashboard: Option<Listening>,
}

impl Sides {
    /// # Errors
    /// If one cannot be had.
    pub(super) fn open(ports: &EmulatorPorts, insecure: bool) -> Result<Sides, Failure> {
        let open = |flag, asked: &Option<String>| {
            let wanted = |asked| Wanted { flag, asked: Some(asked), port_default: 0, insecure };
            asked.as_deref().map(|asked| listen(wanted(asked))).transpose()
        };
        Ok(Sides {
            rest: open("--rest-addr", &ports.rest_addr)?,
            dashboard: open("--dashboard-addr", &ports.dashboard_addr)?,
        })
    }

    pub(super) fn announce(&self, announcement: &mut Announcement) {
        for (what, side) in [("REST", &self.rest), ("dashboard", &self.dashboard)] {
            if let Some(side) = side {
                announcement.listening(what, side);
            }
        }
        announcement.rest = self.rest.as_ref().map(|side| url(side.addr));
        announcement.dashboard = self.dashboard.as_ref().map(|side| url(side.addr));
    }

    /// Serves them until the process is to stop.
    ///
    /// # Errors
    /// If the runtime refuses a listener.
    pub(super) fn serve(self, scheduler: &Scheduler, stopping: &watch::Receiver<bool>) -> Result<(), Failure> {
        let data: fn(Scheduler) -> Router = rest::data;
        for (side, router) in [(self.rest, data), (self.dashboard, rest::dashboard)] {
            let Some(side) = side else { continue };
            let router = guarded(rest::with_ends(router(scheduler.clone())), reach(&side));
            tokio::spawn(http::serve(router, tokio_listeners(side)?, stopping.clone()));
        }
        Ok(())
    }
}
