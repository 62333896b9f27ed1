//! Timers, found by the time at which they are due.

use placet_core::ids::PartitionId;
use placet_core::rows::{Batch, TimerRow};
use placet_core::time::Timestamp;

use super::samples::{inserts, instance, parked, timer};
use super::stage::Stage;

/// In the order in which they are due.
fn rows() -> Vec<TimerRow> {
    let (a, b) = (instance(1, "h", "a"), instance(2, "h", "b"));
    vec![
        timer(-5, 9, &b),
        timer(0, 1, &a),
        timer(10, 2, &a),
        timer(10, 3, &a),
        timer(10, 1, &b),
        timer(11, 4, &a),
        timer(i64::MAX, 5, &a),
    ]
}

fn furnish(stage: &Stage) -> Vec<TimerRow> {
    let mut shuffled = rows();
    shuffled.rotate_left(3);
    stage.commit(Batch { timers_put: shuffled, ..inserts([parked(1, "h", "a"), parked(2, "h", "b")]) });
    rows()
}

pub(super) fn timers_are_due_until_the_time_asked_for_in_order(stage: &mut Stage) {
    let rows = furnish(stage);
    for (until, count) in [(i64::MIN, 0), (-6, 0), (-5, 1), (9, 2), (10, 5), (11, 6), (i64::MAX - 1, 6), (i64::MAX, 7)]
    {
        assert_eq!(stage.due(None, until, 100), rows[..count], "until {until}");
    }
}

pub(super) fn timers_come_in_pages(stage: &mut Stage) {
    let rows = furnish(stage);
    for limit in 1..=8 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = stage.due(after, 11, limit);
            assert!(page.len() <= limit, "a page of {} where {limit} were asked for", page.len());
            let Some(last) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
        }
        assert_eq!(found, rows[..6], "in pages of {limit}");
    }
    // The cursor is a place, not a row: it need not be there.
    let between = TimerRow { fire_at: Timestamp(10), ..rows[0] };
    assert_eq!(stage.due(Some(between), 11, 10), rows[5..6]);
}

/// A short page means that there are no more: the limit counts what is answered, not what is looked at.
pub(super) fn timers_are_for_the_partitions_asked_for(stage: &mut Stage) {
    let rows = furnish(stage);
    let wanted = instance(2, "h", "b").key().partition();
    let due = |partitions: &dyn Fn(PartitionId) -> bool, limit| {
        stage.store().due(partitions, None, Timestamp(100), limit).expect("the store can be read")
    };
    assert_eq!(due(&|partition| partition == wanted, 2), [rows[0], rows[4]]);
    assert_eq!(due(&|partition| partition == wanted, 1), [rows[0]]);
    assert_eq!(due(&|_| false, 10), []);
}

pub(super) fn deleted_timers_are_never_due(stage: &mut Stage) {
    let rows = furnish(stage);
    let new = timer(10, 7, &instance(1, "h", "a"));
    let deleted = vec![rows[2], rows[4], rows[6], timer(10, 99, &instance(1, "h", "a"))];
    stage.commit(Batch { timers_deleted: deleted, timers_put: vec![new], ..Batch::default() });
    stage.reopen();
    assert_eq!(stage.due(None, i64::MAX, 100), [rows[0], rows[1], rows[3], new, rows[5]]);
}
