//! The record of a request: what was done, by whom, as whom he was known, when, and on which revision. Each entry is written in
//! the commit of what it tells of, and never changed.
//!
//! The people whom an entry names stand apart from its text, which has `~1`, `~2` for them: whoever is erased is not named any
//! more, and what was done stays readable. A text that begins with `~` of itself has one more before it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Approver, Person, Proof};
use crate::outcome::Outcome;
use crate::plan::{PolicyVersion, is_default};
use crate::projection::SeatShown;
use crate::rules::Level;

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// When the scheduler recorded it.
    pub at: Timestamp,
    /// What it tells of.
    #[serde(flatten)]
    pub what: Entered,
    /// The revision of the content that was open then.
    pub revision: u32,
    /// Its hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
    /// The stage that was, from 1 on; none, if it is of the permit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stage: usize,
}

/// What an entry tells of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entered {
    /// Somebody asked.
    Requested {
        /// Who.
        requester: String,
        /// For what.
        item: String,
        /// Until when.
        due: Timestamp,
        /// By which policy it is decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<PolicyVersion>,
        /// What the hash of its content begins with.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        content_salt: String,
    },
    /// Somebody did something that counts: as he sent it.
    Said {
        /// Who, as the call was stamped; nobody, if it bore no name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
        /// By what he was known.
        proof: Proof,
        /// What he sent.
        said: Value,
    },
    /// These are asked from now on.
    Asked {
        /// The stage's name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
        /// Of whom which votes are needed.
        seats: Vec<SeatShown>,
        /// Whether they are those whom the plan names.
        level: Level,
    },
    /// What was approved is about to be done.
    Begun {
        /// By whom.
        by: Person,
        /// By what he was known.
        proof: Proof,
        /// The hash of what.
        action_hash: String,
        /// Until when it could be.
        not_after: Timestamp,
    },
    /// It was done, or could not be.
    Finished {
        /// Who says so; nobody, if the permit's orchestration was terminated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
        /// By what he was known.
        proof: Proof,
        /// How it went.
        result: Value,
    },
    /// It is not to be done after all.
    Revoked {
        /// Who says so; nobody, if the permit's orchestration was terminated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
        /// By what he was known.
        proof: Proof,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Nobody has begun it in time.
    Lapsed,
    /// It is decided.
    Ended {
        /// How.
        outcome: Box<Outcome>,
    },
}

impl Entry {
    /// As it is written: its text, and the people whom that names.
    pub fn parts(&self) -> Vec<String> {
        let mut named = Named { people: self.people(), parts: Vec::new() };
        let spoken_of =
            self.spoken_of().map(|(spot, form, person)| (spot, format!("{form}~{}", named.number(&person))));
        let spoken_of: Vec<(Spot<'_>, String)> = spoken_of.collect();
        let text = serde_json::to_string(self).expect("its keys are texts");
        let text = with_other_texts(&text, |field, spot, text| {
            let spoken_of = spoken_of.iter().find(|(place, _)| Some(*place) == spot);
            match spoken_of {
                Some((_, token)) => Some(token.clone()),
                None => MAY_NAME.contains(&field).then(|| named.token(text)).flatten(),
            }
        });
        std::iter::once(text).chain(named.parts.iter().map(|person| person.as_str().to_owned())).collect()
    }

    /// What was written, as JSON, from its parts. Nothing, if its text was erased; of a person who was erased stays `~1`.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn read<'a>(parts: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<Option<Value>, serde_json::Error> {
        let mut parts = parts.into_iter();
        let Some(text) = parts.next().flatten() else { return Ok(None) };
        let named: Vec<Option<&str>> = parts.map(|name| name.and_then(|name| std::str::from_utf8(name).ok())).collect();
        let mut value = serde_json::from_slice(text)?;
        in_texts(&mut value, &mut |text| {
            let (form, token) = text.split_once('~').filter(|(form, _)| matches!(*form, "" | USER))?;
            let number = token.parse::<usize>().ok().filter(|number| *number > 0);
            match number {
                Some(number) => named.get(number - 1).copied().flatten().map(|name| format!("{form}{name}")),
                None => form.is_empty().then(|| token.to_owned()),
            }
        });
        Ok(Some(value))
    }

