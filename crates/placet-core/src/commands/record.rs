//! Record rows: what belongs to no instance is made if it is absent, replaced if it has the version that the caller knows,
//! or deleted. Of several who try the same at once one succeeds, and the others are told what is there.

use crate::command::{RecordChange, RecordCommand, RecordContent, Recorded, Refusal, Reply};
use crate::limits;
use crate::outcome::{Effect, Outcome};
use crate::partition::{Partition, Standing};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{RecordRow, Write};
use crate::time::Now;

/// What can be said against a command before anything is known of the row.
///
/// # Errors
/// [`Refusal::InvalidArgument`], naming what is too long.
pub(crate) fn check_record(command: &RecordCommand) -> Result<(), Refusal> {
    let (bytes, most) = (command.payload_bytes(), limits::RECORD_BYTES_MAX);
    if bytes > most {
        return Err(Refusal::InvalidArgument(format!("body: {bytes} bytes, {most} at most")));
    }
    let (bytes, most) = (command.key.kind.len() + command.key.key.len(), limits::RECORD_NAME_BYTES_MAX);
    if bytes > most {
        return Err(Refusal::InvalidArgument(format!("key: {bytes} bytes with its kind, {most} at most")));
    }
    Ok(())
}

impl Partition {
    /// Decides a command for a row that stands so, or is absent.
    pub(crate) fn decide_record(
        &mut self,
        now: Now,
        RecordCommand { key, change, call }: RecordCommand,
        stored: Option<Standing>,
        outcome: &mut Outcome,
    ) {
        let has_expired = |stands: &Standing| stands.expires_at.is_some_and(|at| at <= now.wall);
        let there = stored.filter(|stands| !has_expired(stands)).map(|stands| stands.version);
        let (write, stands, recorded) = match change {
            RecordChange::Create(content) if there.is_none() || planted::is(Plant::RecordMadeTwice) => {
                written(&key, 1, content)
            }
            RecordChange::Replace(version, content) if there == Some(version) => written(&key, version + 1, content),
            RecordChange::Delete(version) if there.is_some() && version.is_none_or(|named| there == Some(named)) => {
                (Write::DeleteRecord(key.clone()), None, Recorded::Deleted)
            }
            RecordChange::Expire if stored.is_some() && there.is_none() => {
                reach(Corner::RecordExpired);
                (Write::DeleteRecord(key.clone()), None, Recorded::Deleted)
            }
            RecordChange::Create(_) | RecordChange::Replace(..) | RecordChange::Delete(_) | RecordChange::Expire => {
                if call.is_some() {
                    reach(Corner::RecordConflict);
                }
                outcome.reply(call, Ok(Reply::Recorded(Recorded::Conflict(there))));
                return;
            }
        };
        outcome.writes.push(write);
        self.records.hold(&key, stands);
        outcome.reply(call, Ok(Reply::Recorded(recorded)));
        outcome.effects.push(Effect::RecordSettled(self.id, Box::new(key)));
    }
}

fn written(
    key: &crate::ids::RecordKey,
    version: u64,
    RecordContent { expires_at, body }: RecordContent,
) -> (Write, Option<Standing>, Recorded) {
    let row = RecordRow { key: key.clone(), version, expires_at, body };
    (Write::PutRecord(row), Some(Standing { version, expires_at }), Recorded::Version(version))
}
