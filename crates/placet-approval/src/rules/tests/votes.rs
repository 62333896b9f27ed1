//! Who may vote, and what votes come to.

use super::play::*;
use super::*;

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
        calendar: None,
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
fn a_doubled_click_does_not_decide_the_next_stage() {
    let stages = || Play::of(json!({"stages": [stage(&["zoe"], 1), stage(&["zoe", "flo"], 1)]}), json!({}));
    play(
        stages(),
        "zoe approves -> recorded, 1 more in stage 1
         zoe approves -> recorded, 1 more in stage 1
         zoe approves {\"comments\": \"and this\"} -> won: Approved",
    );
    play(
        stages(),
        "zoe approves -> recorded, 1 more in stage 1
         zoe approves {\"stage\": 2} -> won: Approved",
    );
    play(
        stages(),
        "zoe approves -> recorded, 1 more in stage 1
         +1h -> open
         zoe approves -> won: Approved",
    );
    play(
        stages(),
        "zoe approves -> recorded, 1 more in stage 1
         zoe rejects -> won: Rejected",
    );
}
