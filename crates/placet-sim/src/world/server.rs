//! The server's process: the real shard, driven as the scheduler's core thread drives it. What waits is taken, the
//! shard decides, what it says is carried out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use placet_core::command::{Command, CompleteTurn, RecordCommand, Refusal, Reply};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::{CallId, Hub, PartitionId, StreamId};
use placet_core::item::Item;
use placet_core::rows::Lookup;
use placet_core::shard::{Input, Output, Shard};
use placet_core::time::{Mono, Now, Timestamp};
use placet_core::token::Token;
use placet_proto::durabletask::{ActivityResponse, WorkItem};
use placet_store::Store as _;
use prost::Message as _;

use super::bounds::Finding;
use super::disk::ReadAsk;
use super::pieces::Rest;
use super::workers::ToWorker;
use super::{Event, Mark, ProcessId, SECOND, Violation, World};
use crate::facts::{Answer, Call, Fact, Standing, What};
use crate::plan::MILLISECOND;

/// Steps within a millisecond after which the server is said to spin.
const SPIN: u32 = 5_000;

/// What reaches the server.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// The store's answer.
    Input(Input),
    /// A client's call.
    Call(Box<(ReplyTo, Request)>),
    /// A client waits no longer.
    Cancel(u64),
    Opened(StreamId, StreamSpec),
    Closed(StreamId, bool),
    Turn(ReplyTo, Box<CompleteTurn>),
    Activity(ReplyTo, Token, Box<ActivityResponse>),
    Abandon(ReplyTo, Token),
    AcceptTime,
    /// It is told to stop.
    Stop,
}

/// A client's call, as it is put to the shard.
#[derive(Debug)]
pub(crate) enum Request {
    Command(Command),
    CreateHub(Hub),
    DeleteHub(Hub),
    Record(RecordCommand),
}

/// Who is told what became of it.
#[derive(Debug, Clone)]
pub(crate) enum ReplyTo {
    /// A client; the flag says that he waits for this very call.
    Client(usize, Call, bool),
    /// A worker, on its stream; the flag says that the completion is more than a wish for the history.
    Stream(StreamId, String, bool),
    /// A worker that brings a turn in pieces, for all but the last of them.
    Piece(Rest),
    /// A worker that lied; the flag says that the token was a true one.
    Liar(bool),
    /// Who looks at whether it is told why an instance waits, which stood so.
    Looker(Box<Standing>),
    /// A worker that called and does not care.
    Nobody(Option<String>),
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) incarnation: u32,
    pub(super) shard: Shard,
    started: u64,
    pub(super) inbox: VecDeque<Arrival>,
    /// It is about to take what waits.
    awake: bool,
    /// Which sleep it is in.
    sleep: u64,
    pub(super) hung_until: u64,
    /// It stops as soon as all that was decided is durable.
    pub(super) stops: bool,
    /// The store has a batch of it.
    pub(super) committing: bool,
    /// It has a piece of a long row.
    pub(super) writing_ahead: bool,
    /// Its shard is broken, and the store still has something of it.
    pub(super) awaits_commit: bool,
    pub(super) recovery: Finding,
    /// Who waits for which call, and when it was taken.
    pub(super) calls: BTreeMap<CallId, (ReplyTo, u64)>,
    by_number: BTreeMap<u64, (PartitionId, CallId)>,
    next_call: u64,
    steps: (u64, u32),
}

impl World {
    pub(super) fn start_server(&mut self) -> Result<(), Violation> {
        self.ledger.compare(&self.disk.store)?;
        self.clear_ahead();
        let claim = self.disk.store.claim().expect("the model store claims");
        let newest = claim.newest;
        self.processes += 1;
        let id = self.processes;
        self.trace.note(self.now, &[10, id], || format!("the server starts, incarnation {}", claim.incarnation));
        self.process = Some(Box::new(Process {
            id,
            incarnation: claim.incarnation,
            shard: Shard::new(self.plan.limits, claim.incarnation, 0, claim.iid_max, newest),
            started: self.now,
            inbox: VecDeque::new(),
            awake: false,
            sleep: 0,
            hung_until: 0,
            stops: false,
            committing: false,
            writing_ahead: false,
            awaits_commit: false,
            recovery: Finding::default(),
            calls: BTreeMap::new(),
            by_number: BTreeMap::new(),
            next_call: 0,
            steps: (0, 0),
        }));
        self.note_all_active();
        self.trouble(3 * SECOND);
        self.wrong(self.now);
        self.arrive(id, Arrival::Input(Input::Started));
        if self.wall_was_stepped {
            // The clock may be behind what was committed: somebody has to say that it is right.
            self.trouble(60 * SECOND);
            let wait = self.chance.between(SECOND, 20 * SECOND);
            self.after(wait, Event::Operator);
        }
        Ok(())
    }

