//! A stage that is open: who could vote, who has, and whether that settles it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::seats::{SeatSet, missing};
use crate::identity::{Approver, Caller, Person};
use crate::plan::{Need, Seat, Veto};

/// A stage that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenStage {
    /// Since when.
    pub opened_at: Timestamp,
    /// Its seats, as escalation has changed them.
    pub seats: Vec<Seat>,
    /// Who could vote, as far as that is known beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Candidate>,
    /// Of how many each share is one: those who were there when the stage opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub electors: Vec<u32>,
    /// Whether that is being looked up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_looked_up: bool,
    /// Who has, each person once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Vote>,
    /// When each step of the plan's is due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Timestamp>,
    /// How many of them are over.
    #[serde(default)]
    pub steps_done: usize,
    /// Who has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Those who were told that they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Person>,
    /// Who is asked: those of the plan, or others since none of them could decide.
    #[serde(default)]
    pub level: Level,
}

/// Who is asked in a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Those whom the plan names.
    #[default]
    Named,
    /// Its fallback approvers.
    Fallback,
    /// Nobody but those who may assign or override: it is in the admins' queue.
    Admins,
}

/// Somebody who could vote, or has passed that on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// He.
    pub person: Person,
    /// The seats that he could fill by who he is.
    #[serde(default, skip_serializing_if = "SeatSet::is_empty")]
    pub seats: SeatSet,
    /// Those of them that are his only as long as a group holds him.
    #[serde(default, skip_serializing_if = "SeatSet::is_empty")]
    pub by_group: SeatSet,
    /// The seats that others have left to him.
    #[serde(default, skip_serializing_if = "SeatSet::is_empty")]
    pub given: SeatSet,
    /// Who acts for him, until he acts himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Person>,
    /// Whether he has passed it on for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_left: bool,
}

impl Candidate {
    /// The seats that he could fill for himself.
    fn own(&self) -> SeatSet {
        if self.has_left { SeatSet::NONE } else { self.seats.and(self.given) }
    }

    /// Whether nobody else votes in his place.
    fn votes_himself(&self) -> bool {
        !self.has_left && self.delegate.is_none()
    }
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose.
    pub person: Person,
    /// What he says.
    pub ballot: Ballot,
    /// Which of the request's own outcomes he chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// The seats that he could fill with it.
    pub seats: SeatSet,
    /// Those for whom he acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts_for: Vec<Person>,
    /// When it was recorded.
    pub at: Timestamp,
    /// The name that he gave.
    pub approver: String,
    /// What he says to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comments: String,
    /// What he fills in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What he answers, by question.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub answers: Map<String, Value>,
}

/// What a vote says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ballot {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Neither: he counts no more.
    Abstain,
}

/// Somebody has taken a request, or was given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Who has it.
    pub holder: Person,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Whether a stage is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// So many more are needed.
    Open {
        /// At least.
        more: u32,
    },
    /// It says yes.
    Carried,
    /// It says no.
    Failed,
    /// It can say neither any more: nobody is left who could fill this seat.
    Stuck {
        /// Its place in the stage.
        seat: usize,
    },
}

impl OpenStage {
    /// A stage that has just opened.
    pub(crate) fn new(opened_at: Timestamp, seats: Vec<Seat>) -> OpenStage {
        OpenStage {
            opened_at,
            seats,
            people: Vec::new(),
            electors: Vec::new(),
            is_looked_up: false,
            votes: Vec::new(),
            steps: Vec::new(),
            steps_done: 0,
            claim: None,
            told: Vec::new(),
            level: Level::Named,
        }
    }

    pub(crate) fn candidate(&self, person: &Person) -> Option<&Candidate> {
        self.people.iter().find(|candidate| candidate.person == *person)
    }

    pub(crate) fn candidate_mut(&mut self, person: &Person) -> Option<&mut Candidate> {
        self.people.iter_mut().find(|candidate| candidate.person == *person)
    }

    pub(crate) fn vote_of(&self, person: &Person) -> Option<&Vote> {
        self.votes.iter().find(|vote| vote.person == *person)
    }

    /// Those who have passed it on to somebody who acts for them: few of many.
    fn absent(&self) -> Vec<&Candidate> {
        self.people.iter().filter(|candidate| candidate.delegate.is_some()).collect()
    }

