//! `placet.permit`: what lives on after a request was approved. It is begun in the turn that approves, where somebody says for how
//! long that is good, else when somebody first wants to begin; it waits for that, and for how it went.
//!
//! Whoever starts it says no more than which request: what that was approved for is read where the request has shown it.

use jiff::Timestamp;
use placet_approval::{
    BEGUN_ROWS, CONTENT_ROWS, ContentRow, GRANT, Grant, PERMIT_EVENT, PERMIT_ROWS, Permit, PermitEffect, PermitEvent,
    PermitInput, REQUEST_ROWS, RequestRow, permit_id,
};
use placet_sdk::{ActivityError, Client, Either, Failure, OrchestrationContext, Result, RetryPolicy, TimerCall};
use serde::de::DeserializeOwned;

use crate::approval::{EVENTS_PER_GENERATION, said};
use crate::termination::unless_terminated;

/// How a permit fails for a reason that stays one.
const NO_PERMIT: &str = "NoPermit";

/// A scheduler that cannot be read comes back, within an hour and a half.
const ATTEMPTS: u32 = 100;

/// The orchestration.
///
/// # Errors
/// If the request is not approved, or has had its permit.
pub async fn permit(ctx: OrchestrationContext, input: PermitInput) -> Result<Permit> {
    let permit = match input {
        PermitInput::Continued(permit) if ctx.is_continued() => *permit,
        PermitInput::Continued(_) => {
            return Err(Failure::new(NO_PERMIT, "what was approved is not for whoever asks to say").non_retriable());
        }
        PermitInput::New(of) => {
            let grant = ctx.activity::<Grant>(GRANT, &of.request_id).retry(RetryPolicy::attempts(ATTEMPTS)).await;
            let refused = |error: ActivityError| Failure::new(error.error_type(), error.message()).non_retriable();
            let grant = grant.map_err(refused)?;
            let instance = permit_id(&of.request_id, &grant.content_salt);
            if instance != ctx.instance_id() {
                let what = format!("the permit of {} is {instance}", of.request_id);
                return Err(Failure::new(NO_PERMIT, what).non_retriable());
            }
            Permit::new(grant)
        }
    };
    let mut life = Life { ctx: &ctx, permit, alarm: None };
    life.show()?;
    let termination = unless_terminated(&ctx, life.goes_on()).await?;
    if let Some((at, reason)) = termination {
        life.happens(&PermitEvent::Terminated { at, reason })?;
    } else if !life.permit.has_ended() {
        ctx.continue_as_new(&life.permit)?;
    }
    Ok(life.permit)
}

/// A generation of a permit.
struct Life<'a> {
    ctx: &'a OrchestrationContext,
    permit: Permit,
    /// The timer that runs, and when it is due.
    alarm: Option<(Timestamp, TimerCall)>,
}

impl Life<'_> {
    async fn goes_on(&mut self) -> Result<()> {
        for _ in 0..EVENTS_PER_GENERATION {
            if self.permit.has_ended() {
                break;
            }
            let event = self.next().await?;
            self.happens(&event)?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<PermitEvent> {
        let answer = self.ctx.external_event::<Option<String>>(PERMIT_EVENT).with_facts();
        let event = match self.permit.wakes_at() {
            None => answer.await,
            Some(wakes_at) => {
                let (at, timer) = self.alarm.get_or_insert_with(|| (wakes_at, self.ctx.timer_until(wakes_at.into())));
                match self.ctx.first(answer, timer).await {
                    Either::Left(event) => event,
                    Either::Right(()) => {
                        let at = *at;
                        self.alarm = None;
                        return Ok(PermitEvent::TimeReached(at));
                    }
                }
            }
        };
        Ok(PermitEvent::Said(said(event)?))
    }

    fn happens(&mut self, event: &PermitEvent) -> Result<()> {
        for effect in self.permit.apply(event) {
            match effect {
                PermitEffect::Show => self.show()?,
                PermitEffect::Enter(entry) => self.ctx.enter(entry.parts()),
                PermitEffect::Reply { ask_id, reply } => self.ctx.reply(&ask_id, &reply)?,
            }
        }
        Ok(())
    }

    fn show(&self) -> Result<()> {
        let id = &self.permit.grant.request_id;
        self.ctx.publish(PERMIT_ROWS, id, &self.permit)?;
        if let Some(begun) = self.permit.begun() {
            self.ctx.publish(BEGUN_ROWS, id, &begun)?;
        }
        Ok(())
    }
}

/// The activity [`GRANT`]: what a request was approved for.
///
/// # Errors
/// If it is not approved, or if the record has it that its permit was used or taken back, whatever was purged since.
pub(crate) async fn grant(client: &Client, request_id: &str) -> Result<Grant> {
    let no_permit = |what: String| Failure::new(NO_PERMIT, what).non_retriable();
    let row = published::<RequestRow>(client, REQUEST_ROWS, request_id).await?;
    let row = row.ok_or_else(|| no_permit(format!("there is no approval request {request_id:?}")))?;
    if client.has_entered(&permit_id(request_id, &row.content_salt)).await.map_err(failed)? {
        return Err(no_permit(format!("the permit of {request_id} was used or taken back before: see its record")));
    }
    let content = published::<ContentRow>(client, CONTENT_ROWS, request_id).await?;
    Grant::of(&row, content).map_err(no_permit)
}

async fn published<T: DeserializeOwned>(client: &Client, kind: &str, key: &str) -> Result<Option<T>> {
    let row = client.published(kind, key).await.map_err(failed)?;
    Ok(row.map(|row| serde_json::from_slice(&row)).transpose()?)
}

fn failed(error: placet_sdk::CallError) -> Failure {
    Failure::new("Scheduler", error.to_string())
}
