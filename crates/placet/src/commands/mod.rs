//! The commands, one file each.

mod api;
mod audit;
mod compact;
mod emulator;
mod erase;
mod health;
mod instances;
mod manual;
mod policy;
mod requests;
mod scheduler;
mod serve;
mod time;
mod why;
mod worker;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use placet_sdk::{CallError, Client, Code};
use tokio::sync::watch;

use crate::exit::Failure;
use crate::flags::{Command, Common, Flags};
use crate::os;

/// How long a stopping server waits for the calls under way.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A signal this soon after the first one is the same wish.
const SECOND_WISH_AFTER: Duration = Duration::from_secs(1);

/// How long the answer to a single call may take.
const CALL_PATIENCE: Duration = Duration::from_secs(3);

/// Runs the command that the flags name. The exit code is success, but where a command tells by it what became of a request.
///
/// # Errors
/// Whatever ends the process otherwise than well.
pub(crate) fn run(flags: Flags) -> Result<ExitCode, Failure> {
    match flags.command {
        Some(Command::Request(flags)) => return requests::request(&flags),
        Some(Command::List(flags)) => return requests::list(&flags),
        Some(Command::Show(flags)) => return requests::show(&flags),
        Some(Command::Watch(flags)) => return requests::watch(&flags),
        Some(Command::Approve(flags)) => return requests::decide(&flags, true),
        Some(Command::Reject(flags)) => return requests::decide(&flags, false),
        Some(Command::Comment(flags)) => return requests::comment(&flags),
        Some(Command::Withdraw(flags)) => return requests::withdraw(&flags),
        Some(Command::Permit(flags)) => return requests::permit(&flags),
        None => with_runtime(&flags.serve.common, serve::run(&flags.serve)),
        Some(Command::Serve(flags)) => with_runtime(&flags.common, serve::run(&flags)),
        Some(Command::Scheduler(flags)) => with_runtime(&flags.common, scheduler::run(&flags)),
        Some(Command::Emulator(mut flags)) => {
            flags.common.log = flags.common.log.take().or_else(|| flags.log_level.as_deref().map(log_filter));
            with_runtime(&flags.common, emulator::run(&flags))
        }
        Some(Command::Worker(flags)) => with_runtime(&flags.common, worker::run(&flags)),
        Some(Command::Api(flags)) => with_runtime(&flags.common, api::run(&flags)),
        Some(Command::Compact(flags)) => compact::run(&flags),
        Some(Command::Health(flags)) => health::run(&flags),
        Some(Command::Policy(flags)) => policy::run(&flags),
        Some(Command::Audit(flags)) => audit::run(&flags),
        Some(Command::Erase(flags)) => erase::run(&flags),
        Some(Command::Completions(flags)) => manual::completions(&flags),
        Some(Command::Man(flags)) => manual::pages(&flags),
        Some(Command::Time(flags)) => time::run(&flags),
        Some(Command::Instances(flags)) => instances::run(&flags),
        Some(Command::Why(flags)) => why::run(&flags),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// A level in the emulator's words (.NET's) as ours. What is none is left for the log to refuse.
fn log_filter(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        "information" => "info",
        "warning" => "warn",
        "critical" => "error",
        "none" => "off",
        other => other,
    }
    .to_owned()
}

fn with_runtime(common: &Common, role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    start_log(common)?;
    common.forget_ready_file()?;
    os::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no threads", error))?;
    let ended = runtime.block_on(role);
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// A client of the scheduler at this endpoint.
///
/// # Errors
/// If the endpoint is none.
fn connect(endpoint: &str) -> Result<Client, Failure> {
    Client::connect(endpoint).map_err(|error| Failure::Flag { flag: "--endpoint", what: error.to_string() })
}

/// Makes one call of the scheduler at this endpoint, within a bound, for commands that do nothing else.
///
/// # Errors
/// If the endpoint is none, or the call is not answered well in time.
fn call_once<T>(endpoint: &str, call: impl AsyncFnOnce(Client) -> Result<T, CallError>) -> Result<T, Failure> {
    make_call(endpoint, Some(CALL_PATIENCE), call)
}

/// Whoever closed our output does not want to hear it.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirm(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Flag { flag: "--yes", what: "is needed where nobody can be asked".to_owned() });
    }
    let failed = |error| Failure::system("no answer", error);
    write!(std::io::stderr(), "{question} [y/N] ").map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The same within another bound, or none.
///
/// # Errors
/// If the endpoint is none, or the call is not answered well in time.
fn make_call<T>(
    endpoint: &str,
    within: Option<Duration>,
    call: impl AsyncFnOnce(Client) -> Result<T, CallError>,
) -> Result<T, Failure> {
    let within = within.unwrap_or(Duration::MAX);
    let answer = with_client(endpoint, async |client| tokio::time::timeout(within, call(client)).await)?;
    let late = |_| Failure::NotReady(format!("{endpoint} did not answer in {} s", within.as_secs()));
    answer.map_err(late)?.map_err(refused)
}

/// Does what needs a client of the scheduler at this endpoint, in a runtime of its own.
///
/// # Errors
/// If the endpoint is none.
fn with_client<T>(endpoint: &str, what: impl AsyncFnOnce(Client) -> T) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no runtime", error))?;
    // Even a connection that is made later wants its runtime now.
    let _entered = runtime.enter();
    let client = connect(endpoint)?;
    Ok(runtime.block_on(what(client)))
}

/// What a failed call ends the process with.
fn refused(error: CallError) -> Failure {
    match error.code {
        Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::DataLoss => {
            Failure::Refused(error.message)
        }
        _ => Failure::NotReady(error.to_string()),
    }
}

/// What goes to stderr: a quiet server writes nothing, unless it was told what.
fn start_log(common: &Common) -> Result<(), Failure> {
    let filter = common.log.as_deref().unwrap_or(if common.quiet { "off" } else { "warn" });
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::Flag { flag: "--log", what: format!("{filter:?} is no filter: {error}") })?;
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();
    Ok(())
}

/// A switch that everything that serves looks at, thrown when the process is asked to stop, or by the end of its input if it
/// is to live as long as that. Asked a second time, the process ends at once.
///
/// # Errors
/// If the system gives no signals.
pub(crate) fn stop_switch(common: &Common) -> Result<watch::Receiver<bool>, Failure> {
    let failed = |error| Failure::system("no signals", error);
    let (switch, stopping) = watch::channel(false);
    let asked = os::stop_requested().map_err(failed)?;
    let input_ends = input_ends(common.until_stdin_ends).map_err(|error| Failure::system("no thread", error))?;
    tokio::spawn(async move {
        tokio::select! {
            () = asked => {}
            () = input_ends => {}
        }
        tracing::info!("stopping");
        switch.send_replace(true);
        // One wish to stop may come twice, to the process and to its group.
        tokio::time::sleep(SECOND_WISH_AFTER).await;
        if let Ok(asked_again) = os::stop_requested() {
            asked_again.await;
            std::process::exit(1);
        }
    });
    Ok(stopping)
}

/// Ready once standard input has ended; never if nobody wants to know.
///
/// # Errors
/// If the system gives no thread.
fn input_ends(wanted: bool) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (sender, ended) = tokio::sync::oneshot::channel::<()>();
    if wanted {
        // A thread of its own, which the process does not wait for at its end: it may be reading still.
        std::thread::Builder::new().name("placet-stdin".into()).spawn(move || {
            drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
            drop(sender);
        })?;
    }
    Ok(async move {
        if wanted {
            drop(ended.await);
        } else {
            std::future::pending::<()>().await;
        }
    })
}

/// Ready once the switch is thrown.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}
