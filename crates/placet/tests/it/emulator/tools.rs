//! What each tool sends, and what it reads of the answer, in full.

use http::Method;
use placet_testkit::Http;
use serde_json::{Value, json};

use super::{ORCHESTRATIONS, Tool, emulator, ids_of, masked, some, worker};

/// The entry of a list, as all tools together read it.
fn ended(id: &str, name: &str, status: &str, short: &str) -> Value {
    json!({
        "instanceId": id, "executionId": "EXECUTION", "name": name, "version": "",
        "createdTimestamp": "TIME", "lastUpdatedTimestamp": "TIME", "completedTimestamp": "TIME",
        "orchestrationStatus": status,
        "runtimeStatus": short, "createdTime": "TIME", "lastUpdatedTime": "TIME",
    })
}

fn order_1() -> Value {
    let mut order = ended("Order-1", "doubles", "ORCHESTRATION_STATUS_COMPLETED", "Completed");
    order["version"] = json!("1.0");
    order["tags"] = json!({"team": "red"});
    order
}

fn invoice() -> Value {
    let mut invoice = ended("invoice: 3/ä", "waits", "ORCHESTRATION_STATUS_RUNNING", "Running");
    invoice.as_object_mut().unwrap().remove("completedTimestamp");
    invoice
}

fn trivia() -> Value {
    json!({
        "earliestTimestamp": "TIME", "latestTimestamp": "TIME",
        "totalCount": 3, "completedCount": 1, "runningCount": 1, "failedCount": 1, "pendingCount": 0,
    })
}

#[tokio::test]
async fn the_vs_code_extension_lists_and_looks_at_orchestrations() {
    let server = emulator().await;
    let worker = worker(server.client());
    some(&server.client()).await;
    let tool = Tool::of(&server);
    let list = masked(tool.query(&json!({})).await);
    let order_2 = ended("order-2", "fails", "ORCHESTRATION_STATUS_FAILED", "Failed");
    let expected = json!({"orchestrations": [invoice(), order_2, order_1()], "totalCount": 3, "trivia": trivia()});
    assert_eq!(list, expected);
    // An earlier version of it wanted two fields.
    let two = tool.query(&json!({"filter": {}, "fields": "instanceId,name"})).await;
    assert_eq!(two["orchestrations"][1], json!({"instanceId": "order-2", "name": "fails"}));

    // Its ids go through encodeURIComponent.
    let found = tool.get(&format!("{ORCHESTRATIONS}/invoice%3A%203%2F%C3%A4")).await;
    assert_eq!((found.status, masked(found.json())), (200, invoice()));
    let payloads = tool.get(&format!("{ORCHESTRATIONS}/Order-1/payloads")).await.json();
    let expected = json!({
        "input": "21", "output": "42", "customStatus": "\"doubling\"",
        "orchestrationStatus": "ORCHESTRATION_STATUS_COMPLETED",
    });
    assert_eq!(payloads, expected);
    let payloads = tool.get(&format!("{ORCHESTRATIONS}/order-2/payloads")).await.json();
    let failure = json!({"errorType": "ShippingError", "errorMessage": "no truck", "isNonRetriable": false});
    assert_eq!(payloads["failureDetails"], failure, "{payloads}");

    let execution_id = tool.get(&format!("{ORCHESTRATIONS}/Order-1")).await.json()["executionId"].clone();
    let path = format!("{ORCHESTRATIONS}/Order-1/executions/{}/history", execution_id.as_str().unwrap());
    let history = tool.get(&path).await;
    assert_eq!(history.content_type(), "application/json");
    let started = json!({"eventId": -1, "timestamp": "TIME", "orchestratorStarted": {}});
    let expected = json!({"history": [
        started,
        {"eventId": -1, "timestamp": "TIME", "executionStarted": {
            "name": "doubles", "version": "1.0", "input": "21", "tags": {"team": "red"},
            "orchestrationInstance": {"instanceId": "Order-1", "executionId": "EXECUTION"},
        }},
        {"eventId": 1, "timestamp": "TIME", "taskScheduled": {"name": "double", "input": "21", "tags": {}}},
        started,
        {"eventId": -1, "timestamp": "TIME", "taskCompleted": {"taskScheduledId": 1, "result": "42"}},
        {"eventId": 2, "timestamp": "TIME", "executionCompleted": {
            "orchestrationStatus": "ORCHESTRATION_STATUS_COMPLETED", "result": "42",
        }},
    ]});
    assert_eq!(masked(history.json()), expected);
    worker.shutdown().await;
}

