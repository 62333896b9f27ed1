//! Votes: who may cast one, and what they come to.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::stage::{Ballot, Level, Standing, Vote};
use super::{Case, Refusal, Refused, Reply, Said, SeatSet, conflict, forbidden, invalid};
use crate::decision::{ABSTAIN, Decision};
use crate::identity::{Caller, Person};
use crate::outcome::{Decided, Outcome};
use crate::plan::Revise;
use crate::planted::{self, Plant};
use crate::request::Request;
use crate::schema;

/// Who says the same again within this time has not looked at what is asked now.
const AGAIN_WITHIN: SignedDuration = SignedDuration::from_secs(10);

impl Case<'_> {
    /// Somebody's answer.
    pub(super) fn answer(&mut self, said: &Said) -> Reply {
        let decision = Decision::of_payload(said.payload.as_deref());
        if let Some(outcome) = &self.request.outcome
            && !planted::is(Plant::OutcomeOverwritten)
        {
            let is_his = decision.is_ok_and(|decision| self.request.is_outcome(outcome, &said.caller, &decision));
            let outcome = outcome.clone();
            return if is_his { Reply::Accepted { outcome } } else { Reply::Lost { outcome } };
        }
        match decision.map_err(invalid).and_then(|decision| self.vote(&said.caller, decision)) {
            Ok(()) => self.standing(),
            Err((as_it_is, why)) => Reply::Refused { why, as_it_is },
        }
    }

    fn vote(&mut self, caller: &Caller, mut decision: Decision) -> Result<(), Refused> {
        if self.request.open.is_none() {
            self.open_stage(self.request.stage); // carried over by rules that knew no stages
        }
        let person = voter(caller);
        let plan = &self.request.plan;
        if decision.bulk && (plan.four_eyes || plan.critical) {
            let which = if plan.critical { "critical" } else { "four_eyes" };
            return Err(forbidden(format!("it is decided by itself, and not together with others ({which})")));
        }
        self.request.check_shown(&decision)?;
        let ballot = self.request.ballot(&decision)?;
        let edited = match (decision.edits.take(), ballot) {
            (Some(edits), Ballot::Approve) => self.request.edited(&edits)?,
            (Some(_), Ballot::Reject | Ballot::Abstain) => {
                return Err(invalid("edits: only who approves changes anything"));
            }
            (None, _) => None,
        };
        if edited.is_none() && (self.request.has_said(caller, &decision) || self.says_again(caller, &decision)) {
            return Ok(());
        }
        let seats = self.may_vote(&person, caller)?;
        self.request.check_filled_in(&decision, ballot)?;
        let open = self.request.open.as_ref().expect("it was just opened");
        let vote = Vote {
            ballot,
            choice: decision.choice.filter(|choice| choice != ABSTAIN),
            seats,
            acts_for: open.acts_for(&person).into_iter().map(|other| other.person.clone()).collect(),
            at: self.at,
            approver: decision.approver,
            comments: decision.comments.unwrap_or_default(),
            input: decision.input,
            answers: decision.answers,
            person,
        };
        if let Some(payload) = edited
            && self.change_payload(&vote.person, payload)
        {
            return Ok(()); // the first stage is open again, and he is asked again in his turn
        }
        self.cast(vote);
        Ok(())
    }

    /// Whether somebody whose vote has just settled a stage says the same once more, and does not say that he means the stage
    /// that is open now: a doubled click, or a call that is repeated since nobody answered.
    fn says_again(&self, caller: &Caller, decision: &Decision) -> bool {
        let is_his = |vote: &&Vote| vote.person == voter(caller) && self.request.says(decision, vote);
        let settled = self.request.settled_by.as_deref().filter(|_| decision.stage.is_none());
        let since = settled.filter(is_his).map(|vote| self.at.duration_since(vote.at));
        since.is_some_and(|since| since < AGAIN_WITHIN)
    }

    fn cast(&mut self, vote: Vote) {
        let open = self.request.open.as_mut().expect("a stage is open");
        open.votes.retain(|before| before.person != vote.person);
        // Who votes himself takes back what somebody else was to do for him.
        if let Some(candidate) = open.candidate_mut(&vote.person) {
            candidate.delegate = None;
        }
        if open.claim.as_ref().is_some_and(|claim| claim.holder == vote.person || vote.acts_for.contains(&claim.holder))
        {
            self.end_claim();
        }
        let open = self.request.open.as_mut().expect("a stage is open");
        open.votes.push(vote);
        self.show();
        self.settle();
    }

    /// The seats that somebody could fill who may vote.
    fn may_vote(&mut self, person: &Person, caller: &Caller) -> Result<SeatSet, Refused> {
        if self.request.returned.is_some() {
            return Err(conflict("it was returned for changes and is not resubmitted yet"));
        }
        let seats = if caller.person.is_some() { self.asked(person, caller)? } else { self.asked_of_anyone(caller)? };
        let request = &self.request;
        let open = request.open.as_ref().expect("a stage is open");
        if let Some(delegate) = open.voted_for(person) {
            return Err(conflict(format!("{delegate} has already voted for {person}")));
        }
        let is_others = |holder: &Person| {
            holder != person && !open.acts_for(person).iter().any(|candidate| candidate.person == *holder)
        };
        if let Some(claim) = open.claim.as_ref().filter(|claim| open.needs_one() && is_others(&claim.holder)) {
            return Err(conflict(format!("{} has it until {}", claim.holder, claim.until)));
        }
        if request.plan.revise == Revise::Never && open.vote_of(person).is_some() {
            return Err(conflict("votes are final here"));
        }
        Ok(seats)
    }

    /// Whoever raised an event says who he is; that is good for what anyone may answer.
    fn asked_of_anyone(&self, caller: &Caller) -> Result<SeatSet, Refused> {
        self.request.may_decide(&voter(caller), caller)?;
        let open = self.request.open.as_ref().expect("a stage is open");
        let seats = open.seats_of_anyone();
        if seats.is_empty() {
            return Err(forbidden("an event bears nobody's name, and only some are asked in this stage: use the API"));
        }
        Ok(seats)
    }

    /// Whether the stage is settled, and what follows.
    pub(super) fn settle(&mut self) {
        let stage = self.request.stage;
        let Some(open) = &self.request.open else { return };
        match open.standing(self.request.plan.stages[stage].veto) {
            Standing::Open { .. } => {}
            Standing::Failed => {
                let decided = self.decided(Ballot::Reject);
                self.end_with(Outcome::Rejected(decided));
            }
            Standing::Carried if stage + 1 < self.request.plan.stages.len() => {
                self.request.counted.extend(
                    open.votes.iter().filter(|vote| vote.ballot == Ballot::Approve).map(|vote| vote.person.clone()),
                );
                let last = open.votes.last().filter(|vote| vote.at == self.at);
                self.request.settled_by = last.cloned().map(Box::new);
                self.open_stage(stage + 1);
            }
            Standing::Carried if !self.is_confirmed() => {
                if open.is_exhausted() {
                    self.ask_others(0);
                }
            }
            Standing::Carried => {
                let decided = self.decided(Ballot::Approve);
                self.end_with(Outcome::Approved(decided));
            }
            Standing::Stuck { seat } => self.ask_others(seat),
        }
    }

    /// Under four eyes, whoever has changed the content needs somebody else who has agreed to that since.
    fn is_confirmed(&self) -> bool {
        let (Some(edited), true) = (&self.request.edited, self.request.plan.four_eyes) else { return true };
        let open = self.request.open.iter().flat_map(|open| &open.votes);
        let said_yes = open.filter(|vote| vote.ballot == Ballot::Approve).map(|vote| &vote.person);
        said_yes.chain(self.request.counted.iter().skip(edited.counted)).any(|person| *person != edited.by)
    }

    /// Too few are left who could fill a seat: the fallback approvers are asked, too. If that is not enough, it is the admins'.
    fn ask_others(&mut self, seat: usize) {
        let fallback = &self.request.plan.fallback;
        let open = self.request.open.as_mut().expect("a stage is open");
        open.settle_shares();
        if open.level < Level::Admins && open.seats[seat].also_asks(fallback) {
            open.level = Level::Fallback;
            self.look_up();
        } else {
            open.level = Level::Admins;
        }
        self.show();
    }

    /// What the votes come to.
    fn decided(&self, ballot: Ballot) -> Decided {
        let request = &self.request;
        let votes: Vec<&Vote> =
            request.open.iter().flat_map(|open| &open.votes).filter(|vote| vote.ballot == ballot).collect();
        let last = votes.last().expect("a stage is settled by votes");
        let mut answers = Map::new();
        votes.iter().for_each(|vote| answers.extend(vote.answers.clone()));
        let mut approvers = request.counted.clone();
        approvers.extend(votes.iter().map(|vote| vote.person.clone()));
        Decided {
            request_id: request.request_id.clone(),
            processed_at: self.at,
            approver: last.approver.clone(),
            comments: last.comments.clone(),
            by: None,
            choice: request.choice_of(&votes),
            input: votes.iter().rev().find_map(|vote| vote.input.clone()),
            answers,
            revision: request.revision_if_changed(),
            approved: request.approved_if_changed(),
            valid_until: None,
            approvers: if approvers.len() > 1 { approvers } else { Vec::new() },
        }
    }
}

