//! One task hub is flooded; what does a client of another notice?

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use super::Settings;
use crate::child::Child;
use crate::load::{self, GoOn};
use crate::raw::{Connection, Switch};
use crate::report::{Section, Table, ms};
use crate::stage::runtime;
use crate::{approvals, sequences};

pub(super) const TITLE: &str = "A neighbour who floods the server";

const FLOODERS: usize = 256;

/// Approvals a second in the quiet hub.
const CALM: f64 = 20.0;

const ABOUT: &str = "\
Approvals by raw calls in one task hub, 20 a second: from decision to outcome, alone, and while 256 callers run sequences
in another task hub. Each hub has a worker of its own; all of them share the machine's cores, so that the flood is as much
of the workers' as of the server's.";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let mut table = Table::new(&["the other hub", "a second there", "decided p50 ms", "p90 ms", "p99 ms"]);
    let folder = tempfile::tempdir_in(&settings.data_dir)?;
    let child = Child::start(&settings.placet, folder.path())?;
    let client = runtime("client")?;
    // At twenty a second a 99th percentile needs its time.
    let window = settings.pick(8 * settings.window, Duration::from_millis(500));
    client.block_on(async {
        let quiet = in_hub(&child, "quiet").await?;
        let decide = || {
            load::paced(CALM, settings.warm_up, window, || {
                let quiet = quiet.clone();
                async move { approvals::one_by_raw_calls(&quiet).await }
            })
        };
        let mut row = |other: String, there: f64, load: &load::Load| {
            let [p50, p90, p99] = load.decisions([0.5, 0.9, 0.99]).unwrap_or_default().map(ms);
            table.row(vec![other, format!("{there:.0}"), p50, p90, p99]);
        };
        row("rests".to_owned(), 0.0, &decide().await?);

        let flood = in_hub(&child, "flood").await?;
        let (go_on, mut flooders) = (GoOn::default(), JoinSet::new());
        let many = settings.pick(FLOODERS, 8);
        for _ in 0..many {
            flooders.spawn(sequences::by_raw_calls(flood.clone(), go_on.clone()));
        }
        let before = child.metrics()?;
        let load = decide().await?;
        let turns = r#"placet_deliveries_total{kind="activity"}"#;
        let activities = child.metrics()?.of(turns) - before.of(turns);
        let there = activities / f64::from(sequences::ACTIVITIES) / (settings.warm_up + window).as_secs_f64();
        go_on.end();
        while let Some(flooder) = flooders.join_next().await {
            flooder??;
        }
        row(format!("is flooded by {many}"), there, &load);
        anyhow::Ok(())
    })?;
    child.stop()?;
    client.shutdown_background();
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}

/// A client of a hub that has a worker, each with a connection of its own.
async fn in_hub(child: &Child, hub: &str) -> Result<Connection> {
    Connection::to(&child.grpc, hub)?.work(Switch::default()).await?;
    Connection::to(&child.grpc, hub)
}
