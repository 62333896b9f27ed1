//! Who calls, and what he may do: the one place that says so.
//!
//! Nothing proves yet who somebody is. Whoever reaches a server that only this computer reaches is believed, and may do what
//! anybody may; on a network he is believed, and has no right over other people's requests.

use placet_approval::{Caller, Person, Proof, Right};

use crate::problem::Problem;
use crate::{Api, Reach};

/// The rights there are.
const ALL: [Right; 3] = [Right::Override, Right::Assign, Right::Withdraw];

/// The person whom a field names.
///
/// # Errors
/// If there is nobody of that name.
pub(crate) fn person(api: &Api, field: &str, name: &str) -> Result<Person, Problem> {
    let directory = &(api.configuration)().directory;
    let person = directory.person(name);
    if person.as_str().is_empty() {
        return Err(Problem::field(field, "must be somebody's name"));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::field(field, "must be one line without control characters"));
    }
    if !directory.knows(&person) {
        return Err(Problem::field(field, format!("there is nobody of the name {:?} in [users]", person.as_str())));
    }
    Ok(person)
}

/// Somebody, by the name that he gives, and the groups that hold him.
///
/// # Errors
/// If there is nobody of that name.
pub(crate) fn caller(api: &Api, field: &str, name: &str) -> Result<Caller, Problem> {
    let person = person(api, field, name)?;
    let groups = (api.configuration)().directory.groups_of(&person);
    Ok(Caller { groups, person: Some(person), proof: Proof::None, ..Caller::default() })
}

/// What he may do with other people's requests.
pub(crate) fn of(api: &Api, _caller: &Caller) -> Vec<Right> {
    if api.reach == Reach::ThisComputer { ALL.to_vec() } else { Vec::new() }
}

/// As it is stamped on an event.
pub(crate) fn stamp(caller: &Caller) -> String {
    serde_json::to_string(caller).expect("a caller is JSON")
}
