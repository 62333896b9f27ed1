//! A broken invariant, contained as the scheduler's driver does it: the shard and all that waited for it are dropped, and
//! another shard of the same process goes on from what the store says. Readings that the old one had asked for are
//! still under way.

use placet_core::command::Refusal;
use placet_core::shard::{Input, Output};

use super::bounds::Finding;
use super::server::{Arrival, Process, reply_to};
use super::{Event, Mark, SECOND, Violation, World};

impl World {
    /// The shard breaks between two steps.
    pub(super) fn break_invariant(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.process else { return Ok(()) };
        if server.stops {
            return Ok(());
        }
        server.awaits_commit = server.committing || server.writing_ahead;
        let is_free = !server.awaits_commit;
        self.trace.note(self.now, &[17], || "an invariant is broken".to_owned());
        self.trouble(3 * SECOND);
        self.wrong(self.now);
        if is_free { self.begin_anew() } else { Ok(()) }
    }

    /// What arrives while the store still has something of the broken shard: all but its answer was asked of that one.
    pub(super) fn drop_arrivals(&mut self, server: &mut Process) {
        while let Some(arrival) = server.inbox.pop_front() {
            match arrival {
                Arrival::Input(Input::Committed(..) | Input::CommitFailed(..)) => {
                    server.committing = false;
                    server.awaits_commit = server.writing_ahead;
                }
                Arrival::Input(Input::WrittenAhead(..)) => {
                    server.writing_ahead = false;
                    server.awaits_commit = server.committing;
                }
                Arrival::Opened(stream, _) => self.break_stream(stream),
                Arrival::Stop => server.stops = true,
                Arrival::AcceptTime => {
                    // The operator is told that nobody knows, and says it again.
                    self.trouble(61 * SECOND);
                    self.wrong(self.now + SECOND);
                    self.after(SECOND, Event::Operator);
                }
                other => {
                    if let Some(reply_to) = reply_to(other) {
                        self.lose(&reply_to);
                    }
                }
            }
            if !server.awaits_commit {
                return;
            }
        }
    }

    /// The next shard: whoever waits is told that nobody knows, and workers turn to it anew.
    pub(super) fn begin_anew(&mut self) -> Result<(), Violation> {
        self.reach(Mark::BeganAnew);
        let Some(server) = &self.process else { return Ok(()) };
        let process = server.id;
        for call in server.calls.keys().copied().collect::<Vec<_>>() {
            self.carry_out(process, Output::Reply(call, Err(Refusal::Unknown)))?;
        }
        let here = self.streams.iter().filter(|(_, stream)| stream.process == process);
        for stream in here.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.break_stream(stream);
        }
        let Some(server) = &mut self.process else { return Ok(()) };
        server.shard = server.shard.successor(server.shard.watermark());
        server.recovery = Finding::of_shard(server.shard.watermark().0);
        // How often items broke their workers is forgotten as by a new process.
        self.broke.retain(|(of, _), _| *of != process);
        self.note_all_active();
        self.arrive(process, Arrival::Input(Input::Started));
        Ok(())
    }
}
