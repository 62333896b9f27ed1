//! An orchestration that calls a thousand activities at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use placet_sdk::{Client, OrchestrationContext, Status, Worker};

use super::Settings;
use crate::cpu::Cpu;
use crate::load::percentiles;
use crate::report::{Section, Table, ms};
use crate::stage::Stage;

pub(super) const TITLE: &str = "Fan-out";

const ACTIVITIES: u32 = 1_000;
const RUNS: u32 = 20;

const ABOUT: &str = "\
One orchestration after the other, each of which calls 1,000 activities at once and waits for all of them, by our SDK;
from its start to its caller's knowing that it ended.";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let (activities, runs) = settings.pick((ACTIVITIES, RUNS), (50, 3));
    let mut table = Table::new(&[
        "way",
        "activities",
        "p50 ms",
        "p99 ms",
        "activities a second",
        "CPU µs an activity",
        "commits a run",
    ]);
    for way in ["in-process", "gRPC"] {
        let stage = Stage::set(&settings.data_dir)?;
        let (client, worker) = {
            let _inside = stage.client.enter();
            if way == "gRPC" {
                let endpoint = stage.serve_grpc()?;
                (Client::connect(&endpoint)?, Client::connect(&endpoint)?)
            } else {
                (stage.in_process(), stage.in_process())
            }
        };
        let (times, cpu) = stage.client.block_on(async {
            let _worker = start(worker);
            one(&client, activities).await?;
            let before = Cpu::now();
            let mut times = Vec::new();
            for _ in 0..runs {
                times.push(one(&client, activities).await?);
            }
            anyhow::Ok((times, Cpu::now().since(&before)))
        })?;
        let records = stage.records.clone();
        stage.strike();
        let commits = records.take().len() as f64 / f64::from(runs + 1);
        let total: Duration = times.iter().sum();
        let all = f64::from(activities * runs);
        let [p50, p99] = percentiles(times, [0.5, 0.99]).map(ms);
        let cpu = cpu.total().unwrap_or_default().as_secs_f64() * 1e6 / all;
        table.row(vec![
            way.to_owned(),
            activities.to_string(),
            p50,
            p99,
            format!("{:.0}", all / total.as_secs_f64()),
            format!("{cpu:.0}"),
            format!("{commits:.1}"),
        ]);
    }
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}

fn start(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("fan_out", fan_out)
        .activity("double", |_, number: u64| async move { Ok(2 * number) })
        .start()
}

async fn fan_out(ctx: OrchestrationContext, activities: u64) -> placet_sdk::Result<u64> {
    let doubled: Vec<u64> = try_join_all((0..activities).map(|number| ctx.activity("double", &number))).await?;
    Ok(doubled.iter().sum())
}

async fn one(client: &Client, activities: u32) -> Result<Duration> {
    let begun = Instant::now();
    let id = client.start("fan_out", &activities).await?;
    let state = client.wait_for_completion(&id).await?;
    ensure!(state.status() == Status::Completed, "{id} has ended as {:?}", state.status());
    let activities = u64::from(activities);
    ensure!(state.output::<u64>()? == Some(activities * (activities - 1)), "{id} has a wrong output");
    Ok(begun.elapsed())
}
