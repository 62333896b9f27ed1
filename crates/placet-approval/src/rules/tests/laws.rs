//! Whatever people do, in whatever order.

use proptest::prelude::*;

use super::play::*;
use super::*;
use crate::projection::ContentRow;
use crate::rules::content::{content_hash, salted};

proptest! {
    /// What is about nothing but its item has the hash that it would have in canonical form (RFC 8785), whatever that item is.
    #[test]
    fn an_item_alone_has_the_hash_of_its_canonical_form(item in "[\\x00-\\x7f]{0,20}|\\PC{0,20}") {
        let short = content_hash("salt", &item, ContentRow::default());
        prop_assert_eq!(short, salted("salt", json!({"item": item})));
    }

    /// Whatever people do, in whatever order and however late: there is one outcome, everybody is told that one, and whoever
    /// decides was asked and has not asked for it himself.
    #[test]
    fn whatever_happens_there_is_one_outcome(
        lines in proptest::collection::vec((0_usize..6, 0_usize..13, 0_usize..6), 1..60),
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
                11 => "+2h".to_owned(),
                _ if to.len() == 4 && first.is_none() && who == "boss" => "order ends".to_owned(),
                _ => continue,
            };
            let told = play.line(&line);
            let outcome = play.request().outcome.clone();
            if let Some(first) = &first {
                prop_assert_eq!(Some(first), outcome.as_ref());
                let is_said = !line.starts_with('+') && !line.ends_with(" ends");
                prop_assert!(!is_said || told.ends_with(first.status()), "{} of {:?}", told, first);
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
