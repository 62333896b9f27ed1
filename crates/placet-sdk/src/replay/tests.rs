//! Replay, tested by tables. The law (replay from the history is the live run) is in `law`.

mod law;
mod script;

use std::time::{Duration, SystemTime};

use futures_util::future::{join, join_all, select};
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{ExecutionCompletedEvent, ExecutionRewoundEvent, HistoryEvent, OrchestratorAction};
use script::{
    Turn, carried, completed, event, failed, fired, names, outcome, raised, resumed, start, suspended, terminated,
};

use super::*;
use crate::error::Failure;
use crate::worker::code_of;
use crate::{Either, OrchestrationContext, RetryPolicy};

fn orchestration<F, R>(code: F) -> Orchestration
where
    F: Fn(OrchestrationContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<String, Failure>> + Send + 'static,
{
    Orchestration::new(code_of(move |ctx, (): ()| code(ctx)))
}

/// One activity after the other, then a timer.
fn two_steps(first: &'static str, second: &'static str) -> Orchestration {
    orchestration(move |ctx| async move {
        ctx.activity::<()>(first, &()).await?;
        ctx.activity::<()>(second, &()).await?;
        ctx.timer(Duration::from_secs(60)).await;
        Ok("done".into())
    })
}

/// The history of [`two_steps`], up to the wait for the timer.
fn history_of_two_steps() -> Vec<HistoryEvent> {
    let mut live = two_steps("one", "two");
    let mut turn = Turn::first(&mut live);
    turn = turn.next(&mut live, vec![completed(1, "null")]);
    turn = turn.next(&mut live, vec![completed(2, "null")]);
    turn.history
}

#[test]
fn a_recorded_step_that_the_code_does_not_take_any_more_is_found_and_both_are_named() {
    let cases: Vec<(&str, Orchestration, &str)> = vec![
        (
            "the first step has another name",
            two_steps("uno", "two"),
            r#"step 1 was activity "one" when it was recorded, and is activity "uno" now"#,
        ),
        (
            "a later step has another name",
            two_steps("one", "dos"),
            r#"step 2 was activity "two" when it was recorded, and is activity "dos" now"#,
        ),
        (
            "a step is of another kind",
            orchestration(|ctx| async move {
                ctx.activity::<()>("one", &()).await?;
                ctx.timer(Duration::from_secs(1)).await;
                Ok(String::new())
            }),
            r#"step 2 was activity "two" when it was recorded, and is timer now"#,
        ),
        (
            "a step is missing in the middle",
            orchestration(|ctx| async move {
                ctx.activity::<()>("two", &()).await?;
                ctx.timer(Duration::from_secs(60)).await;
                Ok(String::new())
            }),
            r#"step 1 was activity "one" when it was recorded, and is activity "two" now"#,
        ),
        (
            "the last step is missing",
            orchestration(|ctx| async move {
                ctx.activity::<()>("one", &()).await?;
                ctx.activity::<()>("two", &()).await?;
                ctx.external_event::<()>("never").await?;
                Ok(String::new())
            }),
            "step 3 was timer when it was recorded, and is nothing now",
        ),
        (
            "the code ends before the recorded end",
            orchestration(|ctx| async move {
                ctx.activity::<()>("one", &()).await?;
                Ok("early".into())
            }),
            r#"step 2 was activity "two" when it was recorded, and is nothing now"#,
        ),
        (
            "the code takes a step more",
            orchestration(|ctx| async move {
                ctx.activity::<()>("one", &()).await?;
                ctx.activity::<()>("two", &()).await?;
                join(ctx.timer(Duration::from_secs(60)), ctx.activity::<()>("more", &())).await.1?;
                Ok(String::new())
            }),
            r#"step 4 is activity "more" now, and was nothing when it was recorded"#,
        ),
    ];
    for (what, mut changed, difference) in cases {
        let turn = changed.turn(history_of_two_steps(), vec![script::started(100), fired(3)]);
        let failure = outcome(&turn).expect("it ends").expect_err(what);
        assert_eq!(failure.error_type(), "NonDeterminism", "{what}");
        assert!(failure.message().contains(difference), "{what}: {}", failure.message());
        assert_eq!(turn.actions.len(), 1, "{what}: nothing is done but to end it");
    }
}

#[test]
fn unchanged_code_goes_on_where_the_history_ends() {
    let mut same = two_steps("one", "two");
    let turn = same.turn(history_of_two_steps(), vec![script::started(100), fired(3)]);
    assert_eq!(outcome(&turn), Some(Ok("\"done\"".into())));
}

#[test]
fn old_histories_are_checked_under_new_code() {
    let history = history_of_two_steps();
    let same = |ctx: OrchestrationContext, (): ()| async move {
        ctx.activity::<()>("one", &()).await?;
        ctx.activity::<()>("two", &()).await?;
        ctx.timer(Duration::from_secs(60)).await;
        Ok(())
    };
    assert_eq!(check_history(same, history.clone()), Ok(None), "it waits for the timer, as it did");
    let mut ended = history.clone();
    ended.extend([script::started(100), fired(3), event(-1, script::end())]);
    assert_eq!(check_history(same, ended), Ok(Some("null".into())));
    let changed = |ctx: OrchestrationContext, (): ()| async move {
        ctx.activity::<()>("one", &()).await?;
        Ok(())
    };
    assert_eq!(check_history(changed, history).unwrap_err().error_type(), "NonDeterminism");
}

#[test]
fn what_comes_while_it_is_suspended_is_taken_after_it_is_resumed() {
    let code = || {
        orchestration(|ctx| async move {
            ctx.activity::<()>("one", &()).await?;
            let answer = ctx.external_event::<String>("answer").await?;
            Ok(answer)
        })
    };
    let mut live = code();
    let turn = Turn::first(&mut live);
    assert_eq!(names(&turn.result), ["activity one"]);
    let turn = turn.next(&mut live, vec![suspended(), completed(1, "null"), raised("answer", "\"a\"")]);
    assert_eq!(names(&turn.result), [""; 0]);
    let turn = turn.next(&mut live, vec![raised("answer", "\"b\"")]);
    assert_eq!(names(&turn.result), [""; 0]);
    let replayed = code().turn(turn.history.clone(), vec![script::started(900), resumed()]);
    let turn = turn.next(&mut live, vec![resumed()]);
    assert_eq!(outcome(&turn.result), Some(Ok("\"a\"".into())));
    assert_eq!(outcome(&replayed), outcome(&turn.result));
}

#[test]
fn what_it_asked_for_in_the_turn_that_suspended_it_is_not_taken_for_a_difference() {
    let code = || two_steps("one", "two");
    let mut live = code();
    let turn = Turn::first(&mut live);
    let turn = turn.next(&mut live, vec![completed(1, "null"), suspended()]);
    assert_eq!(names(&turn.result), ["activity two"]);
    assert_eq!(live.events() as usize, turn.history.len(), "its confirmations count");
    let mut cold = code();
    let replayed = cold.turn(turn.history.clone(), vec![script::started(900), resumed(), completed(2, "null")]);
    assert_eq!(names(&replayed), ["timer"]);
    let turn = turn.next(&mut live, vec![resumed(), completed(2, "null")]);
    assert_eq!(names(&turn.result), ["timer"]);
}

#[test]
fn a_termination_ends_it_with_what_it_says_also_while_it_is_suspended() {
    for before in [vec![], vec![suspended()]] {
        let mut live = two_steps("one", "two");
        let turn = Turn::first(&mut live);
        let events = before.into_iter().chain([terminated("\"enough\""), completed(1, "null")]).collect();
        let turn = turn.next(&mut live, events);
        assert_eq!(script::status(&turn.result), "TERMINATED");
        assert_eq!(script::result(&turn.result), Some("\"enough\"".into()));
        assert!(turn.result.ended);
    }
}

#[test]
fn what_the_code_does_about_its_termination_goes_with_its_last_turn() {
    let code = || {
        orchestration(|ctx| async move {
            let work = std::pin::pin!(async { ctx.activity::<()>("one", &()).await });
            if let Either::Right(termination) = ctx.first(work, ctx.termination()).await {
                ctx.publish("row", "key", &termination.reason)?;
                assert!(termination.at > SystemTime::UNIX_EPOCH);
            }
            ctx.external_event::<()>("never").await?;
            Ok(String::new())
        })
    };
    let mut live = code();
    let turn = Turn::first(&mut live);
    let turn = turn.next(&mut live, vec![terminated("\"enough\"")]);
    assert_eq!((script::status(&turn.result), turn.result.publish.len()), ("TERMINATED", 1));
    assert_eq!(turn.result.publish[0].body.as_deref(), Some(&br#""\"enough\"""#[..]));
    // It may as well have ended before.
    let mut live = code();
    let turn = Turn::first(&mut live).next(&mut live, vec![completed(1, "null"), terminated("\"enough\"")]);
    assert_eq!((script::status(&turn.result), turn.result.publish.len()), ("TERMINATED", 0));
}

#[test]
fn a_panic_in_the_code_is_a_failure_of_the_orchestration() {
    let mut live = orchestration(|ctx| async move {
        ctx.activity::<()>("one", &()).await?;
        let nothing: Vec<String> = ctx.activity("two", &()).await.unwrap_or_default();
        Ok(nothing.into_iter().next().expect("there was nothing"))
    });
    let turn = Turn::first(&mut live).next(&mut live, vec![completed(1, "null")]);
    let turn = turn.next(&mut live, vec![completed(2, "[]")]);
    let failure = outcome(&turn.result).unwrap().unwrap_err();
    assert_eq!(failure.error_type(), "Panic");
    assert!(failure.message().contains("there was nothing"), "{}", failure.message());
}

#[test]
fn a_panic_before_the_first_await_is_one_too() {
    #[expect(clippy::unreachable, reason = "what panics must have a type")]
    fn code(ctx: OrchestrationContext) -> std::future::Ready<Result<String, Failure>> {
        if ctx.name() == "test" {
            panic!("at once");
        }
        unreachable!()
    }
    let mut live = orchestration(code);
    let turn = Turn::first(&mut live);
    assert_eq!(outcome(&turn.result).unwrap().unwrap_err().error_type(), "Panic");
}

#[test]
fn events_are_matched_without_case_and_the_first_to_come_is_the_first_to_be_taken() {
    let mut live = orchestration(|ctx| async move {
        let mut all = Vec::new();
        for name in ["answer", "ANSWER", "Straße", "answer"] {
            all.push(ctx.external_event::<u32>(name).await?.to_string());
        }
        Ok(all.join(" "))
    });
    let events = vec![
        raised("Answer", "1"),
        raised("answer", "2"),
        raised("other", "3"),
        raised("STRASSE", "4"),
        raised("straße", "5"),
        raised("aNSWER", "6"),
    ];
    let turn = Turn::first(&mut live).next(&mut live, events);
    assert_eq!(outcome(&turn.result), Some(Ok("\"1 2 5 6\"".into())));
}

#[test]
fn an_event_that_came_before_anybody_waited_is_kept() {
    let mut live = orchestration(|ctx| async move {
        ctx.activity::<()>("one", &()).await?;
        Ok(ctx.external_event::<String>("early").await?)
    });
    let turn = Turn::first(&mut live);
    let turn = turn.next(&mut live, vec![raised("early", "\"bird\""), raised("early", "\"second\"")]);
    assert_eq!(outcome(&turn.result), None);
    let turn = turn.next(&mut live, vec![completed(1, "null")]);
    assert_eq!(outcome(&turn.result), Some(Ok("\"bird\"".into())));
}

#[test]
fn of_two_that_wait_the_first_gets_the_first_event() {
    let mut live = orchestration(|ctx| async move {
        let (first, second) = join(ctx.external_event::<u32>("e"), ctx.external_event::<u32>("E")).await;
        Ok(format!("{} {}", first?, second?))
    });
    let turn = Turn::first(&mut live).next(&mut live, vec![raised("e", "1")]).next(&mut live, vec![raised("e", "2")]);
    assert_eq!(outcome(&turn.result), Some(Ok("\"1 2\"".into())));
}

#[test]
fn a_wait_that_is_given_up_leaves_its_event_to_the_next() {
    let mut live = orchestration(|ctx| async move {
        let impatient = ctx.first(ctx.external_event::<u32>("e"), ctx.timer(Duration::from_secs(5)));
        let patient = ctx.external_event::<u32>("e");
        let (first, second) = join(impatient, patient).await;
        Ok(format!("{} {}", matches!(first, Either::Right(())), second?))
    });
    let turn = Turn::first(&mut live).next(&mut live, vec![fired(1)]);
    assert_eq!(outcome(&turn.result), None);
    let turn = turn.next(&mut live, vec![raised("e", "7")]);
    assert_eq!(outcome(&turn.result), Some(Ok("\"true 7\"".into())));
}

#[test]
fn an_event_that_its_wait_had_and_did_not_take_goes_to_one_that_was_looked_at_before() {
    let mut live = orchestration(|ctx| async move {
        let mut forgotten = ctx.external_event::<u32>("e");
        assert!(futures_util::poll!(&mut forgotten).is_pending());
        let patient = ctx.external_event::<u32>("e");
        let gives_up = async {
            ctx.activity::<()>("one", &()).await?;
            drop(forgotten);
            Ok::<(), Failure>(())
        };
        let (taken, gave_up) = join(patient, gives_up).await;
        gave_up?;
        Ok(taken?.to_string())
    });
    let turn = Turn::first(&mut live).next(&mut live, vec![raised("e", "7")]);
    assert_eq!(outcome(&turn.result), None);
    let turn = turn.next(&mut live, vec![completed(1, "null")]);
    assert_eq!(outcome(&turn.result), Some(Ok("\"7\"".into())));
}

#[test]
fn code_that_asks_to_be_looked_at_again_is() {
    let mut live = orchestration(|ctx| async move {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        ctx.activity::<()>("one", &()).await?;
        Ok(String::new())
    });
    assert_eq!(names(&Turn::first(&mut live).result), ["activity one"]);
}

#[test]
fn events_that_were_not_taken_go_over_in_the_order_in_which_they_came() {
    let code = || {
        orchestration(|ctx| async move {
            // Waits that have an event and do not take it.
            let (mut z, mut a) = (ctx.external_event::<u32>("z"), ctx.external_event::<u32>("a"));
            assert!(futures_util::poll!(&mut z).is_pending());
            assert!(futures_util::poll!(&mut a).is_pending());
            ctx.activity::<()>("one", &()).await?;
            ctx.continue_as_new(&())?;
            Ok(String::new())
        })
    };
    let mut live = code();
    let turn = Turn::first(&mut live);
    let events = vec![raised("c", "1"), raised("A", "2"), raised("b", "3"), raised("Z", "4"), raised("b", "5")];
    let turn = turn.next(&mut live, events).next(&mut live, vec![completed(1, "null")]);
    assert_eq!(script::status(&turn.result), "CONTINUED_AS_NEW");
    assert_eq!(carried(&turn.result), "1 2 3 4 5");
}

#[test]
fn events_that_come_with_the_last_turn_go_over_too() {
    let mut live = orchestration(|ctx| async move {
        ctx.external_event::<u32>("go").await?;
        ctx.continue_as_new(&())?;
        Ok(String::new())
    });
    let turn = Turn::first(&mut live)
        .next(&mut live, vec![raised("x", "1"), raised("go", "2"), raised("go", "3"), raised("y", "4")]);
    assert_eq!(carried(&turn.result), "1 3 4");
}

#[test]
fn a_failed_activity_is_tried_again_after_delays_that_grow() {
    let mut live = orchestration(|ctx| async move {
        let policy = RetryPolicy {
            attempts_max: 4,
            delay_first: Duration::from_secs(10),
            backoff: 3.0,
            delay_max: Duration::from_secs(60),
        };
        Ok(ctx.activity::<String>("flaky", &()).retry(policy).await?)
    });
    let mut turn = Turn::first(&mut live);
    assert_eq!(names(&turn.result), ["activity flaky"]);
    let mut id = 1;
    for delay in [10, 30, 60] {
        let before = turn.now;
        turn = turn.next(&mut live, vec![failed(id, false)]);
        assert_eq!(names(&turn.result), ["timer"]);
        assert_eq!(script::fire_at(&turn.result) - turn.now, delay, "after {before}");
        turn = turn.next(&mut live, vec![fired(id + 1)]);
        assert_eq!(names(&turn.result), ["activity flaky"]);
        id += 2;
    }
    let turn = turn.next(&mut live, vec![failed(id, false)]);
    let failure = outcome(&turn.result).unwrap().unwrap_err();
    assert!(failure.message().contains("activity flaky #7 failed"), "{}", failure.message());
}

#[test]
fn what_cannot_be_tried_again_is_not() {
    let mut live =
        orchestration(
            |ctx| async move { Ok(ctx.activity::<String>("broken", &()).retry(RetryPolicy::attempts(5)).await?) },
        );
    let turn = Turn::first(&mut live).next(&mut live, vec![failed(1, true)]);
    assert!(outcome(&turn.result).unwrap().is_err());
}

#[test]
fn many_at_once_are_all_waited_for() {
    let mut live = orchestration(|ctx| async move {
        let calls = (0..100).map(|number: u32| ctx.activity::<u32>("double", &number));
        let all: Result<Vec<u32>, _> = join_all(calls).await.into_iter().collect();
        Ok(all?.into_iter().sum::<u32>().to_string())
    });
    let turn = Turn::first(&mut live);
    assert_eq!(names(&turn.result).len(), 100);
    let (even, odd): (Vec<i32>, Vec<i32>) = (1..=100).partition(|id| id % 2 == 0);
    let results = |ids: Vec<i32>| ids.into_iter().rev().map(|id| completed(id, &(2 * (id - 1)).to_string())).collect();
    let turn = turn.next(&mut live, results(even)).next(&mut live, results(odd));
    assert_eq!(outcome(&turn.result), Some(Ok("\"9900\"".into())));
}

#[test]
fn the_end_has_an_id_of_its_own() {
    let mut live = orchestration(|ctx| async move {
        ctx.activity::<()>("one", &()).await?;
        Ok(String::new())
    });
    let turn = Turn::first(&mut live).next(&mut live, vec![completed(1, "null")]);
    assert_eq!(turn.result.actions.last().unwrap().id, 2);
}

#[test]
fn a_race_is_decided_by_the_order_of_the_history() {
    let code = || {
        orchestration(|ctx| async move {
            let answer = ctx.external_event::<u32>("answer");
            let late = ctx.timer(Duration::from_secs(60));
            let who = match select(answer, late).await {
                Either::Left(_) => "answer",
                Either::Right(_) => "timer",
            };
            Ok(who.to_owned())
        })
    };
    let orders = [(vec![raised("answer", "1"), fired(1)], "answer"), (vec![fired(1), raised("answer", "1")], "timer")];
    for (events, winner) in orders {
        let mut live = code();
        let turn = Turn::first(&mut live).next(&mut live, events);
        assert_eq!(outcome(&turn.result), Some(Ok(format!("{winner:?}"))));
    }
}

#[test]
fn the_start_gives_its_input_and_its_times() {
    let code = code_of(|ctx: OrchestrationContext, input: u32| async move {
        let since = |time: SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        Ok(format!("{input} {} {} {}", ctx.instance_id(), since(ctx.started_at()), since(ctx.now())))
    });
    let mut live = Orchestration::new(code);
    let turn = live.turn(vec![], vec![script::started(7), start("41", 3)]);
    assert_eq!(outcome(&turn), Some(Ok("\"41 instance 3 7\"".into())));
}

#[test]
fn a_rewind_leaves_out_what_failed_and_the_code_asks_for_it_again() {
    let code = || {
        orchestration(|ctx| async move {
            let first = ctx.activity::<String>("one", &()).await?;
            let second = ctx.activity::<String>("two", &()).await?;
            Ok(first + &second)
        })
    };
    let mut live = code();
    let turn = Turn::first(&mut live).next(&mut live, vec![completed(1, "\"a\"")]);
    let turn = turn.next(&mut live, vec![failed(2, true)]);
    assert!(outcome(&turn.result).unwrap().is_err());

    let rewound = event(-1, EventType::ExecutionRewound(ExecutionRewoundEvent::default()));
    let mut past = turn.history;
    past.push(event(2, EventType::ExecutionCompleted(ExecutionCompletedEvent::default())));
    let rewind = code().turn(past, vec![script::started(9), rewound]);
    let [OrchestratorAction { id: -1, orchestrator_action_type: Some(Action::RewindOrchestration(action)) }] =
        &rewind.actions[..]
    else {
        panic!("{:?}", rewind.actions)
    };
    let history = action.new_history.clone();
    let has = |wanted: fn(&EventType) -> bool| history.iter().filter_map(|event| event.event_type.as_ref()).any(wanted);
    assert!(has(|event| matches!(event, EventType::ExecutionRewound(_))));
    assert!(!has(|event| matches!(event, EventType::TaskFailed(_) | EventType::ExecutionCompleted(_))));

    let mut again = code();
    let turn = again.turn(history, vec![script::started(10)]);
    assert_eq!(names(&turn), ["activity two"]);
    assert_eq!(turn.actions[0].id, 2, "as before");
}

#[test]
fn what_no_history_tells_is_as_it_was_when_it_was_recorded() {
    let code = |now: bool| {
        orchestration(move |ctx| async move {
            if ctx.calls_first("plan", || now) {
                ctx.activity::<()>("plan", &()).await?;
            }
            ctx.activity::<()>("do", &()).await?;
            Ok(String::new())
        })
    };
    for before in [true, false] {
        let mut live = code(before);
        let first = Turn::first(&mut live);
        assert_eq!(names(&first.result), [if before { "activity plan" } else { "activity do" }]);
        let second = first.next(&mut live, vec![completed(1, "null")]);
        // Whatever would be said now, of one turn and of two.
        for now in [true, false] {
            let mut again = code(now);
            let done = completed(if before { 2 } else { 1 }, "null");
            let past = if before { second.history.clone() } else { first_of(&mut code(before)) };
            let turn = again.turn(past, vec![script::started(9), done]);
            assert_eq!(outcome(&turn), Some(Ok("\"\"".into())), "{before}, and now {now}");
        }
    }
}

/// The history of a first turn.
fn first_of(live: &mut Orchestration) -> Vec<HistoryEvent> {
    Turn::first(live).history
}
