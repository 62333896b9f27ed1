//! One call after another, to one scheduler.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Request, Response, header};
use http_body::{Body as _, Frame};
use placet_core::fuzzing::Source;
use placet_proto::durabletask::{CreateInstanceRequest, WorkItem};
use placet_store::model::ModelStore;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::schema::{Method, Schema, Words};
use crate::driver::{Message, Time};
use crate::grpc::{Admission, services};
use crate::scheduler::{Options, Scheduler};

/// What may wait is waited for so long …
const WAIT: Duration = Duration::from_millis(1);
/// … and nothing else takes longer, on the busiest machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Workers' streams that are kept open.
const STREAMS_MAX: usize = 3;

/// The library's words for what is no message.
const NO_MESSAGE: [&str; 4] = ["failed to decode", "protocol error", "Unexpected", "Missing request message"];

/// Methods by which things go on.
const LIVELY: [&str; 8] = [
    "/StartInstance",
    "/RaiseEvent",
    "/Ask",
    "/CompleteOrchestratorTask",
    "/CompleteActivityTask",
    "/TerminateInstance",
    "/GetInstance",
    "/Work",
];

/// Methods that answer when something happens.
const WAITING: [&str; 7] =
    ["/WaitForInstanceStart", "/WaitForInstanceCompletion", "/Ask", "/Work", "/AdvanceTime", "/GetBulk", "/CancelBulk"];

/// A running scheduler, and what its workers were given.
pub(super) struct World {
    scheduler: Scheduler,
    services: Routes,
    streams: VecDeque<Body>,
    tokens: Tokens,
    /// Its store holds rows that may be damaged.
    damaged: bool,
}

/// Texts that mean something, and others.
#[derive(Default)]
struct Tokens(RefCell<Vec<String>>);

impl Words for Tokens {
    fn text(&self, field: &str, source: &mut Source<'_>) -> String {
        let plain = source.byte() % 8;
        match field {
            _ if plain == 7 => "x".repeat(1_025),
            _ if plain == 6 => String::from_utf8_lossy(source.bytes()).into_owned(),
            "instanceId" | "instance_id" => format!("i{}", source.byte() % 3),
            "completionToken" | "completion_token" | "abandoned" => {
                let tokens = self.0.borrow();
                let at = usize::from(source.byte()) % tokens.len().max(1);
                tokens.get(at).cloned().unwrap_or_default()
            }
            "hubs" => ["default", "*", "hub", "no hub"][usize::from(source.byte() % 4)].to_owned(),
            _ => source.text(),
        }
    }
}

impl World {
    pub(super) fn start(store: Arc<ModelStore>, damaged: bool, time: Time) -> World {
        let scheduler = Scheduler::start_with(store, Options { time, ..Options::default() }).expect("threads");
        let services = services(scheduler.clone()).prepare();
        World { scheduler, services, streams: VecDeque::new(), tokens: Tokens::default(), damaged }
    }

    /// Ends it, which must be as sound as it was.
    pub(super) async fn end(mut self) {
        self.streams.clear();
        let (asker, answer) = oneshot::channel();
        self.scheduler.tell(Message::Look(asker));
        let facts = answer.await.expect("the core thread is there");
        assert_eq!(facts.contained, 0, "an invariant was broken");
    }

