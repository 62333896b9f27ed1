//! The example, against a scheduler in this process.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

use std::sync::Arc;

use placet::InProcess;
use placet_scheduler::Scheduler;
use placet_sdk::{Client, Worker};
use placet_store_sqlite::SqliteStore;
use rust_human_interaction::{ApprovalRequest, ApprovalResponse, ORCHESTRATION, Outcome, start_worker};
use tempfile::TempDir;

struct Running {
    client: Client,
    worker: Worker,
    scheduler: Scheduler,
    _folder: TempDir,
}

fn start() -> Running {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    let scheduler = Scheduler::start(Arc::new(store)).unwrap();
    let client = Client::over(Arc::new(InProcess::new(scheduler.clone())), "default");
    let worker = start_worker(client.clone());
    Running { client, worker, scheduler, _folder: folder }
}

impl Running {
    async fn ask(&self, timeout_hours: f64) -> String {
        let request = ApprovalRequest {
            request_id: "r-1".to_owned(),
            requester: "Alice".to_owned(),
            item: "Vacation Request".to_owned(),
            timeout_hours,
        };
        self.client.start(ORCHESTRATION, &request).id("r-1").await.unwrap()
    }

    async fn outcome(self, id: &str) -> Outcome {
        let state = self.client.wait_for_completion(id).await.unwrap();
        self.worker.shutdown().await;
        self.scheduler.stop();
        state.output().unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_request_is_decided_by_whoever_answers() {
    for (is_approved, status) in [(true, "Approved"), (false, "Rejected")] {
        let running = start();
        let id = running.ask(1.0).await;
        let response = ApprovalResponse { is_approved, approver: "Manager".to_owned(), comments: None };
        running.client.raise_event(&id, "approval_response", &response).await.unwrap();
        let outcome = running.outcome(&id).await;
        assert_eq!((outcome.status.as_str(), outcome.approver.as_deref()), (status, Some("Manager")));
    }
}

#[tokio::test]
async fn a_request_that_nobody_answers_times_out() {
    let running = start();
    let id = running.ask(0.0001).await;
    assert_eq!(running.outcome(&id).await.status, "Timeout");
}
