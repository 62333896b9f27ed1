//! What time brings.

use super::play::*;
use super::*;

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
fn a_request_whose_parent_has_ended_is_withdrawn_unless_its_time_was_over_or_it_was_decided() {
    let ended = |script: &str| {
        let mut play = Play::new(stage(&["group:sec"], 1));
        script.lines().for_each(|line| drop(play.line(line.trim())));
        let ends = play.entries.iter().filter(|entry| matches!(entry.what, Entered::Ended { .. })).count();
        assert_eq!(ends, 1, "{script}");
        play.request().outcome.clone().unwrap()
    };
    let Outcome::Withdrawn(withdrawn) = ended("order-7 ends") else { panic!("it is not withdrawn") };
    assert_eq!((withdrawn.by.as_str(), withdrawn.reason.as_str()), ("its parent", "order-7 no longer waits for it"));
    assert_eq!(ended("zoe approves\norder-7 ends").status(), "Approved");
    assert_eq!(ended("order-7 ends\nzoe approves").status(), "Withdrawn");
    assert_eq!(ended("+101h\norder-7 ends").status(), "Timeout");
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
