//! Checks a record, entry by entry, from wherever it comes: the links of each chain, and what signed checkpoints say.

use std::collections::BTreeMap;

use placet_core::chain::{Entry, Hash, Head, Verifier};
use placet_core::ids::{Hub, InstanceKey, PartitionId};
use placet_scheduler::record::{Checkpoint, NoteKey};

/// A check under way.
#[derive(Debug)]
pub(super) struct Check {
    hub: Hub,
    chains: BTreeMap<PartitionId, Chain>,
    /// What checkpoints say of places in the chains: the link, and the checkpoint's number.
    said: BTreeMap<(PartitionId, u64), Vec<(Hash, u64)>>,
    checkpoints: u64,
    /// What the newest of them has signed, and whether nothing may be there that it has not.
    signed: BTreeMap<PartitionId, u64>,
    is_closed: bool,
    unsigned: u64,
    bad: Vec<String>,
}

/// How far a chain has come.
#[derive(Debug)]
struct Chain {
    verifier: Verifier,
    /// It is broken: what comes behind that says nothing.
    broken: bool,
}

impl Check {
    pub(super) fn new(hub: Hub) -> Check {
        Check {
            hub,
            chains: BTreeMap::new(),
            said: BTreeMap::new(),
            checkpoints: 0,
            signed: BTreeMap::new(),
            is_closed: false,
            unsigned: 0,
            bad: Vec::new(),
        }
    }

    /// Nothing may be there that no checkpoint has signed.
    pub(super) fn closed(self) -> Check {
        Check { is_closed: true, ..self }
    }

    /// Something else is wrong.
    pub(super) fn is_bad(&mut self, what: impl Into<String>) {
        self.bad.push(what.into());
    }

    /// Holds the record against a checkpoint, too: before its entries come.
    pub(super) fn expect(&mut self, note: &str, key: &NoteKey) {
        let text = match key.open(note) {
            Ok(_) => Checkpoint::of_note(note),
            Err(error) => return self.bad.push(error.to_string()),
        };
        let Some(checkpoint) = text else {
            return self.bad.push("a note is signed by the hub, and is no checkpoint of the record".to_owned());
        };
        if checkpoint.hub != self.hub {
            return self.bad.push(format!("checkpoint {} is of hub {}", checkpoint.number, checkpoint.hub));
        }
        self.checkpoints += 1;
        for (partition, head) in checkpoint.heads {
            let signed = self.signed.entry(partition).or_default();
            *signed = head.number.max(*signed);
            self.said.entry((partition, head.number)).or_default().push((head.link, checkpoint.number));
        }
    }

    /// The next entry of its chain.
    pub(super) fn entry(&mut self, entry: &Entry) {
        let partition = entry.partition;
        let begin = || Chain { verifier: Verifier::from(Head::none(&self.hub, partition)), broken: false };
        let chain = self.chains.entry(partition).or_insert_with(begin);
        if chain.broken {
            return;
        }
        let place = format!("chain {}, request {}", partition.0, entry.owner);
        if InstanceKey::new(self.hub.clone(), entry.owner.clone()).partition() != partition {
            chain.broken = true;
            return self
                .bad
                .push(format!("{place}: entry {} is of a request that belongs to another chain", entry.number));
        }
        if entry.number > self.signed.get(&partition).copied().unwrap_or_default() {
            self.unsigned += 1;
            if self.is_closed {
                chain.broken = true;
                return self.bad.push(format!("{place}: entry {} is signed by no checkpoint", entry.number));
            }
        }
        if let Err(error) = chain.verifier.next(entry) {
            chain.broken = true;
            return self.bad.push(format!("{place}: {error}"));
        }
        for (link, number) in self.said.remove(&(partition, entry.number)).unwrap_or_default() {
            if link != entry.link {
                chain.broken = true;
                self.bad.push(format!(
                    "{place}: entry {} is another than the one that checkpoint {number} has signed: the chain was made anew",
                    entry.number
                ));
            }
        }
    }

    /// What was found: how many entries are right, in how many chains, and all that is wrong.
    pub(super) fn end(mut self) -> Found {
        // What no entry came for. Of a broken chain that was told already.
        for ((partition, entries), by) in std::mem::take(&mut self.said) {
            let chain = self.chains.get(&partition);
            if chain.is_some_and(|chain| chain.broken) {
                continue;
            }
            let has = chain.map_or(0, |chain| chain.verifier.head().number);
            let number = by[0].1;
            self.bad.push(format!(
                "chain {}: has {has} entries, and checkpoint {number} has signed {entries}: its end is missing",
                partition.0
            ));
        }
        let entries = self.chains.values().map(|chain| chain.verifier.head().number).sum();
        let (chains, checkpoints, unsigned) = (self.chains.len(), self.checkpoints, self.unsigned);
        Found { hub: self.hub, entries, chains, checkpoints, unsigned, bad: self.bad }
    }
}

/// What a check has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) hub: Hub,
    pub(super) entries: u64,
    pub(super) chains: usize,
    pub(super) checkpoints: u64,
    /// Entries that came after the last checkpoint.
    pub(super) unsigned: u64,
    pub(super) bad: Vec<String>,
}
