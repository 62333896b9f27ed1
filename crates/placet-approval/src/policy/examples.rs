//! The policies of `examples/policies`, one for each use that people have of approvals: what they need of which request.

use serde_json::json;

use super::*;
use crate::configuration::{Configuration, Needs};
use crate::directory::Directory;

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The request of an example, changed in its payload.
fn needs(name: &str, changed: Value) -> Result<Needs, FieldError> {
    let read = |ending: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies");
        std::fs::read_to_string(format!("{folder}/{name}.{ending}")).unwrap()
    };
    let mut file: toml::Table = toml::from_str(&read("toml")).unwrap();
    let policies: BTreeMap<String, Policy> = file.remove("policies").unwrap().try_into().unwrap();
    let directory: Directory = file.try_into().unwrap();
    let configuration = Configuration { directory, policies: Policies::new(policies, &BTreeMap::new()).unwrap() };
    let mut asked: NewRequest = serde_json::from_str(&read("json")).unwrap();
    let payload = asked.payload.as_mut().unwrap().as_object_mut().unwrap();
    payload.extend(changed.as_object().unwrap().clone());
    configuration.needs(&asked, NOW)
}

/// Who is asked, stage by stage, and for how many hours.
fn asks(name: &str, changed: Value) -> (Vec<String>, i64) {
    let needs = needs(name, changed).unwrap();
    let seat = |seat: &Seat| {
        let from: Vec<String> = seat.from.iter().map(ToString::to_string).collect();
        format!("{} of {}", seat.need, from.join(", "))
    };
    let stages = needs.plan.stages.iter();
    let stages = stages.map(|stage| stage.seats.iter().map(seat).collect::<Vec<String>>().join(" and "));
    (stages.collect(), needs.due.duration_since(NOW).as_hours())
}

#[test]
fn an_expense_is_the_managers_then_the_more_it_is_the_more_people_see_it() {
    let manager = "1 of group:managers";
    for (amount, stages) in [
        (999.0, &[manager][..]),
        (1_000.01, &[manager, "1 of group:finance"]),
        (10_000.5, &[manager, "1 of group:finance and 1 of user:carl"]),
    ] {
        assert_eq!(asks("expense", json!({"amount": amount})), (stages.iter().map(ToString::to_string).collect(), 120));
    }
    let content = needs("expense", json!({})).unwrap().content;
    assert!(content.details.contains(r"**1180\.5 EUR** for Two monitors, spent by ann"), "{}", content.details);
    assert!(content.details.ends_with("> The old ones flicker.\n"), "{}", content.details);
    assert_eq!(content.editable, ["/cost_center"]);
    assert!(content.input_schema.is_some());
    assert_eq!(needs("expense", json!({"amount": "many"})).unwrap_err().field, "payload");
}

#[test]
fn content_that_could_do_harm_or_reaches_many_is_seen_by_two_more() {
    let two = "2 of group:trust";
    for (reach, flags, stages) in [
        (1_200, json!(["spam"]), 1),
        (1_200, json!([]), 1),
        (1_200, json!(["spam", "violence"]), 2),
        (2_000_000, json!([]), 2),
    ] {
        let (asked, hours) = asks("content-moderation", json!({"reach": reach, "flags": flags}));
        assert_eq!((asked.len(), hours), (stages, 24), "{reach} {flags}");
        assert_eq!(asked.get(1).map(String::as_str), (stages == 2).then_some(two));
    }
    let Needs { plan, content, .. } = needs("content-moderation", json!({})).unwrap();
    assert!(plan.four_eyes && plan.on_timeout == OnTimeout::Reject && plan.editable == ["/text"]);
    let outcomes: Vec<&str> = content.outcomes.iter().map(|choice| choice.name.as_str()).collect();
    assert_eq!(outcomes, ["age-restricted", "spam"]);
    assert_eq!(content.questions[0].id, "reason");
}

#[test]
fn a_change_is_reviewed_and_what_is_risky_or_out_of_hours_is_the_on_calls_too() {
    let (review, keepers) = ("1 of group:developers", "1 of group:developers and 1 of group:databases");
    let on_call = "1 of group:on-call";
    for (risk, in_window, touches, stages) in [
        ("low", true, json!([]), &[review][..]),
        ("low", true, json!(["database"]), &[keepers]),
        ("low", false, json!([]), &[review, on_call]),
        ("high", true, json!(["database"]), &[keepers, on_call]),
    ] {
        let (asked, hours) = asks("change", json!({"risk": risk, "in_window": in_window, "touches": touches}));
        assert_eq!(
            (asked, hours),
            (stages.iter().map(ToString::to_string).collect(), 8),
            "{risk} {in_window} {touches}"
        );
    }
    let plan = needs("change", json!({})).unwrap().plan;
    assert!(plan.critical && !plan.self_approval && plan.revise == Revise::Never);
}

#[test]
fn access_is_the_owners_and_an_administrators_or_a_long_one_is_securitys_too() {
    let (owner, security) = ("1 of group:owners", "60% of group:security");
    for (role, days, stages) in
        [("reader", 2, &[owner][..]), ("reader", 31, &[owner, security]), ("admin", 2, &[owner, security])]
    {
        let (asked, hours) = asks("access", json!({"role": role, "days": days}));
        assert_eq!((asked, hours), (stages.iter().map(ToString::to_string).collect(), 96), "{role} {days}");
    }
    let plan = needs("access", json!({})).unwrap().plan;
    assert_eq!((plan.redact, plan.fallback), (vec!["/reason".to_owned()], vec!["ciso".parse().unwrap()]));
}
