//! What a fuzzer feeds: calls of every method, as bytes, through all that a call passes but the connection. Nothing of it
//! may panic, break an invariant or be told that the server is at fault. The property tests below feed the same functions;
//! `fuzz/` at the root has them as targets of cargo-fuzz.

mod call;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use placet_core::fuzzing::{Source, Stored};
use placet_core::rows::{Batch, PublishedRow};
use placet_store::Store as _;
use placet_store::model::ModelStore;
use tokio::runtime::Runtime;

use call::World;

use crate::driver::Time;

/// Calls of one run.
const CALLS_MAX: usize = 60;

/// Every method of the protocol, with messages of any content: each call is carried out or refused, with a code that says
/// that it was the caller's doing.
pub fn grpc(data: &[u8]) {
    let mut source = Source(data);
    // A clock that is told to go, or goes by itself as soon as it may, is one more that may come at any time.
    let time = match source.byte() % 4 {
        0 => Time::Virtual { auto_after: None },
        1 => Time::Virtual { auto_after: Some(Duration::from_micros(100)) },
        _ => Time::Real,
    };
    run(ModelStore::default(), &mut source, false, time);
}

/// The same over a store whose rows have any content: what is damaged may be told to be, and breaks nothing.
pub fn grpc_over_stored_rows(data: &[u8]) {
    let mut source = Source(data);
    let stored = Stored::read(&mut source);
    let mut batch = Batch { history_appended: stored.history, timers_put: stored.timers, ..Batch::default() };
    for found in stored.instances {
        batch.published.push(PublishedRow {
            hub: found.row.hub.clone(),
            kind: source.text().into(),
            key: source.text().into(),
            owner: found.row.id.clone(),
            body: source.some(|source| source.bytes().to_vec().into()),
            terms: Vec::new(),
        });
        batch.instances_inserted.push(found.row);
        batch.inbox_put.extend(found.inbox);
        batch.activities_put.extend(found.activities);
        batch.replies_put.extend(found.replies);
    }
    let store = ModelStore::default();
    store.commit(&batch).expect("the rows have keys of their own");
    run(store, &mut source, true, Time::Real);
}

fn run(store: ModelStore, source: &mut Source<'_>, damaged: bool, time: Time) {
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut world = World::start(Arc::new(store), damaged, time);
            world.begin().await;
            for _ in 0..CALLS_MAX {
                if source.0.is_empty() {
                    break;
                }
                world.call(source).await;
            }
            world.end().await;
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_called_with_whatever_message_is_done_or_refused_as_the_callers_fault(
            data in vec(any::<u8>(), 0..8_000),
        ) {
            super::grpc(&data);
        }

        #[test]
        fn whatever_is_called_over_whatever_rows_breaks_no_invariant(data in vec(any::<u8>(), 0..8_000)) {
            super::grpc_over_stored_rows(&data);
        }
    }
}
