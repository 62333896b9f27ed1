//! A worker's life: connect, take items, run them, send completions, connect again.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use placet_proto::durabletask::{ActivityRequest, ActivityResponse, WorkItem, work_item::Request};
use placet_proto::placet::v1::{Completions, EntryParts, Open, PublishedRow, WorkEnvelope, entry_part};
use placet_proto::{ENTRIES, SALT_BYTES};
use prost::Message as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::SHUTDOWN_PATIENCE;
use super::frames::frames_of;
use super::registry::Registry;
use super::turns::Turns;
use crate::client::Client;
use crate::error::Failure;
use crate::transport::{CallError, Closed, WorkStream};

/// The first and the longest wait before connecting again; it grows with chance in between.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// How often idle states are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What a payload may hold.
const RESULT_BYTES_MAX: usize = 64 << 20;

pub(super) struct Session {
    client: Client,
    registry: Arc<Registry>,
    open: Open,
    stopped: watch::Receiver<bool>,
    turns: Turns,
    started: Instant,
    /// Activities that run; their results are sent on whatever stream there is by then.
    running: JoinSet<()>,
    results: UnboundedReceiver<ActivityResponse>,
    results_in: UnboundedSender<ActivityResponse>,
}

/// Why a stream ended.
enum Ended {
    Stopped,
    Broken(Option<CallError>),
}

impl Session {
    pub(super) fn new(client: Client, registry: Arc<Registry>, open: Open, stopped: watch::Receiver<bool>) -> Session {
        let (results_in, results) = unbounded_channel();
        let turns = Turns::new(registry.clone());
        let (started, running) = (Instant::now(), JoinSet::new());
        Session { client, registry, open, stopped, turns, started, running, results, results_in }
    }

    pub(super) async fn run(mut self) {
        let mut delay = RECONNECT_FIRST;
        loop {
            let opened = tokio::select! {
                biased;
                () = until_stopped(&mut self.stopped) => return,
                opened = self.client.transport().work(self.client.hub(), self.open.clone()) => opened,
            };
            let ended = match opened {
                Ok(stream) => {
                    tracing::debug!(hub = self.client.hub(), "connected");
                    let (ended, served) = self.serve(stream).await;
                    if served {
                        delay = RECONNECT_FIRST;
                    }
                    ended
                }
                Err(error) => Ended::Broken(Some(error)),
            };
            self.turns.disconnected();
            match ended {
                Ended::Stopped => return,
                Ended::Broken(error) => {
                    let error = error.map(|error| error.to_string()).unwrap_or_default();
                    tracing::warn!(hub = self.client.hub(), error, "the scheduler is out of reach; trying again");
                }
            }
            tokio::select! {
                () = until_stopped(&mut self.stopped) => return,
                () = sleep(with_chance(delay)) => {}
            }
            delay = (delay * 2).min(RECONNECT_MAX);
        }
    }

    /// Serves a stream until it ends. Tells, too, whether it has brought anything: then the scheduler is well, or was.
    async fn serve(&mut self, mut stream: WorkStream) -> (Ended, bool) {
        let mut served = false;
        let ended = self.serve_until_end(&mut stream, &mut served).await;
        (ended, served)
    }

