//! The load: people who ask and decide over HTTP, and a program that runs sequences of activities over gRPC, all of
//! whom go on through the crashes.

use std::future::Future;

use placet_sdk::{Client, OrchestrationContext, Result, Worker};
use placet_testkit::{Answer, Http};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Decision, Ledger};

/// People, and programs, at once.
const PEOPLE: usize = 6;
const PROGRAMS: usize = 3;

/// Activities in a sequence.
const STEPS: u32 = 5;

/// What is going on, told to all who make load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    Down,
    Over,
}

/// The running load.
#[derive(Debug)]
pub(super) struct Load {
    phase: watch::Sender<Phase>,
    tasks: JoinSet<()>,
    worker: Worker,
}

impl Load {
    pub(super) fn start(http: Http, client: Client, ledger: Ledger) -> Load {
        let (phase, watched) = watch::channel(Phase::Up);
        let worker = Worker::builder(client.clone())
            .orchestration("sequence", sequence)
            .activity("add", |_, (number, step): (u32, u32)| async move { Ok(number + step) })
            .start();
        let mut tasks = JoinSet::new();
        for name in 0..PEOPLE {
            let someone = Someone { name, http: http.clone(), ledger: ledger.clone(), phase: watched.clone() };
            tasks.spawn(someone.go_on());
        }
        for name in 0..PROGRAMS {
            tasks.spawn(run_sequences(name, client.clone(), ledger.clone(), watched.clone()));
        }
        Load { phase, tasks, worker }
    }

    /// The server is about to be killed.
    pub(super) fn going_down(&self) {
        self.phase.send_replace(Phase::Down);
    }

    /// It is there again.
    pub(super) fn is_up(&self) {
        self.phase.send_replace(Phase::Up);
    }

    /// Nothing new is begun; returns once what was begun is done.
    pub(super) async fn stop(self) {
        self.phase.send_replace(Phase::Over);
        self.tasks.join_all().await;
        // What it still has to do, it does while the results are looked at.
        drop(self.worker);
    }
}

/// Waits while the server is down; whether to go on.
async fn goes_on(phase: &mut watch::Receiver<Phase>) -> bool {
    *phase.wait_for(|phase| *phase != Phase::Down).await.expect("the test runs") == Phase::Up
}

/// What a call was answered; nothing if the server died on it.
async fn answered<T, E: std::fmt::Debug>(
    ledger: &Ledger,
    call: impl Future<Output = std::result::Result<T, E>>,
) -> Option<T> {
    match call.await {
        Ok(answer) => Some(answer),
        Err(_) => {
            ledger.unanswered();
            None
        }
    }
}

/// Somebody who asks for things, and decides what he has asked for.
struct Someone {
    name: usize,
    http: Http,
    ledger: Ledger,
    phase: watch::Receiver<Phase>,
}

impl Someone {
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
        let answer = answered(&self.ledger, self.http.post("/api/requests", &body)).await?;
        if answer.status != 200 {
            assert_unsure(&answer);
            return None;
        }
        let created = answer.json();
        let id = crate::requests::id(&created);
        self.ledger.accepted(&id, created["due"].clone(), is_short);
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

    /// Whether he was told how it stands.
    async fn decide(&self, id: &str, is_approved: bool, name: usize) -> bool {
        let approver = format!("{} {name}", if is_approved { "Yes" } else { "No" });
        let body = json!({"is_approved": is_approved, "approver": approver});
        let path = format!("/api/approvals/{id}");
        let Some(answer) = answered(&self.ledger, self.http.post(&path, &body)).await else { return false };
        match answer.status {
            200 => self.ledger.won(id, Decision { is_approved, approver }),
            409 => self.ledger.lost(id, answer.json()["outcome"].clone()),
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
    assert!([202, 500, 503].contains(&answer.status), "{answer:?}");
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
        if answered(&ledger, start.into_future()).await.is_none() {
            continue;
        }
        ledger.started(&id, number);
        // Half of them are waited for, the others pile up.
        if number % 2 == 0 {
            answered(&ledger, client.wait_for_completion(&id)).await;
        }
    }
}
