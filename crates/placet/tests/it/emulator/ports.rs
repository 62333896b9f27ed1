//! The three ports, what each answers, the variables, and which task hubs there are.

use http::Method;
use placet_sdk::{Code, StartError};
use placet_testkit::{Http, Launch, eventually};
use serde_json::json;

use super::{Tool, emulator};
use crate::PLACET;

#[tokio::test]
async fn every_port_answers_what_is_asked_first_in_the_language_that_it_is_asked_in() {
    let server = emulator().await;
    let announced = server.announced();
    let (grpc, rest, dashboard) =
        (&announced.grpc, announced.rest.clone().unwrap(), announced.dashboard.clone().unwrap());
    // Aspire's resource takes 204 and nothing else; agent-framework asks over HTTP/2 without asking first.
    for http in [Http::new(&rest), Http::new(grpc), Http::over_http2(grpc), Http::new(&dashboard)] {
        assert_eq!(http.get("/healthz").await.unwrap().status, 204, "{}", http.base());
    }
    for (base, path) in [(grpc, "/v1"), (&rest, "/v1"), (&dashboard, "/api/v1")] {
        let ping = Tool::new(base, "default").get(&format!("{path}/taskhubs/ping")).await;
        assert_eq!(ping.status, 200, "{base}");
        assert_eq!(
            Http::new(base).get(&format!("{path}/taskhubs/ping")).await.unwrap().status,
            200,
            "without a header"
        );
    }
    assert_eq!(Http::new(&dashboard).get("/health").await.unwrap().status, 200);
    // CI scripts look whether anything answers at all.
    for base in [grpc, &rest, &dashboard] {
        assert_eq!(Http::new(base).get("/").await.unwrap().status, 200);
        let nothing = Http::new(base).get("/no/such/path").await.unwrap();
        assert_eq!((nothing.status, nothing.content_type()), (404, "application/problem+json"));
    }
    server.client().hello().await.unwrap();
}

#[tokio::test]
async fn what_neither_grpc_nor_rest_has_is_answered_in_the_language_of_its_caller() {
    let server = emulator().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let http = Http::over_http2(server.endpoint());
    let answer = http.call(Method::POST, "/NoSuchService/NoSuchMethod", &headers, "").await.unwrap();
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (200, &http::HeaderValue::from_static("12")));
}

#[tokio::test]
async fn the_emulator_has_the_hubs_that_it_was_told_of_and_whatever_their_case_no_others() {
    let launch = Launch::emulator(PLACET).variable("DTS_TASK_HUB_NAMES", "Orders, other-hub");
    let server = launch.start().await.unwrap();
    assert_eq!(server.announced().taskhub.as_deref(), Some("orders, other-hub"));
    assert!(server.announced().ephemeral);
    for (hub, status) in [("orders", 200), ("ORDERS", 200), ("Other-Hub", 200), ("default", 404), ("no hub", 400)] {
        let tool = Tool::new(server.endpoint(), hub);
        assert_eq!(tool.get("/v1/taskhubs/ping").await.status, status, "{hub}");
        let list = tool.post("/v1/taskhubs/orchestrations/query", &json!({})).await;
        assert_eq!(list.status, status, "{hub}");
    }
    let client = server.client();
    let refused = client.start("doubles", &1).await.unwrap_err();
    assert!(matches!(&refused, StartError::Call(error) if error.code == Code::NotFound), "{refused:?}");
    assert_eq!(client.get("x").await.unwrap_err().code, Code::NotFound);
    // Over gRPC in one case, over HTTP in another.
    client.with_hub("oRDERS").start("doubles", &1).id("one").await.unwrap();
    assert_eq!(Tool::new(server.endpoint(), "Orders").ids(&json!({})).await, ["one"]);
    assert_eq!(Tool::new(server.endpoint(), "other-hub").ids(&json!({})).await, [""; 0], "hubs are walls");
}

