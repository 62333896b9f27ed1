//! `placet.approval`: ask people, wait for their answers or the deadline, say what came of it.
//!
//! 1. **Submit**: the request is shown, as the custom status and as rows that lists and the API read.
//! 2. **Suspend**: until somebody does something or time brings something. Nothing is held meanwhile, for ten years if need be.
//! 3. **Handle**: the rules say what that makes of the request, and whoever asked is told.
//! 4. **Time out**: times are absolute; what was recorded before the deadline counts, and nothing else.
//!
//! The loop ends in continue-as-new before its history grows long: the request goes on as versioned state, so that
//! one that waits for years can be finished by the code of then.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use placet_approval::{
    Answered, CONTENT_ROWS, Caller, Configurations, DECISION_EVENT, Decided, Effect, Event, Granted, Input, LOOK_UP,
    Outcome, PARENT_ENDED_EVENT, PERMIT, PLAN, Planned, Planning, REQUEST_ROWS, Request, Resolved, Said, apply, nobody,
    permit_id,
};
use placet_sdk::{ActivityError, Either, ExternalEvent, Failure, OrchestrationContext, Result, TimerCall};

use crate::termination::unless_terminated;

/// The proof on what the scheduler itself tells.
const BY_SCHEDULER: &str = "scheduler";

/// Events after which the request continues as new.
pub(crate) const EVENTS_PER_GENERATION: usize = 50;

/// The orchestration where no policy is in force; a history tells by itself whether one was.
///
/// # Errors
/// If the input is no request that could be accepted.
pub async fn approval(ctx: OrchestrationContext, input: Input) -> Result<Option<Outcome>> {
    under(ctx, input, nobody()).await
}

/// The orchestration, under what is configured.
///
/// # Errors
/// If the input is no request that could be accepted.
pub(crate) async fn under(
    ctx: OrchestrationContext,
    input: Input,
    configuration: Configurations,
) -> Result<Option<Outcome>> {
    let mut request = open(&ctx, input, &configuration).await?;
    request.seal(&ctx.execution_id());
    let is_open = request.open.is_some() || request.outcome.is_some();
    // What was shown of an earlier generation stays shown.
    let revision_shown = if is_open { request.revision } else { 0 };
    let mut life = Life { ctx: &ctx, request, alarm: None, revision_shown, behind: None };
    let termination = unless_terminated(&ctx, life.goes_on(is_open)).await?;
    if let Some((at, reason)) = termination {
        // Whatever it waited for: it is withdrawn, and its record has that, too.
        life.happens(Event::Terminated { at, reason }).await?;
        return Ok(life.request.outcome);
    }
    match &life.request.outcome {
        None => ctx.continue_as_new(&life.request)?,
        // It lapses by itself if nobody begins it; of any other, whoever begins it starts it.
        Some(Outcome::Approved(Decided { valid_until: Some(_), .. })) => {
            let (request_id, salt) = (life.request.request_id.clone(), &life.request.salt);
            ctx.start_detached(PERMIT, Some(&permit_id(&request_id, salt)), &Granted { request_id })?;
        }
        Some(_) => {}
    }
    Ok(life.request.outcome)
}

/// The request that it is. One of which a policy says something is planned by it, once, however it was started; any other is
/// not kept waiting. Which of the two it was stands in its history, since the policies of today may be others.
async fn open(ctx: &OrchestrationContext, input: Input, configuration: &Configurations) -> Result<Box<Request>> {
    let accepted_at = Timestamp::try_from(ctx.started_at())?;
    let asked = input
        .asked(ctx.is_continued())
        .filter(|asked| ctx.calls_first(PLAN, || configuration().policies.apply_to(asked)));
    let planning = asked.map(|asked| Planning { asked: asked.clone(), accepted_at });
    // Whatever else was given is no part of what a policy is asked about.
    let input = planning.as_ref().map_or(input, |planning| Input::New(Box::new(planning.asked.clone())));
    let opened = input.open(ctx.instance_id(), accepted_at, ctx.is_continued());
    let request = Box::new(opened.map_err(|error| Failure::from(error).non_retriable())?);
    let Some(planning) = planning else { return Ok(request) };
    let planned = ctx.activity::<Option<Planned>>(PLAN, &planning).await;
    let refused = |error: ActivityError| Failure::new(error.error_type(), error.message()).non_retriable();
    Ok(match planned.map_err(refused)? {
        Some(planned) => Box::new(request.planned(planned)),
        None => request, // its policy has gone meanwhile
    })
}

/// A generation of a request.
struct Life<'a> {
    ctx: &'a OrchestrationContext,
    request: Box<Request>,
    /// The timer that runs, and when it is due.
    alarm: Option<(Timestamp, TimerCall)>,
    /// The revision whose content was shown last.
    revision_shown: u32,
    /// What was recorded behind something else, and is there already.
    behind: Option<Event>,
}

