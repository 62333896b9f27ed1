//! What goes wrong at moments of its own, and how everything becomes well again.

use super::server::Arrival;
use crate::struck::FaultKind;

use super::{Event, MINUTE, Mark, SECOND, World};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Crash,
    ServerStops,
    InvariantBreaks,
    Restart,
    WorkerDies,
    WorkerStops,
    WorkerHangs,
    StreamBreaks,
    ServerHangs,
    ClockIsSet,
}

impl World {
    /// Spreads what is to go wrong over the span.
    pub(super) fn plan_faults(&mut self) {
        let faults = self.plan.faults.clone();
        let planned = [
            (Fault::Crash, faults.crashes),
            (Fault::ServerStops, faults.stops),
            (Fault::InvariantBreaks, faults.broken_invariants),
            (Fault::WorkerDies, faults.worker_crashes),
            (Fault::WorkerStops, faults.worker_stops),
            (Fault::WorkerHangs, faults.worker_hangs),
            (Fault::StreamBreaks, faults.stream_breaks),
            (Fault::ServerHangs, faults.server_hangs),
            (Fault::ClockIsSet, faults.wall_steps),
        ];
        for (fault, times) in planned {
            for _ in 0..times {
                // More of them early: that is when most happens.
                let at = if self.chance.one_in(2) {
                    self.chance.below(self.plan.span)
                } else {
                    self.chance.skewed(1_000, self.plan.span)
                };
                self.after(at, Event::Fault(fault));
            }
        }
    }

    pub(super) fn go_wrong(&mut self, fault: Fault) -> Result<(), super::Violation> {
        if self.healed && !matches!(fault, Fault::Restart) {
            return Ok(());
        }
        self.traffic_at = self.now;
        self.wrong(self.now);
        let worker = usize::try_from(self.chance.below(self.workers.len() as u64)).expect("below a length");
        if let Some(kind) = self.kind_of(fault, worker) {
            self.strikes(kind);
        }
        match fault {
            Fault::Crash => {
                self.crash()?;
                let wait = self.chance.skewed(SECOND / 100, 10 * SECOND);
                self.after(wait, Event::Fault(Fault::Restart));
            }
            Fault::ServerStops => self.stop_server(),
            Fault::InvariantBreaks => self.break_invariant()?,
            Fault::Restart if self.running().is_none() => self.start_server()?,
            Fault::Restart => {}
            Fault::WorkerDies => self.kill_worker(worker),
            Fault::WorkerStops => self.stop_worker(worker),
            Fault::WorkerHangs => {
                let long = self.chance.one_in(3);
                let lasts = self.chance.skewed(if long { 5 * MINUTE } else { SECOND }, 10 * MINUTE);
                self.hang_worker(worker, lasts);
            }
            Fault::StreamBreaks => {
                if let Some(stream) = self.workers[worker].stream {
                    self.break_stream(stream);
                }
            }
            Fault::ServerHangs => {
                let lasts = self.pause();
                self.hang_server(lasts);
            }
            Fault::ClockIsSet => self.set_clock(),
        }
        Ok(())
    }

    /// Which kind of fault this is, if there is anything for it to strike.
    fn kind_of(&self, fault: Fault, worker: usize) -> Option<FaultKind> {
        let (server, worker) = (self.process.as_ref(), &self.workers[worker]);
        let (kind, strikes) = match fault {
            Fault::Crash => (FaultKind::Crash, server.is_some()),
            Fault::ServerStops => (FaultKind::Stop, server.is_some_and(|server| !server.stops)),
            Fault::InvariantBreaks => (FaultKind::InvariantBroken, server.is_some_and(|server| !server.stops)),
            Fault::WorkerDies => (FaultKind::WorkerCrash, true),
            Fault::WorkerStops => (FaultKind::WorkerStop, worker.stream.is_some()),
            Fault::WorkerHangs => (FaultKind::WorkerHang, !worker.hangs),
            Fault::StreamBreaks => (FaultKind::StreamBreak, worker.stream.is_some()),
            Fault::ServerHangs => (FaultKind::ServerHang, server.is_some()),
            Fault::ClockIsSet => (FaultKind::WallStep, true),
            Fault::Restart => return None,
        };
        strikes.then_some(kind)
    }

    /// How long a machine or a disk stands still: mostly short, sometimes beyond every deadline there is.
    pub(super) fn pause(&mut self) -> u64 {
        let long = self.chance.one_in(6);
        self.chance.skewed(if long { 5 * SECOND } else { SECOND / 10 }, if long { 2 * MINUTE } else { 5 * SECOND })
    }

    fn set_clock(&mut self) {
        let by = i64::try_from(self.chance.skewed(SECOND / 10, self.plan.faults.wall_step_max)).expect("an hour");
        let by = if self.chance.one_in(2) { -by } else { by };
        self.wall_offset += by;
        self.wall_was_stepped = true;
        self.trace.note(self.now, &[50, by.unsigned_abs()], || format!("the wall clock is set by {by} µs"));
        if by < 0 {
            self.reach(Mark::ClockSetBack);
        }
        if by.unsigned_abs() > 61 * SECOND {
            self.reach(Mark::ClockDoubted);
        }
        let wait = self.chance.skewed(SECOND, 2 * MINUTE);
        self.wrong(self.now + wait);
        self.trouble(wait + 60 * SECOND);
        self.after(wait, Event::Operator);
    }

    /// From here on everything works.
    pub(super) fn heal(&mut self) -> Result<(), super::Violation> {
        self.healed = true;
        self.trace.note(self.now, &[51], || "everything works again".to_owned());
        if self.running().is_none() {
            self.start_server()?;
        }
        self.wrong(self.now);
        for worker in 0..self.workers.len() {
            self.worker_recovers(worker);
        }
        self.trouble(60 * SECOND);
        self.operate();
        Ok(())
    }

    /// The operator says that the clock is right, and puts back to work what was set aside.
    pub(super) fn operate(&mut self) {
        if let Some(process) = self.running() {
            self.arrive(process, Arrival::AcceptTime);
        }
        if !self.healed {
            return;
        }
        for slot in 0..self.slots.len() {
            if self.is_poisoned(slot) {
                self.reach(Mark::Poisoned);
                self.retry_poisoned(slot);
            }
        }
        if !self.is_over() {
            self.after(MINUTE, Event::Operator);
        }
    }
}
