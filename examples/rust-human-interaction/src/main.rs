//! The worker: `ENDPOINT` and `TASKHUB` say which scheduler and which task hub it serves; Ctrl+C stops it.

use std::env;
use std::error::Error;

use placet_sdk::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = env::var("ENDPOINT").unwrap_or_else(|_| "http://localhost:8080".to_owned());
    let taskhub = env::var("TASKHUB").unwrap_or_else(|_| "default".to_owned());
    let worker = rust_human_interaction::start_worker(Client::connect(&endpoint)?.with_hub(&taskhub));
    tokio::signal::ctrl_c().await?;
    worker.shutdown().await;
    Ok(())
}
