//! The thread that lets go of what has been kept for its time. It finds it in the index of ends, a page at a time, and asks
//! the core to delete each, as a client would; the core looks again at the time and at the end. It sleeps until the next one
//! is due.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use placet_core::command::{Command, CommandKind, Expiry, Refusal, Reply};
use placet_core::ids::{CallId, Hub, Iid};
use placet_core::rows::{InstanceRow, Lookup, OrchestrationStatus};
use placet_core::shard::Input;
use placet_core::time::Timestamp;
use placet_store::{Answer, List, Order, Page, Query, ReadError, Store};
use tokio::sync::oneshot;

use super::Retention;
use crate::driver::{Message, ReplyTo, WallClock};
use crate::health::Health;
use crate::metrics::Metrics;

/// Instances that are let go at a time: their commands share commits.
const AT_ONCE: usize = 64;

/// So many a second at most, and only while the commits that delete them take half of the time: the other half is for
/// whoever works. A million take nine minutes.
const A_SECOND_MAX: u32 = 2_000;

/// After so long it is looked in any case.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// What falls due within this part of the time that things are kept goes together …
const SLEEP_PART: u32 = 100;

/// … within these bounds.
const TOGETHER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// When it is tried again if the store, the core or the clock did not let it.
const AGAIN: Duration = Duration::from_secs(60);

/// How often what was passed over is looked at again, such as what had yet to tell its parent that it has ended.
const ANEW_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// What wakes the thread before its time.
#[derive(Debug)]
pub(crate) enum Wake {
    /// A virtual clock says something else.
    ClockMoved,
    /// Somebody wants to know when all that was over by now has gone.
    CatchUp(oneshot::Sender<()>),
    /// It is to end.
    Stop,
}

/// What the thread works with.
pub(crate) struct Means {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) core: Sender<Message>,
    pub(crate) calls: Arc<AtomicU64>,
    pub(crate) clock: WallClock,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
}

/// The thread's owner.
#[derive(Debug)]
pub(crate) struct Keeper {
    wake: Sender<Wake>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(retention: Retention, means: Means) -> std::io::Result<Keeper> {
        let (wake, woken) = channel();
        means.clock.tell_of_moves(wake.clone());
        let lets_go = LetsGo { retention, means, woken, asked: Vec::new(), places: BTreeMap::new(), anew_at: None };
        let thread = std::thread::Builder::new().name("placet-retention".into()).spawn(move || lets_go.run())?;
        Ok(Keeper { wake, thread })
    }

    /// Ready when all that was over by now has gone, or could not go.
    pub(crate) fn catch_up(&self) -> oneshot::Receiver<()> {
        let (sender, caught_up) = oneshot::channel();
        // If it has ended, so has the channel.
        drop(self.wake.send(Wake::CatchUp(sender)));
        caught_up
    }

    /// Waits until it has ended.
    pub(crate) fn stop(self) {
        drop(self.wake.send(Wake::Stop));
        drop(self.thread.join());
    }
}

/// Why a run ended before its end.
enum Interrupted {
    /// The process stops.
    Stop,
    /// The store could not be read.
    Unread(ReadError),
    /// The core did not take it.
    Refused(Refusal),
}

struct LetsGo {
    retention: Retention,
    means: Means,
    woken: Receiver<Wake>,
    asked: Vec<oneshot::Sender<()>>,
    /// Up to where it has looked, in the order of ends: of a hub, and of those that are kept for so long.
    places: BTreeMap<(Hub, Duration), (Timestamp, Iid)>,
    /// When it begins from the first one again.
    anew_at: Option<Instant>,
}

