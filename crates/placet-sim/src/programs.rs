//! The orchestrations that run in the simulation, written as a user of the SDK would, and the activities that they
//! call. What each must come to stands in [`crate::expectations`].

mod advised;
mod relatives;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use placet_sdk::sans_io::Registry;
use placet_sdk::{Either, ExternalEvent, Failure, OrchestrationContext, Result, RetryPolicy};
use serde::{Deserialize, Serialize};

pub(crate) use advised::{ADVISED_EVENTS, Advised, Need, advised};
pub(crate) use relatives::{Became, Child, Family, Teller, family, mend, teller};

/// Some activities, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Sequence {
    /// How many.
    pub(crate) steps: u32,
    /// What the first is given.
    pub(crate) salt: i64,
}

/// Some activities at once.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct FanOut {
    /// How many.
    pub(crate) width: u32,
}

/// An activity that fails at first.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Retry {
    /// How often it fails.
    pub(crate) fails: u32,
    /// How often it is tried.
    pub(crate) attempts: u32,
}

/// Events, gathered over generations.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Collect {
    /// How many.
    pub(crate) want: usize,
    /// After how many it continues as new.
    pub(crate) every: usize,
    /// Those of earlier generations.
    pub(crate) seen: Vec<String>,
}

/// Events of two names, taken in turn, gathered over generations.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Heed {
    /// How many of each.
    pub(crate) rounds: usize,
    /// After how many rounds it continues as new.
    pub(crate) every: usize,
    /// Those of earlier generations.
    pub(crate) left: Vec<String>,
    /// Likewise.
    pub(crate) right: Vec<String>,
}

/// A decision with a deadline.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Decide {
    /// How long it waits.
    pub(crate) timeout_ms: u64,
    /// When it stops waiting, in microseconds since 1970: fixed by the first generation.
    pub(crate) due: Option<u64>,
    /// Whether it goes on answering for a while once it has decided.
    pub(crate) lingers: bool,
    /// Comments so far.
    pub(crate) comments: u32,
}

/// What is said to a [`Decide`], and what it comes to.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Said {
    /// Who says it: the ask's id.
    pub(crate) id: String,
    /// "comment", "approve" or "reject".
    pub(crate) what: String,
}

/// Questions, each answered with its number, over generations.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Tally {
    /// How many.
    pub(crate) want: usize,
    /// After how many it continues as new.
    pub(crate) every: usize,
    /// Those of earlier generations.
    pub(crate) seen: Vec<String>,
}

/// A question that is answered a turn after it was taken: too late to be heard.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct LateReply {
    /// How many questions.
    pub(crate) want: usize,
}

/// Timers, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Sleep {
    /// How long each.
    pub(crate) naps_ms: Vec<u64>,
}

/// A timer against an activity.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(crate) struct Race {
    /// How long the timer runs.
    pub(crate) timer_ms: u64,
    /// How often they race.
    pub(crate) laps: u32,
}

/// The event that decides an approval.
pub(crate) const DECISION: &str = placet_approval::DECISION_EVENT;

/// The id of a decision: it says what was decided, so that its event alone tells.
pub(crate) fn decision_id(id: &str, what: &str) -> String {
    format!("{id}+{what}")
}

/// What a decision's id says.
pub(crate) fn decided_in(id: &str) -> Option<&str> {
    id.split_once('+').map(|(_, what)| what)
}

