//! One process-wide budget of bytes in flight: what calls bring in, from their arrival to their answer, and what long
//! answers take out, until they are sent (P7).
//!
//! It has two parts, so that large messages, which must wait for each other, hold up no small ones. Every message of a
//! call occupies several times its size on its way (as it came, decoded, as a row, in the store's hands): that is why
//! the figures are far below the memory that the process may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connections::CONNECTIONS_MAX;

/// A message that is longer waits for room among the large ones.
pub(crate) const LARGE_FROM: usize = 256 << 10;

/// An answer that is longer has a share until it is sent.
pub(crate) const ANSWER_FROM: usize = 16 << 10;

/// Bytes of small messages in flight.
const SMALL_BYTES_MAX: usize = 32 << 20;

/// Bytes of large messages in flight: one of the largest, and little more.
const LARGE_BYTES_MAX: usize = 72 << 20;

/// Pages of history that are read at a time and not sent yet, a mebibyte each at most: a turn that is longer has a share as
/// any long answer.
const PAGES_MAX: usize = 16;

/// Calls at a time, from their head to the end of their answer: some 8 kB each, with what their connections hold of them,
/// however few bytes they bring. As many as may wait (`WAITS_MAX`), and half as many again that do not.
const CALLS_MAX: usize = 24_000;

/// Workers' streams at a time: one for each connection that there may be.
const STREAMS_MAX: usize = CONNECTIONS_MAX;

/// Large messages are counted in these units.
const UNIT: usize = 1 << 10;

/// How long a small message waits for room before its call is refused.
const SMALL_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a large one does.
const LARGE_WAIT_MAX: Duration = Duration::from_secs(10);

/// … if it is a frame of a worker's stream: longer than anybody may take to read the longest answer.
const FRAME_WAIT_MAX: Duration = Duration::from_secs(120);

/// How long an answer waits to be read.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// So many answers may wait for room: of each its call is held meanwhile, with all that is around it.
const ANSWERS_WAITING_MAX: usize = 2_048;

/// So many large messages may wait; what is to come of each is held back at its sender meanwhile.
const LARGE_WAITING_MAX: usize = 32;

/// … and so many large frames of workers' streams, whatever calls wait: with those, what has come of them leaves half of
/// the small ones' part to the small ones.
const FRAMES_WAITING_MAX: usize = 32;

/// When a call that was refused for want of room may be made again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The budget. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    /// One of those who read may not know how much it will be.
    look: Arc<Semaphore>,
    waiting: AtomicUsize,
    frames_waiting: AtomicUsize,
    answers_waiting: AtomicUsize,
    refused: AtomicU64,
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    permit: OwnedSemaphorePermit,
}

/// There is no room, and none came in time. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl Default for Budget {
    fn default() -> Budget {
        Budget(Arc::new(Parts {
            small: Arc::new(Semaphore::new(SMALL_BYTES_MAX)),
            large: Arc::new(Semaphore::new(LARGE_BYTES_MAX / UNIT)),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            look: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            frames_waiting: AtomicUsize::new(0),
            answers_waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }))
    }
}

impl Share {
    /// Gives back all but so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(UNIT).min(self.permit.num_permits());
        drop(self.permit.split(self.permit.num_permits() - keep));
    }
}

impl Budget {
    /// Bytes of the messages in flight.
    pub(crate) fn in_flight(&self) -> usize {
        let large = LARGE_BYTES_MAX / UNIT - self.0.large.available_permits();
        SMALL_BYTES_MAX - self.0.small.available_permits() + large * UNIT
    }

    /// How many calls were refused for want of room.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// A share for something that goes out and cannot wait: as much as there is of it. What comes in waits for it.
    pub(crate) fn claim(&self, bytes: usize) -> Option<Share> {
        let large = &self.0.large;
        let units = bytes.div_ceil(UNIT).min(large.available_permits());
        let permit =
            (bytes > LARGE_FROM).then(|| large.clone().try_acquire_many_owned(permits(units)).ok()).flatten()?;
        Some(Share { permit })
    }

    /// A share for a message of this size.
    ///
    /// # Errors
    /// If there was no room for it, and none came in time.
    pub async fn share(&self, bytes: usize) -> Result<Share, Busy> {
        if bytes <= LARGE_FROM { self.small(bytes).await } else { self.large(bytes).await }
    }

    /// A share for a small message, or for the beginning of a large one, if there is room at once.
    pub fn small_now(&self, bytes: usize) -> Option<Share> {
        let permit = self.0.small.clone().try_acquire_many_owned(permits(bytes)).ok()?;
        Some(Share { permit })
    }

    pub(crate) async fn small(&self, bytes: usize) -> Result<Share, Busy> {
        if let Some(share) = self.small_now(bytes) {
            return Ok(share);
        }
        self.acquire(&self.0.small, permits(bytes), SMALL_WAIT_MAX).await
    }

