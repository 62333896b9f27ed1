//! What people and sequences were told, written down when they were told it, and compared with what the server says
//! later.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use placet_sdk::{Client, Status};
use placet_testkit::Http;
use serde_json::Value;
use tokio::time::timeout;

use super::findings::Findings;
use super::history;

/// How long a call may take, if the server does not die on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Instances that are looked at at once.
const AT_ONCE: usize = 16;

/// All that was acknowledged.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    entries: Arc<Mutex<Entries>>,
    /// Writes that are on their way to the server.
    in_flight: Arc<AtomicUsize>,
    acknowledged: Arc<AtomicUsize>,
    /// How often the server has died.
    lives: Arc<AtomicUsize>,
    pub(super) findings: Findings,
}

#[derive(Debug, Default)]
struct Entries {
    requests: BTreeMap<String, Request>,
    /// Requests that have not been looked at since they changed here.
    news: Vec<String>,
    /// Instance ids, each with its number.
    sequences: BTreeMap<String, u32>,
    unanswered: usize,
    /// Calls that their client let hang though their server had died.
    forgotten: usize,
}

#[derive(Debug, Clone)]
struct Request {
    /// Nothing for a request of another program's, whose outcome is its own to word.
    due: Option<Value>,
    must_end: bool,
    /// The decision that was told to have won.
    won: Option<Decision>,
    /// The outcome that a loser was told.
    outcome: Option<Value>,
}

impl Request {
    /// Whether both tell of the same decision.
    fn agree(&self, one: &Value, other: &Value) -> bool {
        let is_ours = self.due.is_some();
        one == other || !is_ours && ["status", "approver"].iter().all(|field| one[field] == other[field])
    }
}

/// A decision as its decider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) is_approved: bool,
    pub(super) approver: String,
}

impl Decision {
    fn is(&self, outcome: &Value) -> bool {
        let status = if self.is_approved { "Approved" } else { "Rejected" };
        outcome["status"] == status && outcome["approver"] == *self.approver
    }
}

