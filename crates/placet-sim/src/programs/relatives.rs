//! Orchestrations that have to do with each other: parents and children, and those that send events.

use futures_util::future::join_all;
use placet_sdk::{ActivityError, OrchestrationContext, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Collect, Sequence, sequence};

/// Children, and what becomes of them.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Family {
    /// Which.
    pub(crate) children: Vec<Child>,
    /// All at once, and not one after the other.
    pub(crate) at_once: bool,
    /// The first failure of a child is its own.
    pub(crate) strict: bool,
}

/// A child.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Child {
    /// Its instance's id.
    pub(crate) id: String,
    /// What it runs.
    pub(crate) name: String,
    /// With what.
    pub(crate) input: Value,
}

/// Events for an instance that it starts.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Teller {
    /// The instance's id.
    pub(crate) to: String,
    /// What it runs.
    pub(crate) listener: Collect,
    /// What it is told.
    pub(crate) ids: Vec<String>,
    /// So many at once, an activity between them.
    pub(crate) at_once: usize,
}

/// What became of a child: its result, or the type of its failure.
pub(crate) type Became = std::result::Result<Value, String>;

pub(crate) async fn family(ctx: OrchestrationContext, input: Family) -> Result<Vec<Became>> {
    let call = |child: &Child| ctx.sub_orchestration::<Value>(&child.name, Some(&child.id), &child.input);
    let mut ended = Vec::new();
    if input.at_once {
        ended = join_all(input.children.iter().map(call)).await;
    } else {
        for child in &input.children {
            let result = call(child).await;
            let is_over = input.strict && result.is_err();
            ended.push(result);
            if is_over {
                break;
            }
        }
    }
    let mut became = Vec::new();
    for result in ended {
        match result {
            Ok(output) => became.push(Ok(output)),
            Err(failure) if input.strict => return Err(failure.into()),
            Err(failure) => became.push(Err(cause(&failure))),
        }
    }
    Ok(became)
}

/// The type of the failure that a child ended with.
fn cause(failure: &ActivityError) -> String {
    failure.error_type().to_owned()
}

/// A sequence whose last step fails until it is repaired.
pub(crate) async fn mend(ctx: OrchestrationContext, input: Sequence) -> Result<i64> {
    let value = sequence(ctx.clone(), input).await?;
    Ok(ctx.activity("brittle", &value).await?)
}

pub(crate) async fn teller(ctx: OrchestrationContext, input: Teller) -> Result<usize> {
    ctx.start_detached("collect", Some(&input.to), &input.listener)?;
    for ids in input.ids.chunks(input.at_once.max(1)) {
        for id in ids {
            ctx.send_event(&input.to, "item", id)?;
        }
        ctx.activity::<i64>("step", &4).await?;
    }
    Ok(input.ids.len())
}
