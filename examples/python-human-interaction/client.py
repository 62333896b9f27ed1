"""The API for people and programs: ask for an approval, look at it, decide it.

HOST and PORT are where it listens (default: 127.0.0.1, 8000).
"""

import os
import uuid
from contextlib import asynccontextmanager
from datetime import datetime, timezone

import grpc
import uvicorn
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState, OrchestrationStatus
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from scheduler import connection

WAITING = (OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING, OrchestrationStatus.SUSPENDED)


class ApprovalRequest(BaseModel):
    """What somebody wants."""

    requester: str
    item: str
    # At most ten years.
    timeout_hours: float = Field(default=24.0, gt=0, le=87_600)


class ApprovalResponse(BaseModel):
    """What somebody else says to it."""

    is_approved: bool
    approver: str
    comments: str | None = None


@asynccontextmanager
async def scheduler_client(app: FastAPI):
    with DurableTaskSchedulerClient(**connection()) as client:
        app.state.scheduler = client
        yield


app = FastAPI(title="Human interaction", lifespan=scheduler_client)

# The endpoints are plain functions: the SDK's client blocks, and FastAPI runs these on threads.


@app.post("/api/requests")
def create_request(body: ApprovalRequest, call: Request) -> dict:
    request_id = str(uuid.uuid4())
    call.app.state.scheduler.schedule_new_orchestration(
        "human_interaction_orchestrator",
        instance_id=request_id,
        input={"request_id": request_id, **body.model_dump()},
    )
    return {
        "request_id": request_id,
        "status": "Pending",
        "approval_url": _url(call, f"/api/approvals/{request_id}"),
        "status_url": _url(call, f"/api/requests/{request_id}"),
    }


@app.get("/api/requests/{request_id}")
def show_request(request_id: str, call: Request) -> dict:
    state = _state(call, request_id)
    shown = {"request_id": request_id, "runtime_status": str(state.runtime_status)}
    if details := state.get_custom_status():
        shown["details"] = details
    if state.runtime_status == OrchestrationStatus.COMPLETED:
        shown["output"] = state.get_output()
    if state.failure_details:
        shown["error"] = state.failure_details.message
    return shown


@app.post("/api/approvals/{request_id}")
def decide(request_id: str, body: ApprovalResponse, call: Request) -> dict:
    state = _state(call, request_id)
    if state.runtime_status not in WAITING:
        raise HTTPException(409, f"request {request_id} is decided already: {state.get_output()}")
    # The first answer counts. If another one, or the deadline, is faster than this one, then this one changes nothing:
    # the status tells what was decided.
    call.app.state.scheduler.raise_orchestration_event(
        request_id,
        "approval_response",
        data={**body.model_dump(), "response_time": datetime.now(timezone.utc).isoformat()},
    )
    said = "approved" if body.is_approved else "rejected"
    return {
        "request_id": request_id,
        "message": f"Request {said} by {body.approver}",
        "status_url": _url(call, f"/api/requests/{request_id}"),
    }


@app.exception_handler(grpc.RpcError)
def scheduler_away(_: Request, error: grpc.RpcError) -> JSONResponse:
    return JSONResponse({"detail": f"the scheduler does not answer: {error.details()}"}, status_code=503)


def _url(call: Request, path: str) -> str:
    return f"{str(call.base_url).rstrip('/')}{path}"


def _state(call: Request, request_id: str) -> OrchestrationState:
    state = call.app.state.scheduler.get_orchestration_state(request_id)
    if state is None:
        raise HTTPException(404, f"there is no request {request_id}")
    return state


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8000")))
