//! What PROTOCOL.md §4, §6 and §7 say of orchestrations, sentence by sentence.

use insta::assert_snapshot;

use super::script::trace;

#[test]
fn an_id_is_used_again_as_its_policy_says() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s start seq-1
        0s start seq-1 over nothing
        0s start seq-1 over COMPLETED,TERMINATED
        0s start seq-1 over RUNNING,COMPLETED
        1s start seq-1 over PENDING,TERMINATED
        1s turn seq-1: wait
        2s start seq-1 over PENDING,TERMINATED
        2s start seq-1 over RUNNING,TERMINATED
        3s turn seq-1: complete
        4s start seq-1 over nothing
        4s start seq-1 over FAILED
        5s start seq-1 over COMPLETED
        5s turn seq-1: complete
        6s start seq-1
        6s rows
    "
    ));
}

#[test]
fn a_new_life_drops_what_the_old_one_had_and_its_late_completions_count_for_nothing() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one | timer 1h
        1s raise seq-1 early
        2s start seq-1 over RUNNING,TERMINATED
        2s rows
        3s late turn seq-1: complete
        3s done seq-1/one
        4s turn seq-1: wait
        2h rows
        2h state seq-1
    "
    ));
}

#[test]
fn a_worker_has_room_again_when_it_finishes_what_was_deleted() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start seq-1
        0s turn seq-1: activity one
        1s start seq-1 over RUNNING,TERMINATED
        1s start seq-2
        1s turn seq-1: activity again
        1s turn seq-2: activity two
        2s done seq-1/one
        2s done seq-1/again
        2s turn seq-1: wait
        3s start seq-1 over RUNNING,TERMINATED
        3s start seq-3
        3s start seq-1 over PENDING,TERMINATED
        4s turn seq-1: wait
    "
    ));
}

#[test]
fn so_it_does_when_it_gives_back_what_was_deleted() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start seq-1
        1s start seq-2
        2s start seq-1 over PENDING,TERMINATED
        3s abandon seq-1
        4s turn seq-2: wait
        4s turn seq-1: wait
    "
    ));
}

#[test]
fn a_loop_leaves_room_for_what_waits() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start loop-1
        0s start seq-1
        1s turn loop-1: new
        2s turn seq-1: complete
        3s turn loop-1: new
    "
    ));
}

#[test]
fn an_event_to_an_unknown_instance_is_refused_and_to_one_that_ended_dropped() {
    assert_snapshot!(trace(
        "
        0s worker
        0s raise seq-1 event
        0s terminate seq-1
        0s wait seq-1
        1s start seq-1
        1s turn seq-1: complete
        2s raise seq-1 event
        2s terminate seq-1
        2s wait seq-1
        2s rows
    "
    ));
}

#[test]
fn a_termination_is_delivered_to_a_worker_that_can_take_it() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        1s terminate seq-1
        1s terminate seq-1
        1s turn seq-1: terminated
        1s state seq-1
        1s history seq-1
        1s rows
    "
    ));
}

#[test]
fn a_termination_of_what_never_ran_needs_no_worker() {
    assert_snapshot!(trace(
        "
        0s start seq-1
        0s start later-1 at 3h
        1s raise later-1 early
        2s terminate seq-1
        2s terminate later-1
        2s state seq-1
        2s state later-1
        2s history later-1
        2s rows
        4h worker
        4h rows
    "
    ));
}

#[test]
fn a_termination_is_carried_out_though_the_turn_waited_for_a_worker_already() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: wait
        1s disconnect
        2s raise seq-1 event
        3s wait seq-1
        3s terminate seq-1
        4s worker
        4s state seq-1
    "
    ));
}

#[test]
fn a_termination_that_waited_for_room_is_carried_out_when_the_last_worker_goes() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start seq-1
        0s turn seq-1: wait
        1s start seq-2
        2s terminate seq-1
        2s wait seq-1
        3s disconnect
        3s rows
    "
    ));
}

