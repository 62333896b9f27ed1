//! Requests that earlier releases opened, answered or left parked, finished under the code of today: who waits for ten
//! years waits for a program that nobody has written yet. Each release records its own, and none is ever changed.

use std::fs;
use std::path::{Path, PathBuf};

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::{
    EventRaisedEvent, HistoryChunk, HistoryEvent, OrchestratorStartedEvent, TimerFiredEvent,
};
use placet_proto::placet::v1::Stamp;
use placet_sdk::check_history;
use placet_worker::{approval, permit};
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
    let is_permit = events.iter().any(|event| match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => started.name == "placet.permit",
        _ => false,
    });
    let output = if is_permit { check_history(permit, events) } else { check_history(approval, events) };
    let output = output.unwrap_or_else(|failure| panic!("{}: {failure}", file.display()));
    output.map(|json| serde_json::from_str(&json).unwrap())
}

impl Recorded {
    /// Its name: the file's.
    fn name(&self) -> &str {
        self.file.file_stem().unwrap().to_str().unwrap()
    }

    /// Whether it is the mission's: whoever answers decides.
    fn is_missions(&self) -> bool {
        !["staged-", "planned-", "permit-"].iter().any(|kind| self.name().starts_with(kind))
    }

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

    /// What it is, after something more has happened at this time.
    fn becomes(&self, at: Timestamp, event_type: EventType) -> Option<Value> {
        finished(self.and_then(at, event_type), &self.file)
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

/// What somebody known sends.
fn from(name: &str, person: &str, json: &str) -> EventType {
    let groups = if ["ann", "ben"].contains(&person) { r#"["sre"]"# } else { "[]" };
    let principal = format!(r#"{{"person":"{person}","groups":{groups}}}"#);
    let stamp = Stamp { ask_id: "ask".into(), principal, proof: "none".into() };
    let raised = EventRaisedEvent { name: name.into(), input: Some(json.into()), stamp: stamp.encode_to_vec().into() };
    EventType::EventRaised(raised)
}

/// Those of this name, of each release that has one.
fn of_name(name: &str) -> Vec<Recorded> {
    let found: Vec<Recorded> = recorded().into_iter().filter(|recorded| recorded.name() == name).collect();
    assert!(!found.is_empty(), "no {name}");
    found
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
    for recorded in recorded().iter().filter(|recorded| recorded.is_missions() && recorded.outcome().is_none()) {
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

#[test]
fn what_waits_in_a_stage_is_decided_withdrawn_and_falls_due() {
    for (name, who) in [("staged-parked", "ben"), ("planned-parked", "ben"), ("planned-edited", "cem")] {
        of_name(name).iter().for_each(|recorded| goes_on(recorded, who));
    }
}

/// A history in which this person is asked: whatever can become of it.
fn goes_on(recorded: &Recorded, who: &str) {
    let name = recorded.name();
    let now = recorded.events.last().unwrap().timestamp.unwrap();
    let later = Timestamp { seconds: now.seconds + 60, ..now };
    let says = |who: &str, is_approved: bool| {
        let said = format!(r#"{{"is_approved": {is_approved}, "approver": "{who}"}}"#);
        from("approval_response", who, &said)
    };
    let rejected = recorded.becomes(later, says(who, false)).unwrap();
    assert_eq!((&rejected["status"], &rejected["approver"]), (&"Rejected".into(), &who.into()), "{name}");
    assert_eq!(recorded.becomes(later, says("zoe", false)), None, "{name}: nobody has asked her");
    let withdraw = from("approval_response", "req", r#"{"act": "withdraw", "text": "not needed"}"#);
    assert_eq!(recorded.becomes(later, withdraw).unwrap()["status"], "Withdrawn", "{name}");
    let approved = recorded.becomes(later, says(who, true));
    // The others open another stage, whose people are looked up.
    let expected = (name == "planned-edited").then(|| Value::from("Approved"));
    assert_eq!(approved.map(|approved| approved["status"].clone()), expected, "{name}");
    // Others are looked up and asked before.
    if name != "planned-parked" {
        let in_20_years = Timestamp { seconds: now.seconds + 20 * 366 * 86_400, ..now };
        assert_eq!(recorded.becomes(in_20_years, says(who, true)).unwrap()["status"], "Timeout", "{name}");
    }
}

#[test]
fn a_permit_that_waits_is_begun_revoked_and_lapses() {
    let finish = || from("permit", "req", r#"{"act": "finish", "attempt_key": "run-1", "result": {"exit_code": 0}}"#);
    let is_finished = |permit: Value| {
        assert_eq!((&permit["status"], &permit["finished"]["result"]["exit_code"]), (&"finished".into(), &0.into()));
    };
    for recorded in of_name("permit-parked") {
        let now = recorded.events.last().unwrap().timestamp.unwrap();
        let later = Timestamp { seconds: now.seconds + 60, ..now };
        let begin = from("permit", "req", r#"{"act": "begin", "action": {"version": "2.3"}, "attempt_key": "run-1"}"#);
        let begun = Recorded { file: recorded.file.clone(), events: recorded.and_then(later, begin) };
        is_finished(begun.becomes(Timestamp { seconds: later.seconds + 1, ..later }, finish()).unwrap());
        assert_eq!(recorded.becomes(later, finish()), None, "nobody has begun it");
        let revoke = from("permit", "ann", r#"{"act": "revoke", "reason": "recalled"}"#);
        let revoked = recorded.becomes(later, revoke).unwrap();
        assert_eq!((&revoked["status"], &revoked["revoked"]["by"]), (&"revoked".into(), &"ann".into()));
        let (timer_id, due) = recorded.timer();
        let fired = EventType::TimerFired(TimerFiredEvent { fire_at: Some(due), timer_id });
        assert_eq!(recorded.becomes(due, fired).unwrap()["status"], "lapsed");
    }
    for begun in of_name("permit-begun") {
        let now = begun.events.last().unwrap().timestamp.unwrap();
        is_finished(begun.becomes(Timestamp { seconds: now.seconds + 60, ..now }, finish()).unwrap());
    }
}
