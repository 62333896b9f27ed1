"""A worker in a process of its own, made to be killed in the middle of its work.

`hang` writes the file MARKS/activity and then never returns; `stuck` does so in the orchestrator, with MARKS/turn.
"""

import os
import threading
from pathlib import Path

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

MARKS = Path(os.environ["MARKS"])


def call_hang(ctx: task.OrchestrationContext, _):
    return (yield ctx.call_activity(hang))


def hang(_: task.ActivityContext, __):
    _hang_at("activity")


def stuck(ctx: task.OrchestrationContext, _):
    _hang_at("turn")


def _hang_at(where: str) -> None:
    (MARKS / where).touch()
    threading.Event().wait()


with DurableTaskSchedulerWorker(
    host_address=os.environ["ENDPOINT"], taskhub=os.environ["TASKHUB"], token_credential=None, secure_channel=False
) as worker:
    worker.add_orchestrator(call_hang)
    worker.add_orchestrator(stuck)
    worker.add_activity(hang)
    worker.start()
    threading.Event().wait()
