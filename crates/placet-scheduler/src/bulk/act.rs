//! What an operation does to one instance. What was begun when the server ended is done again, and so tells what was done from
//! what is to be: by what the instance came to, by an event's id, by a new instance's id.

use std::sync::Arc;
use std::time::Duration;

use placet_core::command::{
    Ask, Asked, Caller, CommandKind, Refusal, Reply, Suspend, Terminate, is_terminal, status_name,
};
use placet_core::dispatch::RESERVED_PREFIX;
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey};
use placet_core::rows::{InstanceRow, OrchestrationStatus};
use placet_proto::placet::v1::bulk_action::Action;
use placet_proto::placet::v1::{BulkOutcome, BulkResult};
use uuid::Uuid;

use super::stored::Item;
use crate::budget::RETRY_AFTER;
use crate::scheduler::{CallError, Scheduler};

/// How often one instance is tried if there is no room for what is to be done to it, or nobody knows what became of it.
const TRIES: u32 = 10;

/// Bytes of a reason: a page of results has room for as many.
const REASON_BYTES: usize = 200;

/// What is to be done, and on whose behalf.
#[derive(Debug, Clone)]
pub(super) struct Doing {
    pub(super) scheduler: Scheduler,
    pub(super) hub: Hub,
    pub(super) operation: Arc<str>,
    pub(super) action: Action,
    pub(super) caller: Caller,
    pub(super) seed: u128,
}

/// What came of it.
enum Came {
    Done,
    /// … as another instance.
    DoneAs(String),
    Skipped(String),
}

impl Doing {
    /// Does it to an instance; `again`: it may have been done already.
    ///
    /// # Errors
    /// [`CallError::Stopping`]: it is left for the next process.
    pub(super) async fn to(&self, item: &Item, mut again: bool) -> Result<BulkResult, CallError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.once(item, again).await {
                Ok(came) => return Ok(result(item, came)),
                Err(CallError::Stopping) => return Err(CallError::Stopping),
                Err(CallError::Refused(Refusal::NotFound(_))) => {
                    return Ok(result(item, Came::Skipped("there is no such instance any more".to_owned())));
                }
                Err(error) => error,
            };
            let Some(rest) = rest_after(&error).filter(|_| tries < TRIES) else {
                return Ok(failed(item, &error));
            };
            again |= matches!(error, CallError::Refused(Refusal::Unknown));
            tokio::time::sleep(rest).await;
        }
    }

    async fn once(&self, item: &Item, again: bool) -> Result<Came, CallError> {
        let key = InstanceKey::new(self.hub.clone(), InstanceId::new(item.id.as_str()));
        let found = self.scheduler.row(key.clone()).await?;
        let Some(row) = found.filter(|row| row.iid == Iid(item.iid)) else {
            // Purged, or begun anew, perhaps by this very operation.
            let is_by_us = match &self.action {
                Action::Purge(_) => true,
                Action::Restart(restart) => !restart.new_instance_ids,
                _ => false,
            };
            return Ok(if again && is_by_us {
                Came::Done
            } else {
                Came::Skipped("it was purged, or began anew, since".to_owned())
            });
        };
        match &self.action {
            Action::Terminate(terminate) => {
                if let Some(came) = unless_running(&row, again, &[OrchestrationStatus::Terminated]) {
                    return Ok(came);
                }
                let (output, recurse) = (terminate.output.clone(), terminate.recursive);
                self.scheduler.terminate(key, Terminate { output, recurse }).await.map(came)
            }
            Action::Suspend(suspend) => self.suspend(key, &row, (suspend.reason.clone(), false), again).await,
            Action::Resume(resume) => self.suspend(key, &row, (resume.reason.clone(), true), again).await,
            Action::RaiseEvent(event) => {
                // Whoever raises it again under this id raises nothing.
                let ask = Ask {
                    ask_id: format!("bulk {}", self.operation).into(),
                    event_name: event.name.clone(),
                    payload: event.input.clone(),
                    wait: Duration::ZERO,
                    stamp: self.caller.clone(),
                };
                Ok(match self.scheduler.command(key, CommandKind::Ask(Arc::new(ask))).await? {
                    Reply::Asked(Asked::Ended(view)) => has_ended(view.state.orchestration_status()),
                    _ => Came::Done,
                })
            }
            Action::Restart(restart) => self.restart(&row, restart.new_instance_ids).await,
            Action::Rewind(rewind) => {
                if row.status != OrchestrationStatus::Failed {
                    let is_ours = again && !is_terminal(row.status);
                    return Ok(if is_ours {
                        Came::Done
                    } else {
                        Came::Skipped(format!("it has not failed: {}", status_name(row.status)))
                    });
                }
                self.refuse_reserved(&row, "rewound")?;
                self.command(key, CommandKind::Rewind { reason: rewind.reason.clone() }).await
            }
            Action::Purge(purge) => {
                if !is_terminal(row.status) {
                    return Ok(has_not_ended(row.status));
                }
                let purged = self.scheduler.purge(&self.hub, vec![item.id.clone()], purge.recursive).await?;
                Ok(if purged > 0 { Came::Done } else { has_not_ended(row.status) })
            }
        }
    }

    async fn command(&self, key: InstanceKey, kind: CommandKind) -> Result<Came, CallError> {
        self.scheduler.command(key, kind).await.map(came)
    }

    async fn suspend(
        &self,
        key: InstanceKey,
        row: &InstanceRow,
        (reason, resume): (Option<String>, bool),
        again: bool,
    ) -> Result<Came, CallError> {
        if let Some(came) = unless_running(row, false, &[]) {
            return Ok(came);
        }
        // What it is told to is in its messages first: a status that is the other one may be about to change.
        let is_suspended = row.status == OrchestrationStatus::Suspended;
        if is_suspended != resume && !again {
            let how = if resume { "is not suspended" } else { "is suspended already" };
            return Ok(Came::Skipped(format!("it {how}")));
        }
        self.command(key, CommandKind::Suspend(Suspend { reason, resume })).await
    }

    async fn restart(&self, row: &InstanceRow, new_id: bool) -> Result<Came, CallError> {
        if !new_id {
            if !is_terminal(row.status) {
                return Ok(has_not_ended(row.status));
            }
            self.refuse_reserved(row, "restarted under its own id")?;
        }
        let id = new_id.then(|| Uuid::from_u128(self.seed ^ u128::from(row.iid.0)).simple().to_string());
        let restarted = self.scheduler.restart_as(&self.hub, row.id.as_str(), id.clone()).await;
        match (restarted, id) {
            (Ok(_), None) => Ok(Came::Done),
            // It was begun before the server ended.
            (Ok(_) | Err(CallError::Refused(Refusal::AlreadyExists { .. })), Some(id)) => Ok(Came::DoneAs(id)),
            (Err(error), _) => Err(error),
        }
    }

    /// Of what is reserved the record must not be lost (DESIGN.md §6, "Stamped, not claimed").
    fn refuse_reserved(&self, row: &InstanceRow, how: &str) -> Result<(), CallError> {
        if row.name.starts_with(RESERVED_PREFIX) {
            let what = format!("an instance of {} cannot be {how}", row.name);
            return Err(Refusal::FailedPrecondition(what).into());
        }
        Ok(())
    }
}

