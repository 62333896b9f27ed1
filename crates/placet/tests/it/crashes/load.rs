//! The load: people who ask and decide over HTTP, and a program that runs sequences of activities over gRPC, all of
//! whom go on through the crashes.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use placet_sdk::{Client, OrchestrationContext, Result, Worker};
use placet_testkit::{Answer, Http};
use serde_json::json;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::timeout;

use super::ledger::{Decision, Ledger};

/// Programs at once.
const PROGRAMS: usize = 3;

/// Requests of other programs that are decided at once.
const FOREIGN: usize = 6;

/// The hub of the sequences: their worker would take what is others' in the hub of the requests.
pub(super) const HUB: &str = "sequences";

/// How long what was begun may take to its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Activities in a sequence.
const STEPS: u32 = 5;

/// What is going on, told to all who make load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    /// It is there; nobody begins anything before the others have found it.
    Back,
    Down,
    Over,
}

/// The running load.
#[derive(Debug)]
pub(super) struct Load {
    phase: watch::Sender<Phase>,
    tasks: JoinSet<()>,
    names: BTreeMap<task::Id, String>,
    worker: Worker,
}

impl Load {
    /// So many people, and a few programs.
    pub(super) fn start(people: usize, http: &Http, client: &Client, ledger: &Ledger) -> Load {
        let (phase, watched) = watch::channel(Phase::Up);
        let client = client.with_hub(HUB);
        let worker = Worker::builder(client.clone())
            .orchestration("sequence", sequence)
            .activity("add", |_, (number, step): (u32, u32)| async move { Ok(number + step) })
            .start();
        let mut load = Load { phase, tasks: JoinSet::new(), names: BTreeMap::new(), worker };
        for name in 0..people {
            load.spawn(format!("person {name}"), Someone::new(name, http, ledger, &watched).go_on());
        }
        for name in 0..PROGRAMS {
            load.spawn(
                format!("sequences {name}"),
                run_sequences(name, client.clone(), ledger.clone(), watched.clone()),
            );
        }
        load
    }

    fn spawn(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.tasks.spawn(task).id(), name);
    }

    /// Lets people decide requests that other programs have made, as they come.
    pub(super) fn decide(&mut self, foreign: mpsc::UnboundedReceiver<String>, http: &Http, ledger: &Ledger) {
        let foreign = Arc::new(Mutex::new(foreign));
        for name in 0..FOREIGN {
            let someone = Someone::new(name, http, ledger, &self.phase.subscribe());
            self.spawn(format!("decider {name}"), someone.decide_all(foreign.clone()));
        }
    }

    /// The server has been killed, or is about to be.
    pub(super) fn is_down(&self) {
        self.phase.send_replace(Phase::Down);
    }

    /// It is there again, and is left to the others.
    pub(super) fn is_back(&self) {
        self.phase.send_replace(Phase::Back);
    }

    /// It is there again.
    pub(super) fn is_up(&self) {
        self.phase.send_replace(Phase::Up);
    }

    /// Nothing new is begun; returns once what was begun is done.
    pub(super) async fn stop(mut self) {
        self.phase.send_replace(Phase::Over);
        while !self.tasks.is_empty() {
            let next = timeout(PATIENCE, self.tasks.join_next_with_id()).await;
            let next = next.unwrap_or_else(|_| panic!("these do not end: {:?}", self.names.values()));
            let (id, ()) = next.expect("some are left").unwrap();
            self.names.remove(&id);
        }
        // What it still has to do, it does while the results are looked at.
        drop(self.worker);
    }
}

/// Waits for one's turn; whether to go on.
async fn goes_on(phase: &mut watch::Receiver<Phase>) -> bool {
    let phase = phase.wait_for(|phase| [Phase::Up, Phase::Over].contains(phase)).await;
    *phase.expect("the test runs") == Phase::Up
}

/// Somebody who asks for things, and decides what he has asked for.
struct Someone {
    name: usize,
    http: Http,
    ledger: Ledger,
    phase: watch::Receiver<Phase>,
}

impl Someone {
    fn new(name: usize, http: &Http, ledger: &Ledger, phase: &watch::Receiver<Phase>) -> Someone {
        Someone { name, http: http.clone(), ledger: ledger.clone(), phase: phase.clone() }
    }

