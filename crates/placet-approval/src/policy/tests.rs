//! What policies make of requests, and what of either is refused.

use serde_json::json;

use super::*;
use crate::act::Act;
use crate::configuration::Configuration;
use crate::directory::Directory;
use crate::identity::Caller;
use crate::rules::{Effect, Event, LookUp, Reply, Said, apply};

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

const EXPENSE: &str = r#"
    [expense]
    timeout = "3d"
    timeout_max = "14d"
    editable = ["/cost_center"]
    redact = ["/iban"]
    details = "Pay **{payload.amount}** for {item}?"
    fallback = ["carl"]
    on_timeout = "escalate"
    proof = "session"
    claim_ttl = "1d"
    input_schema = { type = "object", required = ["cost_center"] }

    [[expense.stages]]
    name = "manager"
    seats = [{ from = ["group:managers"] }]
    escalate = [{ after = "1d", remind = {} }, { after = "2d", add = ["carl"] }]

    [[expense.stages]]
    name = "finance"
    when = "payload.amount > 1000"
    veto = { count = 2 }
    seats = [{ from = ["group:finance"], need = 2 }, { from = ["carl"], when = "payload.amount > 10000" }]
"#;

fn policies(text: &str) -> Policies {
    Policies::new(toml::from_str(text).unwrap(), &BTreeMap::new()).unwrap()
}

