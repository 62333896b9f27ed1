//! What an event makes of a request.
//!
//! The deadline is half-open: what was recorded before it counts, whether or not the timer has fired; what was
//! recorded at it or later finds the request timed out (APPROVALS.md §3, "Decision against timeout"). The same holds of all
//! else that time brings: what is due by an event's time happens before the event, so that a timer of what is no more, or one
//! that is early or late, changes nothing.

mod clock;
mod content;
mod people;
mod seats;
mod stage;
mod thread;
mod vote;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::act::Act;
use crate::calendar::Calendar;
use crate::decision::{COMMENTS_CHARS_MAX, parse};
use crate::hex;
use crate::identity::{Approver, Caller, Person};
use crate::outcome::{Outcome, Withdrawn};
use crate::plan::{Resolved, Seat};
use crate::planted::{self, Plant};
use crate::projection::SeatShown;
use crate::record::{Entered, Entry};
use crate::request::Request;

pub(crate) use content::{content_hash, salted};
pub use seats::{SEATS_MAX, SeatSet};
pub use stage::{Ballot, Candidate, Claim, Level, OpenStage, Standing, Vote};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The request was accepted.
    Began,
    /// Somebody said something: a [`crate::Decision`], or another [`Act`].
    Said(Said),
    /// It is as late as this.
    TimeReached(Timestamp),
    /// Who could vote was looked up, as [`Effect::LookUp`] asked.
    Found(Resolved),
    /// These were told that they are asked: a channel has accepted it.
    Told(Vec<Person>),
    /// The orchestration was terminated.
    Terminated {
        /// When.
        at: Timestamp,
        /// Why, as whoever did it said.
        reason: String,
    },
    /// The orchestration that asked for it does not wait for it any more, and it is of no use to anybody else.
    ParentEnded {
        /// When.
        at: Timestamp,
        /// Which one that was.
        parent: String,
    },
}

impl Event {
    /// When it was recorded, if it comes from outside: all that time brings until then comes before it.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        match self {
            Event::Said(said) => Some(said.at),
            Event::ParentEnded { at, .. } => Some(*at),
            Event::Began | Event::TimeReached(_) | Event::Found(_) | Event::Told(_) | Event::Terminated { .. } => None,
        }
    }
}

/// By whom a request is withdrawn whose orchestration is terminated: the scheduler tells that it was, and not by whom.
const TERMINATED_BY: &str = "an operator";

/// By whom one is whose parent has ended.
const ENDED_BY: &str = "its parent";

/// What somebody sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When the scheduler recorded it.
    pub at: Timestamp,
    /// Who waits for a reply, if anybody does.
    pub ask_id: Option<String>,
    /// Who he is.
    pub caller: Caller,
    /// What he sent.
    pub payload: Option<String>,
}

impl Said {
    /// Whether it is another act than a decision: those are the mission's, and bear no name.
    fn is_act(&self) -> bool {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "act")]
            _act: serde::de::IgnoredAny,
        }
        self.payload.as_deref().is_some_and(|payload| serde_json::from_str::<Named>(payload).is_ok())
    }
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The request has changed: show it anew.
    Show,
    /// Whoever asked is to be told.
    Reply {
        /// The ask.
        ask_id: String,
        /// What.
        reply: Box<Reply>,
        /// To what: the digest of what he sent.
        to: String,
    },
    /// This is to be entered in the record.
    Enter(Box<Entry>),
    /// Who could vote is to be looked up, and told by [`Event::Found`] before anything else is.
    LookUp(LookUp),
}

/// Whose names to look up, for a stage that opens or is put to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUp {
    /// The seats.
    pub seats: Vec<Seat>,
    /// When the stage was opened.
    pub opened_at: Timestamp,
    /// When this is asked.
    pub at: Timestamp,
    /// How long after that its steps are due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<SignedDuration>,
    /// In whose hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Of which kind the request is: some people are away for some kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who asks, to whom nothing is passed on.
    pub requester: Person,
}

/// A digest of what somebody sent, by which it is known again.
pub fn digest_of(payload: &str) -> String {
    hex(&Sha256::digest(payload)[..8])
}

/// What an asker is told, and of what: under an ask id that was used before he hears what came of the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What.
    #[serde(flatten)]
    pub reply: Reply,
    /// The digest of what was sent ([`digest_of`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
}

/// What an asker is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// His decision won.
    Accepted {
        /// The outcome, which is his.
        outcome: Outcome,
    },
    /// It was recorded, and settles nothing yet.
    Recorded {
        /// How many more are needed in the stage that is open, at least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<u32>,
        /// The stage that is open.
        stage: usize,
        /// The revision of the content that is open.
        revision: u32,
    },
    /// Something else had won before.
    Lost {
        /// What won.
        outcome: Outcome,
    },
    /// It changed nothing.
    Refused {
        /// What is wrong with it.
        why: String,
        /// What kind of thing.
        #[serde(default)]
        as_it_is: Refusal,
    },
}

