//! The built-in worker: `placet.approval` and whatever else is named `placet.*`, run by our own SDK like anybody's
//! orchestrations (DESIGN.md §1). It gets nothing else, and nobody else gets these.

mod approval;
mod permit;
mod termination;

pub use approval::approval;
pub use permit::permit;
use placet_approval::{
    Configurations, GRANT, LOOK_UP, LookUp, ORCHESTRATION, PERMIT, PLAN, Planned, Planning, Resolved,
};
use placet_sdk::{ActivityContext, Client, Failure, Worker};

/// Starts the worker for these task hubs; "*" is every one. Who could vote, and what a request needs, it finds in what is
/// configured. It connects, and connects again whenever it must.
pub fn start(
    client: Client,
    hubs: impl IntoIterator<Item = impl Into<String>>,
    configuration: Configurations,
) -> Worker {
    let look_up = {
        let configuration = configuration.clone();
        move |_: ActivityContext, question: LookUp| {
            let configuration = configuration();
            async move { Ok::<Resolved, Failure>(configuration.directory.resolve(&question)) }
        }
    };
    let plan = {
        let configuration = configuration.clone();
        move |_: ActivityContext, Planning { asked, accepted_at }: Planning| {
            let configuration = configuration();
            async move {
                let planned = configuration.policies.plan(&asked, accepted_at);
                planned.map_err(|error| Failure::from(error).non_retriable()) as Result<Option<Planned>, Failure>
            }
        }
    };
    let grant = {
        let client = client.clone();
        move |ctx: ActivityContext, request_id: String| {
            let client = client.with_hub(&ctx.hub);
            async move { permit::grant(&client, &request_id).await }
        }
    };
    let approve = move |ctx, input| approval::under(ctx, input, configuration.clone());
    let worker = Worker::builder(client).built_in().hubs(hubs);
    worker
        .orchestration(ORCHESTRATION, approve)
        .orchestration(PERMIT, permit)
        .activity(LOOK_UP, look_up)
        .activity(PLAN, plan)
        .activity(GRANT, grant)
        .start()
}
