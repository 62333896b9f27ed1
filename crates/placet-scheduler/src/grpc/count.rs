//! Counts the calls as they pass, below all services, and lets a clock that goes by itself know of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tonic::Code;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::metrics::{Calls, OpenCall};
use crate::scheduler::Scheduler;
use crate::time;

/// Calls that wait for something to happen: a clock that goes by itself must not wait for them. A stream is over, for it, when
/// it is open.
const WAITING: [&str; 5] = [
    "/TaskHubSidecarService/WaitForInstanceStart",
    "/TaskHubSidecarService/WaitForInstanceCompletion",
    "/placet.v1.Admin/AdvanceTime",
    "/placet.v1.Admin/GetBulk",
    "/placet.v1.Admin/CancelBulk",
];

/// The layer.
#[derive(Debug, Clone)]
pub(super) struct CountCalls(Scheduler);

impl CountCalls {
    pub(super) fn new(scheduler: Scheduler) -> CountCalls {
        CountCalls(scheduler)
    }
}

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, calls: self.0.metrics().calls(), scheduler: self.0.clone() }
    }
}

/// Services whose calls are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
    scheduler: Scheduler,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Counting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Counting<S::Future> {
        let path = request.uri().path();
        let call = self.calls.clone().begin(path);
        let open = (!WAITING.contains(&path)).then(|| self.scheduler.open_call());
        Counting { answer: self.inner.call(request), call, open }
    }
}

pin_project_lite::pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct Counting<F> {
        #[pin]
        answer: F,
        call: OpenCall,
        open: Option<time::OpenCall>,
    }
}

impl<F, R, E> Future for Counting<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(context));
        this.call.ended(answer.as_ref().map_or(Code::Internal, |answer| code(answer.headers())));
        Poll::Ready(answer)
    }
}

/// A refusal stands in the head of the answer; what has none there is an answer, or a stream that is open.
fn code(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
