//! I36 and I21: once nothing is wrong, what can go on does, within 30 seconds and what is known to be lent out. One
//! item that fails its workers again and again keeps nobody else.

use super::Check;
use crate::facts::Fact;

/// The checker.
#[derive(Debug)]
pub(super) struct Progress;

impl Progress {
    #[expect(clippy::unused_self, reason = "like the others, it is told what was seen")]
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Stuck { id, for_seconds } => {
                Err(format!("{id} has had work for {for_seconds} s, workers have room, and nothing is wrong"))
            }
            Fact::Silence(call) => Err(format!("{:?} is not answered, and nothing is wrong", call.what)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::start;
    use super::*;

    #[test]
    fn work_that_nobody_does_and_calls_that_nobody_answers_are_found() {
        assert!(Progress.see(&Fact::Stuck { id: "sequence-1", for_seconds: 200 }).is_err());
        assert!(Progress.see(&Fact::Silence(&start(1))).is_err());
        assert!(Progress.see(&Fact::Sent(&start(1))).is_ok());
    }
}
