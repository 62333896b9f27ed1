//! Parents and children in the store (I17): whoever waits for a child waits for one that is to be, or that is there and
//! knows of it, or that has ended and has yet to tell.

use placet_core::body::{InboxMessage, Outgoing, PendingActivity, Told};
use placet_core::command::is_terminal;
use placet_core::ids::Seq;
use prost::Message as _;

use super::ledger::{Ledger, Life};

impl Ledger {
    /// Whether something will come of every child that is waited for.
    ///
    /// # Errors
    /// Who waits in vain.
    pub(super) fn relatives(&self) -> Result<(), String> {
        let waiting = self.lives.values().filter(|life| !life.children.is_empty() && !is_terminal(life.row.status));
        for parent in waiting {
            let family: Vec<&Life> = self.lives.values().filter(|life| life.row.hub == parent.row.hub).collect();
            for (seq, data) in &parent.children {
                let pending = PendingActivity::decode(data.clone()).map_err(|error| error.to_string())?;
                let child = pending.child.unwrap_or_default();
                let lives = |life: &&Life| life.row.id.as_str() == child && life.is_child(parent, *seq);
                if !parent.will_begin(*seq)
                    && !family.iter().any(lives)
                    && !family.iter().any(|l| l.will_tell(*seq, parent))
                {
                    return Err(format!("{} waits for {child}, of whom nothing will come", parent.row.id));
                }
            }
        }
        Ok(())
    }
}

impl Life {
    fn tells(&self) -> impl Iterator<Item = Told> {
        let outgoing = |data: &bytes::Bytes| Outgoing::decode(InboxMessage::decode(data.clone()).ok()?.event).ok();
        self.outbox.values().filter_map(outgoing).filter_map(|outgoing| outgoing.told)
    }

    /// Whether it has yet to tell a child to begin, or to begin again.
    fn will_begin(&self, seq: Seq) -> bool {
        self.tells().any(|told| match told {
            Told::Start(start) => start.parent_seq == Some(seq.0),
            Told::Rewind(rewind) => rewind.start.is_some_and(|start| start.parent_seq == Some(seq.0)),
            Told::Result(_) | Told::Event(_) | Told::Terminate(_) => false,
        })
    }

    /// Whether it has yet to tell its parent how it ended.
    fn will_tell(&self, seq: Seq, parent: &Life) -> bool {
        self.tells().any(|told| match told {
            Told::Result(result) => result.seq == seq.0 && result.execution_id == parent.body.execution_id,
            _ => false,
        })
    }

    /// Whether it goes on, and will tell this parent of its end.
    fn is_child(&self, parent: &Life, seq: Seq) -> bool {
        let of = self.body.parent.as_ref().and_then(|parent| parent.orchestration_instance.as_ref());
        let is_its = of.is_some_and(|of| {
            of.instance_id == parent.row.id.as_str() && of.execution_id.as_deref() == Some(&parent.body.execution_id)
        });
        is_its && self.body.parent_seq == Some(seq.0) && !is_terminal(self.row.status)
    }
}
