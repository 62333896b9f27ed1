//! What a batch may not do: an engine's constraints, in words. Checked before the first row is written, so that
//! a refused batch leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use placet_core::ids::{Iid, InstanceKey, Seq, Turn};
use placet_core::rows::{Batch, InstanceRow};

use super::state::State;

/// A batch that does not fit what is there: a bug in whoever made it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// A new instance has the key of another.
    #[error("instance {0} is there already")]
    InstanceThere(Iid),
    /// A new instance has the name of another.
    #[error("there is an instance {0} already")]
    NameTaken(InstanceKey),
    /// A changed instance is not there, or has another name or time of creation.
    #[error("instance {0} is to be changed and is not there")]
    InstanceAbsent(Iid),
    /// A new turn has the number of another.
    #[error("instance {0} has a turn {1} already")]
    TurnThere(Iid, Turn),
    /// A new message has the number of another.
    #[error("instance {0} has a message {1} already")]
    MessageThere(Iid, Seq),
}

/// The first contradiction between a batch and the state that it is to be applied to.
pub(super) fn contradiction(state: &State, batch: &Batch) -> Result<(), Contradiction> {
    let gone = Gone::new(state, batch);
    let inserted = instances(state, batch, &gone)?;
    for (row, _) in &batch.instances_updated {
        let kept = state.instances.get(&row.iid).filter(|_| !gone.instances.contains(&row.iid));
        let before = inserted.get(&row.iid).copied().or(kept);
        if before.is_none_or(|before| before.key() != row.key() || before.created_at != row.created_at) {
            return Err(Contradiction::InstanceAbsent(row.iid));
        }
    }
    turns(state, batch, &gone)?;
    messages(state, batch, &gone)
}

/// What the batch deletes before it inserts.
struct Gone {
    instances: BTreeSet<Iid>,
    turns_before: BTreeMap<Iid, Turn>,
    messages: BTreeSet<(Iid, Seq)>,
}

impl Gone {
    fn new(state: &State, batch: &Batch) -> Gone {
        let mut instances: BTreeSet<Iid> = batch.instances_deleted.iter().copied().collect();
        if !batch.hubs_deleted.is_empty() {
            let in_hubs = state.instances.values().filter(|row| batch.hubs_deleted.contains(&row.hub));
            instances.extend(in_hubs.map(|row| row.iid));
        }
        Gone {
            instances,
            turns_before: batch.history_dropped.iter().copied().collect(),
            messages: batch.inbox_deleted.iter().copied().collect(),
        }
    }
}

fn instances<'a>(
    state: &State,
    batch: &'a Batch,
    gone: &Gone,
) -> Result<BTreeMap<Iid, &'a InstanceRow>, Contradiction> {
    let mut inserted = BTreeMap::new();
    let mut names = BTreeSet::new();
    for row in &batch.instances_inserted {
        let there = state.instances.contains_key(&row.iid) && !gone.instances.contains(&row.iid);
        if there || inserted.insert(row.iid, row).is_some() {
            return Err(Contradiction::InstanceThere(row.iid));
        }
        let taken = state.iids.get(&row.key()).is_some_and(|iid| !gone.instances.contains(iid));
        if taken || !names.insert(row.key()) {
            return Err(Contradiction::NameTaken(row.key()));
        }
    }
    Ok(inserted)
}

fn turns(state: &State, batch: &Batch, gone: &Gone) -> Result<(), Contradiction> {
    let mut appended = BTreeSet::new();
    for row in &batch.history_appended {
        let key = (row.iid, row.turn);
        let dropped = gone.turns_before.get(&row.iid).is_some_and(|before| row.turn < *before);
        let there = state.history.contains_key(&key) && !dropped && !gone.instances.contains(&row.iid);
        if there || !appended.insert(key) {
            return Err(Contradiction::TurnThere(row.iid, row.turn));
        }
    }
    Ok(())
}

fn messages(state: &State, batch: &Batch, gone: &Gone) -> Result<(), Contradiction> {
    let mut put = BTreeSet::new();
    for row in &batch.inbox_put {
        let key = (row.iid, row.seq);
        let deleted = gone.messages.contains(&key) || gone.instances.contains(&row.iid);
        if (state.inbox.contains_key(&key) && !deleted) || !put.insert(key) {
            return Err(Contradiction::MessageThere(row.iid, row.seq));
        }
    }
    Ok(())
}