#[tokio::test]
async fn the_azure_cli_asks_over_http2_for_what_was_updated_last() {
    let server = emulator().await;
    let worker = worker(server.client());
    some(&server.client()).await;
    let asked = json!({
        "filter": {}, "pagination": {"startIndex": 0, "count": 100},
        "sort": [{"column": "LAST_UPDATED_AT", "direction": "DESCENDING_SORT"}],
    });
    let headers = [("content-type", "application/json"), ("authorization", "Bearer ey.x.y"), ("x-taskhub", "default")];
    let http = Http::over_http2(server.endpoint());
    let query = format!("{ORCHESTRATIONS}/query");
    let answer = http.call(Method::POST, &query, &headers, &asked.to_string()).await.unwrap();
    assert_eq!((answer.status, answer.content_type()), (200, "application/json"));
    let list = answer.json();
    assert_eq!(ids_of(&list), ["invoice: 3/ä", "order-2", "Order-1"]);
    assert_eq!(masked(list["trivia"].clone()), trivia());
    worker.shutdown().await;
}

#[tokio::test]
async fn the_terminal_client_lists_by_status_in_a_hub_that_it_writes_small() {
    const FIELDS: &str = "instanceId,name,version,createdTimestamp,executionId,lastUpdatedTimestamp,\
        completedTimestamp,orchestrationStatus,scheduledStartTimestamp,tags";
    let server = emulator().await;
    let client = server.client().with_hub("Default");
    let worker = worker(client.clone());
    some(&client).await;
    let tool = Tool::new(server.announced().rest.as_deref().unwrap(), "default");
    let list = tool
        .query(&json!({
            "filter": {"orchestrationStatus": {"status": ["ORCHESTRATION_STATUS_COMPLETED"]}},
            "pagination": {"startIndex": 0, "count": 50},
            "sort": [{"column": "LAST_UPDATED_AT", "direction": "DESCENDING_SORT"}],
            "fields": FIELDS,
        }))
        .await;
    let mut expected = order_1();
    for unasked in ["runtimeStatus", "createdTime", "lastUpdatedTime"] {
        expected.as_object_mut().unwrap().remove(unasked);
    }
    let all = json!({"orchestrations": [expected], "totalCount": 1, "trivia": trivia()});
    assert_eq!(masked(list), all);

    let workers = tool.get("/v1/taskhubs/workers").await.json();
    let [of_tests] = workers["workers"].as_array().unwrap().as_slice() else { panic!("{workers}") };
    for (name, count) in [("activeOrchestrationsCount", 0), ("activeActivitiesCount", 0), ("activeEntitiesCount", 0)] {
        assert_eq!(of_tests[name], count, "{workers}");
    }
    for name in ["maxOrchestrationsCount", "maxActivitiesCount"] {
        assert!(of_tests[name].as_u64().unwrap() > 0, "{workers}");
    }
    let elsewhere = server.client().with_hub("default");
    elsewhere.hello().await.unwrap();
    worker.shutdown().await;
    let left = placet_testkit::eventually("it has left", async || {
        let workers = tool.get("/v1/taskhubs/workers").await.json();
        (workers == json!({"workers": []})).then_some(())
    });
    left.await;
}

#[tokio::test]
async fn lists_of_what_is_not_there_yet_are_empty_and_well_formed() {
    let server = emulator().await;
    let tool = Tool::of(&server);
    let asked = json!({
        "filter": {"nameStartsWith": {"value": "@agent@"}}, "pagination": {"startIndex": 0, "count": 50},
        "sort": [{"column": "LAST_MODIFIED_AT", "direction": "DESCENDING_SORT"}], "fetchTotalCount": true,
    });
    let entities = tool.post("/v1/taskhubs/entities/query", &asked).await;
    assert_eq!((entities.status, entities.json()), (200, json!({"entities": [], "totalCount": 0})));
    let schedules = tool.get("/v1/taskhubs/schedules?continuationToken=x").await;
    assert_eq!((schedules.status, schedules.json()), (200, json!({"entities": []})));
    assert_eq!(tool.get("/v1/taskhubs/entities/@counter@one").await.status, 404);
    assert_eq!(tool.get("/v1/taskhubs/entities/@counter@one/state").await.status, 404);
    assert_eq!(tool.delete("/v1/taskhubs/entities/delete", Some(&json!(["@counter@one"]))).await.status, 204);
    assert_eq!(tool.delete("/v1/taskhubs/schedules/daily", None).await.status, 404);
    assert_eq!(tool.call(Method::POST, "/v1/taskhubs/schedules/daily/pause", None).await.status, 404);
    let schedule = json!({"ScheduleId": "daily", "OrchestrationName": "x", "Interval": "1.00:00:00"});
    assert_eq!(tool.post("/v1/taskhubs/schedules", &schedule).await.status, 501);
}
