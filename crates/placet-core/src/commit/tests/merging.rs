//! The law of merging: a batch merged from many writes leaves the store as it would be had each write been
//! committed alone; and what is born and dies within it is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use placet_proto::durabletask::OrchestrationStatus;
use proptest::collection::vec;
use proptest::prelude::*;

use super::HERE;
use crate::commit::merge::Merge;
use crate::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, Seq, Turn};
use crate::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, PublishedRow, ReplyRow, Term, TimerRow, Write,
};
use crate::time::Timestamp;

fn batch(writes: impl IntoIterator<Item = Write>) -> Batch {
    let mut merge = Merge::default();
    merge.add(HERE, writes.into_iter());
    merge.into_batch()
}

fn instance(iid: u64, version: i64) -> InstanceRow {
    InstanceRow {
        iid: Iid(iid),
        hub: Hub::new("hub"),
        id: InstanceId::new(format!("instance-{iid}")),
        name: "name".into(),
        status: OrchestrationStatus::Running,
        active: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(version),
        completed_at: None,
        body: Bytes::copy_from_slice(&version.to_le_bytes()),
    }
}

fn message(iid: u64, seq: u64) -> Write {
    Write::PutInbox(InboxRow { iid: Iid(iid), seq: Seq(seq), data: Bytes::new() })
}

fn activity(iid: u64, seq: u64, data: &'static str) -> ActivityRow {
    ActivityRow { iid: Iid(iid), seq: Seq(seq), data: data.into() }
}

fn timer(iid: u64, seq: u64) -> TimerRow {
    TimerRow { fire_at: Timestamp(9), iid: Iid(iid), seq: Seq(seq), partition: PartitionId(1) }
}

fn turn(iid: u64, turn: u32) -> HistoryRow {
    HistoryRow { iid: Iid(iid), turn: Turn(turn), count: 1, events: Bytes::from_static(b"events") }
}

fn reply(iid: u64, ask: &str) -> ReplyRow {
    ReplyRow { iid: Iid(iid), ask_id: ask.into(), turn: Turn(1), answer: None }
}

/// A batch without what it says of itself: its rows only.
fn rows(batch: Batch) -> Batch {
    Batch { fences: Vec::new(), newest: Timestamp(0), ..batch }
}

#[test]
fn what_is_born_and_dies_in_one_batch_is_never_written() {
    let writes = [
        message(1, 1),
        Write::DeleteInbox(Iid(1), Seq(1)),
        Write::PutActivity(activity(1, 2, "a")),
        Write::UpdateActivity(activity(1, 2, "b")),
        Write::DeleteActivity(Iid(1), Seq(2)),
        Write::PutTimer(timer(1, 3)),
        Write::DeleteTimer(timer(1, 3)),
    ];
    assert_eq!(rows(batch(writes)), Batch::default());
}

#[test]
fn what_the_store_has_is_deleted_from_it() {
    let merged = batch([
        Write::DeleteInbox(Iid(1), Seq(1)),
        Write::UpdateActivity(activity(1, 2, "set aside")),
        Write::DeleteActivity(Iid(1), Seq(2)),
        Write::DeleteTimer(timer(1, 3)),
    ]);
    assert_eq!(merged.inbox_deleted, [(Iid(1), Seq(1))]);
    assert_eq!(merged.activities_deleted, [(Iid(1), Seq(2))]);
    assert_eq!(merged.activities_put, []);
    assert_eq!(merged.timers_deleted, [timer(1, 3)]);
}

#[test]
fn of_a_row_that_changes_several_times_the_last_state_is_written() {
    let merged = batch([
        Write::InsertInstance(instance(1, 1)),
        Write::UpdateInstance(instance(1, 2), true),
        Write::UpdateInstance(instance(2, 3), true),
        Write::UpdateInstance(instance(2, 4), false),
        Write::PutActivity(activity(1, 1, "as scheduled")),
        Write::UpdateActivity(activity(1, 1, "set aside")),
    ]);
    assert_eq!(merged.instances_inserted, [instance(1, 2)]);
    assert_eq!(merged.instances_updated, [(instance(2, 4), true)], "an indexed column changed on the way");
    assert_eq!(merged.activities_put, [activity(1, 1, "set aside")]);
    assert_eq!(merged.newest, Timestamp(4));
}

