//! Record rows as clients change them: each knows the version that somebody was told last, which another may have replaced
//! meanwhile.

use placet_core::command::{RecordChange, RecordCommand, RecordContent};
use placet_core::ids::{Hub, RecordKey};
use placet_core::time::Timestamp;
use placet_store::{Answer, Query, Store as _};

use super::{SECOND, Violation, World};
use crate::checkers::fades;
use crate::facts::{Row, RowChange};
use crate::workload::{HUB, ROWS};

fn key(row: u8) -> RecordKey {
    RecordKey::new(Hub::new(HUB), "simulated", row.to_string())
}

impl World {
    /// The command of the call with this number, which its row will tell of.
    pub(super) fn record_command(&mut self, number: u64, row: u8, change: RowChange, version: u64) -> RecordCommand {
        let lasts = i64::try_from(self.chance.skewed(SECOND, 90 * SECOND)).unwrap_or(0);
        let expires_at = fades(row).then(|| Timestamp(self.wall() + lasts));
        let content = RecordContent { expires_at, body: number.to_le_bytes().to_vec().into() };
        let change = match change {
            RowChange::Create => RecordChange::Create(content),
            RowChange::Replace => RecordChange::Replace(version, content),
            RowChange::Delete => RecordChange::Delete(self.chance.one_in(2).then_some(version)),
        };
        RecordCommand { key: key(row), change, call: None }
    }

    /// A row as the store has it.
    pub(super) fn stored_row(&self, row: u8) -> Result<Option<Row>, Violation> {
        let answer = self.disk.store.query(&Query::Record(key(row))).map_err(|error| error.to_string())?;
        let Answer::Record(found) = answer else { return Err("asked for a record".to_owned().into()) };
        let by = |body: &[u8]| body.try_into().map(u64::from_le_bytes).map_err(|_| "a row of nobody's".to_owned());
        Ok(found.map(|found| Ok::<_, String>(Row { version: found.version, by: by(&found.body)? })).transpose()?)
    }

    /// The run is over: what was acknowledged of the rows is there.
    pub(super) fn check_rows(&mut self) -> Result<(), Violation> {
        for row in 0..ROWS {
            let stored = self.stored_row(row)?;
            self.checkers.row_at_end(row, stored)?;
        }
        Ok(())
    }
}
