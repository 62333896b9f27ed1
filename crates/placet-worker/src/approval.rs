//! `placet.approval`: ask a person, wait for the answer or the deadline, say what came of it.
//!
//! 1. **Submit**: the request is shown, as the custom status and as a row that lists read.
//! 2. **Suspend**: until an answer or the deadline comes. Nothing is held meanwhile, for ten years if need be.
//! 3. **Handle**: the rules say what an answer makes of the request, and whoever asked is told.
//! 4. **Time out**: the deadline is absolute; an answer that was recorded before it counts, and no other.
//!
//! The loop ends in continue-as-new before its history grows long: the request goes on as versioned state, so that
//! one that waits for years can be finished by the code of then.

use jiff::Timestamp;
use placet_approval::{DECISION_EVENT, Effect, Event, Input, Outcome, REQUEST_ROWS, Request, apply};
use placet_sdk::{Either, Failure, OrchestrationContext, Result};

/// Events after which the request continues as new.
const EVENTS_PER_GENERATION: usize = 50;

/// The orchestration.
///
/// # Errors
/// If the input is no request that could be accepted.
pub async fn approval(ctx: OrchestrationContext, input: Input) -> Result<Option<Outcome>> {
    let accepted_at = Timestamp::try_from(ctx.started_at())?;
    let opened = input.open(ctx.instance_id(), accepted_at);
    let mut request = opened.map_err(|error| Failure::from(error).non_retriable())?;
    show(&ctx, &request)?;

    let mut deadline = ctx.timer_until(request.due.into());
    for _ in 0..EVENTS_PER_GENERATION {
        let answer = ctx.external_event::<Option<String>>(DECISION_EVENT).with_facts();
        let event = match ctx.first(answer, &mut deadline).await {
            Either::Left(answer) => Event::Answered {
                at: Timestamp::try_from(answer.received_at)?,
                ask_id: answer.ask_id,
                payload: answer.payload,
            },
            Either::Right(()) => Event::TimerFired,
        };
        let (next, effects) = apply(request, &event);
        request = next;
        for effect in effects {
            match effect {
                Effect::Show => show(&ctx, &request)?,
                Effect::Reply { ask_id, reply } => ctx.reply(&ask_id, &reply)?,
            }
        }
        if let Some(outcome) = request.outcome {
            return Ok(Some(outcome));
        }
    }
    ctx.continue_as_new(&request)?;
    Ok(None)
}

fn show(ctx: &OrchestrationContext, request: &Request) -> Result<()> {
    ctx.set_custom_status(&request.details())?;
    ctx.publish(REQUEST_ROWS, &request.request_id, &request.row())
}
