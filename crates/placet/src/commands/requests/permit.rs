//! `placet permit`, and `placet request … --begin -- COMMAND`: what was approved is done once, and it is known how it went.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use placet_approval::{BEGUN_ROWS, BegunRow, action_hash};
use placet_scheduler::record::{NoteKey, Published};
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{Api, segment};
use super::{json_of, person, tell, words};
use crate::commands::say;
use crate::exit::Failure;
use crate::flags::permit::{Begin, Finish, Permit, PermitCommand, Revoke, Verify};
use crate::flags::requests::{Named, Speaker};
use crate::os;

pub(crate) fn permit(flags: &Permit) -> Result<ExitCode, Failure> {
    match &flags.command {
        PermitCommand::Show(named) => show(named),
        PermitCommand::Begin(flags) => begin(flags),
        PermitCommand::Finish(flags) => finish(flags),
        PermitCommand::Revoke(flags) => revoke(flags),
        PermitCommand::Verify(flags) => verify(flags),
    }
}

fn show(named: &Named) -> Result<ExitCode, Failure> {
    Api::with(&named.speaker, async |api| {
        let shown = api.get(&format!("/api/v1/requests/{}/permit", segment(&named.id))).await?;
        tell(&named.speaker, &shown, words::permit);
        Ok(ExitCode::SUCCESS)
    })
}

fn begin(flags: &Begin) -> Result<ExitCode, Failure> {
    let mut body = json!({});
    if let Some(action) = &flags.action {
        body["action"] = json_of("--action", action)?;
    }
    for (name, text) in [("content_hash", &flags.content_hash), ("attempt_key", &flags.attempt_key)] {
        if let Some(text) = text {
            body[name] = json!(text);
        }
    }
    // The permit as it is: whoever asks keeps it in a file.
    act(&flags.of, ("begin", "permit"), body, |told| words::text(&told["permit"]).trim_end().to_owned())
}

fn finish(flags: &Finish) -> Result<ExitCode, Failure> {
    let mut body = json!({"result": json_of("--result", &flags.result)?});
    if let Some(key) = &flags.attempt_key {
        body["attempt_key"] = json!(key);
    }
    act(&flags.of, ("finish", "status"), body, words::permit)
}

fn revoke(flags: &Revoke) -> Result<ExitCode, Failure> {
    act(&flags.of, ("revoke", "status"), json!({"reason": flags.reason}), words::permit)
}

/// Does something with a permit, whose answer has this once it is done.
fn act(
    of: &Named,
    (what, has): (&str, &str),
    mut body: Value,
    words: fn(&Value) -> String,
) -> Result<ExitCode, Failure> {
    body["by"] = person(&of.speaker)?.into();
    Api::with(&of.speaker, async |api| {
        let told = api.post(&path(&of.id, what), &body, None).await?;
        if !told[has].is_string() {
            return Err(Failure::Unreachable {
                what: format!("no worker has taken it yet: {what} again, with the same --attempt-key"),
            });
        }
        tell(&of.speaker, &told, words);
        Ok(ExitCode::SUCCESS)
    })
}

fn path(id: &str, what: &str) -> String {
    format!("/api/v1/requests/{}/{what}", segment(id))
}

/// Begins what was approved, runs it, and tells how it ended; its exit code is the command's.
pub(super) async fn run(
    api: &Api,
    speaker: &Speaker,
    approved: &Value,
    command: &[OsString],
) -> Result<ExitCode, Failure> {
    let id = super::id(approved);
    // If an answer is lost on the way, the same attempt asks again.
    let attempt_key = Uuid::new_v4().to_string();
    let by = person(speaker)?;
    let body = json!({"by": by, "content_hash": approved["content_hash"], "attempt_key": attempt_key});
    let begun = post_until(api, &path(&id, "begin"), &body, "permit").await?;
    let (code, result) = match run_to_its_end(&id, &words::text(&begun["permit"]), command).await {
        Ok(status) => {
            let code = code_of(status);
            (code, json!({"exit_code": code}))
        }
        Err(error) => {
            let program = command.first().map(|program| program.display().to_string());
            // Whoever closed our output does not want to hear it.
            drop(writeln!(std::io::stderr(), "placet: {}: {error}", program.unwrap_or_default()));
            (NOT_STARTED, json!({"error": error.to_string()}))
        }
    };
    let body = json!({"by": by, "result": result, "attempt_key": attempt_key});
    post_until(api, &path(&id, "finish"), &body, "status").await?;
    Ok(code.into())
}