    /// Whoever spoke, or is spoken of, by whatever name, is entered by his id: where that name stands, what stands before the id, and
    /// who he is.
    fn spoken_of(&self) -> impl Iterator<Item = (Spot<'static>, &'static str, Person)> {
        let (mut by, mut approver, mut to) = (None, None, None);
        match &self.what {
            Entered::Requested { requester, .. } => by = Some((REQUESTER, requester.as_str())),
            Entered::Said { by: speaker, said, .. } => {
                by = speaker.as_ref().map(|speaker| (BY, speaker.as_str()));
                approver = said.get("approver").and_then(Value::as_str).map(|name| match speaker {
                    Some(speaker) => (SPEAKER, form_of(name).0, speaker.clone()),
                    None => (SPEAKER, form_of(name).0, Person::named(name)),
                });
                to = said
                    .get("to")
                    .and_then(Value::as_str)
                    .map(|name| (SPOKEN_TO, form_of(name).0, Person::named(name)));
            }
            Entered::Begun { by: person, .. } => by = Some((BY, person.as_str())),
            Entered::Finished { by: person, .. } | Entered::Revoked { by: person, .. } => {
                by = person.as_ref().map(|person| (BY, person.as_str()));
            }
            Entered::Ended { outcome } => {
                if let Outcome::Approved(decided) | Outcome::Rejected(decided) = &**outcome {
                    let (form, person) = form_of(&decided.approver);
                    approver = Some((DECIDER, form, person));
                }
            }
            Entered::Asked { .. } | Entered::Lapsed => {}
        }
        let by = by.map(|(spot, name)| match spot {
            BY => (BY, "", Person::new(name)),
            _ => (spot, form_of(name).0, Person::named(name)),
        });
        [by, approver, to].into_iter().flatten()
    }

    /// The salt of the content of a request, where it was asked for, in what [`Entry::read`] has read.
    pub fn content_salt(entry: &Value) -> Option<&str> {
        entry.get("content_salt")?.as_str()
    }

    fn people(&self) -> Vec<Person> {
        match &self.what {
            Entered::Requested { requester, .. } => vec![Person::named(requester)],
            Entered::Said { by, said, .. } => {
                let named = ["approver", "to"].iter().filter_map(|key| said.get(key)?.as_str()).map(Person::named);
                by.iter().cloned().chain(named).collect()
            }
            Entered::Begun { by, .. } => vec![by.clone()],
            Entered::Finished { by, .. } | Entered::Revoked { by, .. } => by.iter().cloned().collect(),
            Entered::Lapsed => Vec::new(),
            Entered::Asked { seats, .. } => {
                let one = |approver: &Approver| match approver {
                    Approver::User(person) => Some(person.clone()),
                    Approver::Email(_) => Some(Person::named(&approver.to_string())),
                    Approver::Anyone | Approver::Group(_) => None,
                };
                seats.iter().flat_map(|seat| &seat.from).filter_map(one).collect()
            }
            Entered::Ended { outcome } => match &**outcome {
                Outcome::Approved(decided) | Outcome::Rejected(decided) => {
                    let others = decided.approvers.iter().cloned();
                    std::iter::once(Person::named(&decided.approver)).chain(others).collect()
                }
                Outcome::Withdrawn(withdrawn) => vec![Person::named(&withdrawn.by)],
                Outcome::Timeout(_) => Vec::new(),
            },
        }
    }
}

/// A place in an entry: a field, and perhaps one of that.
type Spot<'a> = (&'a str, Option<&'a str>);

/// Who did it.
const BY: Spot<'_> = ("by", None);

/// Who asked.
const REQUESTER: Spot<'_> = ("requester", None);

/// Who, in what he sent, says that he did.
const SPEAKER: Spot<'_> = ("said", Some("approver"));

/// To whom he passes it on.
const SPOKEN_TO: Spot<'_> = ("said", Some("to"));

/// Whose vote settled it.
const DECIDER: Spot<'_> = ("outcome", Some("approver"));

/// Fields of which any text may be somebody's name.
const MAY_NAME: [&str; 6] = ["item", "said", "seats", "outcome", "result", "reason"];

