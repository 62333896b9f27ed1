//! Runs one of the patterns: `ENDPOINT` and `TASKHUB` say on which scheduler and in which task hub.
#![expect(clippy::print_stdout, reason = "what came of it is told to whoever runs it")]

use std::env;
use std::error::Error;

use placet_sdk::Client;
use rust_patterns::{PATTERNS, demonstrate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = env::var("ENDPOINT").unwrap_or_else(|_| "http://localhost:8080".to_owned());
    let hub = env::var("TASKHUB").unwrap_or_else(|_| "default".to_owned());
    let pattern = env::args().nth(1).ok_or_else(|| format!("which one? {}", PATTERNS.join(", ")))?;
    let client = Client::connect(&endpoint)?.with_hub(&hub);
    println!("{}", demonstrate(&client, &pattern).await?);
    Ok(())
}
