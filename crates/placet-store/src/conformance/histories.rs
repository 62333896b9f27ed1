//! Turns: appended, dropped, read in pages.

use placet_core::ids::{Iid, Turn};
use placet_core::rows::{Batch, HistoryRow};

use super::samples::{inserts, instance, turn};
use super::stage::Stage;

pub(super) fn turns_come_back_in_order_from_the_one_asked_for(stage: &mut Stage) {
    let turns = [0, 1, 2, 255, 256, 70_000, u32::MAX - 1].map(|number| turn(1, number));
    stage.commit(Batch { history_appended: turns[..3].to_vec(), ..inserts([instance(1, "h", "a")]) });
    stage.commit(Batch { history_appended: turns[3..].to_vec(), ..Batch::default() });
    assert_eq!(stage.history(1, 0, usize::MAX), turns);
    assert_eq!(stage.history(1, 2, usize::MAX), turns[2..]);
    assert_eq!(stage.history(1, 3, usize::MAX), turns[3..]);
    assert_eq!(stage.history(1, u32::MAX, usize::MAX), []);
    assert_eq!(stage.history(2, 0, usize::MAX), []);
}

pub(super) fn a_page_of_history_takes_what_fits_and_at_least_one_turn(stage: &mut Stage) {
    let sizes = [10_usize, 20, 0, 30, 5];
    let rows = (0..).zip(sizes).map(|(number, size)| HistoryRow { events: vec![1; size].into(), ..turn(1, number) });
    stage.commit(Batch { history_appended: rows.collect(), ..inserts([instance(1, "h", "a")]) });
    let pages = [
        ((0, 0), vec![0]),
        ((0, 9), vec![0]),
        ((0, 29), vec![0]),
        ((0, 30), vec![0, 1, 2]),
        ((0, 59), vec![0, 1, 2]),
        ((0, 60), vec![0, 1, 2, 3]),
        ((0, 65), vec![0, 1, 2, 3, 4]),
        ((2, 0), vec![2]),
        ((2, 29), vec![2]),
        ((3, 1), vec![3]),
        ((4, 1_000), vec![4]),
        ((5, 1_000), vec![]),
    ];
    for ((from, bytes_max), expected) in pages {
        assert_eq!(stage.turns(1, from, bytes_max), expected, "from {from}, at most {bytes_max} bytes");
    }
}

pub(super) fn dropping_history_keeps_the_turns_from_that_one_on(stage: &mut Stage) {
    let turns = |iid| (0..5).map(move |number| turn(iid, number));
    stage.commit(Batch {
        history_appended: turns(1).chain(turns(2)).collect(),
        ..inserts([instance(1, "h", "a"), instance(2, "h", "b")])
    });
    let next = Batch { history_appended: vec![turn(1, 5)], ..Batch::default() };
    stage.commit(Batch { history_dropped: vec![(Iid(1), Turn(3))], ..next });
    assert_eq!(stage.turns(1, 0, usize::MAX), [3, 4, 5]);
    assert_eq!(stage.turns(2, 0, usize::MAX), [0, 1, 2, 3, 4]);
    let next = Batch { history_appended: vec![turn(1, 6)], ..Batch::default() };
    stage.commit(Batch { history_dropped: vec![(Iid(1), Turn(6))], ..next });
    assert_eq!(stage.turns(1, 0, usize::MAX), [6]);
}

pub(super) fn turns_of_one_instance_are_not_those_of_another(stage: &mut Stage) {
    let rows = [turn(1, 9), turn(2, 0), turn(2, 1), turn(3, 0)];
    stage.commit(Batch {
        history_appended: rows.to_vec(),
        ..inserts([instance(1, "h", "a"), instance(2, "h", "b"), instance(3, "h", "c")])
    });
    assert_eq!(stage.history(1, 0, usize::MAX), rows[..1]);
    assert_eq!(stage.history(2, 0, usize::MAX), rows[1..3]);
    assert_eq!(stage.history(3, 0, usize::MAX), rows[3..]);
}
