//! A timer is due: a durable timer of the orchestration, or the start of an instance that was scheduled for
//! later. A timer that nobody waits for any more (its row is deleted, or soon will be) does nothing.

use placet_proto::durabletask::{TimerFiredEvent, history_event::EventType};

use crate::body::MessageKind;
use crate::ids::Iid;
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::planted::{self, Plant};
use crate::rows::{TimerRow, Write};
use crate::time::Now;

impl Partition {
    pub(crate) fn fire_timer(&mut self, now: Now, iid: Iid, row: TimerRow, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let Some(at) = instance.body.timers.iter().position(|timer| timer.seq == row.seq.0) else { return };
        let timer = instance.body.timers[at];
        if !planted::is(Plant::TimerFiredTwice) {
            instance.body.timers.swap_remove(at);
        }
        outcome.writes.push(Write::DeleteTimer(row));
        // It was due when it was popped. If the clock was set back while its instance was loaded, the instance's
        // time is still not before its timer's.
        let at = instance.record_time(Now { wall: now.wall.max(row.fire_at), ..now });
        match timer.timer_id {
            Some(timer_id) => {
                let fired = EventType::TimerFired(TimerFiredEvent { fire_at: timer.fire_at, timer_id });
                instance.receive(MessageKind::Timer, at, fired, None, outcome);
                if now.wall > row.fire_at {
                    // Some SDKs know whole milliseconds only, and take a timer for over when the turn's time is behind its own:
                    // within its millisecond they would make another one. (A virtual clock stands at the timer's time.)
                    instance.not_before(row.fire_at.next_millisecond());
                }
            }
            None => instance.body.held = false,
        }
        instance.touch(at);
        self.conclude(iid, outcome);
    }
}
