//! What happens, as it happens: Server-Sent Events of a request and of an inbox, and `placet watch`.

use std::time::Duration;

use placet_testkit::{Http, Launch, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PLACET;

/// A stream of events, as a browser reads it.
struct Events(Lines<BufReader<TcpStream>>);

#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Events {
    async fn of(http: &Http, path: &str, known: &str) -> Events {
        let address = http.base().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let known = if known.is_empty() { String::new() } else { format!("Last-Event-ID: {known}\r\n") };
        let call = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{known}\r\n");
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut events = Events(BufReader::new(stream).lines());
        let head = events.line().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        events
    }

    async fn line(&mut self) -> Option<String> {
        timeout(Duration::from_secs(20), self.0.next_line()).await.expect("something comes").unwrap()
    }

    /// The next event; nothing, once the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        let mut event = Event { name: String::new(), id: String::new(), data: Value::Null };
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line == "0" => return None, // the last chunk
                _ if line.is_empty() && !event.data.is_null() => return Some(event),
                _ => {}
            }
        }
    }
}

async fn ask(http: &Http, item: &str, approvers: &[&str]) -> String {
    let body = json!({"requester": "ann", "item": item, "approvers": approvers});
    let asked = http.post("/api/v1/requests", &body).await.unwrap().json();
    asked["request_id"].as_str().unwrap().to_owned()
}

async fn act(http: &Http, id: &str, what: &str, body: Value) {
    let done = http.post(&format!("/api/v1/requests/{id}/{what}"), &body).await.unwrap();
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test]
async fn a_request_is_told_of_until_it_is_decided_and_whoever_comes_back_hears_what_is_different() {
    let server = crate::server().await;
    let http = server.http();
    let id = ask(&http, "A chair", &["bob", "cem"]).await;
    let path = format!("/api/v1/requests/{id}/events");
    let mut events = Events::of(&http, &path, "").await;
    // As it was accepted, or as it is shown already.
    let mut first = events.next().await.unwrap();
    while first.data["stage"].is_null() {
        first = events.next().await.unwrap();
    }
    assert_eq!((first.name.as_str(), &first.data["status"]), ("request", &json!("Pending")));
    act(&http, &id, "claim", json!({"by": "bob"})).await;
    let claimed = events.next().await.unwrap();
    assert_eq!(claimed.data["stage"]["claim"]["holder"], "bob");
    drop(events);
    // What nobody heard: the state, once.
    act(&http, &id, "release", json!({"by": "bob"})).await;
    act(&http, &id, "claim", json!({"by": "cem"})).await;
    let mut events = Events::of(&http, &path, &claimed.id).await;
    let missed = events.next().await.unwrap();
    assert_eq!(missed.data["stage"]["claim"]["holder"], "cem");
    drop(events);
    let mut events = Events::of(&http, &path, &missed.id).await;
    act(&http, &id, "decisions", json!({"approver": "cem", "decision": "approve"})).await;
    let decided = events.next().await.unwrap();
    assert_eq!((&decided.data["status"], &decided.data["outcome"]["approver"]), (&json!("Approved"), &json!("cem")));
    assert!(events.next().await.is_none(), "nothing more will happen");
    let headers = [("Last-Event-ID", decided.id.as_str())];
    let over = http.call(http::Method::GET, &path, &headers, "").await.unwrap();
    assert_eq!(over.status, 204);
    assert_eq!(http.get("/api/v1/requests/nothing/events").await.unwrap().status, 404);
}

#[tokio::test]
async fn an_inbox_is_told_of_what_comes_changes_and_goes() {
    let server = crate::server().await;
    let http = server.http();
    let first = ask(&http, "First", &["bob"]).await;
    let path = "/api/v1/inbox/events?person=bob";
    let mut events = Events::of(&http, path, "").await;
    let mut inbox = events.next().await.unwrap();
    if inbox.data["requests"].as_array().unwrap().is_empty() {
        let added = events.next().await.unwrap();
        inbox.data["requests"] = json!([added.data]);
    }
    assert_eq!((inbox.name.as_str(), &inbox.data["requests"][0]["request_id"]), ("inbox", &json!(first)));
    let second = ask(&http, "Second", &["bob", "cem"]).await;
    let added = events.next().await.unwrap();
    assert_eq!((added.name.as_str(), &added.data["item"]), ("added", &json!("Second")));
    ask(&http, "Not his", &["cem"]).await;
    act(&http, &second, "claim", json!({"by": "cem"})).await;
    let changed = events.next().await.unwrap();
    assert_eq!((changed.name.as_str(), &changed.data["stage"]["claim"]["holder"]), ("changed", &json!("cem")));
    act(&http, &first, "decisions", json!({"approver": "bob", "decision": "reject"})).await;
    let removed = events.next().await.unwrap();
    assert_eq!((removed.name.as_str(), &removed.data["request_id"]), ("removed", &json!(first)));
    drop(events);
    // Whoever knows all of it is told nothing until there is more; whoever does not is told all.
    let mut events = Events::of(&http, path, &removed.id).await;
    act(&http, &second, "withdraw", json!({"by": "ann"})).await;
    assert_eq!(events.next().await.unwrap().name, "removed");
    let mut events = Events::of(&http, path, &added.id).await;
    let all = events.next().await.unwrap();
    assert_eq!((all.name.as_str(), &all.data), ("inbox", &json!({"requests": []})));
    for wrong in ["/api/v1/inbox/events", "/api/v1/inbox/events?person=bob&nonsense=1"] {
        assert_eq!(http.get(wrong).await.unwrap().status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn roles_that_run_apart_tell_the_same_and_a_server_that_stops_ends_its_streams() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    let http = api.http();
    let id = ask(&http, "Apart", &["bob"]).await;
    let path = format!("/api/v1/requests/{id}/events");
    let mut events = Events::of(&http, &path, "").await;
    let mut shown = events.next().await.unwrap();
    while shown.data["stage"].is_null() {
        shown = events.next().await.unwrap();
    }
    act(&http, &id, "comment", json!({"by": "bob", "text": "hm"})).await;
    act(&http, &id, "claim", json!({"by": "bob"})).await;
    assert_eq!(events.next().await.unwrap().data["stage"]["claim"]["holder"], "bob");
    scheduler.stop().await.unwrap();
    assert!(events.next().await.is_none());
    drop((api, worker));
}

#[tokio::test]
async fn a_shell_watches_a_request_until_it_is_decided() {
    let server = crate::server().await;
    let http = server.http();
    let id = ask(&http, "A desk", &["bob"]).await;
    let watch = |server: &Server| {
        let launch = Launch::new(PLACET).args(["watch", &id, "--json"]).variable("PLACET_URL", server.http().base());
        tokio::spawn(async move { launch.run().await.unwrap() })
    };
    let watching = watch(&server);
    act(&http, &id, "claim", json!({"by": "bob"})).await;
    act(&http, &id, "decisions", json!({"approver": "bob", "decision": "reject", "comments": "no"})).await;
    let ended = timeout(Duration::from_secs(30), watching).await.unwrap().unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["data"]["outcome"]["comments"]), (&json!("request"), &json!("no")));
    let unknown = Launch::new(PLACET).args(["watch", "nothing"]).variable("PLACET_URL", server.http().base());
    assert_eq!(unknown.run().await.unwrap().code, Some(65));
}
