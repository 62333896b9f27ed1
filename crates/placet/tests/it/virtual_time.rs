//! A server whose clock stands until it is told to go on, or goes by itself: what its users see of it.

use std::time::{Duration, Instant, SystemTime};

use placet_sdk::testing::{NotStarted, TestServer, TestTime};
use placet_sdk::{Client, Code, Either, OrchestrationContext, Result, Worker};
use placet_testkit::{Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::requests::{ask, decide, id, look};
use crate::{PLACET, time_of};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn standing() -> Server {
    Launch::serve(PLACET).args(["--ephemeral", "--virtual-time"]).start().await.unwrap()
}

/// The same as programs written with the SDK have it in their tests.
async fn test_server(time: TestTime) -> TestServer {
    TestServer::builder().binary(PLACET).time(time).start().await.unwrap()
}

async fn auto(more: &[&str]) -> Server {
    Launch::serve(PLACET).args(["--ephemeral", "--virtual-time=auto"]).args(more).start().await.unwrap()
}

async fn advance(http: &Http, by: &str) -> Value {
    let answer = http.post("/api/time/advance", &json!({ "by": by })).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The request, once it has ended.
async fn outcome(http: &Http, id: &str) -> Value {
    eventually("the request has ended", async || {
        Some(look(http, id).await).filter(|shown| shown["runtime_status"] == "COMPLETED")
    })
    .await
}

#[tokio::test]
async fn a_day_passes_at_a_word_and_every_time_that_is_told_is_of_the_virtual_clock() {
    let server = standing().await;
    assert_eq!(server.announced().virtual_time.as_deref(), Some("manual"));
    let http = server.http();
    let first = advance(&http, "100d").await;
    let created = ask(&http, 24.0).await;
    let (asked_at, due) = (time_of(&first["now"]), time_of(&created["due"]));
    assert!(asked_at > SystemTime::now() + 99 * DAY);
    assert_eq!(due, asked_at + DAY, "it is asked at the virtual time, which stands");

    let id = id(&created);
    assert_eq!(advance(&http, "23h59m").await["timers_fired"], 0);
    assert_eq!(look(&http, &id).await["status"], "Pending");
    assert_eq!(advance(&http, "1m").await["timers_fired"], 1);
    // No waiting: all that could happen has happened.
    let ended = look(&http, &id).await;
    assert_eq!((&ended["status"], &ended["details"]["status"]), (&json!("Timeout"), &json!("Timeout")));
    assert_eq!(time_of(&ended["details"]["submitted_at"]), asked_at);
    assert_eq!(time_of(&ended["output"]["timed_out_at"]), due);
    let state = server.client().get(&id).await.unwrap().unwrap();
    assert_eq!((state.created_at(), state.completed_at()), (asked_at, Some(due)));
    assert_eq!(server.client().time().await.unwrap().now, due);
    assert_eq!(http.get("/readyz").await.unwrap().status, 200, "the clock is not doubted");
}

#[tokio::test]
async fn an_answer_before_the_deadline_wins_however_late_by_the_real_clock_and_one_at_it_does_not() {
    let server = standing().await;
    let http = server.http();
    let (early, late) = (id(&ask(&http, 24.0).await), id(&ask(&http, 24.0).await));
    advance(&http, "86399s").await;
    assert_eq!(decide(&http, &early, true, "Manager").await.status, 200);
    advance(&http, "1s").await;
    let refused = decide(&http, &late, true, "Manager").await;
    assert_eq!((refused.status, &refused.json()["outcome"]["status"]), (409, &json!("Timeout")), "{refused:?}");
}

#[tokio::test]
async fn the_parts_of_the_server_see_the_same_time_though_they_run_apart() {
    let args = ["--ephemeral", "--virtual-time"];
    let scheduler = Launch::scheduler(PLACET).args(args).start().await.unwrap();
    let _worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let now = advance(&api.http(), "30d").await["now"].clone();
    let created = ask(&api.http(), 24.0).await;
    assert_eq!(time_of(&created["due"]), time_of(&now) + DAY);
    advance(&api.http(), "24h").await;
    assert_eq!(look(&api.http(), &id(&created)).await["status"], "Timeout");
}

#[tokio::test]
async fn by_the_command_line_the_clock_is_shown_and_goes_on() {
    let server = standing().await;
    let run = async |args: &[&str]| {
        let launch = Launch::new(PLACET).args(["time"]).args(args).args(["--endpoint", server.endpoint()]);
        launch.run().await.unwrap()
    };
    let before = run(&["show"]).await;
    assert!(before.stdout.ends_with(" (virtual)\n"), "{before:?}");
    ask(&server.http(), 1.0).await;
    let advanced = run(&["advance", "1d 12h"]).await;
    assert!(advanced.stdout.ends_with(" (1 timers fired)\n"), "{advanced:?}");
    let time = |said: &str| time_of(&json!(said.split(' ').next().unwrap()));
    assert_eq!(time(&advanced.stdout), time(&before.stdout) + 36 * HOUR);
    // Nobody works here.
    server.client().start("nobodys", &()).await.unwrap();
    let left = run(&["advance", "1s", "--patience=0s"]).await;
    assert!(left.stdout.contains("not waited for: 0 work items that workers have, 1 that no worker"), "{left:?}");
}

#[tokio::test]
async fn real_time_is_not_advanced_and_whoever_tries_is_told_how_to_have_the_other() {
    let server = crate::server().await;
    let remedy = "start one with --ephemeral --virtual-time";
    let args = ["time", "advance", "24h", "--endpoint", server.endpoint()];
    let ended = Launch::new(PLACET).args(args).run().await.unwrap();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(remedy), "{ended:?}");
    let refused = server.http().post("/api/time/advance", &json!({"by": "24h"})).await.unwrap();
    assert_eq!((refused.status, &refused.json()["type"]), (409, &json!("urn:placet:problem:time-is-real")));
    assert!(refused.text().contains(remedy), "{refused:?}");
    assert_eq!(server.client().advance_time(DAY).await.unwrap_err().code, Code::FailedPrecondition);
    let time = server.client().time().await.unwrap();
    let off = SystemTime::now().duration_since(time.now).unwrap();
    assert!(!time.is_virtual && off < HOUR, "{time:?}");
}

#[tokio::test]
async fn a_duration_that_is_none_is_refused_by_name() {
    let server = standing().await;
    for (body, field) in [
        (json!({"by": "-1h"}), "by"),
        (json!({"by": "24"}), "by"),
        (json!({"by": "9000000000h"}), "by"),
        (json!({"by": "1h", "patience": "long"}), "patience"),
        (json!({"hours": 1}), "hours"),
    ] {
        let refused = server.http().post("/api/time/advance", &body).await.unwrap();
        assert_eq!((refused.status, &refused.json()["field"]), (422, &json!(field)), "{refused:?}");
    }
}

/// Naps as long as it is told to, one after another, and tells when it awoke from each.
async fn naps(ctx: OrchestrationContext, hours: Vec<u64>) -> Result<Vec<u64>> {
    let mut awake = Vec::new();
    for nap in hours {
        ctx.timer(HOUR * u32::try_from(nap)?).await;
        let at: u64 = ctx.activity("hours_since", &ctx.started_at()).await?;
        assert_eq!(ctx.now().duration_since(ctx.started_at())?, HOUR * u32::try_from(at)?);
        awake.push(at);
    }
    Ok(awake)
}

fn napper(client: &Client) -> Worker {
    let clock = client.clone();
    let hours_since = move |_ctx: placet_sdk::ActivityContext, since: SystemTime| {
        let client = clock.clone();
        async move { Ok(client.time().await?.now.duration_since(since)?.as_secs() / 3_600) }
    };
    Worker::builder(client.clone()).orchestration("naps", naps).activity("hours_since", hours_since).start()
}

#[tokio::test]
async fn on_a_long_way_every_timer_fires_at_its_own_time_with_all_that_follows_from_it() {
    let server = test_server(TestTime::Manual).await;
    let client = server.client();
    // Nobody is there yet: the clock waits for the first turns before it leaves.
    let first = client.start("naps", &[1, 3, 5]).await.unwrap();
    let second = client.start("naps", &[2, 3, 20]).await.unwrap();
    let worker = napper(&client);
    let arrived = server.advance(DAY).await.unwrap();
    assert_eq!((arrived.timers_fired, arrived.items_out, arrived.items_ready), (5, 0, 0));
    let naps = client.get(&first).await.unwrap().unwrap();
    assert_eq!(naps.output::<Vec<u64>>().unwrap(), Some(vec![1, 4, 9]));
    assert_eq!(naps.completed_at(), Some(naps.created_at() + 9 * HOUR));
    assert!(client.get(&second).await.unwrap().unwrap().completed_at().is_none());
    client.advance_time(HOUR).await.unwrap();
    assert_eq!(client.get(&second).await.unwrap().unwrap().output::<Vec<u64>>().unwrap(), Some(vec![2, 5, 25]));
    worker.shutdown().await;
}

#[tokio::test]
async fn a_year_of_hours_passes_in_seconds() {
    let server = test_server(TestTime::Manual).await;
    let client = server.client();
    let worker = napper(&client);
    let id = client.start("naps", &vec![24_u64; 365]).await.unwrap();
    let begun = Instant::now();
    client.advance_time(DAY * 366).await.unwrap();
    let took = begun.elapsed();
    let awake = client.get(&id).await.unwrap().unwrap().output::<Vec<u64>>().unwrap().unwrap();
    assert_eq!((awake.len(), awake.last()), (365, Some(&(365 * 24))));
    assert!(took < Duration::from_secs(20), "{took:?}");
    worker.shutdown().await;
}

#[tokio::test]
async fn by_itself_the_clock_goes_to_the_end_of_what_nobody_answers() {
    let server = auto(&[]).await;
    assert_eq!(server.announced().virtual_time.as_deref(), Some("auto"));
    let http = server.http();
    let created = ask(&http, 24.0).await;
    let ended = outcome(&http, &id(&created)).await;
    assert_eq!((&ended["status"], &ended["output"]["timed_out_at"]), (&json!("Timeout"), &created["due"]));
    let now = server.client().time().await.unwrap().now;
    assert_eq!(now, time_of(&created["due"]), "and no further");
}

#[tokio::test]
async fn a_request_of_a_day_is_approved_in_time_though_the_clock_would_go_by_itself() {
    let server = auto(&[]).await;
    let http = server.http();
    let begun = server.client().time().await.unwrap().now;
    for _ in 0..20 {
        let id = id(&ask(&http, 24.0).await);
        let answer = decide(&http, &id, true, "Manager").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(look(&http, &id).await["status"], "Approved");
    }
    assert_eq!(server.client().time().await.unwrap().now, begun, "there was never nothing else to happen");
}

/// Who is told first wins, in the history as in the answer, whenever it comes.
#[tokio::test]
async fn answers_that_race_with_a_clock_that_goes_by_itself_have_one_outcome() {
    let server = auto(&["--auto-after=5ms"]).await;
    let http = server.http();
    let mut seen = [0, 0];
    for wait in 0..30_u64 {
        let id = id(&ask(&http, 24.0).await);
        // sleep: it is to come just about when the clock goes
        tokio::time::sleep(Duration::from_micros(500 * wait)).await;
        let answer = decide(&http, &id, true, "Manager").await;
        let ended = outcome(&http, &id).await;
        let (won, status) = if answer.status == 200 { (0, "Approved") } else { (1, "Timeout") };
        assert_eq!(ended["status"], status, "{answer:?}");
        seen[won] += 1;
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

#[tokio::test]
async fn by_itself_the_clock_waits_for_an_activity_that_takes_its_time() {
    async fn slow_or_late(ctx: OrchestrationContext, (): ()) -> Result<&'static str> {
        let slow = ctx.activity::<()>("slow", &());
        Ok(match ctx.first(slow, ctx.timer(DAY)).await {
            Either::Left(done) => done.map(|()| "done")?,
            Either::Right(()) => "late",
        })
    }
    let server = test_server(TestTime::Auto(Duration::from_millis(20))).await;
    let client = server.client();
    let slow = |_ctx, (): ()| async {
        // sleep: many times as long as the clock would wait for nothing
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(())
    };
    let worker =
        Worker::builder(client.clone()).orchestration("slow_or_late", slow_or_late).activity("slow", slow).start();
    let id = client.start("slow_or_late", &()).await.unwrap();
    let state = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(state.output::<String>().unwrap().as_deref(), Some("done"));
    assert_eq!(state.completed_at(), Some(state.created_at()));
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_servers_stand_side_by_side_each_with_a_clock_and_instances_of_its_own() {
    let mut servers = tokio::task::JoinSet::new();
    for hours in 1..=10_u32 {
        servers.spawn(async move {
            let server = test_server(TestTime::Manual).await;
            let http = Http::new(server.http());
            let (before, id) = (server.client().time().await.unwrap().now, id(&ask(&http, f64::from(hours)).await));
            let arrived = server.advance(HOUR * hours).await.unwrap();
            assert_eq!(arrived.now, before + HOUR * hours);
            assert_eq!(look(&http, &id).await["status"], "Timeout");
            let endpoint = server.endpoint().to_owned();
            server.stop().await;
            endpoint
        });
    }
    servers.join_all().await;
}

#[tokio::test]
async fn a_test_server_ends_when_it_is_dropped_and_leaves_nothing_behind() {
    let folder = tempfile::TempDir::new().unwrap();
    let ready_file = folder.path().join("ready.json");
    let server = TestServer::builder().binary(PLACET).arg("--ready-file").arg(&ready_file).start().await.unwrap();
    let announced: Value = serde_json::from_slice(&std::fs::read(&ready_file).unwrap()).unwrap();
    let (http, data_dir) = (Http::new(server.http()), announced["data_dir"].as_str().unwrap().to_owned());
    assert_eq!(http.get("/readyz").await.unwrap().status, 200);
    assert!(std::path::Path::new(&data_dir).exists());
    drop(server);
    eventually("it has ended", async || (!std::path::Path::new(&data_dir).exists()).then_some(())).await;
    assert!(http.get("/readyz").await.is_err());
}

#[tokio::test]
async fn why_a_test_server_does_not_start_is_said() {
    let wrong = TestServer::builder().binary(PLACET).arg("--no-such-flag").start().await.unwrap_err();
    assert!(matches!(&wrong, NotStarted::Ended { log, .. } if log.contains("--no-such-flag")), "{wrong}");
    let absent = TestServer::builder().binary("/no-such-placet").start().await.unwrap_err();
    assert!(absent.to_string().contains("/no-such-placet cannot be run; set PLACET_BIN"), "{absent}");
}
