"""The worker: asks for an approval, waits for a person or for the deadline, and says what came of it.

`API_URL` is where people answer (default: http://localhost:8000); it goes into the approval link.
"""

import logging
import os
import signal
import threading
from datetime import datetime, timedelta, timezone

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from scheduler import ENDPOINT, TASKHUB, connection

API_URL = os.environ.get("API_URL", "http://localhost:8000").rstrip("/")

log = logging.getLogger("worker")


def submit_approval_request(_: task.ActivityContext, request: dict) -> dict:
    """Tells the approver. A real one sends a mail or a chat message; this one writes a line to the log."""
    request_id = request["request_id"]
    log.info("request %s: %s asks for %r", request_id, request["requester"], request["item"])
    return {
        "request_id": request_id,
        "status": "Pending",
        "submitted_at": _now(),
        "approval_url": f"{API_URL}/api/approvals/{request_id}",
    }


def process_approval(_: task.ActivityContext, decision: dict) -> dict:
    """Acts on the decision. A real one books the leave or pays the invoice."""
    status = "Approved" if decision["is_approved"] else "Rejected"
    log.info("request %s: %s by %s", decision["request_id"], status, decision["approver"])
    return {
        "request_id": decision["request_id"],
        "status": status,
        "processed_at": _now(),
        "approver": decision["approver"],
        "comments": decision["comments"],
    }


def human_interaction_orchestrator(ctx: task.OrchestrationContext, request: dict):
    """Submits the request, then waits: for the event `approval_response`, at most `timeout_hours`."""
    request_id = request["request_id"]
    submission = yield ctx.call_activity(submit_approval_request, input=request)
    ctx.set_custom_status(submission)

    answered = ctx.wait_for_external_event("approval_response")
    too_late = ctx.create_timer(ctx.current_utc_datetime + timedelta(hours=request["timeout_hours"]))
    first = yield task.when_any([answered, too_late])

    if first is too_late:
        return {
            "request_id": request_id,
            "status": "Timeout",
            # The orchestration's own clock: the same in every replay.
            "timed_out_at": ctx.current_utc_datetime.replace(tzinfo=timezone.utc).isoformat(),
        }

    too_late.cancel()
    answer = answered.get_result()
    decision = {
        "request_id": request_id,
        "is_approved": answer["is_approved"],
        "approver": answer.get("approver"),
        "comments": answer.get("comments"),
    }
    outcome = yield ctx.call_activity(process_approval, input=decision)
    return outcome


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    stopped = threading.Event()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: stopped.set())

    with DurableTaskSchedulerWorker(**connection()) as worker:
        worker.add_orchestrator(human_interaction_orchestrator)
        worker.add_activity(submit_approval_request)
        worker.add_activity(process_approval)
        worker.start()
        log.info("serving task hub %r of %s; Ctrl+C stops", TASKHUB, ENDPOINT)
        stopped.wait()


if __name__ == "__main__":
    main()
