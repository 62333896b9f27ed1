//! Random scripts: batches, one after the other, told to the store and to the model. After each, both answer the same
//! questions; now and then the store is closed or killed and opened again, and must hold the same rows; now and then
//! a batch contradicts what is there, and must leave nothing behind.
//!
//! Keys are never used twice and rows only change while they are there, as the core promises. What varies is
//! what the law is about: which rows of which kind meet in a batch, and where the script is interrupted.

use bytes::Bytes;
use placet_core::body::InstanceBody;
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, RecordKey, Seq, Turn};
use placet_core::rows::{
    ActivityRow, AheadPiece, Batch, HistoryRow, InboxRow, InstanceRow, LoadedInstance, Lookup, PayloadKey,
    PublishedRow, RecordRow, ReplyRow, Term, TimerRow,
};
use placet_core::time::Timestamp;
use prost::Message as _;

use super::chance::Chance;
use super::stage::Stage;
use crate::dump::{Dump, Extent};
use crate::model::ModelStore;
use crate::{ReadError, Store};

const BATCHES: u64 = 12;
const HUBS: [&str; 3] = ["default", "g", "hub-3"];
const IDS: [&str; 6] = ["a", "b", "c", "ä", "request-1", "🦀"];
const TERMS: [&str; 6] = ["s:open", "s:done", "w:alpha", "w:alpine", "w:beta", "due"];
const NAMES: [&str; 4] = ["1", "2", "req", "ü"];
const STATUSES: u64 = 8;

/// Runs the script with this seed; returns what the store holds at its end.
pub(super) fn run(seed: u64, stage: &mut Stage) -> Dump {
    let mut script = Script::new(seed);
    for step in 0..BATCHES {
        let at = format!("seed {seed}, after batch {step}");
        if script.chance.one_in(5) {
            let (what, batch) = script.contradiction();
            assert!(script.model.commit(&batch).is_err(), "{at}: {what} is refused by the model");
            assert!(stage.store().commit(&batch).is_err(), "{at}: {what} is refused");
            agree_on_rows(&script, stage, &format!("{at}, when {what} was refused,"));
        }
        let mut batch = script.batch();
        for piece in script.ahead(&mut batch) {
            stage.store().write_ahead(&piece).unwrap_or_else(|error| panic!("{at}: {error:?}"));
        }
        if script.chance.one_in(8) {
            agree_on_rows(&script, stage, &format!("{at}, with rows that lie ahead of the next one,"));
        }
        script.apply(&batch);
        stage.commit(batch);
        agree_on_reads(&mut script, stage, &at);
        if script.chance.one_in(3) {
            for _ in 0..script.chance.below(12) {
                stage.store().sweep().unwrap_or_else(|error| panic!("{at}: {error:?}"));
            }
            agree_on_rows(&script, stage, &format!("{at}, swept,"));
        }
        if script.chance.one_in(6) {
            stage.reopen();
            agree_on_rows(&script, stage, &at);
        } else if script.chance.one_in(6) {
            stage.kill();
            agree_on_rows(&script, stage, &format!("{at}, killed,"));
        }
    }
    agree_on_rows(&script, stage, &format!("seed {seed}, at the end"))
}

fn agree_on_rows(script: &Script, stage: &Stage, at: &str) -> Dump {
    let (told, expected) = (script.read(stage.store()).expect("the store can be read"), script.dump());
    assert!(told == expected, "{at} the store holds\n{told}\nand the model\n{expected}");
    told
}

/// Asks for pages and parts, which a dump does not.
fn agree_on_reads(script: &mut Script, stage: &Stage, at: &str) {
    let chance = &mut script.chance;
    let (store, model) = (stage.store(), &script.model);
    let rows = model.dump();
    let limit = usize::try_from(chance.below(6)).expect("small") + 1;
    let bytes_max = usize::try_from(chance.below(4_000)).expect("small");
    let half = u8::try_from(chance.below(256)).expect("small");
    let partitions = move |partition: PartitionId| partition.0 >= half;

    let lookups = [Lookup::Key(name(chance))];
    assert_eq!(store.load(&lookups).ok(), model.load(&lookups).ok(), "{at}");

    let after = (!chance.one_in(2)).then(|| Iid(chance.below(script.iid + 1)));
    let active = |store: &dyn Store| all_active(store, &partitions, after, limit, bytes_max);
    assert_eq!(active(store), active(model), "{at}");

    let iid = Iid(chance.below(script.iid + 1));
    let from = Turn(u32::try_from(chance.below(4)).expect("small"));
    assert_eq!(store.history(iid, from, bytes_max).ok(), model.history(iid, from, bytes_max).ok(), "{at}");

    let until = Timestamp(script.now + 5_000_000);
    let after = chance.pick(&rows.timers);
    let due = |store: &dyn Store| store.due(&partitions, after, until, limit).ok();
    assert_eq!(due(store), due(model), "{at}");
}

