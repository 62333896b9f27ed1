//! The command line: every flag with its environment variable and its help, in one catalogue.

pub(crate) mod audit;
pub(crate) mod instances;
pub(crate) mod permit;
pub(crate) mod policy;
pub(crate) mod requests;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use placet_scheduler::{Retention, Time as SchedulerTime};
use serde::Serialize;

use placet_core::ids::Hub;

use crate::exit::Failure;
use crate::retention::{self, Term};

/// A durable server for programs that must wait for people.
///
/// Without a command it serves all three roles: the scheduler that Durable Task SDKs connect to, the built-in
/// worker, and the HTTP API of approvals.
#[derive(Debug, Parser)]
#[command(name = "placet", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all three roles in one process (the default).
    Serve(Serve),
    /// Run the scheduler alone: the gRPC service and the store.
    Scheduler(Scheduler),
    /// Run the scheduler as Microsoft's emulator image does: on its three ports, open to all, its data in a temporary folder.
    Emulator(Emulator),
    /// Run the built-in worker alone, against a scheduler at ENDPOINT.
    Worker(Worker),
    /// Run the HTTP API alone, against a scheduler at ENDPOINT.
    Api(Api),
    /// Rewrite the data without the room that deleted instances have left in it, while no server runs on it; from then on
    /// the server gives such room back by itself. Takes as much space again while it works.
    Compact(Compact),
    /// Ask a running server whether it is ready: exit 0 if so. For images without a shell.
    Health(Health),
    /// What the scheduler's clock says, and what is said to it.
    Time(Time),
    /// Ask people for an approval, and wait for it if you like: `placet request "Deploy 2.3" -a group:sre --wait && ./deploy`.
    Request(requests::Request),
    /// List requests: what is open, what waits for you, what has these words.
    List(requests::List),
    /// Show a request, or wait until it is decided.
    Show(requests::Show),
    /// Tell what happens to a request, or to what waits for you, as it happens.
    Watch(requests::Watch),
    /// Approve a request.
    Approve(requests::Decide),
    /// Reject a request.
    Reject(requests::Decide),
    /// Say something to a request.
    Comment(requests::Comment),
    /// Take a request back.
    Withdraw(requests::Withdraw),
    /// What was approved is done once: begin it, tell how it went, take it back, check a permit.
    Permit(permit::Permit),
    /// What policies say of requests.
    Policy(policy::Policy),
    /// Check, export and sign the record of all that was decided.
    Audit(audit::Audit),
    /// Erase requests, or a person, from the data and from the record, which can be checked as before.
    Erase(audit::Erase),
    /// Write what a shell needs to complete commands: `placet completions bash > /etc/bash_completion.d/placet`.
    Completions(Completions),
    /// Write the manual pages, one for each command, into a folder: `placet man /usr/local/share/man/man1`.
    Man(Man),
    /// Look at instances, and act on them: by their ids, or on all that a filter means.
    Instances(Box<instances::Instances>),
    /// Tell why an instance waits, since when, and what lets it go on.
    Why(Why),
}

/// `placet completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `placet man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where; it is made if need be.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// `placet serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    #[command(flatten)]
    pub(crate) clock: Clock,
    #[command(flatten)]
    pub(crate) kept: Kept,
    #[command(flatten)]
    pub(crate) grpc: GrpcAddr,
    #[command(flatten)]
    pub(crate) http: HttpAddr,
    #[command(flatten)]
    pub(crate) ports: EmulatorPorts,
    #[command(flatten)]
    pub(crate) hub: TaskHub,
    #[command(flatten)]
    pub(crate) hubs: TaskHubs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `placet scheduler`.
