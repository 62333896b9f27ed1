//! An orchestration of which its client knows nothing: what it waits for next, he is told by `why`.

use std::time::Duration;

use placet_sdk::{OrchestrationContext, Result};
use serde::{Deserialize, Serialize};

use super::Child;

/// Whatever it may need, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Advised {
    /// What.
    pub(crate) needs: Vec<Need>,
}

/// What has to happen for it to go on.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) enum Need {
    /// An event of this name.
    Event(String),
    /// One of two.
    OneOf(String, String),
    /// An event, or so many milliseconds.
    EventWithin(String, u64),
    /// So many milliseconds.
    Nap(u64),
    /// An activity.
    Activity,
    /// A child that needs as much.
    Child(Child),
}

/// The names that its events have.
pub(crate) const ADVISED_EVENTS: [&str; 4] = ["approval", "Payment", "shipment", "receipt"];

pub(crate) async fn advised(ctx: OrchestrationContext, input: Advised) -> Result<usize> {
    let event = |name: &str| ctx.external_event::<String>(name);
    for need in &input.needs {
        match need {
            Need::Event(name) => drop(event(name).await?),
            Need::OneOf(one, other) => drop(ctx.first(event(one), event(other)).await),
            Need::EventWithin(name, ms) => {
                drop(ctx.first(event(name), ctx.timer(Duration::from_millis(*ms))).await);
            }
            Need::Nap(ms) => ctx.timer(Duration::from_millis(*ms)).await,
            Need::Activity => {
                let _: i64 = ctx.activity("step", &1).await?;
            }
            Need::Child(child) => {
                let _: usize = ctx.sub_orchestration(&child.name, Some(&child.id), &child.input).await?;
            }
        }
    }
    Ok(input.needs.len())
}
