//! `placet watch`: what happens, a line for each event, as the server tells it (Server-Sent Events).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::call::{Api, segment};
use super::{code, person, words};
use crate::commands::say;
use crate::exit::Failure;
use crate::flags::requests::Watch;

/// A server that is started again is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two attempts to reach it.
const AGAIN: Duration = Duration::from_secs(1);

pub(in crate::commands) fn watch(flags: &Watch) -> Result<ExitCode, Failure> {
    let path = match &flags.id {
        Some(id) => format!("/api/v1/requests/{}/events", segment(id)),
        None => format!("/api/v1/inbox/events?person={}", segment(&person(&flags.speaker)?)),
    };
    Api::with(&flags.speaker, async |api| {
        let mut known: Option<String> = None;
        let mut lost_at: Option<Instant> = None;
        loop {
            let (mut last, since) = (None, known.clone());
            let listened = api
                .listen(&path, since.as_deref(), |event| {
                    lost_at = None;
                    known = event.id.or(known.take());
                    tell(flags.speaker.json, &event.name, &event.data);
                    last = Some(event.data);
                })
                .await;
            match (last, listened) {
                (Some(shown), _) if shown["outcome"].is_object() => return Ok(code(&shown)),
                (_, Err(failure)) if known.is_none() || lost_at.is_some_and(|at| at.elapsed() > PATIENCE) => {
                    return Err(failure);
                }
                _ => lost_at = lost_at.or_else(|| Some(Instant::now())),
            }
            tokio::time::sleep(AGAIN).await;
        }
    })
}

fn tell(json: bool, name: &str, data: &Value) {
    if json {
        return say(&serde_json::json!({"event": name, "data": data}).to_string());
    }
    match name {
        "inbox" => {
            say(&words::heading());
            data["requests"].as_array().into_iter().flatten().for_each(|request| say(&words::row(request)));
        }
        "removed" => say(&format!("- {}", words::text(&data["request_id"]))),
        "added" => say(&format!("+ {}", words::row(data))),
        "changed" => say(&format!("~ {}", words::row(data))),
        _ if data["outcome"].is_object() => say(&words::shown(data)),
        _ => say(&words::waits(data)),
    }
}