#[derive(Debug, Args)]
pub(crate) struct Scheduler {
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) clock: Clock,
    #[command(flatten)]
    pub(crate) kept: Kept,
    #[command(flatten)]
    pub(crate) grpc: GrpcAddr,
    /// Also answer /healthz, /readyz and /metrics over HTTP here; port 0 picks a free one.
    #[arg(long, env = "PLACET_METRICS_ADDR", value_name = "ADDR")]
    pub(crate) metrics_addr: Option<String>,
    #[command(flatten)]
    pub(crate) ports: EmulatorPorts,
    #[command(flatten)]
    pub(crate) hubs: TaskHubs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `placet emulator`.
#[derive(Debug, Args)]
pub(crate) struct Emulator {
    /// Keep the data in this folder, instead of a temporary one that is removed at the end.
    #[arg(long, env = "PLACET_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kept: Kept,
    /// Where gRPC and the REST calls listen.
    #[arg(long, env = "PLACET_GRPC_ADDR", default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub(crate) grpc_addr: String,
    /// Where the REST calls listen alone.
    #[arg(long, env = "PLACET_REST_ADDR", default_value = "0.0.0.0:8081", value_name = "ADDR")]
    pub(crate) rest_addr: String,
    /// Where the dashboard's calls and links are answered.
    #[arg(long, env = "PLACET_DASHBOARD_ADDR", default_value = "0.0.0.0:8082", value_name = "ADDR")]
    pub(crate) dashboard_addr: String,
    /// The task hubs that there are, separated by commas.
    #[arg(long, env = "DTS_TASK_HUB_NAMES", default_value = "default", value_name = "NAMES")]
    pub(crate) task_hubs: String,
    /// Whether a task hub is made by its first use; without it there are only those that are named.
    #[arg(long, env = "DTS_USE_DYNAMIC_TASK_HUBS", value_name = "BOOL", default_value = "false", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) dynamic_task_hubs: bool,
    /// What to log, in the emulator's words: Trace, Debug, Information, Warning, Error, Critical or None. --log wins.
    #[arg(long, env = "DTS_EMULATOR_LOG_LEVEL", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The emulator's further ports, which nobody needs but its tools.
#[derive(Debug, Args)]
pub(crate) struct EmulatorPorts {
    /// Also answer the emulator's REST calls here, without gRPC; port 0 picks a free one.
    #[arg(long, env = "PLACET_REST_ADDR", value_name = "ADDR")]
    pub(crate) rest_addr: Option<String>,
    /// Also answer the calls and links of the emulator's dashboard here; port 0 picks a free one.
    #[arg(long, env = "PLACET_DASHBOARD_ADDR", value_name = "ADDR")]
    pub(crate) dashboard_addr: Option<String>,
}

/// Which task hubs there are.
#[derive(Debug, Args)]
pub(crate) struct TaskHubs {
    /// Task hubs to make at the start, separated by commas.
    #[arg(long, env = "DTS_TASK_HUB_NAMES", value_name = "NAMES")]
    pub(crate) task_hubs: Option<String>,
    /// Whether a task hub is made by its first use.
    #[arg(long, env = "DTS_USE_DYNAMIC_TASK_HUBS", value_name = "BOOL", default_value = "true", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) dynamic_task_hubs: bool,
}

/// The task hubs of a list with commas, and spaces as people like them.
///
/// # Errors
/// If one of them is no name of a hub.
pub(crate) fn hubs_of(list: &str) -> Result<Vec<Hub>, Failure> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let hubs = names.map(|name| {
        let wrong = |error: placet_scheduler::HubError| Failure::Flag { flag: "--task-hubs", what: error.to_string() };
        placet_scheduler::hub_of(name).map_err(wrong)
    });
    hubs.collect()
}

/// `placet worker`.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// The task hubs it serves, separated by commas; "*" is every hub.
    #[arg(long, env = "TASKHUB", default_value = "*", value_name = "NAMES")]
    pub(crate) taskhub: String,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `placet api`.
#[derive(Debug, Args)]
pub(crate) struct Api {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    #[command(flatten)]
    pub(crate) http: HttpAddr,
    #[command(flatten)]
    pub(crate) hub: TaskHub,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `placet compact`.
#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// The folder that holds the data.
    #[arg(
        long = "data-dir",
        visible_alias = "data",
        env = "PLACET_DATA_DIR",
        default_value = "./placet-data",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
}

