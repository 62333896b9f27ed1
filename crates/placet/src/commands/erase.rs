//! `placet erase`: requests, or a person, are erased from the data and from the record, which can be checked as before.

use std::collections::BTreeSet;

use placet_approval::{Entry, Person, permit_id, request_of_permit};
use placet_sdk::Client;
use placet_sdk::record::{ChainedEntry, texts};

use super::audit::each_entry;
use super::{confirm, refused, say, with_client};
use crate::exit::Failure;
use crate::flags::audit::Erase;

pub(super) fn run(flags: &Erase) -> Result<(), Failure> {
    with_client(&flags.of.endpoint.endpoint, async |client| {
        let client = client.with_hub(&flags.of.taskhub);
        match &flags.person {
            Some(person) => erase_person(&client, &Person::named(person), flags.yes).await,
            None => erase_requests(&client, &flags.ids, flags.yes).await,
        }
    })?
}

async fn erase_requests(client: &Client, ids: &[String], yes: bool) -> Result<(), Failure> {
    for id in ids {
        if is_open(client, id).await? {
            return Err(Failure::Data { what: format!("{id} is open: withdraw it first, or wait for its end") });
        }
        for permit in permits(client, id).await? {
            if is_open(client, &permit).await? {
                return Err(Failure::Data {
                    what: format!("the permit of {id} is open: revoke it, or tell how it went"),
                });
            }
        }
    }
    if !yes && !confirm(&format!("erase {} for good, with what the record says of it?", ids.join(", ")))? {
        return Ok(());
    }
    for id in ids {
        let permits = permits(client, id).await?;
        let was_there = client.purge(id).await.map_err(refused)?;
        let is_recorded = client.has_entered(id).await.map_err(refused)?;
        client.erase_entries(id, None).await.map_err(refused)?;
        for permit in permits {
            client.purge(&permit).await.map_err(refused)?;
            client.erase_entries(&permit, None).await.map_err(refused)?;
        }
        say(&match (was_there, is_recorded) {
            (false, false) => format!("{id}: there is nothing of it"),
            (true, false) => format!("{id}: deleted; the record has nothing of it"),
            (_, true) => format!("{id}: erased"),
        });
    }
    Ok(())
}

/// Whoever is erased is named by open requests as long as they are open.
async fn erase_person(client: &Client, person: &Person, yes: bool) -> Result<(), Failure> {
    let mut named = BTreeSet::new();
    let names = |text: Option<&[u8]>| text == Some(person.as_str().as_bytes());
    each_entry(client, |entry| {
        if entry.said.texts().skip(1).any(names) {
            named.insert(entry.owner.as_str().to_owned());
        }
        Ok(())
    })
    .await?;
    // With a permit goes its request, and with a request its permits: they name the same people.
    named = named.iter().map(|id| request_of_permit(id).unwrap_or(id).to_owned()).collect();
    let (mut open, mut all) = (BTreeSet::new(), Vec::new());
    for id in &named {
        let permits = permits(client, id).await?;
        let mut is_any_open = is_open(client, id).await?;
        for permit in &permits {
            is_any_open |= is_open(client, permit).await?;
        }
        if is_any_open {
            open.insert(id.clone());
        } else {
            all.push(id.clone());
            all.extend(permits);
        }
    }
    let ended = named.len() - open.len();
    if named.is_empty() {
        say(&format!("{person}: the record names nobody so"));
        return Ok(());
    }
    if !yes
        && !confirm(&format!("erase {person}: delete {ended} requests that have ended, and his name in the record?"))?
    {
        return Ok(());
    }
    for id in &all {
        client.purge(id).await.map_err(refused)?;
        client.erase_entries(id, Some(person.as_str())).await.map_err(refused)?;
    }
    say(&format!("{person}: erased from the record of {ended} requests, which are deleted"));
    if open.is_empty() {
        return Ok(());
    }
    let open: Vec<&str> = open.iter().map(String::as_str).collect();
    Err(Failure::Refused(format!(
        "open requests name {person}; erase him again when they have ended: {}",
        open.join(", ")
    )))
}

/// The permits of the requests that have had this id.
async fn permits(client: &Client, id: &str) -> Result<Vec<String>, Failure> {
    let entries = client.all_entries_of(id).await.map_err(refused)?;
    let permit = |entry: &ChainedEntry| {
        let entry = Entry::read(texts(entry.said.as_ref()?)).ok().flatten()?;
        Some(permit_id(id, Entry::content_salt(&entry)?))
    };
    Ok(entries.iter().filter_map(permit).collect())
}

async fn is_open(client: &Client, id: &str) -> Result<bool, Failure> {
    Ok(client.get(id).await.map_err(refused)?.is_some_and(|state| !state.status().is_terminal()))
}
