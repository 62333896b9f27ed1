//! What is said: comments, questions and their answers, and the end that whoever asked may make.

use super::{Case, Refused, conflict, forbidden, invalid};
use crate::act::{Answer, Reason, Text};
use crate::identity::{Caller, Person, Right};
use crate::outcome::{Outcome, Withdrawn};
use crate::request::Said;

/// Questions that may wait for an answer at a time.
const UNANSWERED_MAX: usize = 50;

impl Case<'_> {
    fn said(&mut self, by: Person, text: String) -> Said {
        self.request.said += 1;
        Said { number: self.request.said, by, at: self.at, text }
    }

    pub(super) fn comment(&mut self, by: Person, Text { text }: Text) -> Result<(), Refused> {
        self.said(by, text);
        Ok(())
    }

    /// An approver asks whoever requested it.
    pub(super) fn question(&mut self, by: Person, caller: &Caller, Text { text }: Text) -> Result<(), Refused> {
        self.asked(&by, caller)?;
        if self.request.unanswered.len() >= UNANSWERED_MAX {
            return Err(conflict(format!("{UNANSWERED_MAX} questions wait for an answer already")));
        }
        let said = self.said(by, text);
        self.request.unanswered.push(said);
        Ok(())
    }

    pub(super) fn answer_question(&mut self, by: Person, Answer { question, text }: Answer) -> Result<(), Refused> {
        let at = self.request.unanswered.iter().position(|said| said.number == question);
        let at = at.ok_or_else(|| invalid(format!("question: no question {question} waits for an answer")))?;
        if by != self.request.requester() {
            return Err(forbidden("whoever requested it was asked"));
        }
        self.request.unanswered.remove(at);
        self.said(by, text);
        Ok(())
    }

    /// An approver wants it otherwise.
    pub(super) fn send_back(&mut self, by: Person, caller: &Caller, Text { text }: Text) -> Result<(), Refused> {
        self.asked(&by, caller)?;
        if self.request.returned.is_some() {
            return Err(conflict("it was returned already"));
        }
        self.request.returned = Some(self.said(by, text));
        Ok(())
    }

    pub(super) fn withdraw(&mut self, by: &Person, caller: &Caller, Reason { text }: Reason) -> Result<(), Refused> {
        if *by != self.request.requester() && !caller.may(Right::Withdraw) {
            return Err(forbidden("only whoever requested it may withdraw it"));
        }
        self.end_with(Outcome::Withdrawn(Withdrawn {
            request_id: self.request.request_id.clone(),
            withdrawn_at: self.at,
            by: by.to_string(),
            reason: text,
        }));
        Ok(())
    }
}
