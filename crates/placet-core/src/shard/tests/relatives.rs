//! Parents and children, and what else instances tell each other (PROTOCOL.md §6.5, §6.6).

use insta::assert_snapshot;

use super::script::trace;

#[test]
fn a_child_is_started_and_its_parent_told_how_it_ended() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1 | child kid-2
        1s turn kid-1: complete
        2s turn par-1: wait
        3s turn kid-2: fail
        3s turn par-1: complete
        4s history par-1
        4s history kid-1
        4s rows
    "
    ));
}

#[test]
fn a_child_that_has_ended_is_replaced_and_one_that_has_not_is_not() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1 | child kid-1
        1s turn par-1: wait
        2s turn kid-1: fail
        2s turn par-1: child kid-1
        3s turn kid-1: complete
        3s turn par-1: complete
        4s history par-1
        4s rows
    "
    ));
}

#[test]
fn what_becomes_of_orphans_concerns_nobody() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1 | child kid-2 | child-alone kid-3 | timer 1h
        1s turn kid-3: complete
        1s raise par-1 go
        1s turn par-1: new
        2s turn kid-1: complete
        2s turn par-1: complete
        3s turn kid-2: fail
        3s start par-1
        4s turn par-1: wait
        4s rows
    "
    ));
}

#[test]
fn a_termination_goes_down_to_the_children_if_it_says_so() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1 | child kid-2
        0s turn kid-1: child kidkid-1
        0s turn kid-2: wait
        1s terminate par-1
        1s turn par-1: terminated
        1s state kid-1
        2s start par-2
        2s turn par-2: child kid-3
        2s turn kid-3: child kidkid-2
        3s disconnect
        3s terminate-all par-2
        3s state par-2
        3s state kid-3
        3s state kidkid-2
        3s state kidkid-1
    "
    ));
}

#[test]
fn an_approval_that_nobody_waits_for_any_more_is_ended_too_and_by_its_own_worker() {
    assert_snapshot!(trace(
        "
        0s worker
        0s built-in-worker
        0s start par-1
        0s turn par-1: child kid-1 | child placet.ask-1
        0s turn kid-1: wait
        0s turn placet.ask-1: wait
        1s terminate par-1
        1s turn par-1: terminated
        1s state kid-1
        2s disconnect
        3s state placet.ask-1
        4s built-in-worker
        4s turn placet.ask-1: terminated
        4s state placet.ask-1
    "
    ));
}

#[test]
fn an_approval_whose_parent_has_merely_ended_is_told_so() {
    assert_snapshot!(trace(
        r#"
        0s worker
        0s built-in-worker
        0s start par-"1\
        0s turn par-"1\: child kid-1 | child placet.ask-1
        0s turn kid-1: wait
        0s turn placet.ask-1: wait
        1s raise par-"1\ enough
        1s turn par-"1\: complete
        1s turn placet.ask-1: wait
        1s history placet.ask-1
        1s state kid-1
    "#
    ));
}

#[test]
fn orchestrations_send_each_other_events_and_end_each_other() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start one-1
        0s turn one-1: wait
        0s start two-1
        1s turn two-1: send one-1 hello | send two-1 self | send nobody-1 hello | wait
        2s turn one-1: send two-1 late | complete
        2s turn two-1: kill one-1 | send one-1 gone
        3s turn two-1: kill two-1
        4s turn two-1: terminated
        4s history two-1
        4s rows
    "
    ));
}

#[test]
fn what_is_told_is_found_again_after_a_crash_and_never_told_twice() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start one-1
        0s turn one-1: timer 1h
        0s spill one-1
        0s start par-1
        1s hold-loads
        1s turn par-1: child kid-1 | send one-1 hello
        2s crash
        2s worker
        2s rows
        3s answer-load
        3s answer-load
        4s answer-load
        4s answer-load
        4s turn kid-1: complete
        4s rows
    "
    ));
}

#[test]
fn a_sender_whose_turn_came_to_nothing_has_told_nobody() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s hold-loads
        1s hold
        1s turn par-1: child kid-1
        1s fail
        1s answer-load
        2s turn par-1: wait
        3s rows
        4s state kid-1
    "
    ));
}

