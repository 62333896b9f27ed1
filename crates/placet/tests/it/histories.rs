//! Records the histories under `tests/histories/`, with `PLACET_RECORD_HISTORIES=1` and for a new release only: what an
//! older one has recorded stays as it is. The built-in worker's tests finish them under the code of today.

mod recorded;

use http::Method;
use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_sdk::Client;
use placet_testkit::{Http, Launch, eventually};
use serde_json::{Value, json};

use crate::PLACET;
use crate::requests::{ask, decide, id};

/// Who there is, and what a change of theirs needs.
const COMPANY: &str = r#"
[users.ann]
[users.ben]
[users.cem]
[users.req]

[groups]
sre = ["ann", "ben"]

[policies.change]
timeout = "5d"
valid_for = "1h"
editable = ["/version"]

[[policies.change.stages]]
name = "operations"
seats = [{ from = ["group:sre"] }]
escalate = [{ after = "1d", remind = {} }, { after = "2d", add = ["user:cem"] }]

[[policies.change.stages]]
name = "lead"
when = "requester == 'req'"
seats = [{ from = ["user:cem"] }]
"#;

/// More than a generation takes.
const REFUSED: usize = 55;

#[tokio::test]
async fn the_histories_of_this_release_are_recorded_if_that_is_asked_for() {
    if std::env::var_os("PLACET_RECORD_HISTORIES").is_none() {
        return;
    }
    let server = Launch::serve(PLACET).start().await.unwrap();
    let (http, client) = (server.http(), server.client());
    let nonsense = json!({"is_approved": "perhaps"});
    let table = [
        ("approved", 0, 1.0, Some(true)),
        ("rejected", 0, 1.0, Some(false)),
        ("timed-out", 0, 0.0001, None),
        ("refused-then-approved", 3, 1.0, Some(true)),
        ("continued-as-new", REFUSED, 1.0, Some(true)),
        ("continued-as-new-timed-out", REFUSED, 0.001, None),
        ("parked", 0, 87_600.0, None),
        ("parked-continued-as-new", REFUSED, 87_600.0, None),
    ];
    for (name, refused, hours, decision) in table {
        let id = id(&ask(&http, hours).await);
        client.wait_for_start(&id).await.unwrap();
        for _ in 0..refused {
            client.ask(&id, "approval_response", &nonsense).await.unwrap();
        }
        if let Some(is_approved) = decision {
            assert_eq!(decide(&http, &id, is_approved, "Manager").await.status, 200);
        } else if hours < 1.0 {
            client.wait_for_completion(&id).await.unwrap();
        }
        recorded::write(name, client.history(&id).await.unwrap());
    }
}

async fn post(http: &Http, path: &str, body: Value) -> Value {
    let json = [("Content-Type", "application/json")];
    let answer = http.call(Method::POST, path, &json, &body.to_string()).await.unwrap();
    assert!(answer.status < 300, "{path} {body}: {answer:?}");
    answer.json()
}

/// Two of whom everybody in a group is asked, and then the lead.
fn stages() -> Value {
    json!({"plan": {"stages": [
        {"name": "operations", "seats": [{"from": ["group:sre"], "need": 2}]},
        {"name": "lead", "seats": [{"from": ["user:cem"]}]},
    ]}})
}

/// Its name, what is asked for, and what is said to it.
type Lived = (&'static str, Value, Vec<(&'static str, Value)>);

/// Requests with stages, of a policy, and what became of what they approved. Of each: who says what, in order.
fn lives() -> Vec<Lived> {
    let vote = |who: &str, what: &str| ("decisions", json!({"approver": who, "decision": what}));
    let policy = || json!({"category": "change"});
    let begin = || ("begin", json!({"action": {"version": "2.3"}, "attempt_key": "run-1"}));
    vec![
        ("staged-parked", stages(), vec![vote("ann", "approve")]),
        ("staged-approved", stages(), vec![vote("ann", "approve"), vote("ben", "approve"), vote("cem", "approve")]),
        ("staged-rejected", stages(), vec![vote("ann", "approve"), vote("ben", "reject")]),
        (
            "staged-withdrawn",
            stages(),
            vec![
                ("question", json!({"by": "ann", "text": "Why?"})),
                ("answer", json!({"by": "req", "question": 1, "text": "So"})),
                ("return", json!({"by": "ben", "text": "Not so"})),
                ("withdraw", json!({"by": "req"})),
            ],
        ),
        ("planned-parked", policy(), vec![("claim", json!({"by": "ben"}))]),
        (
            "planned-edited",
            policy(),
            vec![(
                "decisions",
                json!({
                    "approver": "ann", "decision": "approve",
                    "edits": [{"op": "replace", "path": "/version", "value": "2.3.2"}],
                }),
            )],
        ),
        ("planned-approved", policy(), vec![vote("ben", "approve"), vote("cem", "approve")]),
        ("permit-parked", json!({"valid_for": "1d"}), vec![vote("ann", "approve")]),
        ("permit-begun", json!({}), vec![vote("ann", "approve"), begin()]),
        (
            "permit-finished",
            json!({"valid_for": "1d"}),
            vec![
                vote("ann", "approve"),
                begin(),
                ("finish", json!({"attempt_key": "run-1", "result": {"exit_code": 0}})),
            ],
        ),
        (
            "permit-revoked",
            json!({"valid_for": "1d"}),
            vec![vote("ann", "approve"), ("revoke", json!({"by": "ann", "reason": "recalled"}))],
        ),
        ("permit-lapsed", json!({"valid_for": "200ms"}), vec![vote("ann", "approve")]),
    ]
}

/// The id of a request's permit, once there is one.
async fn permit_of(client: &Client, request: &str) -> String {
    let of_it = placet_sdk::Filter { id_prefix: Some(format!("{request}:permit:")), ..placet_sdk::Filter::default() };
    eventually("there is the permit", async || {
        let mut found = std::pin::pin!(client.list(of_it.clone()));
        let found = futures_util::StreamExt::next(&mut found).await;
        found.map(|state| state.unwrap().id().to_owned())
    })
    .await
}

#[tokio::test]
async fn so_are_those_of_requests_with_stages_and_of_permits() {
    if std::env::var_os("PLACET_RECORD_HISTORIES").is_none() {
        return;
    }
    let launch = Launch::serve(PLACET);
    std::fs::write(launch.folder().join("placet.toml"), COMPANY).unwrap();
    let server = launch.start().await.unwrap();
    let (http, client) = (server.http(), server.client());
    for (name, more, said) in lives() {
        let mut asked =
            json!({"requester": "req", "item": "Deploy", "payload": {"version": "2.3"}, "timeout": "3650d"});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        if asked.get("category").is_some() {
            asked.as_object_mut().unwrap().remove("timeout");
        }
        let id = id(&post(&http, "/api/v1/requests", asked).await);
        client.wait_for_start(&id).await.unwrap();
        for (path, body) in said {
            post(&http, &format!("/api/v1/requests/{id}/{path}"), body).await;
        }
        let of = if name.starts_with("permit") { permit_of(&client, &id).await } else { id };
        if name == "permit-parked" {
            let waits = |event: &HistoryEvent| matches!(event.event_type, Some(EventType::TimerCreated(_)));
            eventually("it waits", async || client.history(&of).await.unwrap().iter().any(waits).then_some(())).await;
        }
        let is_over = ["permit-finished", "permit-revoked", "permit-lapsed"].contains(&name);
        if is_over {
            client.wait_for_completion(&of).await.unwrap();
        }
        recorded::write(name, client.history(&of).await.unwrap());
    }
}