#[test]
fn a_termination_that_was_given_back_is_carried_out_when_the_last_worker_goes() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: wait
        1s terminate seq-1
        1s abandon seq-1
        1s disconnect
        2s wait seq-1
        3s rows
    "
    ));
}

#[test]
fn an_instance_whose_turns_were_set_aside_can_be_terminated() {
    let mut script = "0s worker\n0s start seq-1\n0s turn seq-1: wait\n0s raise seq-1 event\n".to_owned();
    for round in 1..=10 {
        script += &format!("{0}s disconnect\n{0}s worker\n", round * 100);
    }
    script += "1100s worker\n1100s wait seq-1\n1101s terminate seq-1\n1101s rows\n";
    assert_snapshot!(trace(&script));
}

#[test]
fn events_beyond_those_that_were_processed_come_first_in_the_next_turn() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s raise seq-1 a
        0s raise seq-1 b
        0s raise seq-1 c
        1s turn seq-1: wait
        1s raise seq-1 d
        1s turn seq-1: processed 2 | wait
        2s turn seq-1: processed 99 | wait
        2s history seq-1
        2s rows
    "
    ));
}

#[test]
fn the_custom_status_is_replaced_by_every_turn_and_cleared_by_one_without() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s state seq-1
        0s turn seq-1: status \"one\" | timer 1h
        0s state seq-1
        1s raise seq-1 event
        1s turn seq-1: wait
        1s state seq-1
    "
    ));
}

#[test]
fn a_generation_has_its_own_execution_and_history_and_keeps_what_came_meanwhile() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start loop-1
        0s turn loop-1: activity one | timer 1h
        1s raise loop-1 a
        1s raise loop-1 b
        2s turn loop-1: wait
        3s raise loop-1 c
        4s turn loop-1: activity last | timer 1h | new a b
        4s state loop-1
        4s rows
        5s done loop-1/one
        5s turn loop-1: status \"two\" | wait
        2h history loop-1
        2h state loop-1
        2h rows
    "
    ));
}

#[test]
fn timers_of_an_instance_that_ended_are_gone() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h | timer 2h | complete
        0s rows
        3h history seq-1
    "
    ));
}

#[test]
fn an_activity_of_the_last_turn_runs_and_nobody_hears_of_it() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity farewell | complete
        0s state seq-1
        0s rows
        1s crash
        2s worker
        3s done seq-1/farewell
        3s state seq-1
        3s rows
        4s history seq-1
    "
    ));
}

#[test]
fn a_history_has_the_layout_that_the_sdks_expect() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s done seq-1/one
        1s turn seq-1: timer 5s
        6s turn seq-1: complete
        7s history seq-1
    "
    ));
}

#[test]
fn what_was_kept_for_its_time_goes_unless_it_ended_another_time_or_the_clock_is_doubted() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start kept-1
        0s start open-1
        2s turn kept-1: fail
        3s expire open-1 ended 2s kept 1s
        3s expire nobody-1 ended 2s kept 1s
        3s expire kept-1 ended 1s kept 1s
        3s expire kept-1 ended 2s kept 10s
        11s rewind kept-1
        11s turn kept-1: rewound
        12s expire kept-1 ended 2s kept 10s
        12s turn kept-1: complete
        13s expire kept-1 ended 2s kept 10s
        14s clock-jumps 24h
        14s expire kept-1 ended 12s kept 10s
        14s clock-jumps -24h
        22s expire kept-1 ended 12s kept 10s
        23s state kept-1
        23s rows
    "
    ));
}

#[test]
fn what_has_yet_to_tell_its_parent_its_result_does_not_go_before_though_its_time_is_over() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1
        1s spill par-1
        2s hold-loads
        2s turn kid-1: complete
        9s expire kid-1 ended 2s kept 5s
        9s state kid-1
        9s answer-load
        10s expire kid-1 ended 2s kept 5s
        10s state kid-1
        11s turn par-1: complete
        12s rows
    "
    ));
}