#[test]
fn what_comes_while_an_instance_is_suspended_waits_until_it_goes_on() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one | timer 5s
        1s suspend seq-1
        1s suspend seq-1
        1s turn seq-1: wait
        1s state seq-1
        2s done seq-1/one
        3s raise seq-1 go
        6s rows
        7s crash
        7s worker
        8s resume seq-1
        8s resume seq-1
        8s turn seq-1: wait
        9s state seq-1
        10s suspend seq-1
        10s turn seq-1: wait
        11s terminate seq-1
        11s turn seq-1: terminated
        12s suspend seq-1
        12s suspend nobody-1
        12s history seq-1
    "
    ));
}

#[test]
fn an_instance_continues_as_new_while_it_is_told_to_rest() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        1s suspend seq-1
        1s turn seq-1: new
        2s turn seq-1: wait
        3s state seq-1
        4s resume seq-1
        4s turn seq-1: complete
    "
    ));
}

#[test]
fn what_has_ended_is_purged_once_all_that_it_has_to_tell_is_told() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1
        1s purge par-1
        1s purge nobody-1
        1s spill par-1
        2s hold-loads
        2s turn kid-1: complete
        2s purge kid-1
        2s purge kid-1
        2s state kid-1
        3s answer-load
        4s state kid-1
        4s turn par-1: complete
        5s purge par-1
        6s rows
    "
    ));
}

#[test]
fn an_instance_is_ended_though_a_worker_has_its_turn() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        1s end seq-1
        1s end seq-1
        1s turn seq-1: complete
        2s start par-1
        2s turn par-1: child kid-1 | timer 1h
        2s end kid-1
        2s turn par-1: complete
        3s history kid-1
        3s rows
    "
    ));
}

#[test]
fn what_failed_is_tried_again_with_what_it_still_waits_for() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s rewind seq-1
        0s rewind nobody-1
        0s turn seq-1: activity good | activity slow | activity bad | timer 1h
        1s done seq-1/good
        1s turn seq-1: wait
        1s failed seq-1/bad
        1s turn seq-1: fail
        2s rewind seq-1
        2s rewind seq-1
        2s raise seq-1 meanwhile
        2s state seq-1
        3s turn seq-1: rewound
        3s turn seq-1: activity bad
        4s done seq-1/bad
        4s turn seq-1: wait
        5s done seq-1/slow
        5s turn seq-1: wait
        1h turn seq-1: complete
        2h history seq-1
        2h rows
        2h state seq-1
    "
    ));
}

#[test]
fn children_that_failed_are_rewound_with_their_parent_and_those_that_are_gone_begin_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1 | child kid-2 | child kid-3
        1s turn kid-1: activity bad
        1s failed kid-1/bad
        1s turn kid-1: fail
        1s turn kid-2: fail
        1s turn par-1: wait
        1s turn par-1: fail
        1s turn kid-3: complete
        2s purge kid-2
        3s rewind par-1
        3s turn par-1: rewound
        4s turn par-1: wait
        4s turn kid-1: rewound
        5s turn kid-1: activity bad
        5s done kid-1/bad
        5s turn kid-1: complete
        5s turn par-1: wait
        6s turn kid-2: complete
        6s turn par-1: wait
        7s turn kid-3: complete
        7s turn par-1: complete
        8s history par-1
        8s history kid-1
        8s rows
    "
    ));
}

#[test]
fn what_an_instance_has_to_tell_needs_no_worker_when_memory_is_full() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child kid-1
        1s spill par-1
        2s hold-loads
        2s turn kid-1: complete
        2s room 1
        2s tick
        2s answer-load
        3s turn par-1: complete
        4s rows
    "
    ));
}

#[test]
fn a_child_that_nobody_waits_for_is_left_alone_when_its_parent_is_rewound() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start par-1
        0s turn par-1: child-alone kid-1 | activity bad
        0s turn kid-1: complete
        1s failed par-1/bad
        1s turn par-1: fail
        2s rewind par-1
        2s turn par-1: rewound
        2s turn par-1: activity bad
        3s done par-1/bad
        3s turn par-1: complete
        4s rows
    "
    ));
}
