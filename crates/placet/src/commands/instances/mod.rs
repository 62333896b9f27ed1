//! `placet instances`: looks at instances, and acts on them: on a few by their ids, call by call, or on as many as a filter
//! means, by an operation of the server.

mod act;
mod bulk;
mod look;
mod progress;

use std::io::Write as _;
use std::time::SystemTime;

use jiff::Timestamp;
use placet_sdk::Client;
use placet_sdk::bulk::BulkFilter;

use super::{refused, say};
use crate::exit::Failure;
use crate::flags::instances::{Filter, Instances, InstancesCommand, Moment, Place};

pub(super) fn run(flags: &Instances) -> Result<(), Failure> {
    match &flags.command {
        InstancesCommand::List(flags) => with_client(&flags.place, async |client| look::list(&client, flags).await),
        InstancesCommand::Show(flags) => with_client(&flags.place, async |client| look::show(&client, flags).await),
        InstancesCommand::Retry(flags) => with_client(&flags.place, async |client| act::retry(&client, flags).await),
        InstancesCommand::Operations(flags) => {
            with_client(&flags.place, async |client| bulk::list(&client, &flags.place).await)
        }
        InstancesCommand::Operation(flags) => {
            with_client(&flags.place, async |client| bulk::follow(&client, flags).await)
        }
        command => {
            let (which, deed) = act::of(command)?;
            if which.ids.is_empty() {
                with_client(&which.place, async |client| bulk::begin(&client, which, deed).await)
            } else {
                act::check_by_ids(which)?;
                with_client(&which.place, async |client| act::by_ids(&client, which, &deed).await)
            }
        }
    }
}

/// Does what needs a client of the task hub that is meant.
fn with_client(place: &Place, command: impl AsyncFnOnce(Client) -> Result<(), Failure>) -> Result<(), Failure> {
    let hub = placet_scheduler::hub_of(&place.taskhub);
    let hub = hub.map_err(|error| Failure::Flag { flag: "--taskhub", what: error.to_string() })?;
    super::with_client(&place.endpoint.endpoint, async |client| command(client.with_hub(hub.as_str())).await)?
}

/// The filter as the server takes it; times that are so long ago are so by its clock.
async fn filter(client: &Client, flags: &Filter, all: bool) -> Result<BulkFilter, Failure> {
    let moments = [flags.created_after, flags.created_before, flags.updated_after, flags.updated_before];
    let is_relative = moments.iter().flatten().any(|moment| matches!(moment, Moment::Ago(_)));
    let now = if is_relative { client.time().await.map_err(refused)?.now } else { SystemTime::UNIX_EPOCH };
    let at = |moment: Option<Moment>| {
        moment.map(|moment| match moment {
            Moment::At(at) => at.into(),
            Moment::Ago(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
        })
    };
    let [created_from, created_to, updated_from, updated_to] = moments.map(|moment| at(moment).map(Into::into));
    Ok(BulkFilter {
        all,
        statuses: flags.status.iter().map(|status| status.to_proto().into()).collect(),
        name: flags.name.clone().unwrap_or_default(),
        id_prefix: flags.prefix.clone().unwrap_or_default(),
        created_from,
        created_to,
        updated_from,
        updated_to,
        tags: flags.tag.iter().cloned().collect(),
    })
}

/// A time as people read it, to the second.
fn written(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).map(|at| at.round(jiff::Unit::Second).unwrap_or(at));
    at.map_or_else(|error| error.to_string(), |at| at.to_string())
}

/// What is no answer: on stderr, so that programs read the answers alone.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
