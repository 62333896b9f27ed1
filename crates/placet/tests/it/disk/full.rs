//! A disk that is really full: a small one in memory. The server says so wherever it is asked, reads on, and goes on
//! by itself when there is room. To mount a disk needs root, which CI is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use placet_sdk::{Code, StartError};
use placet_testkit::{Launch, Server, eventually};
use serde_json::json;
use tempfile::TempDir;

use crate::PLACET;
use crate::requests::{id, look};

const ROUNDS: usize = 3;

/// A disk of 16 MiB, most of it taken by ballast that can be thrown off.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None if this user may not mount one.
    fn mount() -> Option<SmallDisk> {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder.path());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        is_mounted.then(|| SmallDisk(folder))
    }

    fn ballast(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, name: &str, mebibytes: usize) {
        std::fs::write(self.ballast(name), vec![7; mebibytes << 20]).unwrap();
    }

    fn throw_off(&self, name: &str) {
        std::fs::remove_file(self.ballast(name)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// Asks until the disk takes no more; what was accepted.
async fn fill(server: &Server, accepted: &mut Vec<String>) {
    let http = server.http();
    loop {
        let answer = http.post("/api/requests", &json!({"requester": "A", "item": "x".repeat(9_000)})).await.unwrap();
        if answer.status != 200 {
            assert_eq!(answer.status, 507, "{answer:?}");
            assert_eq!(answer.content_type(), "application/problem+json");
            assert_eq!(answer.json()["type"], "urn:placet:problem:disk-full");
            assert!(answer.text().contains("the disk is full"), "{answer:?}");
            return;
        }
        accepted.push(id(&answer.json()));
        assert!(accepted.len() < 5_000, "the disk takes everything");
    }
}

/// What can be asked of a server whose disk is full.
async fn is_full_and_says_so(server: &Server, accepted: &[String]) {
    let (http, client) = (server.http(), server.client());
    let refused = client.start("nobody-runs-this", &"x".repeat(2_000_000)).await.unwrap_err();
    let StartError::Call(error) = refused else { panic!("{refused:?}") };
    assert_eq!((error.code, error.reason.as_deref()), (Code::ResourceExhausted, Some("disk-full")));
    assert!(error.message.contains("the disk is full"), "{}", error.message);
    let ready = eventually("the server is not ready", async || {
        Some(http.get("/readyz").await.unwrap()).filter(|answer| answer.status == 503)
    })
    .await;
    assert!(ready.text().contains("the disk is full"), "{ready:?}");
    assert_eq!(http.get("/healthz").await.unwrap().status, 204);
    for id in [&accepted[0], accepted.last().unwrap()] {
        eventually("what was accepted can be looked at", async || {
            let answer = http.get(&format!("/api/requests/{id}")).await.unwrap();
            (answer.status == 200).then_some(())
        })
        .await;
        assert!(client.get(id).await.unwrap().is_some(), "{id}");
    }
}

async fn goes_on(server: &Server, accepted: &mut Vec<String>) {
    let http = server.http();
    let made = eventually("there is room, and requests are taken", async || {
        let answer = http.post("/api/requests", &json!({"requester": "A", "item": "small"})).await.unwrap();
        (answer.status == 200).then(|| id(&answer.json()))
    })
    .await;
    accepted.push(made);
    eventually("the server is ready", async || (http.get("/readyz").await.unwrap().status == 200).then_some(())).await;
}

fn at(data: &Path) -> Launch {
    Launch::serve(PLACET).args([Path::new("--data-dir"), data])
}

#[tokio::test]
async fn a_full_disk_is_told_of_and_lived_through_three_times() {
    let Some(disk) = SmallDisk::mount() else {
        // Past what captures the output of tests: nobody is to believe that this was tested.
        writeln!(std::io::stdout(), "SKIPPED: a full disk: no disk could be mounted (root is needed)").unwrap();
        return;
    };
    (0..ROUNDS).for_each(|round| disk.load(&format!("ballast-{round}"), 1));
    // To open a file after a crash there must be room for what is in its log.
    disk.load("for-the-end", 7);
    let data = disk.0.path().join("data");
    let server = at(&data).start().await.unwrap();
    let mut accepted = Vec::new();
    for round in 0..ROUNDS {
        fill(&server, &mut accepted).await;
        is_full_and_says_so(&server, &accepted).await;
        disk.throw_off(&format!("ballast-{round}"));
        goes_on(&server, &mut accepted).await;
    }
    println!("{} requests were accepted in {ROUNDS} rounds", accepted.len());
    drop(server.kill().await.unwrap());
    disk.throw_off("for-the-end");
    let server = at(&data).start().await.unwrap();
    for id in &accepted {
        assert_eq!(look(&server.http(), id).await["status"], "Pending", "{id}");
    }
    drop(server.kill().await.unwrap());
}
