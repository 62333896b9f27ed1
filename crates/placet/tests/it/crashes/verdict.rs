//! What the programs in other languages were told, compared with what the server says in the end.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_sdk::Client;
use serde::Deserialize;

use super::findings::Findings;
use super::history;
use super::programs::{Call, Line};

/// Instances that are looked at at once.
const AT_ONCE: usize = 16;

/// What a program was told of one instance.
#[derive(Debug, Default)]
struct Told {
    is_errand: bool,
    /// Its start was acknowledged.
    is_started: bool,
    events: Vec<Sent>,
    /// Results of activities that the program's worker delivered, by the activity's number.
    completions: BTreeMap<i32, Vec<Delivered>>,
    /// How it has ended: status and output.
    ended: Option<(Option<String>, Option<String>)>,
}

#[derive(Debug)]
struct Sent {
    token: String,
    is_last: bool,
    is_acknowledged: bool,
}

#[derive(Debug)]
struct Delivered {
    began: u64,
    ended: u64,
    is_acknowledged: bool,
    result: String,
}

/// What an errand gives back.
#[derive(Debug, Deserialize)]
struct Errand {
    receipts: Vec<String>,
    seen: Vec<String>,
}

/// What there was to check.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "printed")]
pub(super) struct Tally {
    errands: usize,
    requests: usize,
    events: usize,
    completions: usize,
    unanswered: usize,
}

/// Looks at all that a program was told of.
pub(super) async fn check(client: &Client, lines: &[Line], findings: &Findings) -> Tally {
    let mut told: BTreeMap<&str, Told> = BTreeMap::new();
    for line in lines {
        if !line.is_ok() && line.told != "unknown" {
            findings.lost(format!("{line:?} was refused"));
        }
        told.entry(&line.id).or_default().add(line);
    }
    stream::iter(&told).for_each_concurrent(AT_ONCE, async |(id, told)| told.check(client, id, findings).await).await;
    let count = |is: fn(&Line) -> bool| lines.iter().filter(|line| is(line)).count();
    Tally {
        errands: count(|line| line.call == Call::Start && line.is_ok()),
        requests: count(|line| line.call == Call::Request && line.is_ok()),
        events: count(|line| line.call == Call::Raise && line.is_ok()),
        completions: count(|line| line.call == Call::Complete && line.is_ok()),
        unanswered: count(|line| !line.is_ok()),
    }
}

impl Told {
    fn add(&mut self, line: &Line) {
        let is_acknowledged = line.is_ok();
        match line.call {
            Call::Start | Call::Request => {
                self.is_errand = line.call == Call::Start;
                self.is_started |= is_acknowledged;
            }
            Call::Raise => {
                let token = line.token.clone().expect("each event has its own");
                self.events.push(Sent { token, is_last: line.is_last, is_acknowledged });
            }
            Call::Complete => {
                let result = line.result.clone().expect("no activity fails");
                let delivered = Delivered { began: line.began, ended: line.ended, is_acknowledged, result };
                self.completions.entry(line.task.expect("it has a number")).or_default().push(delivered);
            }
            Call::Ended if is_acknowledged => self.ended = Some((line.status.clone(), line.output.clone())),
            Call::Ended => {}
        }
    }

    async fn check(&self, client: &Client, id: &str, findings: &Findings) {
        if !self.is_started {
            return; // it may be there or not, and waits for ever if it is
        }
        let Some(state) = history::check_ended(client, id, findings).await else { return };
        let is = (Some(state.status().as_str().to_owned()), state.output_json().map(str::to_owned));
        match &self.ended {
            Some(told) if *told != is => findings.two_outcomes(format!("{id} had ended as {told:?}, and now {is:?}")),
            Some(_) => {}
            None => findings.lost(format!("{id} has ended, and nobody was told")),
        }
        let history = client.history(id).await.unwrap();
        let results = self.check_results(id, &history, findings);
        if self.is_errand {
            match state.output::<Errand>() {
                Ok(Some(errand)) => self.check_errand(id, &errand, &results, findings),
                other => findings.lost(format!("{id} has no result: {other:?}")),
            }
        }
    }

    /// Each result in the history is one that was delivered, and no later one than the first that was acknowledged.
    /// Gives the results back, in their order.
    fn check_results<'h>(&self, id: &str, history: &'h [HistoryEvent], findings: &Findings) -> Vec<&'h str> {
        let mut results = Vec::new();
        for event in history {
            let Some(EventType::TaskCompleted(task)) = &event.event_type else { continue };
            let result = task.result.as_deref().unwrap_or_default();
            results.push(result);
            let delivered = self.completions.get(&task.task_scheduled_id).map_or(&[][..], Vec::as_slice);
            let acknowledged = delivered.iter().filter(|one| one.is_acknowledged).map(|one| one.ended).min();
            match delivered.iter().find(|one| one.result == result) {
                None => findings.wrong(format!("{id}: nobody delivered {task:?}")),
                Some(this) if acknowledged.is_some_and(|ended| this.began > ended) => {
                    findings.lost(format!("{id}: {task:?} counts, and another was acknowledged before: {delivered:?}"));
                }
                Some(_) => {}
            }
        }
        let recorded: BTreeSet<i32> = history.iter().filter_map(completed).collect();
        for (task, delivered) in &self.completions {
            if delivered.iter().any(|one| one.is_acknowledged) && !recorded.contains(task) {
                findings.lost(format!("{id}: the result of activity {task} was acknowledged: {delivered:?}"));
            }
        }
        results
    }

    /// The errand saw each event that was acknowledged, each once, those of one sender in their order.
    fn check_errand(&self, id: &str, errand: &Errand, results: &[&str], findings: &Findings) {
        let receipts: Vec<String> = errand.receipts.iter().map(|receipt| format!("\"{receipt}\"")).collect();
        if receipts != results {
            findings.wrong(format!("{id} has worked with {receipts:?}, and its history tells of {results:?}"));
        }
        let seen: BTreeSet<&str> = errand.seen.iter().map(String::as_str).collect();
        if seen.len() < errand.seen.len() {
            findings.doubled(format!("{id} has seen an event twice: {:?}", errand.seen));
        }
        // It does not wait for what is sent again because nobody knew that the last one had come.
        for sent in self.events.iter().filter(|sent| sent.is_acknowledged && !sent.is_last) {
            if !seen.contains(&*sent.token) {
                findings.lost(format!("{id} has not seen {}, which was acknowledged: {:?}", sent.token, errand.seen));
            }
        }
        let mut last: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for token in &errand.seen {
            let (sender, number) = numbered(token).unwrap_or_else(|| panic!("{id} has seen {token}"));
            if last.insert(sender, number).is_some_and(|before| before >= number) {
                findings.wrong(format!("{id} has seen events of one sender out of order: {:?}", errand.seen));
            }
            if !self.events.iter().any(|sent| sent.token == *token) {
                findings.wrong(format!("{id} has seen {token}, which nobody sent"));
            }
        }
    }
}

/// The number of the activity of which the event is the result.
fn completed(event: &HistoryEvent) -> Option<i32> {
    match &event.event_type {
        Some(EventType::TaskCompleted(task)) => Some(task.task_scheduled_id),
        _ => None,
    }
}

/// The sender, the number and the attempt in a token such as `a-3-0`.
fn numbered(token: &str) -> Option<(&str, (u32, u32))> {
    let (sender, rest) = token.split_once('-')?;
    let (number, attempt) = rest.split_once('-')?;
    Some((sender, (number.parse().ok()?, attempt.parse().ok()?)))
}
