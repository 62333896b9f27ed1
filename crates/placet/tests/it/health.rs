//! Whether a server is there and can be relied upon: over HTTP, over gRPC, from the command line.

use placet_testkit::Launch;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::PLACET;

async fn channel(endpoint: &str) -> Channel {
    Channel::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn the_process_is_alive_and_ready_over_http() {
    let server = crate::server().await;
    let alive = server.http().get("/healthz").await.unwrap();
    assert_eq!((alive.status, alive.body.len()), (204, 0));
    let ready = server.http().get("/readyz").await.unwrap();
    assert_eq!((ready.status, ready.text()), (200, r#"{"ready":true,"reasons":[]}"#.to_owned()));
}

#[tokio::test]
async fn grpc_health_answers_that_it_serves() {
    let server = crate::server().await;
    let mut health = HealthClient::new(channel(server.endpoint()).await);
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn reflection_tells_the_services_and_describes_their_messages() {
    let server = crate::server().await;
    let mut client = ServerReflectionClient::new(channel(server.endpoint()).await);
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("TaskHubSidecarService".into()),
        MessageRequest::FileContainingSymbol("placet.v1.Client".into()),
    ];
    let questions =
        questions.map(|question| ServerReflectionRequest { host: String::new(), message_request: Some(question) });
    let answers = client.server_reflection_info(futures_util::stream::iter(questions)).await.unwrap();
    let answers: Vec<ServerReflectionResponse> =
        futures_util::TryStreamExt::try_collect(answers.into_inner()).await.unwrap();
    let answers: Vec<MessageResponse> = answers.into_iter().map(|answer| answer.message_response.unwrap()).collect();
    let MessageResponse::ListServicesResponse(services) = &answers[0] else { panic!("{answers:?}") };
    let mut names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    insta::assert_snapshot!(names.join("\n"), @r"
    TaskHubSidecarService
    grpc.health.v1.Health
    grpc.reflection.v1.ServerReflection
    placet.v1.Admin
    placet.v1.Client
    placet.v1.Worker
    ");
    for answer in &answers[1..] {
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
}

#[tokio::test]
async fn the_health_command_asks_the_api_or_a_scheduler_alone() {
    let server = crate::server().await;
    let http = server.announced().http.clone().unwrap();
    let grpc = server.endpoint().to_owned();
    let health = |args: [&str; 2]| Launch::new(PLACET).args(["health"]).args(args).run();
    for args in [["--http-addr", http.as_str()], ["--endpoint", grpc.as_str()]] {
        let ended = health(args).await.unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""), "{args:?}");
    }
    server.stop().await.unwrap();
    for args in [["--http-addr", http.as_str()], ["--endpoint", grpc.as_str()]] {
        let ended = health(args).await.unwrap();
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.starts_with("placet: not ready: "), "{args:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn an_operator_can_say_that_the_clock_is_right() {
    let server = crate::server().await;
    let ended = Launch::new(PLACET).args(["time", "accept", "--endpoint", server.endpoint()]).run().await.unwrap();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(server.http().get("/readyz").await.unwrap().status, 200);
}

/// The promise is 300 ms for the binary as it ships; a debug build on a machine that runs other tests as well gets
/// more. The figure is printed.
#[tokio::test]
async fn a_server_with_an_empty_store_is_ready_in_a_moment() {
    let mut best = std::time::Duration::MAX;
    for _ in 0..5 {
        best = best.min(crate::server().await.ready_after());
    }
    println!("ready after {best:?} (the best of five)");
    let bound = if cfg!(debug_assertions) { 3_000 } else { 300 };
    assert!(best.as_millis() < bound, "ready after {best:?}");
}
