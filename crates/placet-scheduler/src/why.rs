//! placet.v1 Why: the core's explanation, as the protocol has it.

use placet_core::command::{CommandKind, Reply};
use placet_core::dispatch::Kind;
use placet_core::ids::Hub;
use placet_core::why::{Cause, ChildWait, Evidence, Explanation, Remedy, Stage};
use placet_proto::placet::v1::{
    RemedyKind, WaitCause, WaitRemedy, WaitedChild, WaitedRetry, WaitedWork, WhyResponse, WorkStage,
};

use crate::calls::key;
use crate::scheduler::{CallError, Scheduler};

impl Scheduler {
    /// placet.v1 Why: why an instance waits, and what lets it go on.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn why(&self, hub: Hub, instance_id: &str) -> Result<WhyResponse, CallError> {
        let reply = self.command(key(hub, instance_id)?, CommandKind::Why(None)).await?;
        let Reply::Why(why) = reply else { unreachable!("it is told why") };
        Ok(told(&why))
    }
}

fn told(why: &Explanation) -> WhyResponse {
    let Explanation { id, status, now, since, until, evidence, .. } = why;
    WhyResponse {
        instance_id: id.as_str().to_owned(),
        sentence: why.sentence(),
        status: (*status).into(),
        cause: cause(&why.cause).into(),
        now: Some(now.to_proto()),
        since: since.map(|at| at.to_proto()),
        until: until.map(|at| at.to_proto()),
        events: if let Cause::Events { names, .. } = &why.cause { names.clone() } else { Vec::new() },
        work: work(&why.cause),
        child: child(&why.cause).map(Box::new),
        retry: retry(&why.cause),
        evidence: evidence.iter().map(|more: &Evidence| more.told(*now)).collect(),
        remedy: Some(remedy(why)),
    }
}

fn cause(cause: &Cause) -> WaitCause {
    match cause {
        Cause::Ended => WaitCause::Ended,
        Cause::ScheduledStart => WaitCause::ScheduledStart,
        Cause::Suspended { .. } => WaitCause::Suspended,
        Cause::Events { .. } | Cause::SomeEvent => WaitCause::Event,
        Cause::Timer { .. } => WaitCause::Timer,
        Cause::Retry { .. } => WaitCause::Retry,
        Cause::Clock(_) => WaitCause::Clock,
        Cause::Turn(_) => WaitCause::Turn,
        Cause::Activity { .. } => WaitCause::Activity,
        Cause::Child { .. } => WaitCause::Child,
        Cause::Telling(_) => WaitCause::Telling,
        Cause::DiskFull => WaitCause::DiskFull,
        Cause::Nothing => WaitCause::Nothing,
    }
}

fn work(cause: &Cause) -> Option<WaitedWork> {
    let (of, stage) = match cause {
        Cause::Turn(stage) => (WaitedWork::default(), stage),
        Cause::Activity { name, version, task_id, stage, more } => {
            let (name, version, task_id, more) = (name.clone(), version.clone(), Some(*task_id), count(*more));
            (WaitedWork { name, version, task_id, more, ..WaitedWork::default() }, stage)
        }
        _ => return None,
    };
    let (worker, deliveries) = match stage {
        Stage::Running { worker, deliveries } => (worker.clone(), *deliveries),
        Stage::Lost { worker } => (worker.clone(), 0),
        Stage::Delayed { failed, given_back } => (String::new(), failed + given_back),
        _ => (String::new(), 0),
    };
    let versions = if let Stage::NoVersion { versions, .. } = stage { versions.clone() } else { Vec::new() };
    Some(WaitedWork { stage: stage_of(stage).into(), worker, deliveries, versions, ..of })
}

fn stage_of(stage: &Stage) -> WorkStage {
    match stage {
        Stage::Running { .. } => WorkStage::Running,
        Stage::Lost { .. } => WorkStage::Lost,
        Stage::Delayed { .. } => WorkStage::Delayed,
        Stage::SetAside => WorkStage::SetAside,
        Stage::NoWorker => WorkStage::NoWorker,
        Stage::NoName { .. } => WorkStage::NoWorkerOfName,
        Stage::NoVersion { .. } => WorkStage::NoWorkerOfVersion,
        Stage::NoRoom { .. } => WorkStage::WorkersFull,
        Stage::HeldUp => WorkStage::HeldUp,
        Stage::OnItsWay => WorkStage::OnItsWay,
        Stage::TooMuchOpen { .. } => WorkStage::TooMuchOpen,
    }
}

fn child(cause: &Cause) -> Option<WaitedChild> {
    let Cause::Child { id, name, child, more } = cause else { return None };
    let why = if let ChildWait::Known(child) = child { Some(Box::new(told(child))) } else { None };
    Some(WaitedChild { instance_id: id.as_str().to_owned(), name: name.clone(), why, more: count(*more) })
}

fn retry(cause: &Cause) -> Option<WaitedRetry> {
    let Cause::Retry { name, attempt, attempts_max, error } = cause else { return None };
    let (name, error_type) = (name.clone(), error.clone());
    Some(WaitedRetry { name, attempt: *attempt, attempts_max: *attempts_max, error_type })
}

fn remedy(why: &Explanation) -> WaitRemedy {
    let (id, remedy) = why.remedy();
    let (kind, text) = match remedy {
        Remedy::Nothing => (RemedyKind::Nothing, "nothing is to be done".to_owned()),
        Remedy::Wait => (RemedyKind::Wait, "it goes on by itself".to_owned()),
        Remedy::AdvanceTime => (RemedyKind::AdvanceTime, "advance the clock".to_owned()),
        Remedy::RaiseEvent(names) => {
            let named: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let which = if named.is_empty() { "that it awaits".to_owned() } else { named.join(" or ") };
            (RemedyKind::RaiseEvent, format!("raise the event {which}"))
        }
        Remedy::ConnectWorker { kind, name, version } => {
            let kind = if *kind == Kind::Turn { "orchestration" } else { "activity" };
            let version = version.as_ref().map(|version| format!(" at version {version}")).unwrap_or_default();
            let text = format!("connect a worker to task hub `{}` that takes {kind} `{name}`{version}", why.hub);
            (RemedyKind::ConnectWorker, text)
        }
        Remedy::Resume => (RemedyKind::Resume, "resume it".to_owned()),
        Remedy::RetryPoisoned => {
            (RemedyKind::RetryPoisoned, "once what broke its workers is repaired, put it back to work".to_owned())
        }
        Remedy::AcceptTime => {
            (RemedyKind::AcceptTime, "set the server's clock right, or say that it is right".to_owned())
        }
        Remedy::FreeDisk => (RemedyKind::FreeDisk, "make room on the server's disk".to_owned()),
        Remedy::Terminate => (RemedyKind::Terminate, "repair its code, and terminate it".to_owned()),
    };
    let events = if let Remedy::RaiseEvent(names) = remedy { names.clone() } else { Vec::new() };
    WaitRemedy { kind: kind.into(), instance_id: id.as_str().to_owned(), text, events }
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}
