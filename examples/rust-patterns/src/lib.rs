//! The patterns of durable orchestrations, a module each, and [`demonstrate`], which runs one of them.

pub mod approval;
pub mod chaining;
pub mod children;
pub mod eternal;
pub mod fan_out;
pub mod http_api;
pub mod monitor;
pub mod saga;
pub mod versioning;

use std::error::Error;

use placet_sdk::Client;

/// The names that [`demonstrate`] knows.
pub const PATTERNS: [&str; 9] =
    ["chaining", "fan-out", "monitor", "eternal", "saga", "children", "versioning", "http-api", "approval"];

/// Runs a pattern against a scheduler: what came of it, as JSON.
///
/// # Errors
/// If the pattern is not known, or the scheduler does not answer.
pub async fn demonstrate(client: &Client, pattern: &str) -> Result<String, Box<dyn Error>> {
    let (worker, id) = match pattern {
        "chaining" => (chaining::worker(client.clone()), client.start("chain", "world").await?),
        "fan-out" => {
            let pages = ["to be or not to be", "that is the question"];
            (fan_out::worker(client.clone()), client.start("count_words", &pages).await?)
        }
        "monitor" => {
            let watch = monitor::Watch { job: "backup".to_owned(), every_ms: 1, looks: 10 };
            (monitor::worker(client.clone()), client.start("monitor", &watch).await?)
        }
        "eternal" => {
            let worker = eternal::worker(client.clone());
            let id = client.start("account", &eternal::Account::default()).await?;
            for amount in 1..=25 {
                client.raise_event(&id, "deposit", &Some(amount)).await?;
            }
            client.raise_event(&id, "deposit", &None::<i64>).await?;
            (worker, id)
        }
        "saga" => (saga::worker(client.clone()), client.start("book_trip", &Some("car")).await?),
        "children" => (children::worker(client.clone()), client.start("roll_out", &["north", "south"]).await?),
        "versioning" => {
            let worker = versioning::worker(client.clone());
            let id = client.start("ship", "order-1").version(versioning::CURRENT).await?;
            client.raise_event(&id, "picked_up", &()).await?;
            (worker, id)
        }
        "http-api" => {
            let worker = http_api::worker(client.clone());
            let id = client.start("job", &2).await?;
            for _ in 0..2 {
                client.raise_event(&id, "go_on", &()).await?;
            }
            (worker, id)
        }
        "approval" => {
            let worker = approval::worker(client.clone());
            let id = client.start("deploy_approved", "2.3").await?;
            // Its approver, who answers as soon as he is asked.
            let request = format!("{id}:approval");
            while client.get(&request).await?.is_none() {
                // sleep: between two looks at something that cannot be waited for
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let decision = serde_json::json!({"is_approved": true, "approver": "ann"});
            client.ask(&request, placet_approval::DECISION_EVENT, &decision).await?;
            (worker, id)
        }
        other => return Err(format!("{other:?} is none of the patterns: {}", PATTERNS.join(", ")).into()),
    };
    let done = client.wait_for_completion(&id).await?;
    worker.shutdown().await;
    Ok(done.output_json().unwrap_or("null").to_owned())
}
