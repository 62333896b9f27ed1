//! The emulator's HTTP side: its ports, and its data calls as each of Microsoft's tools makes them (PROTOCOL.md §13).

mod commands;
mod lists;
mod ports;
mod tools;

use http::Method;
use placet_sdk::{ActivityContext, Client, Failure, OrchestrationContext, Worker};
use placet_testkit::{Answer, Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;

const ORCHESTRATIONS: &str = "/v1/taskhubs/orchestrations";

async fn emulator() -> Server {
    Launch::emulator(PLACET).start().await.expect("the emulator starts")
}

/// A tool that speaks to one address about one hub.
struct Tool {
    http: Http,
    hub: String,
}

impl Tool {
    fn new(base: &str, hub: &str) -> Tool {
        Tool { http: Http::new(base), hub: hub.to_owned() }
    }

    /// One on the scheduler's own port.
    fn of(server: &Server) -> Tool {
        Tool::new(server.endpoint(), "default")
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut headers = vec![("x-taskhub", self.hub.as_str()), ("authorization", "Bearer any")];
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.http.call(method, path, &headers, &body).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str, body: Option<&Value>) -> Answer {
        self.call(Method::DELETE, path, body).await
    }

    /// A list.
    async fn query(&self, body: &Value) -> Value {
        let answer = self.post(&format!("{ORCHESTRATIONS}/query"), body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        answer.json()
    }

    /// The ids of a list, in its order.
    async fn ids(&self, body: &Value) -> Vec<String> {
        ids_of(&self.query(body).await)
    }

    async fn start(&self, id: &str, name: &str) {
        let answer = self.post(ORCHESTRATIONS, &json!({"name": name, "instanceId": id, "input": "{}"})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    async fn event(&self, id: &str, event: &Value) -> Answer {
        self.post(&format!("{ORCHESTRATIONS}/{id}/history"), event).await
    }

    async fn status(&self, id: &str) -> String {
        let answer = self.get(&format!("{ORCHESTRATIONS}/{id}")).await;
        answer.json()["orchestrationStatus"].as_str().unwrap_or_default().replace("ORCHESTRATION_STATUS_", "")
    }

    async fn comes_to(&self, id: &str, status: &str) {
        let what = format!("{id} is {status}");
        eventually(&what, async || (self.status(id).await == status).then_some(())).await;
    }
}

fn ids_of(list: &Value) -> Vec<String> {
    let of = |one: &Value| one["instanceId"].as_str().unwrap().to_owned();
    list["orchestrations"].as_array().unwrap().iter().map(of).collect()
}

/// With all times and execution ids replaced, which are checked to be such: no two runs have the same.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(name, value)| {
                let masked = if ["time", "timestamp"].iter().any(|end| name.to_lowercase().ends_with(end)) {
                    crate::time_of(&value);
                    "TIME".into()
                } else if name == "executionId" {
                    assert_eq!(value.as_str().map(str::len), Some(32), "{value}");
                    "EXECUTION".into()
                } else {
                    masked(value)
                };
                (name, masked)
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(masked).collect(),
        other => other,
    }
}

async fn double(_: ActivityContext, number: u32) -> placet_sdk::Result<u32> {
    Ok(2 * number)
}

async fn doubles(ctx: OrchestrationContext, number: u32) -> placet_sdk::Result<u32> {
    ctx.set_custom_status(&"doubling")?;
    Ok(ctx.activity("double", &number).await?)
}

async fn waits(ctx: OrchestrationContext, _: Value) -> placet_sdk::Result<String> {
    Ok(ctx.external_event("go").await?)
}

async fn fails(_: OrchestrationContext, _: Value) -> placet_sdk::Result<()> {
    Err(Failure::new("ShippingError", "no truck"))
}

/// A worker for what the tests start.
fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("doubles", doubles)
        .orchestration("waits", waits)
        .orchestration("fails", fails)
        .activity("double", double)
        .start()
}

/// One of each end, started over gRPC, one after the other.
async fn some(client: &Client) {
    let order = client.start("doubles", &21).id("Order-1").version("1.0");
    order.tags([("team".into(), "red".into())].into()).await.unwrap();
    client.wait_for_completion("Order-1").await.unwrap();
    client.start("fails", &json!({})).id("order-2").await.unwrap();
    client.wait_for_completion("order-2").await.unwrap();
    client.start("waits", &json!({})).id("invoice: 3/ä").await.unwrap();
    client.wait_for_start("invoice: 3/ä").await.unwrap();
}
