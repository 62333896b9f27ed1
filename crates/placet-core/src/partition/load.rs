//! Load first, decide after: how cold instances come into memory, and how everything is forgotten.

use crate::command::{Command, CommandKind, Refusal, Reply};
use crate::dispatch::ItemId;
use crate::ids::{CallId, Epoch, Iid};
use crate::limits;
use crate::outcome::Outcome;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{LoadedInstance, Lookup, ReadFailure};
use crate::time::Now;
use crate::why::ChildWait;

use super::{Instance, Loading, Partition};

impl Partition {
    /// Queues a command until its instance is in memory.
    pub(super) fn load_first(&mut self, command: Command, outcome: &mut Outcome) {
        match self.loading.get_mut(&command.target) {
            Some(loading) => loading.commands.push(command),
            None => self.load(command.target.clone(), vec![command], None, outcome),
        }
    }

    fn load(&mut self, lookup: Lookup, commands: Vec<Command>, left: Option<Iid>, outcome: &mut Outcome) {
        let asked = self.departures.ask();
        self.loading.insert(lookup.clone(), Loading { asked, commands, left });
        outcome.loads.push(lookup);
    }

    /// What the store answered is old.
    fn load_again(&mut self, lookup: &Lookup, commands: Vec<Command>, left: Option<Iid>, outcome: &mut Outcome) {
        if !commands.is_empty() || left.is_some() {
            self.load(lookup.clone(), commands, left, outcome);
        }
    }

    /// The store's answer to a load. What waited for it is handed back, to be handled one by one; the flag beside a
    /// command says whether its instance exists.
    pub fn loaded(
        &mut self,
        lookup: &Lookup,
        found: Option<LoadedInstance>,
        outcome: &mut Outcome,
    ) -> Vec<(Command, bool)> {
        let Some(Loading { asked, commands, left }) = self.loading.remove(lookup) else { return Vec::new() };
        let old = match (&found, lookup) {
            (Some(found), _) => self.departures.is_old(asked, found.row.iid, &found.row.hub),
            // In a hub that was deleted since, and made again, it may have been made again, too.
            (None, Lookup::Key(key)) => self.departures.is_hub_old(asked, &key.hub),
            (None, Lookup::Iid(_)) => false,
        };
        self.departures.answered(asked);
        let handed_back = |commands: Vec<Command>, exists| commands.into_iter().map(|c| (c, exists)).collect();
        if old && found.is_none() {
            reach(Corner::AbsenceIsOld);
            self.load_again(lookup, commands, left, outcome);
            return Vec::new();
        }
        // The key of an instance that was deleted may have been given again after a restart, to one that lives elsewhere.
        let exists = found.is_some();
        let Some(found) = found.filter(|found| found.row.key().partition() == self.id) else {
            if exists {
                reach(Corner::KeyGivenAgain);
            }
            return handed_back(commands, false);
        };
        let (iid, key) = (found.row.iid, found.row.key());
        if self.instances.contains_key(&iid) {
            // Another answer brought it: this one may be old, and what it has to do is offered already.
            reach(Corner::LoadedAlready);
            return handed_back(commands, true);
        }
        let by_key = Lookup::Key(key);
        if let Some(loading) = self.loading.get_mut(&by_key) {
            // The same instance is being loaded by its key: that answer will serve these, too.
            reach(Corner::LoadJoined);
            loading.commands.extend(commands);
            loading.left = loading.left.or(left);
            return Vec::new();
        }
        if self.is_deleted(iid, &found.row.hub) {
            return handed_back(commands, false);
        }
        if old {
            // It came and went since the question was asked.
            reach(Corner::LoadIsOld);
            self.load_again(lookup, commands, left, outcome);
            return Vec::new();
        }
        match self.install(found) {
            Ok(()) => {
                self.offer_work(iid, outcome);
                handed_back(commands, true)
            }
            Err(damaged) => {
                self.unread(commands, &damaged, outcome);
                Vec::new()
            }
        }
    }

    /// The store could not answer a load: those who wait are told. An instance with work is handed back that recovery had left
    /// to this load: it is to be found again.
    pub fn load_failed(&mut self, lookup: &Lookup, failure: &ReadFailure, outcome: &mut Outcome) -> Option<Iid> {
        let Loading { asked, commands, left } = self.loading.remove(lookup)?;
        self.departures.answered(asked);
        reach(Corner::LoadFailed);
        self.unread(commands, failure, outcome);
        left
    }

    /// What waited for an instance that cannot be read is told so.
    fn unread(&self, commands: Vec<Command>, failure: &ReadFailure, outcome: &mut Outcome) {
        let (ReadFailure::Damaged(why) | ReadFailure::Unavailable(why)) = failure;
        for command in commands {
            match (&command.kind, &command.target, failure) {
                // It is due again, until the store can be read.
                (CommandKind::FireTimer(timer), _, ReadFailure::Unavailable(_)) => outcome.timers.push(*timer),
                // It would fail again at once: it is found again when the window of timers moves.
                (CommandKind::FireTimer(_), _, ReadFailure::Damaged(_)) => {}
                // Whoever has it to tell keeps it.
                (CommandKind::Hear(tell), _, ReadFailure::Unavailable(_)) => {
                    outcome.tells_later.push((tell.clone(), limits::REFUSE_AFTER_FAILURE));
                }
                (CommandKind::Hear(tell), _, ReadFailure::Damaged(_)) => {
                    outcome.tells_later.push((tell.clone(), limits::REDELIVERY_DELAY_MAX));
                }
                // Its result is lost: it must run again.
                (CommandKind::CompleteActivity(completion), Lookup::Iid(iid), ReadFailure::Unavailable(_)) => {
                    outcome.given_back.push(ItemId::Activity(self.id, *iid, completion.seq));
                }
                // It would be lost again, as often as it ran: it is offered when its instance is found.
                (CommandKind::CompleteActivity(completion), Lookup::Iid(iid), ReadFailure::Damaged(_)) => {
                    outcome.done.push(ItemId::Activity(self.id, *iid, completion.seq));
                }
                _ => {}
            }
            if let CommandKind::Why(Some(parent)) = command.kind {
                let known = parent.with_child(ChildWait::Unreadable(why.clone()));
                outcome.reply(command.call, Ok(Reply::Why(Box::new(known))));
                continue;
            }
            outcome.reply(command.call, Err(Refusal::Unreadable(why.clone())));
        }
    }

