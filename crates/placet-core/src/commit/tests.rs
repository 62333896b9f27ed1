//! The commit, alone: what a batch holds, and when its effects are let go. What merging means is tested by a law
//! in `merging`.

mod merging;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::command::Reply;
use crate::ids::{CallId, Iid, Seq};
use crate::outcome::HistoryRead;
use crate::rows::{InboxRow, Write};
use crate::token::Token;

const HERE: (PartitionId, Epoch) = (PartitionId(1), Epoch { incarnation: 1, resets: 0 });
const THERE: (PartitionId, Epoch) = (PartitionId(2), Epoch { incarnation: 1, resets: 3 });

fn at(micros: u64) -> Mono {
    Mono(micros)
}

fn told(number: u64) -> Effect {
    Effect::Reply(CallId(number), Ok(Reply::Done))
}

/// A command that writes a row and tells somebody.
fn writing(number: u64) -> Outcome {
    let row = InboxRow { iid: Iid(1), seq: Seq(number), data: b"message".as_slice().into() };
    Outcome { writes: vec![Write::PutInbox(row)], effects: vec![told(number)], ..Outcome::default() }
}

/// A command that only tells somebody.
fn telling(number: u64) -> Outcome {
    Outcome { effects: vec![told(number)], ..Outcome::default() }
}

/// Adds a command that waits for no turn.
fn add(commit: &mut Commit, mut outcome: Outcome) -> Vec<Effect> {
    commit.add(at(0), HERE, &mut outcome, false)
}

fn seal(commit: &mut Commit) -> BatchId {
    commit.seal(at(0)).expect("a batch is due").id.expect("a sealed batch has an id")
}

const SYNC: Duration = Duration::from_micros(100);

#[test]
fn effects_are_held_until_their_batch_is_durable_and_come_in_order() {
    let mut commit = Commit::default();
    assert_eq!(add(&mut commit, writing(1)), []);
    assert_eq!(add(&mut commit, writing(2)), []);
    let batch = seal(&mut commit);
    assert_eq!(add(&mut commit, writing(3)), [], "it belongs to the next batch");
    assert_eq!(commit.committed(batch, SYNC), [told(1), told(2)]);
    let batch = seal(&mut commit);
    assert_eq!(commit.committed(batch, SYNC), [told(3)]);
    assert!(commit.is_idle());
}

#[test]
fn a_batch_that_carries_enough_takes_no_more_and_the_next_one_follows_it() {
    let mut commit = Commit::new(Limits { batch_bytes: 100, ..Limits::default() });
    let decide = |commit: &mut Commit, number| {
        commit.cut();
        add(commit, writing(number));
    };
    for number in 1..=5 {
        decide(&mut commit, number);
    }
    // What is decided at once is not cut.
    add(&mut commit, writing(6));
    let mut told_by_batch = Vec::new();
    while let Some(batch) = commit.seal(at(0)) {
        assert_eq!(batch.commands, batch.inbox_put.len());
        told_by_batch.push(commit.committed(batch.id.unwrap(), SYNC));
    }
    assert_eq!(told_by_batch, [vec![told(1), told(2)], vec![told(3), told(4)], vec![told(5), told(6)]]);
    assert_eq!((commit.is_idle(), commit.uncommitted_bytes()), (true, 0));
}

#[test]
fn a_failed_commit_voids_the_batches_that_wait_behind_it() {
    let mut commit = Commit::new(Limits { batch_bytes: 1, ..Limits::default() });
    add(&mut commit, writing(1));
    let batch = seal(&mut commit);
    for number in 2..=3 {
        commit.cut();
        assert_eq!(commit.add(at(0), THERE, &mut writing(number), false), []);
    }
    assert_eq!(commit.hold(&mut telling(4)), []);
    let voided = commit.failed(batch);
    assert_eq!(voided.effects, [told(1), told(2), told(3), told(4)]);
    assert_eq!(voided.partitions, [HERE.0, THERE.0]);
    assert!(commit.is_idle());
}

#[test]
fn what_lies_ahead_of_a_row_goes_with_it_or_is_dropped_with_it() {
    let mut commit = Commit::default();
    let of = |number| PayloadKey::Inbox(Iid(1), Seq(number));
    add(&mut commit, Outcome { ahead: vec![of(2)], ..writing(2) });
    add(&mut commit, Outcome { ahead: vec![of(1)], ..writing(1) });
    add(&mut commit, writing(3));
    let gone = Outcome { writes: vec![Write::DeleteInbox(Iid(1), Seq(1))], ..Outcome::default() };
    add(&mut commit, gone);
    let batch = commit.seal(at(0)).unwrap();
    assert_eq!((batch.ahead, batch.ahead_dropped), (vec![of(2)], vec![of(1)]));
    assert_eq!((batch.inbox_put.len(), batch.inbox_deleted.len()), (2, 0));
    assert_eq!(commit.failed(batch.id.unwrap()).ahead, [of(1), of(2)], "nobody knows whether they are there");
}

