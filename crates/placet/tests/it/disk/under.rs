//! The whole scheduler over a disk that fails and loses power, with its workers in the same process: what people and
//! programs were told is there when the disk is opened again, and all that can go on does (P1, P2, P3).
//!
//! The store alone is driven over such a disk in its own tests; here it is the core's answer to a commit that failed,
//! its recovery, and the workers' that are looked at.

mod errors;
mod load;
mod power;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use placet::InProcess;
use placet_scheduler::Scheduler;
use placet_sdk::{Client, Worker};
use placet_store_sqlite::{FileLimits, Options, SqliteStore};
use tempfile::TempDir;

/// A log of some pages: it is copied into the file and begun anew all the time.
const SHORT_LOG: FileLimits =
    FileLimits { checkpoint: 8, restart: 40, payload: 300, sweep: 3, free: 1, give_back: 2, behind: 2, unplaced: 2 };

/// How long anything may take on a disk that is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder in memory, where there is one: the disk that is looked at is not the real one.
fn quick_folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Opens the store in this folder. What held it before may still be closing.
fn open(folder: &Path) -> Result<SqliteStore, String> {
    let options = Options { limits: SHORT_LOG, ..Options::default() };
    SqliteStore::open_with(&folder.join("placet.db"), &options).map_err(|error| format!("it is not opened: {error:?}"))
}

/// One life of a scheduler over this store with its workers, in which this is done.
fn live<T>(store: SqliteStore, life: impl AsyncFnOnce(&Client) -> Result<T, String>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scheduler = Scheduler::start(Arc::new(store)).map_err(|error| format!("it does not start: {error:?}"))?;
    let lived = runtime.block_on(async {
        let client = |hub| Client::over(Arc::new(InProcess::new(scheduler.clone())), hub);
        let requests = client("default");
        let workers = [
            placet_worker::start(requests.clone(), ["default"], placet_approval::nobody()),
            load::worker(client(load::HUB)),
        ];
        let lived = life(&requests).await;
        for worker in workers {
            Worker::shutdown(worker).await;
        }
        lived
    });
    scheduler.stop();
    lived
}

/// A number from the environment.
fn figure(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Does it with each of them, on two threads; what came of it, in no order.
fn with_each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicU64::new(0), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = all.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    let came = work(one);
                    done.lock().unwrap().push(came);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Tells of what is wrong, but not of all of it.
fn assert_none(wrong: &[String], since: Instant) {
    let first: String = wrong.join("\n").chars().take(6_000).collect();
    assert!(wrong.is_empty(), "{} are wrong after {:.0?}:\n{first}", wrong.len(), since.elapsed());
}
