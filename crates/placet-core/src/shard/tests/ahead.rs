//! Long rows are written ahead, and who waits for them.

use insta::assert_snapshot;

use super::script::trace_within;
use crate::limits::Limits;

/// The trace of a script in which `LONG` is the name of an event whose row is written in three pieces, and nothing else is long.
fn trace(script: &str) -> String {
    let long = "l".repeat(1_100);
    let limits = Limits { ahead_from: 500, ..Limits::default() };
    trace_within(limits, &script.replace("LONG", &long)).replace(&long, "LONG")
}

#[test]
fn others_go_on_while_a_long_row_is_written_and_what_concerns_its_instance_waits_behind_it_in_order() {
    assert_snapshot!(trace(
        "
        0s start a-1
        0s start b-1
        1s hold-ahead
        1s raise a-1 LONG
        1s raise a-1 short
        1s wait a-1
        1s terminate a-1
        2s raise b-1 short
        2s rows
        3s piece-written
        4s piece-written
        4s raise b-1 short
        5s piece-written
        5s rows
        6s all-written
        6s rows
        6s ahead
    "
    ));
}

#[test]
fn long_rows_of_several_are_written_in_turn_and_who_brings_less_waits_less() {
    assert_snapshot!(trace(
        "
        0s start a-1
        0s start b-1
        1s hold-ahead
        1s raise a-1 LONGLONGLONG
        1s raise b-1 LONG
        2s piece-written
        3s piece-written
        4s piece-written
        5s piece-written
        6s piece-written
        7s piece-written
        8s all-written
        9s rows
    "
    ));
}

#[test]
fn a_turn_that_is_out_takes_no_message_whose_row_is_not_there_into_the_store() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s hold-ahead
        1s raise a-1 short
        1s raise a-1 LONG
        2s turn a-1: activity one
        2s rows
        3s all-written
        4s rows
        5s turn a-1: wait
        6s rows
    "
    ));
}

#[test]
fn a_turn_whose_history_is_long_is_followed_by_the_next_one_when_it_is_there() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s raise a-1 LONG
        2s hold-ahead
        2s turn a-1: activity one | timer 1h
        2s raise a-1 short
        3s rows
        4s all-written
        5s turn a-1: complete
        6s rows
        6s ahead
    "
    ));
}

#[test]
fn what_is_told_of_a_row_that_was_not_written_is_that_nobody_knows_and_the_instance_is_as_it_was() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s hold-ahead
        1s raise a-1 LONG
        1s raise a-1 short
        2s piece-written
        3s piece-fails
        3s ahead
        3s all-written
        3s rows
        4s turn a-1: wait
        4s raise a-1 LONG
        5s turn a-1: complete
        5s ahead
        5s rows
    "
    ));
}

#[test]
fn an_activity_whose_long_result_was_not_written_is_given_out_again() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start a-1
        0s turn a-1: activity one
        1s hold-ahead
        1s done a-1/one with LONG
        2s piece-fails
        3s all-written
        4s done a-1/one with LONG
        5s turn a-1: complete
    "
    ));
}

#[test]
fn a_worker_whose_stream_breaks_after_it_has_answered_has_not_failed() {
    let fails = (1..=9).fold("0s start a-1\n".to_owned(), |script, round| {
        script + &format!("{0}s worker\n{1}s disconnect\n", round * 100, round * 100 + 50)
    });
    let trace = trace(&format!(
        "{fails}1000s worker
        1000s hold-ahead
        1000s turn a-1: activity LONG
        1001s disconnect
        1002s all-written
        1003s worker
        1004s done a-1/LONG
        1005s turn a-1: complete"
    ));
    assert!(trace.ends_with("1005s reply to turn a-1: done\n"), "{trace}");
}

#[test]
fn on_a_full_disk_it_is_refused_and_what_the_store_has_is_awaited_first() {
    assert_snapshot!(trace(
        "
        0s start a-1
        0s start b-1
        1s hold-ahead
        1s raise a-1 LONG
        1s hold
        1s raise b-1 one
        1s raise b-1 two
        2s piece-full
        3s commit
        4s rows
        5s raise b-1 three
    "
    ));
}