/// JSON as serde writes it, of an object, with others in the places of its texts: told in which field each stands, and where, if
/// that is a place of ours.
fn with_other_texts(json: &str, mut other: impl FnMut(&str, Option<Spot<'_>>, &str) -> Option<String>) -> String {
    let bytes = json.as_bytes();
    let mut written = String::with_capacity(json.len());
    let (mut copied, mut at, mut depth, mut field, mut below) = (0, 0, 0, "", "");
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let begin = at;
                at = end_of_text(bytes, begin);
                let raw = &json[begin + 1..at];
                if bytes.get(at + 1) == Some(&b':') {
                    match depth {
                        1 => (field, below) = (raw, ""),
                        2 => below = raw,
                        _ => {}
                    }
                } else {
                    let spot = match depth {
                        1 => Some((field, None)),
                        2 => Some((field, Some(below))),
                        _ => None,
                    };
                    let text: Option<String> =
                        if raw.contains('\\') { serde_json::from_str(&json[begin..=at]).ok() } else { None };
                    if let Some(new) = other(field, spot, text.as_deref().unwrap_or(raw)) {
                        written.push_str(&json[copied..begin]);
                        written.push_str(&Value::String(new).to_string());
                        copied = at + 1;
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    written.push_str(&json[copied..]);
    written
}

/// Where the text ends that begins here.
fn end_of_text(json: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// How an approver is written that is a user.
const USER: &str = "user:";

/// Whom a text names if it names somebody, and what stands before the name.
fn form_of(text: &str) -> (&'static str, Person) {
    (if text.trim_start().starts_with(USER) { USER } else { "" }, Person::named(text))
}

/// Those whom an entry names, and in which order.
struct Named {
    people: Vec<Person>,
    parts: Vec<Person>,
}

impl Named {
    fn number(&mut self, person: &Person) -> usize {
        let known = self.parts.iter().position(|other| other == person);
        known.map_or_else(
            || {
                self.parts.push(person.clone());
                self.parts.len()
            },
            |at| at + 1,
        )
    }

    /// What stands for a text that is somebody's name and nothing else; or that is a token of itself.
    fn token(&mut self, text: &str) -> Option<String> {
        let (form, name) = text.strip_prefix(USER).map_or(("", text), |name| (USER, name));
        let person = self.people.iter().find(|person| person.as_str() == name).cloned();
        match person {
            Some(person) => Some(format!("{form}~{}", self.number(&person))),
            None => (text.starts_with('~') || text.starts_with("user:~")).then(|| format!("~{text}")),
        }
    }
}

/// Puts others in the places of all texts of a value.
fn in_texts(value: &mut Value, other: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = other(text) {
                *text = new;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| in_texts(one, other)),
        Value::Object(all) => all.values_mut().for_each(|one| in_texts(one, other)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(by: &str, said: Value) -> Entry {
        let what = Entered::Said { by: Some(Person::new(by)), proof: Proof::default(), said };
        Entry { at: Timestamp::UNIX_EPOCH, what, revision: 1, content_hash: String::new(), stage: 1 }
    }

    fn read(parts: &[Option<&str>]) -> Option<Value> {
        Entry::read(parts.iter().map(|part| part.map(str::as_bytes))).unwrap()
    }

    #[test]
    fn people_stand_apart_and_are_put_in_their_places_again() {
        let payload = json!({
            "approver": "user:bob", "to": "Zoe@Example.org", "comments": ["bob", "bobby", "~1", "user:~2", "~", "group:bob"],
            "input": {"bob": {"deep": " bob "}},
        });
        let parts = said("bob", payload).parts();
        assert_eq!(parts[1..], ["bob", "Zoe@Example.org"]);
        let text: Value = serde_json::from_str(&parts[0]).unwrap();
        let expected = json!({
            "approver": "user:~1", "to": "~2", "comments": ["~1", "bobby", "~~1", "~user:~2", "~~", "group:bob"],
            "input": {"bob": {"deep": " bob "}},
        });
        assert_eq!((&text["said"], &text["by"]), (&expected, &json!("~1")));
        let whole = read(&[Some(&parts[0]), Some("bob"), Some("Zoe@Example.org")]).unwrap();
        let back = json!({
            "approver": "user:bob", "to": "Zoe@Example.org",
            "comments": ["bob", "bobby", "~1", "user:~2", "~", "group:bob"],
            "input": {"bob": {"deep": " bob "}},
        });
        assert_eq!((&whole["said"], &whole["by"]), (&back, &json!("bob")));
        let without_bob = read(&[Some(&parts[0]), None, Some("Zoe@Example.org")]).unwrap();
        assert_eq!((&without_bob["by"], &without_bob["said"]["to"]), (&json!("~1"), &json!("Zoe@Example.org")));
        assert_eq!(read(&[None, Some("bob")]), None);
    }

    #[test]
    fn whoever_is_known_by_another_name_is_entered_by_his_id_and_words_of_ours_are_nobodys_names() {
        let parts = said("ann", json!({"approver": "Ann@Example.org", "is_approved": true})).parts();
        assert_eq!((parts.len(), parts[1].as_str()), (2, "ann"));
        let odd = json!({"approver": 7, "to": ["ann"], "comments": "ann"});
        let parts = said("ann", odd.clone()).parts();
        assert_eq!(read(&[Some(&parts[0]), Some("ann")]).unwrap()["said"], odd);
        let parts = said("said", json!({"approver": "said", "comments": "none"})).parts();
        let erased = read(&[Some(&parts[0]), None]).unwrap();
        assert_eq!((&erased["entry"], &erased["proof"], &erased["by"]), (&json!("said"), &json!("none"), &json!("~1")));
    }

    #[test]
    fn an_entry_that_is_read_is_the_one_that_was_written() {
        let entry = said("email:a@b.c", json!({"act": "delegate", "to": "user:zoe", "text": "~~"}));
        let parts = entry.parts();
        let parts: Vec<Option<&str>> = parts.iter().map(|part| Some(part.as_str())).collect();
        assert_eq!(serde_json::from_value::<Entry>(read(&parts).unwrap()).unwrap(), entry);
    }
}
