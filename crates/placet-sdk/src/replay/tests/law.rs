//! The law: whatever the program and whatever the order in which results come, an orchestration that is replayed
//! from its history does in each turn what the one does that was kept alive.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join_all, select};
use futures_util::stream::FuturesUnordered;
use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::placet::v1::Stamp;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::machine::TurnResult;
use super::super::{Code, Orchestration, check_history};
use super::script::{
    carried, completed, completion, confirmation, failed, fired, outcome, raised, resumed, start, started, status,
    suspended, terminated,
};
use crate::error::Failure;
use crate::transport::BoxFuture;
use crate::worker::code_of;
use crate::{Either, OrchestrationContext, RetryPolicy};

const EVENTS: [&str; 3] = ["approve", "Reject", "x"];

/// A piece of an orchestration's code.
#[derive(Debug, Clone)]
enum Step {
    Activity(u8),
    Retried(u8),
    Timer(u8),
    Event(u8),
    /// An event, whose asker is answered.
    Answer(u8),
    /// An event that is waited for, looked at again only after an activity, and then perhaps not at all.
    Kept(u8),
    Send(u8),
    Status,
    Uuid,
    Publish,
    /// An event or a timer: the loser is dropped.
    Deadline(u8, u8),
    /// Whichever block ends first; the other is dropped with all that it waits for.
    Race(Vec<Step>, Vec<Step>),
    /// All of them at once; what they gave, in the order of the code.
    Join(Vec<Vec<Step>>),
    /// All of them at once; what they gave, in the order in which they ended.
    Unordered(Vec<Vec<Step>>),
    /// If an activity says so.
    Branch(Vec<Step>, Vec<Step>),
    /// Begins anew after this block, twice at most.
    ContinueAsNew,
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let small = 0..3_u8;
    let leaf = prop_oneof![
        4 => small.clone().prop_map(Step::Activity),
        2 => small.clone().prop_map(Step::Retried),
        2 => small.clone().prop_map(Step::Timer),
        4 => small.clone().prop_map(Step::Event),
        2 => small.clone().prop_map(Step::Answer),
        2 => small.clone().prop_map(Step::Kept),
        1 => small.clone().prop_map(Step::Send),
        1 => Just(Step::Status),
        1 => Just(Step::Uuid),
        1 => Just(Step::Publish),
        3 => (small.clone(), small).prop_map(|(event, timer)| Step::Deadline(event, timer)),
        1 => Just(Step::ContinueAsNew),
        1 => Just(Step::Fail),
    ];
    leaf.prop_recursive(3, 24, 4, |step| {
        let block = vec(step, 1..4);
        prop_oneof![
            (block.clone(), block.clone()).prop_map(|(left, right)| Step::Race(left, right)),
            vec(block.clone(), 1..4).prop_map(Step::Join),
            vec(block.clone(), 1..4).prop_map(Step::Unordered),
            (block.clone(), block).prop_map(|(yes, no)| Step::Branch(yes, no)),
        ]
    })
}

/// Runs a block: what each of its steps gave.
fn run(ctx: OrchestrationContext, block: Vec<Step>) -> BoxFuture<'static, Result<String, Failure>> {
    Box::pin(async move {
        let mut said = Vec::new();
        for step in block {
            said.push(run_step(&ctx, step).await?);
        }
        Ok(format!("[{}]", said.join(" ")))
    })
}