/// A longer permit, which names very many approvers, is passed on as a file: what a program is given has a bound.
const PASSED_ON_MAX: usize = 64 << 10;

/// Runs a command, and stays until it ends, whatever this process is asked to do: how it ends is to be told.
async fn run_to_its_end(id: &str, permit: &str, command: &[OsString]) -> std::io::Result<ExitStatus> {
    let (program, args) = command.split_first().expect("the flag requires one");
    let mut child = tokio::process::Command::new(program);
    child.args(args).env("PLACET_REQUEST_ID", id);
    let mut file = None;
    if permit.len() <= PASSED_ON_MAX {
        child.env("PLACET_PERMIT", permit);
    } else {
        let written = file.insert(tempfile::NamedTempFile::new()?);
        written.write_all(permit.as_bytes())?;
        child.env("PLACET_PERMIT_FILE", written.path());
    }
    let ended = os::run_through_signals(&mut child).await;
    drop(file);
    ended
}

/// How long a server that cannot be reached, or has no worker, is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer has this: one that has not is of a server that will do it, and has not yet.
async fn post_until(api: &Api, path: &str, body: &Value, has: &str) -> Result<Value, Failure> {
    let since = Instant::now();
    loop {
        match api.post(path, body, None).await {
            Ok(answer) if answer[has].is_string() => return Ok(answer),
            Ok(_) if since.elapsed() > PATIENCE => {
                return Err(Failure::Unreachable { what: "no worker has taken it: nothing was begun here".to_owned() });
            }
            Err(failure @ Failure::Unreachable { .. }) if since.elapsed() > PATIENCE => return Err(failure),
            Ok(_) | Err(Failure::Unreachable { .. }) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(failure) => return Err(failure),
        }
    }
}

/// As shells have it.
const NOT_STARTED: u8 = 127;

/// The code that a shell would tell: 128 and the signal of what was killed.
fn code_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn verify(flags: &Verify) -> Result<ExitCode, Failure> {
    let key: NoteKey = flags.key.parse().map_err(|error| Failure::Flag { flag: "--key", what: format!("{error}") })?;
    let note = read(&flags.file)?;
    let action = flags.action.as_deref().map(|action| json_of("--action", action)).transpose()?;
    let text = key.open(&note).map_err(|error| Failure::Refused(error.to_string()))?;
    let published = Published::of_text(text).filter(|published| published.kind == BEGUN_ROWS);
    let begun = published.as_ref().and_then(|published| serde_json::from_str::<BegunRow>(published.body).ok());
    let (Some(published), Some(BegunRow { grant, begun, .. })) = (published, begun) else {
        return Err(Failure::Refused("the note is signed, and it is no permit".to_owned()));
    };
    if action.is_some_and(|action| action_hash(&grant.content_salt, action) != grant.action_hash) {
        let what = format!("the permit of {} is for something else than this action", grant.request_id);
        return Err(Failure::Refused(what));
    }
    if flags.json {
        say(published.body);
        return Ok(ExitCode::SUCCESS);
    }
    let approvers: Vec<&str> = grant.approvers.iter().map(|person| person.as_str()).collect();
    say(&words::line(&format!(
        "hub {}: request {} of {}, approved by {} at {}; begun by {} at {}, once",
        published.hub,
        grant.request_id,
        grant.requester,
        approvers.join(", "),
        grant.granted_at,
        begun.by,
        begun.at
    )));
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String, Failure> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| Failure::Data { what: format!("{}: {error}", path.display()) })
}
