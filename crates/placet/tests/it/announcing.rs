//! What a server says of itself when it is ready.

use placet_testkit::{Ended, Launch, Server, eventually};
use serde_json::Value;

use crate::PLACET;

async fn said_with(flags: &[&str]) -> (Server, Ended) {
    let server = Launch::serve(PLACET).args(flags).start().await.unwrap();
    let (ended, launch) = server.stop_to_restart().await.unwrap();
    // Started once more, so that the caller can ask what it said of itself.
    (launch.start().await.unwrap(), ended)
}

#[tokio::test]
async fn a_person_is_told_on_stderr_in_at_most_ten_aligned_lines() {
    let (server, ended) = said_with(&[]).await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, "");
    let announced = server.announced();
    let (http, grpc) = (announced.http.clone().unwrap(), &announced.grpc);
    let data = announced.data_dir.clone().unwrap().display().to_string();
    let text = ended.stderr.replace(&http, "HTTP").replace(grpc, "GRPC").replace(&data, "DATA");
    insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
    Placet VERSION
      Approvals  HTTP/
      Scheduler  GRPC  (Durable Task gRPC, REST)
      Task hub   default
      Data       DATA  (kept, synced to disk)
      Open to    this computer only
      Try it     curl HTTP/api/requests -H 'Content-Type: application/json' -d '{"requester": "Alice", "item": "Vacation Request"}'
    "#);
}

#[tokio::test]
async fn the_line_to_try_is_one_that_a_server_understands() {
    let server = crate::server().await;
    // The ready file is there a moment before.
    let said = eventually("it is said", async || Some(server.stderr()).filter(|said| said.ends_with("'\n"))).await;
    let (_, body) = said.split_once("-d '").unwrap();
    let body: Value = serde_json::from_str(body.trim().trim_end_matches('\'')).unwrap();
    assert_eq!(server.http().post("/api/requests", &body).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_program_is_told_with_json_on_stdout_and_stderr_stays_empty() {
    let (server, ended) = said_with(&["--json"]).await;
    assert_eq!((ended.stderr.as_str(), ended.stdout.lines().count()), ("", 1), "{ended:?}");
    let mut object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["grpc"], server.announced().grpc);
    assert_eq!(object["http"], server.announced().http.clone().unwrap());
    assert!(object["pid"].as_u64().is_some_and(|pid| pid > 0));
    for field in ["grpc", "http", "pid", "data_dir", "version"] {
        object[field] = "…".into();
    }
    insta::assert_snapshot!(object, @r#"{"version":"…","pid":"…","grpc":"…","http":"…","taskhub":"default","data_dir":"…","ephemeral":false,"synced":true}"#);
}

#[tokio::test]
async fn a_quiet_server_says_nothing_and_still_writes_its_ready_file() {
    let (server, ended) = said_with(&["--quiet"]).await;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert!(server.announced().synced);
}

#[tokio::test]
async fn a_ready_file_in_no_folder_ends_the_server_with_a_line_that_says_so() {
    let launch = Launch::serve(PLACET).args(["--ready-file", "no/such/folder/ready.json"]);
    let ended = launch.run().await.unwrap();
    assert_eq!(ended.code, Some(74));
    assert!(
        ended.stderr.starts_with("placet: --ready-file: no/such/folder/ready.json cannot be written: "),
        "{ended:?}"
    );
}

#[tokio::test]
async fn temporary_data_is_announced_as_such_and_is_gone_at_the_end() {
    let server = Launch::serve(PLACET).args(["--ephemeral"]).start().await.unwrap();
    let announced = server.announced().clone();
    let data = announced.data_dir.unwrap();
    assert!(announced.ephemeral && data.join("placet.db").exists());
    assert!(server.stderr().contains("temporary, removed at the end"));
    server.stop().await.unwrap();
    assert!(!data.exists(), "{} is still there", data.display());
}
