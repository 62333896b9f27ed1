//! Whom the shard takes a command from: what clients bring is refused before it takes memory that there is not.

use crate::command::{Command, CommandKind, DISK_FULL, Refusal};
use crate::commands::{check_ask, check_start};
use crate::limits;
use crate::reach::{Corner, reach};
use crate::rows::Lookup;
use crate::shard::Shard;
use crate::time::Now;

/// Of the reserve for small commands, what one may take.
const SMALL_PART: usize = 64;

impl Shard {
    /// Whether there is room for a client's command, and nothing is wrong with it in itself.
    pub(super) fn admit(&mut self, now: Now, command: &Command) -> Result<(), Refusal> {
        if matches!(command.kind, CommandKind::Wait(_) | CommandKind::Why(_) | CommandKind::Settle) {
            return Ok(());
        }
        self.admit_writes(now, command.payload_bytes())?;
        if !makes_room(&command.kind) {
            self.admit_memory()?;
        }
        match (&command.kind, &command.target) {
            (CommandKind::Start(start), Lookup::Key(key)) => check_start(key, start),
            (CommandKind::Ask(ask), _) => check_ask(ask),
            _ => Ok(()),
        }
    }

    /// Whether there is room for what a command brings.
    pub(super) fn admit_bytes(&mut self, now: Now, bytes: usize) -> Result<(), Refusal> {
        self.admit_writes(now, bytes)?;
        self.admit_memory()
    }

    fn admit_writes(&mut self, now: Now, bytes: usize) -> Result<(), Refusal> {
        if let Some(until) = self.refuse_until {
            if now.mono < until {
                reach(Corner::RefusedFull);
                return Err(Refusal::Exhausted { what: DISK_FULL, retry_after: until.since(now.mono) });
            }
            self.refuse_until = None;
        }
        if !self.has_room_to_write(bytes) {
            reach(Corner::RefusedUncommitted);
            let retry_after = limits::REFUSE_AFTER_FAILURE;
            return Err(Refusal::Exhausted { what: "too much waits to be written", retry_after });
        }
        Ok(())
    }

    fn admit_memory(&self) -> Result<(), Refusal> {
        if self.memory.bytes() > 2 * self.limits.hot_bytes {
            reach(Corner::RefusedMemory);
            let what = "too much work is in memory: its workers do not keep up";
            return Err(Refusal::Exhausted { what, retry_after: limits::REFUSE_AFTER_FAILURE });
        }
        Ok(())
    }

    /// Whether so many bytes more may wait to be written. A few large payloads take all the room there is for a
    /// while; small commands have a reserve, so that they need not come again for what others brought.
    fn has_room_to_write(&mut self, bytes: usize) -> bool {
        // What is written ahead holds up what is written ahead, and nothing else.
        let ahead = if bytes > self.limits.ahead_from { self.ahead.bytes() } else { 0 };
        if self.commit.uncommitted_bytes() + ahead <= self.limits.uncommitted_bytes {
            self.reserve_taken = 0;
            return true;
        }
        // What a small command costs beside its payload counts as well: as much as one may bring.
        let most = self.limits.uncommitted_reserve / SMALL_PART;
        let is_small = bytes <= most && self.reserve_taken + most <= self.limits.uncommitted_reserve;
        if is_small {
            reach(Corner::TookFromReserve);
            self.reserve_taken += (bytes + limits::COMMAND_BYTES).min(most);
        }
        is_small
    }
}

/// Whether a command ends work, or lets work that rests go on: memory that is full of it has no room before.
fn makes_room(kind: &CommandKind) -> bool {
    match kind {
        CommandKind::Suspend(suspend) => suspend.resume,
        CommandKind::Terminate(_) | CommandKind::End { .. } | CommandKind::Purge | CommandKind::Expire(_) => true,
        _ => false,
    }
}