#[test]
fn a_failed_commit_of_another_partition_leaves_what_is_underway_alone() {
    assert_snapshot!(trace(
        "
        0s start a-1
        0s start b-1
        1s hold-ahead
        1s raise a-1 LONG
        1s hold
        1s raise b-1 short
        2s piece-written
        2s fail
        3s all-written
        4s rows
        4s ahead
    "
    ));
}

#[test]
fn a_failed_commit_of_the_same_partition_voids_what_is_underway_and_its_pieces_are_cleared_away() {
    assert_snapshot!(trace(
        "
        0s start a-1
        1s hold
        1s raise a-1 early
        1s hold-ahead
        1s raise a-1 LONG
        1s raise a-1 short
        2s piece-written
        2s fail
        2s ahead
        2s piece-written
        3s all-written
        3s ahead
        3s rows
        4s raise a-1 LONG
        4s rows
        4s ahead
    "
    ));
}

#[test]
fn what_a_crash_left_of_a_row_is_nobodys() {
    assert_snapshot!(trace(
        "
        0s start a-1
        1s hold-ahead
        1s raise a-1 LONG
        2s piece-written
        2s ahead
        3s crash
        3s ahead
        3s rows
        3s raise a-1 LONG
        3s rows
    "
    ));
}

#[test]
fn a_shard_that_goes_on_after_a_broken_invariant_writes_it_anew() {
    assert_snapshot!(trace(
        "
        0s start a-1
        1s hold-ahead
        1s raise a-1 LONG
        2s piece-written
        3s break
        3s raise a-1 LONGLONG
        3s all-written
        4s rows
        4s ahead
    "
    ));
}

#[test]
fn a_hub_takes_with_it_what_is_underway_in_it() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s hold-ahead
        1s raise a-1 LONG
        1s raise a-1 LONG
        1s raise a-1 short
        1s wait a-1
        2s piece-written
        2s delete-hub
        3s all-written
        3s rows
        3s ahead
        4s start a-1
        4s rows
    "
    ));
}

#[test]
fn an_instance_is_purged_when_what_is_underway_is_there() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s raise a-1 LONG
        1s hold-ahead
        1s turn a-1: complete
        1s purge a-1
        1s start a-1
        2s rows
        3s all-written
        3s rows
        3s ahead
    "
    ));
}

#[test]
fn a_row_that_is_born_and_dies_in_one_batch_leaves_nothing_behind() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s turn a-1: wait
        1s hold
        1s start b-1
        1s raise a-1 LONG
        1s turn a-1: new
        1s turn a-1: complete
        1s purge a-1
        2s ahead
        2s commit
        3s ahead
        3s rows
    "
    ));
}

#[test]
fn a_server_that_stops_finishes_what_is_underway_and_what_waits_behind_it() {
    assert_snapshot!(trace(
        "
        0s start a-1
        1s hold-ahead
        1s raise a-1 LONG
        1s ask a-1 question#1
        2s stop
        3s piece-written
        4s all-written
        5s rows
    "
    ));
}

#[test]
fn a_message_leaves_its_sender_when_the_long_row_that_it_makes_is_there() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s start b-1
        0s turn b-1: wait
        1s hold-ahead
        1s turn a-1: send b-1 LONG | send b-1 short | complete
        2s piece-written
        2s piece-written
        2s piece-written
        2s piece-written
        2s piece-written
        2s piece-written
        3s rows
        3s purge a-1
        3s raise a-1 nobody
        4s piece-written
        4s piece-written
        4s hold
        4s piece-written
        5s commit
        6s turn b-1: complete
        6s all-written
        7s rows
        7s ahead
    "
    ));
}

#[test]
fn a_message_whose_long_row_came_to_nothing_is_told_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start a-1
        0s start b-1
        0s turn b-1: wait
        1s turn a-1: timer 1h | send c-1 nothing
        2s raise a-1 go
        3s hold
        3s raise b-1 early
        3s hold-ahead
        3s turn a-1: send b-1 LONG
        4s fail
        5s all-written
        6s turn b-1: wait
        7s rows
        7s ahead
    "
    ));
}

#[test]
fn a_termination_by_the_server_waits_for_what_is_underway() {
    assert_snapshot!(trace(
        "
        0s start a-1
        0s terminate a-1
        1s start b-1
        1s hold-ahead
        1s raise b-1 LONG
        2s terminate b-1
        3s all-written
        3s rows
    "
    ));
}
