//! What is asked for changes, and is handed over.

use super::play::*;
use super::*;

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
fn a_vote_on_another_content_than_that_of_now_does_not_count() {
    let mut play =
        Play::of(json!({"stages": [stage(&["group:sec"], 2)]}), json!({"payload": {"amount": 9, "to": "é"}}));
    let hash = play.request().content_hash.clone();
    assert_eq!(hash.len(), 64);
    assert_eq!(play.line(&format!("zoe approves {{\"content_hash\": \"{hash}\"}}")), "recorded, 1 more in stage 0");
    play.line("alice revises {\"payload\": {\"amount\": 10, \"to\": \"é\"}}");
    let changed = "Changed: content_hash: another content was shown to you; revision 2 is asked for now";
    assert_eq!(play.line(&format!("zoe approves {{\"content_hash\": \"{hash}\"}}")), changed);
    // The same content again is the same hash, however it is written; another request's is another one.
    play.line("alice revises {\"payload\": {\"to\": \"\\u00e9\", \"amount\": 9}}");
    assert_eq!(play.request().content_hash, hash);
    let hashes: Vec<&str> = play.entries.iter().map(|entry| entry.content_hash.as_str()).collect();
    assert!(hashes.iter().all(|hash| hash.len() == 64) && hashes[0] == hash && *hashes.last().unwrap() != hash);
    let mut other = opened(json!({"requester": "alice", "item": "x"}));
    let unguessed = other.content_hash.clone();
    (other.salt, other.content_hash) = (String::new(), String::new());
    other.seal("another execution");
    assert_ne!(other.content_hash, unguessed);
}

#[test]
fn integers_that_no_double_holds_are_told_apart() {
    let hash_of = |account: u64| {
        let asked = json!({"requester": "alice", "item": "x", "payload": {"account": account}});
        opened(asked).content_hash
    };
    assert_ne!(hash_of(9_007_199_254_740_993), hash_of(9_007_199_254_740_992));
    assert_ne!(hash_of(u64::MAX), hash_of(u64::MAX - 1));
}

/// As anybody computes it who has what the request shows: SHA-256 of the salt and of the canonical JSON.
#[test]
fn a_contents_hash_stays_the_same_for_ever() {
    let asked = json!({"requester": "alice", "item": "Ü", "details": "d", "payload": {"b": 1.0, "a": [true, null]}});
    let mut request = opened(asked);
    (request.salt, request.content_hash) = ("00ff".into(), String::new());
    request.seal("");
    assert_eq!(request.content_hash, "51aa08d1460bd6a03ff09b4401dfe80467df3b192e5b0fbd829fc32a3398347e");
}
