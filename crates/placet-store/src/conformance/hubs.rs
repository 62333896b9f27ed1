//! Task hubs are walls (P8), and what is published stands in one of them.

use placet_core::ids::Hub;
use placet_core::rows::Batch;

use super::samples::{furnished, inserts, instance, parked, published};
use super::stage::Stage;

pub(super) fn a_hub_exists_once_made_or_used(stage: &mut Stage) {
    stage.commit(Batch { hubs_created: vec![Hub::new("Made")], ..Batch::default() });
    stage.commit(inserts([instance(1, "used", "a")]));
    stage.commit(Batch { published: vec![published("told", "k", "1", Some("x"))], ..Batch::default() });
    stage.commit(Batch { hubs_created: vec![Hub::new("made"), Hub::new("used")], ..Batch::default() });
    stage.reopen();
    assert_eq!(stage.hubs(), ["made", "told", "used"]);
}

pub(super) fn hubs_come_in_the_order_of_their_names(stage: &mut Stage) {
    let names = ["b", "é", "a-b", "a.b", "z", "10", "9", "a"];
    stage.commit(Batch { hubs_created: names.map(Hub::new).to_vec(), ..Batch::default() });
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(stage.hubs(), sorted);
}

pub(super) fn a_deleted_hub_takes_all_that_is_in_it_and_nothing_else(stage: &mut Stage) {
    stage.commit(furnished(1, "gone", "a"));
    stage.commit(furnished(2, "gone", "b"));
    let kept = furnished(3, "kept", "a");
    stage.commit(kept.clone());
    stage.commit(Batch { hubs_deleted: vec![Hub::new("gone"), Hub::new("never made")], ..Batch::default() });
    stage.reopen();
    let mut names = kept.clone();
    names.published.extend([published("gone", "requests", "a", None), published("gone", "requests", "b", None)]);
    let dump = stage.dump(&names);
    assert_eq!(dump.hubs, [Hub::new("kept")]);
    assert_eq!(dump.instances, [stage.instance(3)]);
    assert_eq!((dump.history, dump.timers, dump.published), (kept.history_appended, kept.timers_put, kept.published));
    assert_eq!(dump.instances[0].inbox, kept.inbox_put);
    // What stayed behind under the same key would come to light here.
    stage.commit(inserts([parked(1, "gone", "a")]));
    let again = stage.instance(1);
    assert_eq!((again.inbox, again.activities, again.replies), (vec![], vec![], vec![]));
    assert_eq!(stage.hubs(), ["gone", "kept"]);
}

pub(super) fn a_hub_may_be_deleted_and_made_again_in_one_batch(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    let mut batch = furnished(2, "h", "a");
    batch.hubs_deleted = vec![Hub::new("h")];
    batch.published = vec![published("h", "requests", "b", Some("new"))];
    stage.commit(batch);
    assert_eq!(stage.by_name("h", "a").map(|found| found.row), Some(instance(2, "h", "a")));
    assert_eq!(stage.by_iid(1), None);
    assert_eq!(stage.published("h", "requests", "a"), None);
    assert_eq!(stage.published("h", "requests", "b").as_deref(), Some(&b"new"[..]));
    let empty = Batch { hubs_deleted: vec![Hub::new("h")], hubs_created: vec![Hub::new("h")], ..Batch::default() };
    stage.commit(empty);
    assert_eq!((stage.hubs(), stage.by_iid(2)), (vec!["h".to_owned()], None));
}

pub(super) fn published_rows_are_inserted_replaced_and_deleted(stage: &mut Stage) {
    let steps = [Some("first"), Some("second"), Some(""), None, None, Some("third")];
    for body in steps {
        stage.commit(Batch { published: vec![published("h", "k", "1", body)], ..Batch::default() });
        assert_eq!(stage.published("h", "k", "1"), body.map(|body| body.as_bytes().to_vec()));
    }
    stage.reopen();
    assert_eq!(stage.published("h", "k", "1").as_deref(), Some(&b"third"[..]));
}

pub(super) fn published_rows_are_told_apart_by_hub_projection_and_key(stage: &mut Stage) {
    let names = [("h", "k", "1"), ("h", "k", "2"), ("h", "l", "1"), ("g", "k", "1"), ("h", "K", "1"), ("h", "k", "")];
    let bodies = ["a", "b", "c", "d", "e", "f"];
    let rows = names.iter().zip(bodies).map(|((hub, kind, key), body)| published(hub, kind, key, Some(body)));
    stage.commit(Batch { published: rows.collect(), ..Batch::default() });
    for ((hub, kind, key), body) in names.into_iter().zip(bodies) {
        assert_eq!(stage.published(hub, kind, key), Some(body.as_bytes().to_vec()), "{hub} {kind} {key}");
    }
    stage.commit(Batch { published: vec![published("h", "k", "1", None)], ..Batch::default() });
    let left = names.into_iter().filter(|(hub, kind, key)| stage.published(hub, kind, key).is_some());
    assert_eq!(left.count(), names.len() - 1);
}

pub(super) fn deleting_a_row_that_was_never_published_makes_no_hub(stage: &mut Stage) {
    stage.commit(Batch { published: vec![published("h", "k", "1", None)], ..Batch::default() });
    assert_eq!(stage.hubs(), Vec::<String>::new());
    stage.commit(Batch { published: vec![published("h", "k", "1", Some("x"))], ..Batch::default() });
    assert_eq!(stage.hubs(), ["h"]);
}
