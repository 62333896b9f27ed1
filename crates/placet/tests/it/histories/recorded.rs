//! A recorded history as two files: the protocol's own bytes, and a text for whoever reads the diff.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::{HistoryChunk, HistoryEvent};
use placet_proto::placet::v1::Stamp;
use prost::Message as _;

/// Writes both, unless they are there: what was recorded once stays.
pub(super) fn write(name: &str, events: Vec<HistoryEvent>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/histories").join(env!("CARGO_PKG_VERSION"));
    if folder.join(format!("{name}.pb")).exists() {
        return;
    }
    fs::create_dir_all(&folder).unwrap();
    let text: String = events.iter().map(line).collect();
    fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    fs::write(folder.join(format!("{name}.pb")), HistoryChunk { events }.encode_to_vec()).unwrap();
}

/// An event: its time, its id, what it is.
fn line(event: &HistoryEvent) -> String {
    let at = event.timestamp.as_ref().unwrap();
    let at = jiff::Timestamp::new(at.seconds, at.nanos).unwrap();
    let mut line = format!("{at} {:>3} ", event.event_id);
    match event.event_type.as_ref().unwrap() {
        EventType::OrchestratorStarted(_) => line.push_str("OrchestratorStarted"),
        EventType::OrchestratorCompleted(_) => line.push_str("OrchestratorCompleted"),
        EventType::ExecutionStarted(started) => {
            write!(line, "ExecutionStarted {} {}", started.name, started.input.as_deref().unwrap_or_default()).unwrap();
        }
        EventType::TimerCreated(timer) => {
            let due = timer.fire_at.as_ref().unwrap();
            write!(line, "TimerCreated {}", jiff::Timestamp::new(due.seconds, due.nanos).unwrap()).unwrap();
        }
        EventType::TimerFired(timer) => write!(line, "TimerFired #{}", timer.timer_id).unwrap(),
        EventType::EventRaised(raised) => {
            let stamp = Stamp::decode(raised.stamp.clone()).unwrap();
            let asked = if stamp.ask_id.is_empty() { "" } else { " (asked)" };
            let input = raised.input.as_deref().unwrap_or_default();
            write!(line, "EventRaised {} {input}{asked}", raised.name).unwrap();
        }
        EventType::ExecutionCompleted(completed) => {
            let result = completed.result.as_deref().unwrap_or_default();
            write!(line, "ExecutionCompleted {:?} {result}", completed.orchestration_status()).unwrap();
        }
        other => write!(line, "{other:?}").unwrap(),
    }
    line.push('\n');
    line
}