#[tokio::test]
async fn hubs_are_made_by_their_first_use_if_the_emulator_is_told_so() {
    for value in ["true", "True", "1"] {
        let launch = Launch::emulator(PLACET).variable("DTS_USE_DYNAMIC_TASK_HUBS", value);
        let server = launch.variable("DTS_EMULATOR_LOG_LEVEL", "Information").start().await.unwrap();
        let tool = Tool::new(server.endpoint(), "brand-new");
        assert_eq!(tool.get("/v1/taskhubs/ping").await.status, 200, "{value}");
        tool.start("one", "doubles").await;
        assert_eq!(tool.ids(&json!({})).await, ["one"]);
    }
    let server = Launch::serve(PLACET).variable("DTS_USE_DYNAMIC_TASK_HUBS", "false").start().await.unwrap();
    assert_eq!(Tool::of(&server).get("/v1/taskhubs/ping").await.status, 200, "its own hub is there");
    assert_eq!(Tool::new(server.endpoint(), "other").get("/v1/taskhubs/ping").await.status, 404);
}

#[tokio::test]
async fn links_to_the_dashboard_lead_to_a_page_that_says_what_there_is() {
    let server = emulator().await;
    let dashboard = Http::new(server.announced().dashboard.as_deref().unwrap());
    Tool::of(&server).start("<b>&1", "doubles").await;
    let links = [
        "/",
        "/subscriptions/local/schedulers/emulator/taskhubs/default",
        "/subscriptions/default/schedulers/default/taskhubs/Default",
        "/subscriptions/local/schedulers/emulator/taskhubs/default/orchestrations",
        "/subscriptions/local/schedulers/emulator/taskhubs/default/orchestrations/%3Cb%3E%261",
    ];
    for link in links {
        let page = dashboard.get(link).await.unwrap();
        assert_eq!((page.status, page.content_type()), (200, "text/html"), "{link}");
        let text = page.text();
        assert!(text.contains("Task hub default") && text.contains("<td>pending</td><td>1</td>"), "{text}");
        assert!(!text.contains("<b>&1"), "what users write is escaped");
        assert_eq!(text.contains("<code>&lt;b&gt;&amp;1</code>: pending"), link.ends_with("261"), "{text}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors *"), "{policy}");
    }
    let unknown = "/subscriptions/local/schedulers/emulator/taskhubs/no-such-hub";
    assert_eq!(dashboard.get(unknown).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_further_ports_can_be_had_from_any_server_and_other_pages_cannot_call_them() {
    let launch = Launch::scheduler(PLACET).args(["--rest-addr=127.0.0.1:0", "--dashboard-addr=127.0.0.1:0"]);
    let server = launch.start().await.unwrap();
    let announced = server.announced();
    let bases = [&announced.grpc, announced.rest.as_ref().unwrap(), announced.dashboard.as_ref().unwrap()];
    for base in bases {
        let http = Http::new(base);
        assert_eq!(http.get("/healthz").await.unwrap().status, 204, "{base}");
        let own = http.call(Method::GET, "/healthz", &[("origin", base.as_str())], "").await.unwrap();
        assert_eq!(own.status, 204);
        let elsewhere = http.call(Method::GET, "/healthz", &[("origin", "http://evil.example")], "").await.unwrap();
        assert_eq!(elsewhere.status, 403);
        let renamed = http.call(Method::GET, "/healthz", &[("host", "evil.example")], "").await.unwrap();
        assert_eq!(renamed.status, 421);
    }
}

#[tokio::test]
async fn an_emulator_that_keeps_its_data_counts_on_after_it_was_killed() {
    let server = Launch::emulator(PLACET).args(["--data-dir=kept"]).start().await.unwrap();
    assert!(!server.announced().ephemeral);
    let tool = Tool::of(&server);
    for number in 0..7 {
        tool.start(&format!("i{number}"), "waits").await;
    }
    assert_eq!(tool.delete("/v1/taskhubs/orchestrations/i0", None).await.status, 409);
    tool.event("i0", &json!({"executionTerminated": {"reason": "enough"}})).await;
    tool.comes_to("i0", "TERMINATED").await;
    let server = server.kill().await.unwrap().start().await.unwrap();
    let tool = Tool::of(&server);
    let list = eventually("it answers", async || Some(tool.query(&json!({"pagination": {"count": 1}})).await)).await;
    let counted = ["totalCount", "pendingCount", "runningCount"].map(|name| list["trivia"][name].as_u64().unwrap());
    assert_eq!((counted, &list["totalCount"]), ([7, 6, 0], &json!(7)));
}