fn asked(more: Value) -> NewRequest {
    let mut body = json!({"requester": "ann", "item": "Laptop", "category": "expense"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(body).unwrap()
}

fn planned(text: &str, more: Value) -> Result<Planned, FieldError> {
    policies(text).plan(&asked(more), NOW).map(|planned| planned.expect("a policy applies"))
}

/// The stages with their seats, in short.
fn stages(plan: &Plan) -> Vec<String> {
    let seat = |seat: &Seat| {
        let from: Vec<String> = seat.from.iter().map(ToString::to_string).collect();
        format!("{} of {}", seat.need, from.join(", "))
    };
    let stage = |stage: &Stage| {
        format!("{}: {}", stage.name, stage.seats.iter().map(seat).collect::<Vec<String>>().join(" and "))
    };
    plan.stages.iter().map(stage).collect()
}

#[test]
fn who_is_asked_follows_from_what_is_asked_for() {
    let manager = "manager: 1 of group:managers";
    for (amount, asks) in [
        (900, &[manager][..]),
        (1_000, &[manager]),
        (1_001, &[manager, "finance: 2 of group:finance"]),
        (10_001, &[manager, "finance: 2 of group:finance and 1 of user:carl"]),
    ] {
        let plan = planned(EXPENSE, json!({"payload": {"amount": amount}})).unwrap().plan;
        assert_eq!(stages(&plan), asks, "{amount}");
        assert_eq!(plan.conditions_read, ["/payload/amount"]);
    }
}

#[test]
fn the_whole_policy_stands_in_the_plan_and_in_the_request() {
    let asked = asked(json!({"payload": {"amount": 5_000.5, "iban": "x"}, "details": "**mine**"}));
    let configuration = Configuration { policies: policies(EXPENSE), ..Configuration::default() };
    let directory = json!({"groups": {"managers": ["max"], "finance": ["fay", "fred"]}});
    let configuration = Configuration { directory: serde_json::from_value(directory).unwrap(), ..configuration };
    let needs = configuration.needs(&asked, NOW).unwrap();
    assert_eq!(needs.due, "2026-01-04T00:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(needs.content.details, r"Pay **5000\.5** for Laptop?");
    assert_eq!(needs.content.input_schema, Some(json!({"type": "object", "required": ["cost_center"]})));
    let plan = needs.plan;
    assert_eq!((plan.proof, plan.on_timeout), (Proof::Session, OnTimeout::Escalate));
    assert_eq!((&plan.editable[..], &plan.redact[..]), (&["/cost_center".to_owned()][..], &["/iban".to_owned()][..]));
    assert!(!plan.self_approval && plan.claim_ttl == Some(SignedDuration::from_hours(24)));
    assert_eq!((plan.stages[0].escalate.len(), plan.stages[1].veto), (2, Veto::Count(2)));
    let version = plan.policy.unwrap();
    assert_eq!((version.name.as_str(), version.digest.len()), ("expense", 64));

    let nobody = Configuration { directory: Directory::default(), ..configuration };
    let error = nobody.needs(&asked, NOW).unwrap_err();
    assert!(error.remedy.contains("seat 1 of stage 2 needs 2 of group:finance"), "{error}");
}

#[test]
fn what_is_handed_from_the_activity_to_the_request_is_what_was_planned() {
    let planned = planned(EXPENSE, json!({"payload": {"amount": 20_000}})).unwrap();
    let text = serde_json::to_string(&planned).unwrap();
    assert_eq!(serde_json::from_str::<Planned>(&text).unwrap(), planned);
}

#[test]
fn where_the_policy_says_something_whoever_asks_does_not() {
    let plan = json!({"stages": [{"seats": [{"from": ["ann"]}]}]});
    for (more, field, remedy) in [
        (json!({"approvers": ["bob"]}), "approvers", "policy expense: it says who decides: leave them out"),
        (json!({"plan": plan}), "plan", "leave the plan out"),
        (json!({"input_schema": {}}), "input_schema", "it says what is filled in"),
        (json!({"timeout": "15d"}), "timeout", "policy expense: must be"),
        (json!({"timeout_hours": 1_000}), "timeout", "policy expense: must be"),
        (json!({"due": "2027-01-01T00:00:00Z"}), "timeout", "policy expense: must be"),
        (json!({"payload": {}}), "payload", "stage 2 asks \"payload.amount > 1000\", and that cannot be said"),
        (json!({"payload": {"amount": "9999"}}), "payload", "values of different kinds"),
        (json!({"payload": null}), "payload", "No such key: amount"),
    ] {
        let mut body = json!({"payload": {"amount": 1}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = planned(EXPENSE, body).unwrap_err();
        assert!(error.field == field && error.remedy.contains(remedy), "{more}: {error}");
    }
    let short = planned(EXPENSE, json!({"payload": {"amount": 1}, "timeout": "1h"})).unwrap();
    assert_eq!(short.due.duration_since(NOW), SignedDuration::from_hours(1));
    let forged = asked(json!({"plan": {"policy": {"name": "expense", "digest": "0"}, "stages": [{"seats": []}]}}));
    assert!(forged.check().is_err());
}

#[test]
fn whoever_asks_may_name_the_approvers_where_the_policy_lets_him() {
    let text = "[expense]\napprovers_by_requester = true\nself_approval = false\nproof = \"token\"";
    let plan = planned(text, json!({"approvers": ["bob", "group:x"]})).unwrap().plan;
    assert_eq!((stages(&plan), plan.proof), (vec![": 1 of user:bob, group:x".to_owned()], Proof::Token));
    for (approvers, remedy) in
        [(json!([]), "name those who decide"), (json!(["bob", "anyone"]), "not anyone may decide")]
    {
        let error = planned(text, json!({"approvers": approvers})).unwrap_err();
        assert!(error.field == "approvers" && error.remedy.contains(remedy), "{error}");
    }
}

#[test]
fn the_policy_of_the_category_applies_else_the_default_else_none() {
    let stages = "stages = [{ seats = [{ from = [\"bob\"] }] }]\n";
    let some = policies(&format!("[access]\n{stages}[money]\ncategories = [\"expense\", \"invoice\"]\n{stages}"));
    let all = policies(&format!("[access]\n{stages}[default]\n{stages}"));
    for (category, of_some, of_all) in [
        (Some("access"), Some("access"), "access"),
        (Some("invoice"), Some("money"), "default"),
        (Some("money"), None, "default"),
        (Some("default"), None, "default"),
        (None, None, "default"),
    ] {
        let mut asked = asked(json!({}));
        asked.category = category.map(str::to_owned);
        let name = |policies: &Policies| {
            let planned = policies.plan(&asked, NOW).unwrap();
            assert_eq!(planned.is_some(), policies.apply_to(&asked));
            planned.and_then(|planned| planned.plan.policy).map(|version| version.name)
        };
        assert_eq!((name(&some).as_deref(), name(&all).as_deref()), (of_some, Some(of_all)), "{category:?}");
    }
}

#[test]
fn a_policy_that_nobody_could_live_by_is_refused_with_its_field() {
    let stages = "stages = [{ seats = [{ from = [\"bob\"] }] }]";
    for (text, field, remedy) in [
        ("[a]".to_owned(), "stages", "nobody would decide"),
        (format!("[a]\n{stages}\ncategory = \"x\"\ncategories = [\"y\"]"), "category", "one of the two"),
        (format!("[default]\n{stages}\ncategory = \"x\""), "category", "where no other policy does"),
        (format!("[a]\n{stages}\n[b]\ncategories = [\"a\"]\n{stages}"), "category", "is that of the policy a, too"),
        (format!("[a]\n{stages}\non_timeout = \"escalate\""), "on_timeout", "fallback"),
        (format!("[a]\n{stages}\non_timeout = \"approve\""), "on_timeout", "silent_consent"),
        (format!("[a]\n{stages}\neditable = [\"amount\"]"), "editable", "no JSON pointer"),
        (format!("[a]\n{stages}\nredact = [\"iban\"]"), "redact", "no JSON pointer"),
        (format!("[a]\n{stages}\ntimeout = \"2d\"\ntimeout_max = \"1d\""), "timeout", "longer than `timeout_max`"),
        (format!("[a]\n{stages}\nclaim_ttl = \"-1h\""), "claim_ttl", "more than nothing"),
        (format!("[a]\n{stages}\ninput_schema = {{ type = 7 }}"), "input_schema", ""),
        ("[a]\nstages = [{ seats = [] }]".to_owned(), "seats", "0 entries"),
        (
            "[a]\neditable = [\"/lines\"]\nstages = [{ when = \"payload.lines[0].sum > 5\", seats = [{ from = [\"b\"] }] }]"
                .to_owned(),
            "editable",
            "an edit would go past them",
        ),
    ] {
        let (_, error) = Policies::new(toml::from_str(&text).unwrap(), &BTreeMap::new()).unwrap_err();
        assert!(error.field == field && error.remedy.contains(remedy), "{text}: {error}");
    }
}

#[test]
fn times_are_counted_in_the_hours_of_a_policys_calendar() {
    let office = json!({"office": {"time_zone": "Europe/Berlin", "quiet": ["12:00-13:00"]}});
    let office: BTreeMap<String, Calendar> = serde_json::from_value(office).unwrap();
    let text = EXPENSE.replace("[expense]", "[expense]\n    calendar = \"office\"");
    let of = |text: &str| Policies::new(toml::from_str(text).unwrap(), &office);
    let policies = of(&text).unwrap();
    // A Friday, 16:00 in Berlin.
    let friday: Timestamp = "2026-12-04T15:00:00Z".parse().unwrap();
    let plan = |more: Value| policies.plan(&asked(more), friday).unwrap().unwrap();
    let amount = json!({"payload": {"amount": 5}});
    assert_eq!(plan(amount).due.to_string(), "2026-12-09T15:00:00Z", "three working days");
    let in_hours = json!({"payload": {"amount": 5}, "timeout": "4h"});
    assert_eq!(plan(in_hours).due.to_string(), "2026-12-07T11:00:00Z");
    let on_a_date = json!({"payload": {"amount": 5}, "due": "2026-12-05T10:00:00Z"});
    let planned = plan(on_a_date);
    assert_eq!(planned.due.to_string(), "2026-12-05T10:00:00Z", "a date is one by any calendar");
    // Steps, too, and none of them while it is quiet.
    let step = |after: &str| {
        let question = LookUp {
            seats: Vec::new(),
            opened_at: friday,
            at: friday,
            after: vec![crate::plan::duration(after).unwrap()],
            calendar: planned.plan.calendar.clone(),
            category: None,
            requester: crate::identity::Person::new("ann"),
        };
        Directory::default().resolve(&question).steps[0].to_string()
    };
    assert_eq!(
        [step("1d"), step("4h"), step("5h")],
        ["2026-12-07T15:00:00Z", "2026-12-07T12:00:00Z", "2026-12-07T12:00:00Z"]
    );
    // Which calendar it was, and what that said, is part of the version.
    let (_, error) = of(&text.replace("\"office\"", "\"ofice\"")).unwrap_err();
    assert_eq!((error.field, error.to_string().contains("is none of [calendars]")), ("calendar", true));
    let without: Policies = of(EXPENSE).unwrap();
    assert_ne!(without.policies["expense"].version, policies.policies["expense"].version);
}

#[test]
fn a_version_is_the_same_as_long_as_the_policy_says_the_same() {
    let digest = |text: &str| policies(text).policies["expense"].version.digest.clone();
    assert_eq!(digest(EXPENSE), digest(&EXPENSE.replace("    ", "  ")));
    assert_eq!(digest(EXPENSE), digest(&EXPENSE.replace("\"3d\"", "\"72h\"")));
    assert_ne!(digest(EXPENSE), digest(&EXPENSE.replace("> 1000\"", "> 2000\"")));
}

#[test]
fn a_revision_leaves_as_it_is_what_decides_who_is_asked() {
    let asked = asked(json!({"payload": {"amount": 900, "for": "me"}}));
    let mut request = crate::Input::New(Box::new(asked.clone())).open("r".to_owned(), NOW, false).unwrap();
    request = request.planned(policies(EXPENSE).plan(&asked, NOW).unwrap().unwrap());
    apply(&mut request, &Event::Began);
    let mut revise = |payload: Value| {
        let revision = Act::Revise(crate::Revision { payload: Some(payload), ..crate::Revision::default() });
        let said = Said {
            at: NOW,
            ask_id: Some("ask".to_owned()),
            caller: Caller::person("ann"),
            payload: Some(serde_json::to_string(&revision).unwrap()),
        };
        let effects = apply(&mut request, &Event::Said(said));
        let reply = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(*reply),
            Effect::Show | Effect::LookUp(_) | Effect::Enter(_) => None,
        });
        (reply.unwrap(), request.content().unwrap().details)
    };
    let (reply, _) = revise(json!({"amount": 900, "for": "us"}));
    assert!(matches!(reply, Reply::Recorded { revision: 2, .. }), "{reply:?}");
    let (reply, details) = revise(json!({"amount": 90_000, "for": "us"}));
    let Reply::Refused { why, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(
        why,
        "payload: \"payload/amount\" decides who is asked (policy expense): withdraw the request, and ask anew"
    );
    assert_eq!(details, "Pay **900** for Laptop?");
}
