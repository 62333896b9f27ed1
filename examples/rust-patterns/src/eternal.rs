//! Eternal: goes on for ever, in generations. Each begins with what the last one knows and an empty history, so that the
//! thousandth costs what the first one did. Events that come while one generation ends wait for the next.

use placet_sdk::{Client, OrchestrationContext, Result, Worker};
use serde::{Deserialize, Serialize};

/// Deposits that one generation books.
const DEPOSITS_PER_GENERATION: u32 = 10;

/// What an account knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its balance.
    pub balance: i64,
    /// How many deposits it has booked.
    pub booked: u32,
}

/// The orchestration: books what comes, until it is closed.
///
/// # Errors
/// If what comes is no amount.
pub async fn account(ctx: OrchestrationContext, mut account: Account) -> Result<Account> {
    for _ in 0..DEPOSITS_PER_GENERATION {
        // None closes it.
        let Some(amount) = ctx.external_event::<Option<i64>>("deposit").await? else { return Ok(account) };
        account.balance += amount;
        account.booked += 1;
        ctx.set_custom_status(&account)?;
    }
    ctx.continue_as_new(&account)?;
    Ok(account)
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("account", account).start()
}
