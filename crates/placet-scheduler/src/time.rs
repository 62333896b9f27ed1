//! The time that users see, for whoever is no part of the core: what it is, and that it is to go on.

use std::time::Duration;

use placet_core::command::{Refusal, Reply};
use placet_core::limits;
use placet_core::shard::{Advance, Input};
use placet_core::time::Timestamp;
use placet_proto::placet::v1::{AdvanceTimeRequest, AdvanceTimeResponse, GetTimeResponse};

use crate::driver::{Message, Time};
use crate::scheduler::{CallError, Scheduler};

impl Scheduler {
    /// What the clock says by which histories, deadlines and timers go.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// placet.v1 GetTime.
    pub fn get_time(&self) -> GetTimeResponse {
        let is_virtual = matches!(self.time(), Time::Virtual { .. });
        GetTimeResponse { now: Some(self.now().to_proto()), is_virtual }
    }

    /// Says that the wall clock is right.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn accept_time(&self) -> Result<(), CallError> {
        self.call(None, Input::AcceptTime).await?;
        self.wake_retention();
        Ok(())
    }

    /// placet.v1 AdvanceTime: lets a virtual clock go on, from timer to timer: each fires at its own time, and the clock stops there until what
    /// follows from it has come to rest. So it does before it leaves, and when it has come to where it is to be: all that
    /// could happen by then has happened and is durable, and what has been kept for its time has gone.
    ///
    /// # Errors
    /// See [`CallError`]; [`Refusal::FailedPrecondition`] if time is real.
    ///
    /// # Cancel safety
    /// The clock stops where it is.
    pub async fn advance_time(&self, request: AdvanceTimeRequest) -> Result<AdvanceTimeResponse, CallError> {
        let by = duration("by", request.by.unwrap_or_default())?;
        let patience = request.patience.map(|patience| duration("patience", patience)).transpose()?;
        let advance = Advance { by, patience: patience.unwrap_or(limits::ADVANCE_PATIENCE_DEFAULT) };
        let reply = self.call_until_gone(|call| Input::AdvanceTime(call, advance), Input::AdvanceCancelled).await?;
        let Reply::Arrived(arrival) = reply else { unreachable!("it is told where the clock has come to") };
        self.retention_catches_up().await;
        Ok(AdvanceTimeResponse {
            now: Some(arrival.now.to_proto()),
            timers_fired: arrival.timers_fired,
            items_out: arrival.items_out as u64,
            items_ready: arrival.items_ready as u64,
        })
    }

    /// A client's call begins, one that does not wait for something to happen: a clock that goes on by itself does not
    /// before it has ended.
    pub fn open_call(&self) -> OpenCall {
        let is_auto = matches!(self.time(), Time::Virtual { auto_after: Some(_) });
        let scheduler = is_auto.then(|| self.clone());
        if let Some(scheduler) = &scheduler {
            scheduler.tell(Message::Input(Input::CallOpened));
        }
        OpenCall { scheduler }
    }
}

/// A duration as the protocol writes it; none if it is negative, or no duration. By hand, since the library's conversion
/// overflows at the most negative number of seconds (prost-types 0.14.6).
pub(crate) fn duration_of(duration: prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
}

fn duration(field: &str, duration: prost_types::Duration) -> Result<Duration, Refusal> {
    let refused = || Refusal::InvalidArgument(format!("{field}: must not be negative, and nanos be under a second"));
    duration_of(duration).ok_or_else(refused)
}

