//! P9: the record has everything that happened to a request, in its order: that it was asked, what counted, how it ended; and
//! nothing behind that. What anybody is shown of an outcome is in it already.

use std::collections::BTreeMap;

use placet_approval::{Entered, Entry};
use placet_proto::durabletask::OrchestrationStatus;

use super::Check;
use super::approval::{in_words, outcome_of};
use crate::expectations::Program;
use crate::facts::{Fact, Stored};
use crate::workload::Slot;

/// The checker: of each request that is in the record how it ended, if it has.
#[derive(Debug, Default)]
pub(super) struct Record {
    ends: BTreeMap<usize, Option<String>>,
}

impl Record {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Entered(slot, entry) => self.entered(*slot, entry),
            Fact::Shown(slot, outcome) => self.tells(*slot, *outcome),
            _ => Ok(()),
        }
    }

    fn entered(&mut self, slot: usize, entry: &Entry) -> Check {
        if matches!(entry.what, Entered::Requested { .. }) {
            self.ends.insert(slot, None);
            return Ok(());
        }
        match self.ends.get_mut(&slot) {
            None => Err("something is entered of a request before that it was asked".to_owned()),
            Some(Some(ended)) => Err(format!("{:?} is entered after the end, {ended}", entry.what)),
            Some(end) => {
                if let Entered::Ended { outcome } = &entry.what {
                    *end = Some(in_words(outcome));
                }
                Ok(())
            }
        }
    }

    fn tells(&self, slot: usize, outcome: Option<&str>) -> Check {
        let entered = self.ends.get(&slot).ok_or("a request is not in the record")?;
        if entered.as_deref() == outcome {
            Ok(())
        } else {
            Err(format!("a request's outcome is {outcome:?}, and {entered:?} in the record"))
        }
    }

    pub(super) fn at_end(&self, at: usize, slot: &Slot, stored: &Stored) -> Check {
        match (&slot.program, &stored.outcome) {
            (Program::Approval(_), Some(outcome)) if outcome.output.is_some() && outcome.failure.is_none() => {
                outcome_of(outcome).map_or(Ok(()), |decided| self.tells(at, Some(&in_words(&decided))))
            }
            // One that was terminated after it had begun is withdrawn. Of one that had been set aside its rules never hear.
            (Program::Approval(_), Some(outcome)) if outcome.status == OrchestrationStatus::Terminated => {
                match self.ends.get(&at) {
                    Some(None) => Err("a request was terminated, and the record does not say so".to_owned()),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use placet_approval::{Decided, Outcome};

    use super::*;

    fn entry(what: Entered) -> Entry {
        Entry { at: jiff::Timestamp::UNIX_EPOCH, what, revision: 1, content_hash: String::new(), stage: 1 }
    }

    fn requested() -> Entry {
        let (requester, item) = ("alice".to_owned(), "a chair".to_owned());
        entry(Entered::Requested {
            requester,
            item,
            due: jiff::Timestamp::UNIX_EPOCH,
            policy: None,
            content_salt: String::new(),
        })
    }

    fn rejected() -> Outcome {
        let decided = Decided {
            request_id: "request-1".to_owned(),
            processed_at: jiff::Timestamp::UNIX_EPOCH,
            approver: "bob".to_owned(),
            ..Decided::default()
        };
        Outcome::Rejected(decided)
    }

    fn ended() -> Entry {
        entry(Entered::Ended { outcome: Box::new(rejected()) })
    }

    #[test]
    fn an_entry_that_is_missing_or_too_much_is_found() {
        let mut record = Record::default();
        assert!(record.see(&Fact::Entered(1, &ended())).is_err());
        assert!(record.see(&Fact::Shown(1, None)).is_err());
        record.see(&Fact::Entered(1, &requested())).unwrap();
        record.see(&Fact::Shown(1, None)).unwrap();
        let rejected = in_words(&rejected());
        assert!(record.see(&Fact::Shown(1, Some(&rejected))).is_err());
        record.see(&Fact::Entered(1, &ended())).unwrap();
        record.see(&Fact::Shown(1, Some(&rejected))).unwrap();
        assert!(record.see(&Fact::Entered(1, &ended())).is_err());
    }
}