impl Life<'_> {
    /// Until its outcome, or until its history is long enough.
    async fn goes_on(&mut self, is_open: bool) -> Result<()> {
        if is_open {
            self.show()?;
        } else {
            self.happens(Event::Began).await?;
        }
        for _ in 0..EVENTS_PER_GENERATION {
            let Some(wakes_at) = self.request.wakes_at() else { break };
            let event = self.next(wakes_at).await?;
            self.happens(event).await?;
        }
        match self.behind.take() {
            Some(event) => self.happens(event).await,
            None => Ok(()),
        }
    }

    /// Whatever happens next. Times that are passed when something is recorded happen before it.
    async fn next(&mut self, wakes_at: Timestamp) -> Result<Event> {
        if let Some(event) = self.behind.take() {
            return Ok(event);
        }
        // A timer that is due too early does nothing, and the next one is set then.
        if self.alarm.as_ref().is_none_or(|(at, _)| wakes_at < *at) {
            self.alarm = Some((wakes_at, self.ctx.timer_until(wakes_at.into())));
        }
        let (at, timer) = self.alarm.as_mut().expect("it was just set");
        let at = *at;
        let answer = self.ctx.external_event::<Option<String>>(DECISION_EVENT).with_facts();
        let mut parent_ended = pin!(parent_ended(self.ctx, self.request.asked.withdraw_with_parent));
        let first = {
            let elsewhere = pin!(self.ctx.first(parent_ended.as_mut(), timer));
            self.ctx.first(answer, elsewhere).await
        };
        match first {
            Either::Left(event) => {
                let said = said(event).map(Event::Said)?;
                // Both may be there, if something else was waited for: they happen as they were recorded.
                match parent_ended.now_or_never().transpose()? {
                    Some(ended) if ended.recorded_at() < said.recorded_at() => {
                        self.behind = Some(said);
                        Ok(ended)
                    }
                    ended => {
                        self.behind = ended;
                        Ok(said)
                    }
                }
            }
            Either::Right(Either::Left(ended)) => ended,
            Either::Right(Either::Right(())) => {
                self.alarm = None;
                Ok(Event::TimeReached(at))
            }
        }
    }

    /// Something happens, and what follows from it is done.
    async fn happens(&mut self, event: Event) -> Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let Some(at) = event.recorded_at()
                && let Some(due) = self.request.wakes_at().filter(|due| *due <= at)
            {
                events.push_front(event);
                events.push_front(Event::TimeReached(due));
                continue;
            }
            let mut question = None;
            for effect in apply(&mut self.request, &event) {
                match effect {
                    Effect::Show => self.show()?,
                    Effect::Enter(entry) => self.ctx.enter(entry.parts()),
                    Effect::Reply { ask_id, reply, to } => self.ctx.reply(&ask_id, &Answered { reply: *reply, to })?,
                    Effect::LookUp(asked) => question = Some(asked),
                }
            }
            // Last: whoever was to be told has been.
            if let Some(question) = question {
                let found: Resolved = self.ctx.activity(LOOK_UP, &question).await?;
                events.push_front(Event::Found(found));
            }
        }
        Ok(())
    }

    fn show(&mut self) -> Result<()> {
        self.ctx.set_custom_status(&self.request.details())?;
        let (id, terms) = (&self.request.request_id, self.request.terms());
        self.ctx.publish_with_terms(REQUEST_ROWS, id, &self.request.row(), terms)?;
        if self.revision_shown < self.request.revision {
            self.revision_shown = self.request.revision;
            if let Some(content) = self.request.content() {
                self.ctx.publish(CONTENT_ROWS, &self.request.request_id, &content)?;
            }
        }
        Ok(())
    }
}

/// That nobody waits for the request any more, as the scheduler tells it, if it is to be withdrawn then; else never.
async fn parent_ended(ctx: &OrchestrationContext, is_awaited: bool) -> Result<Event> {
    if !is_awaited {
        return pending().await;
    }
    let event = loop {
        let event = ctx.external_event::<Option<String>>(PARENT_ENDED_EVENT).with_facts().await;
        if event.proof == BY_SCHEDULER {
            break event;
        }
    };
    let parent = event.payload.and_then(|payload| serde_json::from_str(&payload).ok()).unwrap_or_default();
    Ok(Event::ParentEnded { at: Timestamp::try_from(event.received_at)?, parent })
}

/// What somebody sent, and who he is: as it was stamped, never as the payload has it.
pub(crate) fn said(event: ExternalEvent<Option<String>>) -> Result<Said> {
    let caller: Option<Caller> = event.principal.as_deref().and_then(|principal| serde_json::from_str(principal).ok());
    let mut caller = caller.unwrap_or_default();
    caller.proof = event.proof.parse().unwrap_or_default();
    Ok(Said { at: Timestamp::try_from(event.received_at)?, ask_id: event.ask_id, caller, payload: event.payload })
}
