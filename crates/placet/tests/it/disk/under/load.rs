//! People who ask and decide, and a program that runs sequences; whoever is told something writes it down.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use placet_approval::{DECISION_EVENT, Decision, NewRequest, ORCHESTRATION, Outcome, Reply};
use placet_sdk::{Answer, Client, OrchestrationContext, Result, Worker};
use placet_test_disk::Disk;
use tokio::time::{sleep, timeout};

use super::PATIENCE;

/// The hub of the sequences.
pub(super) const HUB: &str = "sequences";

/// Activities in a sequence.
const STEPS: u32 = 3;

/// A deadline that is over when it is looked at, in hours.
const SOON: f64 = 0.02 / 3_600.0;

/// Something that somebody was told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// The request was accepted.
    Accepted(String),
    /// This came of the request.
    Outcome(String, Box<Outcome>),
    /// The sequence was started.
    Started(String, u32),
}

/// All that was told, in its order; the disk's record is marked with how much that is.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    told: Arc<Mutex<Vec<Told>>>,
    disk: Arc<Disk>,
    stop: Arc<AtomicBool>,
    ids: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

async fn sequence(ctx: OrchestrationContext, mut number: u32) -> Result<u32> {
    for step in 1..=STEPS {
        number = ctx.activity("add", &(number, step)).await?;
    }
    Ok(number)
}

/// Runs the sequences.
pub(super) fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("sequence", sequence)
        .activity("add", |_, (number, step): (u32, u32)| async move { Ok(number + step) })
        .start()
}

impl Ledger {
    pub(super) fn new(disk: Arc<Disk>) -> Ledger {
        let (told, stop) = (Arc::default(), Arc::default());
        Ledger { told, disk, stop, ids: Arc::default(), refused: Arc::default() }
    }

    fn tell(&self, told: Told) {
        let mut all = self.told.lock().unwrap();
        all.push(told);
        self.disk.mark(all.len() as u64);
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many calls failed.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Nobody begins anything more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What a call was answered; nothing if it failed, which promises nothing.
    async fn answered<T, E>(&self, call: impl Future<Output = std::result::Result<T, E>>) -> Option<T> {
        let answer = timeout(PATIENCE, call).await.expect("a call is answered in time");
        if answer.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            // sleep: between two calls to a scheduler that refuses them
            sleep(Duration::from_millis(10)).await;
        }
        answer.ok()
    }

    /// Two people and a program at work, for so many rounds or until they are told to stop.
    pub(super) async fn load(&self, client: &Client, rounds: usize) {
        let goes_on = |round: &usize| *round < rounds && !self.stop.load(Ordering::Relaxed);
        let person = async || {
            for round in (0..).take_while(goes_on) {
                self.ask_and_decide(client, round % 4).await;
            }
        };
        let program = async {
            for _ in (0..).take_while(goes_on) {
                self.run_sequence(client).await;
            }
        };
        tokio::join!(person(), person(), program);
    }

    /// A request that is decided by two, is left to its deadline, or stays open.
    pub(super) async fn ask_and_decide(&self, client: &Client, kind: usize) -> bool {
        let id = format!("request-{}", self.ids.fetch_add(1, Ordering::Relaxed));
        let mut request = NewRequest::new("Somebody", &id);
        if kind == 2 {
            request.timeout_hours = Some(SOON);
        }
        let start = client.start(ORCHESTRATION, &request).id(&id).only_if_absent();
        if self.answered(start.into_future()).await.is_none() {
            return false;
        }
        self.tell(Told::Accepted(id.clone()));
        if kind > 1 {
            return true;
        }
        let (yes, no) = tokio::join!(self.decide(client, &id, true), self.decide(client, &id, false));
        yes.is_some() && no.is_some()
    }

    /// New work is taken and done: under other ids than before a power cut.
    pub(super) async fn run_again(&self, client: &Client) -> std::result::Result<(), String> {
        self.ids.store(1_000_000, Ordering::Relaxed);
        let is_done = self.ask_and_decide(client, 0).await && self.run_sequence(client).await;
        if is_done { check(client, &self.told()).await } else { Err("it takes no new work".to_owned()) }
    }

    async fn decide(&self, client: &Client, id: &str, is_approved: bool) -> Option<Outcome> {
        let outcome = self.answered(decided(client, id, is_approved)).await??;
        self.tell(Told::Outcome(id.to_owned(), Box::new(outcome.clone())));
        Some(outcome)
    }

    pub(super) async fn run_sequence(&self, client: &Client) -> bool {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let (id, number) = (format!("sequence-{number}"), u32::try_from(number).unwrap());
        let client = client.with_hub(HUB);
        let start = client.start("sequence", &number).id(&id).only_if_absent();
        if self.answered(start.into_future()).await.is_none() {
            return false;
        }
        self.tell(Told::Started(id.clone(), number));
        self.answered(client.wait_for_completion(&id)).await.is_some()
    }
}

/// Decides; what came of the request, if it was told.
async fn decided(client: &Client, id: &str, is_approved: bool) -> std::result::Result<Option<Outcome>, String> {
    let decision = Decision::new(is_approved, "Somebody else");
    let answer = client.ask(id, DECISION_EVENT, &decision).await.map_err(|error| error.to_string())?;
    match answer {
        Answer::Reply(reply) => match serde_json::from_str(&reply).map_err(|error| error.to_string())? {
            Reply::Accepted { outcome } | Reply::Lost { outcome } => Ok(Some(outcome)),
            Reply::Refused { why, .. } => Err(why),
            Reply::Recorded { .. } => Err("more are needed, and one decides".to_owned()),
        },
        Answer::Ended(state) => state.output().map_err(|error| error.to_string()),
        Answer::State(_) | Answer::Recorded => Ok(None),
    }
}

/// Compares what was told with what is there, and brings to an end what was left open.
pub(super) async fn check(client: &Client, told: &[Told]) -> std::result::Result<(), String> {
    let mut requests: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for told in told {
        match told {
            Told::Accepted(id) => drop(requests.entry(id).or_default()),
            Told::Outcome(id, outcome) => requests.entry(id).or_default().push(outcome),
            Told::Started(id, number) => {
                let found: Option<u32> = end_of(&client.with_hub(HUB), id).await?;
                let wanted = number + (1..=STEPS).sum::<u32>();
                if found != Some(wanted) {
                    return Err(format!("{id} came to {found:?}, not {wanted}"));
                }
            }
        }
    }
    for (id, outcomes) in requests {
        let state = client.get(id).await.map_err(|error| format!("{id}: {error}"))?;
        let Some(state) = state else { return Err(format!("{id} was accepted, and is not there")) };
        if outcomes.is_empty() && !state.status().is_terminal() {
            let decided = timeout(PATIENCE, decided(client, id, true)).await;
            decided.map_err(|_| format!("{id} cannot be decided"))?.map_err(|why| format!("{id}: {why}"))?;
        }
        let found: Option<Outcome> = end_of(client, id).await?;
        if let Some(other) = outcomes.iter().find(|outcome| found.as_ref() != Some(**outcome)) {
            return Err(format!("{id} came to {found:?}, and somebody was told {other:?}"));
        }
    }
    Ok(())
}

async fn end_of<T: serde::de::DeserializeOwned>(client: &Client, id: &str) -> std::result::Result<Option<T>, String> {
    let state = timeout(PATIENCE, client.wait_for_completion(id)).await;
    let state = state.map_err(|_| format!("{id} does not end"))?.map_err(|error| format!("{id}: {error}"))?;
    state.output().map_err(|error| format!("{id}: {error}"))
}