    /// A place for a call, or for a worker's stream.
    pub(crate) fn place(&self, is_stream: bool) -> Result<Share, Busy> {
        let places = if is_stream { &self.0.streams } else { &self.0.calls };
        let permit = places.clone().try_acquire_owned().map_err(|_| self.refuse())?;
        Ok(Share { permit })
    }

    /// A share for an answer that is to be read: little of it is held while it waits, so many may, for longer.
    pub(crate) async fn answer(&self, bytes: usize) -> Result<Share, Busy> {
        let waiting = Waiting::new(&self.0.answers_waiting);
        if waiting.others >= ANSWERS_WAITING_MAX {
            return Err(self.refuse());
        }
        let units = bytes.min(LARGE_BYTES_MAX).div_ceil(UNIT);
        self.acquire(&self.0.large, permits(units), ANSWER_WAIT_MAX).await
    }

    /// A share for a page of history.
    pub(crate) async fn page(&self) -> Result<Share, Busy> {
        self.acquire(&self.0.pages, 1, LARGE_WAIT_MAX).await
    }

    /// The place of the one who reads what may be long, to know how long it is.
    pub(crate) async fn look(&self) -> Result<Share, Busy> {
        self.acquire(&self.0.look, 1, LARGE_WAIT_MAX).await
    }

    pub(crate) async fn large(&self, bytes: usize) -> Result<Share, Busy> {
        self.large_among(&self.0.waiting, LARGE_WAITING_MAX, bytes, LARGE_WAIT_MAX).await
    }

    /// A share for a large frame of a worker's stream. It waits for longer than a call, and among its like: with one frame
    /// all is lost that the worker has.
    pub(crate) async fn large_frame(&self, bytes: usize) -> Result<Share, Busy> {
        self.large_among(&self.0.frames_waiting, FRAMES_WAITING_MAX, bytes, FRAME_WAIT_MAX).await
    }

    async fn large_among(
        &self,
        waiting: &AtomicUsize,
        most: usize,
        bytes: usize,
        patience: Duration,
    ) -> Result<Share, Busy> {
        let waiting = Waiting::new(waiting);
        if waiting.others >= most {
            return Err(self.refuse());
        }
        // What is larger than all is let through when it is alone: its own limit has been checked.
        let units = bytes.min(LARGE_BYTES_MAX).div_ceil(UNIT);
        self.acquire(&self.0.large, permits(units), patience).await
    }

    async fn acquire(&self, semaphore: &Arc<Semaphore>, permits: u32, patience: Duration) -> Result<Share, Busy> {
        match tokio::time::timeout(patience, semaphore.clone().acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(Share { permit }),
            Ok(Err(_)) | Err(_) => Err(self.refuse()),
        }
    }

    fn refuse(&self) -> Busy {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        Busy
    }
}

fn permits(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// One that waits among the large ones.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        Waiting { count, others: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_message_larger_than_all_comes_through_alone_and_small_ones_pass_it() {
        let budget = Budget::default();
        let first = budget.share(100 << 20).await.unwrap();
        assert!(budget.small_now(LARGE_FROM).is_some());
        let second = tokio::spawn({
            let budget = budget.clone();
            async move { budget.share(64 << 20).await.map(drop) }
        });
        drop(first);
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_refused_in_time_and_the_many_at_once() {
        let budget = Budget::default();
        let all = budget.share(LARGE_BYTES_MAX).await.unwrap();
        let calls = (0..LARGE_WAITING_MAX + 5).map(|_| budget.share(1 << 20));
        let refused = futures_util::future::join_all(calls).await.into_iter().filter(|call| call.is_err()).count();
        assert_eq!(refused, LARGE_WAITING_MAX + 5);
        drop(all);
        assert!(budget.share(1 << 20).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_workers_frame_waits_however_many_calls_do() {
        let budget = Budget::default();
        let all = budget.share(LARGE_BYTES_MAX).await.unwrap();
        let mut calls: Vec<_> = (0..LARGE_WAITING_MAX).map(|_| Box::pin(budget.large(1 << 20))).collect();
        assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
        assert!(matches!(budget.large(1 << 20).now_or_never(), Some(Err(Busy))));
        let mut frames: Vec<_> = (0..FRAMES_WAITING_MAX).map(|_| Box::pin(budget.large_frame(1 << 20))).collect();
        assert!(frames.iter_mut().all(|frame| frame.now_or_never().is_none()));
        assert!(matches!(budget.large_frame(1 << 20).now_or_never(), Some(Err(Busy))), "there is an end to it");
        drop((all, calls));
        for frame in frames {
            assert!(frame.await.is_ok());
        }
    }
}
