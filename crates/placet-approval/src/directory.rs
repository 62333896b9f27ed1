//! Who there is: people, the groups that hold them, and who is away. Whoever has a directory (a configuration, later an
//! identity provider) makes one of these; what a stage needs of it is found by a function of it alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::field::FieldError;
use crate::identity::{Approver, Person};
use crate::plan::{Need, Resolved, Seat};
use crate::request::Request;
use crate::rules::{Candidate, LookUp, OpenStage, SeatSet, Standing};

/// How often what is somebody's who is away goes on to somebody else (APPROVALS.md §3, "Escalation chain").
const HOPS_MAX: usize = 3;

/// People and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    /// People, by their ids. If there is none, whoever says a name is a person.
    pub users: BTreeMap<Person, User>,
    /// Groups: ids of people, and other groups as `group:NAME`.
    pub groups: BTreeMap<String, Vec<Approver>>,
}

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// What people call him.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where he reads mail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// When he is away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Absence>,
}

/// A time for which somebody is away, and who acts for him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Who acts for him; without one he is just not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Person>,
    /// For these kinds of requests; for none: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

impl Absence {
    fn holds(&self, at: Timestamp, category: Option<&str>) -> bool {
        let is_meant = self.categories.is_empty() || self.categories.iter().any(|name| Some(name.as_str()) == category);
        is_meant && self.from <= at && at < self.until
    }
}

impl Directory {
    /// Whether there is such a person.
    pub fn knows(&self, person: &Person) -> bool {
        self.users.is_empty() || self.users.contains_key(person) || person.as_str().starts_with("email:")
    }

    /// Who reads mail there: one of the users, or somebody known by nothing else.
    pub fn person_at(&self, address: &str) -> Person {
        let reads = |user: &User| user.emails.iter().any(|own| own.eq_ignore_ascii_case(address));
        let user = self.users.iter().find(|(_, user)| reads(user));
        user.map_or_else(|| Person::new(format!("email:{}", address.to_lowercase())), |(person, _)| person.clone())
    }

    /// Where somebody reads mail.
    pub fn addresses_of(&self, person: &Person) -> impl Iterator<Item = &str> {
        self.users.get(person).into_iter().flat_map(|user| user.emails.iter().map(String::as_str))
    }

    /// Who is in a group, through other groups, too.
    pub fn members(&self, group: &str) -> BTreeSet<Person> {
        let (mut people, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![group]);
        while let Some(group) = open.pop() {
            if !seen.insert(group) {
                continue;
            }
            for member in self.groups.get(group).into_iter().flatten() {
                match member {
                    Approver::User(person) => drop(people.insert(person.clone())),
                    Approver::Email(address) => drop(people.insert(self.person_at(address))),
                    Approver::Group(name) => open.push(name),
                    Approver::Anyone => {}
                }
            }
        }
        people
    }

    /// The person whom a text names.
    pub fn person(&self, text: &str) -> Person {
        let person = Person::named(text);
        match person.as_str().strip_prefix("email:") {
            Some(address) => self.person_at(address),
            None => person,
        }
    }

    /// The groups that hold somebody, through other groups, too.
    pub fn groups_of(&self, person: &Person) -> Vec<String> {
        let is_he = |member: &Approver| match member {
            Approver::User(user) => user == person,
            Approver::Email(address) => self.person_at(address) == *person,
            Approver::Group(_) | Approver::Anyone => false,
        };
        let mut found: BTreeSet<&String> =
            self.groups.iter().filter(|(_, members)| members.iter().any(is_he)).map(|(name, _)| name).collect();
        loop {
            let before = found.len();
            let holds = |member: &Approver| matches!(member, Approver::Group(name) if found.contains(name));
            let more: Vec<&String> =
                self.groups.iter().filter(|(_, members)| members.iter().any(holds)).map(|(name, _)| name).collect();
            found.extend(more);
            if found.len() == before {
                return found.into_iter().cloned().collect();
            }
        }
    }

