//! Makes a data folder that later versions must be able to open: run once for every version whose file differs,
//! committed under `tests/data/`, and never changed again. `tests/it/data_of_earlier_releases.rs` opens each.
//!
//! ```sh
//! cargo run -p placet-store-sqlite --example keep_data -- tests/data/issue-5
//! ```

use std::error::Error;
use std::path::PathBuf;

use placet_core::chain::{EntryRow, Erasure, Part, Said};
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, Seq, Turn};
use placet_core::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, PublishedRow, ReplyRow, Term, TimerRow,
};
use placet_core::time::Timestamp;
use placet_store::Store as _;
use placet_store_sqlite::{FileLimits, Options, SqliteStore};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which folder?")?;
    std::fs::create_dir_all(&folder)?;
    // The folder is to be small, and to have payloads in pieces.
    let limits = FileLimits { payload: 4_000, ..FileLimits::default() };
    let options = Options { limits, ..Options::default() };
    let store = SqliteStore::open_with(&folder.join("placet.db"), &options)?;
    store.claim()?;
    for batch in [begun(), gone_on(), ended()] {
        store.commit(&batch)?;
    }
    drop(store);
    std::fs::remove_file(folder.join("placet.lock"))?;
    Ok(())
}

/// 24 November 2026, 06:00 UTC.
const BEGIN: i64 = 1_795_500_000_000_000;
const SECOND: i64 = 1_000_000;
const YEAR: i64 = 31_557_600 * SECOND;

fn at(seconds: i64) -> Timestamp {
    Timestamp(BEGIN + seconds * SECOND)
}

fn instance(iid: u64, hub: &str, id: &str, seconds: i64) -> InstanceRow {
    InstanceRow {
        iid: Iid(iid),
        hub: Hub::new(hub),
        id: InstanceId::new(id),
        name: "placet.approval".into(),
        status: 0.try_into().unwrap_or_default(),
        active: false,
        created_at: at(seconds),
        updated_at: at(seconds),
        completed_at: None,
        body: format!("the body of {id}").into(),
    }
}

fn turn(iid: u64, turn: u32, events: impl Into<Vec<u8>>) -> HistoryRow {
    HistoryRow { iid: Iid(iid), turn: Turn(turn), count: turn + 2, events: events.into().into() }
}

fn message(iid: u64, seq: u64) -> InboxRow {
    InboxRow { iid: Iid(iid), seq: Seq(seq), data: format!("message {seq} to {iid}").into() }
}

fn activity(iid: u64, seq: u64, data: &'static str) -> ActivityRow {
    ActivityRow { iid: Iid(iid), seq: Seq(seq), data: data.into() }
}

fn reply(iid: u64, ask_id: &str, answer: Option<&str>) -> ReplyRow {
    ReplyRow { iid: Iid(iid), ask_id: ask_id.into(), turn: Turn(2), answer: answer.map(Into::into) }
}

fn timer(owner: &InstanceRow, seq: u64, fire_at: Timestamp) -> TimerRow {
    TimerRow { fire_at, iid: owner.iid, seq: Seq(seq), partition: owner.key().partition() }
}

fn published(hub: &str, key: &str, body: Option<&'static str>) -> PublishedRow {
    PublishedRow {
        hub: Hub::new(hub),
        kind: "request".into(),
        key: key.into(),
        owner: InstanceId::new(key),
        body: body.map(Into::into),
        terms: vec![Term { text: "s:open".into(), order: BEGIN }],
    }
}

/// What an instance enters in the record: a text, and somebody whom it names.
fn entry(hub: &str, owner: &str, text: &str) -> EntryRow {
    let part = |text: &str| Part::Salted(format!("0123456789abcdef{text}").into());
    let said = Said::new(vec![part(text), part("bob")]).expect("it has parts");
    EntryRow { hub: Hub::new(hub), owner: InstanceId::new(owner), said }
}

fn erasure(hub: &str, owner: &str, person: Option<&str>) -> Erasure {
    Erasure { key: InstanceKey::new(Hub::new(hub), InstanceId::new(owner)), person: person.map(Into::into) }
}

