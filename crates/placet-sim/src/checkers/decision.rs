//! P2: exactly one decision. Every answer to a question agrees with the outcome, and the same question is always
//! answered the same.

use std::collections::BTreeMap;

use super::Check;
use crate::expectations::Program;
use crate::facts::{Answer, Call, Fact, Outcome, Stored, What};
use crate::programs::Said;
use crate::workload::Slot;

/// What became of a question, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Became {
    Replied(String),
    Taken,
    NotTaken,
}

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Decision {
    questions: BTreeMap<(usize, String), Became>,
    /// How generations ended, as told by anybody.
    ends: BTreeMap<(usize, String), Outcome>,
}

impl Decision {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        let Fact::Released(call, answer, _) = fact else { return Ok(()) };
        if let Answer::State(seen) | Answer::After(seen) | Answer::Ended(seen) = answer
            && let Some(outcome) = &seen.outcome
        {
            let told = self.ends.entry((call.slot, seen.execution.clone())).or_insert_with(|| outcome.clone());
            if told != outcome {
                return Err(format!("one caller was told {told:?}, another {outcome:?}"));
            }
        }
        self.question_answered(call, answer)
    }

    fn question_answered(&mut self, call: &Call, answer: &Answer) -> Check {
        let What::Ask { id, .. } = &call.what else { return Ok(()) };
        let became = match answer {
            Answer::Reply(reply) => Became::Replied(reply.clone()),
            Answer::After(_) => Became::Taken,
            Answer::Ended(_) => Became::NotTaken,
            _ => return Ok(()),
        };
        let first = self.questions.entry((call.slot, id.clone())).or_insert_with(|| became.clone());
        if *first == became {
            Ok(())
        } else {
            Err(format!("question {id} was answered {first:?}, and then {became:?}"))
        }
    }

    pub(super) fn at_end(&mut self, at: usize, slot: &Slot, stored: &Stored) -> Check {
        let Some(outcome) = &stored.outcome else { return Ok(()) };
        let Some(output) = outcome.output.as_deref().filter(|_| outcome.failure.is_none()) else { return Ok(()) };
        let answers = self.questions.iter().filter(|((about, _), _)| *about == at);
        let replies = answers.filter_map(|((_, id), became)| match became {
            Became::Replied(reply) => Some((id, reply)),
            Became::Taken | Became::NotTaken => None,
        });
        for (id, reply) in replies {
            match &slot.program {
                Program::Decide(_) => agrees(reply, output)?,
                Program::Tally(_) => counted(id, reply, output)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What somebody was told is what was decided (or the number of his comment).
fn agrees(reply: &str, output: &str) -> Check {
    let told: Said = serde_json::from_str(reply).map_err(|error| format!("the reply {reply}: {error}"))?;
    // One that was terminated has no decision: what was told before may stand.
    let Ok(decided) = serde_json::from_str::<Said>(output) else { return Ok(()) };
    let is_comment = told.what.starts_with("comment");
    if is_comment || told == decided {
        Ok(())
    } else {
        Err(format!("somebody was told {told:?}, and it is {decided:?}"))
    }
}

/// A vote's number is its place among those counted.
fn counted(id: &str, reply: &str, output: &str) -> Check {
    let Ok(votes) = serde_json::from_str::<Vec<String>>(output) else { return Ok(()) };
    let place: usize = serde_json::from_str(reply).map_err(|error| format!("the reply {reply}: {error}"))?;
    if votes.get(place).is_some_and(|vote| vote == id) {
        Ok(())
    } else {
        Err(format!("vote {id} was told that it is number {place}, and the votes are {votes:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{ask, call, completed, seen, slot, stored};
    use super::*;
    use crate::programs::{Decide, Tally};

    const APPROVED: &str = r#"{"id":"a","what":"approve"}"#;
    const REJECTED: &str = r#"{"id":"b","what":"reject"}"#;

    fn release(decision: &mut Decision, call: &Call, answer: &Answer) -> Check {
        decision.see(&Fact::Released(call, answer, None))
    }

    #[test]
    fn two_callers_who_are_told_different_outcomes_are_found() {
        let mut decision = Decision::default();
        let wait = call(1, What::Wait);
        release(&mut decision, &wait, &Answer::State(seen(Some(completed(APPROVED))))).unwrap();
        assert!(release(&mut decision, &wait, &Answer::State(seen(Some(completed(REJECTED))))).is_err());
    }

    #[test]
    fn a_question_that_is_answered_in_two_ways_is_found() {
        let mut decision = Decision::default();
        release(&mut decision, &ask(1, "a", "approve"), &Answer::After(seen(None))).unwrap();
        release(&mut decision, &ask(2, "a", "approve"), &Answer::After(seen(None))).unwrap();
        assert!(release(&mut decision, &ask(3, "a", "approve"), &Answer::Reply(APPROVED.into())).is_err());
    }

    #[test]
    fn somebody_who_was_told_another_decision_than_the_outcome_is_found() {
        let mut decision = Decision::default();
        let slot = slot(Program::Decide(Decide { timeout_ms: 1, due: None, lingers: false, comments: 0 }));
        release(&mut decision, &ask(1, "a", "approve"), &Answer::Reply(APPROVED.into())).unwrap();
        assert!(decision.at_end(0, &slot, &stored(Some(completed(APPROVED)))).is_ok());
        assert!(decision.at_end(0, &slot, &stored(Some(completed(REJECTED)))).is_err());
    }

    #[test]
    fn a_vote_that_was_told_the_wrong_number_is_found() {
        let mut decision = Decision::default();
        let slot = slot(Program::Tally(Tally { want: 2, every: 1, seen: Vec::new() }));
        release(&mut decision, &ask(1, "b", "yes"), &Answer::Reply("0".into())).unwrap();
        assert!(decision.at_end(0, &slot, &stored(Some(completed(r#"["b","a"]"#)))).is_ok());
        assert!(decision.at_end(0, &slot, &stored(Some(completed(r#"["a","b"]"#)))).is_err());
    }
}
