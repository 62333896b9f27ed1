//! What both orchestrations do when somebody terminates them: they are told, and say what that makes of them.

use std::pin::pin;

use jiff::Timestamp;
use placet_sdk::{Either, OrchestrationContext, Result, Termination};

/// Goes on to its end, unless it is terminated: when, then, and why, as whoever did it said.
pub(crate) async fn unless_terminated(
    ctx: &OrchestrationContext,
    goes_on: impl Future<Output = Result<()>>,
) -> Result<Option<(Timestamp, String)>> {
    match ctx.first(pin!(goes_on), ctx.termination()).await {
        Either::Left(done) => done.map(|()| None),
        Either::Right(Termination { reason, at }) => {
            let reason = reason.map(|reason| serde_json::from_str(&reason).unwrap_or(reason));
            Ok(Some((at.try_into()?, reason.unwrap_or_default())))
        }
    }
}
