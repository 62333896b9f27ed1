//! The services and what stands around them, without a connection: what each half of a call is given, and told.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Body as _, Frame};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::Hub;
use placet_core::limits::DELIVERIES_MAX;
use placet_proto::durabletask::{
    ActivityResponse, CreateInstanceRequest, GetInstanceRequest, GetWorkItemsRequest, TerminateRequest,
};
use placet_proto::placet::v1::{AskRequest, Completions, Open, SchedulerFrame, WorkerFrame, worker_frame};
use placet_store::model::ModelStore;
use prost::Message;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::admission::{Admission, MESSAGE_BYTES_MAX};
use super::serve::services;
use crate::budget::LARGE_FROM;
use crate::connections::Peer;
use crate::scheduler::Scheduler;
use crate::worker::{StreamOut, WorkerStream};

/// What is answered at all is answered in this time.
const PATIENCE: Duration = Duration::from_secs(200);

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

/// A body that brings what comes, and ends when no more can.
struct Sent {
    pieces: UnboundedReceiver<Bytes>,
    _open: Option<UnboundedSender<Bytes>>,
}

impl Sent {
    fn new(pieces: Vec<Vec<u8>>, ends: bool) -> Sent {
        let (sender, receiver) = unbounded_channel();
        pieces.into_iter().for_each(|piece| sender.send(piece.into()).unwrap());
        Sent { pieces: receiver, _open: (!ends).then_some(sender) }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Calls: the answer's body, or why there is none.
async fn call(scheduler: &Scheduler, path: &str, sent: Vec<Vec<u8>>, ends: bool) -> Result<Body, Status> {
    call_of(&Peer::default(), scheduler, path, sent, ends).await
}

async fn call_of(
    peer: &Peer,
    scheduler: &Scheduler,
    path: &str,
    sent: Vec<Vec<u8>>,
    ends: bool,
) -> Result<Body, Status> {
    let mut request = request(path, Sent::new(sent, ends));
    request.extensions_mut().insert(peer.clone());
    send(scheduler, request).await
}

fn request(path: &str, sent: Sent) -> Request<Body> {
    let request = Request::post(format!("http://localhost{path}")).header(header::CONTENT_TYPE, "application/grpc");
    request.body(Body::new(sent)).unwrap()
}

async fn send(scheduler: &Scheduler, request: Request<Body>) -> Result<Body, Status> {
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

/// A completion of something that nobody has.
fn long_frame() -> Vec<u8> {
    let result = Some("x".repeat(LARGE_FROM));
    let long =
        Completions { activities: vec![ActivityResponse { result, ..Default::default() }], ..Default::default() };
    framed(&WorkerFrame { frame: Some(worker_frame::Frame::Completions(long)) })
}

/// A worker's stream that has said this.
async fn work(scheduler: &Scheduler, said: Vec<u8>) -> Body {
    call(scheduler, "/placet.v1.Worker/Work", vec![open(), said], false).await.unwrap()
}

async fn start(scheduler: &Scheduler, id: &str) {
    start_with(scheduler, id, 0).await;
}

/// An instance with an input of so many bytes.
async fn start_with(scheduler: &Scheduler, id: &str, bytes: usize) {
    let input = Some("x".repeat(bytes));
    let request = CreateInstanceRequest { instance_id: id.to_owned(), name: "any".into(), input, ..Default::default() };
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
    let garbage = [head(LARGE_FROM + 1), vec![0xFF; LARGE_FROM + 1]].concat();
    // Short ones are refused by the library, long ones by us.
    let short_garbage = [head(3), vec![0xFF; 3]].concat();
    let table = [
        (head(MESSAGE_BYTES_MAX + 1), Code::ResourceExhausted),
        (garbage, Code::InvalidArgument),
        (short_garbage, Code::Internal),
        (head(10), Code::DeadlineExceeded),
        (long_frame(), Code::ResourceExhausted),
    ];
    for (said, code) in table {
        // Who is busy has given all to others.
        let _all = (code == Code::ResourceExhausted).then(|| scheduler.budget().claim(usize::MAX));
        let status = ended(work(&scheduler, said).await).await;
        assert_eq!(status.code(), code, "{status:?}");
    }
    stop(scheduler).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_frame_waits_for_its_room_for_longer_than_anybody_may_take_to_read() {
    let scheduler = scheduler();
    let all = scheduler.budget().claim(usize::MAX);
    let (sender, receiver) = unbounded_channel();
    let mut frame = long_frame();
    let tail = frame.split_off(LARGE_FROM + 10);
    [open(), frame].into_iter().for_each(|piece| sender.send(piece.into()).unwrap());
    let mut request = request("/placet.v1.Worker/Work", Sent { pieces: receiver, _open: None });
    // … and whatever waits on the same connection.
    let peer = Peer::default();
    let calls: Vec<_> = std::iter::from_fn(|| peer.hold_back(false)).collect();
    assert_eq!(calls.len(), 2);
    request.extensions_mut().insert(peer);
    let mut stream = send(&scheduler, request).await.unwrap();
    let reader = async {
        // sleep: time is the test's own
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(all);
        // sleep: as above
        tokio::time::sleep(Duration::from_secs(20)).await;
        sender.send(tail.into()).unwrap();
    };
    let (frame, ()) = tokio::join!(next(&mut stream), reader);
    let frame = frame.unwrap().into_data().expect("it is no refusal");
    assert!(SchedulerFrame::decode(&frame[5..]).unwrap().acks[0].stale);
    drop(stream);
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

/// A worker's stream by Microsoft's protocol.
async fn work_items(scheduler: &Scheduler, peer: &Peer) -> Body {
    let path = "/TaskHubSidecarService/GetWorkItems";
    call_of(peer, scheduler, path, vec![framed(&GetWorkItemsRequest::default())], true).await.unwrap()
}

/// The pieces of the next message of an answer.
async fn pieces(body: &mut Body) -> Vec<Bytes> {
    let (mut pieces, mut left) = (Vec::new(), None);
    while left != Some(0) {
        let piece = next(body).await.unwrap().into_data().unwrap();
        assert!(piece.len() <= 64 << 10, "it comes in pieces");
        let message = || 5 + u32::from_be_bytes(piece[1..5].try_into().unwrap()) as usize;
        left = Some(left.unwrap_or_else(message) - piece.len());
        pieces.push(piece);
    }
    pieces
}

#[tokio::test]
async fn what_is_long_counts_until_the_last_of_its_bytes_is_written() {
    const LONG: usize = 3 << 20;
    let scheduler = scheduler();
    start_with(&scheduler, "i", LONG).await;
    let in_flight = || scheduler.budget().in_flight();
    assert_eq!(in_flight(), 0);

    let mut items = work_items(&scheduler, &Peer::default()).await;
    let mut item = pieces(&mut items).await;
    item.drain(..item.len() - 1);
    assert!(in_flight() >= LONG, "the last piece is not written");
    drop(item);
    assert_eq!(in_flight(), 0);

    let request = GetInstanceRequest { instance_id: "i".to_owned(), get_inputs_and_outputs: true };
    let get = call(&scheduler, "/TaskHubSidecarService/GetInstance", vec![framed(&request)], true);
    let mut answer = get.await.unwrap();
    let mut shown = pieces(&mut answer).await;
    drop((shown.drain(..shown.len() - 1), answer));
    assert!(in_flight() >= LONG, "the last piece is not written");
    drop(shown);
    assert_eq!(in_flight(), 0);
    drop(items);
    stop(scheduler).await;
}

#[tokio::test]
async fn a_worker_gets_no_more_before_what_it_has_is_written() {
    const LONG: usize = 1 << 20;
    let scheduler = scheduler();
    for number in 0..12 {
        start_with(&scheduler, &format!("i{number}"), LONG).await;
    }
    let mut items = work_items(&scheduler, &Peer::default()).await;
    let mut held = Vec::new();
    let more = async |items: &mut Body| timeout(Duration::from_millis(500), pieces(items)).await.ok();
    while let Some(item) = more(&mut items).await {
        held.push(item);
        assert!(held.len() < 8, "it was told to be read, and is not");
    }
    held.pop();
    assert!(more(&mut items).await.is_some(), "there is room for another");
    drop((items, held));
    stop(scheduler).await;
}

#[tokio::test]
async fn a_worker_that_takes_an_item_and_reads_none_of_it_is_cut_off_and_one_that_reads_is_not() {
    for (bytes, reads) in [(0, false), (3 << 20, false), (0, true), (3 << 20, true)] {
        let (scheduler, peer) = (scheduler(), Peer::default());
        start_with(&scheduler, "i", bytes).await;
        let mut items = work_items(&scheduler, &peer).await;
        let mut item = pieces(&mut items).await;
        if reads {
            item.clear();
        }
        tokio::time::pause();
        // sleep: time is the test's own
        tokio::time::sleep(Duration::from_secs(150)).await;
        assert_eq!(peer.is_cut(), !reads, "{bytes} bytes");
        tokio::time::resume();
        drop((item, items));
        stop(scheduler).await;
    }
}

#[tokio::test]
async fn a_call_that_would_be_one_too_many_is_refused_and_has_a_place_once_another_is_answered() {
    let scheduler = scheduler();
    let call = async |path: &str| call(&scheduler, path, vec![head(0)], true).await;
    let (hello, items) = ("/TaskHubSidecarService/Hello", "/TaskHubSidecarService/GetWorkItems");
    let budget = scheduler.budget();
    let places = |is_stream| std::iter::from_fn(move || budget.place(is_stream).ok());
    let last = call(hello).await.unwrap();
    let others: Vec<_> = places(false).collect();
    assert!(others.len() > 20_000);
    let refused = call(hello).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("try again in"), "{refused:?}");
    drop(last);
    call(hello).await.unwrap();

    // Workers have places of their own.
    let stream = call(items).await.unwrap();
    let streams: Vec<_> = places(true).collect();
    assert_eq!(call(items).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(stream);
    drop(call(items).await.unwrap());
    drop((others, streams));
    stop(scheduler).await;
}

#[tokio::test]
async fn a_question_that_is_not_answered_in_the_callers_time_ends_with_what_he_takes_for_that() {
    let scheduler = scheduler();
    start(&scheduler, "i").await;
    let ask = AskRequest { instance_id: "i".to_owned(), event_name: "e".to_owned(), ..AskRequest::default() };
    let mut request = request("/placet.v1.Client/Ask", Sent::new(vec![framed(&ask)], true));
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("50m"));
    let late = send(&scheduler, request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    stop(scheduler).await;
}

#[tokio::test]
async fn a_call_whose_answer_needs_all_the_room_there_is_gives_its_own_back_first() {
    let scheduler = scheduler();
    start_with(&scheduler, "i", 24 << 20).await;
    let terminate = TerminateRequest { instance_id: "i".to_owned(), ..TerminateRequest::default() };
    scheduler.terminate_instance(Hub::new("default"), terminate).await.unwrap();
    let payload = "x".repeat(LARGE_FROM + 1);
    let ask = AskRequest { instance_id: "i".to_owned(), event_name: "e".into(), payload, ..AskRequest::default() };
    let look = GetInstanceRequest { instance_id: "i".to_owned(), get_inputs_and_outputs: true };
    // Fields that nobody knows are thrown away, and counted until then.
    let unknown = [&[0xFA, 0x3F][..], &[0x80, 0x80, 0x20], &[0; 1 << 19]].concat();
    let body = [look.encode_to_vec(), unknown].concat();
    let look = [head(body.len()), body].concat();
    let calls = [
        ("/placet.v1.Client/Ask", framed(&ask)),
        ("/TaskHubSidecarService/GetInstance", look.clone()),
        ("/TaskHubSidecarService/WaitForInstanceStart", look.clone()),
        ("/TaskHubSidecarService/WaitForInstanceCompletion", look),
    ];
    for (path, message) in calls {
        let sent = message.chunks(16 << 10).map(<[u8]>::to_vec).collect();
        let answer = timeout(Duration::from_secs(20), call(&scheduler, path, sent, true)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{path} waits for itself")).unwrap();
        drop(answer);
        assert_eq!(scheduler.budget().in_flight(), 0);
    }
    stop(scheduler).await;
}

#[tokio::test]
async fn a_message_that_waited_for_room_and_has_come_counts_until_it_is_answered() {
    let scheduler = scheduler();
    start(&scheduler, "i").await;
    let payload = "x".repeat(LARGE_FROM);
    let ask = AskRequest { instance_id: "i".to_owned(), event_name: "e".into(), payload, ..AskRequest::default() };
    // Its end comes with the byte that makes it a large one: it has room for its beginning, and for all of it.
    let mut answer = Box::pin(call(&scheduler, "/placet.v1.Client/Ask", vec![framed(&ask)], true));
    assert!(timeout(Duration::from_millis(200), &mut answer).await.is_err(), "nobody answers it");
    assert!(scheduler.budget().in_flight() >= 2 * LARGE_FROM);
    drop(answer);
    assert_eq!(scheduler.budget().in_flight(), 0);
    stop(scheduler).await;
}

#[tokio::test]
async fn what_a_worker_has_whose_frames_find_no_room_never_counts_as_failed_for_that() {
    let scheduler = scheduler();
    start(&scheduler, "i").await;
    let _all = scheduler.budget().claim(usize::MAX);
    for delivery in 0..DELIVERIES_MAX + 2 {
        let (sender, receiver) = unbounded_channel();
        sender.send(open().into()).unwrap();
        let request = request("/placet.v1.Worker/Work", Sent { pieces: receiver, _open: None });
        let mut stream = send(&scheduler, request).await.unwrap();
        let has_work = async {
            let frame = next(&mut stream).await.unwrap().into_data().unwrap();
            SchedulerFrame::decode(&frame[5..]).unwrap().work.len() == 1
        };
        assert_eq!(timeout(Duration::from_secs(5), has_work).await, Ok(true), "delivery {delivery}");
        sender.send(long_frame().into()).unwrap();
        tokio::time::pause();
        let status = ended(stream).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        tokio::time::resume();
    }
    stop(scheduler).await;
}