/// A call under way: it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the call has ended when it is dropped"]
pub struct OpenCall {
    /// Absent: nobody wants to know.
    scheduler: Option<Scheduler>,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(scheduler) = &self.scheduler {
            scheduler.tell(Message::Input(Input::CallClosed));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use placet_core::dispatch::StreamSpec;
    use placet_core::ids::Hub;
    use placet_proto::durabletask::CreateInstanceRequest;
    use placet_store::model::ModelStore;
    use tokio::time::timeout;

    use super::*;
    use crate::Options;
    use crate::worker::{StreamOut, WorkerStream};

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[test]
    fn a_duration_that_makes_no_sense_is_none() {
        let of = |seconds, nanos| duration_of(prost_types::Duration { seconds, nanos });
        assert_eq!(of(1, 500_000_000), Some(Duration::from_millis(1_500)));
        assert_eq!(of(0, 1), Some(Duration::from_nanos(1)));
        for (seconds, nanos) in [(i64::MIN, 0), (i64::MIN, i32::MIN), (-1, 0), (0, -1), (0, i32::MAX)] {
            assert_eq!(of(seconds, nanos), None, "{seconds} s, {nanos} ns");
        }
        assert!(of(i64::MAX, 999_999_999).is_some());
    }

    fn scheduler(time: Time) -> Scheduler {
        Scheduler::start_with(Arc::new(ModelStore::default()), Options { time, ..Options::default() }).unwrap()
    }

    async fn stop(scheduler: Scheduler) {
        tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
    }

    fn advance(by: Duration, patience: Duration) -> AdvanceTimeRequest {
        AdvanceTimeRequest { by: by.try_into().ok(), patience: patience.try_into().ok() }
    }

    /// An instance that begins after a day: that is a timer, and no turn before.
    async fn start_tomorrow(scheduler: &Scheduler) {
        let request = CreateInstanceRequest {
            instance_id: "tomorrow".into(),
            name: "any".into(),
            scheduled_start_timestamp: Some(scheduler.now().after(DAY).to_proto()),
            ..CreateInstanceRequest::default()
        };
        scheduler.start_instance(Hub::new("default"), request).await.unwrap();
    }

    async fn is_given_a_turn(stream: &mut WorkerStream, within: Duration) -> bool {
        let mut out = Vec::new();
        let item = async {
            while !matches!(out[..], [StreamOut::Item { .. }]) {
                out.clear();
                stream.recv_many(&mut out, 1).await;
            }
        };
        timeout(within, item).await.is_ok()
    }

    #[test]
    fn a_duration_is_one_or_none_and_no_number_overflows() {
        let of = |seconds, nanos| duration_of(prost_types::Duration { seconds, nanos });
        assert_eq!(of(1, 500_000_000), Some(Duration::from_millis(1_500)));
        assert_eq!(of(i64::MAX, 0), Some(Duration::from_secs(i64::MAX.unsigned_abs())));
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, i32::MIN), (i64::MAX, i32::MAX)] {
            assert_eq!(of(seconds, nanos), None, "{seconds} s, {nanos} ns");
        }
    }

    #[tokio::test]
    async fn the_clock_stands_until_it_is_advanced_and_tells_everybody_the_same() {
        let scheduler = scheduler(Time::Virtual { auto_after: None });
        let begun = scheduler.now();
        start_tomorrow(&scheduler).await;
        let arrived = scheduler.advance_time(advance(2 * DAY, Duration::ZERO)).await.unwrap();
        assert_eq!((arrived.timers_fired, arrived.items_out, arrived.items_ready), (1, 0, 1));
        assert_eq!(arrived.now, Some(begun.after(2 * DAY).to_proto()));
        let told = GetTimeResponse { now: arrived.now, is_virtual: true };
        assert_eq!((scheduler.now(), scheduler.get_time()), (begun.after(2 * DAY), told));
        stop(scheduler).await;
    }

    #[tokio::test]
    async fn real_time_cannot_be_advanced_and_no_time_goes_back() {
        let real = scheduler(Time::Real);
        let refused = real.advance_time(advance(DAY, Duration::ZERO)).await.unwrap_err();
        assert!(matches!(refused, CallError::Refused(Refusal::FailedPrecondition(_))), "{refused:?}");
        assert!(refused.to_string().contains("start one with --ephemeral --virtual-time"), "{refused}");
        assert!(!real.get_time().is_virtual);
        stop(real).await;

        let standing = scheduler(Time::Virtual { auto_after: None });
        let back = prost_types::Duration { seconds: -1, nanos: 0 };
        for request in [
            AdvanceTimeRequest { by: Some(back), patience: None },
            AdvanceTimeRequest { by: Some(prost_types::Duration { seconds: i64::MAX, nanos: 0 }), patience: None },
            AdvanceTimeRequest { by: None, patience: Some(back) },
            advance(Duration::from_secs(u64::from(u32::MAX) * 365 * 24), Duration::ZERO),
        ] {
            let refused = standing.advance_time(request).await.unwrap_err();
            assert!(matches!(refused, CallError::Refused(Refusal::InvalidArgument(_))), "{refused:?}");
        }
        stop(standing).await;
    }

    #[tokio::test]
    async fn one_whose_caller_has_gone_goes_no_further_and_the_next_one_goes_on() {
        let scheduler = scheduler(Time::Virtual { auto_after: None });
        let begun = scheduler.now();
        let request = CreateInstanceRequest { name: "any".into(), ..CreateInstanceRequest::default() };
        scheduler.start_instance(Hub::new("default"), request).await.unwrap();
        // It waits for a worker of the first turn.
        let waits = scheduler.advance_time(advance(DAY, Duration::from_secs(3_600)));
        assert!(timeout(Duration::from_millis(50), waits).await.is_err());
        let arrived = scheduler.advance_time(advance(Duration::from_secs(1), Duration::ZERO)).await.unwrap();
        assert_eq!(arrived.now, Some(begun.after(Duration::from_secs(1)).to_proto()));
        stop(scheduler).await;
    }

    #[tokio::test]
    async fn by_itself_the_clock_goes_to_the_next_timer_but_not_while_a_call_is_open_or_no_worker_is_there() {
        const AFTER: Duration = Duration::from_millis(20);
        let scheduler = scheduler(Time::Virtual { auto_after: Some(AFTER) });
        let begun = scheduler.now();
        let open = scheduler.open_call();
        start_tomorrow(&scheduler).await;
        let mut stream = scheduler.open_stream(StreamSpec::default()).unwrap();
        assert!(!is_given_a_turn(&mut stream, 10 * AFTER).await, "a call is open");
        drop(stream);
        drop(open);
        // sleep: nothing is to happen meanwhile
        tokio::time::sleep(10 * AFTER).await;
        assert_eq!(scheduler.now(), begun, "nobody could take the turn");
        let mut stream = scheduler.open_stream(StreamSpec::default()).unwrap();
        assert!(is_given_a_turn(&mut stream, Duration::from_secs(20)).await);
        assert_eq!(scheduler.now(), begun.after(DAY));
        drop(stream);
        stop(scheduler).await;
    }
}
