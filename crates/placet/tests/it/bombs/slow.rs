//! Peers that send or read a byte a second, or read nothing. They are cut off, and cost little until then.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, select_all};
use futures_util::stream;
use placet_proto::durabletask::{ActivityFilter, GetInstanceRequest, GetWorkItemsRequest, WorkItemFilters};
use placet_sdk::{OrchestrationContext, Result, Worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::measure::{LONG_COMMITS, Target};
use super::{figure, raw};

/// The server gives thirty to forty seconds; a busy machine may take longer to keep its word.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(120);

async fn second() {
    // sleep: this is how slow they are
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Sends this a byte a second until the server ends it: what it says at last.
async fn drip(address: String, at_once: String, slowly: String) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(at_once.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = connection.into_split();
    let drip = async move {
        for byte in slowly.bytes().cycle() {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            second().await;
        }
    };
    let mut said = Vec::new();
    let ends = async {
        tokio::select! {
            () = drip => {}
            _ = reader.read_to_end(&mut said) => {}
        }
    };
    timeout(CUT_OFF_WITHIN, ends).await.expect("it is cut off");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_a_byte_a_second_is_cut_off_over_http_and_over_grpc() {
    let target = Target::waiting().await;
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let http = address(target.server.announced().http.as_deref().unwrap());
    let grpc = address(target.server.endpoint());
    let peers = figure(20, 200);
    let head = "POST /api/requests HTTP/1.1\r\nHost: localhost\r\n";
    let body = format!("{head}Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{{");
    let heads = (0..peers).map(|_| drip(http.clone(), head.to_owned(), "X-A: b\r\n".to_owned()));
    let bodies = (0..peers).map(|_| drip(http.clone(), body.clone(), " ".to_owned()));
    let prefaces = (0..peers).map(|_| drip(grpc.clone(), String::new(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()));
    let channel = raw::channel(target.server.endpoint()).await;
    let messages = (0..peers).map(|_| {
        // A message of 60 MiB, it says.
        let head = Bytes::from_static(&[0, 3, 0xC0, 0, 0]);
        let message = stream::unfold(Some(head), |head| async move {
            if head.is_none() {
                second().await;
            }
            Some((head.unwrap_or(Bytes::from_static(&[8])), None))
        });
        raw::pieces(&channel, "/TaskHubSidecarService/StartInstance", message)
    });
    let (heads, bodies, _, messages) =
        tokio::join!(join_all(heads), join_all(bodies), join_all(prefaces), join_all(messages));
    for said in heads {
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    for said in bodies {
        assert!(said.starts_with("HTTP/1.1 408") && said.contains("urn:placet:problem:body-too-slow"), "{said}");
    }
    for status in messages {
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("the message came too slowly"), "{status:?}");
    }
    target.judge("slow senders").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_a_byte_a_second_holds_up_nobody() {
    let target = Target::waiting().await;
    let client = target.server.client();
    let payload = "x".repeat(8 << 20);
    client.start("nobody", &payload).id("large").await.unwrap();
    client.terminate("large", &payload).await.unwrap();
    // They ask for what is long, and read no more than a byte a second of it.
    let mut slow = Vec::new();
    for _ in 0..figure(20, 100) {
        let mut connection = raw::Reluctant::connect(target.server.endpoint(), 16_384).await;
        let answer = connection.call("GetInstance", &everything_of("large")).await.unwrap();
        slow.push(tokio::spawn(async move {
            // Whoever was refused is in nobody's way.
            let Ok(answer) = answer.await else { return false };
            if answer.headers().contains_key("grpc-status") {
                return false;
            }
            tokio::select! {
                () = connection.ended() => true,
                () = async { raw::read_slowly(answer.into_body(), second).await; std::future::pending().await } => true,
            }
        }));
    }
    // Whoever reads properly waits for room, or is told to come again; he gets his answer when the slow are cut off.
    let found = super::payloads::insistently(|| client.get("large")).await.unwrap();
    assert_eq!(found.output::<String>().unwrap().unwrap().len(), payload.len());
    let ended = timeout(2 * CUT_OFF_WITHIN, join_all(slow)).await.expect("each is refused or cut off");
    let cut_off = ended.into_iter().filter(|cut_off| *cut_off.as_ref().unwrap()).count();
    println!("{cut_off} were cut off, the others refused");
    assert!(cut_off > 0, "there was room for some");
    target.judge("slow readers").await;
}

/// The transport takes all of an answer as soon as its reader takes any of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_of_which_only_the_beginning_is_taken_count_until_they_are_taken() {
    let target = Target::waiting().await;
    let client = target.server.client();
    let payload = "x".repeat((64 << 20) - 2);
    client.start("nobody", &()).id("largest").await.unwrap();
    client.terminate("largest", &payload).await.unwrap();
    let mut peers = Vec::new();
    for _ in 0..12 {
        let mut connection = raw::Reluctant::connect(target.server.endpoint(), 65_535).await;
        let answer = connection.call("GetInstance", &everything_of("largest")).await.unwrap();
        peers.push(tokio::spawn(async move { (answer.await.map(http::Response::into_body), connection) }));
    }
    // All but one or two are refused, or wait for as long as an answer does.
    let answers = timeout(CUT_OFF_WITHIN, join_all(peers)).await.expect("each is answered");
    drop(answers);
    target.judge_with("answers of which only the beginning is taken", LONG_COMMITS).await;
}

/// What is too short to wait for is much when a thousand ask for it on a connection and take nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_count_however_short_they_are() {
    let target = Target::waiting().await;
    let client = target.server.client();
    let payload = "x".repeat(60 << 10);
    client.start("nobody", &payload).id("short").await.unwrap();
    client.terminate("short", &payload).await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..figure(6, 24) {
        let mut connection = raw::Reluctant::connect(target.server.endpoint(), 0).await;
        connections.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..900 {
                let Some(answer) = connection.call("GetInstance", &everything_of("short")).await else { break };
                answers.push(answer);
            }
            // Whoever was refused all that he asked for is in nobody's way.
            let (mut taken, mut refused) = (Vec::new(), 0);
            for answer in join_all(answers).await {
                match answer {
                    Ok(answer) if answer.headers().contains_key("grpc-status") => refused += 1,
                    Ok(answer) => taken.push(answer),
                    Err(_) => {}
                }
            }
            if !taken.is_empty() {
                connection.ended().await;
            }
            refused
        }));
    }
    let answered = timeout(4 * CUT_OFF_WITHIN, join_all(connections)).await.expect("whoever has an answer is cut off");
    println!("{} calls were refused", answered.into_iter().map(Result::unwrap).sum::<i32>());
    let found = super::payloads::insistently(|| client.get("short")).await.unwrap();
    assert_eq!(found.output::<String>().unwrap().unwrap().len(), payload.len());
    target.judge("answers that nobody takes").await;
}

