//! One transaction: what is in it, in which order it is applied, and that it is all or nothing.

use placet_core::ids::{Hub, Iid};
use placet_core::rows::{Batch, InstanceRow, LoadedInstance};
use placet_core::time::Timestamp;

use super::samples::{activity, furnished, inserts, instance, message, parked, published, reply, timer, turn};
use super::stage::Stage;
use crate::dump::Dump;
use crate::{Overview, Remedy};

pub(super) fn every_row_of_a_batch_comes_back_as_it_was(stage: &mut Stage) {
    let mut batch = furnished(7, "h", "a");
    batch.hubs_created = vec![Hub::new("made")];
    stage.commit(batch.clone());
    let expected = Dump {
        hubs: vec![Hub::new("h"), Hub::new("made")],
        overviews: vec![stage.overview("h"), Overview::default()],
        instances: vec![LoadedInstance {
            row: instance(7, "h", "a"),
            inbox: batch.inbox_put.clone(),
            activities: batch.activities_put.clone(),
            replies: batch.replies_put.clone(),
        }],
        history: batch.history_appended.clone(),
        timers: batch.timers_put.clone(),
        published: batch.published.clone(),
        listed: Vec::new(),
        entries: Vec::new(),
        records: batch.records_put.clone(),
    };
    assert_eq!(stage.dump(&batch), expected);
    assert_eq!(stage.overview("h").total(), 1);
}

pub(super) fn an_empty_batch_changes_nothing(stage: &mut Stage) {
    let batch = furnished(7, "h", "a");
    stage.commit(batch.clone());
    let before = stage.dump(&batch);
    stage.commit(Batch::default());
    assert_eq!(stage.dump(&batch), before);
}

pub(super) fn an_id_may_be_deleted_and_inserted_in_one_batch(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    let again = Batch { instances_deleted: vec![Iid(1)], ..furnished(2, "h", "a") };
    stage.commit(again);
    assert_eq!(stage.by_name("h", "a").map(|found| found.row), Some(instance(2, "h", "a")));
    assert_eq!(stage.by_iid(1), None);
    assert_eq!((stage.turns(1, 0, usize::MAX), stage.turns(2, 0, usize::MAX)), (vec![], vec![0, 1]));
}

pub(super) fn a_batch_whose_last_row_is_refused_writes_nothing(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    let mut batch = furnished(2, "other", "b");
    batch.instances_updated = vec![(parked(1, "h", "a"), true)];
    batch.hubs_created = vec![Hub::new("made")];
    batch.inbox_deleted = vec![(Iid(1), message(1, 1).seq)];
    batch.published.push(published("h", "requests", "a", None));
    batch.instances_inserted.push(instance(3, "h", "a"));
    let error = stage.refused(batch.clone());
    assert_eq!(error.remedy(), Remedy::Reload);
    stage.reopen();
    assert_eq!(stage.by_iid(2), None);
    assert_eq!(stage.by_name("h", "a").map(|found| found.row.iid), Some(Iid(1)));
    assert_eq!(stage.hubs(), ["h"]);
}

pub(super) fn a_batch_that_changes_an_absent_instance_is_refused(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    for indexed in [false, true] {
        let mut batch = furnished(2, "h", "b");
        batch.instances_updated = vec![(instance(9, "h", "z"), indexed)];
        stage.refused(batch);
        // Nor is one that was created at another time.
        let mut batch = furnished(2, "h", "b");
        let another = InstanceRow { created_at: Timestamp(-1), ..instance(1, "h", "a") };
        batch.instances_updated = vec![(another, indexed)];
        stage.refused(batch);
    }
}

pub(super) fn a_batch_with_a_turn_or_a_message_that_is_there_is_refused(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    let mut batch = furnished(2, "h", "b");
    batch.history_appended.push(turn(1, 1));
    stage.refused(batch);
    let mut batch = furnished(2, "h", "b");
    batch.inbox_put.push(message(1, 2));
    stage.refused(batch);
}

/// What the refused batch named for the first time (a hub, above all) is new again for the next one.
pub(super) fn the_store_goes_on_after_a_refused_batch(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a")]));
    let mut batch = furnished(2, "new", "b");
    batch.instances_inserted.push(instance(3, "h", "a"));
    stage.refused(batch);
    let batch = furnished(2, "new", "b");
    stage.commit(batch.clone());
    stage.commit(inserts([instance(4, "third", "a")]));
    stage.reopen();
    assert_eq!(stage.by_name("new", "b").map(|found| found.row), Some(instance(2, "new", "b")));
    assert_eq!(stage.by_name("third", "a").map(|found| found.row.iid), Some(Iid(4)));
    assert_eq!(stage.published("new", "requests", "b").as_deref(), Some(&b"published"[..]));
    assert_eq!(stage.hubs(), ["h", "new", "third"]);
}

pub(super) fn of_two_writes_of_one_row_the_later_one_holds(stage: &mut Stage) {
    let owner = instance(1, "h", "a");
    let mut later = activity(1, 1);
    later.data = "later".into();
    stage.commit(Batch {
        activities_put: vec![activity(1, 1), later.clone()],
        timers_put: vec![timer(5, 1, &owner), timer(5, 1, &owner)],
        replies_put: vec![reply(1, "ask", Some("no")), reply(1, "ask", None), reply(1, "ask", Some("yes"))],
        published: vec![
            published("h", "k", "1", Some("old")),
            published("h", "k", "1", Some("new")),
            published("h", "k", "2", Some("old")),
            published("h", "k", "2", None),
            published("h", "k", "3", None),
            published("h", "k", "3", Some("new")),
        ],
        ..inserts([owner])
    });
    let found = stage.instance(1);
    assert_eq!(found.activities, [later]);
    assert_eq!(found.replies, [reply(1, "ask", Some("yes"))]);
    assert_eq!(stage.due(None, i64::MAX, 10).len(), 1);
    let bodies = ["1", "2", "3"].map(|key| stage.published("h", "k", key));
    assert_eq!(bodies, [Some(b"new".to_vec()), None, Some(b"new".to_vec())]);
}
