//! What the server has acknowledged, written down by those who were told, and compared with what it says later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use placet_proto::durabletask::history_event::EventType;
use placet_sdk::{Client, Status};
use placet_testkit::Http;
use serde_json::Value;
use tokio::time::timeout;

use crate::requests::look;

/// How long an instance may take to its end once all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that was acknowledged.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    requests: BTreeMap<String, Request>,
    /// Requests that have not been looked at since they changed here.
    news: Vec<String>,
    /// Instance ids, each with its number.
    sequences: BTreeMap<String, u32>,
    unanswered: usize,
}

#[derive(Debug, Clone)]
struct Request {
    due: Value,
    is_short: bool,
    /// The decision that was told to have won.
    won: Option<Decision>,
    /// The outcome that a loser was told.
    outcome: Option<Value>,
}

/// A decision as its decider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) is_approved: bool,
    pub(super) approver: String,
}

/// What there was to check.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub(super) struct Tally {
    pub(super) requests: usize,
    pub(super) decided: usize,
    pub(super) timed_out: usize,
    pub(super) sequences: usize,
    pub(super) unanswered: usize,
}

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap()
    }

    /// A request was accepted.
    pub(super) fn accepted(&self, id: &str, due: Value, is_short: bool) {
        let mut entries = self.entries();
        let request = Request { due, is_short, won: None, outcome: None };
        assert!(entries.requests.insert(id.to_owned(), request).is_none(), "{id} was given twice");
        entries.news.push(id.to_owned());
    }

    /// A decider was told that he won.
    pub(super) fn won(&self, id: &str, decision: Decision) {
        let mut entries = self.entries();
        entries.news.push(id.to_owned());
        let request = entries.requests.get_mut(id).expect("it was accepted");
        let before = request.won.replace(decision);
        assert_eq!(before, None, "{id} was decided twice: {request:?}");
    }

    /// A decider was told that another outcome had won.
    pub(super) fn lost(&self, id: &str, outcome: Value) {
        let mut entries = self.entries();
        entries.news.push(id.to_owned());
        let request = entries.requests.get_mut(id).expect("it was accepted");
        let before = request.outcome.replace(outcome.clone());
        assert!(before.is_none_or(|before| before == outcome), "{id} has two outcomes: {outcome} and {request:?}");
    }

    /// A sequence was started.
    pub(super) fn started(&self, id: &str, number: u32) {
        self.entries().sequences.insert(id.to_owned(), number);
    }

    /// A call was not answered: nobody knows what became of it.
    pub(super) fn unanswered(&self) {
        self.entries().unanswered += 1;
    }

    /// Everything that was acknowledged since the last look is so.
    pub(super) async fn check_news(&self, http: &Http) {
        let mut news = std::mem::take(&mut self.entries().news);
        news.sort_unstable();
        news.dedup();
        for id in news {
            self.check(http, &id).await;
        }
    }

    /// Everything that was ever acknowledged is so, and all that had to end has ended, once.
    pub(super) async fn check_all(&self, http: &Http, client: &Client) -> Tally {
        let (requests, sequences, unanswered) = {
            let entries = self.entries();
            (entries.requests.clone(), entries.sequences.clone(), entries.unanswered)
        };
        let (mut decided, mut timed_out) = (0, 0);
        for (id, request) in &requests {
            if request.is_short || request.won.is_some() {
                completed(client, id).await;
                assert_ended_once(client, id).await;
            }
            let shown = self.check(http, id).await;
            decided += usize::from(["Approved", "Rejected"].map(Value::from).contains(&shown["status"]));
            timed_out += usize::from(shown["status"] == "Timeout");
            if shown["status"] == "Timeout" {
                assert_eq!(shown["output"]["timed_out_at"], request.due, "{id}");
            }
        }
        for (id, number) in &sequences {
            let state = completed(client, id).await;
            let expected = super::load::result_of(*number);
            assert_eq!((state.status(), state.output::<u32>().unwrap()), (Status::Completed, Some(expected)), "{id}");
            assert_ended_once(client, id).await;
        }
        Tally { requests: requests.len(), decided, timed_out, sequences: sequences.len(), unanswered }
    }

    /// The request is there, and as everybody was told. (What was told before it is looked at, that is: it is
    /// looked up first.)
    async fn check(&self, http: &Http, id: &str) -> Value {
        let told = self.entries().requests[id].clone();
        let shown = look(http, id).await;
        if let Some(won) = &told.won {
            let status = if won.is_approved { "Approved" } else { "Rejected" };
            assert_eq!(shown["status"], status, "{id}: {won:?} was told to have won, and now {shown}");
            assert_eq!(shown["output"]["approver"], won.approver, "{id}: {won:?} was told to have won");
        }
        if let Some(outcome) = &told.outcome {
            assert_eq!(&shown["output"], outcome, "{id}");
        }
        if let Some(details) = shown.get("details") {
            assert_eq!(details["due"], told.due, "{id}");
        }
        shown
    }
}

async fn completed(client: &Client, id: &str) -> placet_sdk::InstanceState {
    let state = timeout(PATIENCE, client.wait_for_completion(id)).await;
    state.unwrap_or_else(|_| panic!("{id} does not end")).unwrap()
}

/// The history ends once, and whatever was scheduled in it has come to one result.
async fn assert_ended_once(client: &Client, id: &str) {
    let history = client.history(id).await.unwrap();
    let count = |is: fn(&EventType) -> bool| {
        history.iter().filter_map(|event| event.event_type.as_ref()).filter(|e| is(e)).count()
    };
    assert_eq!(count(|event| matches!(event, EventType::ExecutionCompleted(_))), 1, "{id}: {history:#?}");
    let scheduled = count(|event| matches!(event, EventType::TaskScheduled(_)));
    assert_eq!(count(|event| matches!(event, EventType::TaskCompleted(_))), scheduled, "{id}: {history:#?}");
    assert!(count(|event| matches!(event, EventType::TimerFired(_))) <= 1, "{id}: {history:#?}");
}
