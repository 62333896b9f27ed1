//! Record rows: of those who make one at once a single one succeeds, versions rise by one, and what was acknowledged is
//! there again, whatever broke down meanwhile.

use std::collections::BTreeMap;

use super::Check;
use crate::facts::{Answer, Call, Fact, Row, RowChange, What};

/// The checker. It knows of the rows that nobody deletes, and that never expire.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Whose each version of a row is, as was acknowledged.
    written: BTreeMap<(u8, u64), u64>,
}

impl Records {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        let Fact::Released(Call { number, what: What::Record { row, change, version }, .. }, answer, _) = fact else {
            return Ok(());
        };
        match answer {
            Answer::Written(written, stored) => self.written(*row, (*number, *change, *version), *written, *stored),
            Answer::Conflict(there) if *there == Some(*version) && *change == RowChange::Replace => {
                Err(format!("row {row} has version {version}, and could not be replaced as such"))
            }
            Answer::Conflict(None) if *change == RowChange::Create => {
                Err(format!("row {row} is absent, and could not be made"))
            }
            _ => Ok(()),
        }
    }

    fn written(
        &mut self,
        row: u8,
        (number, change, version): (u64, RowChange, u64),
        written: u64,
        stored: Option<Row>,
    ) -> Check {
        let expected = if change == RowChange::Create { 1 } else { version + 1 };
        if written != expected {
            return Err(format!("{change:?} of version {version} of row {row} made version {written}"));
        }
        if fades(row) {
            return Ok(());
        }
        if let Some(other) = self.written.insert((row, written), number) {
            return Err(format!("version {written} of row {row} is both of call {other} and of call {number}"));
        }
        self.holds(row, stored)
    }

    /// The last version that was acknowledged, or a later one, is stored.
    fn holds(&self, row: u8, stored: Option<Row>) -> Check {
        let told = self.written.range((row, 0)..=(row, u64::MAX)).next_back();
        let Some(((_, told), by)) = told else { return Ok(()) };
        match stored {
            None => Err(format!("version {told} of row {row} was acknowledged, and it is not stored")),
            Some(stored) if stored.version < *told => {
                Err(format!("version {told} of row {row} was acknowledged, and {} is stored", stored.version))
            }
            Some(stored) if stored.version == *told && stored.by != *by => {
                Err(format!("version {told} of row {row} is call {by}'s, and what call {} wrote is stored", stored.by))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn at_end(&self, row: u8, stored: Option<Row>) -> Check {
        if fades(row) { Ok(()) } else { self.holds(row, stored) }
    }
}

/// Whether somebody deletes a row, or it expires.
pub(crate) fn fades(row: u8) -> bool {
    row % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::super::planted::call;
    use super::*;

    fn told(records: &mut Records, number: u64, change: (RowChange, u64), answer: Answer) -> Check {
        let what = What::Record { row: 0, change: change.0, version: change.1 };
        records.see(&Fact::Released(&call(number, what), &answer, None))
    }

    fn row(version: u64, by: u64) -> Option<Row> {
        Some(Row { version, by })
    }

    #[test]
    fn a_row_that_two_have_made_is_found() {
        let mut records = Records::default();
        told(&mut records, 1, (RowChange::Create, 0), Answer::Written(1, row(1, 1))).unwrap();
        assert!(told(&mut records, 2, (RowChange::Create, 0), Answer::Written(1, row(1, 2))).is_err());
    }

    #[test]
    fn a_version_that_is_left_out_is_found() {
        let mut records = Records::default();
        told(&mut records, 1, (RowChange::Create, 0), Answer::Written(1, row(1, 1))).unwrap();
        assert!(told(&mut records, 2, (RowChange::Replace, 1), Answer::Written(3, row(3, 2))).is_err());
        assert!(told(&mut records, 3, (RowChange::Replace, 1), Answer::Written(2, row(2, 3))).is_ok());
    }

    #[test]
    fn a_row_that_was_acknowledged_and_is_gone_or_old_is_found() {
        let mut records = Records::default();
        assert!(told(&mut records, 1, (RowChange::Create, 0), Answer::Written(1, None)).is_err());
        told(&mut records, 2, (RowChange::Replace, 1), Answer::Written(2, row(2, 2))).unwrap();
        assert!(records.at_end(0, row(2, 2)).is_ok() && records.at_end(0, row(3, 9)).is_ok());
        for stored in [None, row(1, 1), row(2, 9)] {
            assert!(records.at_end(0, stored).is_err(), "{stored:?}");
        }
    }

    #[test]
    fn a_conflict_that_is_none_is_found() {
        let mut records = Records::default();
        assert!(told(&mut records, 1, (RowChange::Replace, 3), Answer::Conflict(Some(3))).is_err());
        assert!(told(&mut records, 1, (RowChange::Create, 0), Answer::Conflict(None)).is_err());
        assert!(told(&mut records, 1, (RowChange::Replace, 3), Answer::Conflict(Some(4))).is_ok());
    }
}