/// Instances of every kind: with work, parked, in two hubs, with names and payloads of many sizes.
fn begun() -> Batch {
    let working =
        InstanceRow { active: true, body: vec![b'.'; 20_000].into(), ..instance(1, "default", "expense-1", 0) };
    let parked = instance(2, "default", "Auslage-ü-経費", 1);
    let long = InstanceRow { body: vec![b'.'; 9_000].into(), ..instance(3, "second-hub", "expense-1", 2) };
    let short_lived = instance(4, "second-hub", "to be purged", 3);
    Batch {
        newest: at(3),
        hubs_created: vec![Hub::new("empty")],
        history_appended: vec![
            turn(1, 0, "started, scheduled"),
            turn(2, 0, "started, waits"),
            turn(3, 0, vec![b'e'; 6_000]),
            turn(3, 1, ""),
            turn(4, 0, "started, ended"),
        ],
        inbox_put: vec![
            message(1, 3),
            message(1, 4),
            message(3, 9),
            InboxRow { iid: Iid(1), seq: Seq(5), data: vec![b'm'; 12_345].into() },
        ],
        activities_put: vec![
            activity(1, 1, "send a notice"),
            activity(1, 2, "plan"),
            ActivityRow { iid: Iid(1), seq: Seq(3), data: vec![b'a'; 9_000].into() },
        ],
        timers_put: vec![timer(&parked, 5, at(86_400)), timer(&parked, 6, Timestamp(BEGIN + 10 * YEAR))],
        replies_put: vec![reply(2, "ask-1", None), reply(2, "ask-2", Some("{\"decision\":\"approved\"}"))],
        published: vec![
            published("default", "expense-1", Some("{\"status\":\"Pending\"}")),
            published("default", "Auslage-ü-経費", Some("")),
            published("second-hub", "expense-1", Some("{\"status\":\"Pending\"}")),
            PublishedRow { body: Some(vec![b'p'; 8_000].into()), ..published("default", "a long form", None) },
        ],
        entries: vec![
            entry("default", "expense-1", "~1 asks"),
            entry("default", "expense-1", "~1 is asked"),
            entry("default", "Auslage-ü-経費", "~1 asks"),
            entry("second-hub", "to be purged", "~1 asks"),
        ],
        instances_inserted: vec![working, parked, long, short_lived],
        ..Batch::default()
    }
}

/// What changes rows: messages consumed, an activity set aside, a timer fired, a generation ended.
fn gone_on() -> Batch {
    let parked = instance(2, "default", "Auslage-ü-経費", 1);
    let changed = InstanceRow { updated_at: at(90), body: "another body".into(), ..parked.clone() };
    let mut next_generation = instance(3, "second-hub", "expense-1", 2);
    next_generation.updated_at = at(91);
    Batch {
        newest: at(91),
        history_dropped: vec![(Iid(3), Turn(2))],
        history_appended: vec![
            turn(1, 1, vec![b'e'; 10_000]),
            turn(2, 1, "timer fired, waits"),
            turn(3, 2, "started again"),
        ],
        inbox_deleted: vec![(Iid(1), Seq(3)), (Iid(3), Seq(9))],
        activities_deleted: vec![(Iid(1), Seq(1))],
        activities_put: vec![activity(1, 2, "plan, set aside after ten tries")],
        timers_deleted: vec![timer(&parked, 5, at(86_400))],
        published: vec![published("default", "Auslage-ü-経費", Some("{\"status\":\"Pending\"}"))],
        entries: vec![entry("default", "expense-1", "~1 decides")],
        erased: vec![erasure("default", "Auslage-ü-経費", Some("bob"))],
        instances_updated: vec![(changed, false), (next_generation, false)],
        ..Batch::default()
    }
}

/// One instance ends, one is purged with what it published.
fn ended() -> Batch {
    let mut ended = instance(3, "second-hub", "expense-1", 2);
    ended.status = 1.try_into().unwrap_or_default();
    (ended.updated_at, ended.completed_at) = (at(3_600), Some(at(3_600)));
    Batch {
        newest: at(3_600),
        instances_deleted: vec![Iid(4)],
        history_appended: vec![turn(3, 3, "decided, ended")],
        published: vec![published("second-hub", "expense-1", None)],
        erased: vec![erasure("second-hub", "to be purged", None)],
        instances_updated: vec![(ended, true)],
        ..Batch::default()
    }
}
