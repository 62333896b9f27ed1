//! How far the columns reach. What is beyond these the core never makes: its numbers count up from zero.

use placet_core::ids::{Iid, Seq, Turn};
use placet_core::rows::{Batch, HistoryRow, InstanceRow, TimerRow};
use placet_core::time::Timestamp;

use super::samples::{activity, inserts, instance, message, published, reply, timer};
use super::stage::Stage;

/// 63 bits: what an engine without unsigned integers has.
const LARGEST: u64 = i64::MAX as u64;

pub(super) fn numbers_and_times_may_be_as_large_as_they_come(stage: &mut Stage) {
    let row = InstanceRow {
        iid: Iid(LARGEST),
        created_at: Timestamp(i64::MIN),
        updated_at: Timestamp(i64::MAX),
        completed_at: Some(Timestamp(-1)),
        ..instance(1, "h", "a")
    };
    let turn = HistoryRow { iid: row.iid, turn: Turn(u32::MAX), count: u32::MAX, events: "events".into() };
    let timers: Vec<TimerRow> = [i64::MIN, 0, i64::MAX].map(|at| timer(at, LARGEST, &row)).to_vec();
    stage.commit(Batch {
        history_appended: vec![turn.clone()],
        inbox_put: vec![message(LARGEST, LARGEST)],
        activities_put: vec![activity(LARGEST, LARGEST)],
        timers_put: timers.clone(),
        ..inserts([row.clone()])
    });
    stage.reopen();
    let found = stage.instance(LARGEST);
    assert_eq!(found.row, row);
    assert_eq!((found.inbox[0].seq, found.activities[0].seq), (Seq(LARGEST), Seq(LARGEST)));
    assert_eq!(stage.history(LARGEST, u32::MAX, 0), [turn]);
    assert_eq!(stage.due(None, i64::MAX, 10), timers);
    assert_eq!(stage.recover(Some(LARGEST - 1), 10).instances, [found]);
    assert_eq!(stage.recover(Some(LARGEST), 10).instances, []);
    assert_eq!(stage.store().claim().expect("the store is claimed").iid_max, Iid(LARGEST));
    stage.commit(Batch {
        inbox_deleted: vec![(Iid(LARGEST), Seq(LARGEST))],
        activities_deleted: vec![(Iid(LARGEST), Seq(LARGEST))],
        timers_deleted: timers,
        history_dropped: vec![(Iid(LARGEST), Turn(u32::MAX))],
        ..Batch::default()
    });
    let found = stage.instance(LARGEST);
    assert_eq!((found.inbox, found.activities, stage.due(None, i64::MAX, 10)), (vec![], vec![], vec![]));
    assert_eq!(stage.turns(LARGEST, 0, usize::MAX), [u32::MAX]);
}

pub(super) fn a_name_may_be_of_a_thousand_characters(stage: &mut Stage) {
    let long = "ü".repeat(1_000);
    let row = InstanceRow { name: long.as_str().into(), ..instance(1, &long, &long) };
    stage.commit(Batch {
        replies_put: vec![reply(1, &long, Some(&long))],
        published: vec![published(&long, &long, &long, Some("x"))],
        ..inserts([row.clone()])
    });
    stage.reopen();
    let found = stage.by_name(&long, &long).expect("it is there");
    assert_eq!((found.row, found.replies), (row, vec![reply(1, &long, Some(&long))]));
    assert!(stage.published(&long, &long, &long).is_some());
}

pub(super) fn a_batch_may_have_ten_thousand_rows(stage: &mut Stage) {
    const ROWS: u64 = 10_000;
    let owner = instance(1, "h", "a");
    stage.commit(Batch {
        inbox_put: (0..ROWS).map(|seq| message(1, seq)).collect(),
        timers_put: (0..ROWS).map(|seq| timer(5, seq, &owner)).collect(),
        ..inserts([owner.clone()])
    });
    stage.reopen();
    let found = stage.instance(1);
    assert_eq!(found.inbox, (0..ROWS).map(|seq| message(1, seq)).collect::<Vec<_>>());
    assert_eq!(stage.due(None, 5, usize::MAX).len(), 10_000);
    stage.commit(Batch { inbox_deleted: (1..ROWS).map(|seq| (Iid(1), Seq(seq))).collect(), ..Batch::default() });
    assert_eq!(stage.instance(1).inbox, [message(1, 0)]);
}