#[test]
fn a_row_that_changes_often_occupies_memory_once() {
    let mut merge = Merge::default();
    let mut add = |write| {
        merge.add(HERE, std::iter::once(write));
        merge.bytes()
    };
    let once = add(Write::UpdateInstance(instance(1, 1), false));
    assert_eq!(add(Write::UpdateInstance(instance(1, 2), true)), once);
    let inserted = add(Write::InsertInstance(instance(2, 1)));
    assert_eq!(add(Write::UpdateInstance(instance(2, 2), false)), inserted);
}

#[test]
fn an_instance_that_is_deleted_takes_all_that_the_batch_held_of_it() {
    let all = [
        Write::UpdateInstance(instance(1, 1), true),
        Write::AppendHistory(turn(1, 7)),
        Write::DropHistory(Iid(1), Turn(7)),
        message(1, 2),
        Write::DeleteInbox(Iid(1), Seq(1)),
        Write::PutActivity(activity(1, 3, "a")),
        Write::DeleteActivity(Iid(1), Seq(4)),
        Write::PutReply(reply(1, "ask")),
        Write::DeleteInstance(Iid(1)),
        message(2, 1),
    ];
    let other = rows(batch([message(2, 1)]));
    assert_eq!(rows(batch(all.clone())), Batch { instances_deleted: vec![Iid(1)], ..other.clone() });
    let born = [Write::InsertInstance(instance(1, 0))].into_iter().chain(all);
    assert_eq!(rows(batch(born)), other, "of one that was born in it nothing is left at all");
}

/// In half a second where each deletion looks at the rows of its own instance; in hours where it looks at all.
#[test]
fn a_batch_may_delete_a_hundred_thousand_instances_that_it_has_rows_of() {
    let iids = 1..=100_000;
    let born = iids.clone().flat_map(|iid| {
        let rows = [Write::AppendHistory(turn(iid, 0)), message(iid, 1), Write::PutReply(reply(iid, "ask"))];
        rows.into_iter().chain([Write::PutActivity(activity(iid, 2, "a"))])
    });
    let merged = rows(batch(born.chain(iids.clone().map(|iid| Write::DeleteInstance(Iid(iid))))));
    assert_eq!(merged, Batch { instances_deleted: iids.map(Iid).collect(), ..Batch::default() });
}

#[test]
fn a_new_generation_drops_the_history_before_it_and_nothing_after() {
    let merged = batch([
        Write::AppendHistory(turn(1, 4)),
        Write::DropHistory(Iid(1), Turn(5)),
        Write::AppendHistory(turn(1, 6)),
        Write::DropHistory(Iid(1), Turn(7)),
        Write::AppendHistory(turn(1, 8)),
        Write::AppendHistory(turn(2, 1)),
    ]);
    assert_eq!(merged.history_dropped, [(Iid(1), Turn(7))]);
    assert_eq!(merged.history_appended, [turn(1, 8), turn(2, 1)]);
    let born = batch([
        Write::InsertInstance(instance(1, 1)),
        Write::AppendHistory(turn(1, 0)),
        Write::DropHistory(Iid(1), Turn(1)),
    ]);
    assert_eq!((born.history_dropped, born.history_appended), (vec![], vec![]), "the store has none of it");
}

#[test]
fn a_hub_that_is_deleted_and_made_again_is_there_and_one_that_is_made_and_deleted_is_not() {
    let hub = Hub::new("hub");
    let published = PublishedRow {
        hub: hub.clone(),
        kind: "k".into(),
        key: "1".into(),
        owner: InstanceId::new("1"),
        body: None,
        terms: Vec::new(),
    };
    let deleted =
        batch([Write::Publish(published.clone()), Write::CreateHub(hub.clone()), Write::DeleteHub(hub.clone())]);
    assert_eq!((deleted.hubs_created, deleted.published), (vec![], vec![]));
    assert_eq!(deleted.hubs_deleted, std::slice::from_ref(&hub));
    let again = batch([
        Write::DeleteHub(hub.clone()),
        Write::DeleteHub(hub.clone()),
        Write::CreateHub(hub.clone()),
        Write::Publish(published.clone()),
    ]);
    assert_eq!(again.hubs_deleted, std::slice::from_ref(&hub));
    assert_eq!(again.hubs_created, [hub]);
    assert_eq!(again.published, [published]);
}

