//! A stage that is open: who could vote, who has, and whether that settles it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::seats::{SeatSet, missing};
use crate::identity::{Approver, Caller, Person};
use crate::plan::{Seat, Veto};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Somebody who could vote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// He.
    pub person: Person,
    /// The seats that he could fill by who he is.
    pub seats: SeatSet,
    /// The seats that others have given him.
    #[serde(default, skip_serializing_if = "SeatSet::is_empty")]
    pub given: SeatSet,
    /// Those for whom he acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts_for: Vec<Person>,
    /// Who acts for him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Person>,
    /// Whether he has passed it on for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_left: bool,
}

impl Candidate {
    /// The seats that he could fill.
    pub fn could_fill(&self) -> SeatSet {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who has it.
    pub holder: Person,
    /// Since when.
    pub since: Timestamp,
    /// Until when; one that was given by somebody holds until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
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

    /// The seats that a caller could fill: those that are open to him by who he is now, as far as who counts was not settled
    /// before, and those that were given to him.
    pub(crate) fn seats_of(&self, person: &Person, caller: &Caller) -> SeatSet {
        let known = self.candidate(person);
        if known.is_some_and(|candidate| candidate.has_left) {
            return SeatSet::NONE;
        }
        let was_found = |seat| known.is_some_and(|candidate| candidate.seats.has(seat));
        let by_himself = SeatSet::of(self.seats.len(), |place| {
            let seat = &self.seats[place];
            let is_in_a_group = || caller.groups.iter().any(|name| seat.from.contains(&Approver::Group(name.clone())));
            let names_groups = seat.from.iter().any(|who| matches!(who, Approver::Group(_)));
            if seat.from.iter().any(|who| who.is(person)) {
                return true;
            }
            // Who was found when the stage opened and is in no group any more has left it.
            if seat.need.is_share() || !names_groups {
                return was_found(place) && (!names_groups || is_in_a_group());
            }
            is_in_a_group()
        });
        by_himself.and(known.map(|candidate| candidate.given).unwrap_or_default())
    }

    /// The seats that anyone could fill.
    pub(crate) fn seats_of_anyone(&self) -> SeatSet {
        SeatSet::of(self.seats.len(), |seat| self.seats[seat].from.contains(&Approver::Anyone))
    }

    /// How many each seat needs now. Of a share, those who abstain are no part.
    fn needs(&self) -> Vec<u32> {
        let need = |(place, seat): (usize, &Seat)| {
            if !seat.need.is_share() {
                return seat.need.of(0);
            }
            let counts = |candidate: &&Candidate| {
                let abstains = self.vote_of(&candidate.person).is_some_and(|vote| vote.ballot == Ballot::Abstain);
                candidate.votes_himself() && candidate.could_fill().has(place) && !abstains
            };
            seat.need.of(u32::try_from(self.people.iter().filter(counts).count()).unwrap_or(u32::MAX))
        };
        self.seats.iter().enumerate().map(need).collect()
    }

    /// Whether it is settled.
    pub fn standing(&self, veto: Veto) -> Standing {
        if self.is_looked_up {
            let least = |seat: &Seat| if seat.need.is_share() { 1 } else { seat.need.of(0) };
            return Standing::Open { more: self.seats.iter().map(least).sum() };
        }
        let needs = self.needs();
        if let Some(seat) = needs.iter().position(|&need| need == 0) {
            return Standing::Stuck { seat };
        }
        let said = |ballot| self.votes.iter().filter(move |vote| vote.ballot == ballot);
        let yes = || said(Ballot::Approve).map(|vote| (vote.seats, 1));
        let more: u32 = missing(&needs, yes()).iter().sum();
        if more == 0 {
            return Standing::Carried;
        }
        let no = said(Ballot::Reject).count();
        if matches!(veto, Veto::Count(most) if no >= usize::try_from(most).unwrap_or(usize::MAX)) {
            return Standing::Failed;
        }
        let silent = || {
            let silent = self.people.iter().filter(|candidate| candidate.votes_himself());
            silent
                .filter(|candidate| self.vote_of(&candidate.person).is_none())
                .map(|candidate| (candidate.could_fill(), 1))
        };
        // Of anyone there are always enough.
        let crowd = (self.seats_of_anyone(), needs.iter().sum());
        let possible = missing(&needs, yes().chain(silent()).chain([crowd]));
        let Some(seat) = possible.iter().position(|&missing| missing > 0) else { return Standing::Open { more } };
        let against = said(Ballot::Reject).map(|vote| (vote.seats, 1));
        let with_them = missing(&needs, yes().chain(silent()).chain([crowd]).chain(against));
        if with_them.iter().all(|&missing| missing == 0) { Standing::Failed } else { Standing::Stuck { seat } }
    }

    /// Whether all have voted who could.
    pub(crate) fn is_exhausted(&self) -> bool {
        let silent = |candidate: &Candidate| {
            candidate.votes_himself() && !candidate.could_fill().is_empty() && self.vote_of(&candidate.person).is_none()
        };
        self.seats_of_anyone().is_empty() && !self.people.iter().any(silent)
    }

    /// Whether one vote settles it, so that whoever claims it keeps others from it.
    pub(crate) fn needs_one(&self) -> bool {
        self.needs().iter().sum::<u32>() == 1
    }

    /// What was found about who could vote; what they have done among themselves stays.
    pub(crate) fn found(&mut self, people: Vec<Candidate>) {
        self.is_looked_up = false;
        let before = std::mem::take(&mut self.people);
        self.people = people;
        for old in before {
            let touched = old.has_left || old.delegate.is_some() || !old.given.is_empty();
            match self.candidate_mut(&old.person) {
                Some(new) => {
                    new.given = new.given.and(old.given);
                    new.has_left = old.has_left;
                    new.delegate = old.delegate.or_else(|| new.delegate.take());
                    new.acts_for.extend(old.acts_for);
                    new.acts_for.sort_unstable();
                    new.acts_for.dedup();
                }
                None if touched => self.people.push(Candidate { seats: SeatSet::NONE, ..old }),
                None => {}
            }
        }
    }
}
