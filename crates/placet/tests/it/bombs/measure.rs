//! A server under a bomb: its memory, and how long a small client elsewhere waits meanwhile.
#![expect(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use placet_sdk::{Client, OrchestrationContext, Result, Worker};
use placet_testkit::{Launch, Server};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, oneshot};

/// What the process may take, whatever comes.
const RESIDENT_MAX: usize = 512 << 20;

/// Calls of a small client before the bomb.
const QUIET_CALLS: usize = 60;

/// So many of its calls beside the bomb, or nothing is known of it.
const CALLS_MIN: usize = 5;

/// A sync of the disk may take so long at any time: among a few hundred calls one may meet it on one server only.
const SYNC_NOISE: Duration = Duration::from_millis(250);

/// … or beside commits of some 100 MiB, on a slow disk.
pub(super) const LONG_COMMITS: Duration = Duration::from_secs(1);

/// One bomb at a time, or those together that do little but wait.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// A part of the machine.
enum Part {
    All { _alone: RwLockWriteGuard<'static, ()> },
    Some { _shared: RwLockReadGuard<'static, ()> },
}

/// A server of a bomb's own, and a small client of another hub, which makes one sequence after another. The same client
/// does the same with a second server, the control, that no bomb falls on: what the bomb's own clients, and all that works
/// for them, take of the machine, they take from both alike; what is slower only here is the server's own doing.
pub(super) struct Target {
    pub(super) server: Arc<Server>,
    here: Steady,
    control: Steady,
    over: Arc<AtomicBool>,
    _control: Arc<Server>,
    _part: Part,
}

/// How long calls took, before the bomb and since.
#[derive(Default)]
struct Times {
    before: Vec<Duration>,
    during: Vec<Duration>,
}

/// A small client on a thread of its own, so that it waits for no task of the bomb's.
struct Steady(JoinHandle<Times>);

async fn echo(_: OrchestrationContext, input: String) -> Result<String> {
    Ok(input)
}

async fn call(client: &Client) -> Duration {
    let since = Instant::now();
    let id = client.start("echo", "steady").await.expect("a small start is never refused");
    client.wait_for_completion(&id).await.expect("a small sequence ends");
    since.elapsed()
}

impl Steady {
    /// Begins, and returns when it knows how long its calls take while all is quiet.
    async fn start(server: Arc<Server>, over: Arc<AtomicBool>) -> Steady {
        let (quiet, was_quiet) = oneshot::channel();
        let run = async move {
            let client = server.client().with_hub("steady");
            let worker = Worker::builder(client.clone()).orchestration("echo", echo).start();
            let mut times = Times::default();
            for _ in 0..QUIET_CALLS {
                times.before.push(call(&client).await);
            }
            quiet.send(()).expect("whoever began it waits");
            // One that is over at once is followed by some calls more, and all of them count.
            while !over.load(Ordering::Relaxed) || times.during.len() < CALLS_MIN {
                times.during.push(call(&client).await);
                // sleep: a small client is no bomb itself
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            worker.shutdown().await;
            times
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run)
        });
        was_quiet.await.expect("a small client is served while all is quiet");
        Steady(thread)
    }

    async fn end(self) -> Times {
        let times = tokio::task::spawn_blocking(|| self.0.join()).await.expect("it is not cancelled");
        times.expect("the small client was served throughout")
    }
}

impl Target {
    pub(super) async fn new() -> Target {
        Target::with(Part::All { _alone: MACHINE.write().await }).await
    }

    /// For a bomb that does little but wait for somebody's patience to end: such run beside each other.
    pub(super) async fn waiting() -> Target {
        Target::with(Part::Some { _shared: MACHINE.read().await }).await
    }

    async fn with(part: Part) -> Target {
        raise_descriptor_limit();
        let program = || std::env::var_os("PLACET_BIN").unwrap_or_else(|| crate::PLACET.into());
        let server = Arc::new(Launch::serve(program()).start().await.expect("the server starts"));
        let control_server = Arc::new(Launch::serve(program()).start().await.expect("the control starts"));
        let over = Arc::new(AtomicBool::new(false));
        let (here, control) = tokio::join!(
            Steady::start(server.clone(), over.clone()),
            Steady::start(control_server.clone(), over.clone())
        );
        Target { server, here, control, over, _control: control_server, _part: part }
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
        self.judge_with(bomb, SYNC_NOISE).await;
    }

    /// The same of a bomb whose commits are long: others wait for one that is under way, so long at most.
    pub(super) async fn judge_with(self, bomb: &str, noise: Duration) {
        let (now, most) = self.resident();
        self.over.store(true, Ordering::Relaxed);
        let (mut here, mut control) = tokio::join!(self.here.end(), self.control.end());
        println!("{bomb}: {} MiB at most, {} MiB at the end", most >> 20, now >> 20);
        for (name, times) in [("here", &mut here), ("control", &mut control)] {
            println!(
                "    {name}: p50 {:.1} ms before, {:.1} during; p99 {:.1} before, {:.1} during ({} calls)",
                milliseconds(&mut times.before, 50),
                milliseconds(&mut times.during, 50),
                milliseconds(&mut times.before, 99),
                milliseconds(&mut times.during, 99),
                times.during.len()
            );
        }
        assert!(most < RESIDENT_MAX, "{bomb}: {} MiB resident", most >> 20);
        let (here, control) = (milliseconds(&mut here.during, 99), milliseconds(&mut control.during, 99));
        let noise = noise.as_secs_f64() * 1_000.0;
        assert!(here <= 2.0 * control + noise, "{bomb}: p99 {here} ms, {control} ms on a server that it does not meet");
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
