//! Work items by our own protocol: one stream both ways, items and acknowledgements out, batches of
//! completions in (`placet.v1.Worker`).

use futures_util::stream;
use placet_core::dispatch::{HubSet, StreamSpec};
use placet_core::ids::Hub;
use placet_proto::placet::v1::{Open, SchedulerFrame, WorkerFrame, worker_frame::Frame};
use prost::Message as _;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

use super::admission::{Charges, Whole};
use super::messages::{Elsewhere, Messages, Outbound, SchedulerFrameOut};
use super::metadata;
use super::status::{self, status_of};
use super::work::{Sending, filters, limit};
use crate::hubs::hub_of;
use crate::outgoing::Ties;
use crate::scheduler::{CallError, Scheduler};
use crate::worker::{StreamOut, WorkerSender, WorkerStream};

/// Items and acknowledgements put into one frame, at most.
const FRAME_ITEMS_MAX: usize = 256;

/// A frame is closed at this size.
const FRAME_BYTES_MAX: usize = 1 << 20;

pub(super) type Frames = Elsewhere<SchedulerFrame>;

pub(super) async fn work(
    scheduler: &Scheduler,
    request: Request<Streaming<WorkerFrame>>,
) -> Result<Response<Frames>, Status> {
    let (hub, peer) = (metadata::hub(scheduler, &request)?, metadata::peer(&request));
    let charges = request.extensions().get::<Charges>().cloned().unwrap_or_default();
    let worker_id = metadata::worker_id(&request);
    let mut frames = request.into_inner();
    let first = frames.message().await?.and_then(|frame| frame.frame);
    let Some(Frame::Open(open)) = first else {
        return Err(Status::invalid_argument("frame: the first one must be `open`"));
    };
    let spec = stream_spec(hub, &open).map_err(|error| status_of(&error))?;
    let spec = StreamSpec { worker_id, ..spec };
    drop(charges.take());
    let mut worker = scheduler.open_stream(spec).map_err(|error| status_of(&error))?;
    if let Some(peer) = peer.clone() {
        worker.cut_if_stalled(peer);
    }
    let completions = AbortOnDropHandle::new(tokio::spawn(complete(frames, worker.sender(), charges)));
    let sending = Sending { peer, ties: Ties::default() };
    let ties = sending.ties.clone();
    let half = Answering { worker, sending, left: Vec::new(), completions: Some(completions) };
    Ok(Messages::answer(stream::unfold(Some(half), answer), ties))
}

/// Gives the scheduler what a worker completes, for as long as it has something to say. A task of its own, which ends with
/// the answering half of the stream, or with the scheduler's: a worker that says no more must not hold up a server that
/// stops, and one that has gone leaves nothing.
///
/// # Errors
/// If a frame was refused, or is none: nothing more is read from this worker.
async fn complete(mut frames: Streaming<WorkerFrame>, sender: WorkerSender, charges: Charges) -> Result<(), Status> {
    while let Some(frame) = frames.message().await? {
        let Whole { shares, large } = charges.take();
        let frame = match large {
            None => frame,
            Some(large) => WorkerFrame::decode(large.as_slice())
                .map_err(|error| Status::invalid_argument(format!("frame: not a message: {error}")))?,
        };
        if let Some(Frame::Completions(completions)) = frame.frame {
            sender.complete(completions, shares);
        }
        sender.room().await;
    }
    Ok(())
}

/// The half of a stream that answers.
struct Answering {
    worker: WorkerStream,
    sending: Sending,
    /// What did not fit into the last frame, in reverse.
    left: Vec<StreamOut>,
    /// Absent once the worker has said that it says no more: it may still complete by calls of their own.
    completions: Option<AbortOnDropHandle<Result<(), Status>>>,
}

/// The next frame. A worker whose completions are not read any more is told so by the end of its stream: else it would get
/// items for ever, and none of its answers would count. If there was no room for them, that is no failure of what it has.
async fn answer(half: Option<Answering>) -> Option<(Result<Outbound, Status>, Option<Answering>)> {
    let mut half = half?;
    loop {
        let Some(completions) = &mut half.completions else {
            let frame = next_frame(&mut half.worker, &mut half.left, &half.sending).await?;
            return Some((Ok(Outbound::Frame(frame)), Some(half)));
        };
        tokio::select! {
            biased;
            ended = completions => {
                half.completions = None;
                let ended = ended.unwrap_or_else(|_| Err(Status::internal("the completions are not read any more")));
                if let Err(status) = ended {
                    if status::is_want_of_room(&status) {
                        half.worker.close_in_good_order();
                    }
                    return Some((Err(status), None));
                }
            }
            frame = next_frame(&mut half.worker, &mut half.left, &half.sending) => {
                return Some((Ok(Outbound::Frame(frame?)), Some(half)));
            }
        }
    }
}

/// What a worker says of itself when it opens its stream. A worker that names no hub serves that of its call.
///
/// # Errors
/// If one of the hubs is refused.
pub fn stream_spec(hub: Hub, open: &Open) -> Result<StreamSpec, CallError> {
    let hubs = if open.hubs.is_empty() {
        HubSet::Of(vec![hub])
    } else if open.hubs.iter().any(|name| name == "*") {
        HubSet::All
    } else {
        HubSet::Of(open.hubs.iter().map(|name| hub_of(name)).collect::<Result<_, _>>()?)
    };
    Ok(StreamSpec {
        worker_id: String::new(),
        hubs,
        built_in: open.built_in,
        turns_max: limit(open.orchestrations_max),
        activities_max: limit(open.activities_max),
        filters: open.filters.as_ref().and_then(filters),
        keeps_state: open.keeps_state,
        streams_history: false,
    })
}

/// All that is there, within bounds. `left` is what did not fit into the last frame, in reverse.
///
/// # Cancel safety
/// Nothing is lost if the future is dropped.
async fn next_frame(
    worker: &mut WorkerStream,
    left: &mut Vec<StreamOut>,
    sending: &Sending,
) -> Option<SchedulerFrameOut> {
    if left.is_empty() {
        if worker.recv_many(left, FRAME_ITEMS_MAX).await == 0 {
            return None;
        }
        left.reverse();
    }
    let mut frame = SchedulerFrameOut::default();
    let mut bytes = 0;
    while let Some(mut out) = left.pop() {
        sending.send(worker, &mut out);
        match out {
            StreamOut::Item { hub, item, .. } => {
                bytes += item.len();
                frame.work.push((hub, item));
            }
            StreamOut::Ack(ack) => frame.acks.push(ack),
            StreamOut::Ping => {} // an empty frame is a sign of life
            StreamOut::Closed if frame.work.is_empty() && frame.acks.is_empty() => return None,
            StreamOut::Closed => {
                left.clear();
                left.push(StreamOut::Closed);
                break;
            }
        }
        if bytes >= FRAME_BYTES_MAX {
            break;
        }
    }
    Some(frame)
}
