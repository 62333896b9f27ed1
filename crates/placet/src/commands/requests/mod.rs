//! `placet request`, `list`, `show`, `approve`, `reject`, `comment`, `withdraw`: requests from a shell, over the HTTP API, so that a
//! pipeline is gated by an exit code.

mod call;
mod permit;
mod watch;
mod words;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::say;
use crate::exit::Failure;
use crate::flags::requests::{Comment, Decide, List, Named, Request, Show, Speaker, Withdraw};
use call::Api;

pub(super) use permit::permit;
pub(super) use watch::watch;

/// How long one look at a request waits for its outcome: proxies cut what says nothing for longer.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Requests that are asked for at once.
const PAGE: usize = 200;

pub(super) fn request(flags: &Request) -> Result<ExitCode, Failure> {
    let mut body = json!({"requester": person(&flags.speaker)?, "item": flags.item});
    let lists = [("approvers", &flags.approver), ("tags", &flags.tag)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        body[name] = json!(list);
    }
    if let Some(details) = &flags.details {
        body["details"] = text_of("--details", details)?.into();
    }
    for (name, text) in [("category", &flags.category), ("timeout", &flags.timeout), ("valid_for", &flags.valid_for)] {
        if let Some(text) = text {
            body[name] = json!(text);
        }
    }
    for (flag, name, text) in [("--plan", "plan", &flags.plan), ("--payload", "payload", &flags.payload)] {
        if let Some(text) = text {
            body[name] = json_of(flag, text)?;
        }
    }
    Api::with(&flags.speaker, async |api| {
        let key = flags.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
        let asked = api.post("/api/v1/requests", &body, key).await?;
        if !flags.wait && !flags.run.begin {
            tell(&flags.speaker, &asked, words::asked);
            return Ok(ExitCode::SUCCESS);
        }
        // A pipeline that is stopped finds here what it has asked.
        drop(writeln!(std::io::stderr(), "{}", words::asked(&asked)));
        let decided = wait(&api, &id(&asked), Duration::MAX).await?;
        if flags.run.begin && decided["status"] == "Approved" {
            return permit::run(&api, &flags.speaker, &decided, &flags.run.command).await;
        }
        tell(&flags.speaker, &decided, words::shown);
        Ok(code(&decided))
    })
}