    async fn serve_until_end(&mut self, stream: &mut WorkStream, served: &mut bool) -> Ended {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                biased;
                () = until_stopped(&mut self.stopped) => {
                    self.finish(stream).await;
                    return Ended::Stopped;
                }
                Some(result) = self.results.recv() => {
                    let mut completions = Completions { activities: vec![result], ..Completions::default() };
                    while let Ok(result) = self.results.try_recv() {
                        completions.activities.push(result);
                    }
                    if send(stream, completions).is_err() {
                        return Ended::Broken(None);
                    }
                }
                frame = stream.frames.next() => {
                    let frame = match frame {
                        Some(Ok(frame)) => frame,
                        Some(Err(error)) => return Ended::Broken(Some(error)),
                        None => return Ended::Broken(None),
                    };
                    *served = true;
                    for ack in frame.acks {
                        self.acknowledged(&ack);
                    }
                    let completions = self.take(frame.work);
                    if send(stream, completions).is_err() {
                        return Ended::Broken(None);
                    }
                }
                _ = sweep.tick() => {
                    self.turns.sweep(self.started.elapsed());
                    while self.running.try_join_next().is_some() {}
                }
            }
        }
    }

    fn acknowledged(&mut self, ack: &placet_proto::placet::v1::Ack) {
        if !ack.refused.is_empty() {
            tracing::warn!(token = ack.completion_token, refused = ack.refused, "a completion was refused");
        }
        self.turns.acknowledged(ack);
    }

    /// Runs the turns and starts the activities of a frame.
    fn take(&mut self, work: Vec<WorkEnvelope>) -> Completions {
        let mut completions = Completions { turns: Vec::with_capacity(work.len()), ..Completions::default() };
        for WorkEnvelope { item, hub } in work {
            let Some(WorkItem { request: Some(request), completion_token }) = item else { continue };
            match request {
                Request::OrchestratorRequest(turn) => {
                    let mut done = self.turns.turn(self.started.elapsed(), hub, turn, completion_token);
                    salt(&mut done.publish);
                    completions.turns.push(done);
                }
                Request::ActivityRequest(activity) => self.spawn(hub, activity, completion_token),
                // Not asked for, or a sign of life.
                Request::EntityRequest(_) | Request::EntityRequestV2(_) | Request::HealthPing(_) => {}
            }
        }
        completions
    }

    fn spawn(&mut self, hub: String, request: ActivityRequest, token: String) {
        let (registry, results) = (self.registry.clone(), self.results_in.clone());
        self.running.spawn(async move {
            let instance_id = request.orchestration_instance.as_ref().map(|i| i.instance_id.clone());
            let task_id = request.task_id;
            let outcome = AssertUnwindSafe(registry.run(hub, request)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| Err(Failure::new("Panic", "the activity panicked")));
            let (result, failure) = match outcome.and_then(not_too_long) {
                Ok(output) => (Some(output), None),
                Err(failure) => (None, Some(failure.into_details())),
            };
            let response = ActivityResponse {
                instance_id: instance_id.unwrap_or_default(),
                task_id,
                result,
                failure_details: failure,
                completion_token: token,
            };
            drop(results.send(response));
        });
    }

    /// Lets what runs come to its end, and sends its results.
    async fn finish(&mut self, stream: &mut WorkStream) {
        let all = async { while self.running.join_next().await.is_some() {} };
        drop(timeout(SHUTDOWN_PATIENCE, all).await);
        let mut completions = Completions::default();
        while let Ok(result) = self.results.try_recv() {
            completions.activities.push(result);
        }
        let mut sent: HashSet<String> = completions.activities.iter().map(|a| a.completion_token.clone()).collect();
        if sent.is_empty() || send(stream, completions).is_err() {
            return;
        }
        // The stream closes when it is dropped: not before what was sent has arrived. What is handed out meanwhile
        // goes to others then.
        let acknowledged = async {
            while !sent.is_empty()
                && let Some(Ok(frame)) = stream.frames.next().await
            {
                for ack in frame.acks {
                    sent.remove(&ack.completion_token);
                }
            }
        };
        drop(timeout(SHUTDOWN_PATIENCE, acknowledged).await);
    }
}

/// A result that a scheduler takes. One that it does not take would end the stream, each time that it is sent.
fn not_too_long(result: String) -> Result<String, Failure> {
    if result.len() <= RESULT_BYTES_MAX {
        return Ok(result);
    }
    let message = format!("the result has {} bytes; {RESULT_BYTES_MAX} at most are taken", result.len());
    Err(Failure::new("ResultTooLong", message).non_retriable())
}

/// Sends what ended together, in frames that are not too long.
fn send(stream: &WorkStream, completions: Completions) -> Result<(), Closed> {
    frames_of(completions).into_iter().try_for_each(|frame| stream.completions.send(frame))
}

/// Ready once the worker is told to stop; never if its handle was dropped.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Somewhere between nothing and this: many workers that lost one scheduler must not come back in step.
fn with_chance(delay: Duration) -> Duration {
    let chance = Uuid::new_v4().as_u64_pair().0;
    delay.mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
}

