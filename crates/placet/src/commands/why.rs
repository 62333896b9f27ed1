//! `placet why`: why an instance waits, what is known of it, and the command that lets it go on.

use jiff::Timestamp;
use placet_sdk::why::{RemedyKind, WaitedWork, WhyResponse};
use serde_json::{Value, json};

use super::{call_once, say};
use crate::exit::Failure;
use crate::flags::{ENDPOINT_DEFAULT, Instance, TASKHUB_DEFAULT, Why};

pub(super) fn run(flags: &Why) -> Result<(), Failure> {
    let of = &flags.instance;
    let why = call_once(&of.endpoint.endpoint, async |client| client.with_hub(&of.taskhub).why(&of.id).await)?;
    say(&if flags.json { format!("{:#}", as_json(of, &why)) } else { as_text(of, &why) });
    Ok(())
}

/// The sentence, a line for all else that is known, and what is to be done.
fn as_text(of: &Instance, why: &WhyResponse) -> String {
    let mut lines = vec![format!("{}: {}", why.instance_id, why.sentence)];
    lines.extend(evidence(why).map(|more| format!("  {more}")));
    let remedy = why.remedy.clone().unwrap_or_default();
    if remedy.kind() != RemedyKind::Nothing {
        lines.push(format!("  -> {}", remedy.text));
    }
    lines.extend(command(of, why).map(|command| format!("     {command}")));
    lines.join("\n")
}

/// What else is known of it, and of the child that it waits for.
fn evidence(why: &WhyResponse) -> impl Iterator<Item = String> {
    let child = why.child.as_ref().and_then(|child| child.why.as_ref());
    let of_child = child.map(|child| child.evidence.iter().map(|more| format!("{}: {more}", child.instance_id)));
    why.evidence.iter().cloned().chain(of_child.into_iter().flatten()).collect::<Vec<_>>().into_iter()
}

/// The command that does what is to be done, if there is one.
fn command(of: &Instance, why: &WhyResponse) -> Option<String> {
    let remedy = why.remedy.as_ref()?;
    let id = in_shell(&remedy.instance_id);
    let command = match remedy.kind() {
        // Which of several, and what it says, is for people to say.
        RemedyKind::RaiseEvent => {
            let event = remedy.events.first().map_or_else(|| "EVENT".to_owned(), |name| in_shell(name));
            format!("instances raise-event {event} {id} --payload JSON")
        }
        RemedyKind::Resume => format!("instances resume {id}"),
        RemedyKind::RetryPoisoned => format!("instances retry {id}"),
        RemedyKind::AcceptTime => return Some(format!("placet time accept{}", endpoint(of))),
        RemedyKind::AdvanceTime => {
            // A child's timer, if it waits for a child that waits for one. Rounded up: it is to be due.
            let waits = why.child.as_ref().and_then(|child| child.why.as_deref()).unwrap_or(why);
            let (now, until) = (waits.now?, waits.until?);
            let seconds = (until.seconds - now.seconds + i64::from(until.nanos > now.nanos)).max(0);
            return Some(format!("placet time advance {seconds}s{}", endpoint(of)));
        }
        RemedyKind::Unspecified
        | RemedyKind::Nothing
        | RemedyKind::Wait
        | RemedyKind::ConnectWorker
        | RemedyKind::FreeDisk
        | RemedyKind::Terminate => return None,
    };
    let hub =
        if of.taskhub == TASKHUB_DEFAULT { String::new() } else { format!(" --taskhub {}", in_shell(&of.taskhub)) };
    Some(format!("placet {command}{hub}{}", endpoint(of)))
}

fn endpoint(of: &Instance) -> String {
    let endpoint = &of.endpoint.endpoint;
    if endpoint == ENDPOINT_DEFAULT { String::new() } else { format!(" --endpoint {}", in_shell(endpoint)) }
}

/// A word as a shell takes it for one.
fn in_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn as_json(of: &Instance, why: &WhyResponse) -> Value {
    let remedy = why.remedy.clone().unwrap_or_default();
    let mut told = explained(why);
    told["remedy"] = json!({
        "kind": word(remedy.kind().as_str_name(), "REMEDY_KIND_"),
        "instance_id": remedy.instance_id,
        "text": remedy.text,
        "events": remedy.events,
        "command": command(of, why),
    });
    told
}

/// All but the remedy, which is that of the child if it waits for one.
fn explained(why: &WhyResponse) -> Value {
    let mut told = json!({
        "instance_id": why.instance_id,
        "sentence": why.sentence,
        "status": word(why.status().as_str_name(), "ORCHESTRATION_STATUS_"),
        "cause": word(why.cause().as_str_name(), "WAIT_CAUSE_"),
        "now": stamp(why.now.as_ref()),
        "since": stamp(why.since.as_ref()),
        "until": stamp(why.until.as_ref()),
        "evidence": why.evidence,
    });
    if !why.events.is_empty() {
        told["events"] = json!(why.events);
    }
    if let Some(work) = &why.work {
        told["work"] = working(work);
    }
    if let Some(retry) = &why.retry {
        told["retry"] = json!({
            "name": retry.name,
            "attempt": retry.attempt,
            "attempts_max": retry.attempts_max,
            "error_type": retry.error_type,
        });
    }
    if let Some(child) = &why.child {
        told["child"] = json!({
            "instance_id": child.instance_id,
            "name": child.name,
            "more": child.more,
            "why": child.why.as_deref().map(explained),
        });
    }
    told
}

fn working(work: &WaitedWork) -> Value {
    json!({
        "name": work.name,
        "version": work.version,
        "task_id": work.task_id,
        "stage": word(work.stage().as_str_name(), "WORK_STAGE_"),
        "worker": work.worker,
        "deliveries": work.deliveries,
        "versions": work.versions,
        "more": work.more,
    })
}

fn stamp(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok()).map(|at| at.to_string())
}

/// `WAIT_CAUSE_DISK_FULL` as `disk-full`.
fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', "-")
}