    /// Those for whom somebody acts, and for whom they act in turn.
    pub(crate) fn acts_for(&self, person: &Person) -> Vec<&Candidate> {
        acts_for(&self.absent(), person)
    }

    /// Whoever has voted for somebody who has left it to him, or to somebody who has left it to him.
    pub(crate) fn voted_for(&self, person: &Person) -> Option<&Person> {
        let mut seen = vec![person];
        let mut delegate = self.candidate(person)?.delegate.as_ref();
        while let Some(next) = delegate.filter(|next| !seen.contains(next)) {
            if self.vote_of(next).is_some() {
                return Some(next);
            }
            seen.push(next);
            delegate = self.candidate(next).and_then(|candidate| candidate.delegate.as_ref());
        }
        None
    }

    /// The seats that a candidate could fill, for himself and for those for whom he acts.
    pub(crate) fn could_fill(&self, candidate: &Candidate) -> SeatSet {
        could_fill(&self.absent(), candidate)
    }

    /// The seats that a caller could fill: those that are open to him by who he is now, as far as who counts was not settled
    /// before, those that others have left to him, and those of people for whom he acts.
    pub(crate) fn seats_of(&self, person: &Person, caller: &Caller) -> SeatSet {
        let of_others = self.acts_for(person).iter().fold(SeatSet::NONE, |seats, other| seats.and(other.own()));
        let known = self.candidate(person);
        if known.is_some_and(|candidate| candidate.has_left) {
            return of_others;
        }
        let by_himself = SeatSet::of(self.seats.len(), |place| {
            let seat = &self.seats[place];
            let is_in_a_group = || caller.groups.iter().any(|name| seat.from.contains(&Approver::Group(name.clone())));
            if seat.from.iter().any(|who| who.is(person)) {
                return true;
            }
            match known.filter(|candidate| candidate.seats.has(place)) {
                // Whom only a group has made one of them, and who is in none any more, has left.
                Some(candidate) => !candidate.by_group.has(place) || is_in_a_group(),
                None => !seat.need.is_share() && is_in_a_group(),
            }
        });
        of_others.and(by_himself).and(known.map(|candidate| candidate.given).unwrap_or_default())
    }

    /// The seats that anyone could fill.
    pub(crate) fn seats_of_anyone(&self) -> SeatSet {
        SeatSet::of(self.seats.len(), |seat| self.seats[seat].from.contains(&Approver::Anyone))
    }

    /// How many each seat needs now. A share is one of those who were there when the stage opened, less those who abstain.
    pub(crate) fn needs(&self) -> Vec<u32> {
        let need = |(place, seat): (usize, &Seat)| {
            let abstains = |vote: &&Vote| vote.ballot == Ballot::Abstain && vote.seats.has(place);
            let abstaining = u32::try_from(self.votes.iter().filter(abstains).count()).unwrap_or(u32::MAX);
            let electors = self.electors.get(place).copied().unwrap_or_default();
            seat.need.of(electors.saturating_sub(abstaining))
        };
        self.seats.iter().enumerate().map(need).collect()
    }

    /// From now on so many are needed as are now, of whomever that is asked.
    pub(crate) fn settle_shares(&mut self) {
        for (seat, need) in self.needs().into_iter().enumerate() {
            if self.seats[seat].need.is_share() {
                self.seats[seat].need = Need::Count(need.max(1));
            }
        }
    }

    /// Whether it is settled.
    pub fn standing(&self, veto: Veto) -> Standing {
        if self.is_looked_up {
            let least = |seat: &Seat| if seat.need.is_share() { 1 } else { seat.need.of(0) };
            return Standing::Open { more: self.seats.iter().map(least).sum() };
        }
        let said = |ballot| self.votes.iter().filter(move |vote| vote.ballot == ballot);
        let no = said(Ballot::Reject).count();
        if matches!(veto, Veto::Count(most) if no >= usize::try_from(most).unwrap_or(usize::MAX)) {
            return Standing::Failed;
        }
        let needs = self.needs();
        if let Some(seat) = needs.iter().position(|&need| need == 0) {
            return Standing::Stuck { seat };
        }
        let yes = || said(Ballot::Approve).map(|vote| (vote.seats, 1));
        let more: u32 = missing(&needs, yes()).iter().sum();
        if more == 0 {
            return Standing::Carried;
        }
        let absent = self.absent();
        let silent = self.silent().map(|candidate| (could_fill(&absent, candidate), 1));
        let silent: Vec<(SeatSet, u32)> = silent.collect();
        // Of anyone there are always enough.
        let crowd = (self.seats_of_anyone(), needs.iter().sum());
        let could_say_yes = || yes().chain(silent.iter().copied()).chain([crowd]);
        let possible = missing(&needs, could_say_yes());
        let Some(seat) = possible.iter().position(|&missing| missing > 0) else { return Standing::Open { more } };
        let against = said(Ballot::Reject).map(|vote| (vote.seats, 1));
        let with_them = missing(&needs, could_say_yes().chain(against));
        if with_them.iter().all(|&missing| missing == 0) { Standing::Failed } else { Standing::Stuck { seat } }
    }