/// Why something changed nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It is not what it must be.
    #[default]
    Invalid,
    /// It is not his to do.
    Forbidden,
    /// The request is not in a state for it.
    Conflict,
    /// The content has changed since he saw it.
    Changed,
}

/// What is wrong, by the remedy.
type Refused = (Refusal, String);

fn forbidden(why: impl Into<String>) -> Refused {
    (Refusal::Forbidden, why.into())
}

fn conflict(why: impl Into<String>) -> Refused {
    (Refusal::Conflict, why.into())
}

fn invalid(why: impl Into<String>) -> Refused {
    (Refusal::Invalid, why.into())
}

/// What an event makes of a request, and what is to be done about it.
pub fn apply(request: &mut Request, event: &Event) -> Vec<Effect> {
    let was_open = request.outcome.is_none();
    let at = request.submitted_at;
    let mut case = Case { at, request, effects: Vec::new(), has_changed: false, asks_others: false };
    match event {
        Event::Began => {
            case.enter_request();
            case.open_stage(0);
        }
        Event::TimeReached(at) => case.pass_time(*at),
        Event::Found(resolved) => case.found(resolved.clone()),
        Event::Told(people) => case.told(people),
        // Also after its deadline, if nobody noticed that yet: its parent is told that it was terminated, and nothing else.
        Event::Terminated { at, reason } => case.withdrawn(*at, TERMINATED_BY, reason.clone()),
        Event::ParentEnded { at, parent } => {
            case.pass_time(*at);
            case.withdrawn(*at, ENDED_BY, format!("{parent} no longer waits for it"));
        }
        Event::Said(said) => {
            case.pass_time(said.at);
            case.expire_too_early(said.at);
            case.has_changed = false;
            let found = case.place();
            let reply = if said.is_act() { case.act(said) } else { case.answer(said) };
            if case.has_changed {
                case.enter_said(said, found);
            }
            case.reply(said, reply);
        }
    }
    if case.asks_others && case.request.outcome.is_none() {
        case.enter_asked();
    }
    let is_forgotten = planted::is(Plant::EndNotEntered) && matches!(event, Event::TimeReached(_));
    if was_open
        && !is_forgotten
        && let Some(outcome) = case.request.outcome.clone()
    {
        case.enter(Entered::Ended { outcome: Box::new(outcome) });
    }
    case.effects
}

/// The revision of the content and its hash, and the stage.
type Place = (u32, String, usize);

/// A request to which something happens.
struct Case<'a> {
    request: &'a mut Request,
    effects: Vec<Effect>,
    at: Timestamp,
    /// Whether anything is to be shown that was not before.
    has_changed: bool,
    /// Whether others are asked than before.
    asks_others: bool,
}

