//! Operations of the server on all instances that a filter means: counted, confirmed, begun, followed, told of.

use std::time::{Duration, Instant, SystemTime};

use placet_sdk::bulk::{Action, BulkOperation, BulkOutcome, BulkResult, BulkStatus, StartBulkResponse};
use placet_sdk::{Client, Code};
use serde_json::json;
use tokio::time::sleep;

use super::super::confirm;
use super::act::Deed;
use super::progress::Progress;
use super::{filter, refused, say, tell, written};
use crate::exit::Failure;
use crate::flags::instances::{Operation, Place, Which};

/// A server that is not there for so long does not come back soon.
const OUTLIVES: Duration = Duration::from_secs(60);

/// How long it is left alone.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Ids that are shown of those that are meant.
const SHOWN: usize = 5;

/// Counts what is meant, asks whether to go on, begins, and follows it.
pub(super) async fn begin(client: &Client, which: &Which, deed: Deed) -> Result<(), Failure> {
    let filter = filter(client, &which.filter, which.all).await?;
    let counted = client.count_bulk(filter.clone(), deed.action.clone()).await.map_err(refused)?;
    if which.dry_run {
        tell_count(&counted, which.place.json);
        return Ok(());
    }
    if !which.yes {
        tell(&in_words(&counted));
    }
    if counted.matched == 0 && !counted.matched_is_least {
        if which.place.json {
            tell_count(&counted, true);
        } else if which.yes {
            tell("no instance is meant");
        }
        return Ok(());
    }
    if !which.yes && !is_confirmed(client, &counted, &deed)? {
        return Err(Failure::Refused("nothing was done".to_owned()));
    }
    let begun = client.start_bulk(filter, deed.action, "").await.map_err(refused)?;
    if which.detach {
        say(&if which.place.json { in_json(&begun).to_string() } else { begun.id });
        return Ok(());
    }
    to_its_end(client, begun, &which.place).await
}

fn tell_count(counted: &StartBulkResponse, json: bool) {
    if json {
        let StartBulkResponse { matched, matched_is_least, first_instance_ids, .. } = counted;
        let told = json!({ "matched": matched, "isLeast": matched_is_least, "first": first_instance_ids });
        say(&told.to_string());
    } else {
        say(&in_words(counted));
    }
}

fn in_words(counted: &StartBulkResponse) -> String {
    let StartBulkResponse { matched, matched_is_least, first_instance_ids: first, .. } = counted;
    if *matched == 0 && !matched_is_least {
        return "no instance is meant".to_owned();
    }
    let least = if *matched_is_least { "at least " } else { "" };
    let (noun, verb) = if *matched == 1 { ("instance", "is") } else { ("instances", "are") };
    let shown = first.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if *matched > SHOWN as u64 { ", …" } else { "" };
    format!("{least}{matched} {noun} {verb} meant: {shown}{more}")
}

fn is_confirmed(client: &Client, counted: &StartBulkResponse, deed: &Deed) -> Result<bool, Failure> {
    let what = match &deed.action {
        Action::RaiseEvent(event) => format!(" (event {})", event.name),
        _ => String::new(),
    };
    let (verb, matched, hub) = (deed.verb, counted.matched, client.hub());
    confirm(&format!("{verb} {matched} instances of hub {hub}{what}?"))
}

/// Follows an operation. Whoever interrupts that wishes it to end; whoever does so again, to hear no more of it.
async fn to_its_end(client: &Client, mut operation: BulkOperation, place: &Place) -> Result<(), Failure> {
    let mut progress = Progress::new(&operation);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while operation.status() == BulkStatus::Running {
        progress.at(&operation);
        tokio::select! {
            changed = changed(client, &operation) => operation = changed?,
            _ = &mut interrupted => {
                let id = operation.id.clone();
                tell(&format!("operation {id} is being cancelled; interrupt again to leave it to the server"));
                operation = tokio::select! {
                    ended = client.cancel_bulk(&id) => ended.map_err(refused)?,
                    _ = tokio::signal::ctrl_c() => return Err(Failure::Refused(format!("operation {id} is left"))),
                };
            }
        }
    }
    progress.end();
    tell_end(&operation, place)
}

/// The operation once it has changed. It outlives its server, and so does whoever follows it, for a while.
async fn changed(client: &Client, operation: &BulkOperation) -> Result<BulkOperation, Failure> {
    let begun = Instant::now();
    loop {
        match client.bulk_after(&operation.id, operation.version).await {
            Err(error) if error.code == Code::Unavailable && begun.elapsed() < OUTLIVES => sleep(AGAIN_AFTER).await,
            answer => return answer.map_err(refused),
        }
    }
}

