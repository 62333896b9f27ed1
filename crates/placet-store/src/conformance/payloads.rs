//! Payloads are kept and given back unread, whatever they are.

use bytes::Bytes;
use placet_core::rows::{Batch, PublishedRow};

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
