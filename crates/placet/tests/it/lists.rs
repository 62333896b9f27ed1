//! Lists of requests: what is open, what waits for whom, what has which words; the same after a restart.

use http::Method;
use placet_testkit::{Answer, Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

const COMPANY: &str = r#"
[users.ann]
emails = ["Ann@example.org"]
[users.ben]
[users.cem]
[users.req]

[groups]
sre = ["ann", "ben"]
all = ["group:sre", "cem"]
"#;

async fn company() -> Server {
    let launch = Launch::serve(PLACET);
    std::fs::write(launch.folder().join("placet.toml"), COMPANY).unwrap();
    launch.start().await.unwrap()
}

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, &JSON, &body.to_string()).await.unwrap()
}

/// A request of `req`'s that is shown to whoever asks; its id.
async fn ask(http: &Http, item: &str, more: Value) -> String {
    let mut body = json!({"requester": "req", "item": item});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = post(http, "/api/v1/requests", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    // A worker has begun with it.
    let path = format!("/api/v1/requests?q={id}");
    eventually("it is listed", async || items(http, &path).await.pop()).await;
    id
}

async fn decide(http: &Http, id: &str, approver: &str, decision: &str) {
    let body = json!({"approver": approver, "decision": decision});
    let answer = post(http, &format!("/api/v1/requests/{id}/decisions"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn page(http: &Http, path: &str) -> Value {
    let answer = http.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn items_of(page: &Value) -> Vec<String> {
    let requests = page["requests"].as_array().unwrap();
    requests.iter().map(|request| request["item"].as_str().unwrap().to_owned()).collect()
}

async fn items(http: &Http, path: &str) -> Vec<String> {
    items_of(&page(http, path).await)
}

#[tokio::test]
async fn requests_come_and_go_as_tables_and_as_lines() {
    let server = company().await;
    let http = server.http();
    let table = "requester,item,approvers,tags,category,payload,timeout\n\
                 req,\"Deploy, 2.3\",group:sre;cem,prod;eu,deploy,\"{\"\"amount\"\": 9}\",3h\n\
                 req,=cmd|'/c calc'!A0,cem,,,,1h\n\
                 ,nobody asks,,,,,\n";
    let csv = [("Content-Type", "text/csv"), ("Idempotency-Key", "import-1")];
    let imported = http.call(Method::POST, "/api/v1/requests/import", &csv, table).await.unwrap();
    assert_eq!(imported.status, 200, "{imported:?}");
    let of_each = |answer: &Answer| {
        let results = answer.json()["results"].as_array().unwrap().clone();
        results.iter().map(|one| (one["line"].as_u64().unwrap(), one["status"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(of_each(&imported), [(1, 201), (2, 201), (3, 422)], "{imported:?}");
    // The same again asks nobody twice.
    let windows = table.replace('\n', "\r\n");
    let again = http.call(Method::POST, "/api/v1/requests/import", &csv, &windows).await.unwrap();
    assert_eq!(of_each(&again), [(1, 200), (2, 200), (3, 422)], "{again:?}");
    let lines = "{\"requester\": \"req\", \"item\": \"Third\"}\n\n{\"requester\": 7}\n";
    let json = [("Content-Type", "application/x-ndjson")];
    let imported = http.call(Method::POST, "/api/v1/requests/import", &json, lines).await.unwrap();
    assert_eq!(of_each(&imported), [(1, 201), (3, 422)], "{imported:?}");
    let listed = async || (items(&http, "/api/v1/requests").await.len() == 3).then_some(());
    eventually("they are listed", listed).await;

    let answer = http.get("/api/v1/requests/export?sort=created&format=csv").await.unwrap();
    assert_eq!((answer.status, answer.content_type()), (200, "text/csv"));
    let text = answer.text();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.starts_with("request_id,status,status_detail,requester,item,")
            && text.contains(",\"Deploy, 2.3\",deploy,"),
        "{text}"
    );
    assert!(text.contains(",'=cmd|'/c calc'!A0,") && text.contains(",prod;eu,"), "{text}");
    let answer = http.get("/api/v1/requests/export?category=deploy").await.unwrap();
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (lines.len(), &lines[0]["item"], &lines[0]["status_detail"]),
        (1, &json!("Deploy, 2.3"), &json!("pending"))
    );
    for wrong in ["export?limit=3", "export?format=xls", "export?status=maybe"] {
        assert_eq!(http.get(&format!("/api/v1/requests/{wrong}")).await.unwrap().status, 422, "{wrong}");
    }
    let form = [("Content-Type", "text/plain")];
    let refused = http.call(Method::POST, "/api/v1/requests/import", &form, table).await.unwrap();
    assert_eq!(refused.status, 415);
}

#[tokio::test]
async fn requests_are_found_by_what_they_are_and_by_their_words() {
    let server = company().await;
    let http = server.http();
    let deploy = json!({"approvers": ["group:sre"], "category": "deploy", "tags": ["prod", "eu"], "timeout": "3h"});
    let first = ask(&http, "Deploy Über-API 2.3", deploy).await;
    let trip = json!({"approvers": ["cem"], "category": "expense", "priority": "high", "timeout": "1h"});
    let second = ask(&http, "Trip to Zürich", trip).await;
    let third = ask(&http, "Deploy 2.4", json!({"approvers": ["email:ann@example.org"], "timeout": "2h"})).await;
    ask(&http, "Vacation Request", json!({"timeout": "4h"})).await;
    decide(&http, &second, "cem", "reject").await;

    let check = async |http: &Http| {
        let table: [(&str, &[&str]); 22] = [
            ("", &["Vacation Request", "Deploy 2.4", "Trip to Zürich", "Deploy Über-API 2.3"]),
            ("?status=pending", &["Vacation Request", "Deploy 2.4", "Deploy Über-API 2.3"]),
            ("?status=rejected,approved", &["Trip to Zürich"]),
            ("?sort=created&status=open", &["Deploy Über-API 2.3", "Deploy 2.4", "Vacation Request"]),
            ("?sort=due", &["Deploy 2.4", "Deploy Über-API 2.3", "Vacation Request"]),
            ("?sort=-due&category=deploy", &["Deploy Über-API 2.3"]),
            ("?category=deploy,expense", &["Trip to Zürich", "Deploy Über-API 2.3"]),
            ("?tag=prod", &["Deploy Über-API 2.3"]),
            ("?tag=prod&tag=eu", &[]),
            ("?priority=high", &["Trip to Zürich"]),
            ("?requester=REQ&status=pending&tag=eu", &["Deploy Über-API 2.3"]),
            ("?requester=ann", &[]),
            ("?approver=group:sre", &["Deploy Über-API 2.3"]),
            ("?approver=anyone,email:ANN@example.org", &["Vacation Request", "Deploy 2.4"]),
            ("?decided_by=cem", &["Trip to Zürich"]),
            ("?status=&tag=&q=prod", &["Deploy Über-API 2.3"]),
            ("?q=deploy", &["Deploy 2.4", "Deploy Über-API 2.3"]),
            ("?q=DEPL%20uber", &["Deploy Über-API 2.3"]),
            ("?q=zuri", &["Trip to Zürich"]),
            ("?q=depl%20zuri", &[]),
            ("?q=prod", &["Deploy Über-API 2.3"]),
            ("?created_from=2999-01-01T00:00:00Z", &[]),
        ];
        for (query, expected) in table {
            if query.contains("tag=prod&tag=eu") {
                let answer = http.get(&format!("/api/v1/requests{query}")).await.unwrap();
                assert_eq!(answer.status, 422, "a name that stands twice: {answer:?}");
                continue;
            }
            assert_eq!(items(http, &format!("/api/v1/requests{query}")).await, expected, "{query}");
        }
        let found = page(http, &format!("/api/v1/requests?q={first}")).await;
        assert_eq!((&found["requests"][0]["request_id"], &found["next"]), (&json!(first), &Value::Null));
        assert_eq!(found["requests"][0]["status_detail"], "pending");
    };
    check(&http).await;
    let server = server.kill().await.unwrap().start().await.unwrap();
    check(&server.http()).await;

    let http = server.http();
    for limit in [1, 2, 3] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&http, &format!("/api/v1/requests?limit={limit}{cursor}")).await;
            found.extend(items_of(&page));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, ["Vacation Request", "Deploy 2.4", "Trip to Zürich", "Deploy Über-API 2.3"], "{limit}");
    }
    // What is purged with its instance is on no list.
    let withdrawn = post(&http, &format!("/api/v1/requests/{third}/withdraw"), json!({"by": "req"})).await;
    assert_eq!(withdrawn.status, 200, "{withdrawn:?}");
    assert_eq!(items(&http, "/api/v1/requests?status=withdrawn").await, ["Deploy 2.4"]);
    server.client().purge(&third).await.unwrap();
    assert_eq!(items(&http, "/api/v1/requests?q=2.4").await, [""; 0]);
}

#[tokio::test]
async fn an_inbox_has_what_waits_for_somebody_and_nothing_else() {
    let server = company().await;
    let http = server.http();
    let both =
        json!({"plan": {"stages": [{"seats": [{"from": ["group:sre"], "need": 2}]}, {"seats": [{"from": ["cem"]}]}]}});
    let id = ask(&http, "Both", both).await;
    ask(&http, "By mail", json!({"approvers": ["email:ann@example.org"]})).await;
    ask(&http, "Everybody's", json!({"approvers": ["group:all"]})).await;
    let own = ask(&http, "Ben's alone", json!({"approvers": ["ben"]})).await;
    let inbox = async |who: &str| items(&http, &format!("/api/v1/inbox?person={who}&sort=created")).await;
    assert_eq!(inbox("ann").await, ["Both", "By mail", "Everybody's"]);
    assert_eq!(inbox("ben").await, ["Both", "Everybody's", "Ben's alone"]);
    assert_eq!(inbox("cem").await, ["Everybody's"]);

    decide(&http, &id, "ann", "approve").await;
    assert_eq!(inbox("ann").await, ["By mail", "Everybody's"], "she has voted");
    decide(&http, &id, "ben", "approve").await;
    assert_eq!(inbox("cem").await, ["Both", "Everybody's"], "the next stage is open");
    let passed_on = post(&http, &format!("/api/v1/requests/{own}/forward"), json!({"by": "ben", "to": "cem"})).await;
    assert_eq!(passed_on.status, 200, "{passed_on:?}");
    assert_eq!(inbox("ben").await, ["Everybody's"]);
    assert_eq!(inbox("cem").await, ["Both", "Everybody's", "Ben's alone"]);
    let question = json!({"by": "cem", "text": "Why?"});
    let returned = post(&http, &format!("/api/v1/requests/{own}/return"), question).await;
    assert_eq!(returned.status, 200, "{returned:?}");
    assert_eq!(
        (inbox("cem").await, inbox("req").await),
        (vec!["Both".into(), "Everybody's".into()], vec!["Ben's alone".into()])
    );
}

#[tokio::test]
async fn what_no_list_can_answer_is_told_with_its_field() {
    let server = company().await;
    let http = server.http();
    for (path, said) in [
        ("/api/v1/requests?status=late", "status: must be pending"),
        ("/api/v1/requests?sort=item", "sort: must be created"),
        ("/api/v1/requests?sort=due&created_from=2026-01-01T00:00:00Z", "sort: must be created or -created"),
        ("/api/v1/requests?due_before=2026-01-01T00:00:00Z", "sort: must be due or -due"),
        ("/api/v1/requests?limit=0", "limit: must be from 1 to 500"),
        ("/api/v1/requests?limit=x", "limit: invalid digit"),
        ("/api/v1/inbox?person=ann&created_from=x", "created_from:"),
        ("/api/v1/requests?cursor=x", "cursor: is not one"),
        ("/api/v1/requests?approver=role:x", "approver:"),
        ("/api/v1/requests?priority=much", "priority: must be low, high or critical"),
        ("/api/v1/requests?priority=normal", "priority: must be low, high or critical"),
        ("/api/v1/requests?queue=x", "queue: must be admins or fallback"),
        ("/api/v1/requests?colour=red", "colour: unknown field `colour`"),
        ("/api/v1/requests?person=ann", "person: belongs to /api/v1/inbox"),
        ("/api/v1/inbox", "person: must say whose inbox it is"),
        ("/api/v1/inbox?person=eve", "person: there is nobody of the name"),
    ] {
        let answer = http.get(path).await.unwrap();
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 422, "{path}: {answer:?}");
        assert!(detail.contains(said), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_shell_lists_what_is_open_and_what_waits_for_whoever_asks() {
    let server = company().await;
    let http = server.http();
    ask(&http, "Deploy 2.3", json!({"approvers": ["group:sre"], "category": "deploy"})).await;
    let id = ask(&http, "Trip", json!({"approvers": ["cem"]})).await;
    decide(&http, &id, "cem", "approve").await;
    let run = async |args: &[&str]| {
        let launch = Launch::new(PLACET).args(args).variable("PLACET_URL", http.base()).variable("USER", "ann");
        let ended = launch.run().await.unwrap();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}: {ended:?}");
        ended.stdout
    };
    let open = run(&["list"]).await;
    assert!(open.starts_with("ID  ") && open.contains("Deploy 2.3") && !open.contains("Trip"), "{open}");
    assert!(run(&["list", "--status", "all", "--sort", "created"]).await.lines().count() == 3);
    assert!(run(&["list", "--status=approved", "tri"]).await.contains("approved"));
    assert!(run(&["list", "--inbox"]).await.contains("Deploy 2.3"));
    assert!(!run(&["list", "--inbox", "--as", "cem"]).await.contains("Deploy"));
    let documents = run(&["list", "--json", "--category", "deploy", "-n", "1"]).await;
    let document: Value = serde_json::from_str(documents.trim()).unwrap();
    assert_eq!(document["item"], "Deploy 2.3");
}
