//! Requests that earlier releases opened, answered or left parked, finished under the code of today: who waits for ten
//! years waits for a program that nobody has written yet. Each release records its own, and none is ever changed.

use std::fs;
use std::path::{Path, PathBuf};

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::{
    EventRaisedEvent, HistoryChunk, HistoryEvent, OrchestratorStartedEvent, TimerFiredEvent,
};
use placet_sdk::check_history;
use placet_worker::approval;
use prost::Message as _;
use prost_types::Timestamp;
use serde_json::Value;

/// A history and where it came from.
struct Recorded {
    file: PathBuf,
    events: Vec<HistoryEvent>,
}

/// All of them, of every release.
fn recorded() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/histories");
    let releases = fs::read_dir(folder).unwrap().map(|release| release.unwrap().path()).filter(|path| path.is_dir());
    let files = releases.flat_map(|release| fs::read_dir(release).unwrap()).map(|file| file.unwrap().path());
    let histories = files.filter(|file| file.extension().is_some_and(|extension| extension == "pb"));
    histories
        .map(|file| {
            let events = HistoryChunk::decode(fs::read(&file).unwrap().as_slice()).unwrap().events;
            Recorded { file, events }
        })
        .collect()
}

/// What the code of today makes of it: the outcome, or nothing if it still waits.
fn finished(events: Vec<HistoryEvent>, file: &Path) -> Option<Value> {
    let output = check_history(approval, events);
    let output = output.unwrap_or_else(|failure| panic!("{}: {failure}", file.display()));
    output.map(|json| serde_json::from_str(&json).unwrap())
}

impl Recorded {
    /// The outcome that was recorded, if it ended.
    fn outcome(&self) -> Option<Value> {
        self.events.iter().find_map(|event| match &event.event_type {
            Some(EventType::ExecutionCompleted(completed)) => {
                Some(serde_json::from_str(completed.result.as_deref().unwrap()).unwrap())
            }
            _ => None,
        })
    }

    /// Its timer's id and deadline.
    fn timer(&self) -> (i32, Timestamp) {
        let timer = self.events.iter().find_map(|event| match &event.event_type {
            Some(EventType::TimerCreated(timer)) => Some((event.event_id, timer.fire_at.unwrap())),
            _ => None,
        });
        timer.unwrap_or_else(|| panic!("{} has no deadline", self.file.display()))
    }

    /// The same with one turn more, at this time.
    fn and_then(&self, at: Timestamp, event_type: EventType) -> Vec<HistoryEvent> {
        let event = |event_type| HistoryEvent { event_id: -1, timestamp: Some(at), event_type: Some(event_type) };
        let began = event(EventType::OrchestratorStarted(OrchestratorStartedEvent::default()));
        self.events.iter().cloned().chain([began, event(event_type)]).collect()
    }
}

fn answer(json: &str) -> EventType {
    let raised =
        EventRaisedEvent { name: "approval_response".into(), input: Some(json.into()), ..EventRaisedEvent::default() };
    EventType::EventRaised(raised)
}

#[test]
fn there_are_histories_that_ended_and_histories_that_are_parked_in_either_generation() {
    let recorded = recorded();
    let is_continued = |recorded: &&Recorded| {
        recorded.events.iter().any(|event| match &event.event_type {
            Some(EventType::ExecutionStarted(started)) => started.input.as_deref().unwrap().contains("\"rules\""),
            _ => false,
        })
    };
    for status in ["Approved", "Rejected", "Timeout"] {
        let ended = |recorded: &Recorded| recorded.outcome().is_some_and(|outcome| outcome["status"] == status);
        assert!(recorded.iter().any(ended), "no {status}");
    }
    let (continued, first): (Vec<&Recorded>, Vec<&Recorded>) = recorded.iter().partition(is_continued);
    for generation in [continued, first] {
        assert!(generation.iter().any(|recorded| recorded.outcome().is_none()));
        assert!(generation.iter().any(|recorded| recorded.outcome().is_some()));
    }
}

#[test]
fn what_has_ended_ends_as_it_did_and_what_is_parked_waits() {
    for recorded in recorded() {
        assert_eq!(
            finished(recorded.events.clone(), &recorded.file),
            recorded.outcome(),
            "{}",
            recorded.file.display()
        );
    }
}

#[test]
fn what_is_parked_can_be_approved_rejected_and_refused_and_falls_due() {
    for recorded in recorded().iter().filter(|recorded| recorded.outcome().is_none()) {
        let file = &recorded.file;
        let (timer_id, due) = recorded.timer();
        let before = Timestamp { seconds: due.seconds - 1, ..due };
        let decide = |at, json| finished(recorded.and_then(at, answer(json)), file);

        let approved = decide(before, r#"{"is_approved": true, "approver": "Successor"}"#).unwrap();
        assert_eq!((&approved["status"], &approved["approver"]), (&"Approved".into(), &"Successor".into()));
        let rejected = decide(before, r#"{"is_approved": false, "approver": "Successor"}"#).unwrap();
        assert_eq!(rejected["status"], "Rejected");
        assert_eq!(decide(before, "nonsense"), None, "{}", file.display());
        // At the very moment it is too late, whether or not the timer has fired.
        let late = decide(due, r#"{"is_approved": true, "approver": "Successor"}"#).unwrap();
        assert_eq!(late["status"], "Timeout");
        let fired = EventType::TimerFired(TimerFiredEvent { fire_at: Some(due), timer_id });
        assert_eq!(finished(recorded.and_then(due, fired), file).unwrap(), late);
    }
}
