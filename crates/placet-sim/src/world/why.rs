//! Why instances wait: it is asked about each, one after the other, whether it is told as it is; and there are clients who
//! know no more than what they are told, and do what lets their instances go on.

use std::collections::VecDeque;

use placet_core::body::{InboxMessage, MessageKind, PendingActivity};
use placet_core::command::{Command, CommandKind, Refusal, Reply, is_terminal};
use placet_core::ids::{Iid, InstanceKey};
use placet_core::rows::Lookup;
use placet_core::why::{Cause, Explanation, Remedy};
use prost::Message as _;

use super::ledger::Life;
use super::server::{Arrival, ReplyTo, Request};
use super::{Mark, SECOND, Violation, World};
use crate::facts::{Fact, Standing, What};
use crate::programs::ADVISED_EVENTS;
use crate::workload::Step;

impl World {
    /// Asks about the next instance that is open. Not if nothing else has happened since it was asked last: it is to be seen
    /// what the server keeps of those that nobody asks about.
    pub(super) fn ask_why(&mut self) {
        let traffic_at = self.traffic_at;
        let Some((after, _)) = self.asked_why.filter(|(_, asked_at)| traffic_at > *asked_at) else { return };
        let is_open = |(_, life): &(&Iid, &Life)| !is_terminal(life.row.status);
        let mut lives = self.ledger.lives.range(Iid(after.0 + 1)..).chain(self.ledger.lives.range(..=after));
        let Some(stood) = lives.find(is_open).and_then(|(iid, _)| self.standing(*iid)) else { return };
        self.asked_why.iter_mut().for_each(|(last, _)| *last = stood.iid);
        let Some(life) = self.ledger.lives.get(&stood.iid) else { return };
        let key = InstanceKey::new(life.row.hub.clone(), life.row.id.clone());
        let command = Command { target: Lookup::Key(key), kind: CommandKind::Why(None), call: None };
        self.call_server(ReplyTo::Looker(Box::new(stood)), Request::Command(command));
    }

    /// How an instance stands in the store.
    fn standing(&self, iid: Iid) -> Option<Standing> {
        let life = self.ledger.lives.get(&iid)?;
        let kinds = life.inbox.values().filter_map(|data| InboxMessage::decode(data.clone()).ok());
        let kinds: Vec<MessageKind> = kinds.map(|message| message.kind()).collect();
        let task = |data: &bytes::Bytes| PendingActivity::decode(data.clone()).ok().map(|pending| pending.task_id);
        Some(Standing {
            iid,
            status: life.row.status,
            body: life.body.clone(),
            messages: kinds.len(),
            ends_rest: kinds.iter().any(|kind| matches!(kind, MessageKind::Resumed | MessageKind::Terminated)),
            activities: life.activities.values().filter_map(task).collect(),
            children: life.children.values().filter_map(task).collect(),
            outbox: life.outbox.len(),
            history: life.history.clone(),
        })
    }

    /// It is told why an instance waits. What it was told of is in the store, so if that is as it was when it was asked, it was
    /// so in between.
    pub(super) fn told_why(&mut self, stood: &Standing, reply: &Result<Reply, Refusal>) -> Result<(), Violation> {
        let Ok(Reply::Why(why)) = reply else { return Ok(()) };
        if self.standing(stood.iid).as_ref() != Some(stood) {
            return Ok(());
        }
        self.reach(match &why.cause {
            Cause::Events { .. } => Mark::WaitsForEvent,
            Cause::Retry { .. } => Mark::WaitsForRetry,
            Cause::Child { .. } => Mark::WaitsForChild,
            Cause::Activity { .. } | Cause::Turn(_) => Mark::WaitsForWork,
            _ => Mark::WaitsForElse,
        });
        self.see(&Fact::Explained(why, stood))
    }

    /// A client is told why his instance waits, and does what lets it go on.
    pub(super) fn follow(&mut self, at: usize, why: &Explanation) -> Result<(), Violation> {
        if why.cause == Cause::Ended {
            self.has_done(at);
            return Ok(());
        }
        let (id, remedy) = why.remedy();
        let hub = why.hub.as_str().to_owned();
        let about = self.slot_of.get(&(hub, id.as_str().to_owned())).copied();
        let about = about.ok_or_else(|| format!("what lets {} go on is about {id}, which nobody knows", why.id))?;
        let act = match remedy {
            Remedy::RaiseEvent(names) => {
                let name = self.event_to_raise(names)?;
                self.next_call += 1;
                Some(What::Raise { name, id: format!("{about}-advised-{}", self.next_call) })
            }
            Remedy::Resume => Some(What::Resume),
            Remedy::RetryPoisoned => Some(What::RetryPoisoned),
            Remedy::AcceptTime => {
                if let Some(process) = self.running() {
                    self.arrive(process, Arrival::AcceptTime);
                }
                None
            }
            Remedy::Nothing | Remedy::Terminate => {
                return Err(format!("{} waits for what never comes: {}", why.id, why.sentence()).into());
            }
            // Time brings it, or the workers, which come again.
            Remedy::Wait | Remedy::AdvanceTime | Remedy::ConnectWorker { .. } | Remedy::FreeDisk => None,
        };
        if act.is_some() {
            self.reach(Mark::AdviceFollowed);
        }
        let wait = self.chance.between(SECOND, 5 * SECOND);
        let act: VecDeque<Step> = act.map(|what| Step::CallAbout(about, what)).into_iter().collect();
        // Not at once: what was done takes its time to be seen.
        let pause = std::iter::once(Step::Pause(wait));
        self.does_first(at, 0, act.into_iter().chain(pause));
        Ok(())
    }

    /// One of the events that are awaited; any, if it was not told which.
    fn event_to_raise(&mut self, names: &[String]) -> Result<&'static str, Violation> {
        if names.is_empty() {
            return Ok(*self.chance.pick(&ADVISED_EVENTS));
        }
        let name = self.chance.pick(names).clone();
        let known = ADVISED_EVENTS.into_iter().find(|known| *known == name);
        known.ok_or_else(|| format!("an event {name} is to be raised, which its code does not know").into())
    }
}