#[test]
fn an_effect_without_writes_goes_at_once_only_if_nothing_undecided_precedes_it() {
    let mut commit = Commit::default();
    assert_eq!(add(&mut commit, telling(1)), [told(1)]);
    assert_eq!(add(&mut commit, writing(2)), []);
    assert_eq!(add(&mut commit, telling(3)), [], "what it tells may stand on what fills");
    let batch = seal(&mut commit);
    assert_eq!(add(&mut commit, telling(4)), [], "… or on what is in flight");
    assert_eq!(commit.committed(batch, SYNC), [told(2), told(3), told(4)]);
    assert_eq!(add(&mut commit, telling(5)), [told(5)]);
}

#[test]
fn one_batch_is_with_the_store_at_a_time() {
    let mut commit = Commit::default();
    assert!(commit.seal(at(0)).is_none(), "nothing was decided");
    add(&mut commit, writing(1));
    let batch = seal(&mut commit);
    add(&mut commit, writing(2));
    assert!(commit.seal(at(u64::MAX)).is_none());
    assert_eq!(commit.next_due(), None);
    commit.committed(batch, SYNC);
    assert!(commit.seal(at(0)).is_some());
}

#[test]
fn a_batch_names_every_partition_that_it_writes_with_its_epoch() {
    let mut commit = Commit::default();
    assert_eq!(commit.add(at(0), THERE, &mut writing(1), false), []);
    assert_eq!(commit.add(at(0), HERE, &mut writing(2), false), []);
    assert_eq!(commit.add(at(0), (PartitionId(3), HERE.1), &mut telling(3), false), []);
    assert_eq!(commit.seal(at(0)).unwrap().fences, [HERE, THERE]);
}

#[test]
fn a_failure_voids_what_is_in_flight_and_what_fills() {
    let mut commit = Commit::default();
    add(&mut commit, writing(1));
    let batch = seal(&mut commit);
    assert_eq!(commit.add(at(0), THERE, &mut writing(2), false), []);
    assert_eq!(add(&mut commit, telling(3)), []);
    let voided = commit.failed(batch);
    assert_eq!(voided.effects, [told(1), told(2), told(3)]);
    assert_eq!(voided.partitions, [HERE.0, THERE.0]);
    assert!(commit.is_idle());
    assert_eq!(commit.uncommitted_bytes(), 0);
    assert_eq!(add(&mut commit, telling(4)), [told(4)], "nothing undecided is left");
}

#[test]
fn bytes_wait_from_their_command_to_their_commit() {
    let mut commit = Commit::default();
    add(&mut commit, writing(1));
    let bytes = commit.uncommitted_bytes();
    assert!(bytes >= b"message".len());
    let batch = seal(&mut commit);
    assert_eq!(commit.uncommitted_bytes(), bytes);
    add(&mut commit, writing(2));
    assert_eq!(commit.uncommitted_bytes(), 2 * bytes);
    commit.committed(batch, SYNC);
    assert_eq!(commit.uncommitted_bytes(), bytes);
}

#[test]
fn a_message_whose_turn_is_out_waits_as_long_as_a_sync_took_and_never_over_the_most() {
    const MS: u64 = 1_000;
    // (the last sync, how long a message waits for its turn), in microseconds
    for (sync, waits) in [(0, MS), (100, MS), (MS, MS), (3 * MS, 3 * MS), (5 * MS, 5 * MS), (80 * MS, 5 * MS)] {
        let mut commit = Commit::default();
        add(&mut commit, writing(1));
        let batch = seal(&mut commit);
        commit.committed(batch, Duration::from_micros(sync));

        assert_eq!(commit.add(at(100), HERE, &mut writing(2), true), []);
        assert_eq!(commit.add(at(500), HERE, &mut writing(3), true), [], "the first one counts");
        assert_eq!(commit.next_due(), Some(at(100 + waits)), "after a sync of {sync} µs");
        assert!(commit.seal(at(100 + waits - 1)).is_none());
        assert!(commit.seal(at(100 + waits)).is_some());
    }
}