/// What there was to check.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "printed")]
pub(super) struct Tally {
    pub(super) requests: usize,
    pub(super) decided: usize,
    pub(super) timed_out: usize,
    pub(super) sequences: usize,
    pub(super) unanswered: usize,
    pub(super) forgotten: usize,
}

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap()
    }

    /// Makes a call that changes something. Its answer; nothing if the server died on it.
    pub(super) async fn write<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Option<T> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let answer = self.answered(call).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.acknowledged.fetch_add(usize::from(answer.is_some()), Ordering::Relaxed);
        answer
    }

    /// What a call was answered; nothing if the server died on it: nobody knows what became of it.
    pub(super) async fn answered<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Option<T> {
        let life = self.lives.load(Ordering::Relaxed);
        let answer = timeout(PATIENCE, call).await;
        if answer.is_err() && self.lives.load(Ordering::Relaxed) == life {
            self.findings.wrong("the server lives, and has not answered a call");
        }
        let mut entries = self.entries();
        // Its server died, and the client has not noticed: a fault of the client, which hides none of the server.
        entries.forgotten += usize::from(answer.is_err());
        let answer = answer.ok().and_then(Result::ok);
        entries.unanswered += usize::from(answer.is_none());
        answer
    }

    /// The server is dead: what it has not answered, it will not answer.
    pub(super) fn server_died(&self) {
        self.lives.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes that are on their way now.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Writes that were answered so far.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// A request was accepted; by another program if it has no deadline here.
    pub(super) fn accepted(&self, id: &str, due: Option<Value>, must_end: bool) {
        let mut entries = self.entries();
        let request = Request { due, must_end, won: None, outcome: None };
        if entries.requests.insert(id.to_owned(), request).is_some() {
            self.findings.doubled(format!("{id} was given twice"));
        }
        entries.news.push(id.to_owned());
    }

    /// A decider was told that he won.
    pub(super) fn won(&self, id: &str, decision: Decision) {
        let mut entries = self.entries();
        entries.news.push(id.to_owned());
        let request = entries.requests.get_mut(id).expect("it was accepted");
        if let Some(before) = request.won.replace(decision) {
            self.findings.two_outcomes(format!("{id} was won by {before:?} and then: {request:?}"));
        }
    }

    /// A decider was told that another outcome had won.
    pub(super) fn lost(&self, id: &str, answer: &Value) {
        let outcome = &answer["outcome"];
        let mut entries = self.entries();
        entries.news.push(id.to_owned());
        let request = entries.requests.get_mut(id).expect("it was accepted");
        let before = request.outcome.replace(outcome.clone());
        if outcome["status"].is_null() {
            self.findings.wrong(format!("{id}: a loser is not told who won: {answer}"));
        }
        if before.is_some_and(|before| !request.agree(&before, outcome)) {
            self.findings.two_outcomes(format!("{id}: one loser was told {outcome}, and others {request:?}"));
        }
    }

    /// A sequence was started.
    pub(super) fn started(&self, id: &str, number: u32) {
        self.entries().sequences.insert(id.to_owned(), number);
    }

    /// Everything that was acknowledged since the last look is so.
    pub(super) async fn check_news(&self, http: &Http) {
        let mut news = std::mem::take(&mut self.entries().news);
        news.sort_unstable();
        news.dedup();
        stream::iter(&news).for_each_concurrent(AT_ONCE, async |id| drop(self.check(http, id).await)).await;
    }

    /// Everything that was ever acknowledged is so, and all that had to end has ended, once.
    pub(super) async fn check_all(&self, http: &Http, client: &Client) -> Tally {
        let (requests, sequences, unanswered, forgotten) = {
            let entries = self.entries();
            (entries.requests.clone(), entries.sequences.clone(), entries.unanswered, entries.forgotten)
        };
        let tally = Mutex::new(Tally {
            requests: requests.len(),
            sequences: sequences.len(),
            unanswered,
            forgotten,
            ..Tally::default()
        });
        let check = async |(id, request): (&String, &Request)| {
            if request.must_end || request.won.is_some() {
                history::check_ended(client, id, &self.findings).await;
            }
            let shown = self.check(http, id).await;
            let mut tally = tally.lock().unwrap();
            tally.decided += usize::from(["Approved", "Rejected"].map(Value::from).contains(&shown["status"]));
            tally.timed_out += usize::from(shown["status"] == "Timeout");
            if let Some(due) = request.due.as_ref().filter(|_| shown["status"] == "Timeout")
                && shown["output"]["timed_out_at"] != *due
            {
                self.findings.wrong(format!("{id} was due at {due}: {shown}"));
            }
        };
        stream::iter(&requests).for_each_concurrent(AT_ONCE, check).await;
        let client = client.with_hub(super::load::HUB);
        let check = async |(id, number): (&String, &u32)| {
            let Some(state) = history::check_ended(&client, id, &self.findings).await else { return };
            let is = (state.status(), state.output::<u32>().ok().flatten());
            if is != (Status::Completed, Some(super::load::result_of(*number))) {
                self.findings.lost(format!("{id} of {number} came to {is:?}"));
            }
        };
        stream::iter(&sequences).for_each_concurrent(AT_ONCE, check).await;
        tally.into_inner().unwrap()
    }

    /// The request is there, and as everybody was told. (What was told before it is looked at, that is: it is
    /// looked up first.)
    async fn check(&self, http: &Http, id: &str) -> Value {
        let told = self.entries().requests[id].clone();
        let answer = http.get(&format!("/api/requests/{id}")).await.unwrap();
        if answer.status != 200 {
            self.findings.lost(format!("{id} was accepted: {answer:?}"));
            return Value::Null;
        }
        let shown = answer.json();
        let output = &shown["output"];
        if shown["status"] == "Failed" {
            self.findings.wrong(format!("{id} failed: {shown}"));
            return shown;
        }
        // One of another program's has acts to do after its decision.
        if told.due.is_none() && output.is_null() {
            return shown;
        }
        if told.won.as_ref().is_some_and(|won| !won.is(output)) {
            self.findings.lost(format!("{id}: {:?} was told to have won, and now {shown}", told.won));
        }
        if told.outcome.as_ref().is_some_and(|outcome| !told.agree(outcome, output)) {
            self.findings.two_outcomes(format!("{id}: a loser was told {:?}, and now {shown}", told.outcome));
        }
        if told.due.as_ref().is_some_and(|due| shown.get("details").is_some_and(|details| details["due"] != *due)) {
            self.findings.wrong(format!("{id} was due at {:?}: {shown}", told.due));
        }
        shown
    }
}