#[test]
fn what_was_published_in_the_batch_is_withdrawn_with_what_was_before_it_and_what_comes_after_stays() {
    let hub = Hub::new("hub");
    let row = |key: &str, owner: &str, body: Option<&'static str>| PublishedRow {
        hub: hub.clone(),
        kind: "k".into(),
        key: key.into(),
        owner: InstanceId::new(owner),
        body: body.map(Bytes::from),
        terms: body.iter().map(|body| Term { text: (*body).into(), order: 1 }).collect(),
    };
    let key = InstanceKey::new(hub.clone(), InstanceId::new("gone"));
    let merged = batch([
        Write::Publish(row("1", "other", Some("covered"))),
        Write::Publish(row("1", "gone", Some("withdrawn"))),
        Write::Publish(row("2", "other", Some("kept"))),
        Write::Withdraw(key.clone()),
        Write::Withdraw(key.clone()),
        Write::Publish(row("3", "gone", Some("after"))),
    ]);
    assert_eq!(merged.withdrawn, [key]);
    let expected = [
        row("1", "other", Some("covered")),
        row("1", "gone", None),
        row("2", "other", Some("kept")),
        row("3", "gone", Some("after")),
    ];
    assert_eq!(merged.published, expected);
}

/// What a partition decides, as far as its rows are concerned. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Start {
        hub: usize,
    },
    Receive {
        which: usize,
    },
    Turn {
        which: usize,
        consumed: usize,
        activities: usize,
        timers: usize,
    },
    Done {
        which: usize,
        activity: usize,
    },
    Fire {
        which: usize,
        timer: usize,
    },
    SetAside {
        which: usize,
        activity: usize,
    },
    ContinueAsNew {
        which: usize,
    },
    StartOver {
        which: usize,
    },
    Reply {
        which: usize,
        ask: u8,
    },
    Publish {
        hub: usize,
        key: u8,
        owner: u8,
        gone: bool,
    },
    Withdraw {
        hub: usize,
        owner: u8,
    },
    CreateHub {
        hub: usize,
    },
    DeleteHub {
        hub: usize,
    },
    /// The batch is sealed here.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..4_usize;
    let small = 0..3_usize;
    let hub = 0..2_usize;
    let step = prop_oneof![
        6 => hub.clone().prop_map(|hub| Step::Start { hub }),
        9 => which.clone().prop_map(|which| Step::Receive { which }),
        9 => (which.clone(), 0..5_usize, small.clone(), small.clone())
            .prop_map(|(which, consumed, activities, timers)| Step::Turn { which, consumed, activities, timers }),
        5 => (which.clone(), small.clone()).prop_map(|(which, activity)| Step::Done { which, activity }),
        4 => (which.clone(), small.clone()).prop_map(|(which, timer)| Step::Fire { which, timer }),
        2 => (which.clone(), small).prop_map(|(which, activity)| Step::SetAside { which, activity }),
        3 => which.clone().prop_map(|which| Step::ContinueAsNew { which }),
        3 => which.clone().prop_map(|which| Step::StartOver { which }),
        2 => (which, 0..2_u8).prop_map(|(which, ask)| Step::Reply { which, ask }),
        4 => (hub.clone(), 0..2_u8, 0..2_u8, any::<bool>())
            .prop_map(|(hub, key, owner, gone)| Step::Publish { hub, key, owner, gone }),
        2 => (hub.clone(), 0..2_u8).prop_map(|(hub, owner)| Step::Withdraw { hub, owner }),
        1 => hub.clone().prop_map(|hub| Step::CreateHub { hub }),
        1 => hub.prop_map(|hub| Step::DeleteHub { hub }),
        6 => Just(Step::Cut),
    ];
    vec(step, 1..80)
}

/// An instance, as its partition knows it.
#[derive(Debug, Clone)]
struct Known {
    iid: Iid,
    hub: Hub,
    life: u32,
    seq: u64,
    turn: u32,
    turn_first: u32,
    inbox: Vec<Seq>,
    activities: Vec<Seq>,
    timers: Vec<TimerRow>,
}

/// Turns steps into writes, in the manner of the partition.
#[derive(Debug, Default)]
struct Writer {
    instances: Vec<Known>,
    iid: u64,
    version: i64,
    /// Instances with rows in the batch that fills: a hub's deletion finds these in memory.
    hot: BTreeSet<Iid>,
    writes: Vec<Write>,
}