    /// Who could vote, and when the stage's steps are due. Who is away is among them, with his delegate: if he votes himself all the
    /// same, he does.
    pub fn resolve(&self, question: &LookUp) -> Resolved {
        let mut found: BTreeMap<Person, Candidate> = BTreeMap::new();
        let known = |person: Person| Candidate { person, ..Candidate::default() };
        for (place, seat) in question.seats.iter().enumerate() {
            let set = SeatSet::of(place + 1, |at| at == place);
            for (who, person) in
                seat.from.iter().flat_map(|who| self.people(who).into_iter().map(move |one| (who, one)))
            {
                if !self.knows(&person) {
                    continue;
                }
                let candidate = found.entry(person.clone()).or_insert_with(|| known(person));
                let is_group = matches!(who, Approver::Group(_));
                // By a group alone: nothing else has found him there.
                let by_group = if !is_group {
                    candidate.by_group.less(set)
                } else if candidate.seats.has(place) {
                    candidate.by_group
                } else {
                    candidate.by_group.and(set)
                };
                (candidate.seats, candidate.by_group) = (candidate.seats.and(set), by_group);
            }
        }
        for person in found.keys().cloned().collect::<Vec<_>>() {
            match self.stand_in(&person, question) {
                StandIn::Himself => {}
                StandIn::Nobody => drop(found.remove(&person)),
                StandIn::Other(other) => {
                    found.entry(other.clone()).or_insert_with(|| known(other.clone()));
                    found.entry(person.clone()).or_insert_with(|| known(person)).delegate = Some(other);
                }
            }
        }
        let due = |after: &SignedDuration| match &question.calendar {
            Some(calendar) => calendar.not_quiet(calendar.after(question.opened_at, *after)),
            None => question.opened_at.saturating_add(*after).unwrap_or(Timestamp::MAX),
        };
        let steps = question.after.iter().map(due);
        Resolved { at: question.at, people: found.into_values().collect(), steps: steps.collect() }
    }

    fn people(&self, who: &Approver) -> BTreeSet<Person> {
        match who {
            Approver::Anyone => BTreeSet::new(),
            Approver::User(person) => BTreeSet::from([person.clone()]),
            Approver::Email(address) => BTreeSet::from([self.person_at(address)]),
            Approver::Group(name) => self.members(name),
        }
    }

    /// Who acts for somebody who may be away, and for whom that one may be. Nobody, if that leads nowhere or back to whoever asks.
    fn stand_in(&self, person: &Person, question: &LookUp) -> StandIn {
        let mut now = person.clone();
        for _ in 0..=HOPS_MAX {
            let away = self
                .users
                .get(&now)
                .and_then(|user| user.away.iter().find(|away| away.holds(question.at, question.category.as_deref())));
            match away {
                None if now == *person => return StandIn::Himself,
                None if now == question.requester || !self.knows(&now) => return StandIn::Nobody,
                None => return StandIn::Other(now),
                Some(Absence { delegate: Some(delegate), .. }) if delegate != person => now.clone_from(delegate),
                Some(_) => return StandIn::Nobody,
            }
        }
        StandIn::Nobody
    }
}

/// Who acts for somebody.
enum StandIn {
    Himself,
    Other(Person),
    Nobody,
}

