//! Reads beside commits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use placet_core::ids::{Iid, Seq};
use placet_core::rows::{Batch, InstanceRow};
use placet_core::time::Timestamp;

use super::samples::{inserts, instance, message};
use super::stage::Stage;

const STEPS: u32 = 200;

/// In every batch the instance's time and the number of its only message are the same.
pub(super) fn a_read_sees_a_batch_whole_or_not_at_all(stage: &mut Stage) {
    stage.commit(Batch { inbox_put: vec![message(1, 0)], ..inserts([at(0)]) });
    let (stage, done) = (&*stage, AtomicBool::new(false));
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let found = stage.instance(1);
                    let seqs: Vec<i64> = found.inbox.iter().map(|row| row.seq.0.cast_signed()).collect();
                    assert_eq!(seqs, [found.row.updated_at.0], "a batch was read in part");
                }
            })
        });
        for step in 1..=STEPS {
            stage.commit(Batch {
                instances_updated: vec![(at(step), false)],
                inbox_deleted: vec![(Iid(1), Seq(u64::from(step) - 1))],
                inbox_put: vec![message(1, step.into())],
                ..Batch::default()
            });
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().expect("the reader saw nothing wrong"));
    });
}

/// Before the next commit, by whichever connection happens to be used.
pub(super) fn what_was_committed_is_read_at_once(stage: &mut Stage) {
    stage.commit(inserts([at(0)]));
    for step in 1..=STEPS / 4 {
        stage.commit(Batch { instances_updated: vec![(at(step), false)], ..Batch::default() });
        assert_eq!(stage.instance(1).row, at(step));
    }
}

fn at(step: u32) -> InstanceRow {
    InstanceRow { updated_at: Timestamp(step.into()), ..instance(1, "h", "a") }
}
