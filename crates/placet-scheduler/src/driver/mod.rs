//! The core thread: takes what waits, lets the shard decide, carries out what it says. Nothing else.
//!
//! A broken invariant is contained here: the unwind is caught, all memory is dropped, whoever waits is told
//! that nobody knows, and a new shard in a new epoch loads what is true. Nothing had been promised.

mod clock;
mod io;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use placet_core::command::{Refusal, Reply};
use placet_core::dispatch::StreamLoad;
use placet_core::ids::{CallId, Hub, Iid, StreamId};
use placet_core::limits::Limits;
use placet_core::rows::Batch;
use placet_core::shard::{Input, Output, Shard, Trouble};
use placet_core::time::{Mono, Now};
use placet_store::{Claim, Store};

use crate::budget::{Budget, Share};
use crate::health::{BREAKS_WITHIN, Health};
use crate::metrics::{CoreFacts, Metrics};
use crate::record::Entered;
use crate::watch::Watched;
use crate::worker::{Outbox, StreamOut};
pub(crate) use clock::WallClock;
use io::Io;

/// Messages taken at once before the outputs are carried out.
const STEP_MAX: usize = 512;

/// Replies given in one step: each wakes somebody, and ten thousand may wait for one instance.
const REPLIES_MAX: usize = 256;

/// After the second broken invariant within a minute the core rests so long, then twice as long …
const BREAK_REST: Duration = Duration::from_millis(100);

/// … up to this.
const BREAK_REST_MAX: Duration = Duration::from_secs(5);

/// Who is told what became of a call.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// A call that awaits it.
    Caller(tokio::sync::oneshot::Sender<Result<Reply, Refusal>>),
    /// A worker's stream: an acknowledgement of this completion token. What it takes of the budget is given back then.
    Stream(Outbox, String, Arc<Vec<Share>>),
}

/// What the core thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something for the shard.
    Input(Input),
    /// A call: something for the shard that will be answered.
    Call(CallId, ReplyTo, Input),
    /// A worker's stream opened; its items go here.
    StreamOpened(StreamId, Outbox, placet_core::dispatch::StreamSpec),
    /// Somebody wants to know how it goes.
    Look(tokio::sync::oneshot::Sender<Box<CoreFacts>>),
    /// Somebody wants to know who serves this hub.
    Workers(Hub, tokio::sync::oneshot::Sender<Vec<StreamLoad>>),
    /// Somebody wants to know the newest instance.
    IidLast(tokio::sync::oneshot::Sender<Iid>),
    /// The committer has answered. What it says is taken before all that waits here.
    CommitAnswered,
    /// Finish what was decided, then end.
    Stop,
}

/// The thread's owner.
#[derive(Debug)]
pub(crate) struct CoreThread {
    pub(crate) messages: Sender<Message>,
    pub(crate) thread: JoinHandle<()>,
}

/// Who hears of what was committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hearers {
    pub(crate) entered: Arc<Entered>,
    pub(crate) watched: Arc<Watched>,
}

impl Hearers {
    fn committed(&self, batch: &Batch) {
        self.entered.note(&batch.entries);
        self.watched.note(&batch.published);
    }
}

/// Which time users see. Leases, pings and waits go by the machine's in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Time {
    /// The machine's.
    #[default]
    Real,
    /// One that begins with the machine's and stands until [`Scheduler::advance_time`](crate::Scheduler::advance_time).
    Virtual {
        /// It also goes by itself to the next timer when nothing else has been left to happen for so long.
        auto_after: Option<Duration>,
    },
}

/// Starts the core thread, and with it the committer and the readers.
///
/// # Errors
/// If the system gives no threads.
pub(crate) fn start(
    store: Arc<dyn Store>,
    claim: Claim,
    health: Arc<Health>,
    budget: Budget,
    metrics: Metrics,
    hearers: Hearers,
    (time, clock): (Time, WallClock),
) -> std::io::Result<CoreThread> {
    let (messages, inbox) = channel();
    let io = Io::start(store, messages.clone(), health.clone(), metrics, hearers, clock.clone())?;
    let thread = std::thread::Builder::new().name("placet-core".into()).spawn(move || {
        let _end = End(health.clone());
        let shard = Shard::new(Limits::default(), claim.incarnation, 0, claim.iid_max, claim.newest);
        let shard = match time {
            Time::Real => shard,
            Time::Virtual { auto_after } => shard.on_virtual_time(auto_after),
        };
        Driver::new(shard, inbox, io, health, budget, clock).run();
    })?;
    Ok(CoreThread { messages, thread })
}

/// Says that the core thread has ended, however it ended.
struct End(Arc<Health>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.core_ended();
    }
}

struct Driver {
    shard: Shard,
    inbox: Receiver<Message>,
    io: Io,
    health: Arc<Health>,
    budget: Budget,
    calls: HashMap<CallId, ReplyTo>,
    streams: HashMap<StreamId, Outbox>,
    outputs: Vec<Output>,
    /// Replies that others do not wait for.
    late: VecDeque<(CallId, Result<Reply, Refusal>)>,
    /// What it counts itself; the rest is the shard's.
    facts: CoreFacts,
    trouble: Trouble,
    /// When invariants broke, of late.
    broken: Vec<Mono>,
    clock: WallClock,
    started: Duration,
    /// Where the shard stood after its last sound step.
    watermark: (u32, Iid),
    committing: bool,
    writing_ahead: bool,
    stopping: bool,
}

