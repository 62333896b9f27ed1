//! What people settle among themselves, and say to each other.

use super::play::*;
use super::*;

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
        calendar: None,
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
