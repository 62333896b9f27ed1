//! Damaged rows that are left out of an answer: each is told of once, however often it is met.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use placet_store::ReadError;

/// So many are told of one by one. Whoever has more needs no more lines, but a backup.
const TOLD_MAX: usize = 1_000;

/// What was told of already.
#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<BTreeSet<String>>);

impl Damage {
    /// What was read, or nothing if it is damaged. A store that cannot be read is still an error.
    pub(crate) fn leave_out<T>(&self, read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
        match read {
            Err(error @ ReadError::Damaged { .. }) => {
                if self.is_new(&error) {
                    tracing::error!(error = &error as &dyn std::error::Error, "a damaged row is left out");
                }
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn is_new(&self, error: &ReadError) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD_MAX && told.insert(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_damaged_row_is_told_of_once_and_no_more_than_so_many_are() {
        let damage = Damage::default();
        let row = |number: usize| ReadError::Damaged { table: "timer", what: format!("number {number}") };
        assert!(damage.is_new(&row(0)) && damage.is_new(&row(1)) && !damage.is_new(&row(0)));
        assert_eq!((2..2 * TOLD_MAX).filter(|number| damage.is_new(&row(*number))).count(), TOLD_MAX - 2);
    }
}