/// A line for each request; a document for each with `--json`.
pub(super) fn list(flags: &List) -> Result<ExitCode, Failure> {
    let mut asked = vec![("q", flags.words.join(" ")), ("sort", flags.sort.clone())];
    if flags.status != "all" {
        asked.push(("status", flags.status.clone()));
    }
    if flags.inbox {
        asked.push(("person", person(&flags.speaker)?));
    }
    for (name, value) in [
        ("requester", &flags.requester),
        ("approver", &flags.approver),
        ("decided_by", &flags.decided_by),
        ("category", &flags.category),
        ("tag", &flags.tag),
        ("priority", &flags.priority),
    ] {
        asked.extend(value.clone().map(|value| (name, value)));
    }
    asked.retain(|(_, value)| !value.is_empty());
    let path = if flags.inbox { "/api/v1/inbox" } else { "/api/v1/requests" };
    Api::with(&flags.speaker, async |api| {
        if !flags.speaker.json {
            say(&words::heading());
        }
        let (mut left, mut cursor) = (flags.limit, None);
        while left > 0 {
            let mut query = asked.clone();
            query.push(("limit", left.min(PAGE).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page = api.list(path, &query).await?;
            let requests = page["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
            for request in requests {
                say(&if flags.speaker.json { request.to_string() } else { words::row(request) });
            }
            left = left.saturating_sub(requests.len());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn show(flags: &Show) -> Result<ExitCode, Failure> {
    let Named { id, speaker } = &flags.of;
    Api::with(speaker, async |api| {
        let shown = match flags.wait {
            Some(patience) => wait(&api, id, patience).await?,
            None => api.look(id, Duration::ZERO).await?,
        };
        tell(speaker, &shown, words::shown);
        Ok(if flags.wait.is_some() { code(&shown) } else { ExitCode::SUCCESS })
    })
}

pub(super) fn decide(flags: &Decide, is_approved: bool) -> Result<ExitCode, Failure> {
    let decision = flags.choice.as_deref().unwrap_or(if is_approved { "approve" } else { "reject" });
    let mut body = json!({"decision": decision, "is_approved": is_approved});
    if let Some(comment) = &flags.comment {
        body["comments"] = json!(comment);
    }
    if let Some(input) = &flags.input {
        body["input"] = json_of("--input", input)?;
    }
    if let Some(revision) = flags.revision {
        body["revision"] = json!(revision);
    }
    act(&flags.of, "decisions", "approver", body)
}

pub(super) fn comment(flags: &Comment) -> Result<ExitCode, Failure> {
    act(&flags.of, "comment", "by", json!({"text": flags.text}))
}

pub(super) fn withdraw(flags: &Withdraw) -> Result<ExitCode, Failure> {
    act(&flags.of, "withdraw", "by", json!({"text": flags.reason}))
}

/// Does something with a request, and tells what became of it.
fn act(of: &Named, what: &str, who: &str, mut body: Value) -> Result<ExitCode, Failure> {
    body[who] = person(&of.speaker)?.into();
    Api::with(&of.speaker, async |api| {
        let told = api.post(&format!("/api/v1/requests/{}/{what}", call::segment(&of.id)), &body, None).await?;
        tell(&of.speaker, &told, |told| words::text(&told["message"]));
        Ok(ExitCode::SUCCESS)
    })
}

/// Looks at a request until it is decided, or for so long.
async fn wait(api: &Api, id: &str, patience: Duration) -> Result<Value, Failure> {
    let since = Instant::now();
    let spinner = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    if let Some(spinner) = &spinner {
        spinner.set_style(
            ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        spinner.enable_steady_tick(Duration::from_millis(120));
    }
    let mut look = Duration::ZERO;
    loop {
        let shown = api.look(id, look).await?;
        let left = patience.saturating_sub(since.elapsed());
        if shown["status"] != "Pending" || left.is_zero() {
            if let Some(spinner) = spinner {
                spinner.finish_and_clear();
            }
            return Ok(shown);
        }
        if let Some(spinner) = &spinner {
            spinner.set_message(words::waits(&shown));
        }
        look = left.clamp(Duration::from_secs(1), LOOK_MAX);
    }
}

/// What a request came to, for a shell.
fn code(shown: &Value) -> ExitCode {
    match shown["status"].as_str().unwrap_or_default() {
        "Approved" => 0,
        "Rejected" => 1,
        "Timeout" => 2,
        "Withdrawn" => 3,
        _ => 75, // it is still open: come again (EX_TEMPFAIL)
    }
    .into()
}

fn tell(speaker: &Speaker, value: &Value, words: impl Fn(&Value) -> String) {
    say(&if speaker.json { format!("{value:#}") } else { words(value) });
}

fn id(shown: &Value) -> String {
    words::text(&shown["request_id"])
}

/// Who speaks: as he says, or as the computer knows him.
fn person(speaker: &Speaker) -> Result<String, Failure> {
    let known = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let person = speaker.person.clone().or_else(|| known.into_iter().find(|name| !name.is_empty()));
    person
        .ok_or_else(|| Failure::Flag { flag: "--as", what: "this computer does not know your name: say it".to_owned() })
}

/// A text, or the one in a file.
fn text_of(flag: &'static str, text: &str) -> Result<String, Failure> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    std::fs::read_to_string(path).map_err(|error| Failure::Flag { flag, what: format!("{path}: {error}") })
}

fn json_of(flag: &'static str, text: &str) -> Result<Value, Failure> {
    let text = text_of(flag, text)?;
    serde_json::from_str(&text).map_err(|error| Failure::Flag { flag, what: format!("is no JSON: {error}") })
}