/// How it stands; an error unless all went well.
fn tell_end(operation: &BulkOperation, place: &Place) -> Result<(), Failure> {
    say(&if place.json { in_json(operation).to_string() } else { summary(operation) });
    let id = &operation.id;
    match operation.status() {
        BulkStatus::Cancelled => Err(Failure::Refused(format!("operation {id} was cancelled"))),
        _ if operation.failed > 0 => {
            let what = format!(
                "{} instances refused it; `placet instances operation {id} --results` tells why",
                operation.failed
            );
            Err(Failure::Refused(what))
        }
        _ => Ok(()),
    }
}

pub(super) async fn list(client: &Client, place: &Place) -> Result<(), Failure> {
    for operation in client.bulks().await.map_err(refused)? {
        say(&if place.json { in_json(&operation).to_string() } else { summary(&operation) });
    }
    Ok(())
}

/// Shows an operation, cancels it, tells its results, or waits for its end.
pub(super) async fn follow(client: &Client, flags: &Operation) -> Result<(), Failure> {
    let operation = if flags.cancel {
        client.cancel_bulk(&flags.id).await.map_err(refused)?
    } else {
        client.bulk(&flags.id).await.map_err(refused)?
    };
    if flags.results {
        return results(client, flags).await;
    }
    if flags.cancel || flags.detach {
        say(&if flags.place.json { in_json(&operation).to_string() } else { summary(&operation) });
        return Ok(());
    }
    to_its_end(client, operation, &flags.place).await
}

/// What became of each so far, page by page.
async fn results(client: &Client, flags: &Operation) -> Result<(), Failure> {
    let mut token = String::new();
    loop {
        let (page, next) = client.bulk_results(&flags.id, &token).await.map_err(refused)?;
        for result in &page {
            say(&if flags.place.json { result_in_json(result) } else { result_in_words(result) });
        }
        match next {
            // Of one that runs there are no more as yet.
            Some(next) if !page.is_empty() => token = next,
            _ => return Ok(()),
        }
    }
}

fn result_in_words(result: &BulkResult) -> String {
    let more = [&result.new_instance_id, &result.reason].into_iter().find(|text| !text.is_empty());
    let more = more.map(|more| format!(": {more}")).unwrap_or_default();
    format!("{}: {}{more}", result.instance_id, outcome(result))
}

fn result_in_json(result: &BulkResult) -> String {
    let mut told = json!({ "id": result.instance_id, "outcome": outcome(result) });
    for (name, text) in [("reason", &result.reason), ("newId", &result.new_instance_id)] {
        if !text.is_empty() {
            told[name] = text.as_str().into();
        }
    }
    told.to_string()
}

fn outcome(result: &BulkResult) -> &'static str {
    match result.outcome() {
        BulkOutcome::Done => "done",
        BulkOutcome::Skipped => "skipped",
        BulkOutcome::Failed | BulkOutcome::Unspecified => "failed",
    }
}

/// An operation in a line.
fn summary(operation: &BulkOperation) -> String {
    let BulkOperation { id, total, done, skipped, failed, .. } = operation;
    let least = if operation.total_is_least { "at least " } else { "" };
    let (status, action) = (status(operation), action(operation));
    format!("{id} {action} {status}: {done} done, {skipped} skipped, {failed} failed, of {least}{total}")
}

fn in_json(operation: &BulkOperation) -> serde_json::Value {
    let at = |at: &Option<prost_types::Timestamp>| at.and_then(|at| SystemTime::try_from(at).ok()).map(written);
    json!({
        "id": operation.id,
        "action": action(operation),
        "status": status(operation),
        "began": at(&operation.began_at),
        "ended": at(&operation.ended_at),
        "total": operation.total,
        "totalIsLeast": operation.total_is_least,
        "done": operation.done,
        "skipped": operation.skipped,
        "failed": operation.failed,
    })
}

fn status(operation: &BulkOperation) -> &'static str {
    match operation.status() {
        BulkStatus::Running | BulkStatus::Unspecified => "running",
        BulkStatus::Completed => "completed",
        BulkStatus::Cancelled => "cancelled",
    }
}

fn action(operation: &BulkOperation) -> &'static str {
    match operation.action.as_ref().and_then(|action| action.action.as_ref()) {
        Some(Action::Terminate(_)) => "terminate",
        Some(Action::Suspend(_)) => "suspend",
        Some(Action::Resume(_)) => "resume",
        Some(Action::RaiseEvent(_)) => "raise-event",
        Some(Action::Restart(_)) => "restart",
        Some(Action::Rewind(_)) => "rewind",
        Some(Action::Purge(_)) => "purge",
        None => "nothing",
    }
}
