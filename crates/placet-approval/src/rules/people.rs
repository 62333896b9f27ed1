//! Claim, assign, delegate, forward: four acts by which those who are asked settle among themselves who answers.

use jiff::Timestamp;

use super::stage::{Candidate, Claim, OpenStage, Standing};
use super::{Case, Refused, SeatSet, conflict, forbidden, invalid};
use crate::act::{Text, To};
use crate::identity::{Caller, Person, Right};
use crate::outcome::{By, Decided, Outcome};
use crate::plan::CLAIM_TTL;

/// How often a request may be passed on from one to another (APPROVALS.md §3, "Escalation chain").
const HOPS_MAX: usize = 3;

impl Case<'_> {
    fn stage_open(&mut self) -> Result<&mut OpenStage, Refused> {
        self.request.open.as_mut().ok_or_else(|| conflict("no stage of it is open"))
    }

    /// Whoever is asked, or a complaint.
    pub(super) fn asked(&mut self, person: &Person, caller: &Caller) -> Result<SeatSet, Refused> {
        self.request.may_decide(person, caller)?;
        let seats = self.stage_open()?.seats_of(person, caller);
        if seats.is_empty() {
            self.has_gone(person);
            return Err(forbidden(format!("{person} is not asked in this stage")));
        }
        Ok(seats)
    }

    /// Somebody calls who was found when the stage opened and could vote no more: it is looked at who is left.
    pub(super) fn has_gone(&mut self, person: &Person) {
        let open = self.request.open.as_ref();
        if open.and_then(|open| open.candidate(person)).is_some_and(|known| !known.has_left && !known.seats.is_empty())
        {
            self.look_up();
        }
    }

    pub(super) fn claim(&mut self, by: Person, caller: &Caller) -> Result<(), Refused> {
        self.asked(&by, caller)?;
        self.take(by, false)
    }

    /// Somebody has it for a while.
    fn take(&mut self, holder: Person, from_others: bool) -> Result<(), Refused> {
        let ttl = self.request.plan.claim_ttl.unwrap_or(CLAIM_TTL);
        let (since, until) = (self.at, self.at.saturating_add(ttl).unwrap_or(Timestamp::MAX));
        let open = self.stage_open()?;
        if let Some(claim) = open.claim.as_ref().filter(|claim| claim.holder != holder && !from_others) {
            return Err(conflict(format!("{} has it since {}", claim.holder, claim.since)));
        }
        self.end_claim();
        self.stage_open()?.claim = Some(Claim { holder, since, until });
        Ok(())
    }

    pub(super) fn release(&mut self, by: &Person, caller: &Caller) -> Result<(), Refused> {
        let open = self.stage_open()?;
        match &open.claim {
            None => Err(conflict("nobody has claimed it")),
            Some(claim) if claim.holder == *by || caller.may(Right::Assign) => {
                self.end_claim();
                Ok(())
            }
            Some(claim) => Err(forbidden(format!("{} has it", claim.holder))),
        }
    }

    /// It is given to somebody: to one of those who are asked, or by who may to anybody.
    pub(super) fn assign(&mut self, by: &Person, caller: &Caller, To { to, .. }: To) -> Result<(), Refused> {
        let may = caller.may(Right::Assign);
        if !may {
            self.asked(by, caller)?;
        }
        self.may_receive(&to)?;
        let open = self.stage_open()?;
        let is_asked = open.candidate(&to).is_some_and(|candidate| !open.could_fill(candidate).is_empty())
            || open.seats.iter().any(|seat| seat.from.iter().any(|who| who.is(&to)));
        if !is_asked && !may {
            return Err(invalid(format!("to: {to} is not asked in this stage; forward it to him instead")));
        }
        self.take(to.clone(), may || self.holds_claim(by))?;
        if !is_asked {
            let open = self.stage_open()?;
            let all = open.all_seats();
            open.give(&to, all);
        }
        Ok(())
    }

    fn holds_claim(&self, person: &Person) -> bool {
        let claim = self.request.open.as_ref().and_then(|open| open.claim.as_ref());
        claim.is_some_and(|claim| claim.holder == *person)
    }

    pub(super) fn delegate(&mut self, by: Person, caller: &Caller, To { to, .. }: To) -> Result<(), Refused> {
        let seats = self.may_pass_on(&by, &to, caller)?;
        self.pass_on(&by, |open| {
            open.know(&by, seats).delegate = Some(to.clone());
            open.know(&to, SeatSet::NONE);
        })
    }

    pub(super) fn forward(&mut self, by: Person, caller: &Caller, To { to, .. }: To) -> Result<(), Refused> {
        let seats = self.may_pass_on(&by, &to, caller)?;
        if seats.is_empty() {
            // What is somebody else's he can only leave to another delegate.
            return self.delegate(by, caller, To { to, text: String::new() });
        }
        self.pass_on(&by, |open| {
            let known = open.know(&by, seats);
            (known.has_left, known.delegate) = (true, None);
            open.give(&to, seats);
        })
    }

    /// Passes something on, unless too few would be left to decide.
    fn pass_on(&mut self, by: &Person, how: impl FnOnce(&mut OpenStage)) -> Result<(), Refused> {
        let veto = self.request.plan.stages[self.request.stage].veto;
        let mut after = self.stage_open()?.clone();
        how(&mut after);
        if matches!(after.standing(veto), Standing::Stuck { .. }) {
            return Err(conflict("too few would be left to decide: one person counts once, for whomever he acts"));
        }
        if self.holds_claim(by) {
            self.end_claim();
            after.claim = None;
            after.steps.clone_from(&self.stage_open()?.steps);
        }
        *self.stage_open()? = after;
        Ok(())
    }

    /// The seats that somebody may pass on to somebody else.
    fn may_pass_on(&mut self, by: &Person, to: &Person, caller: &Caller) -> Result<SeatSet, Refused> {
        let seats = self.asked(by, caller)?;
        if by == to {
            return Err(invalid("to: is yourself"));
        }
        self.may_receive(to)?;
        let open = self.stage_open()?;
        if open.vote_of(by).is_some() {
            return Err(conflict(format!("{by} has voted")));
        }
        if let Some(delegate) = open.voted_for(by) {
            return Err(conflict(format!("{delegate} has already voted for {by}")));
        }
        if open.vote_of(to).is_some() {
            return Err(conflict(format!("{to} has voted")));
        }
        let behind = open.acts_for(by);
        if behind.iter().any(|other| other.person == *to) {
            return Err(invalid(format!("to: {to} has passed it on himself")));
        }
        if behind.len() >= HOPS_MAX {
            return Err(conflict(format!("it was passed on {HOPS_MAX} times already")));
        }
        // What he holds for others stays with them: they may still take it back.
        let own = open.candidate(by).map(|known| known.seats.and(known.given)).unwrap_or_default();
        Ok(if own.is_empty() && behind.is_empty() { seats } else { own })
    }

    fn may_receive(&self, to: &Person) -> Result<(), Refused> {
        if *to == self.request.requester() && !self.request.plan.self_approval {
            return Err(invalid(format!("to: {to} has asked for it himself")));
        }
        Ok(())
    }

    /// Break glass: whoever may approves it over the heads of the others.
    pub(super) fn override_all(&mut self, by: Person, caller: &Caller, Text { text }: Text) -> Result<(), Refused> {
        if !caller.may(Right::Override) {
            return Err(forbidden("overriding is a right of its own, which you have not"));
        }
        if by == self.request.requester() && !self.request.plan.self_approval {
            return Err(forbidden("nobody decides what he asked for himself"));
        }
        let decided = Decided {
            request_id: self.request.request_id.clone(),
            processed_at: self.at,
            approver: by.to_string(),
            comments: text,
            by: Some(By::Override),
            revision: self.request.revision_if_changed(),
            approved: self.request.approved_if_changed(),
            ..Decided::default()
        };
        self.end_with(Outcome::Approved(decided));
        Ok(())
    }
}

impl OpenStage {
    /// The entry of somebody who could fill these seats.
    fn know(&mut self, person: &Person, seats: SeatSet) -> &mut Candidate {
        let at = self.people.iter().position(|candidate| candidate.person == *person).unwrap_or_else(|| {
            self.people.push(Candidate { person: person.clone(), seats, ..Candidate::default() });
            self.people.len() - 1
        });
        &mut self.people[at]
    }

    /// Somebody could fill these seats from now on.
    fn give(&mut self, to: &Person, seats: SeatSet) {
        let candidate = self.know(to, SeatSet::NONE);
        candidate.given = candidate.given.and(seats);
        candidate.has_left = false;
    }
}