    async fn go_on(mut self) {
        let mut number = self.name;
        while goes_on(&mut self.phase).await {
            number += 1;
            let Some((id, is_short)) = self.ask(number).await else { continue };
            // A short one is left to its deadline, or decided near it; a long one is decided by two, or left open.
            match number % 4 {
                0 => self.decide_until_told(&id, number).await,
                1 if is_short => {}
                1 => self.decide_by_two(&id, number).await,
                2 => self.decide_by_two(&id, number).await,
                _ => {}
            }
        }
    }

    async fn ask(&self, number: usize) -> Option<(String, bool)> {
        let is_short = number.is_multiple_of(3);
        // A millisecond to a second, or an hour.
        let hours = if is_short { (1.0 + (number * 53 % 1_000) as f64) / 3_600_000.0 } else { 1.0 };
        let body =
            json!({"requester": format!("Someone {}", self.name), "item": number.to_string(), "timeout_hours": hours});
        let answer = self.ledger.write(self.http.post("/api/requests", &body)).await?;
        if answer.status != 200 {
            assert_unsure(&answer);
            return None;
        }
        let created = answer.json();
        let id = crate::requests::id(&created);
        self.ledger.accepted(&id, Some(created["due"].clone()), is_short);
        Some((id, is_short))
    }

    /// Decides, and if the server dies on it, decides again when it is back. Each time under another name: who asks
    /// again does not know whether he has decided already, and must be told.
    async fn decide_until_told(&mut self, id: &str, number: usize) {
        for attempt in 0.. {
            if self.decide(id, number.is_multiple_of(8), attempt).await || !goes_on(&mut self.phase).await {
                return;
            }
        }
    }

    async fn decide_by_two(&self, id: &str, number: usize) {
        tokio::join!(self.decide(id, true, number), self.decide(id, false, number + 1));
    }

    /// Decides what other programs have asked, each with two others at once, who all want to be told.
    async fn decide_all(self, foreign: Arc<Mutex<mpsc::UnboundedReceiver<String>>>) {
        loop {
            let next = foreign.lock().await.recv().await;
            let Some(id) = next else { return };
            self.ledger.accepted(&id, None, true);
            let decider = |first: usize| self.decide_whatever_happens(&id, first);
            tokio::join!(decider(1_000), decider(2_001), decider(3_000));
        }
    }

    async fn decide_whatever_happens(&self, id: &str, first: usize) {
        let mut phase = self.phase.clone();
        for attempt in first.. {
            phase.wait_for(|phase| *phase != Phase::Down).await.expect("the test runs");
            if self.decide(id, first.is_multiple_of(2), attempt).await {
                return;
            }
        }
    }

    /// Whether he was told how it stands.
    async fn decide(&self, id: &str, is_approved: bool, name: usize) -> bool {
        let approver = format!("{} {name}", if is_approved { "Yes" } else { "No" });
        let body = json!({"is_approved": is_approved, "approver": approver});
        let path = format!("/api/approvals/{id}");
        let Some(answer) = self.ledger.write(self.http.post(&path, &body)).await else { return false };
        match answer.status {
            200 => self.ledger.won(id, Decision { is_approved, approver }),
            409 => self.ledger.lost(id, &answer.json()),
            404 => self.ledger.findings.lost(format!("{id} was accepted: {answer:?}")),
            _ => {
                assert_unsure(&answer);
                return false;
            }
        }
        true
    }
}

/// An answer that promises nothing.
fn assert_unsure(answer: &Answer) {
    match answer.status {
        202 | 503 => {}
        500 => assert_eq!(answer.json()["type"], "urn:placet:problem:outcome-unknown", "{answer:?}"),
        _ => panic!("{answer:?}"),
    }
}

/// Adds up in activities.
async fn sequence(ctx: OrchestrationContext, mut number: u32) -> Result<u32> {
    for step in 1..=STEPS {
        number = ctx.activity("add", &(number, step)).await?;
    }
    Ok(number)
}

/// What a sequence comes to.
pub(super) fn result_of(number: u32) -> u32 {
    number + (1..=STEPS).sum::<u32>()
}

async fn run_sequences(name: usize, client: Client, ledger: Ledger, mut phase: watch::Receiver<Phase>) {
    let mut number = 0;
    while goes_on(&mut phase).await {
        number += 1;
        let id = format!("sequence-{name}-{number}");
        let start = client.start("sequence", &number).id(&id).only_if_absent();
        if ledger.write(start.into_future()).await.is_none() {
            continue;
        }
        ledger.started(&id, number);
        // Half of them are waited for, the others pile up.
        if number % 2 == 0 {
            ledger.answered(client.wait_for_completion(&id)).await;
        }
    }
}
