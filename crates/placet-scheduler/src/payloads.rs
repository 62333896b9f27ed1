//! An instance's input and output stand in its history, and nowhere else: they are read from there when
//! somebody wants them.

use placet_core::command::InstanceView;
use placet_core::ids::Turn;
use placet_core::partition::view_of_row;
use placet_core::rows::{InboxRow, Lookup};
use placet_core::wire::Events;
use placet_proto::durabletask::{ExecutionCompletedEvent, HistoryEvent, OrchestrationState, history_event::EventType};
use placet_store::{ReadError, Store};
use prost::Message as _;

/// Whether nothing has to be read to answer with this view.
pub(crate) fn is_complete(view: &InstanceView, payloads: bool) -> bool {
    !payloads || (view.input_known && view.output_known)
}

/// About how many bytes have to be read for it, and are sent.
pub(crate) fn bytes_to_read(view: &InstanceView, payloads: bool) -> usize {
    if is_complete(view, payloads) { 0 } else { usize::try_from(view.history_bytes).unwrap_or(usize::MAX) }
}

/// The state without payloads, if they are not wanted. Microsoft's servers leave the failure out then, too, and their tests
/// look for that; the custom status is shown in any case.
pub(crate) fn trimmed(mut state: OrchestrationState, payloads: bool) -> OrchestrationState {
    if !payloads {
        state.input = None;
        state.output = None;
        state.failure_details = None;
    }
    state
}

/// Reads what a view lacks. Absent: the instance was begun anew or deleted meanwhile, and its payloads are gone with it; to
/// tell of an end without them would tell of another.
pub(crate) fn complete(
    store: &dyn Store,
    mut view: InstanceView,
    payloads: bool,
) -> Result<Option<OrchestrationState>, ReadError> {
    if payloads && !view.input_known {
        // Each read sees the store at a time of its own. An input goes one way: it waits for the first turn, and is in the
        // history from then on; whoever found it in neither has missed that.
        let mut input = first_input(store, &view)?;
        if input.is_none() {
            let found = store.load(&[Lookup::Iid(view.iid)])?.pop().flatten();
            input = found.iter().flat_map(|found| &found.inbox).find_map(input_of_message);
        }
        if input.is_none() {
            input = first_input(store, &view)?;
        }
        let Some(input) = input else { return gone(store, &view) };
        view.state.input = input;
    }
    if payloads && !view.output_known {
        let Some(completed) = end(store, &view)? else { return gone(store, &view) };
        view.state.output = completed.result;
        view.state.failure_details = completed.failure_details;
    }
    Ok(Some(trimmed(view.state, payloads)))
}

/// One that still stands as it was seen has no business to lack what it must have.
fn gone<T>(store: &dyn Store, view: &InstanceView) -> Result<Option<T>, ReadError> {
    let found = store.load(&[Lookup::Iid(view.iid)])?.pop().flatten();
    let again = found.map(|found| view_of_row(&found.row).map_err(damaged)).transpose()?;
    match again {
        Some(again) if again.turn == view.turn && again.state.execution_id == view.state.execution_id => {
            Err(damaged("neither the input nor the end where it must be"))
        }
        _ => Ok(None),
    }
}

/// The end in the last turn of the history.
fn end(store: &dyn Store, view: &InstanceView) -> Result<Option<ExecutionCompletedEvent>, ReadError> {
    let last = store.history(view.iid, Turn(view.turn.0.saturating_sub(1)), 1)?;
    let mut end = None;
    for event in last.iter().flat_map(|row| Events(&row.events)) {
        if let EventType::ExecutionCompleted(completed) = decode(event.map_err(damaged)?)? {
            end = Some(completed);
        }
    }
    Ok(end)
}

/// The input in the first turn of the history, if there is a turn.
fn first_input(store: &dyn Store, view: &InstanceView) -> Result<Option<Option<String>>, ReadError> {
    let first = store.history(view.iid, Turn(0), 1)?;
    for event in first.iter().take(1).flat_map(|row| Events(&row.events)) {
        if let EventType::ExecutionStarted(started) = decode(event.map_err(damaged)?)? {
            return Ok(Some(started.input));
        }
    }
    Ok(None)
}

/// The input of an instance that has not had its first turn.
fn input_of_message(row: &InboxRow) -> Option<Option<String>> {
    let message = placet_core::body::InboxMessage::decode(row.data.clone()).ok()?;
    match decode(&message.event).ok()? {
        EventType::ExecutionStarted(started) => Some(started.input),
        _ => None,
    }
}

fn decode(event: &[u8]) -> Result<EventType, ReadError> {
    let event = HistoryEvent::decode(event).map_err(damaged)?;
    event.event_type.ok_or_else(|| damaged("an event without a type"))
}

/// A turn in the history that is not what was written.
pub(crate) fn damaged(what: impl ToString) -> ReadError {
    ReadError::Damaged { table: "history", what: what.to_string() }
}
