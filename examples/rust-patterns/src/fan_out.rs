//! Fan-out, fan-in: many steps at once, and what came of all of them. Ordinary combinators do: `join_all` waits for all,
//! `select` for the first.

use futures_util::future::join_all;
use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};

/// The orchestration: how many words there are on all pages.
///
/// # Errors
/// If an activity fails.
pub async fn count_words(ctx: OrchestrationContext, pages: Vec<String>) -> Result<usize> {
    let counts = pages.iter().map(|page| ctx.activity::<usize>("count_page", page));
    let mut words = 0;
    for count in join_all(counts).await {
        words += count?;
    }
    Ok(words)
}

async fn count_page(_: ActivityContext, page: String) -> Result<usize> {
    Ok(page.split_whitespace().count())
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("count_words", count_words).activity("count_page", count_page).start()
}
