//! Record rows in memory: those that were decided and are not durable yet, and those that are being read. Nothing is kept
//! of the others: a row is read when a command needs it, and is as the store has it.

use crate::command::{RecordCommand, Refusal};
use crate::ids::{Hub, RecordKey};
use crate::outcome::Outcome;
use crate::rows::{ReadFailure, RecordRow};
use crate::time::{Now, Timestamp};

use super::{Map, Partition};

/// What a partition has of record rows.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Decided, and at least one of the decisions is not durable.
    held: Map<RecordKey, Held>,
    /// Being read, and what waits for them.
    loading: Map<RecordKey, Loading>,
    /// How many were asked for.
    asked: u64,
}

/// A row as it was decided last.
#[derive(Debug)]
struct Held {
    stands: Option<Standing>,
    /// How many of its writes are not durable.
    unsettled: usize,
}

/// What a decision needs to know of a row that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) version: u64,
    pub(crate) expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Loading {
    /// An answer to another question is older.
    number: u64,
    commands: Vec<RecordCommand>,
}

impl Records {
    /// A row was written or deleted, which is not durable yet.
    pub(crate) fn hold(&mut self, key: &RecordKey, stands: Option<Standing>) {
        let held = self.held.entry(key.clone()).or_insert(Held { stands, unsettled: 0 });
        held.stands = stands;
        held.unsettled += 1;
    }

    /// What waits for a row to be read, to be handled again.
    pub(crate) fn take_waiting(&mut self) -> Vec<RecordCommand> {
        let mut loading: Vec<(RecordKey, Loading)> = std::mem::take(&mut self.loading).into_iter().collect();
        loading.sort_by_key(|(_, loading)| loading.number);
        loading.into_iter().flat_map(|(_, loading)| loading.commands).collect()
    }
}

impl Partition {
    /// Takes a command for a record row: decides it if the row is known, else it waits. Which row is to be read for it, with
    /// the number of that question, if none is under way.
    pub(crate) fn handle_record(
        &mut self,
        now: Now,
        command: RecordCommand,
        outcome: &mut Outcome,
    ) -> Option<(RecordKey, u64)> {
        if let Some(held) = self.records.held.get(&command.key) {
            let stands = held.stands;
            self.decide_record(now, command, stands, outcome);
        } else if self.hubs_deleted.contains(&command.key.hub) {
            // The store has it still.
            self.decide_record(now, command, None, outcome);
        } else if let Some(loading) = self.records.loading.get_mut(&command.key) {
            loading.commands.push(command);
        } else {
            self.records.asked += 1;
            let (key, number) = (command.key.clone(), self.records.asked);
            self.records.loading.insert(key.clone(), Loading { number, commands: vec![command] });
            return Some((key, number));
        }
        None
    }

    /// The store's answer. What waited for it is decided in the order in which it came.
    pub(crate) fn record_loaded(
        &mut self,
        now: Now,
        (key, number): (&RecordKey, u64),
        found: Result<Option<RecordRow>, ReadFailure>,
        outcome: &mut Outcome,
    ) {
        if self.records.loading.get(key).is_none_or(|loading| loading.number != number) {
            return; // it was asked before its hub was deleted
        }
        let Some(Loading { commands, .. }) = self.records.loading.remove(key) else { return };
        let mut stands = match found {
            Ok(row) => row.map(|row| Standing { version: row.version, expires_at: row.expires_at }),
            Err(ReadFailure::Damaged(why) | ReadFailure::Unavailable(why)) => {
                for command in commands {
                    outcome.reply(command.call, Err(Refusal::Unreadable(why.clone())));
                }
                return;
            }
        };
        for command in commands {
            self.decide_record(now, command, stands, outcome);
            stands = self.records.held.get(key).map_or(stands, |held| held.stands);
        }
    }

    /// A write of a row is durable: the store has it.
    pub(crate) fn record_settled(&mut self, key: &RecordKey) {
        let Some(held) = self.records.held.get_mut(key) else { return };
        held.unsettled -= 1;
        if held.unsettled == 0 {
            self.records.held.remove(key);
        }
    }

    /// The rows of a hub go with it. Those that are held stay so, as absent: their writes have yet to become durable.
    pub(super) fn drop_records(&mut self, hub: &Hub, outcome: &mut Outcome) {
        for (key, held) in &mut self.records.held {
            if key.hub == *hub {
                held.stands = None;
            }
        }
        for (_, loading) in self.records.loading.extract_if(|key, _| key.hub == *hub) {
            for command in loading.commands {
                outcome.reply(command.call, Err(Refusal::Unknown));
            }
        }
    }
}
