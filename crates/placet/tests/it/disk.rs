//! A disk that takes no more: nothing is acknowledged that it did not take, and what it took before is kept. The disk
//! is the real one; the process may make no file longer than so much.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use placet_testkit::{Answer, Launch, Server, eventually};
use serde_json::json;

use crate::PLACET;
use crate::requests::{ask_for_id, id, look};

mod full;
mod under;

/// How long a file may become, in the shell's blocks of 512 or 1,024 bytes.
const BLOCKS_MAX: u32 = 1_500;

/// A program that is the server on such a disk. (A write beyond the limit also sends a signal, which would end it.)
fn on_a_small_disk(folder: &std::path::Path) -> PathBuf {
    let path = folder.join("placet-on-a-small-disk");
    let mut script = std::fs::File::create(&path).unwrap();
    write!(script, "#!/bin/sh\ntrap '' XFSZ\nulimit -f {BLOCKS_MAX}\nexec {PLACET} \"$@\"\n").unwrap();
    script.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A server on it that has been asked for things until the disk took no more: what was accepted, and what was said then.
async fn filled(server: &Server) -> (Vec<String>, Answer) {
    let http = server.http();
    let mut accepted = Vec::new();
    loop {
        let answer = http.post("/api/requests", &json!({"requester": "A", "item": "x".repeat(10_000)})).await.unwrap();
        if answer.status != 200 {
            return (accepted, answer);
        }
        accepted.push(id(&answer.json()));
        assert!(accepted.len() < 2_000, "the disk takes everything");
    }
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_not_acknowledged_and_what_it_took_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let launch = Launch::serve(on_a_small_disk(folder.path())).args([std::path::Path::new("--data-dir"), &data]);
    let server = launch.start().await.unwrap();
    let http = server.http();
    let (accepted, refused) = filled(&server).await;
    assert!([500, 503].contains(&refused.status), "{refused:?}");
    assert_eq!(refused.content_type(), "application/problem+json");
    println!("{} were accepted, the next one was told {}", accepted.len(), refused.text());
    assert!(!accepted.is_empty());
    // It is alive, and answers from what it has.
    assert_eq!(http.get("/healthz").await.unwrap().status, 204);
    eventually("what was accepted can be looked at", async || {
        let answer = http.get(&format!("/api/requests/{}", accepted[0])).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
    drop(server.kill().await.unwrap());

    // On a disk that has room again, all goes on.
    let server = Launch::serve(PLACET).args([std::path::Path::new("--data-dir"), &data]).start().await.unwrap();
    for id in &accepted {
        assert_eq!(look(&server.http(), id).await["status"], "Pending", "{id}");
    }
    ask_for_id(&server.http()).await;
}

/// Ten seconds are a long time for a test: in the long ones only.
#[tokio::test]
async fn a_server_whose_commits_fail_for_ten_seconds_is_not_ready_and_says_why() {
    if std::env::var_os("PLACET_LONG").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Launch::serve(on_a_small_disk(folder.path())).start().await.unwrap();
    filled(&server).await;
    let http = server.http();
    let since = Instant::now();
    let red = eventually("the server is not ready", async || {
        Some(http.get("/readyz").await.unwrap()).filter(|answer| answer.status == 503)
    })
    .await;
    assert!(since.elapsed() > Duration::from_secs(9), "after {:?}", since.elapsed());
    assert!(red.text().contains("no commit has succeeded for 10 s"), "{red:?}");
    assert_eq!(http.get("/healthz").await.unwrap().status, 204);
}