/// What is wrong with a request that nobody could decide: a seat of it that those who are asked cannot fill, if nobody else
/// would be asked instead.
pub fn undecidable(request: &Request, directory: &Directory) -> Option<FieldError> {
    let plan = &request.plan;
    let requester = request.requester();
    let people = |seats: &[Seat]| {
        let question = LookUp {
            seats: seats.to_vec(),
            opened_at: request.submitted_at,
            at: request.submitted_at,
            after: Vec::new(),
            calendar: None,
            category: request.asked.category.clone(),
            requester: requester.clone(),
        };
        let mut people = directory.resolve(&question).people;
        people.retain(|candidate| plan.self_approval || candidate.person != requester);
        people
    };
    plan.stages.iter().enumerate().find_map(|(number, stage)| {
        let stuck = |seats: &[Seat]| {
            let mut open = OpenStage::new(request.submitted_at, seats.to_vec());
            open.found(people(seats));
            if let Standing::Stuck { seat } = open.standing(stage.veto) { Some(seat) } else { None }
        };
        let mut seats = stage.seats.clone();
        while let Some(seat) = stuck(&seats) {
            if !seats[seat].also_asks(&plan.fallback) {
                return Some(too_few(&stage.seats[seat], number, seat));
            }
            if seats[seat].need.is_share() {
                seats[seat].need = Need::Count(1);
            }
        }
        None
    })
}

fn too_few(seat: &Seat, stage: usize, place: usize) -> FieldError {
    let Seat { from, need } = seat;
    let names: Vec<String> = from.iter().map(ToString::to_string).collect();
    let remedy = format!(
        "too few could decide: seat {} of stage {} needs {need} of {}, not counting whoever asks; name others, or a fallback",
        place + 1,
        stage + 1,
        names.join(", ")
    );
    FieldError::new("approvers", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Need, Seat};

    fn directory() -> Directory {
        serde_json::from_str(
            r#"{
                "users": {
                    "ann": {"emails": ["ann@example.org"]},
                    "ben": {"away": [{"from": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z", "delegate": "cem"}]},
                    "cem": {"away": [{"from": "2026-01-10T00:00:00Z", "until": "2026-01-11T00:00:00Z", "delegate": "ben"}]},
                    "dot": {"away": [{"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z", "delegate": "req", "categories": ["expense"]}]}
                },
                "groups": {"leads": ["ann", "group:ops"], "ops": ["ben", "group:leads"], "others": ["email:ann@EXAMPLE.org", "dot"]}
            }"#,
        )
        .unwrap()
    }

    fn found(approvers: &[&str], day: &str, category: Option<&str>) -> Vec<String> {
        let from = approvers.iter().map(|who| who.parse().unwrap()).collect();
        let at: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        let question = LookUp {
            seats: vec![Seat { from, need: Need::ALL }],
            opened_at: at,
            at,
            after: Vec::new(),
            calendar: None,
            category: category.map(str::to_owned),
            requester: Person::new("req"),
        };
        let people = directory().resolve(&question).people.into_iter();
        people
            .map(|who| who.delegate.iter().fold(who.person.to_string(), |text, other| format!("{text} by {other}")))
            .collect()
    }

    #[test]
    fn each_person_is_found_once_whichever_way_leads_to_him() {
        assert_eq!(found(&["group:leads", "email:Ann@example.org", "ann"], "2026-03-01", None), ["ann", "ben"]);
        assert_eq!(found(&["group:ops", "email:eve@x.org"], "2026-03-01", None), ["ann", "ben", "email:eve@x.org"]);
        assert_eq!(found(&["group:nobody", "anyone"], "2026-03-01", None), [""; 0]);
    }

    #[test]
    fn who_is_away_is_stood_in_for_unless_that_goes_round_in_circles_or_back_to_who_asks() {
        assert_eq!(found(&["ben"], "2026-01-05", None), ["ben by cem", "cem"]);
        assert_eq!(found(&["ben", "cem"], "2026-01-05", None), ["ben by cem", "cem"]);
        assert_eq!(found(&["ben", "ann"], "2026-01-10", None), ["ann"], "both are away for each other");
        assert_eq!(found(&["ben"], "2026-02-01", None), ["ben"], "he is back");
        assert_eq!(found(&["dot"], "2026-05-01", Some("access")), ["dot"]);
        assert_eq!(found(&["dot"], "2026-05-01", Some("expense")), [""; 0]);
    }
}