/// `placet health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The server's HTTP address.
    #[arg(long, env = "PLACET_HTTP_ADDR", default_value = "127.0.0.1:8000", value_name = "ADDR")]
    pub(crate) http_addr: String,
    /// Ask a scheduler that runs apart instead: its gRPC endpoint.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
}

/// `placet time`.
#[derive(Debug, Args)]
pub(crate) struct Time {
    #[command(subcommand)]
    pub(crate) command: TimeCommand,
}

/// What is said of the clock.
#[derive(Debug, Subcommand)]
pub(crate) enum TimeCommand {
    /// The wall clock is right: timers that were held, since it was doubted, run again.
    Accept(Endpoint),
    /// Let a virtual clock go on, and wait until all that could happen by then has happened.
    Advance(Advance),
    /// Tell what the clock says.
    Show(Endpoint),
}

/// `placet time advance`.
#[derive(Debug, Args)]
pub(crate) struct Advance {
    /// By how much: 24h, 1d, 90m, "1d 12h". By 0s: only wait until all that can happen now has happened.
    #[arg(value_name = "DURATION", value_parser = placet_api::duration, allow_hyphen_values = true)]
    pub(crate) by: Duration,
    /// How long, in real time, the clock stops for a work item that a worker has; as long, all in all, for a worker of
    /// items that nobody has taken.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = placet_api::duration)]
    pub(crate) patience: Duration,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// What is configured.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    /// Who there is, and what requests need: people, groups and policies [default: placet.toml, if it is there].
    #[arg(long, env = "PLACET_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// An instance, and where it is.
#[derive(Debug, Args)]
pub(crate) struct Instance {
    /// The instance's id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Its task hub.
    #[arg(long, env = "TASKHUB", default_value = TASKHUB_DEFAULT, value_name = "NAME")]
    pub(crate) taskhub: String,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// `placet why`.
#[derive(Debug, Args)]
pub(crate) struct Why {
    #[command(flatten)]
    pub(crate) instance: Instance,
    /// Tell it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which time users see.
#[derive(Debug, Args)]
pub(crate) struct Clock {
    /// For tests, with --ephemeral: the clock stands until `placet time advance`; with "auto" it also goes to the next
    /// timer by itself when nothing else is left to happen
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "manual")]
    pub(crate) virtual_time: Option<VirtualTime>,
    /// With --virtual-time=auto: when nothing has been left to happen for so long, in real time [default: 100ms].
    #[arg(long, value_name = "DURATION", value_parser = placet_api::duration)]
    pub(crate) auto_after: Option<Duration>,
}

/// When a virtual clock goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VirtualTime {
    // When it is told to. (What is said to users of each would make the help three times as long.)
    Manual,
    // By itself, too.
    Auto,
}

/// How long nothing may be left to happen before a clock goes on by itself: a test that answers what it has just seen wins.
const AUTO_AFTER_DEFAULT: Duration = Duration::from_millis(100);

impl Clock {
    /// The time that the scheduler is to have.
    ///
    /// # Errors
    /// If the flags contradict each other, or the data is to be kept.
    pub(crate) fn time(&self, data: &Data) -> Result<SchedulerTime, Failure> {
        let wrong = |flag, what: &str| Err(Failure::Flag { flag, what: what.to_owned() });
        match self.virtual_time {
            Some(_) if !data.ephemeral => {
                let what = "only with --ephemeral: data that is kept must not tell of times that have never been";
                wrong("--virtual-time", what)
            }
            Some(VirtualTime::Auto) => {
                Ok(SchedulerTime::Virtual { auto_after: Some(self.auto_after.unwrap_or(AUTO_AFTER_DEFAULT)) })
            }
            _ if self.auto_after.is_some() => wrong("--auto-after", "only with --virtual-time=auto"),
            Some(VirtualTime::Manual) => Ok(SchedulerTime::Virtual { auto_after: None }),
            None => Ok(SchedulerTime::Real),
        }
    }
}

