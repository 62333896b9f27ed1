//! Rows to commit. What a case does not speak of is derived from the key, so that no two rows are alike.

use bytes::Bytes;
use placet_core::ids::{Hub, Iid, InstanceId, RecordKey, Seq, Turn};
use placet_core::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, PublishedRow, RecordRow, ReplyRow, TimerRow,
};
use placet_core::time::Timestamp;

pub(super) fn instance(iid: u64, hub: &str, id: &str) -> InstanceRow {
    InstanceRow {
        iid: Iid(iid),
        hub: Hub::new(hub),
        id: InstanceId::new(id),
        name: format!("orchestration {iid}").into(),
        status: Default::default(),
        active: true,
        created_at: time(iid),
        updated_at: time(iid + 1),
        completed_at: None,
        body: format!("body {iid}").into(),
    }
}

pub(super) fn parked(iid: u64, hub: &str, id: &str) -> InstanceRow {
    InstanceRow { active: false, ..instance(iid, hub, id) }
}

pub(super) fn turn(iid: u64, turn: u32) -> HistoryRow {
    HistoryRow { iid: Iid(iid), turn: Turn(turn), count: turn + 1, events: format!("events {iid}.{turn}").into() }
}

pub(super) fn message(iid: u64, seq: u64) -> InboxRow {
    InboxRow { iid: Iid(iid), seq: Seq(seq), data: format!("message {iid}.{seq}").into() }
}

pub(super) fn activity(iid: u64, seq: u64) -> ActivityRow {
    ActivityRow { iid: Iid(iid), seq: Seq(seq), data: format!("activity {iid}.{seq}").into() }
}

/// A timer of an instance that is in `hub` under `id`.
pub(super) fn timer(fire_at: i64, seq: u64, owner: &InstanceRow) -> TimerRow {
    TimerRow { fire_at: Timestamp(fire_at), iid: owner.iid, seq: Seq(seq), partition: owner.key().partition() }
}

pub(super) fn reply(iid: u64, ask_id: &str, answer: Option<&str>) -> ReplyRow {
    ReplyRow { iid: Iid(iid), ask_id: ask_id.into(), turn: Turn(2), answer: answer.map(Into::into) }
}

pub(super) fn published(hub: &str, kind: &str, key: &str, body: Option<&'static str>) -> PublishedRow {
    published_by(key, (hub, kind, key), body)
}

/// The same, by another instance than the one of its key.
pub(super) fn published_by(
    owner: &str,
    (hub, kind, key): (&str, &str, &str),
    body: Option<&'static str>,
) -> PublishedRow {
    let owner = InstanceId::new(owner);
    PublishedRow {
        hub: Hub::new(hub),
        kind: kind.into(),
        key: key.into(),
        owner,
        body: body.map(Bytes::from),
        terms: Vec::new(),
    }
}

pub(super) fn record(hub: &str, kind: &str, key: &str, version: u64, expires_at: Option<i64>) -> RecordRow {
    let (key, expires_at) = (RecordKey::new(Hub::new(hub), kind, key), expires_at.map(Timestamp));
    RecordRow { body: format!("version {version} of {key}").into(), key, version, expires_at }
}

/// A batch that inserts these instances and nothing else.
pub(super) fn inserts(rows: impl IntoIterator<Item = InstanceRow>) -> Batch {
    Batch { instances_inserted: rows.into_iter().collect(), ..Batch::default() }
}

/// An instance with a row of every kind.
pub(super) fn furnished(iid: u64, hub: &str, id: &str) -> Batch {
    let owner = instance(iid, hub, id);
    Batch {
        newest: owner.updated_at,
        history_appended: vec![turn(iid, 0), turn(iid, 1)],
        inbox_put: vec![message(iid, 1), message(iid, 2)],
        activities_put: vec![activity(iid, 3), activity(iid, 4)],
        timers_put: vec![timer(50, 5, &owner), timer(70, 6, &owner)],
        replies_put: vec![reply(iid, "ask-1", Some("yes")), reply(iid, "ask-2", None)],
        published: vec![published(hub, "requests", id, Some("published"))],
        records_put: vec![record(hub, "links", id, 1, Some(90)), record(hub, "users", id, 7, None)],
        instances_inserted: vec![owner],
        ..Batch::default()
    }
}

fn time(n: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + i64::try_from(n).expect("samples are few"))
}
