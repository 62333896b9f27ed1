//! The mission's: one answer decides, or the deadline.

use super::*;

/// The status after some events, and what each asker was told.
fn run(events: &[Event]) -> (String, Vec<String>) {
    let mut request = request();
    let mut told = Vec::new();
    for event in events {
        let (next, effects) = apply(request, event);
        request = next;
        for effect in effects {
            if let Effect::Reply { ask_id, reply, .. } = effect {
                told.push(format!("{ask_id}: {}", verdict(&reply)));
            }
        }
    }
    (request.status().to_owned(), told)
}

#[test]
fn what_was_recorded_before_the_deadline_counts_and_what_was_recorded_at_it_does_not() {
    let expired = Event::TimeReached(at(DUE));
    let table: [(&[Event], &str, &[&str]); 8] = [
        (&[], "Pending", &[]),
        (&[answered(DUE - 1, true, "A")], "Approved", &["ask of A: won: Approved"]),
        (&[answered(DUE - 1, false, "A")], "Rejected", &["ask of A: won: Rejected"]),
        (&[answered(DUE, true, "A")], "Timeout", &["ask of A: lost to Timeout"]),
        (&[expired.clone(), answered(DUE + 1, true, "A")], "Timeout", &["ask of A: lost to Timeout"]),
        (&[answered(DUE - 1, true, "A"), expired.clone(), expired], "Approved", &["ask of A: won: Approved"]),
        (&[Event::TimeReached(at(DUE - 1)), answered(DUE - 1, true, "A")], "Approved", &["ask of A: won: Approved"]),
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
    let racing = [
        answered(DUE - 2, true, "A"),
        answered(DUE - 2, false, "B"),
        answered(DUE - 2, true, "C"),
        Event::TimeReached(at(DUE)),
    ];
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
    for payload in [
        None,
        Some(""),
        Some("yes"),
        Some("{}"),
        Some(r#"{"act": "dance"}"#),
        Some(r#"{"act": "claim"}"#),
        Some(r#"{"is_approved": "yes", "approver": "A"}"#),
    ] {
        let payload = payload.map(str::to_owned);
        let sent = Said { at: at(5), ask_id: Some("a".into()), caller: Caller::default(), payload };
        let (after, effects) = apply(request(), &Event::Said(sent));
        assert_eq!(after, request());
        assert!(matches!(only_reply(&effects), Some(Reply::Refused { .. })), "{effects:?}");
    }
}

#[test]
fn a_request_of_the_first_rules_is_finished_by_them() {
    let carried = r#"{"rules":1,"request_id":"r-0","requester":"Alice","item":"Vacation",
        "submitted_at":"1970-01-12T13:46:40Z","due":"1970-01-12T14:46:40Z","approval_url":"http://x/"}"#;
    let request = serde_json::from_str::<Input>(carried).unwrap().open("r-0".into(), at(0), false).unwrap();
    assert_eq!((request.rules, request.due, request.wakes_at()), (1, at(DUE), Some(at(DUE))));
    let (request, _) = apply(request, &answered(DUE - 1, true, "A"));
    assert_eq!(request.status(), "Approved");
    let (_, effects) = apply(request, &answered(DUE - 1, true, "A"));
    assert!(matches!(only_reply(&effects), Some(Reply::Lost { .. })), "{effects:?}");
}

#[test]
fn what_any_program_asks_for_is_read_as_ever_and_what_is_wrong_is_told_by_its_field() {
    let asked = |json: &str| match serde_json::from_str::<Input>(json) {
        Ok(Input::New(asked)) => Ok(asked.requester),
        Ok(Input::Continued(_)) => panic!("{json}: it is new"),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(asked(r#"{"requester":"Alice","item":"Vacation","requester":"Bob"}"#), Ok("Bob".to_owned()));
    assert_eq!(asked(r#"{"requester":"Alice"}"#), Err("missing field `item`".to_owned()));
    assert!(asked("[1]").is_err() && asked("null").is_err());
}

#[test]
fn a_deadline_may_be_a_fraction_of_an_hour_and_not_nothing() {
    let due = |hours: &str| {
        let body = format!(r#"{{"requester": "Alice", "item": "Vacation", "timeout_hours": {hours}}}"#);
        serde_json::from_str::<NewRequest>(&body).unwrap().due_from(at(0)).map_err(|error| error.field)
    };
    assert_eq!(due("0.0005"), Ok(Timestamp::from_microsecond(1_800_000).unwrap()));
    assert_eq!(due("24"), Ok(at(86_400)));
    let lasts = |text: &str| {
        let new = NewRequest { timeout: Some(text.to_owned()), ..NewRequest::new("Alice", "Vacation") };
        new.due_from(at(0)).map_err(|error| error.field)
    };
    assert_eq!((lasts("3d"), lasts("PT90M")), (Ok(at(3 * 86_400)), Ok(at(5_400))));
    assert_eq!((lasts("0s"), lasts("soon"), lasts("200y")), (Err("timeout"), Err("timeout"), Err("timeout")));
    for wrong in ["0", "-1", "1e300"] {
        assert_eq!(due(wrong), Err("timeout_hours"), "{wrong}");
    }
}
