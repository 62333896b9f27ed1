//! `placet permit`, and `placet request … --begin -- COMMAND`: what was approved is done once, and it is known how it went.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

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
    act(&flags.of, "begin", body, |told| words::text(&told["permit"]).trim_end().to_owned())
}

fn finish(flags: &Finish) -> Result<ExitCode, Failure> {
    let mut body = json!({"result": json_of("--result", &flags.result)?});
    if let Some(key) = &flags.attempt_key {
        body["attempt_key"] = json!(key);
    }
    act(&flags.of, "finish", body, words::permit)
}

fn revoke(flags: &Revoke) -> Result<ExitCode, Failure> {
    act(&flags.of, "revoke", json!({"reason": flags.reason}), words::permit)
}

fn act(of: &Named, what: &str, mut body: Value, words: fn(&Value) -> String) -> Result<ExitCode, Failure> {
    body["by"] = person(&of.speaker)?.into();
    Api::with(&of.speaker, async |api| {
        let told = api.post(&path(&of.id, what), &body, None).await?;
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
    // If the answer is lost on the way, the same attempt asks again.
    let attempt_key = Uuid::new_v4().to_string();
    let by = person(speaker)?;
    let body = json!({"by": by, "content_hash": approved["content_hash"], "attempt_key": attempt_key});
    let begun = api.post(&path(&id, "begin"), &body, None).await?;
    let (program, args) = command.split_first().expect("the flag requires one");
    let mut child = Command::new(program);
    child.args(args).env("PLACET_REQUEST_ID", &id).env("PLACET_PERMIT", words::text(&begun["permit"]));
    let (code, result) = match child.status() {
        Ok(status) => {
            let code = code_of(status);
            (code, json!({"exit_code": code}))
        }
        Err(error) => (NOT_STARTED, json!({"error": error.to_string()})),
    };
    let body = json!({"by": by, "result": result, "attempt_key": attempt_key});
    let told = api.post(&path(&id, "finish"), &body, None).await;
    if let Some(error) = result.get("error") {
        let what = format!("{}: {}", program.display(), words::text(error));
        return Err(Failure::Flag { flag: "--", what });
    }
    told?;
    Ok(code.into())
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
    if action.is_some_and(|action| action_hash(&grant.content_salt, &action) != grant.action_hash) {
        let what = format!("the permit of {} is for something else than this action", grant.request_id);
        return Err(Failure::Refused(what));
    }
    if flags.json {
        say(published.body);
        return Ok(ExitCode::SUCCESS);
    }
    let approvers: Vec<&str> = grant.approvers.iter().map(|person| person.as_str()).collect();
    say(&format!(
        "hub {}: request {} of {}, approved by {} at {}; begun by {} at {}, once",
        published.hub,
        grant.request_id,
        grant.requester,
        approvers.join(", "),
        grant.granted_at,
        begun.by,
        begun.at
    ));
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