    /// Handles a command that waited for a load.
    pub fn resume(&mut self, now: Now, command: Command, exists: bool, outcome: &mut Outcome) {
        if let Some(at) = self.waits_behind(&command) {
            return self.wait_behind(at, command);
        }
        if exists {
            self.handle(now, command, outcome);
            return;
        }
        // An earlier command of the same queue may have created it.
        let hot = match &command.target {
            Lookup::Key(key) => self.keys.contains_key(key),
            Lookup::Iid(iid) => self.instances.contains_key(iid),
        };
        if hot {
            self.handle(now, command, outcome);
        } else {
            let key = match &command.target {
                Lookup::Key(key) => Some(key.clone()),
                Lookup::Iid(_) => None,
            };
            self.decide_absent(now, key, command, outcome);
        }
    }

    /// A page of active instances was asked of the store.
    pub fn recovery_begins(&mut self) {
        self.page = Some(self.departures.ask());
    }

    /// The page came, or failed.
    pub fn recovery_ends(&mut self) {
        if let Some(asked) = self.page.take() {
            self.departures.answered(asked);
        }
    }

    /// An instance of such a page. Its work is offered.
    ///
    /// # Errors
    /// If its rows are damaged.
    pub fn recovered(&mut self, found: LoadedInstance, outcome: &mut Outcome) -> Result<(), ReadFailure> {
        let (iid, key) = (found.row.iid, found.row.key());
        let mut busy = self.keys.contains_key(&key);
        for lookup in [Lookup::Key(key), Lookup::Iid(iid)] {
            if let Some(loading) = self.loading.get_mut(&lookup) {
                loading.left = Some(iid);
                busy = true;
            }
        }
        let old = self.page.is_none_or(|asked| self.departures.is_old(asked, iid, &found.row.hub));
        if busy || old || self.is_deleted(iid, &found.row.hub) {
            reach(Corner::RecoveredAlready);
            return Ok(()); // in memory, or on its way there by a newer answer
        }
        self.install(found)?;
        self.offer_work(iid, outcome);
        Ok(())
    }

    /// Drops everything in memory; what was decided and not committed is void. From now on it writes in this
    /// epoch. What it was asked and had not decided, and who waits, is handed back to be handled again.
    pub fn reset(&mut self, epoch: Epoch) -> Vec<Command> {
        let mut commands: Vec<Command> =
            std::mem::take(&mut self.loading).into_values().flat_map(|loading| loading.commands).collect();
        commands.extend(std::mem::take(&mut self.underway).into_iter().flat_map(|underway| underway.commands));
        for (key, waiters) in std::mem::take(&mut self.waiters) {
            commands.extend(waiters.into_iter().map(|waiter| {
                let target = Lookup::Key(key.clone());
                Command { target, kind: CommandKind::Wait(waiter.what), call: Some(waiter.call) }
            }));
        }
        for (key, calls) in std::mem::take(&mut self.purgers) {
            commands.extend(calls.into_iter().map(|call| {
                let target = Lookup::Key(key.clone());
                Command { target, kind: CommandKind::Purge, call: Some(call) }
            }));
        }
        commands.extend(std::mem::take(&mut self.ask_waiters).into_values().flatten().map(|waiter| {
            let target = Lookup::Key(waiter.key);
            Command { target, kind: CommandKind::Ask(waiter.ask), call: Some(waiter.call) }
        }));
        commands.sort_by_key(|command| command.call.map_or(0, |CallId(call)| call));
        *self = Partition::new(self.id, epoch, self.limits);
        commands
    }

    /// Puts an instance from the store into memory.
    fn install(&mut self, found: LoadedInstance) -> Result<(), ReadFailure> {
        let iid = found.row.iid;
        if self.instances.contains_key(&iid) {
            return Ok(());
        }
        let key = found.row.key();
        let instance = Instance::from_rows(found.row, found.inbox, found.activities, found.replies)
            .map_err(|error| ReadFailure::Damaged(format!("instance {key} is damaged: {error}")))?;
        self.keys.insert(key, iid);
        self.instances.insert(iid, instance);
        self.count(iid);
        Ok(())
    }

    /// Offers what an instance from the store has to do: its turn, and its activities (their scheduling is
    /// durable, or it would not have been read).
    pub(super) fn offer_work(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.instances.get_mut(&iid) else { return };
        instance.offer(self.id, &self.limits, outcome);
        if !planted::is(Plant::ToldForgotten) {
            instance.offer_outbound(self.id, 0, outcome);
        }
        if planted::is(Plant::RecoveryForgetsActivities) {
            return;
        }
        for (seq, pending) in &instance.activities {
            if !pending.poisoned {
                outcome.ready.push(instance.activity_spec(self.id, *seq, pending));
            }
        }
    }
}
