//! The memory of the server as it ships: with nothing to do, and under load.

use anyhow::Result;

use super::Settings;
use crate::child::Child;
use crate::load;
use crate::raw::{Connection, Switch};
use crate::report::{Section, Table, mb};
use crate::stage::{HUB, runtime};
use crate::{approvals, sequences};

pub(super) const TITLE: &str = "Memory under load";

const CALLERS: usize = 256;

const ABOUT: &str = "\
Of the server's process as it ships (`placet serve`), in MB: after its start, and while 256 callers make and decide
approvals over HTTP (its own worker runs them), or run sequences by raw calls (worker and callers are elsewhere).";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let mut table = Table::new(&["load", "a second", "idle before MB", "at the end MB", "most MB"]);
    let client = runtime("client")?;
    let callers = settings.pick(CALLERS, 16);
    for way in ["approvals, HTTP", "sequences of 5, raw gRPC"] {
        let folder = tempfile::tempdir_in(&settings.data_dir)?;
        let child = Child::start(&settings.placet, folder.path())?;
        let (idle, _) = child.resident();
        let load = client.block_on(async {
            if way.starts_with("approvals") {
                let address = child.http;
                load::run(callers, settings.warm_up, settings.window, |go_on| approvals::over_http(address, go_on))
                    .await
            } else {
                let worker = Connection::to(&child.grpc, HUB)?;
                worker.work(Switch::default()).await?;
                let caller = Connection::to(&child.grpc, HUB)?;
                let calls = |go_on| sequences::by_raw_calls(caller.clone(), go_on);
                load::run(callers, settings.warm_up, settings.window, calls).await
            }
        })?;
        let (end, most) = child.resident();
        let per_second = format!("{:.0}", load.per_second());
        table.row(vec![format!("{way}, c = {callers}"), per_second, mb(idle), mb(end), mb(most)]);
        child.stop()?;
    }
    client.shutdown_background();
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}
