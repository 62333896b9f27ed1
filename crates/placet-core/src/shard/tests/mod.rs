//! The shard, scripted: what the world sees of it.

mod ahead;
mod faults;
mod memory;
mod protocol;
mod records;
mod relatives;
mod script;
mod simulated;
mod store;
mod successor;
mod virtual_time;
mod why;

use insta::assert_snapshot;
use script::trace;

#[test]
fn a_sequence_is_told_only_what_is_durable_and_ends_with_its_history() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s done seq-1/one
        1s wait seq-1
        2s turn seq-1: complete
        2s rows
    "
    ));
}

#[test]
fn the_next_turn_of_an_instance_that_continues_as_new_goes_out() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start loop-1
        0s raise loop-1 early
        0s turn loop-1: new
        1s turn loop-1: new
        2s turn loop-1: complete
        2s rows
    "
    ));
}

#[test]
fn an_answer_recorded_before_the_timer_comes_first_though_both_are_due() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 24h
        1h disconnect
        23h raise expense-1 approval_response
        25h worker
        25h turn expense-1: complete
    "
    ));
}

#[test]
fn a_timer_far_away_survives_a_crash_and_fires_when_it_is_due() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 240h
        100h crash
        239h worker
        240.01h turn expense-1: complete
        240.01h rows
    "
    ));
}

#[test]
fn a_timer_that_is_due_when_the_server_stops_is_the_next_process_s() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 1h
        0s start expense-2
        0.1s turn expense-2: timer 2h
        59m hold
        59m start expense-3
        59m stop
        90m commit
        91m rows
        91m crash
        91m worker
        91m turn expense-1: complete
        91m rows
    "
    ));
}

#[test]
fn what_was_decided_after_a_failed_commit_is_void_and_is_decided_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s hold
        1s done seq-1/one
        1s fail
        2s done seq-1/one
        2s turn seq-1: complete
    "
    ));
}

#[test]
fn a_completion_in_pieces_counts_when_the_last_one_has_come_and_not_before() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s piece 0 seq-1: activity one
        1s rows
        1s piece 1 seq-1: activity two
        1s piece 1 seq-1: activity two
        2s last 2 seq-1: timer 1h
        2s rows
    "
    ));
}

#[test]
fn pieces_of_a_turn_that_was_taken_back_are_forgotten() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s piece 0 seq-1: activity one
        1s disconnect
        2s worker
        2s turn seq-1: activity two
        3s rows
    "
    ));
}

#[test]
fn a_turn_whose_stream_breaks_goes_to_another_worker_and_the_old_token_is_dead() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        1s disconnect
        2s worker
        2s turn seq-1: complete
    "
    ));
}

#[test]
fn an_activity_whose_stream_breaks_is_given_out_again_after_a_grace() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s disconnect
        2s worker
        40s done seq-1/one
        40s turn seq-1: complete
    "
    ));
}

#[test]
fn an_ask_is_answered_by_the_turn_that_consumed_it_and_again_for_the_same_id() {
    assert_snapshot!(trace(
        "
        0s sticky-worker
        0s start expense-1
        0s turn expense-1: wait
        1s ask expense-1 decide#a1
        1s turn expense-1: reply a1=yes | complete
        2s ask expense-1 decide#a1
        2s ask expense-1 decide#a2
    "
    ));
}

#[test]
fn an_ask_goes_on_waiting_when_its_event_is_carried_over_and_ends_with_the_instance() {
    assert_snapshot!(trace(
        "
        0s sticky-worker
        0s start expense-1
        0s ask expense-1 decide#a1
        0s turn expense-1: wait
        15s ask expense-1 decide#a1
        20s turn expense-1: complete
    "
    ));
}

#[test]
fn code_that_does_not_know_of_asks_answers_with_the_state_after_its_turn() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: wait
        1s ask expense-1 approval_response#a1
        1s turn expense-1: complete
        2s ask expense-1 approval_response#a1
    "
    ));
}

#[test]
fn code_that_does_nothing_has_not_taken_a_question_and_does_not_end_for_it() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 24h
        1s ask expense-1 approval_response#a1
        1s turn expense-1: wait
        2s raise expense-1 go
        2s turn expense-1: complete
        3s start expense-2
        3s turn expense-2: timer 24h
        4s ask expense-2 approval_response#a2
        4s turn expense-2: wait
        5s raise expense-2 go
        5s turn expense-2: timer 24h
    "
    ));
}

#[test]
fn a_worker_that_keeps_state_is_sent_no_history_and_another_is() {
    assert_snapshot!(trace(
        "
        0s sticky-worker
        0s start seq-1
        0s turn seq-1: wait
        1s raise seq-1 a
        1s turn seq-1: wait
        2s disconnect
        2s sticky-worker
        3s raise seq-1 b
        3s turn seq-1: wait
        4s raise seq-1 c
    "
    ));
}

#[test]
fn a_termination_that_no_worker_can_take_is_carried_out_by_the_server() {
    assert_snapshot!(trace(
        "
        0s start seq-1
        1s wait seq-1
        1s terminate seq-1
        2s worker
        2s start seq-2
        2s turn seq-2: timer 24h
        3s disconnect
        3s wait seq-2
        4s terminate seq-2
        4s rows
    "
    ));
}

#[test]
fn a_start_that_is_scheduled_for_later_waits_pending_with_the_events_that_come_meanwhile() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1 at 3h
        1h raise seq-1 early
        3.01h turn seq-1: complete
    "
    ));
}

#[test]
fn a_finished_instance_gives_way_to_a_new_one_and_a_running_one_does_not() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s start seq-1
        1s turn seq-1: complete
        2s start seq-1
        2s rows
    "
    ));
}

#[test]
fn nothing_is_told_of_a_start_before_it_is_durable() {
    assert_snapshot!(trace(
        "
        0s hold
        0s start seq-1
        1s tick
        2s commit
    "
    ));
}

#[test]
fn names_that_are_reserved_go_to_the_built_in_worker_and_it_gets_nothing_else() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start placet.approval-1
        0s start seq-1
        1s built-in-worker
        1s start seq-2
    "
    ));
}
