//! What time brings: the deadline, escalation, and claims that lapse.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Case;
use super::stage::{Ballot, Level};
use crate::identity::Person;
use crate::outcome::{By, Decided, Outcome, TimedOut};
use crate::plan::{Escalation, Need, OnTimeout, Replacement, Seat};
use crate::planted::{self, Plant};
use crate::request::Request;

impl Request {
    /// When something will happen by itself: the rules are to be told by then that it is so late.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        if self.outcome.is_some() {
            return None;
        }
        [Some(self.due), self.next_step(), self.claim_ends()].into_iter().flatten().min()
    }

    fn next_step(&self) -> Option<Timestamp> {
        // Those who are asked since nobody else could are the last.
        let open = self.open.as_ref().filter(|open| self.returned.is_none() && open.level == Level::Named)?;
        let is_paused = open.claim.is_some() && self.plan.stages[self.stage].claim_pauses;
        open.steps.get(open.steps_done).copied().filter(|_| !is_paused)
    }

    fn claim_ends(&self) -> Option<Timestamp> {
        Some(self.open.as_ref()?.claim.as_ref()?.until)
    }
}

impl Case<'_> {
    /// What is due by now happens, in its order, each at its own time.
    pub(super) fn pass_time(&mut self, now: Timestamp) {
        while let Some(next) = self.request.wakes_at().filter(|next| *next <= now) {
            self.at = next;
            if next == self.request.due {
                self.deadline();
            } else if Some(next) == self.request.claim_ends() {
                self.end_claim();
            } else {
                self.step();
            }
        }
        self.at = now;
    }

    /// Nobody has it any more; if that was to stop the clock, it goes on.
    pub(super) fn end_claim(&mut self) {
        let Some(claim) = self.request.open.as_mut().and_then(|open| open.claim.take()) else { return };
        if self.request.plan.stages[self.request.stage].claim_pauses {
            self.go_on_after(claim.since);
        }
        self.show();
    }

    /// The clock of the stage's escalation has stood since then.
    pub(super) fn go_on_after(&mut self, stopped: Timestamp) {
        let stood = self.at.duration_since(stopped);
        if let Some(open) = &mut self.request.open {
            for step in open.steps.iter_mut().skip(open.steps_done) {
                *step = step.saturating_add(stood).unwrap_or(Timestamp::MAX);
            }
        }
    }

    fn deadline(&mut self) {
        match self.request.plan.on_timeout {
            OnTimeout::Approve if self.request.plan.silent_consent && self.is_silence_consent() => {
                let decided = Decided { approved: self.request.approved_if_changed(), ..self.decided_by_policy() };
                self.end_with(Outcome::Approved(decided));
            }
            OnTimeout::Reject => {
                let decided = self.decided_by_policy();
                self.end_with(Outcome::Rejected(decided));
            }
            OnTimeout::Escalate if !self.request.extended => self.extend(),
            OnTimeout::Expire | OnTimeout::Approve | OnTimeout::Escalate => self.expire(),
        }
    }

    fn expire(&mut self) {
        let (request_id, timed_out_at) = (self.request.request_id.clone(), self.request.due);
        self.end_with(Outcome::Timeout(TimedOut { request_id, timed_out_at }));
    }

    /// An answer of the last second before the deadline, if that bug was planted.
    pub(super) fn expire_too_early(&mut self, at: Timestamp) {
        if planted::is(Plant::AnsweredInTimeExpires)
            && at.as_second() == self.request.due.as_second()
            && self.request.outcome.is_none()
        {
            self.expire();
        }
    }

    /// Silence counts only in the last stage, if nobody has said no, and only of those who were asked and know it.
    fn is_silence_consent(&self) -> bool {
        let Some(open) = self.request.open.as_ref().filter(|_| self.request.returned.is_none()) else { return false };
        let is_last = self.request.stage + 1 == self.request.plan.stages.len();
        let told: BTreeSet<&Person> = open.told.iter().collect();
        let mut asked = open.people.iter().filter(|candidate| !candidate.has_left).peekable();
        is_last
            && open.votes.iter().all(|vote| vote.ballot != Ballot::Reject)
            && asked.peek().is_some()
            && asked.all(|candidate| told.contains(&candidate.person))
    }

    fn decided_by_policy(&self) -> Decided {
        Decided {
            request_id: self.request.request_id.clone(),
            processed_at: self.at,
            approver: "policy".to_owned(),
            by: Some(By::Policy),
            revision: self.request.revision_if_changed(),
            ..Decided::default()
        }
    }

    /// The fallback approvers have as long again.
    fn extend(&mut self) {
        self.request.extended = true;
        let length = self.request.due.duration_since(self.request.submitted_at);
        // A calendar that ends before that ends the request, too.
        self.request.due = self.request.due.saturating_add(length).unwrap_or(Timestamp::MAX);
        let fallback = Seat { from: self.request.plan.fallback.clone(), need: Need::Count(1) };
        if let Some(open) = &mut self.request.open {
            open.begins_anew();
            (open.level, open.seats) = (Level::Fallback, vec![fallback]);
        }
        self.show();
        self.look_up();
    }

    /// The next step of the stage's escalation.
    fn step(&mut self) {
        let stage = &self.request.plan.stages[self.request.stage];
        let Some(open) = &mut self.request.open else { return };
        let what = stage.escalate.get(open.steps_done).map(|step| &step.what);
        open.steps_done += 1;
        if !matches!(what, None | Some(Escalation::Remind(_))) {
            open.settle_shares();
        }
        match what {
            None | Some(Escalation::Remind(_)) => return,
            Some(Escalation::Add(approvers)) => {
                for seat in &mut open.seats {
                    seat.also_asks(approvers);
                }
            }
            Some(Escalation::Replace(Replacement { with, at_most })) => {
                for seat in &mut open.seats {
                    seat.from.clone_from(with);
                    if let (Need::Count(count), Some(most)) = (&mut seat.need, at_most) {
                        *count = (*count).min((*most).max(1));
                    }
                }
                open.begins_anew();
            }
        }
        self.show();
        self.look_up();
    }
}
