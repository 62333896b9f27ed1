//! Instances with what hangs on them: found by name and by key, changed, deleted.

use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, Seq, Turn};
use placet_core::rows::{Batch, InstanceRow, Lookup, ReplyRow};
use placet_core::time::Timestamp;

use super::samples::{activity, furnished, inserts, instance, message, parked, reply};
use super::stage::Stage;

pub(super) fn an_instance_is_found_by_name_and_by_key(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a"), instance(2, "g", "a"), instance(3, "h", "b")]));
    for (iid, hub, id) in [(1, "h", "a"), (2, "g", "a"), (3, "h", "b")] {
        assert_eq!(stage.by_name(hub, id).map(|found| found.row), Some(instance(iid, hub, id)));
        assert_eq!(stage.instance(iid).row, instance(iid, hub, id));
    }
}

pub(super) fn what_is_absent_is_answered_with_none_in_its_place(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a"), instance(2, "h", "b")]));
    let name = |hub, id: &str| Lookup::Key(InstanceKey::new(Hub::new(hub), InstanceId::new(id)));
    let lookups =
        [name("h", "b"), name("h", "z"), Lookup::Iid(Iid(9)), name("unknown", "a"), Lookup::Iid(Iid(1)), name("h", "")];
    let found: Vec<Option<u64>> =
        stage.load(&lookups).into_iter().map(|found| found.map(|found| found.row.iid.0)).collect();
    assert_eq!(found, [Some(2), None, None, None, Some(1), None]);
    assert_eq!(stage.load(&[]), []);
}

pub(super) fn the_same_question_twice_has_the_same_answer_twice(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    let by_key = Lookup::Key(instance(1, "h", "a").key());
    let found = stage.load(&[by_key.clone(), Lookup::Iid(Iid(1)), by_key]);
    assert_eq!(found, vec![Some(stage.instance(1)); 3]);
}

pub(super) fn an_update_changes_all_but_the_id_and_the_time_of_creation(stage: &mut Stage) {
    let before = instance(1, "h", "a");
    stage.commit(inserts([before.clone(), instance(2, "h", "b")]));
    let moved = InstanceRow { name: "renamed".into(), updated_at: Timestamp(6), body: "another body".into(), ..before };
    stage.commit(Batch { instances_updated: vec![(moved.clone(), false)], ..Batch::default() });
    assert_eq!(stage.instance(1).row, moved);
    let ended = InstanceRow {
        status: 5.try_into().expect("a status of the protocol"),
        active: false,
        completed_at: Some(Timestamp(-7)),
        body: "the last".into(),
        ..moved
    };
    stage.commit(Batch { instances_updated: vec![(ended.clone(), true)], ..Batch::default() });
    assert_eq!(stage.instance(1).row, ended);
    let reset = InstanceRow { completed_at: None, ..ended };
    stage.commit(Batch { instances_updated: vec![(reset.clone(), true)], ..Batch::default() });
    assert_eq!(stage.instance(1).row, reset);
    assert_eq!(stage.instance(2).row, instance(2, "h", "b"));
}

/// Whether a row stayed behind shows when its key is used again, which the core never does.
pub(super) fn a_deleted_instance_leaves_nothing_behind(stage: &mut Stage) {
    let batch = furnished(1, "h", "a");
    stage.commit(batch.clone());
    stage.commit(furnished(2, "h", "b"));
    stage.commit(Batch {
        instances_deleted: vec![Iid(1)],
        timers_deleted: batch.timers_put.clone(),
        ..Batch::default()
    });
    assert_eq!((stage.by_iid(1), stage.by_name("h", "a")), (None, None));
    assert_eq!(stage.turns(1, 0, usize::MAX), []);
    stage.commit(inserts([instance(1, "h", "a")]));
    let again = stage.instance(1);
    assert_eq!((again.inbox, again.activities, again.replies), (vec![], vec![], vec![]));
    let other = stage.instance(2);
    assert_eq!((other.inbox.len(), other.activities.len(), other.replies.len()), (2, 2, 2));
    assert_eq!(stage.turns(2, 0, usize::MAX), [0, 1]);
    assert_eq!(stage.due(None, i64::MAX, 10).len(), 2);
}

pub(super) fn messages_and_activities_come_in_the_order_of_their_numbers(stage: &mut Stage) {
    let seqs = [300, 2, 255, 1 << 40, 256];
    stage.commit(Batch {
        inbox_put: seqs.iter().map(|seq| message(1, *seq)).collect(),
        activities_put: seqs.iter().map(|seq| activity(1, *seq)).collect(),
        ..inserts([instance(1, "h", "a")])
    });
    let found = stage.instance(1);
    let sorted = [2, 255, 256, 300, 1 << 40].map(Seq);
    assert_eq!(found.inbox.iter().map(|row| row.seq).collect::<Vec<_>>(), sorted);
    assert_eq!(found.activities.iter().map(|row| row.seq).collect::<Vec<_>>(), sorted);
    stage.commit(Batch { inbox_deleted: vec![(Iid(1), Seq(255)), (Iid(1), Seq(2))], ..Batch::default() });
    let rest: Vec<Seq> = stage.instance(1).inbox.iter().map(|row| row.seq).collect();
    assert_eq!(rest, [256, 300, 1 << 40].map(Seq));
}

