//! A server under a bomb: its memory, and how long a small client elsewhere waits meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use placet_sdk::{Client, OrchestrationContext, Result, Worker};
use placet_testkit::{Launch, Server};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// What the process may take, whatever comes.
const RESIDENT_MAX: usize = 512 << 20;

/// Calls of the small client before the bomb.
const QUIET_CALLS: usize = 60;

/// One bomb at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A server of a bomb's own, and a small client of another hub, which makes one sequence after another.
pub(super) struct Target {
    pub(super) server: Server,
    before: Vec<Duration>,
    steady: JoinHandle<Vec<Duration>>,
    worker: Worker,
    over: Arc<AtomicBool>,
    _alone: MutexGuard<'static, ()>,
}

async fn echo(_: OrchestrationContext, input: String) -> Result<String> {
    Ok(input)
}

async fn call(client: &Client) -> Duration {
    let since = Instant::now();
    let id = client.start("echo", "steady").await.expect("a small start is never refused");
    client.wait_for_completion(&id).await.expect("a small sequence ends");
    since.elapsed()
}

impl Target {
    pub(super) async fn new() -> Target {
        raise_descriptor_limit();
        let alone = ALONE.lock().await;
        let program = std::env::var_os("PLACET_BIN").unwrap_or_else(|| crate::PLACET.into());
        let server = Launch::serve(program).start().await.expect("the server starts");
        let client = server.client().with_hub("steady");
        let worker = Worker::builder(client.clone()).orchestration("echo", echo).start();
        let mut before = Vec::new();
        for _ in 0..QUIET_CALLS {
            before.push(call(&client).await);
        }
        let over = Arc::new(AtomicBool::new(false));
        let steady = {
            let over = over.clone();
            tokio::spawn(async move {
                let mut during = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    during.push(call(&client).await);
                }
                during
            })
        };
        Target { server, before, steady, worker, over, _alone: alone }
    }

    /// Bytes that the server has resident now, and had at most.
    pub(super) fn resident(&self) -> (usize, usize) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.announced().pid)).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the system tells");
            let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
            kilobytes << 10
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Says how much memory it has had by now.
    pub(super) fn say(&self, when: &str) {
        let (now, most) = self.resident();
        println!("after {when}: {} MiB, {} MiB at most", now >> 20, most >> 20);
    }

    /// Says what was measured, and that it is within bounds.
    pub(super) async fn judge(self, bomb: &str) {
        let (now, most) = self.resident();
        self.over.store(true, Ordering::Relaxed);
        let mut during = self.steady.await.expect("the small client was served throughout");
        self.worker.shutdown().await;
        let mut before = self.before;
        println!(
            "{bomb}: {} MiB at most, {} MiB at the end; elsewhere p50 {:.1} ms before, {:.1} during; p99 {:.1} before, \
             {:.1} during ({} calls)",
            most >> 20,
            now >> 20,
            milliseconds(&mut before, 50),
            milliseconds(&mut during, 50),
            milliseconds(&mut before, 99),
            milliseconds(&mut during, 99),
            during.len()
        );
        assert!(most < RESIDENT_MAX, "{bomb}: {} MiB resident", most >> 20);
        // The bomb's own clients share the machine: only what is beyond all measure is the server's fault.
        let (quiet, loud) = (milliseconds(&mut before, 50), milliseconds(&mut during, 50));
        assert!(loud < 20.0 * quiet + 3_000.0, "{bomb}: {quiet} ms before, {loud} ms during");
    }
}

fn milliseconds(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// The bombs open many connections themselves.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a process may have what it may have");
}