impl Case<'_> {
    fn show(&mut self) {
        self.has_changed = true;
        if !self.effects.contains(&Effect::Show) {
            self.effects.push(Effect::Show);
        }
    }

    fn enter(&mut self, what: Entered) {
        let place = self.place();
        self.enter_at(place, what);
    }

    fn enter_at(&mut self, (revision, content_hash, stage): Place, what: Entered) {
        let entry = Entry { at: self.at, what, revision, content_hash, stage: stage + 1 };
        self.effects.push(Effect::Enter(Box::new(entry)));
    }

    fn place(&self) -> Place {
        (self.request.revision, self.request.content_hash.clone(), self.request.stage)
    }

    fn enter_request(&mut self) {
        let (asked, due, policy) = (&self.request.asked, self.request.due, self.request.plan.policy.clone());
        let (requester, item) = (asked.requester.clone(), asked.item.clone());
        let content_salt = self.request.salt.clone();
        self.enter(Entered::Requested { requester, item, due, policy, content_salt });
    }

    /// On the revision and in the stage that he found: both may be others since.
    fn enter_said(&mut self, said: &Said, found: Place) {
        let Caller { person, proof, .. } = &said.caller;
        let (by, proof) = (person.clone(), *proof);
        // What counted was JSON.
        let said = said.payload.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        self.enter_at(found, Entered::Said { by, proof, said });
    }

    fn enter_asked(&mut self) {
        let Some(open) = &self.request.open else { return };
        let name = self.request.plan.stages[self.request.stage].name.clone();
        let seats = open.seats.iter().map(|seat| SeatShown { from: seat.from.clone(), need: seat.need }).collect();
        let level = open.level;
        self.enter(Entered::Asked { name, seats, level });
    }

    fn reply(&mut self, said: &Said, reply: Reply) {
        let Some(ask_id) = said.ask_id.clone() else { return };
        let to = digest_of(said.payload.as_deref().unwrap_or_default());
        self.effects.push(Effect::Reply { ask_id, reply: Box::new(reply), to });
    }

    /// The outcome, if there is one, else what was recorded so far.
    fn standing(&self) -> Reply {
        if let Some(outcome) = &self.request.outcome {
            return Reply::Accepted { outcome: outcome.clone() };
        }
        let veto = self.request.plan.stages[self.request.stage].veto;
        let more = self.request.open.as_ref().and_then(|open| match open.standing(veto) {
            Standing::Open { more } => Some(more),
            Standing::Carried => Some(1), // of whoever has not changed it himself
            Standing::Failed | Standing::Stuck { .. } => None,
        });
        Reply::Recorded { more, stage: self.request.stage, revision: self.request.revision }
    }

    /// Opens a stage: the votes of before are over.
    fn open_stage(&mut self, stage: usize) {
        let seats = self.request.plan.stages[stage].seats.clone();
        self.request.stage = stage;
        self.request.open = Some(OpenStage::new(self.at, seats));
        self.show();
        self.look_up();
    }

    /// Asks for who could vote, if that is a question.
    fn look_up(&mut self) {
        self.asks_others = !self.request.plan.is_simple();
        let requester = self.request.requester();
        let steps = &self.request.plan.stages[self.request.stage].escalate;
        let Some(open) = &mut self.request.open else { return };
        if steps.is_empty() && open.seats.iter().all(|seat| seat.from == [Approver::Anyone]) {
            return;
        }
        open.is_looked_up = true;
        self.effects.push(Effect::LookUp(LookUp {
            seats: open.seats.clone(),
            opened_at: open.opened_at,
            at: self.at,
            after: steps.iter().map(|step| step.after).collect(),
            calendar: self.request.plan.calendar.clone(),
            category: self.request.asked.category.clone(),
            requester,
        }));
    }

    fn found(&mut self, resolved: Resolved) {
        let Resolved { at, mut people, steps } = resolved;
        let requester = self.request.requester();
        if !self.request.plan.self_approval {
            people.retain(|candidate| candidate.person != requester);
        }
        let Some(open) = &mut self.request.open else { return };
        self.at = at.max(open.opened_at);
        open.found(people);
        if open.steps.is_empty() {
            open.steps = steps;
        }
        self.settle();
    }

    fn told(&mut self, people: &[Person]) {
        if let Some(open) = &mut self.request.open {
            let mut told: std::collections::BTreeSet<Person> = open.told.drain(..).collect();
            told.extend(people.iter().cloned());
            open.told = told.into_iter().collect();
        }
    }

    fn act(&mut self, said: &Said) -> Reply {
        if let Some(outcome) = &self.request.outcome {
            return Reply::Lost { outcome: outcome.clone() };
        }
        let done = parse::<Act>(said.payload.as_deref())
            .and_then(|act| act.check().map(|()| act).map_err(|error| error.to_string()))
            .map_err(invalid)
            .and_then(|act| self.carry_out(act, &said.caller));
        match done {
            Ok(()) => {
                self.show();
                self.standing()
            }
            Err((as_it_is, why)) => Reply::Refused { why, as_it_is },
        }
    }

    fn carry_out(&mut self, act: Act, caller: &Caller) -> Result<(), Refused> {
        let by = caller.person.clone().ok_or_else(|| forbidden("nobody knows who you are: say so through the API"))?;
        match act {
            Act::Claim => self.claim(by, caller),
            Act::Release => self.release(&by, caller),
            Act::Assign(to) => self.assign(&by, caller, to),
            Act::Delegate(to) => self.delegate(by, caller, to),
            Act::Forward(to) => self.forward(by, caller, to),
            Act::Comment(text) => self.comment(by, text),
            Act::Question(text) => self.question(by, caller, text),
            Act::Answer(answer) => self.answer_question(by, answer),
            Act::Return(text) => self.send_back(by, caller, text),
            Act::Revise(revision) => self.revise(&by, revision),
            Act::Withdraw(reason) => self.withdraw(&by, caller, reason),
            Act::Override(text) => self.override_all(by, caller, text),
        }
    }

    fn withdrawn(&mut self, at: Timestamp, by: &str, mut reason: String) {
        self.at = at;
        if self.request.outcome.is_none() {
            // Whoever says it may say more than can be shown.
            if let Some((end, _)) = reason.char_indices().nth(COMMENTS_CHARS_MAX) {
                reason.truncate(end);
            }
            self.end_with(Outcome::Withdrawn(Withdrawn {
                request_id: self.request.request_id.clone(),
                withdrawn_at: at,
                by: by.to_owned(),
                reason,
            }));
        }
    }

    fn end_with(&mut self, mut outcome: Outcome) {
        if let Outcome::Approved(decided) = &mut outcome {
            decided.valid_until = self.request.valid_until(decided.processed_at);
        }
        self.request.outcome = Some(outcome);
        self.show();
    }
}

#[cfg(test)]
mod tests;