impl Writer {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start { hub } => self.start(Hub::new(["north", "south"][hub]), 0),
            Step::Withdraw { hub, owner } => {
                let key = InstanceKey::new(Hub::new(["north", "south"][hub]), InstanceId::new(owner.to_string()));
                self.writes.push(Write::Withdraw(key));
            }
            Step::CreateHub { hub } => self.writes.push(Write::CreateHub(Hub::new(["north", "south"][hub]))),
            Step::DeleteHub { hub } => self.delete_hub(&Hub::new(["north", "south"][hub])),
            Step::Publish { hub, key, owner, gone } => self.writes.push(Write::Publish(PublishedRow {
                hub: Hub::new(["north", "south"][hub]),
                kind: "requests".into(),
                key: key.to_string().into(),
                owner: InstanceId::new(owner.to_string()),
                body: (!gone).then(|| Bytes::from(self.iid.to_string())),
                terms: if gone { Vec::new() } else { vec![Term { text: "t".into(), order: 0 }] },
            })),
            Step::Cut => self.hot.clear(),
            Step::Receive { which }
            | Step::Turn { which, .. }
            | Step::Done { which, .. }
            | Step::Fire { which, .. }
            | Step::SetAside { which, .. }
            | Step::ContinueAsNew { which }
            | Step::StartOver { which }
            | Step::Reply { which, .. } => {
                if let Some(which) = which.checked_rem(self.instances.len()) {
                    self.hot.insert(self.instances[which].iid);
                    self.step_of(which, step);
                }
            }
        }
    }

    fn step_of(&mut self, which: usize, step: &Step) {
        match *step {
            Step::Receive { .. } => self.receive(which),
            Step::Turn { consumed, activities, timers, .. } => self.turn(which, consumed, activities, timers),
            Step::Done { activity, .. } => {
                let known = &mut self.instances[which];
                if let Some(at) = activity.checked_rem(known.activities.len()) {
                    let seq = known.activities.remove(at);
                    self.writes.push(Write::DeleteActivity(known.iid, seq));
                    self.receive(which);
                }
            }
            Step::Fire { timer, .. } => {
                let known = &mut self.instances[which];
                if let Some(at) = timer.checked_rem(known.timers.len()) {
                    let row = known.timers.remove(at);
                    self.writes.push(Write::DeleteTimer(row));
                    self.receive(which);
                }
            }
            Step::SetAside { activity, .. } => {
                let known = &self.instances[which];
                if let Some(at) = activity.checked_rem(known.activities.len()) {
                    let row = ActivityRow { iid: known.iid, seq: known.activities[at], data: "set aside".into() };
                    self.writes.push(Write::UpdateActivity(row));
                }
            }
            Step::ContinueAsNew { .. } => self.continue_as_new(which),
            Step::StartOver { .. } => {
                let known = self.delete(which);
                self.start(known.hub, known.life + 1);
            }
            Step::Reply { ask, .. } => {
                let known = &self.instances[which];
                let answer = Some(Arc::from(self.version.to_string()));
                let (iid, turn, ask_id) = (known.iid, Turn(known.turn), ask.to_string().into());
                self.writes.push(Write::PutReply(ReplyRow { iid, ask_id, turn, answer }));
            }
            _ => unreachable!("the others concern no instance"),
        }
    }

    fn start(&mut self, hub: Hub, life: u32) {
        self.iid += 1;
        let iid = Iid(self.iid);
        let known = Known {
            iid,
            hub,
            life,
            seq: 0,
            turn: 0,
            turn_first: 0,
            inbox: Vec::new(),
            activities: Vec::new(),
            timers: Vec::new(),
        };
        self.hot.insert(iid);
        self.instances.push(known);
        let row = self.row(self.instances.len() - 1);
        self.writes.push(Write::InsertInstance(row));
        self.receive(self.instances.len() - 1);
    }

    fn row(&mut self, which: usize) -> InstanceRow {
        self.version += 1;
        let known = &self.instances[which];
        let active = !known.inbox.is_empty();
        InstanceRow { hub: known.hub.clone(), active, ..instance(known.iid.0, self.version) }
    }

    fn update(&mut self, which: usize) {
        let row = self.row(which);
        // The flag may be set though nothing changed, never the other way round.
        self.writes.push(Write::UpdateInstance(row, true));
    }

    fn next_seq(&mut self, which: usize) -> Seq {
        let known = &mut self.instances[which];
        known.seq += 1;
        Seq(known.seq)
    }

    fn receive(&mut self, which: usize) {
        let seq = self.next_seq(which);
        let known = &mut self.instances[which];
        known.inbox.push(seq);
        self.writes.push(message(known.iid.0, seq.0));
    }

    fn turn(&mut self, which: usize, consumed: usize, activities: usize, timers: usize) {
        let known = &mut self.instances[which];
        let iid = known.iid;
        for seq in known.inbox.drain(..consumed.min(known.inbox.len())) {
            self.writes.push(Write::DeleteInbox(iid, seq));
        }
        self.writes.push(Write::AppendHistory(turn(iid.0, known.turn)));
        known.turn += 1;
        for _ in 0..activities {
            let seq = self.next_seq(which);
            self.instances[which].activities.push(seq);
            self.writes.push(Write::PutActivity(ActivityRow { iid, seq, data: "as scheduled".into() }));
        }
        for _ in 0..timers {
            let row = timer(iid.0, self.next_seq(which).0);
            self.instances[which].timers.push(row);
            self.writes.push(Write::PutTimer(row));
        }
        self.update(which);
    }

    fn drop_pending(&mut self, which: usize) {
        let known = &mut self.instances[which];
        let iid = known.iid;
        self.writes.extend(known.timers.drain(..).map(Write::DeleteTimer));
        self.writes.extend(known.activities.drain(..).map(|seq| Write::DeleteActivity(iid, seq)));
    }

    fn continue_as_new(&mut self, which: usize) {
        self.drop_pending(which);
        let known = &mut self.instances[which];
        let iid = known.iid;
        self.writes.push(Write::DropReplies(iid, Turn(known.turn_first)));
        if known.turn > known.turn_first {
            self.writes.push(Write::DropHistory(iid, Turn(known.turn)));
        }
        known.turn += 1;
        known.turn_first = known.turn;
        self.writes.extend(known.inbox.drain(..).map(|seq| Write::DeleteInbox(iid, seq)));
        self.receive(which);
        self.update(which);
    }

    fn delete(&mut self, which: usize) -> Known {
        self.drop_pending(which);
        let known = self.instances.remove(which);
        self.writes.push(Write::DeleteInstance(known.iid));
        known
    }

    fn delete_hub(&mut self, hub: &Hub) {
        while let Some(which) = self.instances.iter().position(|known| known.hub == *hub) {
            let known = self.instances.remove(which);
            // Of one that is in the store alone nothing is said: the store deletes the hub.
            if self.hot.contains(&known.iid) {
                self.writes.push(Write::DropInstance(known.iid, known.timers));
            }
        }
        self.writes.push(Write::DeleteHub(hub.clone()));
    }
}

