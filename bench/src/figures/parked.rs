//! What waits for people: how many bytes it takes on disk and in memory, and how soon the server is back.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Settings;
use crate::approvals;
use crate::child::{Child, bytes_on_disk};
use crate::http;
use crate::raw::{self, Connection, Switch};
use crate::report::{Section, Table, mb, ms};
use crate::stage::{HUB, runtime};

pub(super) const TITLE: &str = "Parked";

/// How many wait when it is looked at.
const STANDARD: [u64; 2] = [1_000, 100_000];
const LONG: [u64; 3] = [1_000, 100_000, 1_000_000];
const QUICK: [u64; 2] = [50, 300];

/// Who makes them.
const MAKERS: u64 = 128;

/// A parked instance is kept in memory for half a minute.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(33);

/// 200 bytes of input.
const INPUT_BYTES: usize = 200;

const ABOUT: &str = "\
`placet serve` with so many instances that wait: **approval**, made by the mission's call and run by the built-in worker;
**plain**, an orchestration by raw calls that waits for an event and a timer, with 200 bytes of input, nothing published.
*Memory* is the process' a while after the last one was made, and *after* a restart; *disk* is all files, as they are and
after the log was written back at an orderly stop, per instance the difference to the first line. *Ready*: from the start
after a kill -9 until it listens; *decided*: until the first decision has its outcome, its caller's connections and its
worker's included.";

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Approval,
    Plain,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Approval => "approval",
            Kind::Plain => "plain",
        }
    }
}

/// What was seen with so many of them.
struct Seen {
    many: u64,
    resident: u64,
    resident_after: u64,
    disk: u64,
    ready: Duration,
    decided: Duration,
}

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let counts = if settings.long { LONG.as_slice() } else { settings.pick(STANDARD.as_slice(), &QUICK) };
    let mut table = Table::new(&[
        "parked",
        "made a second",
        "memory MB",
        "after MB",
        "disk MB",
        "disk B each",
        "after a stop MB",
        "B each",
        "ready ms",
        "decided ms",
    ]);
    let client = runtime("client")?;
    for kind in [Kind::Approval, Kind::Plain] {
        let folder = tempfile::tempdir_in(&settings.data_dir)?;
        let (mut first, mut made) = (None, 0);
        for &many in counts {
            let child = Child::start(&settings.placet, folder.path())?;
            let begun = Instant::now();
            let id = make(&client, &child, kind, many - made)?;
            let rate = (many - made) as f64 / begun.elapsed().as_secs_f64();
            made = many;
            let seen = look(settings, &client, child, kind, folder.path(), &id, many)?;
            // The decided one is missing from now on.
            let child = Child::start(&settings.placet, folder.path())?;
            child.stop()?;
            let stopped = bytes_on_disk(folder.path())?;
            let (base_many, base_disk, base_stopped) = *first.get_or_insert((many, seen.disk, stopped));
            let each = |bytes: u64, base: u64| match many - base_many {
                0 => String::new(),
                more => format!("{:.0}", bytes.saturating_sub(base) as f64 / more as f64),
            };
            table.row(vec![
                format!("{} {}", seen.many, kind.name()),
                format!("{rate:.0}"),
                mb(seen.resident),
                mb(seen.resident_after),
                mb(seen.disk),
                each(seen.disk, base_disk),
                mb(stopped),
                each(stopped, base_stopped),
                ms(seen.ready),
                ms(seen.decided),
            ]);
        }
    }
    client.shutdown_background();
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}

/// Makes so many and waits until all of them wait; the id of one.
fn make(client: &Runtime, child: &Child, kind: Kind, many: u64) -> Result<String> {
    let id = client.block_on(async {
        if kind == Kind::Plain {
            Connection::to(&child.grpc, HUB)?.work(Switch::default()).await?;
        }
        let caller = Connection::to(&child.grpc, HUB)?;
        let mut making = JoinSet::new();
        for maker in 0..MAKERS.min(many) {
            let (caller, http) = (caller.clone(), child.http);
            let share = (many - maker).div_ceil(MAKERS);
            making.spawn(async move {
                let mut id = String::new();
                let mut connection = http::Connection::open(http).await?;
                for _ in 0..share {
                    id = match kind {
                        Kind::Approval => approvals::ask_over_http(&mut connection).await?,
                        Kind::Plain => caller.start(raw::APPROVAL, &"x".repeat(INPUT_BYTES)).await?,
                    };
                }
                anyhow::Ok(id)
            });
        }
        let mut last = None;
        while let Some(id) = making.join_next().await {
            last = Some(id??);
        }
        last.context("at least one")
    })?;
    let begun = Instant::now();
    while !child.metrics()?.is_at_rest() {
        ensure!(begun.elapsed() < Duration::from_secs(120), "the last of them do not come to rest");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(id)
}

/// Looks at a server with so many of them, kills it, and decides one as soon as it is back.
fn look(
    settings: &Settings,
    client: &Runtime,
    child: Child,
    kind: Kind,
    folder: &Path,
    id: &str,
    many: u64,
) -> Result<Seen> {
    std::thread::sleep(settings.pick(FORGOTTEN_AFTER, Duration::ZERO));
    let (resident, _) = child.resident();
    let disk = bytes_on_disk(folder)?;
    child.kill()?;
    let child = Child::start(&settings.placet, folder)?;
    client.block_on(async {
        match kind {
            Kind::Approval => {
                let mut connection = http::Connection::open(child.http).await?;
                approvals::approve_over_http(&mut connection, id).await
            }
            Kind::Plain => {
                Connection::to(&child.grpc, HUB)?.work(Switch::default()).await?;
                let caller = Connection::to(&child.grpc, HUB)?;
                caller.raise_event(id, raw::APPROVAL_EVENT, "true").await?;
                caller.wait(id).await.map(drop)
            }
        }
    })?;
    let (ready, decided) = (child.ready_after, child.started.elapsed());
    let (resident_after, _) = child.resident();
    child.kill()?;
    Ok(Seen { many, resident, resident_after, disk, ready, decided })
}
