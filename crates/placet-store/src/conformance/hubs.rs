//! Task hubs are walls (P8), and what is published stands in one of them.

use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::rows::Batch;

use super::samples::{furnished, inserts, instance, parked, published, published_by};
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
    stage.sweep();
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

pub(super) fn a_deleted_hub_is_gone_at_once_though_it_is_cleared_away_later(stage: &mut Stage) {
    for iid in 1..=40 {
        // The first of them by its name, and one that is as short as can be.
        let id = if iid == 1 { String::new() } else { format!("gone-{iid}") };
        stage.commit(furnished(iid, "gone", &id));
    }
    let kept = furnished(50, "kept", "a");
    stage.commit(kept.clone());
    let names = Batch {
        published: (1..=40).map(|iid| published("gone", "requests", &format!("gone-{iid}"), None)).collect(),
        ..Batch::default()
    };
    stage.commit(Batch { hubs_deleted: vec![Hub::new("gone")], ..Batch::default() });
    // The name is free, for an instance that was there, too.
    let again = furnished(60, "gone", "gone-7");
    stage.commit(again.clone());
    let mut timers = [kept.timers_put.clone(), again.timers_put.clone()].concat();
    timers.sort();
    let mut sweeps = 0;
    loop {
        let dump = stage.dump(&names);
        assert_eq!(dump.hubs, [Hub::new("gone"), Hub::new("kept")], "after {sweeps} sweeps");
        assert_eq!(dump.instances, [stage.instance(50), stage.instance(60)]);
        assert_eq!(dump.history, [kept.history_appended.clone(), again.history_appended.clone()].concat());
        assert_eq!(dump.timers, timers);
        assert_eq!(dump.published, again.published);
        assert_eq!(stage.active(), [50, 60]);
        assert_eq!(stage.by_name("gone", "gone-8"), None);
        assert!(stage.store().claim().expect("the store is claimed").iid_max.0 >= 60);
        // It goes on after a restart, of either kind.
        match sweeps % 50 {
            0 => stage.reopen(),
            25 => stage.kill(),
            _ => {}
        }
        sweeps += 1;
        assert!(sweeps < 1_000, "there is no end to it");
        if !stage.store().sweep().expect("what is left is cleared away") {
            break;
        }
    }
    // What stayed behind under the same key would come to light here.
    stage.commit(inserts([parked(1, "gone", "gone-1")]));
    let again = stage.instance(1);
    assert_eq!((again.inbox, again.activities, again.replies), (vec![], vec![], vec![]));
    assert_eq!(stage.turns(1, 0, usize::MAX), Vec::<u32>::new());
}

pub(super) fn a_hub_may_be_deleted_again_before_it_is_cleared_away(stage: &mut Stage) {
    for iid in 1..=4 {
        stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..furnished(iid, "h", "a") });
        assert_eq!(stage.by_name("h", "a"), Some(stage.instance(iid)));
    }
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() });
    assert_eq!((stage.hubs(), stage.active()), (vec![], vec![]));
    stage.sweep();
    assert!(!stage.store().sweep().expect("there is nothing"), "what is cleared away is cleared away once");
    stage.commit(furnished(5, "h", "a"));
    assert_eq!((stage.hubs(), stage.active()), (vec!["h".to_owned()], vec![5]));
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

pub(super) fn what_an_instance_has_published_is_withdrawn_with_it_and_nothing_else(stage: &mut Stage) {
    let rows = [
        published_by("a", ("h", "requests", "a"), Some("own")),
        published_by("a", ("h", "requests", "a~2"), Some("of another key")),
        published_by("a", ("h", "", ""), Some("of no name")),
        published_by("b", ("h", "items", "a"), Some("under its id by another")),
        published_by("a", ("h", "items", "taken"), Some("then taken over")),
        published_by("b", ("h", "items", "given"), Some("then taken over")),
        published_by("a", ("other", "requests", "a"), Some("in another hub")),
        published_by("", ("h", "requests", "of-none"), Some("by one without an id")),
    ];
    stage.commit(Batch { published: rows.to_vec(), ..Batch::default() });
    let taken = vec![
        published_by("b", ("h", "items", "taken"), Some("new")),
        published_by("a", ("h", "items", "given"), Some("new")),
    ];
    stage.commit(Batch { published: taken, ..Batch::default() });
    stage.reopen();
    let withdrawn = |hub| vec![InstanceKey::new(Hub::new(hub), InstanceId::new("a"))];
    // What is published with the same batch comes after.
    let again = vec![published_by("a", ("h", "requests", "again"), Some("new"))];
    stage.commit(Batch { withdrawn: withdrawn("h"), published: again, ..Batch::default() });
    stage.commit(Batch { withdrawn: withdrawn("absent"), ..Batch::default() });
    stage.reopen();
    let mut names = rows.to_vec();
    names.push(published_by("a", ("h", "items", "given"), None));
    names.push(published_by("a", ("h", "requests", "again"), None));
    let left = names.iter().filter(|row| stage.published(row.hub.as_str(), &row.kind, &row.key).is_some());
    let mut left: Vec<_> = left.map(|row| format!("{} {} {}", row.hub, row.kind, row.key)).collect();
    left.sort();
    left.dedup();
    assert_eq!(left, ["h items a", "h items taken", "h requests again", "h requests of-none", "other requests a"]);
    assert!(!stage.hubs().contains(&"absent".to_owned()));
}
