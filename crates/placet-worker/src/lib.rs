//! The built-in worker: `placet.approval` and whatever else is named `placet.*`, run by our own SDK like anybody's
//! orchestrations (DESIGN.md §1). It gets nothing else, and nobody else gets these.

mod approval;

pub use approval::approval;
use placet_approval::{Directories, LOOK_UP, LookUp, ORCHESTRATION, Resolved};
use placet_sdk::{ActivityContext, Client, Failure, Worker};

/// Starts the worker for these task hubs; "*" is every one. Who could vote it finds in `directory`. It connects, and connects again whenever it must.
pub fn start(client: Client, hubs: impl IntoIterator<Item = impl Into<String>>, directory: Directories) -> Worker {
    let look_up = move |_: ActivityContext, question: LookUp| {
        let directory = directory();
        async move { Ok::<Resolved, Failure>(directory.resolve(&question)) }
    };
    let worker = Worker::builder(client).built_in().hubs(hubs);
    worker.orchestration(ORCHESTRATION, approval).activity(LOOK_UP, look_up).start()
}