async fn run_step(ctx: &OrchestrationContext, step: Step) -> Result<String, Failure> {
    let seconds = |timer: u8| Duration::from_secs(10 * (1 + u64::from(timer)));
    let event = |name: u8| ctx.external_event::<u64>(EVENTS[usize::from(name)]);
    let race = |either: Either<String, String>| match either {
        Either::Left(said) => format!("left {said}"),
        Either::Right(said) => format!("right {said}"),
    };
    Ok(match step {
        Step::Activity(name) => match ctx.activity::<u64>(&format!("a{name}"), &name).await {
            Ok(result) => format!("a{name}={result}"),
            Err(error) => format!("{error}"),
        },
        Step::Retried(name) => {
            let call = ctx.activity::<u64>(&format!("r{name}"), &name).retry(RetryPolicy::attempts(3));
            format!("r{name}={}", call.await?)
        }
        Step::Timer(timer) => {
            ctx.timer(seconds(timer)).await;
            format!("{:?}", ctx.now())
        }
        Step::Event(name) => format!("{}={}", name, event(name).await?),
        Step::Answer(name) => {
            let facts = event(name).with_facts().await;
            if let Some(ask_id) = facts.ask_id.as_deref().filter(|ask_id| !ask_id.ends_with('0')) {
                ctx.reply(ask_id, &facts.payload)?;
            }
            format!("{facts:?}")
        }
        Step::Kept(name) => {
            let mut wait = event(name);
            if let Poll::Ready(payload) = futures_util::poll!(&mut wait) {
                return Ok(format!("early {}", payload?));
            }
            match ctx.activity::<u64>("kept", &()).await {
                Ok(result) if result % 2 == 0 => format!("kept {}", wait.await?),
                _ => "given up".into(),
            }
        }
        Step::Send(name) => {
            ctx.send_event("other", EVENTS[usize::from(name)], &name)?;
            "sent".into()
        }
        Step::Status => {
            ctx.set_custom_status(&format!("{:?}", ctx.now()))?;
            "status".into()
        }
        Step::Uuid => ctx.new_uuid().to_string(),
        Step::Publish => {
            ctx.publish("kind", "key", &ctx.new_uuid().to_string())?;
            "published".into()
        }
        Step::Deadline(name, timer) => match ctx.first(event(name), ctx.timer(seconds(timer))).await {
            Either::Left(payload) => format!("in time {}", payload?),
            Either::Right(()) => "too late".into(),
        },
        Step::Race(left, right) => match select(run(ctx.clone(), left), run(ctx.clone(), right)).await {
            Either::Left((said, _)) => race(Either::Left(said?)),
            Either::Right((said, _)) => race(Either::Right(said?)),
        },
        Step::Join(blocks) => {
            let all = join_all(blocks.into_iter().map(|block| run(ctx.clone(), block))).await;
            all.into_iter().collect::<Result<Vec<_>, _>>()?.join("+")
        }
        Step::Unordered(blocks) => {
            let all: FuturesUnordered<_> = blocks.into_iter().map(|block| run(ctx.clone(), block)).collect();
            let all: Vec<_> = all.collect().await;
            all.into_iter().collect::<Result<Vec<_>, _>>()?.join("~")
        }
        Step::Branch(yes, no) => {
            let even = ctx.activity::<u64>("branch", &()).await.is_ok_and(|result| result % 2 == 0);
            run(ctx.clone(), if even { yes } else { no }).await?
        }
        Step::ContinueAsNew => {
            let generation: u32 = ctx.execution_id().parse().expect("the tests number them");
            if generation < 2 {
                ctx.continue_as_new(&(generation + 1))?;
            }
            "again".into()
        }
        Step::Fail => return Err(Failure::new("Meant", format!("{:?}", ctx.now()))),
    })
}

fn code(program: &[Step]) -> Code {
    let program = program.to_vec();
    code_of(move |ctx: OrchestrationContext, _generation: u32| {
        // A uuid may be asked for before anything happened.
        let first = ctx.new_uuid();
        let block = run(ctx, program.clone());
        async move { Ok(format!("{first} {}", block.await?)) }
    })
}

/// A server with one instance: what it waits for, and its history.
struct World {
    program: Vec<Step>,
    live: Orchestration,
    history: Vec<HistoryEvent>,
    now: i64,
    generation: u32,
    activities: BTreeSet<i32>,
    timers: BTreeMap<i32, i64>,
    /// External events are numbered as they come.
    number: u64,
    suspended: bool,
    /// What each turn of this generation did.
    turns: Vec<TurnResult>,
    inbox: Vec<HistoryEvent>,
}

impl World {
    fn new(program: Vec<Step>) -> World {
        World {
            live: Orchestration::new(code(&program)),
            program,
            history: Vec::new(),
            now: 0,
            generation: 0,
            activities: BTreeSet::new(),
            timers: BTreeMap::new(),
            number: 0,
            suspended: false,
            turns: Vec::new(),
            inbox: vec![generation_start(0)],
        }
    }

    /// Something happens, as chance will have it.
    fn happens(&mut self, chance: u16) -> HistoryEvent {
        let (what, which) = (chance % 64, usize::from(chance / 64));
        let activity = self.activities.iter().copied().nth(which % self.activities.len().max(1));
        let timer = self.timers.iter().map(|(id, at)| (*at, *id)).min();
        match (what, activity, timer) {
            (0..24, Some(id), _) => {
                self.activities.remove(&id);
                match what {
                    0..4 => failed(id, false),
                    4 => failed(id, true),
                    _ => completed(id, &which.to_string()),
                }
            }
            (24..40, _, Some((at, id))) => {
                self.timers.remove(&id);
                self.now = self.now.max(at);
                fired(id)
            }
            (60, ..) => {
                self.suspended = true;
                suspended()
            }
            (61..64, ..) if self.suspended => {
                self.suspended = false;
                resumed()
            }
            (61, ..) if which % 8 == 0 => terminated("\"enough\""),
            _ => self.raised(which),
        }
    }

