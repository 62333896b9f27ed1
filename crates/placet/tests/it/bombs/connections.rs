//! Too many connections that want nothing, and too many calls that only wait.

use std::time::Duration;

use futures_util::future::join_all;
use placet_sdk::Client;
use placet_testkit::eventually;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::figure;
use super::measure::Target;

/// The beginning of HTTP/2: the preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_cost_little_and_are_in_nobodys_way() {
    let target = Target::new().await;
    let grpc = target.server.endpoint().to_owned();
    let http = target.server.announced().http.clone().unwrap();
    let mut idle = Vec::new();
    let number = 10_000;
    for number in 0..number {
        // Most speak to the scheduler, some to the API, and some say nothing.
        let to = if number % 10 == 0 { &http } else { &grpc };
        let mut connection = TcpStream::connect(address(to)).await.unwrap();
        if number % 10 != 1 {
            connection.write_all(PREFACE).await.unwrap();
        }
        idle.push(connection);
    }
    println!("{} MiB with {number} idle connections", target.resident().0 >> 20);
    assert_eq!(target.server.http().get("/readyz").await.unwrap().status, 200);
    target.server.client().hello().await.unwrap();
    drop(idle);
    target.judge("idle connections").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_calls_that_wait_cost_little_and_are_all_answered() {
    let target = Target::new().await;
    let client = target.server.client();
    let id = client.start("nobody", &()).await.unwrap();
    let waits = figure(2_000, 10_000);
    let callers: Vec<Client> = (0..waits.div_ceil(500)).map(|_| target.server.client()).collect();
    let waiting: Vec<_> = (0..waits)
        .map(|number| {
            let (client, id) = (callers[number % callers.len()].clone(), id.clone());
            tokio::spawn(async move { client.wait_for_completion(&id).await })
        })
        .collect();
    // sleep: they wait, and the others meanwhile work as ever
    tokio::time::sleep(Duration::from_millis(if waits > 2_000 { 10_000 } else { 1_000 })).await;
    let before = target.resident().0;
    // A terminated instance that nobody served ends at once: no wait may come too late for it to be seen.
    client.terminate(&id, "over").await.unwrap();
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().unwrap().output::<String>().unwrap().as_deref(), Some("over"));
    }
    println!("{} MiB when {waits} calls waited", before >> 20);
    target.judge("waits").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_descriptors_serves_whom_it_has_and_others_when_some_are_free() {
    let folder = tempfile::tempdir().unwrap();
    let program = super::raw::with_descriptors(folder.path(), 120);
    let server = placet_testkit::Launch::serve(program).start().await.unwrap();
    let client = server.client();
    client.hello().await.unwrap();
    let address = address(server.endpoint()).to_owned();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    client.hello().await.unwrap();
    eventually("it says that it has no descriptors", async || {
        server.stderr().contains("no connection can be accepted").then_some(())
    })
    .await;
    let lines = server.stderr().lines().count();
    assert!(lines < 1_000, "it rests between two attempts: {lines} lines");
    drop(idle);
    eventually("another is served", async || server.client().hello().await.ok()).await;
}