impl LetsGo {
    fn run(mut self) {
        loop {
            let asked = std::mem::take(&mut self.asked);
            let sleep = match self.let_go() {
                Ok(next) => next,
                Err(Interrupted::Stop) => return,
                Err(Interrupted::Unread(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "what is over could not be looked for");
                    Some(AGAIN)
                }
                Err(Interrupted::Refused(refusal)) => {
                    tracing::debug!(%refusal, "what is over stays for now");
                    Some(AGAIN)
                }
            };
            for asked in asked {
                // Whoever does not wait any more has gone.
                let _ = asked.send(());
            }
            if self.asked.is_empty() && self.wait(sleep).is_err() {
                return;
            }
            // One run is enough for all that has come together.
            while let Ok(wake) = self.woken.try_recv() {
                if self.hear(wake).is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for so long, or until something wakes it; until then, if that is absent.
    fn wait(&mut self, sleep: Option<Duration>) -> Result<(), Interrupted> {
        let woken = match sleep {
            Some(sleep) => self.woken.recv_timeout(sleep),
            None => self.woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match woken {
            Ok(wake) => self.hear(wake),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Interrupted::Stop),
        }
    }

    fn hear(&mut self, wake: Wake) -> Result<(), Interrupted> {
        match wake {
            Wake::CatchUp(asked) => self.asked.push(asked),
            Wake::ClockMoved => {}
            Wake::Stop => return Err(Interrupted::Stop),
        }
        Ok(())
    }

    /// Lets go of all that is over. How long it may sleep then; until something wakes it, if that is absent.
    fn let_go(&mut self) -> Result<Option<Duration>, Interrupted> {
        if self.means.health.doubts_clock() {
            return Ok(Some(AGAIN));
        }
        if self.anew_at.is_none_or(|at| at <= Instant::now()) {
            self.places.clear();
            self.anew_at = Some(Instant::now() + ANEW_EVERY);
        }
        let begun = Instant::now();
        let (mut gone, mut next) = (0, None);
        for hub in self.hubs()? {
            for (kept_for, statuses) in self.retention.terms(&hub) {
                let over = Over { hub: hub.clone(), kept_for, statuses };
                gone += self.let_go_of(&over)?;
                next = self.next_due(&over)?.into_iter().chain(next).min();
            }
        }
        self.means.metrics.overdue_since(None);
        if gone > 0 {
            tracing::info!(gone, took = ?begun.elapsed(), "let go of instances that were kept for their time");
        }
        Ok(self.sleep(next))
    }

    /// Until when: what ends from now on is due after the shortest time at the earliest. On virtual time the clock's moves
    /// wake it.
    fn sleep(&self, next: Option<Timestamp>) -> Option<Duration> {
        if matches!(self.means.clock, WallClock::Virtual(_)) {
            return None;
        }
        let shortest = self.retention.shortest().unwrap_or(SLEEP_MAX);
        let together = (shortest / SLEEP_PART).clamp(TOGETHER.0, TOGETHER.1);
        let next = next.map_or(shortest, |next| next.since(self.means.clock.now()).min(shortest));
        Some(next.clamp(together, SLEEP_MAX))
    }

    fn hubs(&self) -> Result<Vec<Hub>, Interrupted> {
        match self.means.store.query(&Query::Hubs).map_err(Interrupted::Unread)? {
            Answer::Hubs(hubs) => Ok(hubs),
            _ => Ok(Vec::new()),
        }
    }

    /// How many went.
    fn let_go_of(&mut self, over: &Over) -> Result<usize, Interrupted> {
        let place = (over.hub.clone(), over.kept_for);
        let mut gone = 0;
        loop {
            let begun = Instant::now();
            let until = Timestamp(over.limit(self.means.clock.now()).0.saturating_add(1));
            let order = Order::Ended { within: Timestamp(i64::MIN)..until, after: self.places.get(&place).copied() };
            let page = self.page(over.list(order, AT_ONCE))?;
            let here = self.delete(&page.rows, over)?;
            let last = match page.next {
                Some(Order::Ended { after, .. }) => after,
                _ => page.rows.last().and_then(|row| Some((row.completed_at?, row.iid))),
            };
            if let Some(last) = last {
                self.places.insert(place.clone(), last);
            }
            gone += here;
            if page.next.is_none() {
                return Ok(gone);
            }
            let took = begun.elapsed();
            tracing::debug!(hub = %over.hub, gone = here, ?took, "let go of a batch");
            self.rest(took)?;
        }
    }

    fn page(&self, list: List) -> Result<Page, Interrupted> {
        match self.means.store.query(&Query::Instances(list)).map_err(Interrupted::Unread)? {
            Answer::Instances(page) => Ok(page),
            _ => Ok(Page::default()),
        }
    }

    /// When the first of those that are not over yet will be, as far as their ends tell.
    fn next_due(&self, over: &Over) -> Result<Option<Timestamp>, Interrupted> {
        let from = Timestamp(over.limit(self.means.clock.now()).0.saturating_add(1));
        let order = Order::Ended { within: from..Timestamp(i64::MAX), after: None };
        // Of any status, so that one look is enough: at worst it wakes for nothing.
        let list = List { statuses: Vec::new(), ..over.list(order, 1) };
        let page = self.page(list)?;
        Ok(page.rows.first().and_then(|row| row.completed_at).map(|at| at.after(over.kept_for)))
    }

    /// Has the core delete them, all at once, and waits for it. How many went.
    fn delete(&self, rows: &[InstanceRow], over: &Over) -> Result<usize, Interrupted> {
        let mut answers = VecDeque::new();
        for row in rows {
            let Some(ended_at) = row.completed_at else { continue };
            self.means.metrics.overdue_since(Some(ended_at.after(over.kept_for)));
            let kind = CommandKind::Expire(Expiry { ended_at, kept_for: over.kept_for });
            let call = CallId(self.means.calls.fetch_add(1, Ordering::Relaxed) + 1);
            let command = Command { target: Lookup::Key(row.key()), kind, call: Some(call) };
            let (sender, answer) = oneshot::channel();
            let message = Message::Call(call, ReplyTo::Caller(sender), Input::Call(call, command));
            self.means.core.send(message).map_err(|_| Interrupted::Stop)?;
            answers.push_back((row.status, answer));
        }
        let (mut gone, mut refused) = (0, None);
        for (status, answer) in answers {
            match answer.blocking_recv().map_err(|_| Interrupted::Stop)? {
                Ok(Reply::Done) => {
                    self.means.metrics.expired(status);
                    gone += 1;
                }
                // It is not there any more, has begun again, or has yet to tell its parent.
                Ok(_) => {}
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) => Err(Interrupted::Refused(refusal)),
            None => Ok(gone),
        }
    }

    /// Leaves the disk to others after a batch. Nobody waits for a virtual clock's.
    fn rest(&mut self, took: Duration) -> Result<(), Interrupted> {
        if matches!(self.means.clock, WallClock::Virtual(_)) {
            return Ok(());
        }
        let batch = Duration::from_secs(1) * u32::try_from(AT_ONCE).unwrap_or(u32::MAX) / A_SECOND_MAX;
        let until = Instant::now() + took.max(batch);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(Some(left))?;
        }
    }
}

/// Those of a hub that are kept for equally long.
struct Over {
    hub: Hub,
    kept_for: Duration,
    statuses: Vec<OrchestrationStatus>,
}

impl Over {
    /// What ended by then is over now.
    fn limit(&self, now: Timestamp) -> Timestamp {
        let kept_for = i64::try_from(self.kept_for.as_micros()).unwrap_or(i64::MAX);
        Timestamp(now.0.saturating_sub(kept_for))
    }

    fn list(&self, order: Order, limit: usize) -> List {
        let created = Timestamp(i64::MIN)..Timestamp(i64::MAX);
        List { hub: self.hub.clone(), statuses: self.statuses.clone(), created, order, limit }
    }
}
