//! A timer is due: a durable timer of the orchestration, or the start of an instance that was scheduled for
//! later. A timer that nobody waits for any more (its row is deleted, or soon will be) does nothing.

use placet_proto::durabletask::{TimerFiredEvent, history_event::EventType};

use crate::body::MessageKind;
use crate::ids::Iid;
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::rows::{TimerRow, Write};
use crate::time::Now;
use crate::wire;

impl Partition {
    pub(crate) fn fire_timer(&mut self, now: Now, iid: Iid, row: TimerRow, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let Some(at) = instance.body.timers.iter().position(|timer| timer.seq == row.seq.0) else { return };
        assert!(row.fire_at <= now.wall, "a timer fires when it is due, not before");
        let timer = instance.body.timers.swap_remove(at);
        outcome.writes.push(Write::DeleteTimer(row));
        let at = instance.record_time(now);
        match timer.timer_id {
            Some(timer_id) => {
                let fired = EventType::TimerFired(TimerFiredEvent { fire_at: timer.fire_at, timer_id });
                instance.receive(MessageKind::Timer, wire::event(-1, at, fired), None, outcome);
            }
            None => instance.body.held = false,
        }
        instance.touch(at);
        self.conclude(iid, outcome);
    }
}
