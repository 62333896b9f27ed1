//! Payloads are kept and given back unread, whatever they are.

use bytes::Bytes;
use placet_core::ids::{Iid, Seq, Turn};
use placet_core::rows::{AheadPiece, Batch, PayloadKey, PublishedRow};

use super::samples::{activity, inserts, instance, message, published, turn};
use super::stage::Stage;

pub(super) fn payloads_may_be_empty(stage: &mut Stage) {
    come_back(stage, &Bytes::new());
}

pub(super) fn payloads_of_a_mebibyte_come_back_whole(stage: &mut Stage) {
    let block: Vec<u8> = (0..=u8::MAX).collect();
    come_back(stage, &block.repeat((1 << 20) / block.len()).into());
}

pub(super) fn payloads_may_be_any_bytes(stage: &mut Stage) {
    come_back(stage, &Bytes::from_static(&[0, 0xff, 0xfe, b'\'', 0, b'\n', 0xc3, 0x28, 0]));
}

pub(super) fn a_payload_that_lies_ahead_is_read_with_its_row_and_not_before(stage: &mut Stage) {
    let payload: Bytes = b"ahead of it".repeat(100).into();
    stage.commit(inserts([instance(1, "h", "a")]));
    let before = stage.dump(&Batch::default());
    lie_ahead(stage, PayloadKey::Inbox(Iid(1), Seq(7)), &payload);
    lie_ahead(stage, PayloadKey::History(Iid(1), Turn(0)), &payload);
    lie_ahead(stage, PayloadKey::Activity(Iid(1), Seq(8)), &payload);
    assert_eq!(stage.dump(&Batch::default()), before);
    let (mut inbox, mut pending, mut events) = (message(1, 7), activity(1, 8), turn(1, 0));
    (inbox.data, pending.data, events.events) = (payload.clone(), payload.clone(), payload.clone());
    stage.commit(Batch {
        ahead: vec![
            PayloadKey::History(Iid(1), Turn(0)),
            PayloadKey::Inbox(Iid(1), Seq(7)),
            PayloadKey::Activity(Iid(1), Seq(8)),
        ],
        history_appended: vec![events],
        inbox_put: vec![inbox],
        activities_put: vec![pending],
        ..Batch::default()
    });
    for _ in 0..2 {
        let found = stage.instance(1);
        assert_eq!((&found.inbox[0].data, &found.activities[0].data), (&payload, &payload));
        assert_eq!(stage.history(1, 0, 0)[0].events, payload);
        stage.kill();
        stage.store().claim().expect("the store is claimed");
    }
}

pub(super) fn what_lies_ahead_of_a_row_that_never_came_is_cleared_away_and_its_key_is_free(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a")]));
    lie_ahead(stage, PayloadKey::Inbox(Iid(1), Seq(7)), &"of a message".into());
    lie_ahead(stage, PayloadKey::Inbox(Iid(9), Seq(1)), &"of a start".into());
    stage.kill();
    assert_eq!(stage.store().claim().expect("the store is claimed").iid_max, Iid(1));
    let mut empty = message(1, 7);
    empty.data = Bytes::new();
    stage.commit(Batch { inbox_put: vec![empty.clone()], ..Batch::default() });
    stage.commit(Batch { inbox_put: vec![message(9, 1)], ..inserts([instance(9, "h", "b")]) });
    assert_eq!((stage.instance(1).inbox, stage.instance(9).inbox), (vec![empty], vec![message(9, 1)]));
}

pub(super) fn a_row_takes_the_place_of_what_was_left_ahead_of_it(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a")]));
    let left = Bytes::from_static(b"what came to nothing and is longer than what comes");
    for seq in 7..10 {
        lie_ahead(stage, PayloadKey::Inbox(Iid(1), Seq(seq)), &left);
    }
    // One is written ahead anew, one as it is, one is given up and then is empty.
    lie_ahead(stage, PayloadKey::Inbox(Iid(1), Seq(7)), &message(1, 7).data);
    let nothing = AheadPiece { of: PayloadKey::Inbox(Iid(1), Seq(9)), part: 0, data: Bytes::new() };
    stage.store().write_ahead(&nothing).expect("it is cleared away");
    let mut empty = message(1, 9);
    empty.data = Bytes::new();
    let rows = vec![message(1, 7), message(1, 8), empty];
    let ahead = vec![PayloadKey::Inbox(Iid(1), Seq(7))];
    stage.commit(Batch { ahead, inbox_put: rows.clone(), ..Batch::default() });
    // Too late: its row is there.
    stage
        .store()
        .write_ahead(&AheadPiece { of: PayloadKey::Inbox(Iid(1), Seq(7)), ..nothing })
        .expect("it changes nothing");
    assert_eq!(stage.instance(1).inbox, rows);
}

fn lie_ahead(stage: &Stage, of: PayloadKey, payload: &Bytes) {
    let pieces = (0..).zip(payload.chunks(5));
    for (part, data) in pieces {
        let piece = AheadPiece { of, part, data: payload.slice_ref(data) };
        stage.store().write_ahead(&piece).expect("the piece is written");
    }
}

/// Writes the payload wherever one can stand, and sees that it comes back from each place, now and later.
fn come_back(stage: &mut Stage, payload: &Bytes) {
    let mut row = instance(1, "h", "a");
    row.body = payload.clone();
    let (mut inbox, mut pending, mut events) = (message(1, 1), activity(1, 1), turn(1, 0));
    (inbox.data, pending.data, events.events) = (payload.clone(), payload.clone(), payload.clone());
    let told = PublishedRow { body: Some(payload.clone()), ..published("h", "k", "1", None) };
    stage.commit(Batch {
        history_appended: vec![events],
        inbox_put: vec![inbox],
        activities_put: vec![pending],
        published: vec![told],
        ..inserts([row])
    });
    for _ in 0..2 {
        let found = stage.instance(1);
        let turns = stage.history(1, 0, 0);
        for same in [&found.row.body, &found.inbox[0].data, &found.activities[0].data, &turns[0].events] {
            assert!(same == payload, "a payload of {} bytes came back with {}", payload.len(), same.len());
        }
        assert!(stage.published("h", "k", "1").as_deref() == Some(&payload[..]));
        stage.reopen();
    }
}
