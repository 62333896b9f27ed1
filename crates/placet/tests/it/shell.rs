//! Requests from a shell: what a pipeline sees of them, its exit codes above all.

use placet_testkit::{Ended, Launch, Server};
use serde_json::Value;

use crate::PLACET;

async fn run(server: &Server, args: &[&str]) -> Ended {
    let launch = Launch::new(PLACET).args(args).variable("PLACET_URL", server.http().base()).variable("USER", "ann");
    launch.run().await.unwrap()
}

/// A request of Ann's that waits; its id.
async fn asked(server: &Server, args: &[&str]) -> String {
    let ended = run(server, &[&["request", "Deploy 2.3", "--json"], args].concat()).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(shown["requester"], "ann");
    shown["request_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pipeline_is_gated_by_what_people_decide() {
    let server = crate::server().await;
    for (act, code, status) in [
        (&["approve", "--as", "bob", "-c", "go"][..], 0, "approved"),
        (&["reject", "--as", "bob"], 1, "rejected"),
        (&["withdraw", "--reason", "not needed"], 3, "withdrawn"),
    ] {
        let id = asked(&server, &["-a", "bob", "--timeout", "1h"]).await;
        let waiting = tokio::spawn({
            let launch = Launch::new(PLACET).args(["show", &id, "--wait"]).variable("PLACET_URL", server.http().base());
            async move { launch.run().await.unwrap() }
        });
        let open = run(&server, &["show", &id, "--wait=1s"]).await;
        assert_eq!(open.code, Some(75), "{open:?}");
        assert!(open.stdout.contains("waits for 1 more of user:bob"), "{open:?}");
        let done = run(&server, &[&act[..1], &[id.as_str()], &act[1..]].concat()).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        let waited = waiting.await.unwrap();
        assert_eq!(waited.code, Some(code), "{waited:?}");
        assert!(waited.stdout.contains(&format!("status     {status}")), "{waited:?}");
    }
    // The same in one command, and its own deadline.
    let late = run(&server, &["request", "Nobody looks", "-a", "bob", "--timeout", "1s", "--wait"]).await;
    assert_eq!(late.code, Some(2), "{late:?}");
    assert!(late.stderr.contains("asked for \"Nobody looks\"") && late.stdout.contains("expired"), "{late:?}");
}

#[tokio::test]
async fn what_is_wrong_ends_with_a_code_of_64_or_more() {
    let server = crate::server().await;
    let id = asked(&server, &["-a", "bob", "--payload", r#"{"amount": 9}"#, "--details", "**why**"]).await;
    let table: [(&[&str], i32, &str); 8] = [
        (&["request"], 64, "<ITEM>"),
        (&["request", "x", "--payload", "{"], 64, "--payload: is no JSON"),
        (&["request", "x", "--timeout", "soon"], 65, "timeout: \"soon\" is no duration"),
        (&["request", "x", "-a", "role:y"], 65, "is nobody"),
        (&["approve", "nothing"], 65, "there is no request \"nothing\""),
        (&["approve", &id], 77, "nobody decides what he asked for himself"),
        (&["approve", &id, "--as", "eve"], 77, "eve is not asked in this stage"),
        (&["show", &id, "--url", "http://127.0.0.1:1"], 69, "http://127.0.0.1:1: "),
    ];
    for (args, code, said) in table {
        let ended = run(&server, args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {ended:?}");
    }
    assert_eq!(run(&server, &["comment", &id, "mind the gap"]).await.code, Some(0));
    let again = ["request", "Once", "-a", "bob", "--idempotency-key", "k", "--json"];
    let ids = [run(&server, &again).await, run(&server, &again).await];
    let ids = ids.map(|ended| serde_json::from_str::<Value>(&ended.stdout).unwrap()["request_id"].clone());
    assert_eq!(ids[0], ids[1]);
}