/// The least that a store is, and as strict as can be.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    hubs: BTreeSet<Hub>,
    instances: BTreeMap<Iid, InstanceRow>,
    history: BTreeMap<(Iid, Turn), HistoryRow>,
    inbox: BTreeMap<(Iid, Seq), InboxRow>,
    activities: BTreeMap<(Iid, Seq), ActivityRow>,
    timers: BTreeSet<TimerRow>,
    replies: BTreeMap<(Iid, Arc<str>), ReplyRow>,
    published: BTreeMap<PublishedKey, (InstanceId, Bytes)>,
}

/// A hub, a projection of it, and a key in that.
type PublishedKey = (Hub, Arc<str>, Arc<str>);

impl Rows {
    fn apply(&mut self, batch: Batch) {
        let hubs_are_deleted = !batch.hubs_deleted.is_empty();
        batch.hubs_deleted.iter().for_each(|hub| self.delete_hub(hub));
        for iid in &batch.instances_deleted {
            assert!(self.delete_instance(*iid) || hubs_are_deleted, "instance {iid} is there");
        }
        for (iid, before) in batch.history_dropped {
            self.history.retain(|(owner, turn), _| *owner != iid || *turn >= before);
        }
        for (iid, before) in batch.replies_dropped {
            self.replies.retain(|(owner, _), row| *owner != iid || row.turn >= before);
        }
        for key in batch.inbox_deleted {
            assert!(self.inbox.remove(&key).is_some(), "message {key:?} is there");
        }
        for key in batch.activities_deleted {
            assert!(self.activities.remove(&key).is_some(), "activity {key:?} is there");
        }
        for row in batch.timers_deleted {
            assert!(self.timers.remove(&row) || hubs_are_deleted, "timer {row:?} is there");
        }
        for key in batch.withdrawn {
            self.published.retain(|(hub, ..), (owner, _)| *hub != key.hub || *owner != key.id);
        }
        self.hubs.extend(batch.hubs_created);
        for row in batch.instances_inserted {
            self.hubs.insert(row.hub.clone());
            assert!(self.instances.insert(row.iid, row).is_none(), "an instance is inserted once");
        }
        for (row, _) in batch.instances_updated {
            assert!(self.instances.insert(row.iid, row).is_some(), "what is updated is there");
        }
        for row in batch.history_appended {
            assert!(self.history.insert((row.iid, row.turn), row).is_none(), "a turn is appended once");
        }
        for row in batch.inbox_put {
            assert!(self.inbox.insert((row.iid, row.seq), row).is_none(), "a message comes once");
        }
        self.activities.extend(batch.activities_put.into_iter().map(|row| ((row.iid, row.seq), row)));
        for row in batch.timers_put {
            assert!(self.timers.insert(row), "a timer is set once");
        }
        self.replies.extend(batch.replies_put.into_iter().map(|row| ((row.iid, row.ask_id.clone()), row)));
        for row in batch.published {
            let key = (row.hub.clone(), row.kind, row.key);
            match row.body {
                Some(body) => drop((self.hubs.insert(row.hub), self.published.insert(key, (row.owner, body)))),
                None => drop(self.published.remove(&key)),
            }
        }
    }