impl Request {
    /// Whether somebody may decide at all.
    pub(super) fn may_decide(&self, person: &Person, caller: &Caller) -> Result<(), Refused> {
        if caller.proof < self.plan.proof {
            return Err(forbidden(format!("this request asks for more proof of who you are: {}", self.plan.proof)));
        }
        if !self.plan.self_approval && *person == self.requester() {
            return Err(forbidden("nobody decides what he asked for himself"));
        }
        Ok(())
    }

    /// Whether this very answer of his stands already.
    fn has_said(&self, caller: &Caller, decision: &Decision) -> bool {
        let vote = self.open.as_ref().and_then(|open| open.vote_of(&voter(caller)));
        self.rules > 1 && vote.is_some_and(|vote| self.says(decision, vote))
    }

    /// Whether a decision says what a vote does.
    fn says(&self, decision: &Decision, vote: &Vote) -> bool {
        let chosen = decision.choice.as_ref().filter(|choice| *choice != ABSTAIN);
        self.ballot(decision).is_ok_and(|ballot| ballot == vote.ballot)
            && vote.approver == decision.approver
            && chosen == vote.choice.as_ref()
            && decision.comments.as_deref().unwrap_or_default() == vote.comments
            && decision.input == vote.input
            && decision.answers == vote.answers
    }