pub(super) fn an_activity_is_replaced_and_deleted(stage: &mut Stage) {
    stage.commit(Batch {
        activities_put: vec![activity(1, 1), activity(1, 2)],
        ..inserts([instance(1, "h", "a"), instance(2, "h", "b")])
    });
    let mut poisoned = activity(1, 2);
    poisoned.data = "poisoned".into();
    let batch = Batch { activities_put: vec![poisoned.clone(), activity(2, 1)], ..Batch::default() };
    stage.commit(Batch { activities_deleted: vec![(Iid(1), Seq(1))], ..batch });
    assert_eq!(stage.instance(1).activities, [poisoned]);
    assert_eq!(stage.instance(2).activities, [activity(2, 1)]);
}

pub(super) fn replies_are_kept_with_and_without_an_answer(stage: &mut Stage) {
    stage.commit(inserts([parked(1, "h", "a"), parked(2, "h", "b")]));
    let replies = [reply(1, "", Some("")), reply(1, "ask-1", None), reply(1, "é", Some("\"yes\""))];
    stage.commit(Batch { replies_put: replies.to_vec(), ..Batch::default() });
    stage.commit(Batch { replies_put: vec![reply(2, "ask-1", Some("no"))], ..Batch::default() });
    assert_eq!(stage.instance(1).replies, replies);
    assert_eq!(stage.instance(2).replies, [reply(2, "ask-1", Some("no"))]);
}

pub(super) fn replies_before_a_turn_are_dropped(stage: &mut Stage) {
    stage.commit(inserts([parked(1, "h", "a"), parked(2, "h", "b")]));
    let of_turn = |iid, ask_id, turn| ReplyRow { turn: Turn(turn), ..reply(iid, ask_id, Some("yes")) };
    let replies_put = vec![of_turn(1, "a", 1), of_turn(1, "b", 2), of_turn(1, "c", 3), of_turn(2, "a", 1)];
    stage.commit(Batch { replies_put, ..Batch::default() });
    let again = of_turn(1, "a", 3);
    let replies_dropped = vec![(Iid(1), Turn(3))];
    stage.commit(Batch { replies_dropped, replies_put: vec![again.clone()], ..Batch::default() });
    assert_eq!(stage.instance(1).replies, [again, of_turn(1, "c", 3)]);
    assert_eq!(stage.instance(2).replies, [of_turn(2, "a", 1)]);
}

pub(super) fn ids_may_be_any_text_of_a_hundred_characters(stage: &mut Stage) {
    let ids: Vec<String> = ["a", "é", "漢", "🦀", "\u{10ffff}", "%", "'", "\\", "\0", "\n", " ", "\u{301}"]
        .iter()
        .map(|letter| letter.repeat(100))
        .collect();
    let rows: Vec<InstanceRow> = (1..).zip(&ids).map(|(iid, id)| instance(iid, "h", id)).collect();
    stage.commit(inserts(rows.clone()));
    stage.reopen();
    for (row, id) in rows.iter().zip(&ids) {
        assert_eq!(stage.by_name("h", id).map(|found| found.row).as_ref(), Some(row), "{id:?}");
    }
}

pub(super) fn ids_that_differ_in_case_or_normal_form_are_different(stage: &mut Stage) {
    let ids = ["Expense", "expense", "expense ", "caf\u{e9}", "cafe\u{301}", "expens\u{ff45}"];
    stage.commit(inserts((1..).zip(ids).map(|(iid, id)| instance(iid, "h", id))));
    for (iid, id) in (1..).zip(ids) {
        assert_eq!(stage.by_name("h", id).map(|found| found.row.iid), Some(Iid(iid)), "{id:?}");
    }
    assert_eq!(stage.by_name("H", "EXPENSE"), None);
    assert!(stage.by_name("H", "Expense").is_some(), "hub names compare without case");
}

pub(super) fn every_status_of_the_protocol_is_kept(stage: &mut Stage) {
    let rows: Vec<InstanceRow> = (0..8)
        .map(|status| InstanceRow {
            status: i32::try_from(status).expect("small").try_into().expect("a status of the protocol"),
            ..instance(status + 1, "h", &status.to_string())
        })
        .collect();
    stage.commit(inserts(rows.clone()));
    let found: Vec<InstanceRow> = (1..=8).map(|iid| stage.instance(iid).row).collect();
    assert_eq!(found, rows);
}
