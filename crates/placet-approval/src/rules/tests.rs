//! The rules, as scripts, tables and laws.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decision::Decision;
use crate::directory::Directory;
use crate::identity::Right;
use crate::request::{Input, NewRequest};

const ACCEPTED: i64 = 1_000_000;
const DUE: i64 = ACCEPTED + 3_600;

/// The request that follows, and what is to be done.
fn apply(mut request: Request, event: &Event) -> (Request, Vec<Effect>) {
    let effects = super::apply(&mut request, event);
    (request, effects)
}

/// The reply, if nothing else is to be done.
fn only_reply(effects: &[Effect]) -> Option<&Reply> {
    if let [Effect::Reply { reply, .. }] = effects { Some(reply) } else { None }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn said(seconds: i64, who: &str, caller: Caller, payload: &impl Serialize) -> Said {
    let payload = Some(serde_json::to_string(payload).unwrap());
    Said { at: at(seconds), ask_id: Some(format!("ask of {who}")), caller, payload }
}

/// As the mission's sample has it: a name, and nothing that says whose.
fn answered(seconds: i64, is_approved: bool, approver: &str) -> Event {
    Event::Said(said(seconds, approver, Caller::default(), &Decision::new(is_approved, approver)))
}

fn opened(asked: Value) -> Request {
    let new: NewRequest = serde_json::from_value(asked).unwrap();
    Input::New(Box::new(new)).open("r-1".into(), at(ACCEPTED), false).unwrap()
}

/// Due an hour after it was accepted.
fn request() -> Request {
    apply(opened(json!({"requester": "Alice", "item": "Vacation", "timeout_hours": 1})), &Event::Began).0
}

fn verdict(reply: &Reply) -> String {
    match reply {
        Reply::Accepted { outcome } => format!("won: {}", outcome.status()),
        Reply::Recorded { more: Some(more), stage, .. } => format!("recorded, {more} more in stage {stage}"),
        Reply::Recorded { .. } => "recorded".to_owned(),
        Reply::Lost { outcome } => format!("lost to {}", outcome.status()),
        Reply::Refused { why, as_it_is } => format!("{as_it_is:?}: {why}"),
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
fn a_request_that_is_handed_over_is_the_same_request() {
    let (decided, _) = apply(request(), &answered(5, true, "A"));
    let mut staged = Play::new(json!({"seats": [{"from": ["group:sec"], "need": 2}]}));
    staged.line("zoe approves");
    for request in [request(), decided, staged.request.take().unwrap()] {
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), Input::Continued(Box::new(request)));
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

/// A request of Alice's with a plan, in a company of these groups: what people do with it, line by line.
struct Play {
    /// Absent only while something happens to it.
    request: Option<Request>,
    directory: Directory,
    now: i64,
}

impl Play {
    /// A plan of one stage.
    fn new(stage: Value) -> Play {
        Play::of(json!({"stages": [stage]}), json!({}))
    }

    fn of(plan: Value, more: Value) -> Play {
        let mut asked = json!({"requester": "alice", "item": "Deploy", "timeout_hours": 100, "plan": plan});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let groups = json!({"groups": {
            "sec": ["zoe", "yan", "xia"], "fin": ["zoe", "flo"], "two": ["zoe", "flo"], "leads": ["lea"], "alices": ["alice"],
            "none": [],
        }});
        let directory = serde_json::from_value(groups).unwrap();
        let mut play = Play { request: Some(opened(asked)), directory, now: ACCEPTED };
        play.feed(&Event::Began);
        play
    }

    /// What is told to whoever asked.
    fn feed(&mut self, event: &Event) -> Option<Reply> {
        let (request, effects) = apply(self.request.take().unwrap(), event);
        self.request = Some(request);
        let mut told = None;
        for effect in effects {
            match effect {
                Effect::Show => {}
                Effect::Reply { reply, .. } => told = Some(*reply),
                Effect::LookUp(question) => drop(self.feed(&Event::Found(self.directory.resolve(&question)))),
            }
        }
        told
    }

    /// `WHO VERB REST`, or `+HOURSh`; what became of it.
    fn line(&mut self, line: &str) -> String {
        if let Some(hours) = line.strip_prefix('+') {
            self.now += hours.trim_end_matches('h').parse::<i64>().unwrap() * 3_600;
            self.pass_time();
            return self.status();
        }
        let mut words = line.splitn(3, ' ');
        let (who, verb, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
        let mut caller = Caller::person(who);
        caller.groups = self.directory.groups_of(caller.person.as_ref().unwrap());
        if who == "boss" {
            caller.rights = vec![Right::Override, Right::Assign, Right::Withdraw];
        }
        self.now += 1;
        self.pass_time();
        let more = if rest.starts_with('{') { serde_json::from_str(rest).unwrap() } else { json!({}) };
        let event = |payload: Value| said(self.now, who, caller.clone(), &payload);
        let decide = |is_approved: bool| {
            let mut decision = json!({"is_approved": is_approved, "approver": who});
            decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Event::Said(event(decision))
        };
        let event = match verb {
            "approves" => decide(true),
            "rejects" => decide(false),
            "abstains" => Event::Said(event(json!({"is_approved": false, "approver": who, "choice": "abstain"}))),
            "claims" | "releases" => Event::Said(event(json!({"act": verb.trim_end_matches('s')}))),
            "assigns" | "delegates" | "forwards" => {
                Event::Said(event(json!({"act": verb.trim_end_matches('s'), "to": rest})))
            }
            "revises" => {
                let mut act = json!({"act": "revise"});
                act.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                Event::Said(event(act))
            }
            "answers" => Event::Said(event(json!({"act": "answer", "question": 1, "text": rest}))),
            _ => Event::Said(event(json!({"act": verb.trim_end_matches('s'), "text": rest}))),
        };
        self.feed(&event).as_ref().map(verdict).unwrap_or_default()
    }

    fn pass_time(&mut self) {
        while let Some(next) = self.request().wakes_at().filter(|next| *next <= at(self.now)) {
            self.feed(&Event::TimeReached(next));
        }
    }

    fn request(&self) -> &Request {
        self.request.as_ref().unwrap()
    }

    fn status(&self) -> String {
        let request = self.request();
        let mut status = request.outcome.as_ref().map_or("open", Outcome::detail).to_owned();
        if let Some(open) = request.open.as_ref().filter(|open| request.outcome.is_none() && open.level > Level::Named)
        {
            write!(status, ", asks {:?}", open.level).unwrap();
        }
        status
    }
}

/// Plays lines of `what happens -> what is told`.
#[track_caller]
fn play(mut play: Play, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, expected) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line:?} has no arrow"));
        assert_eq!(play.line(what.trim()), expected.trim(), "after {what:?}");
    }
}

fn stage(from: &[&str], need: impl Into<Value>) -> Value {
    json!({"seats": [{"from": from, "need": need.into()}]})
}

fn stage_seat(from: &str, need: &Value) -> Value {
    json!({"from": [from], "need": need})
}

#[test]
fn one_of_several_is_enough_and_who_is_not_asked_is_refused() {
    play(
        Play::new(stage(&["group:sec", "user:max"], "any")),
        "flo approves -> Forbidden: flo is not asked in this stage
         alice approves -> Forbidden: nobody decides what he asked for himself
         max approves -> won: Approved
         max approves -> won: Approved
         max rejects -> lost to Approved
         yan approves -> lost to Approved",
    );
}

#[test]
fn two_of_three_are_needed_and_a_change_of_mind_counts_once() {
    play(
        Play::new(json!({"seats": [{"from": ["group:sec"], "need": 2}], "veto": "none"})),
        "zoe approves -> recorded, 1 more in stage 0
         zoe approves -> recorded, 1 more in stage 0
         zoe rejects -> recorded, 2 more in stage 0
         zoe approves {\"comments\": \"after all\"} -> recorded, 1 more in stage 0
         yan rejects -> recorded, 1 more in stage 0
         xia approves -> won: Approved",
    );
    play(
        Play::new(json!({"seats": [{"from": ["group:sec"], "need": 2}], "veto": "none"})),
        "zoe rejects -> recorded, 2 more in stage 0
         yan rejects -> won: Rejected",
    );
}

#[test]
fn one_veto_ends_it_and_two_if_two_are_needed() {
    play(
        Play::new(stage(&["group:sec"], "all")),
        "zoe approves -> recorded, 2 more in stage 0\nyan rejects -> won: Rejected",
    );
    play(
        Play::new(json!({"seats": [{"from": ["group:sec"], "need": 1}], "veto": {"count": 2}})),
        "zoe rejects -> recorded, 1 more in stage 0\nyan rejects -> won: Rejected",
    );
}

#[test]
fn who_is_in_two_groups_counts_once_and_fills_the_seat_that_others_cannot() {
    let seats = json!({"seats": [{"from": ["group:sec"], "need": 1}, {"from": ["group:fin"], "need": 1}]});
    play(
        Play::new(seats.clone()),
        "zoe approves -> recorded, 1 more in stage 0
         flo approves -> won: Approved",
    );
    play(
        Play::new(seats),
        "zoe approves -> recorded, 1 more in stage 0
         yan approves -> won: Approved",
    );
}

#[test]
fn who_abstains_is_no_part_of_a_share_and_if_nobody_is_left_others_are_asked() {
    play(
        Play::new(stage(&["group:sec"], "60%")),
        "zoe abstains -> recorded, 2 more in stage 0
         yan approves -> recorded, 1 more in stage 0
         xia approves -> won: Approved",
    );
    play(
        Play::of(json!({"stages": [stage(&["group:two"], "all")], "fallback": ["group:leads"]}), json!({})),
        "zoe abstains -> recorded, 1 more in stage 0
         flo abstains -> recorded, 1 more in stage 0
         +1h -> open, asks Fallback
         yan approves -> Forbidden: yan is not asked in this stage
         lea approves -> won: Approved",
    );
}

#[test]
fn what_nobody_could_decide_goes_to_the_fallback_then_to_the_admins() {
    play(
        Play::new(stage(&["group:none"], 1)),
        "+1h -> open, asks Admins
         boss assigns alice -> Invalid: to: alice has asked for it himself
         boss assigns max -> recorded, 1 more in stage 0
         max approves -> won: Approved",
    );
    play(
        Play::new(stage(&["group:alices"], 1)),
        "+1h -> open, asks Admins
         zoe override no time -> Forbidden: overriding is a right of its own, which you have not
         boss override -> Invalid: text: must not be empty
         boss override the site is down -> won: Approved
         +0h -> approved_by_override",
    );
    play(
        Play::of(json!({"stages": [stage(&["group:none"], "all")], "fallback": ["group:leads"]}), json!({})),
        "+1h -> open, asks Fallback
         lea abstains -> recorded
         +1h -> open, asks Admins",
    );
}

#[test]
fn stages_follow_each_other_and_earlier_votes_do_not_count_again() {
    play(
        Play::of(json!({"stages": [stage(&["group:sec"], 1), stage(&["group:fin"], 1)]}), json!({})),
        "flo approves -> Forbidden: flo is not asked in this stage
         zoe approves -> recorded, 1 more in stage 1
         yan approves -> Forbidden: yan is not asked in this stage
         flo approves -> won: Approved",
    );
}

#[test]
fn a_claim_keeps_others_from_what_one_decides_and_lapses() {
    play(
        Play::new(stage(&["group:sec"], 1)),
        "yan claims -> recorded, 1 more in stage 0
         zoe claims -> Conflict: yan has it since 1970-01-12T13:46:41Z
         zoe approves -> Conflict: yan has it until 1970-01-12T17:46:41Z
         zoe releases -> Forbidden: yan has it
         +4h -> open
         zoe approves -> won: Approved",
    );
    play(
        Play::new(stage(&["group:sec"], 1)),
        "yan assigns max -> Invalid: to: max is not asked in this stage; forward it to him instead
         yan assigns xia -> recorded, 1 more in stage 0
         yan assigns yan -> Conflict: xia has it since 1970-01-12T13:46:42Z
         yan approves -> Conflict: xia has it until 1970-01-12T17:46:42Z
         xia releases -> recorded, 1 more in stage 0
         yan approves -> won: Approved",
    );
}

#[test]
fn a_delegate_votes_for_somebody_who_may_take_it_back_until_he_has() {
    play(
        Play::new(stage(&["group:sec"], 2)),
        "zoe delegates zoe -> Invalid: to: is yourself
         zoe delegates max -> recorded, 2 more in stage 0
         max delegates zoe -> Invalid: to: zoe has passed it on himself
         max approves -> recorded, 1 more in stage 0
         zoe approves -> Conflict: max has already voted for zoe
         xia approves -> won: Approved",
    );
    play(
        Play::new(stage(&["group:sec"], "all")),
        "zoe delegates yan -> Conflict: too few would be left to decide: one person counts once, for whomever he acts
         zoe delegates max -> recorded, 3 more in stage 0
         max approves -> recorded, 2 more in stage 0
         yan approves -> recorded, 1 more in stage 0
         xia approves -> won: Approved",
    );
    play(
        Play::new(stage(&["group:sec"], 1)),
        "zoe delegates a -> recorded, 1 more in stage 0
         a delegates b -> recorded, 1 more in stage 0
         b delegates c -> recorded, 1 more in stage 0
         c delegates d -> Conflict: it was passed on 3 times already
         zoe delegates alice -> Invalid: to: alice has asked for it himself
         c approves -> won: Approved",
    );
}

#[test]
fn a_seat_yields_one_vote_however_it_was_passed_on() {
    // Who takes it back takes it from his delegate.
    play(
        Play::new(stage(&["group:sec"], 2)),
        "zoe delegates max -> recorded, 2 more in stage 0
         zoe approves -> recorded, 1 more in stage 0
         max approves -> Forbidden: max is not asked in this stage
         yan approves -> won: Approved",
    );
    // The last delegate counts.
    play(
        Play::new(stage(&["group:sec"], 2)),
        "zoe delegates max -> recorded, 2 more in stage 0
         zoe delegates ann -> recorded, 2 more in stage 0
         max approves -> Forbidden: max is not asked in this stage
         ann approves -> recorded, 1 more in stage 0
         zoe approves -> Conflict: ann has already voted for zoe
         zoe delegates max -> Conflict: ann has already voted for zoe",
    );
    // At the end of a chain, too.
    play(
        Play::new(stage(&["group:sec"], 2)),
        "zoe delegates a -> recorded, 2 more in stage 0
         a forwards b -> recorded, 2 more in stage 0
         b approves -> recorded, 1 more in stage 0
         zoe approves -> Conflict: b has already voted for zoe
         a approves -> Conflict: b has already voted for a",
    );
    // Who was left something of a seat that others fill now has nothing left.
    play(
        Play::of(
            json!({"stages": [stage(&["group:sec"], 1)], "on_timeout": "escalate", "fallback": ["group:leads"]}),
            json!({}),
        ),
        "zoe delegates max -> recorded, 1 more in stage 0
         yan forwards ned -> recorded, 1 more in stage 0
         +100h -> open, asks Fallback
         max approves -> Forbidden: max is not asked in this stage
         ned approves -> Forbidden: ned is not asked in this stage
         lea approves -> won: Approved",
    );
}

#[test]
fn who_is_away_is_stood_in_for_and_counts_once_with_him() {
    let mut away = Play::of(json!({"stages": [stage(&["ann", "cem"], "all")]}), json!({}));
    away.directory = serde_json::from_value(json!({"users": {"ben": {}, "cem": {}, "alice": {}, "ann": {"away": [
        {"from": "1970-01-01T00:00:00Z", "until": "1971-01-01T00:00:00Z", "delegate": "ben"}]}}}))
    .unwrap();
    // Looked up anew, as when the configuration has changed.
    let question = LookUp {
        seats: away.request().open.as_ref().unwrap().seats.clone(),
        opened_at: at(ACCEPTED),
        at: at(ACCEPTED),
        after: Vec::new(),
        category: None,
        requester: Person::new("alice"),
    };
    let found = Event::Found(away.directory.resolve(&question));
    away.feed(&found);
    play(
        away,
        "ben approves -> recorded, 1 more in stage 0
         ann approves -> Conflict: ben has already voted for ann
         cem approves -> won: Approved",
    );
}

#[test]
fn whoever_asks_has_no_say_in_who_answers() {
    let mut play = Play::of(json!({"stages": [stage(&["group:sec"], 1)]}), json!({"requester": " user: zoe "}));
    let refused = "Forbidden: nobody decides what he asked for himself";
    for line in
        ["zoe approves", "zoe claims", "zoe forwards max", "zoe delegates max", "zoe returns why", "zoe assigns yan"]
    {
        assert_eq!(play.line(line), refused, "{line}");
    }
    assert_eq!(play.line("zoe withdraws"), "won: Withdrawn");
}

#[test]
fn what_is_told_is_what_came_of_it() {
    // Who abstained has not approved, and whose vote came too late has decided nothing.
    play(
        Play::new(stage(&["group:sec"], "60%")),
        "zoe approves -> recorded, 1 more in stage 0
         yan approves -> won: Approved
         xia abstains -> lost to Approved
         zoe approves -> won: Approved
         zoe rejects -> lost to Approved",
    );
    play(
        Play::new(stage(&["group:sec"], 2)),
        "zoe approves -> recorded, 1 more in stage 0
         +100h -> expired
         zoe approves -> lost to Timeout",
    );
}

#[test]
fn the_same_again_counts_once_whatever_it_changes() {
    let edit = r#"{"edits": [{"op": "replace", "path": "/amount", "value": 5}]}"#;
    let none = r#"{"edits": []}"#;
    let plan = json!({"stages": [stage(&["group:sec"], 3)], "editable": ["/amount"]});
    play(
        Play::of(plan, json!({"payload": {"amount": 9}})),
        &format!(
            "zoe approves {edit} -> recorded, 2 more in stage 0
             yan approves -> recorded, 1 more in stage 0
             zoe approves {edit} -> recorded, 1 more in stage 0
             zoe approves {none} -> recorded, 1 more in stage 0
             zoe approves {{\"stage\": 2}} -> Conflict: stage 2 was open when you looked, stage 1 is now
             xia approves -> won: Approved"
        ),
    );
}

#[test]
fn a_name_in_an_event_takes_nothing_from_whoever_bears_it() {
    let seats = json!({"seats": [{"from": ["anyone"]}, {"from": ["user:cfo", "user:coo"]}], "veto": {"count": 2}});
    let mut play = Play::new(seats);
    assert_eq!(play.line("cfo rejects"), "recorded, 2 more in stage 0");
    let forged = play.feed(&answered(ACCEPTED + 2, true, "cfo")).unwrap();
    assert_eq!(verdict(&forged), "recorded, 1 more in stage 0");
    let votes = &play.request().open.as_ref().unwrap().votes;
    assert_eq!(
        votes.iter().map(|vote| (vote.person.as_str(), vote.ballot)).collect::<Vec<_>>(),
        [("cfo", Ballot::Reject), ("event", Ballot::Approve)]
    );
    // All that programs raise is one vote.
    let two = json!({"seats": [{"from": ["anyone"], "need": 2}]});
    let mut play = Play::new(two);
    for name in ["A", "B"] {
        let told = play.feed(&answered(ACCEPTED + 1, true, name)).unwrap();
        assert_eq!(verdict(&told), "recorded, 1 more in stage 0");
    }
}

#[test]
fn nobody_starts_a_request_in_the_middle() {
    let decided = json!({"rules": 2, "request_id": "victim", "submitted_at": "1970-01-12T13:46:40Z", "due": "1970-01-12T14:46:40Z",
        "asked": {"requester": "alice", "item": "x"}, "stage": 99});
    let forged: Input = serde_json::from_value(decided).unwrap();
    assert_eq!(forged.clone().open("r-1".into(), at(0), false).unwrap_err().field, "rules");
    assert_eq!(forged.open("r-1".into(), at(0), true).unwrap().request_id, "r-1");
    let many = json!([{"from": ["zoe"], "need": 10001}]);
    assert!(serde_json::from_value::<Vec<Seat>>(many).is_err());
}

#[test]
fn a_share_is_one_of_those_who_were_there_whoever_is_asked_besides() {
    let escalate = |step: Value| json!({"seats": [{"from": ["group:sec"], "need": "all"}], "escalate": [step]});
    play(
        Play::new(escalate(json!({"after": "1h", "add": ["group:leads"]}))),
        "zoe approves -> recorded, 2 more in stage 0
         +2h -> open
         lea approves -> recorded, 1 more in stage 0
         yan approves -> won: Approved",
    );
    play(
        Play::new(escalate(json!({"after": "1h", "replace": {"with": ["lea", "cto"], "at_most": 1}}))),
        "+2h -> open
         zoe approves -> Forbidden: zoe is not asked in this stage
         cto approves -> won: Approved",
    );
}

#[test]
fn the_clock_of_escalation_stands_while_somebody_has_it_if_the_plan_says_so() {
    let escalate = json!([{"after": "2h", "add": ["group:leads"]}]);
    let stage = json!({"seats": [{"from": ["group:sec"]}], "escalate": escalate, "claim_pauses": true});
    play(
        Play::new(stage),
        "+1h -> open
         zoe claims -> recorded, 1 more in stage 0
         +3h -> open
         zoe releases -> recorded, 1 more in stage 0
         lea approves -> Forbidden: lea is not asked in this stage
         +1h -> open
         lea approves -> won: Approved",
    );
}

#[test]
fn who_has_left_a_group_is_missed_when_he_calls() {
    let mut left = Play::of(json!({"stages": [stage(&["group:sec"], "all")], "fallback": ["group:leads"]}), json!({}));
    left.line("yan approves");
    left.directory.groups.insert("sec".to_owned(), vec!["yan".parse().unwrap(), "xia".parse().unwrap()]);
    play(
        left,
        "zoe approves -> Forbidden: zoe is not asked in this stage
         +1h -> open, asks Fallback
         lea approves -> recorded, 1 more in stage 0
         xia approves -> won: Approved",
    );
}

#[test]
fn ten_thousand_approvers_vote_in_seconds() {
    let mut crowd = Play::new(stage(&["group:sec"], "all"));
    let everybody: Vec<Approver> = (0..10_000).map(|n| format!("p{n}").parse().unwrap()).collect();
    crowd.directory.groups.insert("sec".to_owned(), everybody);
    let question = LookUp {
        seats: crowd.request().open.as_ref().unwrap().seats.clone(),
        opened_at: at(ACCEPTED),
        at: at(ACCEPTED),
        after: Vec::new(),
        category: None,
        requester: Person::new("alice"),
    };
    let found = crowd.directory.resolve(&question);
    assert_eq!(found.people.len(), 10_000);
    let mut request = crowd.request().clone();
    request.open.as_mut().unwrap().electors.clear();
    let mut request = apply(request, &Event::Found(found)).0;
    let caller = |name: &str| Caller { groups: vec!["sec".to_owned()], ..Caller::person(name) };
    let since = std::time::Instant::now();
    for n in 0..50 {
        let name = format!("p{n}");
        let vote = Event::Said(said(ACCEPTED + 1, &name, caller(&name), &Decision::new(true, name.as_str())));
        let (next, effects) = apply(request, &vote);
        request = next;
        let left = 9_999 - n;
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(&**reply),
            _ => None,
        });
        assert!(matches!(told, Some(Reply::Recorded { more: Some(more), .. }) if *more == left), "{told:?}");
    }
    println!("a vote of one among 10,000: {:?}", since.elapsed() / 50);
    assert!(serde_json::to_vec(&request.row()).unwrap().len() < 64 << 10);
}

#[test]
fn who_forwards_it_is_asked_no_more() {
    play(
        Play::new(stage(&["group:sec"], "all")),
        "zoe forwards max -> recorded, 3 more in stage 0
         zoe approves -> Forbidden: zoe is not asked in this stage
         yan approves -> recorded, 2 more in stage 0
         xia approves -> recorded, 1 more in stage 0
         max approves -> won: Approved",
    );
}

#[test]
fn escalation_adds_then_replaces_by_time_from_the_start() {
    let escalate = json!([
        {"after": "PT2H", "remind": {}}, {"after": "PT4H", "add": ["group:leads"]},
        {"after": "1d", "replace": {"with": ["user:cto"], "at_most": 1}},
    ]);
    let stage = json!({"seats": [{"from": ["group:sec"], "need": 2}], "escalate": escalate});
    play(
        Play::new(stage.clone()),
        "+3h -> open
         lea approves -> Forbidden: lea is not asked in this stage
         +1h -> open
         lea approves -> recorded, 1 more in stage 0
         yan approves -> won: Approved",
    );
    play(
        Play::new(stage),
        "zoe approves -> recorded, 1 more in stage 0
         +24h -> open
         yan approves -> Forbidden: yan is not asked in this stage
         cto approves -> won: Approved",
    );
}

#[test]
fn at_the_deadline_the_plan_says_what_silence_means() {
    let of = |more: Value| {
        let mut plan = json!({"stages": [stage(&["group:sec"], 1)]});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Play::of(plan, json!({}))
    };
    play(of(json!({})), "+100h -> expired\nzoe approves -> lost to Timeout");
    play(of(json!({"on_timeout": "reject"})), "+100h -> rejected_by_policy");
    play(
        of(json!({"on_timeout": "escalate", "fallback": ["group:leads"]})),
        "+100h -> open, asks Fallback
         zoe approves -> Forbidden: zoe is not asked in this stage
         +98h -> open, asks Fallback
         lea approves -> won: Approved",
    );
    play(of(json!({"on_timeout": "escalate", "fallback": ["group:leads"]})), "+200h -> expired");
    let silent = || of(json!({"on_timeout": "approve", "silent_consent": true}));
    play(silent(), "+100h -> expired");
    let mut told = silent();
    told.feed(&Event::Told(vec![Person::new("zoe"), Person::new("yan")]));
    play(told, "+100h -> expired");
    let mut told = silent();
    told.feed(&Event::Told(["zoe", "yan", "xia"].map(Person::new).to_vec()));
    play(told, "+100h -> approved_by_policy");
}

#[test]
fn what_is_returned_is_revised_by_whoever_asked_and_voted_on_anew() {
    play(
        Play::of(json!({"stages": [stage(&["group:sec"], 1), stage(&["group:fin"], 1)]}), json!({"payload": {"amount": 9}})),
        "zoe approves -> recorded, 1 more in stage 1
         yan returns too much -> Forbidden: yan is not asked in this stage
         flo returns too much -> recorded, 1 more in stage 1
         flo approves -> Conflict: it was returned for changes and is not resubmitted yet
         flo revises {\"item\": \"x\"} -> Forbidden: only whoever requested it may change it; an approver edits or returns it
         alice revises {\"payload\": {\"amount\": 5}} -> recorded, 1 more in stage 0
         zoe approves {\"revision\": 1} -> Changed: revision: 1 was shown to you, 2 is asked for now
         zoe approves {\"revision\": 2} -> recorded, 1 more in stage 1
         flo approves -> won: Approved",
    );
}

#[test]
fn an_approver_edits_what_he_may_and_others_confirm_it() {
    let edit = r#"{"edits": [{"op": "replace", "path": "/amount", "value": 5}]}"#;
    let with = |more: Value| {
        let mut plan = json!({"stages": [stage(&["group:sec"], 2)], "editable": ["/amount"]});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Play::of(plan, json!({"payload": {"amount": 9, "to": "Bob"}}))
    };
    let mut edited = with(json!({}));
    for (line, told) in [
        ("yan approves", "recorded, 1 more in stage 0"),
        (
            r#"zoe approves {"edits": [{"op": "replace", "path": "/to", "value": "Eve"}]}"#,
            "Forbidden: edits: \"/to\" may not be changed; [\"/amount\"] may",
        ),
        (r#"zoe rejects {"edits": []}"#, "Invalid: edits: only who approves changes anything"),
        (&format!("zoe approves {edit}"), "recorded, 1 more in stage 0"),
        (r#"yan approves {"revision": 1}"#, "Changed: revision: 1 was shown to you, 2 is asked for now"),
        ("yan approves", "won: Approved"),
    ] {
        assert_eq!(edited.line(line), told, "{line}");
    }
    let Some(Outcome::Approved(decided)) = &edited.request().outcome else { panic!("it was approved") };
    assert_eq!((decided.revision, &decided.approved), (Some(2), &Some(json!({"amount": 5, "to": "Bob"}))));
    let proposed = edited.request().edited.as_ref().map(|edited| &edited.proposed);
    assert_eq!(proposed, Some(&json!({"amount": 9, "to": "Bob"})));

    // Alone he settles it, but not under four eyes.
    let alone = |four_eyes: bool| {
        let plan = json!({"stages": [stage(&["group:sec"], 1)], "editable": ["/amount"], "four_eyes": four_eyes});
        Play::of(plan, json!({"payload": {"amount": 9}}))
    };
    play(alone(false), &format!("zoe approves {edit} -> won: Approved"));
    play(alone(true), &format!("zoe approves {edit} -> recorded, 1 more in stage 0\nyan approves -> won: Approved"));
}

#[test]
fn who_has_changed_it_and_is_the_only_one_needs_somebody_else_under_four_eyes() {
    let plan = json!({
        "stages": [stage(&["user:zoe"], 1)], "editable": ["/amount"], "four_eyes": true, "fallback": ["group:leads"],
    });
    play(
        Play::of(plan, json!({"payload": {"amount": 9}})),
        r#"zoe approves {"edits": [{"op": "replace", "path": "/amount", "value": 5}]} -> recorded, 1 more in stage 0
           +1h -> open, asks Fallback
           lea approves -> won: Approved"#,
    );
}

#[test]
fn an_approver_fills_in_what_is_asked_for() {
    let play_with = || {
        Play::of(
            json!({"stages": [stage(&["group:sec"], 1)]}),
            json!({
                "input_schema": {"type": "object", "required": ["budget"], "properties": {"budget": {"type": "integer"}}},
                "outcomes": [{"name": "later", "is_approval": false}, {"name": "half", "is_approval": true}],
                "questions": [{"id": "when", "text": "When?", "required": true, "schema": {"type": "string"}}],
            }),
        )
    };
    play(
        play_with(),
        r#"zoe approves -> Invalid: input: value is not of type "object"
           zoe approves {"input": {"budget": "x"}} -> Invalid: input/budget: value is not of type "integer"
           zoe approves {"input": {"budget": 1}} -> Invalid: answers: "when" must be answered
           zoe approves {"input": {"budget": 1}, "answers": {"why": 1}} -> Invalid: answers: there is no question "why"
           zoe approves {"input": {"budget": 1}, "answers": {"when": 1}} -> Invalid: answers.when: value is not of type "string"
           zoe approves {"choice": "later"} -> Invalid: is_approved: "later" says otherwise
           zoe approves {"choice": "never"} -> Invalid: choice: "never" is none of ["later", "half"]
           zoe rejects {"choice": "later"} -> won: Rejected"#,
    );
    let mut filled = play_with();
    filled.line(r#"zoe approves {"choice": "half", "input": {"budget": 1}, "answers": {"when": "now"}}"#);
    let Some(Outcome::Approved(decided)) = &filled.request().outcome else { panic!("it was approved") };
    assert_eq!(decided.choice.as_deref(), Some("half"));
    assert_eq!((&decided.input, &decided.answers["when"]), (&Some(json!({"budget": 1})), &json!("now")));
}

#[test]
fn questions_are_answered_in_the_thread_and_a_request_is_taken_back() {
    play(
        Play::new(stage(&["group:sec"], 1)),
        "flo questions why -> Forbidden: flo is not asked in this stage
         zoe questions why -> recorded, 1 more in stage 0
         zoe answers because -> Forbidden: whoever requested it was asked
         alice answers because -> recorded, 1 more in stage 0
         alice answers because -> Invalid: question: no question 1 waits for an answer
         max comments hm -> recorded, 1 more in stage 0
         zoe withdraws -> Forbidden: only whoever requested it may withdraw it
         alice withdraws -> won: Withdrawn
         zoe approves -> lost to Withdrawn",
    );
}

#[test]
fn a_forged_name_in_an_event_is_nobodys_vote() {
    let mut forged = Play::new(stage(&["user:cfo", "group:sec"], 1));
    let told = forged.feed(&answered(ACCEPTED + 1, true, "cfo")).unwrap();
    assert_eq!(
        verdict(&told),
        "Forbidden: an event bears nobody's name, and only some are asked in this stage: use the API"
    );
    let strict = json!({"stages": [stage(&["group:sec"], 1)], "proof": "session"});
    assert_eq!(
        Play::of(strict, json!({})).line("zoe approves"),
        "Forbidden: this request asks for more proof of who you are: session"
    );
}

proptest! {
    /// Whatever people do, in whatever order and however late: there is one outcome, everybody is told that one, and whoever
    /// decides was asked and has not asked for it himself.
    #[test]
    fn whatever_happens_there_is_one_outcome(
        lines in proptest::collection::vec((0_usize..6, 0_usize..12, 0_usize..6), 1..60),
        needs in proptest::collection::vec(0_usize..4, 1..3),
        veto in 0_usize..3,
    ) {
        let people = ["alice", "zoe", "yan", "flo", "lea", "boss"];
        let need = [json!(1), json!(2), json!("all"), json!("50%")];
        let seats: Vec<Value> = needs.iter().enumerate()
            .map(|(at, &of)| stage_seat(["group:sec", "group:fin"][at % 2], &need[of])).collect();
        let veto = [json!({"count": 1}), json!({"count": 2}), json!("none")][veto].clone();
        let plan = json!({
            "stages": [{"seats": seats, "veto": veto}, stage(&["group:two"], 1)],
            "fallback": ["group:leads"], "editable": [""],
        });
        let mut play = Play::of(plan, json!({"payload": {"n": 0}}));
        let mut first: Option<Outcome> = None;
        for (who, what, to) in lines {
            let (who, to) = (people[who], people[to]);
            let line = match what {
                0..=2 => format!("{who} approves"),
                3 => format!("{who} rejects"),
                4 => format!("{who} abstains"),
                5 => format!("{who} delegates {to}"),
                6 => format!("{who} forwards {to}"),
                7 => format!("{who} claims"),
                8 => format!("{who} assigns {to}"),
                9 => format!(r#"{who} approves {{"edits": [{{"op": "replace", "path": "/n", "value": {}}}]}}"#, to.len()),
                10 => format!(r#"{who} revises {{"item": "{to}"}}"#),
                _ => "+2h".to_owned(),
            };
            let told = play.line(&line);
            let outcome = play.request().outcome.clone();
            if let Some(first) = &first {
                prop_assert_eq!(Some(first), outcome.as_ref());
                prop_assert!(line.starts_with('+') || told.ends_with(first.status()), "{} of {:?}", told, first);
            }
            if let Some(Outcome::Approved(decided)) = &outcome {
                prop_assert_ne!(decided.approver.as_str(), "alice");
                let distinct: std::collections::BTreeSet<_> = decided.approvers.iter().collect();
                prop_assert!(!distinct.contains(&Person::new("alice")));
            }
            first = first.or(outcome);
        }
    }

    /// Votes that are all yes come to the same, in whatever order.
    #[test]
    fn the_order_of_votes_does_not_matter(order in Just(["zoe", "yan", "xia", "flo"]).prop_shuffle(), take in 1_usize..5) {
        let seats = json!({"seats": [{"from": ["group:sec"], "need": 2}, {"from": ["group:fin"], "need": 1}]});
        let come_to = |people: &mut dyn Iterator<Item = &str>| {
            let mut play = Play::new(seats.clone());
            people.for_each(|who| drop(play.line(&format!("{who} approves"))));
            play.status()
        };
        let mut sorted = order[..take].to_vec();
        sorted.sort_unstable();
        prop_assert_eq!(come_to(&mut order[..take].iter().copied()), come_to(&mut sorted.into_iter()));
    }
}