    fn delete_instance(&mut self, iid: Iid) -> bool {
        self.history.retain(|(owner, _), _| *owner != iid);
        self.inbox.retain(|(owner, _), _| *owner != iid);
        self.activities.retain(|(owner, _), _| *owner != iid);
        self.replies.retain(|(owner, _), _| *owner != iid);
        self.instances.remove(&iid).is_some()
    }

    fn delete_hub(&mut self, hub: &Hub) {
        let gone: Vec<Iid> = self.instances.values().filter(|row| row.hub == *hub).map(|row| row.iid).collect();
        self.timers.retain(|row| !gone.contains(&row.iid));
        for iid in gone {
            self.delete_instance(iid);
        }
        self.published.retain(|(owner, ..), _| owner != hub);
        self.hubs.remove(hub);
    }

    /// Every row that can be born and die.
    fn keys(&self) -> BTreeSet<(char, Iid, u64)> {
        let inbox = self.inbox.keys().map(|(iid, seq)| ('m', *iid, seq.0));
        let activities = self.activities.keys().map(|(iid, seq)| ('a', *iid, seq.0));
        let timers = self.timers.iter().map(|row| ('t', row.iid, row.seq.0));
        let history = self.history.keys().map(|(iid, turn)| ('h', *iid, u64::from(turn.0)));
        let instances = self.instances.keys().map(|iid| ('i', *iid, 0));
        inbox.chain(activities).chain(timers).chain(history).chain(instances).collect()
    }
}

fn put_count(batch: &Batch) -> usize {
    let inserts = batch.instances_inserted.len() + batch.history_appended.len();
    inserts + batch.inbox_put.len() + batch.activities_put.len() + batch.timers_put.len()
}

proptest! {
    #[test]
    fn a_merged_batch_does_what_its_writes_do_one_by_one(steps in steps()) {
        let mut writer = Writer::default();
        let (mut one_by_one, mut merged) = (Rows::default(), Rows::default());
        for step in steps.iter().chain([&Step::Cut]) {
            writer.step(step);
            if !matches!(step, Step::Cut) {
                continue;
            }
            let writes = std::mem::take(&mut writer.writes);
            let replaced = writes.iter().filter(|write| matches!(write, Write::UpdateActivity(_))).count();
            let before = merged.keys();
            writes.iter().for_each(|write| one_by_one.apply(batch([write.clone()])));
            let batch = batch(writes);
            let put = put_count(&batch);
            merged.apply(batch);
            prop_assert_eq!(&merged, &one_by_one);
            // Only what is new, and stays, was written.
            let born = merged.keys().difference(&before).count();
            prop_assert!(put <= born + replaced, "{put} rows put for {born} that stay");
        }
    }
}
