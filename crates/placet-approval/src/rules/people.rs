//! Claim, assign, delegate, forward: four acts by which those who are asked settle among themselves who answers.

use super::stage::{Candidate, Claim, OpenStage};
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
        let seats = self.stage_open()?.seats_of(person, caller);
        if seats.is_empty() { Err(forbidden(format!("{person} is not asked in this stage"))) } else { Ok(seats) }
    }

    pub(super) fn claim(&mut self, by: Person, caller: &Caller) -> Result<(), Refused> {
        self.asked(&by, caller)?;
        let ttl = self.request.plan.claim_ttl.unwrap_or(CLAIM_TTL);
        let (since, until) = (self.at, self.at.saturating_add(ttl).ok());
        let open = self.stage_open()?;
        if let Some(claim) = open.claim.as_ref().filter(|claim| claim.holder != by) {
            return Err(conflict(format!("{} has it since {}", claim.holder, claim.since)));
        }
        open.claim = Some(Claim { holder: by, since, until });
        Ok(())
    }

    pub(super) fn release(&mut self, by: &Person, caller: &Caller) -> Result<(), Refused> {
        let open = self.stage_open()?;
        match &open.claim {
            None => Err(conflict("nobody has claimed it")),
            Some(claim) if claim.holder == *by || caller.may(Right::Assign) => {
                open.claim = None;
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
        let since = self.at;
        let open = self.stage_open()?;
        let is_asked = open.candidate(&to).is_some_and(|candidate| !candidate.could_fill().is_empty())
            || open.seats.iter().any(|seat| seat.from.iter().any(|who| who.is(&to)));
        if !is_asked {
            if !may {
                return Err(invalid(format!("to: {to} is not asked in this stage; forward it to him instead")));
            }
            let all = SeatSet::of(open.seats.len(), |_| true);
            open.give(&to, all, None);
        }
        open.claim = Some(Claim { holder: to, since, until: None });
        Ok(())
    }

    pub(super) fn delegate(&mut self, by: Person, caller: &Caller, To { to, .. }: To) -> Result<(), Refused> {
        let seats = self.may_pass_on(&by, &to, caller)?;
        let open = self.stage_open()?;
        open.know(&by, seats).delegate = Some(to.clone());
        open.give(&to, seats, Some(by));
        Ok(())
    }

    pub(super) fn forward(&mut self, by: Person, caller: &Caller, To { to, .. }: To) -> Result<(), Refused> {
        let seats = self.may_pass_on(&by, &to, caller)?;
        let open = self.stage_open()?;
        open.know(&by, seats).has_left = true;
        open.claim.take_if(|claim| claim.holder == by);
        open.give(&to, seats, None);
        self.settle();
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
        let mut chain = vec![by.clone()];
        while let Some(before) = open.people.iter().find(|candidate| candidate.delegate.as_ref() == chain.last()) {
            chain.push(before.person.clone());
            if chain.len() > HOPS_MAX {
                return Err(conflict(format!("it was passed on {HOPS_MAX} times already")));
            }
        }
        if chain.contains(to) {
            return Err(invalid(format!("to: {to} has passed it on himself")));
        }
        Ok(seats)
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

    /// Somebody could fill these seats from now on, perhaps for somebody.
    fn give(&mut self, to: &Person, seats: SeatSet, acts_for: Option<Person>) {
        let candidate = self.know(to, SeatSet::NONE);
        candidate.given = candidate.given.and(seats);
        candidate.has_left = false;
        candidate.acts_for.extend(acts_for);
    }
}
