//! Saga: several systems are changed one after the other, and what was done is undone in reverse order when a later step
//! fails. That it is undone survives a crash as everything else does: the code simply goes on.

use placet_sdk::{ActivityContext, Client, Failure, OrchestrationContext, Result, RetryPolicy, Worker};

/// What is booked for a trip, in this order.
const STEPS: [&str; 3] = ["flight", "hotel", "car"];

/// The orchestration: what is booked in the end. `sold_out` names the step that fails, if one does.
///
/// # Errors
/// If something cannot be undone.
pub async fn book_trip(ctx: OrchestrationContext, sold_out: Option<String>) -> Result<Vec<String>> {
    let mut booked: Vec<String> = Vec::new();
    for step in STEPS {
        match ctx.activity::<String>("book", &(step, &sold_out)).await {
            Ok(booking) => booked.push(booking),
            Err(failure) => {
                ctx.set_custom_status(&failure.to_string())?;
                while let Some(booking) = booked.pop() {
                    // Whoever gives up here leaves a bill behind.
                    ctx.activity::<()>("cancel", &booking).retry(RetryPolicy::attempts(10)).await?;
                }
            }
        }
        if booked.is_empty() {
            break;
        }
    }
    Ok(booked)
}

async fn book(_: ActivityContext, (step, sold_out): (String, Option<String>)) -> Result<String> {
    if sold_out.as_ref() == Some(&step) {
        return Err(Failure::new("SoldOut", format!("there is no {step} left")).non_retriable());
    }
    Ok(format!("{step} booked"))
}

async fn cancel(_: ActivityContext, _booking: String) -> Result<()> {
    Ok(())
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("book_trip", book_trip)
        .activity("book", book)
        .activity("cancel", cancel)
        .start()
}