/// Where the data is.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The folder that holds the data.
    #[arg(long, env = "PLACET_DATA_DIR", default_value = "./placet-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Keep the data in a temporary folder instead, which is removed at the end.
    #[arg(long)]
    pub(crate) ephemeral: bool,
}

/// For how long what has ended is kept.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    /// How long instances are kept after their end: 30d, or `off` for ever; of a status failed=90d, of a task hub
    /// billing:30d, of both billing:completed=365d; repeated, or separated by commas [default: 30d; off if the data is
    /// temporary].
    #[arg(long, env = "PLACET_RETENTION", value_name = "TERM", value_delimiter = ',', value_parser = retention::term)]
    pub(crate) retention: Vec<Term>,
}

impl Kept {
    /// All that is said, together; `ephemeral`: of data that is temporary.
    ///
    /// # Errors
    /// If two of them speak of the same.
    pub(crate) fn all(&self, ephemeral: bool) -> Result<Retention, Failure> {
        retention::all(&self.retention, ephemeral).map_err(|what| Failure::Flag { flag: "--retention", what })
    }
}

/// Where the scheduler listens.
#[derive(Debug, Args)]
pub(crate) struct GrpcAddr {
    /// Where the gRPC service listens; port 0 picks a free one [default: 127.0.0.1:8080 and [::1]:8080].
    #[arg(long, env = "PLACET_GRPC_ADDR", value_name = "ADDR")]
    pub(crate) grpc_addr: Option<String>,
}

/// Where the API listens.
#[derive(Debug, Args)]
pub(crate) struct HttpAddr {
    /// Where the HTTP API listens; port 0 picks a free one [default: 127.0.0.1:8000 and [::1]:8000].
    #[arg(long, env = "PLACET_HTTP_ADDR", value_name = "ADDR")]
    pub(crate) http_addr: Option<String>,
}

/// Which hub the API works in.
#[derive(Debug, Args)]
pub(crate) struct TaskHub {
    /// The task hub of the requests made over HTTP.
    #[arg(long, env = "TASKHUB", default_value = "default", value_name = "NAME")]
    pub(crate) taskhub: String,
}

impl TaskHub {
    /// The hub's name, if it is one.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn checked(&self) -> Result<String, Failure> {
        let hub = placet_scheduler::hub_of(&self.taskhub);
        hub.map(|hub| hub.to_string()).map_err(|error| Failure::Flag { flag: "--taskhub", what: error.to_string() })
    }
}

/// Where the scheduler is.
#[derive(Debug, Args)]
pub(crate) struct Endpoint {
    /// The scheduler's endpoint.
    #[arg(long, env = "ENDPOINT", default_value = ENDPOINT_DEFAULT, value_name = "URL")]
    pub(crate) endpoint: String,
}

/// Where a scheduler is if nobody says.
pub(crate) const ENDPOINT_DEFAULT: &str = "http://localhost:8080";

/// The task hub of whoever names none.
pub(crate) const TASKHUB_DEFAULT: &str = "default";

/// What every role has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Listen on an address that others can reach, though anybody who reaches it may do anything.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// What to log on stderr: a level, or filters such as `placet=debug`.
    /// [default: warn; off if quiet]
    #[arg(long, env = "PLACET_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Say where to go as one JSON object on stdout.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Write the same object to this file, whole, once the server is ready.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Say nothing.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Stop when standard input ends: a server that is to live no longer than the program that started it, however that
    /// one ends.
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

impl Common {
    /// Removes the ready file of an earlier run: whoever waits for it waits for this one.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub(crate) fn forget_ready_file(&self) -> Result<(), Failure> {
        let Some(path) = &self.ready_file else { return Ok(()) };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::system(format!("--ready-file: {} cannot be replaced", path.display()), error))
            }
            _ => Ok(()),
        }
    }
}
