//! The rules, as tables and laws.

use super::*;
use crate::request::{Input, NewRequest};

const ACCEPTED: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// Due an hour after it was accepted.
fn request() -> Request {
    let new: NewRequest =
        serde_json::from_str(r#"{"requester": "Alice", "item": "Vacation", "timeout_hours": 1}"#).unwrap();
    Input::New(new).open("r-1".into(), at(ACCEPTED)).unwrap()
}

fn answered(seconds: i64, is_approved: bool, approver: &str) -> Event {
    let decision = Decision { is_approved, approver: approver.into(), comments: None };
    Event::Answered {
        at: at(seconds),
        ask_id: Some(format!("ask of {approver}")),
        payload: Some(serde_json::to_string(&decision).unwrap()),
    }
}

/// The status after some events, and what each asker was told.
fn run(events: &[Event]) -> (String, Vec<String>) {
    let mut request = request();
    let mut told = Vec::new();
    for event in events {
        let (next, effects) = apply(request, event);
        request = next;
        for effect in effects {
            if let Effect::Reply { ask_id, reply } = effect {
                let verdict = match reply {
                    Reply::Accepted { outcome } => format!("won: {}", outcome.status()),
                    Reply::Lost { outcome } => format!("lost to {}", outcome.status()),
                    Reply::Refused { .. } => "refused".to_owned(),
                };
                told.push(format!("{ask_id}: {verdict}"));
            }
        }
    }
    (request.status().to_owned(), told)
}

#[test]
fn what_was_recorded_before_the_deadline_counts_and_what_was_recorded_at_it_does_not() {
    let due = ACCEPTED + 3_600;
    let table: [(&[Event], &str, &[&str]); 7] = [
        (&[], "Pending", &[]),
        (&[answered(due - 1, true, "A")], "Approved", &["ask of A: won: Approved"]),
        (&[answered(due - 1, false, "A")], "Rejected", &["ask of A: won: Rejected"]),
        (&[answered(due, true, "A")], "Timeout", &["ask of A: lost to Timeout"]),
        (&[Event::TimerFired, answered(due + 1, true, "A")], "Timeout", &["ask of A: lost to Timeout"]),
        (&[answered(due - 1, true, "A"), Event::TimerFired], "Approved", &["ask of A: won: Approved"]),
        (
            &[answered(5, true, "A"), answered(6, false, "B")],
            "Approved",
            &["ask of A: won: Approved", "ask of B: lost to Approved"],
        ),
    ];
    for (events, status, told) in table {
        let (outcome, replies) = run(events);
        assert_eq!(outcome, status, "{events:?}");
        assert_eq!(replies, told, "{events:?}");
    }
}

#[test]
fn in_every_order_of_four_racing_events_one_wins_and_all_are_told_the_same() {
    let due = ACCEPTED + 3_600;
    let racing =
        [answered(due - 2, true, "A"), answered(due - 2, false, "B"), answered(due - 2, true, "C"), Event::TimerFired];
    for order in orders(4) {
        let events: Vec<Event> = order.iter().map(|i| racing[*i].clone()).collect();
        let (status, told) = run(&events);
        let timed_out = order[0] == 3;
        assert_eq!(told.iter().filter(|told| told.contains("won")).count(), usize::from(!timed_out), "{told:?}");
        assert!(told.iter().all(|told| told.ends_with(&status)), "{status}: {told:?}");
    }
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let insert = |order: &Vec<usize>, place| {
        let mut longer = order.clone();
        longer.insert(place, n - 1);
        longer
    };
    shorter.iter().flat_map(|order| (0..n).map(move |place| insert(order, place))).collect()
}

#[test]
fn what_is_no_decision_changes_nothing() {
    for payload in [None, Some(""), Some("yes"), Some("{}"), Some(r#"{"is_approved": "yes", "approver": "A"}"#)] {
        let payload = payload.map(str::to_owned);
        let (after, effects) = apply(request(), &Event::Answered { at: at(5), ask_id: Some("a".into()), payload });
        assert_eq!(after, request());
        assert!(matches!(&effects[..], [Effect::Reply { reply: Reply::Refused { .. }, .. }]), "{effects:?}");
    }
}

#[test]
fn a_request_that_is_handed_over_is_the_same_request() {
    let (decided, _) = apply(request(), &answered(5, true, "A"));
    for request in [request(), decided] {
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), Input::Continued(request));
    }
}

#[test]
fn a_deadline_may_be_a_fraction_of_an_hour_and_not_nothing() {
    let due = |hours: &str| {
        let body = format!(r#"{{"requester": "Alice", "item": "Vacation", "timeout_hours": {hours}}}"#);
        serde_json::from_str::<NewRequest>(&body).unwrap().due_from(at(0)).map_err(|error| error.field)
    };
    assert_eq!(due("0.0005"), Ok(Timestamp::from_microsecond(1_800_000).unwrap()));
    assert_eq!(due("24"), Ok(at(86_400)));
    for wrong in ["0", "-1", "1e300"] {
        assert_eq!(due(wrong), Err("timeout_hours"), "{wrong}");
    }
}