    fn raised(&mut self, which: usize) -> HistoryEvent {
        self.number += 1;
        let name = EVENTS[which % 3];
        let name = if which.is_multiple_of(2) { name.to_uppercase() } else { name.to_owned() };
        let mut event = raised(&name, &self.number.to_string());
        if let Some(EventType::EventRaised(raised)) = &mut event.event_type
            && which % 5 < 3
        {
            let ask_id = format!("ask-{}", self.number);
            raised.stamp = Stamp { ask_id, principal: "p".into(), ..Stamp::default() }.encode_to_vec().into();
        }
        HistoryEvent { timestamp: Some(super::script::at(self.now)), ..event }
    }

    /// Runs a turn three times: alive, from the history, and from the history in two halves. Tells whether there
    /// will be another.
    fn turn(&mut self) -> Result<bool, TestCaseError> {
        self.now += 1;
        let mut new = vec![started(self.now)];
        new.append(&mut self.inbox);

        let replayed = Orchestration::new(code(&self.program)).turn(self.history.clone(), new.clone());
        let turn = self.live.turn(Vec::new(), new.clone());
        prop_assert_eq!(&turn, &replayed);

        self.history.extend(new);
        self.history.extend(turn.actions.iter().filter_map(confirmation));
        if !turn.ended {
            prop_assert_eq!(turn.events as usize, self.history.len());
        }
        for action in &turn.actions {
            match action.orchestrator_action_type.as_ref().expect("it is one") {
                Action::ScheduleTask(_) => drop(self.activities.insert(action.id)),
                Action::CreateTimer(timer) => {
                    self.timers.insert(action.id, timer.fire_at.as_ref().expect("it has a time").seconds);
                }
                _ => {}
            }
        }
        let before = self.turns.iter().flat_map(|turn| &turn.actions);
        let ids: Vec<i32> = before.chain(&turn.actions).map(|action| action.id).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "ids rise: {ids:?}");
        let ended = turn.ended;
        self.turns.push(turn);
        if !ended {
            return Ok(true);
        }
        self.ended()
    }

    fn ended(&mut self) -> Result<bool, TestCaseError> {
        let last = self.turns.last().expect("it ended in one");
        let program = self.program.clone();
        let again = check_history(
            move |ctx: OrchestrationContext, _: u32| {
                let first = ctx.new_uuid();
                let block = run(ctx, program.clone());
                async move { Ok(format!("{first} {}", block.await?)) }
            },
            self.history.clone(),
        );
        prop_assert_eq!(Some(again.map(Option::unwrap_or_default)), outcome(last));
        if status(last) != "CONTINUED_AS_NEW" {
            return Ok(false);
        }
        let carried: Vec<u64> =
            carried(last).split_whitespace().map(|number| number.parse().expect("they are numbered")).collect();
        prop_assert!(carried.is_sorted_by(|a, b| a < b), "in order of arrival: {carried:?}");
        self.generation += 1;
        self.inbox = vec![generation_start(self.generation)];
        self.inbox.extend(completion(last).expect("it ends").carryover_events.clone());
        self.live = Orchestration::new(code(&self.program));
        self.history.clear();
        self.turns.clear();
        self.activities.clear();
        self.timers.clear();
        self.suspended = false;
        Ok(true)
    }
}

fn generation_start(generation: u32) -> HistoryEvent {
    let mut event = start(&generation.to_string(), 0);
    if let Some(EventType::ExecutionStarted(started)) = &mut event.event_type
        && let Some(instance) = &mut started.orchestration_instance
    {
        instance.execution_id = Some(generation.to_string());
    }
    event
}

proptest! {
    #[test]
    fn what_is_replayed_does_what_was_done_alive(
        program in vec(step(), 1..6),
        turns in vec(vec(any::<u16>(), 1..4), 0..30),
    ) {
        let mut world = World::new(program);
        let mut goes_on = world.turn()?;
        for chances in turns {
            if !goes_on {
                break;
            }
            for chance in chances {
                let event = world.happens(chance);
                world.inbox.push(event);
            }
            goes_on = world.turn()?;
        }
    }
}
