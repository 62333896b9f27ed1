//! What the simulator found, each as the shortest script that shows it (crates/placet-sim/HISTORY.md has the seeds).

use insta::assert_snapshot;

use super::script::trace;

#[test]
fn a_reply_that_comes_a_turn_after_the_question_was_taken_changes_no_answer() {
    assert_snapshot!(trace(
        "
        0s sticky-worker
        0s start late-1
        0s turn late-1: wait
        1s ask late-1 question#a1
        1s turn late-1: take a1 | activity one
        2s done late-1/one
        2s turn late-1: reply a1=late
        3s ask late-1 question#a1
    "
    ));
}

#[test]
fn a_question_left_open_is_answered_when_code_that_does_not_know_of_asks_takes_over() {
    assert_snapshot!(trace(
        "
        0s sticky-worker
        0s start expense-1
        0s turn expense-1: wait
        1s ask expense-1 decide#a1
        1s turn expense-1: wait
        2s disconnect
        2s worker
        3s raise expense-1 other
        3s turn expense-1: timer 24h
        4s ask expense-1 decide#a1
    "
    ));
}

#[test]
fn a_termination_in_the_turn_that_continues_as_new_ends_the_next_generation() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start loop-1
        0s raise loop-1 event
        0s terminate loop-1
        1s turn loop-1: wait
        1s turn loop-1: new
        1s turn loop-1: terminated
        1s rows
    "
    ));
}

#[test]
fn a_completion_for_a_life_whose_deletion_is_not_durable_yet_brings_nothing_back() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s hold
        1s start seq-1 over RUNNING,TERMINATED
        1s done seq-1/one
        2s commit
        3s turn seq-1: complete
        3s rows
    "
    ));
}

#[test]
fn a_timer_of_a_hub_whose_deletion_is_not_durable_yet_brings_nothing_back() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        59m hold
        59m delete-hub
        60.1m tick
        61m commit
        61m rows
    "
    ));
}

#[test]
fn an_activity_whose_completion_could_not_be_taken_is_given_out_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one | activity two
        1s hold
        1s done seq-1/one
        1s unreadable
        1s fail
        1s done seq-1/two
        2s readable
        9s done seq-1/one
        9s done seq-1/two
        9s rows
    "
    ));
}

#[test]
fn a_key_that_was_given_again_to_an_instance_of_another_partition_is_not_mistaken_for_the_old_one() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s delete-hub
        2s crash
        2s worker
        2s start other-1
        3s done seq-1/one
        4s turn other-1: complete
        4s rows
    "
    ));
}

#[test]
fn an_item_that_fails_its_workers_comes_no_sooner_and_counts_as_before_though_there_is_no_room_for_its_instance() {
    assert_snapshot!(trace(
        "
        0s room 1
        0s worker
        0s start seq-1
        0s disconnect
        1s worker
        1s disconnect
        1s unreadable
        1.1s raise seq-1 event
        1.1s worker
        1.5s readable
        3s disconnect
        3s worker
        5s rows
    "
    ));
}

#[test]
fn an_item_whose_setting_aside_is_not_written_is_not_given_as_many_chances_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        1s disconnect
        1s worker
        2s disconnect
        2s worker
        3s disconnect
        3s worker
        5s disconnect
        5s worker
        8s disconnect
        8s worker
        15s disconnect
        15s worker
        30s disconnect
        30s worker
        60s disconnect
        60s worker
        100s disconnect
        100s worker
        150s hold
        150s disconnect
        150s worker
        151s fail
        152s disconnect
        153s worker
        200s rows
        200s disconnect
        200s worker
        300s rows
    "
    ));
}

#[test]
fn a_worker_whose_turn_waits_for_a_history_that_is_deleted_meanwhile_has_room_again() {
    assert_snapshot!(trace(
        "
        0s worker-of-one
        0s start seq-1
        0s turn seq-1: wait
        1s crash
        1s hold
        1s raise seq-1 event
        1s worker-of-one
        2s delete-hub
        3s commit
        5s start seq-2
    "
    ));
}

#[test]
fn an_activity_that_comes_due_while_its_instance_is_out_of_memory_counts_as_often_as_it_failed() {
    let fails = |round: usize| format!("{0}s worker\n{0}s tick\n{1}s disconnect\n", 100 * round, 100 * round + 90);
    let begin = "0s worker\n0s start a-1\n0s turn a-1: activity one\n1s disconnect\n";
    // Its worker is gone and might still bring it when its instance leaves memory, and cannot be read when that is over.
    let away = "2s unreadable\n2s spill a-1\n3s worker\n40s tick\n41s readable\n90s disconnect\n";
    let script = (1..12).fold(format!("{begin}{away}"), |script, round| script + &fails(round));
    let trace = trace(&script);
    assert_eq!(trace.matches("gets activity a-1/one").count(), 10, "{trace}");
}

#[test]
fn the_result_of_an_activity_that_was_set_aside_is_taken_if_it_comes_after_all() {
    let fails = (1..=10).fold(String::new(), |script, round| {
        script + &format!("{0}s worker\n{0}s tick\n{1}s disconnect\n", 100 * round, 100 * round + 90)
    });
    let begin = "0s worker\n0s start a-1\n0s turn a-1: activity one\n1s disconnect\n";
    let trace = trace(&format!("{begin}{fails}2000s done a-1/one\n2001s worker\n2002s turn a-1: complete"));
    assert_eq!(trace.matches("gets activity a-1/one").count(), 10, "{trace}");
    assert!(
        trace.contains("reply to turn a-1: done\n2001s") || trace.ends_with("reply to turn a-1: done\n"),
        "{trace}"
    );
}
