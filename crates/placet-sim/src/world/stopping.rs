//! A server that stops in good order, as the driver does it: streams end, who asked is told that his question is
//! recorded, what was decided is finished, and then the process ends.

use placet_core::ids::StreamId;
use placet_core::shard::{Input, Output};
use placet_core::time::Now;

use super::server::{Arrival, ReplyTo};
use super::workers::WorkerStep;
use super::{Event, Mark, ProcessId, SECOND, Violation, World};

impl World {
    /// Somebody tells the server to stop.
    pub(super) fn stop_server(&mut self) {
        if let Some(process) = self.running() {
            self.arrive(process, Arrival::Stop);
        }
    }

    /// The server takes it.
    pub(super) fn begin_to_stop(
        &mut self,
        process: ProcessId,
        now: Now,
        shard: &mut placet_core::shard::Shard,
    ) -> Vec<Output> {
        self.trace.note(self.now, &[17, process], || "the server begins to stop".to_owned());
        self.trouble(SECOND);
        self.wrong(self.now + SECOND);
        if !shard.is_settled() {
            self.reach(Mark::StoppedWhileWriting);
        }
        let mut outputs = Vec::new();
        shard.take(now, Input::Stopping, &mut outputs);
        let streams = self.streams.iter().filter(|(_, stream)| stream.process == process && !stream.broken);
        for id in streams.map(|(id, _)| *id).collect::<Vec<StreamId>>() {
            let wait = self.latency();
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.broken = true;
            let (at, opened) = (stream.worker, stream.opened_at <= self.now);
            let life = self.workers[at].life;
            self.after(wait, Event::Worker(at, life, WorkerStep::Broken(id)));
            if opened {
                shard.take(now, Input::StreamClosed(id, true), &mut outputs);
            }
        }
        outputs
    }

    /// All that was decided is durable: the process ends, and somebody starts it again.
    pub(super) fn end_stop(&mut self) -> Result<(), Violation> {
        self.reach(Mark::StoppedInGoodOrder);
        self.trace.note(self.now, &[18], || "the server has stopped".to_owned());
        self.end_process();
        let wait = self.chance.skewed(SECOND / 100, 10 * SECOND);
        self.after(wait, Event::Fault(super::faults::Fault::Restart));
        Ok(())
    }

    /// Whether a server that stops takes this. Whoever waits for its answer learns that nothing was done.
    pub(super) fn is_turned_away(arrival: &Arrival) -> Option<&ReplyTo> {
        match arrival {
            Arrival::Call(call) => Some(&call.0),
            Arrival::Turn(reply_to, _) | Arrival::Activity(reply_to, ..) | Arrival::Abandon(reply_to, _) => {
                Some(reply_to)
            }
            _ => None,
        }
    }
}