    /// Whether an outcome is what his answer, which stands already, has said.
    fn is_outcome(&self, outcome: &Outcome, caller: &Caller, decision: &Decision) -> bool {
        let is_so = match (outcome, self.ballot(decision)) {
            (Outcome::Approved(decided), Ok(Ballot::Approve)) | (Outcome::Rejected(decided), Ok(Ballot::Reject)) => {
                decided.by.is_none()
            }
            _ => false,
        };
        is_so && decision.edits.is_none() && self.has_said(caller, decision)
    }

    fn ballot(&self, decision: &Decision) -> Result<Ballot, Refused> {
        let said = if decision.is_approved { Ballot::Approve } else { Ballot::Reject };
        let Some(name) = &decision.choice else { return Ok(said) };
        if name == ABSTAIN {
            return Ok(Ballot::Abstain);
        }
        let choice = self.asked.outcomes.iter().find(|choice| choice.name == *name).ok_or_else(|| {
            let names: Vec<&str> = self.asked.outcomes.iter().map(|choice| choice.name.as_str()).collect();
            invalid(format!("choice: {name:?} is none of {names:?}"))
        })?;
        let meant = if choice.is_approval { Ballot::Approve } else { Ballot::Reject };
        if meant == said { Ok(said) } else { Err(invalid(format!("is_approved: {name:?} says otherwise"))) }
    }

    fn check_filled_in(&self, decision: &Decision, ballot: Ballot) -> Result<(), Refused> {
        if let (Some(schema), Ballot::Approve) = (&self.asked.input_schema, ballot) {
            schema::check("input", schema, decision.input.as_ref().unwrap_or(&Value::Null)).map_err(invalid)?;
        }
        for id in decision.answers.keys() {
            if !self.asked.questions.iter().any(|question| question.id == *id) {
                return Err(invalid(format!("answers: there is no question {id:?}")));
            }
        }
        for question in &self.asked.questions {
            match (decision.answers.get(&question.id), &question.schema) {
                (Some(answer), Some(schema)) => {
                    schema::check(&format!("answers.{}", question.id), schema, answer).map_err(invalid)?
                }
                (None, _) if question.required && ballot == Ballot::Approve => {
                    return Err(invalid(format!("answers: {:?} must be answered", question.id)));
                }
                (_, _) => {}
            }
        }
        Ok(())
    }

    /// Which of the request's own outcomes most of the votes choose; of as many, the first in the request's list.
    fn choice_of(&self, votes: &[&Vote]) -> Option<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        votes.iter().filter_map(|vote| vote.choice.as_deref()).for_each(|name| *counts.entry(name).or_default() += 1);
        let most = *counts.values().max()?;
        let mut names = self.asked.outcomes.iter().map(|choice| choice.name.as_str());
        names.find(|name| counts.get(name) == Some(&most)).map(str::to_owned)
    }

    /// Whoever votes on what has changed since votes on something else, and so does who votes in a stage that is over.
    fn check_shown(&self, decision: &Decision) -> Result<(), Refused> {
        if let Some(seen) = decision.revision.filter(|seen| *seen != self.revision) {
            let what = format!("revision: {seen} was shown to you, {} is asked for now", self.revision);
            return Err((Refusal::Changed, what));
        }
        if decision.content_hash.as_ref().is_some_and(|seen| !seen.eq_ignore_ascii_case(&self.content_hash)) {
            let what =
                format!("content_hash: another content was shown to you; revision {} is asked for now", self.revision);
            return Err((Refusal::Changed, what));
        }
        match decision.stage {
            Some(seen) if seen != self.stage + 1 => {
                Err(conflict(format!("stage {seen} was open when you looked, stage {} is now", self.stage + 1)))
            }
            _ => Ok(()),
        }
    }
}

/// Whose vote it is. Of what a program raises nobody knows whose it is: all of that is one person's.
fn voter(caller: &Caller) -> Person {
    caller.person.clone().unwrap_or_else(|| Person::new("event"))
}