fn everything_of(id: &str) -> GetInstanceRequest {
    GetInstanceRequest { instance_id: id.to_owned(), get_inputs_and_outputs: true }
}

async fn asks_much(ctx: OrchestrationContext, (): ()) -> Result<usize> {
    Ok(ctx.activity("gulp", &"x".repeat(8 << 20)).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_take_what_is_long_and_read_none_of_it_are_cut_off() {
    let target = Target::waiting().await;
    let client = target.server.client();
    let worker = Worker::builder(client.clone()).orchestration("asks_much", asks_much).only_registered().start();
    for number in 0..8 {
        let id = client.start("asks_much", &()).id(format!("much-{number}")).await.unwrap();
        client.wait_for_start(&id).await.unwrap();
    }
    worker.shutdown().await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut connection = raw::Reluctant::connect(target.server.endpoint(), 65_535).await;
        let gulp = ActivityFilter { name: "gulp".into(), versions: Vec::new() };
        let filters = WorkItemFilters { activities: vec![gulp], ..WorkItemFilters::default() };
        let request = GetWorkItemsRequest { work_item_filters: Some(filters), ..GetWorkItemsRequest::default() };
        let items = connection.call("GetWorkItems", &request).await.unwrap().await.unwrap();
        deaf.push(async move {
            let mut items = items.into_body();
            // What comes before it takes any: nothing is what the others have it wait for.
            let came = items.data().await;
            connection.ended().await;
            came.is_some()
        });
    }
    let (was_given, ..) =
        timeout(CUT_OFF_WITHIN, select_all(deaf.into_iter().map(Box::pin))).await.expect("one is cut off");
    assert!(was_given, "it was cut off for what it was given");
    target.judge_with("workers that do not read what is long", LONG_COMMITS).await;
}