    /// A worker comes, and somebody has something for it to do.
    pub(super) async fn begin(&mut self) {
        let start = CreateInstanceRequest { instance_id: "i0".into(), name: "name".into(), ..Default::default() };
        let calls = [("/GetWorkItems", Vec::new()), ("/StartInstance", start.encode_to_vec())];
        for (name, message) in calls {
            let method = Schema::get().methods.iter().find(|method| method.path.ends_with(name));
            let method = method.expect("the protocol has it");
            let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("it is short")];
            body.extend(message);
            let request = self.request(method, &mut Source(&[255]), body);
            self.send(method, request, true).await;
        }
    }

    pub(super) async fn call(&mut self, source: &mut Source<'_>) {
        let method = method(source);
        let (body, is_sound) = self.body(method, source);
        let request = self.request(method, source, body);
        self.send(method, request, is_sound).await;
    }

    /// Calls, and looks at what becomes of it.
    async fn send(&mut self, method: &Method, request: Request<Body>, is_sound: bool) {
        let mut admitted = Admission(self.scheduler.budget().clone()).layer(self.services.clone());
        let may_wait = WAITING.iter().any(|waiting| method.path.ends_with(waiting));
        let patience = if may_wait { WAIT } else { ANSWERED_WITHIN };
        let answer = match timeout(patience, admitted.call(request)).await {
            Ok(answer) => answer,
            Err(_) if may_wait => return,
            Err(_) => panic!("{} is not answered", method.path),
        };
        let told = self.read(method, answer).await;
        if let Some(status) = told {
            self.judge(method, &status, is_sound);
        }
        // By then the core has given out what the call brought.
        self.scheduler.look().await;
        self.take_items().await;
    }

    /// The messages of a call, and whether they are what its method takes.
    fn body(&self, method: &Method, source: &mut Source<'_>) -> (Vec<u8>, bool) {
        let (mut body, mut is_sound) = (Vec::new(), true);
        let messages = if method.takes_many { source.byte() % 4 } else { 1 };
        for _ in 0..messages {
            let mut message = Schema::get().input(method, source, &self.tokens);
            match source.byte() % 8 {
                6 => (message, is_sound) = (source.bytes().to_vec(), false),
                7 => (message, is_sound) = (source.changed(message), false),
                _ => {}
            }
            body.push(0);
            body.extend_from_slice(&u32::try_from(message.len()).expect("it is short").to_be_bytes());
            body.append(&mut message);
        }
        if source.byte() % 16 == 15 {
            return (source.changed(body), false);
        }
        (body, is_sound)
    }

    fn request(&self, method: &Method, source: &mut Source<'_>, body: Vec<u8>) -> Request<Body> {
        let mut request = Request::post(format!("http://localhost{}", method.path));
        let headers = request.headers_mut().expect("the path is one");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if self.damaged {
            headers.insert("taskhub", HeaderValue::from_static("hub"));
        }
        let names = ["taskhub", "grpc-timeout", "grpc-encoding", "content-type", "authorization", "workerid"];
        let name = names.get(usize::from(source.byte() % 32));
        let timeouts = ["9m", "99999999H", "0n", "8S"];
        let value = match source.byte() % 6 {
            0 => HeaderValue::from_static("default"),
            at @ 1..=4 => HeaderValue::from_static(timeouts[usize::from(at) - 1]),
            _ => HeaderValue::from_bytes(source.bytes()).unwrap_or(HeaderValue::from_static("\u{9}")),
        };
        if let Some(name) = name {
            headers.insert(*name, value);
        }
        // In pieces, as they come over a network.
        let (first, rest) = body.split_at(usize::from(source.byte()).min(body.len()));
        let pieces = [first, rest].map(Bytes::copy_from_slice);
        request.body(Body::new(Pieces(pieces.into()))).expect("its parts are sound")
    }

    /// How the call ended; nothing if it goes on.
    async fn read(&mut self, method: &Method, answer: Result<Response<Body>, Infallible>) -> Option<Status> {
        let answer = answer.unwrap_or_else(|error| match error {});
        if let Some(status) = Status::from_header_map(answer.headers()) {
            return Some(status);
        }
        let mut body = answer.into_body();
        if method.path.ends_with("/GetWorkItems") {
            self.streams.push_back(body);
            self.streams.truncate(STREAMS_MAX);
            return None;
        }
        // Whoever watches is told until he goes.
        let goes_on = method.takes_many || method.path.ends_with("/Watch");
        let patience = if method.gives_many && goes_on { WAIT } else { ANSWERED_WITHIN };
        loop {
            match timeout(patience, frame(&mut body)).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        return Status::from_header_map(trailers);
                    }
                }
                Ok(Some(Err(status))) => return Some(status),
                Ok(None) => return None,
                Err(_) if goes_on => return None,
                Err(_) => panic!("{} does not end", method.path),
            }
        }
    }

    fn judge(&self, method: &Method, status: &Status, is_sound: bool) {
        let right = match status.code() {
            // Somebody else's row.
            Code::Internal if self.damaged && status.message().contains("damaged") => true,
            // What is no message is refused by the library, with the code that all of them use.
            Code::Internal => !is_sound && NO_MESSAGE.iter().any(|words| status.message().contains(words)),
            // By a panic of whoever reads, since nobody stops the server; by a broken invariant; by nobody.
            Code::Unavailable | Code::Unknown | Code::DataLoss => false,
            _ => true,
        };
        assert!(right, "{}: {status:?}", method.path);
    }

    /// What the workers' streams were given.
    async fn take_items(&mut self) {
        for _ in 0..self.streams.len() {
            let Some(mut stream) = self.streams.pop_front() else { return };
            let mut is_open = true;
            while let Some(next) = now(&mut stream).await {
                match next {
                    Some(Ok(frame)) => self.tokens.0.get_mut().extend(frame.into_data().ok().and_then(token)),
                    Some(Err(_)) | None => {
                        is_open = false;
                        break;
                    }
                }
            }
            if is_open {
                self.streams.push_back(stream);
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.scheduler.stop();
    }
}

/// One of all, or one of those by which things go on.
fn method(source: &mut Source<'_>) -> &'static Method {
    let schema = Schema::get();
    let (any, at) = (source.flag(), usize::from(source.byte()));
    let among: Vec<&Method> = schema
        .methods
        .iter()
        .filter(|method| any || LIVELY.iter().any(|lively| method.path.ends_with(lively)))
        .collect();
    among[at % among.len()]
}

/// The token of the work item in a frame of a stream.
fn token(mut data: Bytes) -> Option<String> {
    // The head of the frame.
    data.advance(5.min(data.len()));
    WorkItem::decode(data).ok().map(|item| item.completion_token)
}

type Next = Option<Result<Frame<Bytes>, Status>>;

async fn frame(body: &mut Body) -> Next {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// What is there already.
async fn now(body: &mut Body) -> Option<Next> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        })
    })
    .await
}

/// A body that comes in pieces.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}
