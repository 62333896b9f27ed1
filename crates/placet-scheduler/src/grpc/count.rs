//! Counts the calls as they pass, below all services.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tonic::Code;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::metrics::{Calls, OpenCall};

/// The layer.
#[derive(Debug, Clone)]
pub(super) struct CountCalls(Arc<Calls>);

impl CountCalls {
    pub(super) fn new(calls: Arc<Calls>) -> CountCalls {
        CountCalls(calls)
    }
}

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, calls: self.0.clone() }
    }
}

/// Services whose calls are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    calls: Arc<Calls>,
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
        let call = self.calls.clone().begin(request.uri().path());
        Counting { answer: self.inner.call(request), call }
    }
}

pin_project_lite::pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct Counting<F> {
        #[pin]
        answer: F,
        call: OpenCall,
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
