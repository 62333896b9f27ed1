//! What is done to instances: as an action of the server, or by the same to each of a few that are named.

use placet_sdk::Client;
use placet_sdk::bulk::{
    Action, BulkPurge, BulkRaiseEvent, BulkRestart, BulkResume, BulkRewind, BulkSuspend, BulkTerminate,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{refused, say};
use crate::exit::Failure;
use crate::flags::instances::{Filter, InstancesCommand, Show, Which};

/// What is to be done, and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) action: Action,
    /// As a question has it: "Terminate 12 instances?"
    pub(super) verb: &'static str,
}

/// What a command does, and to which.
///
/// # Errors
/// If it is none that does anything.
pub(super) fn of(command: &InstancesCommand) -> Result<(&Which, Deed), Failure> {
    let deed = |verb, action| Deed { action, verb };
    Ok(match command {
        InstancesCommand::Terminate(flags) => {
            let output = flags.output.as_deref().map(as_json);
            let action = Action::Terminate(BulkTerminate { output, recursive: flags.recursive });
            (&flags.which, deed("Terminate", action))
        }
        InstancesCommand::Suspend(flags) => {
            (&flags.which, deed("Suspend", Action::Suspend(BulkSuspend { reason: flags.reason.clone() })))
        }
        InstancesCommand::Resume(flags) => {
            (&flags.which, deed("Resume", Action::Resume(BulkResume { reason: flags.reason.clone() })))
        }
        InstancesCommand::Rewind(flags) => {
            (&flags.which, deed("Rewind", Action::Rewind(BulkRewind { reason: flags.reason.clone() })))
        }
        InstancesCommand::RaiseEvent(flags) => {
            let (name, input) = (flags.event.clone(), flags.payload.as_deref().map(as_json));
            (&flags.which, deed("Raise the event for", Action::RaiseEvent(BulkRaiseEvent { name, input })))
        }
        InstancesCommand::Restart(flags) => {
            (&flags.which, deed("Restart", Action::Restart(BulkRestart { new_instance_ids: flags.new_id })))
        }
        InstancesCommand::Purge(flags) => {
            (&flags.which, deed("Purge", Action::Purge(BulkPurge { recursive: flags.recursive })))
        }
        InstancesCommand::List(_)
        | InstancesCommand::Show(_)
        | InstancesCommand::Retry(_)
        | InstancesCommand::Operations(_)
        | InstancesCommand::Operation(_) => return Err(Failure::Refused("it does nothing".to_owned())),
    })
}

/// Puts back to work what was set aside of an instance.
///
/// # Errors
/// If the call fails.
pub(super) async fn retry(client: &Client, flags: &Show) -> Result<(), Failure> {
    let retried = client.retry_poisoned(&flags.id).await.map_err(refused)?;
    say(&if flags.place.json {
        json!({ "retried": retried }).to_string()
    } else {
        format!("{retried} put back to work")
    });
    Ok(())
}

/// What is JSON as it is, else as a JSON string: what people type is mostly a text.
fn as_json(text: &str) -> String {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => text.to_owned(),
        Err(_) => Value::from(text).to_string(),
    }
}

/// # Errors
/// If there are flags that mean nothing beside ids.
pub(super) fn check_by_ids(which: &Which) -> Result<(), Failure> {
    let Filter { status, name, prefix, tag, .. } = &which.filter;
    let Filter { created_after, created_before, updated_after, updated_before, .. } = &which.filter;
    let moments = [created_after, created_before, updated_after, updated_before];
    let is_filtered = !status.is_empty() || name.is_some() || prefix.is_some() || !tag.is_empty();
    if is_filtered || moments.iter().any(|moment| moment.is_some()) || which.all {
        return Err(Failure::Flag { flag: "ID", what: "name instances or a filter, not both".to_owned() });
    }
    if which.dry_run || which.detach {
        return Err(Failure::Flag { flag: "ID", what: "--dry-run and --detach go with a filter".to_owned() });
    }
    Ok(())
}

/// Does it to each that is named; those that refuse it keep none of the others.
pub(super) async fn by_ids(client: &Client, which: &Which, deed: &Deed) -> Result<(), Failure> {
    let mut failed = 0;
    for id in &which.ids {
        let came = to_one(client, id, &deed.action).await;
        failed += usize::from(came.is_err());
        let (outcome, more) = match &came {
            Ok(new_id) => ("done", new_id.clone()),
            Err(failure) => ("failed", Some(failure.to_string())),
        };
        if which.place.json {
            let name = if came.is_ok() { "newId" } else { "reason" };
            let mut told = json!({ "id": id, "outcome": outcome });
            if let Some(more) = more {
                told[name] = more.into();
            }
            say(&told.to_string());
        } else {
            say(&format!("{id}: {outcome}{}", more.map(|more| format!(": {more}")).unwrap_or_default()));
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Refused(format!("{failed} of {} instances refused it", which.ids.len()))),
    }
}

/// The new instance's id, if there is one.
async fn to_one(client: &Client, id: &str, action: &Action) -> Result<Option<String>, Failure> {
    let raw = |text: &Option<String>| {
        let json = text.clone().unwrap_or_else(|| "null".to_owned());
        RawValue::from_string(json).map_err(|error| Failure::Refused(error.to_string()))
    };
    let reason = |text: &Option<String>| text.clone().unwrap_or_default();
    let there = client.get(id).await.map_err(refused)?;
    if there.is_none() {
        return Err(Failure::Refused("there is no such instance".to_owned()));
    }
    let done = match action {
        Action::Terminate(BulkTerminate { output, recursive: true }) => {
            client.terminate_with_children(id, &raw(output)?).await
        }
        Action::Terminate(BulkTerminate { output, recursive: false }) => client.terminate(id, &raw(output)?).await,
        Action::Suspend(suspend) => client.suspend(id, &reason(&suspend.reason)).await,
        Action::Resume(resume) => client.resume(id, &reason(&resume.reason)).await,
        Action::Rewind(rewind) => client.rewind(id, &reason(&rewind.reason)).await,
        Action::RaiseEvent(event) => client.raise_event(id, &event.name, &raw(&event.input)?).await,
        Action::Restart(BulkRestart { new_instance_ids: true }) => {
            return client.restart_as_new(id).await.map(Some).map_err(refused);
        }
        Action::Restart(_) => client.restart(id).await,
        Action::Purge(purge) => {
            let purged = if purge.recursive {
                client.purge_with_children(id).await.map(|purged| purged > 0)
            } else {
                client.purge(id).await
            };
            if !purged.map_err(refused)? {
                return Err(Failure::Refused("it has not ended".to_owned()));
            }
            return Ok(None);
        }
    };
    done.map(|()| None).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_json_or_a_text() {
        for json in ["1", "\"a\"", "{\"a\": [1, 2]}", "null"] {
            assert_eq!(as_json(json), json);
        }
        assert_eq!(as_json("given up"), "\"given up\"");
        assert_eq!(as_json("{broken"), "\"{broken\"");
    }
}
