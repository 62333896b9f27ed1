//! Instances, as they stand.

use futures_util::TryStreamExt as _;
use placet_sdk::bulk::BulkFilter;
use placet_sdk::{Client, Filter, InstanceState, Status};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

use super::{filter, refused, say, written};
use crate::exit::Failure;
use crate::flags::instances::{List, Show};

/// Those that the filter means; what the server's list does not know of it is looked at here.
pub(super) async fn list(client: &Client, flags: &List) -> Result<(), Failure> {
    let wanted = filter(client, &flags.filter, true).await?;
    let asked = Filter {
        statuses: flags.filter.status.iter().map(|status| Status::from(status.to_proto())).collect(),
        created_from: wanted.created_from.as_ref().map(system_time),
        created_to: wanted.created_to.as_ref().map(system_time),
        id_prefix: Some(wanted.id_prefix.clone()).filter(|prefix| !prefix.is_empty()),
        payloads: false,
    };
    let mut found = client.list(asked);
    let mut listed = 0;
    if !flags.place.json {
        say(&row("ID", "NAME", "STATUS", "CREATED", "CHANGED"));
    }
    while listed < flags.limit
        && let Some(state) = found.try_next().await.map_err(refused)?
    {
        if !holds(&wanted, &state) {
            continue;
        }
        listed += 1;
        let (created, updated) = (written(state.created_at()), written(state.updated_at()));
        if flags.place.json {
            say(&in_json(&state).to_string());
        } else {
            say(&row(state.id(), state.name(), state.status().as_str(), &created, &updated));
        }
    }
    Ok(())
}

fn holds(filter: &BulkFilter, state: &InstanceState) -> bool {
    let updated = state.updated_at();
    (filter.name.is_empty() || filter.name == state.name())
        && filter.updated_from.as_ref().is_none_or(|from| updated >= system_time(from))
        && filter.updated_to.as_ref().is_none_or(|to| updated < system_time(to))
        && filter.tags.iter().all(|(key, value)| state.tags().get(key) == Some(value))
}

fn row(id: &str, name: &str, status: &str, created: &str, updated: &str) -> String {
    format!("{id:<36}  {name:<28}  {status:<10}  {created:<20}  {updated}").trim_end().to_owned()
}

pub(super) async fn show(client: &Client, flags: &Show) -> Result<(), Failure> {
    let found = client.get(&flags.id).await.map_err(refused)?;
    let missing = || Failure::Refused(format!("there is no instance {:?} in hub {:?}", flags.id, client.hub()));
    let state = found.ok_or_else(missing)?;
    if flags.place.json {
        say(&in_json(&state).to_string());
        return Ok(());
    }
    let field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            say(&format!("{name:<14}{value}"));
        }
    };
    field("id", Some(state.id()));
    field("name", Some(state.name()));
    field("version", state.version().filter(|version| !version.is_empty()));
    field("status", Some(state.status().as_str()));
    field("parent", state.parent_id());
    for (key, value) in state.tags() {
        field("tag", Some(&format!("{key}={value}")));
    }
    field("created", Some(&written(state.created_at())));
    field("changed", Some(&written(state.updated_at())));
    field("ended", state.completed_at().map(written).as_deref());
    field("input", payload(state.input::<Box<RawValue>>().ok()).as_deref());
    field("custom status", state.custom_status_json());
    field("output", state.output_json());
    let failure = state.failure().map(|failure| failure.to_string());
    field("failure", failure.as_deref());
    Ok(())
}

fn in_json(state: &InstanceState) -> Value {
    let parsed =
        |text: Option<String>| text.map(|text| serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)));
    let mut told = json!({
        "id": state.id(),
        "name": state.name(),
        "status": state.status().as_str(),
        "created": written(state.created_at()),
        "changed": written(state.updated_at()),
    });
    let more = [
        ("ended", state.completed_at().map(|at| written(at).into())),
        ("version", state.version().filter(|version| !version.is_empty()).map(Into::into)),
        ("parent", state.parent_id().map(Into::into)),
        ("tags", (!state.tags().is_empty()).then(|| json!(state.tags()))),
        ("input", parsed(payload(state.input::<Box<RawValue>>().ok()))),
        ("customStatus", parsed(state.custom_status_json().map(str::to_owned))),
        ("output", parsed(state.output_json().map(str::to_owned))),
        ("failure", state.failure().map(|failure| failure.to_string().into())),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            told[name] = value;
        }
    }
    told
}

fn payload(read: Option<Option<Box<RawValue>>>) -> Option<String> {
    read.flatten().map(|json| json.get().to_owned())
}

fn system_time(at: &prost_types::Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(at.nanos).unwrap_or(0))
}
