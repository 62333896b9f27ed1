//! Record rows, in scripts.

use super::script::trace;

#[test]
fn of_two_who_make_a_record_at_once_one_succeeds_and_versions_rise_by_one() {
    insta::assert_snapshot!(trace("
        0s hold
        0s record a create one
        0s record a create two
        0s record a replace 1 three
        0s record a replace 1 four
        0s commit
        1s record a create five
        1s record a replace 2 six
        1s records
    "), @"
    0s reply to record a create one: version 1
    0s reply to record a create two: conflict: version 1
    0s reply to record a replace 1 three: version 2
    0s reply to record a replace 1 four: conflict: version 2
    1s reply to record a create five: conflict: version 2
    1s reply to record a replace 2 six: version 3
    records: a v3 six
    ");
}

#[test]
fn a_record_is_deleted_by_its_version_or_whichever_it_has_and_begins_anew() {
    insta::assert_snapshot!(trace("
        0s record a create one
        0s record a replace 1 two
        1s record a delete 1
        1s record a delete 2
        1s record a delete
        1s record a create again
        1s record a delete
        1s records
    "), @"
    0s reply to record a create one: version 1
    0s reply to record a replace 1 two: version 2
    1s reply to record a delete 1: conflict: version 2
    1s reply to record a delete 2: deleted
    1s reply to record a delete: conflict: it is absent
    1s reply to record a create again: version 1
    1s reply to record a delete: deleted
    records: none
    ");
}

#[test]
fn what_has_expired_counts_as_absent_at_once_and_is_deleted_before_long() {
    insta::assert_snapshot!(trace("
        0s record a create one until 10s
        0s record b create one until 10s
        0s record c create one until 10m
        0s record d create one
        9s record a create two
        10s record a replace 1 two
        10s record a create two until 10m
        11s records
        2m records
    "), @"
    0s reply to record a create one until 10s: version 1
    0s reply to record b create one until 10s: version 1
    0s reply to record c create one until 10m: version 1
    0s reply to record d create one: version 1
    9s reply to record a create two: conflict: version 1
    10s reply to record a replace 1 two: conflict: it is absent
    10s reply to record a create two until 10m: version 1
    records: a v1 two, b v1 one, c v1 one, d v1 one
    records: a v1 two, c v1 one, d v1 one
    ");
}

#[test]
fn what_a_failed_commit_held_is_decided_again_from_what_the_store_has() {
    insta::assert_snapshot!(trace("
        0s record a create one
        1s hold
        1s record a replace 1 two
        1s record a replace 2 three
        1s fail
        2s record a replace 1 four
        3s records
    "), @"
    0s reply to record a create one: version 1
    1s reply to record a replace 1 two: refused: the commit failed; whether the call was carried out is unknown
    1s reply to record a replace 2 three: refused: the commit failed; whether the call was carried out is unknown
    2s reply to record a replace 1 four: version 2
    records: a v2 four
    ");
}

#[test]
fn a_command_that_waits_for_its_record_to_be_read_survives_a_failed_commit_of_others() {
    insta::assert_snapshot!(trace("
        0s record a create one
        1s hold
        1s record k299 create of_the_same_partition
        1s hold-loads
        1s record a replace 1 two
        1s fail
        2s answer-load
        2s answer-load
        3s records
    "), @"
    0s reply to record a create one: version 1
    1s reply to record k299 create of_the_same_partition: refused: the commit failed; whether the call was carried out is unknown
    2s reply to record a replace 1 two: version 2
    records: a v2 two
    ");
}

#[test]
fn a_deleted_hub_takes_its_records_along_and_an_answer_from_before_brings_none_back() {
    insta::assert_snapshot!(trace("
        0s record a create one
        0s record b create one
        1s hold-loads
        1s record a replace 1 two
        1s delete-hub
        1s record b create two
        2s record a create three
        2s answer-load
        2s answer-load
        2s answer-load
        3s records
    "), @"
    0s reply to record a create one: version 1
    0s reply to record b create one: version 1
    1s reply to record a replace 1 two: refused: the commit failed; whether the call was carried out is unknown
    1s reply to delete-hub: done
    2s reply to record b create two: version 1
    2s reply to record a create three: version 1
    records: a v1 three, b v1 two
    ");
}

#[test]
fn a_record_that_cannot_be_read_is_refused_and_read_again_for_the_next_one() {
    insta::assert_snapshot!(trace("
        0s record a create one
        1s unreadable
        1s record a replace 1 two
        1s readable
        1s record a replace 1 two
        1s crash
        2s record a replace 2 three
        2s records
    "), @"
    0s reply to record a create one: version 1
    1s reply to record a replace 1 two: refused: the store did not answer: unreadable
    1s reply to record a replace 1 two: version 2
    1s crashed and restarted
    2s reply to record a replace 2 three: version 3
    records: a v3 three
    ");
}

#[test]
fn what_is_too_long_is_refused_by_name() {
    let long = "x".repeat(crate::limits::RECORD_BYTES_MAX + 1);
    let trace = trace(&format!("0s record a create {long}"));
    assert!(trace.ends_with("refused: body: 65537 bytes, 65536 at most\n"), "{}", &trace[trace.len() - 80..]);
}
