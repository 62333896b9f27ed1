//! The built-in worker: `placet.approval` and whatever else is named `placet.*`, run by our own SDK like anybody's
//! orchestrations (DESIGN.md §1). It gets nothing else, and nobody else gets these.

mod approval;

pub use approval::approval;
use placet_approval::ORCHESTRATION;
use placet_sdk::{Client, Worker};

/// Starts the worker for these task hubs; "*" is every one. It connects, and connects again whenever it must.
pub fn start(client: Client, hubs: impl IntoIterator<Item = impl Into<String>>) -> Worker {
    Worker::builder(client).built_in().hubs(hubs).orchestration(ORCHESTRATION, approval).start()
}
