//! Work items by our own protocol: one stream both ways, items and acknowledgements out, batches of
//! completions in (`placet.v1.Worker`).

use futures_util::stream::{self, BoxStream, StreamExt as _};
use placet_core::dispatch::{HubSet, StreamSpec};
use placet_core::ids::Hub;
use placet_proto::placet::v1::{Open, WorkerFrame, worker_frame::Frame};
use prost::Message as _;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

use super::admission::{Charges, Whole};
use super::frame::SchedulerFrameOut;
use super::metadata;
use super::status::status_of;
use super::work::{filters, limit};
use crate::hubs::hub_of;
use crate::scheduler::{CallError, Scheduler};
use crate::worker::{StreamOut, WorkerStream};

/// Items and acknowledgements put into one frame, at most.
const FRAME_ITEMS_MAX: usize = 256;

/// A frame is closed at this size.
const FRAME_BYTES_MAX: usize = 1 << 20;

pub(super) type Frames = BoxStream<'static, Result<SchedulerFrameOut, Status>>;

pub(super) async fn work(
    scheduler: &Scheduler,
    request: Request<Streaming<WorkerFrame>>,
) -> Result<Response<Frames>, Status> {
    let (hub, peer) = (metadata::hub(&request)?, metadata::peer(&request));
    let charges = request.extensions().get::<Charges>().cloned().unwrap_or_default();
    let mut frames = request.into_inner();
    let first = frames.message().await?.and_then(|frame| frame.frame);
    let Some(Frame::Open(open)) = first else {
        return Err(Status::invalid_argument("frame: the first one must be `open`"));
    };
    let spec = stream_spec(hub, &open).map_err(|error| status_of(&error))?;
    drop(charges.take());
    let mut worker = scheduler.open_stream(spec).map_err(|error| status_of(&error))?;
    if let Some(peer) = peer {
        worker.cut_if_stalled(peer);
    }
    let sender = worker.sender();
    // Completions are read by a task of their own, which ends with the worker's half of the stream, or with the
    // scheduler's: a worker that says no more must not hold up a server that stops, and one that has gone leaves nothing.
    let completions = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok(Some(frame)) = frames.message().await {
            let Whole { shares, large } = charges.take();
            let frame = match large {
                None => frame,
                Some(large) => match WorkerFrame::decode(large.as_slice()) {
                    Ok(frame) => frame,
                    Err(_) => break,
                },
            };
            if let Some(Frame::Completions(completions)) = frame.frame {
                sender.complete(completions, shares);
            }
            sender.room().await;
        }
    }));
    let state = (worker, Vec::new(), completions);
    Ok(Response::new(
        stream::unfold(state, |(mut worker, mut left, completions)| async move {
            next_frame(&mut worker, &mut left).await.map(|frame| (Ok(frame), (worker, left, completions)))
        })
        .boxed(),
    ))
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
        hubs,
        built_in: open.built_in,
        turns_max: limit(open.orchestrations_max),
        activities_max: limit(open.activities_max),
        filters: open.filters.as_ref().and_then(filters),
        keeps_state: open.keeps_state,
    })
}

/// The next frame: all that is there, within bounds. `left` is what did not fit into the last one, in reverse.
async fn next_frame(worker: &mut WorkerStream, left: &mut Vec<StreamOut>) -> Option<SchedulerFrameOut> {
    if left.is_empty() {
        if worker.recv_many(left, FRAME_ITEMS_MAX).await == 0 {
            return None;
        }
        left.reverse();
    }
    let mut frame = SchedulerFrameOut::default();
    let mut bytes = 0;
    while let Some(mut out) = left.pop() {
        worker.has_read(&mut out);
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