fn all_active(
    store: &dyn Store,
    partitions: &dyn Fn(PartitionId) -> bool,
    mut after: Option<Iid>,
    limit: usize,
    bytes_max: usize,
) -> Vec<LoadedInstance> {
    let mut found = Vec::new();
    loop {
        let page = store.recover(partitions, after, limit, bytes_max).expect("the store can be read");
        found.extend(page.instances);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// A random script: what to commit next, and what a store holds that was told all of it. For tests that interrupt a
/// store in ways of their own.
#[derive(Debug)]
pub struct Script {
    chance: Chance,
    /// What lies ahead changes nothing else.
    ahead: Chance,
    strays: u64,
    model: ModelStore,
    iid: u64,
    seq: u64,
    now: i64,
}

impl Script {
    /// The script with this seed.
    pub fn new(seed: u64) -> Script {
        let (chance, ahead) = (Chance::new(seed), Chance::new(!seed));
        Script { chance, ahead, strays: 0, model: ModelStore::default(), iid: 0, seq: 0, now: 1_000_000 }
    }

    /// The model takes the batch as committed.
    ///
    /// # Panics
    /// If it is not the last one that the script gave.
    pub fn apply(&mut self, batch: &Batch) {
        self.model.commit(batch).expect("the script is valid");
    }

    /// What a store holds that was told all that was applied.
    pub fn dump(&self) -> Dump {
        self.model.dump()
    }

    /// The same once this batch is applied, too.
    ///
    /// # Panics
    /// If it is not the last one that the script gave.
    pub fn dump_with(&self, batch: &Batch) -> Dump {
        let mut state = self.model.state();
        state.apply(batch).expect("the script is valid");
        state.dump()
    }

    /// What a store holds that was told of this script.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn read(&self, store: &dyn Store) -> Result<Dump, ReadError> {
        Dump::read(store, &Extent { iid_max: Iid(self.iid), published: &every_name(), terms: &TERMS })
    }

    /// A batch that contradicts what is there in one place, anywhere in it, and what that is.
    fn contradiction(&mut self) -> (&'static str, Batch) {
        let there = self.model.dump();
        let mut batch = self.batch();
        // What the batch itself takes away does not stand in its way.
        let stays = |iid: Iid, hub: &Hub| !batch.instances_deleted.contains(&iid) && !batch.hubs_deleted.contains(hub);
        let staying = there.instances.iter().filter(|found| stays(found.row.iid, &found.row.hub)).cloned();
        let found = self.chance.pick(&staying.collect::<Vec<_>>());
        let absent = |script: &mut Script, batch: &mut Batch| {
            let row = script.new_row(InstanceKey::new(Hub::new("default"), InstanceId::new("never inserted")));
            batch.instances_updated.insert(0, (row, script.chance.one_in(2)));
            "a change of an absent instance"
        };
        let Some(found) = found else { return (absent(self, &mut batch), batch) };
        let turn = there.history.iter().find(|row| row.iid == found.row.iid);
        let turn =
            turn.filter(|row| batch.history_dropped.iter().all(|(iid, before)| (*iid, *before) <= (row.iid, row.turn)));
        let message = found.inbox.iter().find(|row| !batch.inbox_deleted.contains(&(row.iid, row.seq)));
        let what = match self.chance.below(6) {
            0 => {
                let row = self.new_row(InstanceKey::new(Hub::new("default"), InstanceId::new("another name")));
                batch.instances_inserted.push(InstanceRow { iid: found.row.iid, ..row });
                "a new instance with the key of another"
            }
            1 => {
                let row = self.new_row(found.row.key());
                batch.instances_inserted.insert(0, row);
                "a new instance with the name of another"
            }
            2 => {
                let row = InstanceRow { id: InstanceId::new("renamed"), ..found.row };
                batch.instances_updated.push((row, true));
                "another name for an instance"
            }
            3 if turn.is_some() => {
                batch.history_appended.extend(turn.cloned());
                "a turn that is there"
            }
            4 if message.is_some() => {
                batch.inbox_put.extend(message.cloned());
                "a message that is there"
            }
            _ => absent(self, &mut batch),
        };
        (what, batch)
    }

    /// The next batch. It need not be applied: what it would have inserted is never named again.
    pub fn batch(&mut self) -> Batch {
        self.now += i64::try_from(self.chance.below(2_000_000)).expect("small");
        let there = self.model.dump();
        let mut batch = Batch { newest: Timestamp(self.now), ..Batch::default() };
        if self.chance.one_in(12) {
            batch.hubs_deleted.push(hub(&mut self.chance));
        }
        if self.chance.one_in(8) {
            batch.hubs_created.push(hub(&mut self.chance));
        }
        let new = self.new_names(&batch);
        for instance in &there.instances {
            if batch.hubs_deleted.contains(&instance.row.hub) {
                continue;
            }
            if new.contains(&instance.row.key()) || self.chance.one_in(10) {
                delete(&mut batch, &there, instance.row.iid);
            } else if self.chance.one_in(2) {
                self.change(&mut batch, &there, instance);
            }
        }
        for key in new {
            self.insert(&mut batch, key);
        }
        self.publish(&mut batch);
        self.change_records(&mut batch);
        batch
    }

    /// Pieces of some of a batch's payloads, to be written before it, and of payloads whose rows never come. The batch says which
    /// of its rows they are for.
    pub fn ahead(&mut self, batch: &mut Batch) -> Vec<AheadPiece> {
        let there = self.model.dump();
        let is_new = |row: &&ActivityRow| {
            there.instances.iter().all(|found| !found.activities.iter().any(|a| a.iid == row.iid && a.seq == row.seq))
        };
        let history = batch.history_appended.iter().map(|row| (PayloadKey::History(row.iid, row.turn), &row.events));
        let inbox = batch.inbox_put.iter().map(|row| (PayloadKey::Inbox(row.iid, row.seq), &row.data));
        let activities = batch.activities_put.iter().filter(is_new);
        let activities = activities.map(|row| (PayloadKey::Activity(row.iid, row.seq), &row.data));
        let payloads: Vec<(PayloadKey, Bytes)> =
            history.chain(inbox).chain(activities).map(|(of, payload)| (of, payload.clone())).collect();
        let mut pieces = Vec::new();
        for (of, payload) in payloads.into_iter().filter(|(_, payload)| !payload.is_empty()) {
            if !self.ahead.one_in(3) {
                continue;
            }
            if self.ahead.one_in(4) {
                // An earlier attempt came to nothing, somewhere on its way.
                let earlier = vec![0x2A; 1 + usize::try_from(self.ahead.below(300)).expect("small")];
                self.cut(of, &earlier.into(), &mut pieces);
            }
            self.cut(of, &payload, &mut pieces);
            batch.ahead.push(of);
        }
        batch.ahead.sort_unstable();
        if self.ahead.one_in(4) {
            self.strays += 1;
            let owner = self.ahead.pick(&there.instances).map_or(Iid(self.iid + 1), |found| found.row.iid);
            let of = PayloadKey::Inbox(owner, Seq((1 << 40) + self.strays));
            self.cut(of, &vec![0x2A; 500].into(), &mut pieces);
            match self.ahead.below(3) {
                0 => batch.ahead_dropped.push(of),
                1 => pieces.push(AheadPiece { of, part: 0, data: Bytes::new() }),
                _ => {}
            }
        }
        pieces
    }

    fn cut(&mut self, of: PayloadKey, payload: &Bytes, pieces: &mut Vec<AheadPiece>) {
        let length = 1 + payload.len() / 8 + usize::try_from(self.ahead.below(200)).expect("small");
        let cuts = (0..payload.len()).step_by(length).map(|at| payload.slice(at..payload.len().min(at + length)));
        pieces.extend((0..).zip(cuts).map(|(part, data)| AheadPiece { of, part, data }));
    }

    /// The names of new instances; one that is taken is given up first, in the same batch.
    fn new_names(&mut self, batch: &Batch) -> Vec<InstanceKey> {
        let mut names: Vec<InstanceKey> = (0..self.chance.below(4)).map(|_| name(&mut self.chance)).collect();
        names.sort();
        names.dedup();
        names.retain(|key| !batch.hubs_deleted.contains(&key.hub) || self.chance.one_in(2));
        names
    }

    fn insert(&mut self, batch: &mut Batch, key: InstanceKey) {
        let row = self.new_row(key);
        let row = self.plain_change_of(row);
        let row = self.indexed_change(row);
        self.put_rows(batch, &row, 0);
        batch.instances_inserted.push(row);
    }

    fn new_row(&mut self, key: InstanceKey) -> InstanceRow {
        self.iid += 1;
        InstanceRow {
            iid: Iid(self.iid),
            hub: key.hub,
            id: key.id,
            name: NAMES[0].into(),
            status: Default::default(),
            active: true,
            created_at: Timestamp(self.now),
            updated_at: Timestamp(self.now),
            completed_at: None,
            body: Bytes::new(),
        }
    }

    fn change(&mut self, batch: &mut Batch, there: &Dump, instance: &LoadedInstance) {
        let iid = instance.row.iid;
        self.delete_rows(batch, there, instance);
        let turn = there.history.iter().filter(|row| row.iid == iid).map(|row| row.turn.0 + 1).max();
        self.put_rows(batch, &instance.row, turn.unwrap_or(0));
        let kept: Vec<ActivityRow> = instance.activities.iter().filter(|row| stays(batch, row)).cloned().collect();
        if let Some(row) = self.chance.pick(&kept) {
            batch.activities_put.push(ActivityRow { data: self.payload(), ..row });
        }
        let plain = self.plain_change_of(instance.row.clone());
        if self.chance.one_in(2) {
            batch.instances_updated.push((plain, false));
        } else {
            let indexed = self.indexed_change(plain);
            batch.instances_updated.push((indexed, true));
        }
    }

    fn delete_rows(&mut self, batch: &mut Batch, there: &Dump, instance: &LoadedInstance) {
        let iid = instance.row.iid;
        let messages = instance.inbox.iter().filter(|_| self.chance.one_in(2));
        batch.inbox_deleted.extend(messages.map(|row| (iid, row.seq)));
        let activities = instance.activities.iter().filter(|_| self.chance.one_in(2));
        batch.activities_deleted.extend(activities.map(|row| (iid, row.seq)));
        let timers = there.timers.iter().filter(|row| row.iid == iid && self.chance.one_in(2));
        batch.timers_deleted.extend(timers);
        let turns: Vec<Turn> = there.history.iter().filter(|row| row.iid == iid).map(|row| row.turn).collect();
        if self.chance.one_in(4)
            && let Some(before) = self.chance.pick(&turns)
        {
            batch.history_dropped.push((iid, before));
        }
        let replies: Vec<Turn> = instance.replies.iter().map(|row| row.turn).collect();
        if self.chance.one_in(4)
            && let Some(before) = self.chance.pick(&replies)
        {
            batch.replies_dropped.push((iid, before));
        }
    }

    /// New rows of every kind, some of each.
    fn put_rows(&mut self, batch: &mut Batch, owner: &InstanceRow, turn: u32) {
        let iid = owner.iid;
        for turn in turn..turn + self.some() {
            batch.history_appended.push(HistoryRow { iid, turn: Turn(turn), count: turn, events: self.payload() });
        }
        for _ in 0..self.some() {
            batch.inbox_put.push(InboxRow { iid, seq: self.next_seq(), data: self.payload() });
        }
        for _ in 0..self.some() {
            batch.activities_put.push(ActivityRow { iid, seq: self.next_seq(), data: self.payload() });
        }
        for _ in 0..self.some() {
            let fire_at = Timestamp(self.now + i64::try_from(self.chance.below(10_000_000)).expect("small"));
            let partition = owner.key().partition();
            batch.timers_put.push(TimerRow { fire_at, iid, seq: self.next_seq(), partition });
        }
        for _ in 0..self.some() {
            let ask_id = self.one_of(&NAMES).into();
            let answer = self.chance.one_in(2).then(|| self.one_of(&NAMES).into());
            batch.replies_put.push(ReplyRow { iid, ask_id, turn: Turn(turn), answer });
        }
    }

    fn publish(&mut self, batch: &mut Batch) {
        for _ in 0..self.chance.below(4) {
            let name = self.chance.pick(&every_name()).expect("there are names");
            let body = (!self.chance.one_in(3)).then(|| self.payload());
            let owner = if self.chance.one_in(2) { name.owner.clone() } else { InstanceId::new(self.one_of(&IDS)) };
            let terms = if body.is_some() { self.terms() } else { Vec::new() };
            batch.published.push(PublishedRow { body, owner, terms, ..name });
        }
        if self.chance.one_in(4) {
            batch.withdrawn.push(name(&mut self.chance));
        }
    }

    /// Some of all that there are; most in one order, as those of a request are.
    fn terms(&mut self) -> Vec<Term> {
        let order = i64::try_from(self.chance.below(5)).expect("small");
        let mut terms = Vec::new();
        for text in TERMS {
            if self.chance.one_in(2) {
                let order = if text == "due" { 100 - order } else { order };
                terms.push(Term { text: text.into(), order });
            }
        }
        terms
    }

    fn change_records(&mut self, batch: &mut Batch) {
        let mut changed = Vec::new();
        for _ in 0..self.chance.below(4) {
            let key = self.chance.pick(&every_record()).expect("there are names");
            if changed.contains(&key) {
                continue;
            }
            changed.push(key.clone());
            if self.chance.one_in(3) {
                batch.records_deleted.push(key);
            } else {
                let expires_at = self.chance.one_in(2).then_some(Timestamp(self.now));
                let version = self.chance.below(1_000);
                batch.records_put.push(RecordRow { key, version, expires_at, body: self.payload() });
            }
        }
    }

    fn plain_change_of(&mut self, row: InstanceRow) -> InstanceRow {
        let name = self.one_of(&NAMES).into();
        InstanceRow { name, updated_at: Timestamp(self.now), body: self.body(), ..row }
    }

    fn indexed_change(&mut self, row: InstanceRow) -> InstanceRow {
        let status = i32::try_from(self.chance.below(STATUSES)).expect("small");
        InstanceRow {
            status: status.try_into().expect("a status of the protocol"),
            active: self.chance.one_in(2),
            completed_at: self.chance.one_in(3).then_some(Timestamp(self.now)),
            ..row
        }
    }

    /// Mostly one that shows something to a search, else any bytes.
    fn body(&mut self) -> Bytes {
        if self.chance.one_in(3) {
            return self.payload();
        }
        let version = self.chance.one_in(2).then(|| self.one_of(&NAMES).to_owned());
        let tag = |script: &mut Script| (script.one_of(&NAMES).to_owned(), script.one_of(&IDS).to_owned());
        let tags = (0..self.some()).map(|_| tag(self)).collect();
        let later = Timestamp(self.now + 1_000_000).to_proto();
        let scheduled_start = self.chance.one_in(3).then_some(later);
        InstanceBody { version, tags, scheduled_start, ..InstanceBody::default() }.encode_to_vec().into()
    }

    fn next_seq(&mut self) -> Seq {
        self.seq += 1;
        Seq(self.seq)
    }

    fn some(&mut self) -> u32 {
        u32::try_from(self.chance.below(3)).expect("small")
    }

    fn one_of(&mut self, items: &[&'static str]) -> &'static str {
        self.chance.pick(items).expect("there are items")
    }

    /// Mostly short; now and then longer than a page of any engine.
    fn payload(&mut self) -> Bytes {
        let longest = if self.chance.one_in(20) { 20_000 } else { 100 };
        let length = usize::try_from(self.chance.below(longest)).expect("small");
        let letter = u8::try_from(self.chance.below(256)).expect("small");
        vec![letter; length].into()
    }
}

fn delete(batch: &mut Batch, there: &Dump, iid: Iid) {
    batch.instances_deleted.push(iid);
    batch.timers_deleted.extend(there.timers.iter().filter(|row| row.iid == iid));
}

fn stays(batch: &Batch, row: &ActivityRow) -> bool {
    !batch.activities_deleted.contains(&(row.iid, row.seq))
}

fn hub(chance: &mut Chance) -> Hub {
    Hub::new(chance.pick(&HUBS).expect("there are hubs"))
}

fn name(chance: &mut Chance) -> InstanceKey {
    InstanceKey::new(hub(chance), InstanceId::new(chance.pick(&IDS).expect("there are ids")))
}

/// Every name under which a script publishes.
fn every_name() -> Vec<PublishedRow> {
    let pairs = HUBS.iter().flat_map(|hub| NAMES.iter().map(move |key| (hub, key)));
    pairs
        .flat_map(|(hub, key)| {
            ["requests", "items"].map(|kind| PublishedRow {
                hub: Hub::new(hub),
                kind: kind.into(),
                key: (*key).into(),
                owner: InstanceId::new(*key),
                body: None,
                terms: Vec::new(),
            })
        })
        .collect()
}

/// Every record that a script writes.
fn every_record() -> Vec<RecordKey> {
    let pairs = HUBS.iter().flat_map(|hub| NAMES.iter().map(move |key| (hub, key)));
    pairs.flat_map(|(hub, key)| ["links", "users"].map(|kind| RecordKey::new(Hub::new(hub), kind, *key))).collect()
}
