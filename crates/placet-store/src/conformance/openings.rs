//! Taking a store into use, and what it remembers while nobody has it open.

use placet_core::ids::Iid;
use placet_core::rows::Batch;
use placet_core::time::Timestamp;

use super::samples::{furnished, inserts, instance};
use super::stage::Stage;
use crate::dump::Dump;

pub(super) fn a_new_store_is_empty(stage: &mut Stage) {
    let claim = stage.store().claim().expect("the store is claimed");
    assert_eq!((claim.incarnation, claim.iid_max, claim.newest), (1, Iid(0), Timestamp(0)));
    assert_eq!(stage.dump(&Batch::default()), Dump::default());
    assert_eq!(stage.recover(None, 10).next, None);
}

pub(super) fn every_claim_counts_the_incarnation_and_no_reopening_forgets_it(stage: &mut Stage) {
    for expected in 1..=3 {
        assert_eq!(stage.store().claim().expect("the store is claimed").incarnation, expected);
        stage.reopen();
    }
    assert_eq!(stage.store().claim().expect("the store is claimed").incarnation, 4);
    assert_eq!(stage.store().claim().expect("the store is claimed").incarnation, 5);
}

pub(super) fn a_claim_knows_the_highest_key_that_is_still_there(stage: &mut Stage) {
    stage.commit(inserts([instance(3, "h", "a"), instance(40, "h", "b"), instance(9, "g", "c")]));
    assert_eq!(stage.store().claim().expect("the store is claimed").iid_max, Iid(40));
    stage.commit(Batch { instances_deleted: vec![Iid(40)], ..Batch::default() });
    stage.reopen();
    assert_eq!(stage.store().claim().expect("the store is claimed").iid_max, Iid(9));
}

/// A store need not write it with every batch, and must never give back a later time than was committed.
pub(super) fn a_claim_knows_the_newest_time_to_a_second(stage: &mut Stage) {
    const SECOND: i64 = 1_000_000;
    let begin = 1_700_000_000 * SECOND;
    let steps = [0, SECOND / 2, SECOND * 2, SECOND * 5 / 2, SECOND, SECOND * 9 / 4];
    let mut newest = 0;
    for step in steps {
        newest = newest.max(begin + step);
        stage.commit(Batch { newest: Timestamp(begin + step), ..Batch::default() });
        stage.reopen();
        let known = stage.store().claim().expect("the store is claimed").newest.0;
        assert!((newest - SECOND..=newest).contains(&known), "{known} is known, {newest} was committed");
    }
}

pub(super) fn what_was_committed_is_there_after_reopening(stage: &mut Stage) {
    let batch = furnished(1, "h", "a");
    stage.commit(batch.clone());
    let before = stage.dump(&batch);
    stage.reopen();
    assert_eq!(stage.dump(&batch), before);
    assert_eq!(before.instances.len(), 1);
}