/// A decision as it is sent: "odd" is none.
pub(crate) fn decision_payload(id: &str) -> String {
    match decided_in(id) {
        Some("approve") => format!(r#"{{"is_approved":true,"approver":"{id}"}}"#),
        Some("reject") => format!(r#"{{"is_approved":false,"approver":"{id}","comments":"no"}}"#),
        _ => format!(r#"{{"approver":"{id}"}}"#),
    }
}

/// The names of all orchestrations but the built-in one, and of all activities: what workers' filters choose from.
pub(crate) const ORCHESTRATIONS: [&str; 14] = [
    "sequence",
    "fan-out",
    "retry",
    "collect",
    "heed",
    "decide",
    "tally",
    "late-reply",
    "sleep",
    "race",
    "family",
    "mend",
    "teller",
    "advised",
];
pub(crate) const ACTIVITIES: [&str; 3] = ["step", "flaky", "brittle"];

/// Everything above, for a worker.
pub(crate) fn registry() -> Arc<Registry> {
    let mut registry = Registry::default();
    registry.register("sequence", sequence);
    registry.register("fan-out", fan_out);
    registry.register("retry", retry);
    registry.register("collect", collect);
    registry.register("heed", heed);
    registry.register("decide", decide);
    registry.register("tally", tally);
    registry.register("late-reply", late_reply);
    registry.register("sleep", sleep);
    registry.register("race", race);
    registry.register("family", family);
    registry.register("mend", mend);
    registry.register("teller", teller);
    registry.register("advised", advised);
    registry.into()
}

/// What the built-in worker runs: the real thing.
pub(crate) fn built_in() -> Arc<Registry> {
    let mut registry = Registry::default();
    registry.register(placet_approval::ORCHESTRATION, placet_worker::approval);
    registry.into()
}

/// What an activity gives back: only its input and its number in the orchestration decide, and whether what it needs was
/// repaired.
///
/// # Errors
/// What "flaky" fails with, as often as its input says, and what "brittle" fails with until it is repaired.
pub(crate) fn run_activity(name: &str, input: &str, task_id: i32, repaired: bool) -> Result<String> {
    match name {
        "brittle" if !repaired => Err(Failure::new(BROKEN, "it was not repaired")),
        "brittle" => Ok(input.to_owned()),
        "step" => Ok(step(serde_json::from_str(input)?).to_string()),
        "flaky" => {
            let fails: i32 = serde_json::from_str(input)?;
            // Between two attempts lies a timer: attempts are the steps 1, 3, 5 …
            let attempt = (task_id + 1) / 2;
            if attempt <= fails {
                Err(Failure::new("Flaky", format!("attempt {attempt}")))
            } else {
                Ok(attempt.to_string())
            }
        }
        other => Err(Failure::new("ActivityNotRegisteredError", other)),
    }
}

/// The id of an event that one instance sends another.
pub(crate) fn told_id(listener: usize, number: u64) -> String {
    format!("{listener}-t-{number}")
}

/// Whether an event's id is that of one.
pub(crate) fn is_told(id: &str) -> bool {
    id.contains("-t-")
}

/// What the activity "brittle" fails with.
pub(crate) const BROKEN: &str = "Broken";

/// What the activity "step" makes of a number.
pub(crate) fn step(value: i64) -> i64 {
    (value * 31 + 7) % 1_000_003
}

pub(crate) async fn sequence(ctx: OrchestrationContext, input: Sequence) -> Result<i64> {
    let mut value = input.salt;
    for at in 0..input.steps {
        ctx.set_custom_status(&at)?;
        value = ctx.activity("step", &value).await?;
    }
    Ok(value)
}

pub(crate) async fn fan_out(ctx: OrchestrationContext, input: FanOut) -> Result<i64> {
    let calls = (0..input.width).map(|number| ctx.activity::<i64>("step", &number));
    let mut sum = 0;
    for result in join_all(calls).await {
        sum += result?;
    }
    Ok(sum)
}

pub(crate) async fn retry(ctx: OrchestrationContext, input: Retry) -> Result<i64> {
    let policy = RetryPolicy::attempts(input.attempts);
    Ok(ctx.activity::<i64>("flaky", &input.fails).retry(policy).await?)
}

pub(crate) async fn collect(ctx: OrchestrationContext, mut input: Collect) -> Result<Vec<String>> {
    for _ in 0..input.every {
        if input.seen.len() == input.want {
            return Ok(input.seen);
        }
        input.seen.push(ctx.external_event("item").await?);
    }
    ctx.continue_as_new(&input)?;
    Ok(Vec::new())
}

pub(crate) async fn heed(ctx: OrchestrationContext, mut input: Heed) -> Result<(Vec<String>, Vec<String>)> {
    for _ in 0..input.every {
        if input.left.len() == input.rounds {
            return Ok((input.left, input.right));
        }
        // Waits for both at once: what comes early for one stays in line while the other is missing.
        let (left, right) = (ctx.external_event::<String>("left"), ctx.external_event::<String>("Right"));
        let (left, right) = futures_util::future::join(left, right).await;
        input.left.push(left?);
        input.right.push(right?);
    }
    ctx.continue_as_new(&input)?;
    Ok((Vec::new(), Vec::new()))
}

pub(crate) async fn decide(ctx: OrchestrationContext, mut input: Decide) -> Result<Said> {
    let started = micros(ctx.started_at());
    let due = *input.due.get_or_insert(started + input.timeout_ms * 1_000);
    let asked = ctx.external_event::<Said>("decide").with_facts();
    let decision = match ctx.first(asked, ctx.timer_until(time(due))).await {
        Either::Right(()) => timed_out(),
        Either::Left(event) => {
            let said = said(&event)?;
            let in_time = micros(event.received_at) < due;
            let decision = if in_time { said } else { timed_out() };
            if decision.what == "comment" {
                input.comments += 1;
                answer(&ctx, &event, &Said { id: decision.id, what: format!("comment {}", input.comments) })?;
                ctx.continue_as_new(&input)?;
                return Ok(timed_out());
            }
            answer(&ctx, &event, &decision)?;
            decision
        }
    };
    ctx.set_custom_status(&decision)?;
    if input.lingers {
        linger(&ctx, &decision).await?;
    }
    Ok(decision)
}

/// Tells whoever still asks what was decided, for a second after an activity.
async fn linger(ctx: &OrchestrationContext, decision: &Said) -> Result<()> {
    ctx.activity::<i64>("step", &1).await?;
    let mut end = ctx.timer(Duration::from_secs(1));
    loop {
        let asked = ctx.external_event::<Said>("decide").with_facts();
        match ctx.first(asked, &mut end).await {
            Either::Left(event) => answer(ctx, &event, decision)?,
            Either::Right(()) => return Ok(()),
        }
    }
}

pub(crate) async fn tally(ctx: OrchestrationContext, mut input: Tally) -> Result<Vec<String>> {
    for _ in 0..input.every {
        let event = ctx.external_event::<Said>("vote").with_facts().await;
        let said = said(&event)?;
        if let Some(ask_id) = &event.ask_id {
            ctx.reply(ask_id, &input.seen.len())?;
        }
        input.seen.push(said.id);
        // Of code that does not know of asks, the scheduler believes that it took one if it does something then.
        ctx.set_custom_status(&input.seen.len())?;
        if input.seen.len() == input.want {
            return Ok(input.seen);
        }
    }
    ctx.continue_as_new(&input)?;
    Ok(Vec::new())
}

pub(crate) async fn late_reply(ctx: OrchestrationContext, input: LateReply) -> Result<usize> {
    for _ in 0..input.want {
        let event = ctx.external_event::<Said>("question").with_facts().await;
        ctx.activity::<i64>("step", &2).await?;
        if let Some(ask_id) = &event.ask_id {
            ctx.reply(ask_id, "late")?;
        }
        ctx.activity::<i64>("step", &3).await?;
    }
    Ok(input.want)
}

pub(crate) async fn sleep(ctx: OrchestrationContext, input: Sleep) -> Result<usize> {
    for nap in &input.naps_ms {
        ctx.timer(Duration::from_millis(*nap)).await;
    }
    Ok(input.naps_ms.len())
}

pub(crate) async fn race(ctx: OrchestrationContext, input: Race) -> Result<Vec<bool>> {
    let mut won = Vec::new();
    for lap in 0..input.laps {
        let runner = ctx.activity::<i64>("step", &lap);
        let timer = ctx.timer(Duration::from_millis(input.timer_ms));
        match ctx.first(runner, timer).await {
            Either::Left(result) => won.push(result? >= 0),
            Either::Right(()) => won.push(false),
        }
    }
    Ok(won)
}

/// What a [`Decide`] comes to if nobody says anything in time.
pub(crate) fn timed_out() -> Said {
    Said { id: String::new(), what: "timeout".to_owned() }
}

fn said(event: &ExternalEvent<Option<String>>) -> Result<Said> {
    Ok(serde_json::from_str(event.payload.as_deref().unwrap_or("null"))?)
}

fn answer(ctx: &OrchestrationContext, event: &ExternalEvent<Option<String>>, said: &Said) -> Result<()> {
    match &event.ask_id {
        Some(ask_id) => ctx.reply(ask_id, said),
        None => Ok(()),
    }
}

fn micros(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}
