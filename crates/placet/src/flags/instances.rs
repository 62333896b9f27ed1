//! `placet instances`: which instances, and what is to be done with them.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use placet_sdk::bulk::OrchestrationStatus;

use super::Endpoint;

/// `placet instances`.
#[derive(Debug, Args)]
pub(crate) struct Instances {
    #[command(subcommand)]
    pub(crate) command: InstancesCommand,
}

/// What is done with instances.
#[derive(Debug, Subcommand)]
pub(crate) enum InstancesCommand {
    /// List instances, in the order of their creation, or of their ids with --prefix.
    List(List),
    /// Show an instance, with its input, output and failure.
    Show(Show),
    /// End instances with an output.
    Terminate(Terminate),
    /// Let instances rest: what comes meanwhile waits, and timers go on.
    Suspend(Suspend),
    /// Let suspended instances go on.
    Resume(Suspend),
    /// Raise an external event; with a filter, each instance hears it once whatever happens to the server.
    RaiseEvent(RaiseEvent),
    /// Start instances that have ended again as they were started.
    Restart(Restart),
    /// Let failed instances try again what failed; what succeeded stays.
    Rewind(Suspend),
    /// Delete instances that have ended, with their histories.
    Purge(Purge),
    /// Put back to work what was set aside of an instance after it failed its workers too often.
    Retry(Show),
    /// List the operations that were begun with a filter in the last seven days.
    Operations(Operations),
    /// Show such an operation, and follow it to its end.
    Operation(Operation),
}

/// Where they are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The task hub.
    #[arg(long, env = "TASKHUB", default_value = "default", value_name = "NAME")]
    pub(crate) taskhub: String,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Write JSON, an object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which instances are meant: those for which all of this holds.
#[derive(Debug, Clone, Args)]
pub(crate) struct Filter {
    /// With one of these statuses, separated by commas.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', help_heading = "Filter")]
    pub(crate) status: Vec<Status>,
    /// Of the orchestration with exactly this name.
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    pub(crate) name: Option<String>,
    /// With an id that begins so.
    #[arg(long, value_name = "PREFIX", help_heading = "Filter")]
    pub(crate) prefix: Option<String>,
    /// With this tag; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag, help_heading = "Filter")]
    pub(crate) tag: Vec<(String, String)>,
    /// Created then or later: a time such as 2026-01-31T12:00Z, or so long ago: 7d.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Filter")]
    pub(crate) created_after: Option<Moment>,
    /// Created before then, or longer ago.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Filter")]
    pub(crate) created_before: Option<Moment>,
    /// Changed last then or later.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Filter")]
    pub(crate) updated_after: Option<Moment>,
    /// Changed last before then.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Filter")]
    pub(crate) updated_before: Option<Moment>,
}

/// The protocol's statuses, as people write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    Pending,
    Running,
    Suspended,
    Completed,
    Failed,
    Terminated,
    Canceled,
}

impl Status {
    pub(crate) fn to_proto(self) -> OrchestrationStatus {
        match self {
            Status::Pending => OrchestrationStatus::Pending,
            Status::Running => OrchestrationStatus::Running,
            Status::Suspended => OrchestrationStatus::Suspended,
            Status::Completed => OrchestrationStatus::Completed,
            Status::Failed => OrchestrationStatus::Failed,
            Status::Terminated => OrchestrationStatus::Terminated,
            Status::Canceled => OrchestrationStatus::Canceled,
        }
    }
}

/// A time, by itself or by how long ago it is by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

/// Which instances: by their ids, or by a filter, with what is to happen then.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The instances' ids; without any, those that the filter means.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Every instance of the hub, if no filter says otherwise.
    #[arg(long, help_heading = "Filter")]
    pub(crate) all: bool,
    /// Only tell how many instances the filter means.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask whether to do it.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Do not wait for the end: tell the operation's id.
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `placet instances list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `placet instances show` and `retry`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The instance's id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `placet instances terminate`.
#[derive(Debug, Args)]
pub(crate) struct Terminate {
    #[command(flatten)]
    pub(crate) which: Which,
    /// What is to be their output: JSON, or a text.
    #[arg(long, alias = "reason", value_name = "JSON")]
    pub(crate) output: Option<String>,
    /// And the children that they wait for, and theirs.
    #[arg(long)]
    pub(crate) recursive: bool,
}

/// `placet instances suspend`, `resume` and `rewind`.
#[derive(Debug, Args)]
pub(crate) struct Suspend {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why, for their histories.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `placet instances raise-event`.
#[derive(Debug, Args)]
pub(crate) struct RaiseEvent {
    /// The event's name.
    #[arg(value_name = "EVENT")]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The event's payload: JSON, or a text.
    #[arg(long, value_name = "JSON")]
    pub(crate) payload: Option<String>,
}

/// `placet instances restart`.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) which: Which,
    /// As other instances, under new ids.
    #[arg(long)]
    pub(crate) new_id: bool,
}

/// `placet instances purge`.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    pub(crate) which: Which,
    /// With their children, and theirs.
    #[arg(long)]
    pub(crate) recursive: bool,
}

/// `placet instances operations`.
#[derive(Debug, Args)]
pub(crate) struct Operations {
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `placet instances operation`.
#[derive(Debug, Args)]
pub(crate) struct Operation {
    /// The operation's id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// End it after what is under way.
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Tell what became of each instance.
    #[arg(long)]
    pub(crate) results: bool,
    /// Do not wait for its end.
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = placet_api::duration(text) {
        return Ok(Moment::Ago(ago));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment::At(at));
    }
    let civil: Result<DateTime, _> = text.parse();
    let at = civil.and_then(|at| at.to_zoned(TimeZone::UTC));
    let refused = |_| format!("{text:?} is neither a time such as 2026-01-31T12:00Z nor a duration such as 7d");
    at.map(|at| Moment::At(at.timestamp())).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_how_long_ago_it_is() {
        let at = |text: &str| Moment::At(text.parse().unwrap());
        assert_eq!(moment("7d"), Ok(Moment::Ago(Duration::from_secs(7 * 24 * 3_600))));
        assert_eq!(moment("2026-01-31T12:00:00Z"), Ok(at("2026-01-31T12:00:00Z")));
        assert_eq!(moment("2026-01-31"), Ok(at("2026-01-31T00:00:00Z")));
        for text in ["2026-01-31T12:00", "2026-01-31T12:00Z"] {
            assert_eq!(moment(text), Ok(at("2026-01-31T12:00:00Z")));
        }
        assert!(moment("yesterday").is_err() && moment("-3d").is_err());
    }
}
