//! Record rows: named, versioned, and found by when they expire. That they do is the core's to decide.

use placet_core::ids::{Hub, RecordKey};
use placet_core::rows::{Batch, RecordRow};

use super::samples::record;
use super::stage::Stage;
use crate::RecordList;

fn puts(rows: impl IntoIterator<Item = RecordRow>) -> Batch {
    Batch { records_put: rows.into_iter().collect(), ..Batch::default() }
}

fn list(kind: Option<&str>, starts: &str, after: Option<(&str, &str)>, limit: usize) -> RecordList {
    let after = after.map(|(kind, key)| (kind.into(), key.into()));
    RecordList { hub: Hub::new("h"), kind: kind.map(Into::into), starts: starts.into(), after, limit }
}

pub(super) fn a_record_is_there_until_it_is_deleted(stage: &mut Stage) {
    let row = record("h", "k", "a", 1, Some(5));
    assert_eq!(stage.record(&row.key), None);
    stage.commit(puts([row.clone()]));
    stage.reopen();
    assert_eq!(stage.record(&row.key), Some(row.clone()));
    assert_eq!(stage.hubs(), ["h"]);
    stage.commit(Batch { records_deleted: vec![row.key.clone()], ..Batch::default() });
    assert_eq!((stage.record(&row.key), stage.expired(9, 9)), (None, vec![]));
    // One that is not there, in a hub that is not there.
    stage.commit(Batch { records_deleted: vec![record("other", "k", "a", 1, None).key], ..Batch::default() });
    assert_eq!(stage.hubs(), ["h"]);
}

pub(super) fn a_record_is_replaced_as_a_whole(stage: &mut Stage) {
    let times = [Some(5), None, Some(-7), Some(i64::MAX), Some(i64::MIN)];
    for (version, expires_at) in (1..).zip(times) {
        let row = record("h", "k", "a", version, expires_at);
        stage.commit(puts([row.clone()]));
        assert_eq!(stage.record(&row.key), Some(row));
    }
    assert_eq!(stage.expired(0, 9).len(), 1, "of one row there is one time");
}

pub(super) fn records_are_told_apart_by_hub_kind_and_key(stage: &mut Stage) {
    let names = [("h", "k", "a"), ("h", "k", "A"), ("h", "k", ""), ("h", "kk", "a"), ("i", "k", "a"), ("h", "", "ka")];
    let rows: Vec<RecordRow> =
        (1..).zip(names).map(|(version, (hub, kind, key))| record(hub, kind, key, version, None)).collect();
    stage.commit(puts(rows.clone()));
    for row in &rows {
        assert_eq!(stage.record(&row.key).as_ref(), Some(row));
    }
}

pub(super) fn records_are_listed_by_kind_and_key_from_any_place(stage: &mut Stage) {
    let keys = ["", "a", "a/1", "a/2", "a/3", "a0", "b", "ü"];
    let rows = ["k", "kind", "l"].into_iter().flat_map(|kind| keys.map(|key| record("h", kind, key, 1, Some(1))));
    let rows: Vec<RecordRow> = rows.collect();
    stage.commit(puts(rows.iter().rev().cloned().chain([record("i", "kind", "a/4", 1, None)])));
    assert_eq!(stage.records(&list(None, "", None, 100)), rows);
    let keys = |list: &RecordList| -> Vec<String> {
        stage.records(list).iter().map(|row| format!("{} {}", row.key.kind, row.key.key)).collect()
    };
    assert_eq!(keys(&list(Some("kind"), "a/", None, 100)), ["kind a/1", "kind a/2", "kind a/3"]);
    assert_eq!(keys(&list(Some("kind"), "a/", Some(("kind", "a/1")), 1)), ["kind a/2"]);
    assert_eq!(keys(&list(Some("kind"), "", Some(("kind", "b")), 100)), ["kind ü"]);
    assert_eq!(keys(&list(Some("kind"), "a/", Some(("kind", "a/3")), 100)), [""; 0]);
    assert_eq!(keys(&list(Some("kin"), "", None, 100)), [""; 0]);
    assert_eq!(keys(&list(None, "", Some(("k", "ü")), 2)), ["kind ", "kind a"]);
}

pub(super) fn what_has_expired_is_found_in_the_order_in_which_it_did(stage: &mut Stage) {
    let row = |key, at| record("h", "k", key, 1, at);
    stage.commit(puts([row("late", Some(30)), row("never", None), row("first", Some(-10)), row("next", Some(20))]));
    let expired =
        |until, limit| -> Vec<String> { stage.expired(until, limit).iter().map(|key| key.key.to_string()).collect() };
    assert_eq!(expired(19, 9), ["first"]);
    assert_eq!(expired(20, 9), ["first", "next"], "from that moment on");
    assert_eq!(expired(i64::MAX, 9), ["first", "next", "late"]);
    assert_eq!(expired(i64::MAX, 2), ["first", "next"]);
}

pub(super) fn records_go_with_their_hub(stage: &mut Stage) {
    let rows = (1..=40).map(|n| record("gone", "k", &format!("{n}"), n, Some(1)));
    stage.commit(puts(rows.chain([record("kept", "k", "1", 1, Some(2))])));
    stage.commit(Batch { hubs_deleted: vec![Hub::new("gone")], ..Batch::default() });
    let gone = RecordKey::new(Hub::new("gone"), "k", "1");
    assert_eq!((stage.record(&gone), stage.expired(5, 100).len(), stage.hubs()), (None, 1, vec!["kept".to_owned()]));
    stage.commit(puts([record("gone", "k", "1", 5, None)]));
    stage.reopen();
    stage.sweep();
    assert_eq!(stage.record(&gone).map(|row| row.version), Some(5), "it was made again in another hub of that name");
    assert_eq!(stage.record(&RecordKey::new(Hub::new("gone"), "k", "2")), None);
}

pub(super) fn a_record_may_be_deleted_and_made_again_in_one_batch(stage: &mut Stage) {
    stage.commit(puts([record("h", "k", "a", 9, Some(1))]));
    let row = record("h", "k", "a", 1, None);
    stage.commit(Batch { records_deleted: vec![row.key.clone()], ..puts([row.clone()]) });
    assert_eq!((stage.record(&row.key), stage.expired(9, 9)), (Some(row), vec![]));
}

pub(super) fn a_record_may_be_as_large_as_it_comes(stage: &mut Stage) {
    const LARGEST: u64 = i64::MAX as u64;
    let body = vec![0xFF; placet_core::limits::RECORD_BYTES_MAX].into();
    let key = "ü".repeat(placet_core::limits::RECORD_NAME_BYTES_MAX / 2);
    let row = RecordRow { body, ..record("h", "k", &key, LARGEST, None) };
    stage.commit(puts([row.clone(), RecordRow { body: Default::default(), ..record("h", "k", "", 0, None) }]));
    stage.reopen();
    assert_eq!(stage.record(&row.key), Some(row));
    assert_eq!(stage.records(&list(None, "", None, 9)).len(), 2);
}
