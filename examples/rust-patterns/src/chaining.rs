//! Chaining: one step after the other, each given what the last one made. If this program is killed between two of them, it
//! goes on with the next one when it is started again; none runs twice because of that but the one that was under way.

use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};

/// The orchestration.
///
/// # Errors
/// If an activity fails.
pub async fn chain(ctx: OrchestrationContext, name: String) -> Result<String> {
    let greeted: String = ctx.activity("greet", &name).await?;
    let polished: String = ctx.activity("polish", &greeted).await?;
    Ok(ctx.activity("sign", &polished).await?)
}

async fn greet(_: ActivityContext, name: String) -> Result<String> {
    Ok(format!("hello {name}"))
}

async fn polish(_: ActivityContext, text: String) -> Result<String> {
    let mut letters = text.chars();
    Ok(letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default())
}

async fn sign(_: ActivityContext, text: String) -> Result<String> {
    Ok(format!("{text}!"))
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("chain", chain)
        .activity("greet", greet)
        .activity("polish", polish)
        .activity("sign", sign)
        .start()
}