    /// The process dies: all that it had in memory is gone.
    pub(super) fn crash(&mut self) -> Result<(), Violation> {
        if self.process.is_none() {
            return Ok(());
        }
        self.crash_while_writing()?;
        self.trace.note(self.now, &[11], || "the server dies".to_owned());
        self.end_process();
        Ok(())
    }

    /// The process is gone: who waits for it hears nothing, and its streams break.
    pub(super) fn end_process(&mut self) {
        let Some(process) = self.process.take() else { return };
        let asked = process
            .calls
            .into_values()
            .map(|(reply_to, _)| reply_to)
            .chain(process.inbox.into_iter().filter_map(reply_to));
        let asked: Vec<ReplyTo> = asked.collect();
        for reply_to in asked {
            self.lose(&reply_to);
        }
        let here = self.streams.iter().filter(|(_, stream)| stream.process == process.id);
        for stream in here.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.break_stream(stream);
        }
        self.trouble(3 * SECOND);
        self.wrong(self.now);
    }

    /// Whoever waits for this hears nothing.
    pub(super) fn lose(&mut self, reply_to: &ReplyTo) {
        if let ReplyTo::Client(client, call, true) = reply_to {
            let wait = self.latency();
            self.after(wait, Event::Told(*client, call.number, Answer::Lost));
        }
    }

    pub(super) fn arrive(&mut self, process: ProcessId, arrival: Arrival) {
        // The window of timers moves on also if nothing happens.
        if !matches!(arrival, Arrival::Input(Input::TimersRead(..)) | Arrival::AcceptTime) {
            self.traffic_at = self.now;
        }
        if matches!(&arrival, Arrival::Call(call) if matches!(call.0, ReplyTo::Looker(_))) {
            self.asked_why.iter_mut().for_each(|(_, asked_at)| *asked_at = self.now);
        }
        let Some(server) = self.process.as_mut().filter(|server| server.id == process) else {
            if let Some(reply_to) = reply_to(arrival) {
                self.lose(&reply_to);
            }
            return;
        };
        server.inbox.push_back(arrival);
        if !server.awake {
            server.awake = true;
            let wait = self.chance.below(60);
            self.after(wait, Event::Step(process));
        }
    }

    pub(super) fn hang_server(&mut self, lasts: u64) {
        if let Some(server) = &mut self.process {
            // It may hang already, for longer.
            server.hung_until = server.hung_until.max(self.now + lasts);
            self.trace.note(self.now, &[12, lasts], || format!("the server hangs for {lasts} µs"));
            self.trouble(lasts + 2 * SECOND);
            self.wrong(self.now + lasts);
        }
    }

    pub(super) fn wake(&mut self, process: ProcessId, number: u64) -> Result<(), Violation> {
        let Some(server) = self.process.as_mut().filter(|server| server.id == process) else { return Ok(()) };
        if server.sleep != number || server.awake {
            return Ok(());
        }
        server.awake = true;
        self.step(process)
    }

    /// Takes what waits, all of it or some, and carries out what the shard makes of it.
    pub(super) fn step(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.server_time();
        self.wall_newest = self.wall_newest.max(now.wall.0);
        let Some(mut server) = self.process.take_if(|server| server.id == process) else { return Ok(()) };
        if self.now < server.hung_until {
            let until = server.hung_until;
            self.process = Some(server);
            self.at(until, Event::Step(process));
            return Ok(());
        }
        let mut outputs = Vec::new();
        if server.awaits_commit {
            self.drop_arrivals(&mut server);
            let answered = !server.awaits_commit;
            server.awake = answered && !server.inbox.is_empty();
            if server.awake {
                self.after(1, Event::Step(process));
            }
            self.process = Some(server);
            return if answered { self.begin_anew() } else { Ok(()) };
        }
        let waiting = server.inbox.len() as u64;
        let most = if self.chance.one_in(3) { self.chance.between(1, waiting.max(1)) } else { waiting };
        for _ in 0..most.min(waiting) {
            if let Some(answer) = server.commit_answer() {
                self.counts.inputs += 1;
                self.take(&mut server, now, answer, &mut outputs);
                server.shard.finish(now, &mut outputs);
            }
            let Some(arrival) = server.inbox.pop_front() else { break };
            self.counts.inputs += 1;
            if server.stops
                && let Some(reply_to) = World::is_turned_away(&arrival)
            {
                self.lose(&reply_to.clone());
                continue;
            }
            if matches!(arrival, Arrival::Stop) {
                server.stops = true;
                outputs.extend(self.begin_to_stop(process, now, &mut server.shard));
                continue;
            }
            self.take(&mut server, now, arrival, &mut outputs);
        }
        server.shard.finish(now, &mut outputs);
        server.awake = !server.inbox.is_empty();
        let next = if server.awake { Some(self.now + 1) } else { None };
        server.steps =
            if self.now - server.steps.0 > 1_000 { (self.now, 0) } else { (server.steps.0, server.steps.1 + 1) };
        let spins = server.steps.1 > SPIN;
        let has_stopped = server.stops && server.shard.is_settled();
        let found = server.recovery.found();
        self.process = Some(server);
        if spins {
            return Err("the server spins: it wakes again and again and has nothing to do".to_owned().into());
        }
        if let Some((read, pages, active)) = found {
            self.see(&Fact::Recovered { read, pages, active, page: self.plan.limits.recover_page })?;
        }
        for output in outputs {
            self.carry_out(process, output)?;
        }
        if has_stopped {
            return self.end_stop();
        }
        match next {
            Some(at) => self.at(at, Event::Step(process)),
            None => self.sleep(now),
        }
        self.look_at_idle()
    }

    /// Sets the alarm.
    fn sleep(&mut self, now: Now) {
        let jitter = self.chance.below(200);
        let Some(server) = &mut self.process else { return };
        let wait = server.shard.wake_in(now).unwrap_or(Duration::from_secs(60));
        server.sleep += 1;
        let (id, number) = (server.id, server.sleep);
        let wait = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
        self.after(wait + jitter, Event::Wake(id, number));
    }

    fn server_time(&self) -> Now {
        let started = self.process.as_ref().map_or(0, |server| server.started);
        Now { wall: Timestamp(self.wall()), mono: Mono(self.now - started) }
    }

    fn take(&mut self, server: &mut Process, now: Now, arrival: Arrival, outputs: &mut Vec<Output>) {
        let input = match arrival {
            Arrival::Input(input) => input,
            Arrival::Call(call) => {
                let (reply_to, request) = *call;
                let number = if let ReplyTo::Client(_, call, _) = &reply_to { Some(call.number) } else { None };
                let call = server.call(self.now, reply_to);
                if let (Some(number), Request::Command(Command { target: Lookup::Key(key), .. })) = (number, &request) {
                    server.by_number.insert(number, (key.partition(), call));
                }
                match request {
                    Request::Command(command) => Input::Call(call, Command { call: Some(call), ..command }),
                    Request::CreateHub(hub) => Input::CreateHub(call, hub, true),
                    Request::DeleteHub(hub) => Input::DeleteHub(call, hub),
                    Request::Record(command) => Input::Record(RecordCommand { call: Some(call), ..command }),
                }
            }
            Arrival::Cancel(number) => {
                let Some((partition, call)) = server.by_number.remove(&number) else { return };
                server.calls.remove(&call);
                Input::Cancelled(partition, call)
            }
            Arrival::Opened(stream, spec) => Input::StreamOpened(stream, spec),
            Arrival::Closed(stream, drained) => Input::StreamClosed(stream, drained),
            Arrival::Turn(reply_to, completion) => Input::TurnCompleted(server.call(self.now, reply_to), completion),
            Arrival::Activity(reply_to, token, response) => {
                Input::ActivityCompleted(server.call(self.now, reply_to), token, response)
            }
            Arrival::Abandon(reply_to, token) => Input::Abandoned(server.call(self.now, reply_to), token),
            Arrival::AcceptTime => Input::AcceptTime(server.call(self.now, ReplyTo::Nobody(None))),
            Arrival::Stop => Input::Stopping,
        };
        server.committing &= !matches!(input, Input::Committed(..) | Input::CommitFailed(..));
        server.writing_ahead &= !matches!(input, Input::WrittenAhead(..));
        if is_command(&input) {
            self.counts.commands += 1;
        }
        server.recovery.take(&input);
        self.trace.note(self.now, &[13], || format!("server takes {}", brief(&input)));
        server.shard.take(now, input, outputs);
    }

    pub(super) fn carry_out(&mut self, process: ProcessId, output: Output) -> Result<(), Violation> {
        match output {
            Output::Commit(batch) => {
                self.process.iter_mut().for_each(|server| server.committing = true);
                self.commit(process, batch)?;
            }
            Output::WriteAhead(number, piece) => {
                self.process.iter_mut().for_each(|server| server.writing_ahead = true);
                self.write_ahead(process, number, piece);
            }
            Output::Load(read) => self.ask_store(process, ReadAsk::Load(read)),
            Output::ReadHistory(read) => self.ask_store(process, ReadAsk::History(read)),
            Output::ReadTimers(read) => self.ask_store(process, ReadAsk::Timers(read)),
            Output::Recover(read) => self.ask_store(process, ReadAsk::Recover(read)),
            Output::LoadRecord(read) => self.ask_store(process, ReadAsk::Record(read)),
            Output::FindExpired(read) => self.ask_store(process, ReadAsk::Expired(read)),
            Output::Reply(call, reply) => self.reply(call, reply)?,
            Output::Send(stream, hub, item) => self.send_item(stream, &hub, item)?,
            Output::Ping(stream) => self.send_to_worker(stream, ToWorker::Ping),
            // Its time is that of the simulation.
            Output::SetAside(..) | Output::SetClock(_) => {}
        }
        Ok(())
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) -> Result<(), Violation> {
        let Some((reply_to, taken_at)) = self.process.as_mut().and_then(|server| server.calls.remove(&call)) else {
            return Ok(()); // whoever does not wait any more has gone
        };
        match reply_to {
            ReplyTo::Client(client, call, waits) => {
                self.answered_after(&call, self.now - taken_at, &reply)?;
                self.answer_client(client, call, waits, reply)
            }
            ReplyTo::Stream(stream, token, counts) => {
                self.completion_answered(Some(&token).filter(|_| counts), &reply)?;
                let (stale, refused) = match reply {
                    Ok(Reply::Stale) => (true, String::new()),
                    Ok(_) => (false, String::new()),
                    Err(refusal) => (false, refusal.to_string()),
                };
                self.trace.note(self.now, &[14, u64::from(stale)], || format!("ack {token} stale {stale} {refused}"));
                self.send_to_worker(stream, ToWorker::Ack { token, stale, refused });
                Ok(())
            }
            ReplyTo::Piece(rest) => {
                self.piece_answered(rest, &reply);
                Ok(())
            }
            ReplyTo::Looker(stood) => self.told_why(&stood, &reply),
            ReplyTo::Liar(is_true) => self.lie_answered(is_true, &reply),
            ReplyTo::Nobody(token) => {
                self.trace.note(self.now, &[15], || format!("answer to {token:?}: {reply:?}"));
                self.completion_answered(token.as_ref(), &reply)
            }
        }
    }

    /// An acknowledgement waits for the disk, and for nobody else for long.
    fn answered_after(&mut self, call: &Call, waited: u64, reply: &Result<Reply, Refusal>) -> Result<(), Violation> {
        if !matches!(call.what, What::Raise { .. }) || reply.is_err() {
            return Ok(());
        }
        let worker = self.turn_with.get(&call.slot).and_then(|worker| self.workers.get(*worker));
        if worker.is_some_and(|worker| worker.hangs) {
            self.reach(Mark::AcknowledgedThoughHung);
        }
        if self.now - waited < self.trouble_until || self.plan.waits_for_rows() {
            return Ok(());
        }
        let disk = 5 * self.plan.commit_max + 3 * MILLISECOND;
        self.see(&Fact::Acknowledged { waited, disk })
    }

    /// A completion counts, or not.
    fn completion_answered(&mut self, token: Option<&String>, reply: &Result<Reply, Refusal>) -> Result<(), Violation> {
        let Some(token) = token.and_then(|token| token.parse::<Token>().ok()) else { return Ok(()) };
        match (token, reply) {
            (Token::Turn { .. }, Ok(Reply::Stale)) => self.reach(Mark::StaleTurnIgnored),
            (Token::Activity { .. }, Ok(Reply::Stale)) => self.reach(Mark::StaleActivityIgnored),
            (Token::Turn { iid, turn, .. }, Ok(Reply::Done)) => {
                let execution = self.executions.get(&(iid.0, turn.0)).cloned();
                let Some((slot, execution)) = execution else { return Ok(()) };
                let life = self.ledger.lives.get(&iid);
                let stored = life.is_none_or(|life| life.body.turn > turn.0);
                return self.see(&Fact::TurnAccepted(slot, &execution, turn.0, stored));
            }
            (Token::Activity { iid, seq, .. }, Ok(Reply::Done)) => {
                let process = self.process.as_ref().map_or(0, |server| server.id);
                if self.handed_out.get(&(iid.0, seq.0)).is_some_and(|first| *first != process) {
                    self.reach(Mark::CompletionAcrossCrash);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A client's call reaches the server, or nobody.
    pub(super) fn call_server(&mut self, reply_to: ReplyTo, request: Request) {
        let wait = self.latency();
        let process = self.process.as_ref().map_or(0, |server| server.id);
        self.after(wait, Event::Arrive(process, Box::new(Arrival::Call(Box::new((reply_to, request))))));
    }

    /// The id of the process that runs, if one does.
    pub(super) fn running(&self) -> Option<ProcessId> {
        self.process.as_ref().map(|server| server.id)
    }

    /// An item goes to its worker.
    fn send_item(&mut self, stream: StreamId, hub: &Hub, item: Item) -> Result<(), Violation> {
        let item = item.whole();
        self.trace.note(self.now, &[16, stream.0, crate::trace::digest(&item)], || format!("item for stream {stream}"));
        let bytes = item.len();
        let item = WorkItem::decode(item).map_err(|error| format!("an item cannot be read: {error}"))?;
        self.look_at_item(stream, hub, &item)?;
        self.send_to_worker(stream, ToWorker::Item { hub: hub.as_str().to_owned(), item: item.into(), bytes });
        Ok(())
    }
}

impl Process {
    /// The committer's answer, if it is here: it is taken before what waits.
    fn commit_answer(&mut self) -> Option<Arrival> {
        let is_answer =
            |arrival: &Arrival| matches!(arrival, Arrival::Input(Input::Committed(..) | Input::CommitFailed(..)));
        let at = self.inbox.iter().position(is_answer)?;
        self.inbox.remove(at)
    }

    fn call(&mut self, now: u64, reply_to: ReplyTo) -> CallId {
        self.next_call += 1;
        self.calls.insert(CallId(self.next_call), (reply_to, now));
        CallId(self.next_call)
    }
}

pub(super) fn reply_to(arrival: Arrival) -> Option<ReplyTo> {
    match arrival {
        Arrival::Call(call) => Some(call.0),
        Arrival::Turn(reply_to, _) | Arrival::Activity(reply_to, ..) | Arrival::Abandon(reply_to, _) => Some(reply_to),
        Arrival::Input(_)
        | Arrival::Cancel(_)
        | Arrival::Opened(..)
        | Arrival::Closed(..)
        | Arrival::AcceptTime
        | Arrival::Stop => None,
    }
}

/// Whether it asks something of the core: a client's call, or a worker's completion or refusal of an item.
fn is_command(input: &Input) -> bool {
    matches!(
        input,
        Input::Call(..)
            | Input::Record(RecordCommand { call: Some(_), .. })
            | Input::CreateHub(..)
            | Input::DeleteHub(..)
            | Input::TurnCompleted(..)
            | Input::ActivityCompleted(..)
            | Input::Abandoned(..)
    )
}

/// An input in a line.
fn brief(input: &Input) -> String {
    match input {
        Input::TurnCompleted(call, completion) => {
            let actions = completion.response.actions.len();
            let wants_history = completion.response.requires_history;
            format!("turn completed ({call}) {} actions {actions} wants history {wants_history}", completion.token)
        }
        Input::ActivityCompleted(call, token, _) => format!("activity completed ({call}) {token}"),
        Input::Loaded(read, _) => format!("loaded {:?}", read.lookup),
        Input::HistoryRead(read, _) => format!("history of {}", read.iid),
        Input::Recovered(read, _) => format!("recovered after {:?}", read.after),
        Input::Call(call, command) => format!("call ({call}) {:?} {:?}", command.target, command.kind),
        other => format!("{other:?}"),
    }
}