impl Driver {
    fn new(
        shard: Shard,
        inbox: Receiver<Message>,
        io: Io,
        health: Arc<Health>,
        budget: Budget,
        clock: WallClock,
    ) -> Driver {
        let watermark = shard.watermark();
        Driver {
            shard,
            inbox,
            io,
            health,
            budget,
            calls: HashMap::new(),
            streams: HashMap::new(),
            outputs: Vec::new(),
            late: VecDeque::new(),
            facts: CoreFacts::default(),
            trouble: Trouble::default(),
            broken: Vec::new(),
            clock,
            started: clock::since_boot(),
            watermark,
            committing: false,
            writing_ahead: false,
            stopping: false,
        }
    }

    fn run(mut self) {
        self.step(Some(Message::Input(Input::Started)));
        loop {
            if self.stopping && self.shard.is_settled() {
                break;
            }
            let patience = self.shard.wake_in(self.now()).unwrap_or(Duration::from_secs(60));
            let patience = if self.late.is_empty() { patience } else { Duration::ZERO };
            match self.inbox.recv_timeout(patience) {
                Ok(message) => self.step(Some(message)),
                Err(RecvTimeoutError::Timeout) => self.step(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.give_late_replies(usize::MAX);
        self.io.stop();
    }

    /// Takes what waits, and carries out what the shard makes of it.
    fn step(&mut self, first: Option<Message>) {
        let step = catch_unwind(AssertUnwindSafe(|| self.decide(first)));
        if let Err(panic) = step {
            self.contain(&panic);
        }
        // First: who is told that the clock is believed again finds it so.
        self.tell_health();
        self.carry_out();
        self.give_late_replies(REPLIES_MAX);
    }

    /// Replies that were put off, in their order.
    fn give_late_replies(&mut self, most: usize) {
        for _ in 0..most {
            let Some((call, reply)) = self.late.pop_front() else { return };
            self.reply(call, reply);
        }
    }

    /// Says what keeps the shard from its work, when that changes.
    fn tell_health(&mut self) {
        let trouble = self.shard.trouble();
        if trouble != self.trouble {
            self.trouble = trouble;
            self.health.core_says(trouble);
        }
    }

    fn decide(&mut self, first: Option<Message>) {
        let mut taken = 0;
        let mut next = first;
        while let Some(message) = next {
            self.hear_committer();
            self.take(message);
            taken += 1;
            next = if taken < STEP_MAX { self.inbox.try_recv().ok() } else { None };
        }
        let now = self.now();
        self.shard.finish(now, &mut self.outputs);
        self.watermark = self.shard.watermark();
    }

    /// Takes what the committer says as soon as it says it, and gives it the next batch: while the core goes on with what
    /// waits, the disk and the workers do not stand still.
    fn hear_committer(&mut self) {
        if let Some(answer) = self.io.commit_answer() {
            self.committing = false;
            let now = self.now();
            self.shard.handle(now, answer, &mut self.outputs);
            self.watermark = self.shard.watermark();
            self.carry_out();
        }
    }

    fn take(&mut self, message: Message) {
        let input = match message {
            Message::Input(input) => input,
            // Whoever waits for its answer learns by the end of its channel that nothing was done.
            Message::Call(..) if self.stopping => return,
            Message::Call(call, reply_to, input) => {
                self.calls.insert(call, reply_to);
                input
            }
            Message::StreamOpened(stream, outbox, spec) => {
                self.streams.insert(stream, outbox);
                Input::StreamOpened(stream, spec)
            }
            Message::Look(asker) => {
                self.shard.sweep();
                self.facts.shard = self.shard.status();
                // Whoever does not wait any more has gone.
                drop(asker.send(Box::new(self.facts.clone())));
                return;
            }
            Message::Workers(hub, asker) => {
                drop(asker.send(self.shard.workers(&hub)));
                return;
            }
            Message::IidLast(asker) => {
                // Whoever does not wait any more has gone.
                asker.send(self.shard.watermark().1).ok();
                return;
            }
            Message::CommitAnswered => return,
            Message::Stop => {
                self.begin_to_stop();
                return;
            }
        };
        match &input {
            Input::WrittenAhead(..) => self.writing_ahead = false,
            Input::StreamClosed(stream, _) => drop(self.streams.remove(stream)),
            Input::Cancelled(_, call) | Input::AdvanceCancelled(call) => drop(self.calls.remove(call)),
            _ => {}
        }
        let now = self.now();
        self.shard.take(now, input, &mut self.outputs);
    }

    fn carry_out(&mut self) {
        let mut replies = 0;
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Commit(batch) => {
                    self.committing = true;
                    self.io.commit(batch);
                }
                Output::WriteAhead(number, piece) => {
                    self.writing_ahead = true;
                    self.io.write_ahead(number, piece);
                }
                Output::Load(read) => self.io.read(io::Read::Load(read)),
                Output::ReadHistory(read) => self.io.read(io::Read::History(read)),
                Output::ReadTimers(read) => self.io.read(io::Read::Timers(read)),
                Output::Recover(read) => self.io.read(io::Read::Active(read)),
                Output::LoadRecord(read) => self.io.read(io::Read::Record(read)),
                Output::FindExpired(read) => self.io.read(io::Read::Expired(read)),
                Output::Reply(call, reply) => {
                    replies += 1;
                    // In their order: what is behind one that is put off is put off, too.
                    if replies > REPLIES_MAX || !self.late.is_empty() {
                        self.late.push_back((call, reply));
                    } else {
                        self.reply(call, reply);
                    }
                }
                Output::Send(stream, hub, item) => {
                    let share = self.budget.claim(item.len());
                    self.send(stream, StreamOut::Item { hub, item, share });
                }
                Output::Ping(stream) => self.send(stream, StreamOut::Ping),
                // The shard wants to be asked again at once: `wake_in` says so.
                Output::SetClock(at) => self.clock.set(at),
                Output::SetAside(item, key) => {
                    self.facts.set_aside += 1;
                    let instance = key.map(|key| key.to_string()).unwrap_or_default();
                    tracing::warn!(instance, ?item, "was delivered too often without a result, and is set aside");
                }
            }
        }
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) {
        if let Err(refusal) = &reply {
            self.facts.refused(refusal);
        }
        match self.calls.remove(&call) {
            // Whoever does not wait any more has gone.
            Some(ReplyTo::Caller(caller)) => drop(caller.send(reply)),
            Some(ReplyTo::Stream(outbox, token, shares)) => {
                outbox.acknowledge(token, reply);
                drop(shares);
            }
            None => {}
        }
    }

    fn send(&self, stream: StreamId, out: StreamOut) {
        if let Some(outbox) = self.streams.get(&stream) {
            outbox.send(out);
        }
    }

    /// Streams end, so that workers turn elsewhere; what was decided is finished; who asked a question is told that it
    /// is recorded, since it is.
    fn begin_to_stop(&mut self) {
        self.stopping = true;
        let now = self.now();
        self.shard.take(now, Input::Stopping, &mut self.outputs);
        for (stream, outbox) in self.streams.drain() {
            outbox.send(StreamOut::Closed);
            self.shard.take(now, Input::StreamClosed(stream, true), &mut self.outputs);
        }
    }

    /// A new shard, once the store has answered what the old one left with it.
    fn contain(&mut self, panic: &(dyn std::any::Any + Send)) {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        tracing::error!(what, "an invariant is broken: memory is dropped and loaded again");
        self.outputs.retain(|output| matches!(output, Output::Commit(_) | Output::Reply(..)));
        self.carry_out();
        self.give_late_replies(usize::MAX);
        self.await_commit();
        for (_, reply_to) in self.calls.drain() {
            match reply_to {
                ReplyTo::Caller(caller) => drop(caller.send(Err(Refusal::Unknown))),
                ReplyTo::Stream(outbox, token, _) => outbox.acknowledge(token, Err(Refusal::Unknown)),
            }
        }
        for (_, outbox) in self.streams.drain() {
            outbox.send(StreamOut::Closed);
        }
        self.facts.contained += 1;
        self.rest_after_break();
        self.shard = self.shard.successor(self.watermark);
        let now = self.now();
        self.shard.handle(now, Input::Started, &mut self.outputs);
    }

    /// What breaks an invariant again and again, such as a worker that repeats its completion, must not drop everybody's
    /// memory as fast as it comes back.
    fn rest_after_break(&mut self) {
        let now = self.now().mono;
        self.broken.retain(|at| now.since(*at) < BREAKS_WITHIN);
        self.broken.push(now);
        self.health.invariants_broken(self.broken.len());
        let again = u32::try_from(self.broken.len() - 1).unwrap_or(u32::MAX);
        if again > 0 {
            // sleep: nothing else is to go on meanwhile
            std::thread::sleep(BREAK_REST_MAX.min(BREAK_REST * 2_u32.saturating_pow(again - 1)));
        }
    }

    /// Waits for the committer; what else arrives meanwhile was asked of the old shard, and is refused with it.
    fn await_commit(&mut self) {
        while self.committing || self.writing_ahead {
            match self.inbox.recv() {
                Ok(Message::Input(Input::WrittenAhead(..))) => self.writing_ahead = false,
                Ok(Message::CommitAnswered) => self.committing = self.io.commit_answer().is_none(),
                Ok(Message::Call(call, reply_to, _)) => drop(self.calls.insert(call, reply_to)),
                Ok(Message::StreamOpened(_, outbox, _)) => outbox.send(StreamOut::Closed),
                Ok(Message::Input(_) | Message::Look(_) | Message::Workers(..) | Message::IidLast(_)) => {}
                Ok(Message::Stop) => self.stopping = true,
                Err(_) => return,
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: self.clock.now(), mono: Mono::default().after(clock::since_boot().saturating_sub(self.started)) }
    }
}
