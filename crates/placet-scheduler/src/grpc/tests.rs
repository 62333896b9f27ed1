//! The services and what stands around them, without a connection: what each half of a call is given, and told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body as _, Frame};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::Hub;
use placet_proto::durabletask::{ActivityResponse, CreateInstanceRequest};
use placet_proto::placet::v1::{Completions, Open, SchedulerFrame, WorkerFrame, worker_frame};
use placet_store::model::ModelStore;
use prost::Message;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::admission::{Admission, MESSAGE_BYTES_MAX};
use super::serve::services;
use crate::budget::LARGE_FROM;
use crate::scheduler::Scheduler;
use crate::worker::{StreamOut, WorkerStream};

/// What is answered at all is answered in this time.
const PATIENCE: Duration = Duration::from_secs(60);

fn scheduler() -> Scheduler {
    Scheduler::start(Arc::new(ModelStore::default())).unwrap()
}

async fn stop(scheduler: Scheduler) {
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}

/// A message, with the frame before it.
fn framed(message: &impl Message) -> Vec<u8> {
    let mut framed = head(message.encoded_len());
    framed.extend(message.encode_to_vec());
    framed
}

fn head(length: usize) -> Vec<u8> {
    let mut head = vec![0];
    head.extend(u32::try_from(length).unwrap().to_be_bytes());
    head
}

/// A body that brings this and does not end, or ends.
struct Sent {
    pieces: VecDeque<Bytes>,
    ends: bool,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Calls: the answer's body, or why there is none.
async fn call(scheduler: &Scheduler, path: &str, sent: Vec<Vec<u8>>, ends: bool) -> Result<Body, Status> {
    let pieces = sent.into_iter().map(Bytes::from).collect();
    let request = Request::post(format!("http://localhost{path}")).header(header::CONTENT_TYPE, "application/grpc");
    let request = request.body(Body::new(Sent { pieces, ends })).unwrap();
    let mut admitted = Admission(scheduler.budget().clone()).layer(services(scheduler.clone()).prepare());
    let answer = timeout(PATIENCE, admitted.call(request)).await.expect("it is answered").unwrap();
    match Status::from_header_map(answer.headers()) {
        Some(status) => Err(status),
        None => Ok(answer.into_body()),
    }
}

async fn next(body: &mut Body) -> Option<Frame<Bytes>> {
    let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    timeout(PATIENCE, next).await.expect("something comes").map(|frame| frame.unwrap())
}

/// The status at the end of an answer, whatever comes before it.
async fn ended(mut body: Body) -> Status {
    let ended = async {
        loop {
            let frame = next(&mut body).await.expect("a status is the last that comes");
            if let Some(trailers) = frame.trailers_ref() {
                return Status::from_header_map(trailers).unwrap();
            }
        }
    };
    timeout(2 * PATIENCE, ended).await.expect("it ends")
}

/// A worker's first words.
fn open() -> Vec<u8> {
    let open = Open { orchestrations_max: 10, activities_max: 10, ..Open::default() };
    framed(&WorkerFrame { frame: Some(worker_frame::Frame::Open(open)) })
}

/// A worker's stream that has said this.
async fn work(scheduler: &Scheduler, said: Vec<u8>) -> Body {
    call(scheduler, "/placet.v1.Worker/Work", vec![open(), said], false).await.unwrap()
}

async fn start(scheduler: &Scheduler, id: &str) {
    let request = CreateInstanceRequest { instance_id: id.to_owned(), name: "any".into(), ..Default::default() };
    scheduler.start_instance(Hub::new("default"), request).await.unwrap();
}

/// What a stream is given next.
async fn item(stream: &mut WorkerStream) -> StreamOut {
    let mut out = Vec::new();
    while timeout(PATIENCE, stream.recv_many(&mut out, 1)).await.expect("there is something") > 0 {
        if let Some(item @ StreamOut::Item { .. }) = out.pop() {
            return item;
        }
    }
    panic!("the stream has ended")
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_frame_is_refused_is_told_so_by_the_end_of_its_stream() {
    let scheduler = scheduler();
    let result = Some("x".repeat(LARGE_FROM));
    let long =
        Completions { activities: vec![ActivityResponse { result, ..Default::default() }], ..Default::default() };
    let long = framed(&WorkerFrame { frame: Some(worker_frame::Frame::Completions(long)) });
    let garbage = [head(LARGE_FROM + 1), vec![0xFF; LARGE_FROM + 1]].concat();
    // Short ones are refused by the library, long ones by us.
    let short_garbage = [head(3), vec![0xFF; 3]].concat();
    let table = [
        (head(MESSAGE_BYTES_MAX + 1), Code::ResourceExhausted),
        (garbage, Code::InvalidArgument),
        (short_garbage, Code::Internal),
        (head(10), Code::DeadlineExceeded),
        (long, Code::ResourceExhausted),
    ];
    for (said, code) in table {
        // Who is busy has given all to others.
        let _all = (code == Code::ResourceExhausted).then(|| scheduler.budget().claim(usize::MAX));
        let status = ended(work(&scheduler, said).await).await;
        assert_eq!(status.code(), code, "{status:?}");
    }
    stop(scheduler).await;
}

#[tokio::test]
async fn what_a_worker_has_whose_frame_is_refused_goes_to_another() {
    let scheduler = scheduler();
    start(&scheduler, "i").await;
    let stream = work(&scheduler, head(MESSAGE_BYTES_MAX + 1)).await;
    let another = async {
        let mut another = scheduler.open_stream(StreamSpec::default()).unwrap();
        item(&mut another).await;
    };
    tokio::join!(ended(stream), another);
    stop(scheduler).await;
}

#[tokio::test]
async fn a_worker_that_only_says_that_it_says_no_more_gets_items() {
    let scheduler = scheduler();
    let mut stream = call(&scheduler, "/placet.v1.Worker/Work", vec![open()], true).await.unwrap();
    start(&scheduler, "i").await;
    let frame = next(&mut stream).await.unwrap().into_data().unwrap();
    assert_eq!(SchedulerFrame::decode(&frame[5..]).unwrap().work.len(), 1);
    drop(stream);
    stop(scheduler).await;
}