#[test]
fn nothing_waits_for_a_turn_if_something_in_the_batch_does_not() {
    for urgent_first in [true, false] {
        let mut commit = Commit::default();
        assert_eq!(commit.add(at(0), HERE, &mut writing(1), !urgent_first), []);
        assert_eq!(commit.add(at(0), HERE, &mut writing(2), urgent_first), []);
        assert!(commit.seal(at(0)).is_some());
    }
}

#[test]
fn the_next_batch_waits_for_its_own_messages_only() {
    let mut commit = Commit::default();
    add(&mut commit, writing(1));
    let batch = seal(&mut commit);
    assert_eq!(commit.add(at(10), HERE, &mut writing(2), true), []);
    commit.committed(batch, SYNC);
    assert!(commit.seal(at(20)).is_none(), "the urgent one has gone with its batch");
    assert_eq!(commit.next_due(), Some(at(1_010)));
}

#[test]
fn a_turn_that_waits_for_its_history_is_not_waited_for() {
    let token = Token::Activity { partition: HERE.0, iid: Iid(1), seq: Seq(1), execution: 0 };
    let read = Effect::ReadHistory(HistoryRead { token, iid: Iid(1), from: crate::ids::Turn(0), by_worker: false });
    let mut commit = Commit::default();
    assert_eq!(commit.add(at(0), HERE, &mut writing(1), true), []);
    assert!(commit.seal(at(0)).is_none());
    assert_eq!(commit.hold(&mut Outcome { effects: vec![read.clone()], ..Outcome::default() }), []);
    let batch = seal(&mut commit);
    assert_eq!(commit.committed(batch, SYNC), [told(1), read]);
}

#[test]
fn a_full_batch_waits_for_no_turn() {
    let mut commit = Commit::default();
    for number in 1..=Limits::default().batch_commands as u64 {
        assert!(commit.seal(at(0)).is_none());
        assert_eq!(commit.add(at(0), HERE, &mut writing(number), true), []);
    }
    assert!(commit.seal(at(0)).is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Command { writes: bool, waits: bool },
    Later(u64),
    Seal,
    Answer { durable: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(writes, waits)| Step::Command { writes, waits }),
        1 => (0..6_000_u64).prop_map(Step::Later),
        3 => Just(Step::Seal),
        2 => prop_oneof![3 => Just(true), 1 => Just(false)].prop_map(|durable| Step::Answer { durable }),
    ]
}

proptest! {
    /// Whatever happens in whatever order: an effect is let go once, in order, when all that was decided before
    /// it is durable and not before; or it is voided, once.
    #[test]
    fn an_effect_goes_when_all_that_precedes_it_is_durable(steps in vec(step(), 1..60)) {
        let mut commit = Commit::default();
        let mut now = at(0);
        // Writes decided, with the store, and durable; and for each held effect the writes that precede it.
        let (mut decided, mut sealed, mut durable) = (0_u64, 0_u64, 0_u64);
        let mut held: Vec<(Effect, u64)> = Vec::new();
        let mut in_flight: Option<BatchId> = None;
        let mut number = 0;
        for step in steps {
            let (released, all) = match step {
                Step::Later(micros) => {
                    now = Mono(now.0 + micros);
                    continue;
                }
                Step::Command { writes, waits } => {
                    number += 1;
                    let mut outcome = if writes { writing(number) } else { telling(number) };
                    decided += u64::from(writes);
                    held.push((told(number), decided));
                    (commit.add(now, HERE, &mut outcome, waits), false)
                }
                Step::Seal => {
                    if let Some(batch) = commit.seal(now) {
                        prop_assert_eq!(in_flight, None);
                        in_flight = batch.id;
                        prop_assert_eq!(batch.inbox_put.len() as u64, decided - sealed);
                        sealed = decided;
                    }
                    continue;
                }
                Step::Answer { durable: committed } => {
                    let Some(batch) = in_flight.take() else { continue };
                    if committed {
                        durable = sealed;
                        (commit.committed(batch, Duration::from_micros(now.0 % 9_000)), false)
                    } else {
                        decided = durable;
                        sealed = durable;
                        (commit.failed(batch).effects, true)
                    }
                }
            };
            let mut expected = Vec::new();
            while let Some((effect, precede)) = held.first() && (all || *precede <= durable) {
                expected.push(effect.clone());
                held.remove(0);
            }
            prop_assert_eq!(released, expected);
            prop_assert_eq!(commit.is_idle(), decided == durable);
            // No acknowledgement is delayed by more than the most, once the committer is free.
            if in_flight.is_none() && decided > sealed {
                let due = commit.next_due().unwrap_or(now);
                prop_assert!(due.since(now) <= limits::HOLD_MAX);
            }
        }
    }
}
