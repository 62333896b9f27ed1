//! Who takes part: people, whom a request is put to, and who a caller is found to be where his call enters.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, IntoDeserializer as _, value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field::{FieldError, check_text};
use crate::plan::PolicyVersion;

/// Names longer than this are no names.
pub(crate) const NAME_CHARS_MAX: usize = 256;

/// A human being, by an id that stays his: a name of `[users]`, or `email:` with an address of somebody who is none of them.
/// One person counts once, however many ways lead to him.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Person(String);

impl Person {
    /// The person of this id.
    pub fn new(id: impl Into<String>) -> Person {
        Person(id.into())
    }

    /// The person whom a text names, as an approver is written or by the name alone.
    pub fn named(text: &str) -> Person {
        let text = text.trim();
        match text.split_once(':') {
            Some(("user", name)) => Person(name.trim().to_owned()),
            Some(("email", address)) => Person(format!("email:{}", address.trim().to_lowercase())),
            _ => Person(text.to_owned()),
        }
    }

    /// His id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a request may be put to, as text: `user:alice`, `group:sre`, `email:bob@example.org` or `anyone`; a name alone is a
/// user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Approver {
    /// Whoever answers: the mission's sample asks no more.
    Anyone,
    /// One person.
    User(Person),
    /// Whoever is in the group when he decides.
    Group(String),
    /// Whoever reads mail at this address.
    Email(String),
}

impl Approver {
    /// Whether it is this person by itself, without a look at who belongs to what.
    pub fn is(&self, person: &Person) -> bool {
        match self {
            Approver::Anyone => true,
            Approver::User(user) => user == person,
            Approver::Email(address) => person.as_str().strip_prefix("email:") == Some(address),
            Approver::Group(_) => false,
        }
    }
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Approver::Anyone => f.write_str("anyone"),
            Approver::User(person) => write!(f, "user:{person}"),
            Approver::Group(name) => write!(f, "group:{name}"),
            Approver::Email(address) => write!(f, "email:{address}"),
        }
    }
}

impl FromStr for Approver {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Approver, FieldError> {
        let text = text.trim();
        let (kind, name) = text.split_once(':').map_or(("user", text), |(kind, name)| (kind, name.trim()));
        if text == "anyone" {
            return Ok(Approver::Anyone);
        }
        check_name("approvers", name)?;
        match kind {
            "user" => Ok(Approver::User(Person::new(name))),
            "group" => Ok(Approver::Group(name.to_owned())),
            "email" if is_address(name) => Ok(Approver::Email(name.to_lowercase())),
            "email" => Err(FieldError::new("approvers", format!("{name:?} is no e-mail address"))),
            _ => Err(FieldError::new(
                "approvers",
                format!("{text:?} is nobody: write user:NAME, group:NAME, email:ADDRESS or anyone"),
            )),
        }
    }
}

/// A name of somebody or something: one line that says something, without letters that steer a terminal.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), FieldError> {
    check_text(field, name, NAME_CHARS_MAX)?;
    if name.chars().any(char::is_control) {
        return Err(FieldError::new(field, "must be one line without control characters"));
    }
    Ok(())
}

/// Roughly: whether mail gets there only a mail shows.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.contains(char::is_whitespace)
}

impl Serialize for Approver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Approver {
    fn schema_name() -> Cow<'static, str> {
        "Approver".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Whom a request may be put to: `user:NAME`, `group:NAME`, `email:ADDRESS` or `anyone`; a name alone is a user's.",
            "minLength": 1,
            "examples": ["user:alice", "group:sre", "email:bob@example.org"],
        })
    }
}

impl<'de> Deserialize<'de> for Approver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Approver, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error: FieldError| de::Error::custom(error.remedy))
    }
}

/// By what a caller is known, the weakest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// By his word alone.
    #[default]
    None,
    /// By a link that was sent to him.
    Link,
    /// By a token that was issued to him.
    Token,
    /// By having signed in.
    Session,
    /// By having signed in a moment ago, for this.
    StepUp,
}

impl FromStr for Proof {
    type Err = value::Error;

    fn from_str(text: &str) -> Result<Proof, Self::Err> {
        Proof::deserialize(text.into_deserializer())
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What somebody may do beyond what a request gives him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Approve what others should have decided.
    Override,
    /// Give a request to somebody, from the admins' queue, too.
    Assign,
    /// Withdraw anybody's request.
    Withdraw,
}

/// Who calls, as it was found where the call entered: an event carries it beside its payload, which cannot set it
/// (DESIGN.md §6, "Stamped, not claimed").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who; nobody knows of an event that was raised by a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// The groups that hold him now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else he may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<Right>,
    /// The policy that was in force for such requests where his call entered, if he is about to do what was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyVersion>,
    /// By what he is known.
    #[serde(skip)]
    pub proof: Proof,
}

impl Caller {
    /// A person known by his word.
    pub fn person(id: impl Into<String>) -> Caller {
        Caller { person: Some(Person::new(id)), ..Caller::default() }
    }

    /// Whether he may.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvers_are_written_by_their_kind_and_a_name_alone_is_a_users() {
        let table = [
            ("alice", Ok("user:alice")),
            (" user: Zoë Ångström ", Ok("user:Zoë Ångström")),
            ("group:sre", Ok("group:sre")),
            ("email:Bob@Example.org", Ok("email:bob@example.org")),
            ("anyone", Ok("anyone")),
            ("email:bob", Err("\"bob\" is no e-mail address")),
            ("email:b b@c", Err("\"b b@c\" is no e-mail address")),
            ("", Err("must not be empty")),
            ("group:", Err("must not be empty")),
            ("user:a\u{7}", Err("must be one line without control characters")),
            ("role:x", Err("\"role:x\" is nobody: write user:NAME, group:NAME, email:ADDRESS or anyone")),
        ];
        for (text, meant) in table {
            let read = text.parse::<Approver>();
            assert_eq!(
                read.as_ref().map(ToString::to_string).map_err(|error| error.remedy.as_str()),
                meant.map(str::to_owned),
                "{text}"
            );
        }
    }
}