/// Puts salts where entries have none yet.
fn salt(rows: &mut [PublishedRow]) {
    for body in rows.iter_mut().filter(|row| row.kind == ENTRIES).filter_map(|row| row.body.as_mut()) {
        // What is none is for the scheduler to refuse.
        let Ok(mut entry) = EntryParts::decode(&**body) else { continue };
        for part in &mut entry.parts {
            if let Some(entry_part::Part::Salted(text)) = &mut part.part {
                *text = [Uuid::new_v4().as_bytes(), text.get(SALT_BYTES..).unwrap_or_default()].concat().into();
            }
        }
        *body = entry.encode_to_vec().into();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use futures_util::stream;
    use placet_proto::placet::v1::SchedulerFrame;
    use tokio::sync::Barrier;

    use super::*;
    use crate::transport::scripted::Scripted;
    use crate::transport::{BoxFuture, CallResult, Completer};
    use crate::worker::Worker;

    /// How long a worker takes to lose so many streams that bring these frames and break.
    async fn time_to_lose(streams: usize, frames: usize) -> Duration {
        let work = Box::new(move |_| {
            let frames = stream::repeat_with(|| Ok(SchedulerFrame::default())).take(frames).boxed();
            let stream = WorkStream { frames, completions: Completer::new(|_| Ok(())) };
            Box::pin(async { Ok(stream) }) as BoxFuture<'static, CallResult<WorkStream>>
        });
        let transport = Arc::new(Scripted { work, ..Scripted::default() });
        let since = Instant::now();
        let worker = Worker::builder(Client::over(transport.clone(), "default")).start();
        while transport.works.load(Ordering::Relaxed) <= streams {
            // sleep: time is the test's own, and goes on when nothing else is to be done
            sleep(Duration::from_millis(1)).await;
        }
        worker.shutdown().await;
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_has_brought_anything_is_soon_followed_by_another() {
        let soon = (RECONNECT_FIRST + Duration::from_millis(2)) * 20;
        assert!(time_to_lose(20, 1).await <= soon);
        assert!(time_to_lose(20, 0).await > soon, "a scheduler that only breaks streams is left alone for longer");
    }

    #[test]
    fn a_result_that_no_scheduler_takes_is_a_failure() {
        assert!(not_too_long("x".repeat(RESULT_BYTES_MAX)).is_ok());
        let failure = not_too_long("x".repeat(RESULT_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(failure.message(), "the result has 67108865 bytes; 67108864 at most are taken");
    }

    #[tokio::test]
    async fn long_results_that_end_together_go_in_a_frame_each() {
        const LONG: usize = 8 << 20;
        let activity = |number| {
            let request = ActivityRequest { name: "grow".into(), task_id: number, ..ActivityRequest::default() };
            let request = Some(Request::ActivityRequest(request));
            let item = WorkItem { completion_token: number.to_string(), request };
            WorkEnvelope { item: Some(item), hub: "default".into() }
        };
        let frame = SchedulerFrame { work: (0..10).map(activity).collect(), acks: Vec::new() };
        let (sent, mut frames) = unbounded_channel();
        let work = Box::new(move |_| {
            let frames = stream::iter([Ok(frame.clone())]).chain(stream::pending()).boxed();
            let stream = WorkStream { frames, completions: Completer::from(sent.clone()) };
            Box::pin(async { Ok(stream) }) as BoxFuture<'static, CallResult<WorkStream>>
        });
        let client = Client::over(Arc::new(Scripted { work, ..Scripted::default() }), "default");
        let together = Arc::new(Barrier::new(10));
        let grow = move |_, ()| {
            let together = together.clone();
            async move {
                together.wait().await;
                Ok::<_, Failure>("x".repeat(LONG))
            }
        };
        let worker = Worker::builder(client).activity("grow", grow).start();
        for _ in 0..10 {
            let frame: Completions = frames.recv().await.unwrap();
            assert_eq!(frame.activities.len(), 1, "a scheduler takes no frame of more than 65 MiB");
        }
        drop(worker);
    }
}