fn came(reply: Reply) -> Came {
    match reply {
        Reply::Nothing => Came::Skipped("it is not such that this could be done".to_owned()),
        _ => Came::Done,
    }
}

/// How long to wait before the same is tried again, if that may help.
fn rest_after(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Refused(Refusal::Unknown) => Some(RETRY_AFTER),
        CallError::Refused(refusal) => refusal.retry_after(),
        CallError::Busy | CallError::TooManyWait => Some(RETRY_AFTER),
        _ => None,
    }
}

/// What comes of an instance that has ended; `ours`: as it ends by what was done already.
fn unless_running(row: &InstanceRow, again: bool, ours: &[OrchestrationStatus]) -> Option<Came> {
    if !is_terminal(row.status) {
        return None;
    }
    Some(if again && ours.contains(&row.status) { Came::Done } else { has_ended(row.status) })
}

fn has_ended(status: OrchestrationStatus) -> Came {
    Came::Skipped(format!("it has ended: {}", status_name(status)))
}

fn has_not_ended(status: OrchestrationStatus) -> Came {
    Came::Skipped(format!("it has not ended: {}", status_name(status)))
}

fn result(item: &Item, came: Came) -> BulkResult {
    let (outcome, reason, new_instance_id) = match came {
        Came::Done => (BulkOutcome::Done, String::new(), String::new()),
        Came::DoneAs(id) => (BulkOutcome::Done, String::new(), id),
        Came::Skipped(why) => (BulkOutcome::Skipped, why, String::new()),
    };
    BulkResult { instance_id: item.id.clone(), outcome: outcome.into(), reason: cut(reason), new_instance_id }
}

fn failed(item: &Item, error: &CallError) -> BulkResult {
    let reason = cut(error.to_string());
    BulkResult {
        instance_id: item.id.clone(),
        outcome: BulkOutcome::Failed.into(),
        reason,
        new_instance_id: String::new(),
    }
}

fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES));
    reason
}