    /// Those who could vote and have not.
    fn silent(&self) -> impl Iterator<Item = &Candidate> {
        let voted: BTreeSet<&Person> = self.votes.iter().map(|vote| &vote.person).collect();
        self.people.iter().filter(move |candidate| candidate.votes_himself() && !voted.contains(&candidate.person))
    }

    /// Whether all have voted who could.
    pub(crate) fn is_exhausted(&self) -> bool {
        let absent = self.absent();
        self.seats_of_anyone().is_empty() && self.silent().all(|candidate| could_fill(&absent, candidate).is_empty())
    }

    /// Whether one vote settles it, so that whoever claims it keeps others from it.
    pub(crate) fn needs_one(&self) -> bool {
        self.needs().iter().sum::<u32>() == 1
    }

    /// What was found about who could vote; what they have done among themselves stays. Of how many a share is one is settled the
    /// first time.
    pub(crate) fn found(&mut self, people: Vec<Candidate>) {
        self.is_looked_up = false;
        let before = std::mem::take(&mut self.people);
        let places: BTreeMap<Person, usize> =
            people.iter().enumerate().map(|(place, candidate)| (candidate.person.clone(), place)).collect();
        self.people = people;
        for old in before {
            let touched = old.has_left || old.delegate.is_some() || !old.given.is_empty();
            match places.get(&old.person) {
                Some(&place) => {
                    let new = &mut self.people[place];
                    new.given = new.given.and(old.given);
                    new.has_left = old.has_left;
                    new.delegate = old.delegate.or_else(|| new.delegate.take());
                }
                None if touched => self.people.push(Candidate { seats: SeatSet::NONE, by_group: SeatSet::NONE, ..old }),
                None => {}
            }
        }
        if self.electors.is_empty() {
            let of = |place| self.people.iter().filter(|candidate| candidate.seats.has(place)).count();
            self.electors = (0..self.seats.len()).map(|place| u32::try_from(of(place)).unwrap_or(u32::MAX)).collect();
        }
    }

    /// All of its seats.
    pub(crate) fn all_seats(&self) -> SeatSet {
        SeatSet::of(self.seats.len(), |_| true)
    }

    /// Others are asked instead: nobody has voted or taken it, and what was given of its seats counts no more.
    pub(crate) fn begins_anew(&mut self) {
        (self.votes, self.claim) = (Vec::new(), None);
        self.people.retain(|candidate| candidate.has_left);
        for candidate in &mut self.people {
            (candidate.seats, candidate.given) = (SeatSet::NONE, SeatSet::NONE);
        }
    }
}

/// Those of the absent for whom somebody acts, and for whom they act in turn.
fn acts_for<'a>(absent: &[&'a Candidate], person: &Person) -> Vec<&'a Candidate> {
    let mut found: Vec<&Candidate> = Vec::new();
    let mut next = vec![person];
    while let Some(delegate) = next.pop() {
        for candidate in absent.iter().filter(|candidate| candidate.delegate.as_ref() == Some(delegate)) {
            // A circle would be one of people who act for each other.
            if candidate.person != *person && !found.iter().any(|other| other.person == candidate.person) {
                found.push(candidate);
                next.push(&candidate.person);
            }
        }
    }
    found
}

/// The seats that a candidate could fill, for himself and for those of the absent for whom he acts.
fn could_fill(absent: &[&Candidate], candidate: &Candidate) -> SeatSet {
    acts_for(absent, &candidate.person).iter().fold(candidate.own(), |seats, other| seats.and(other.own()))
}
