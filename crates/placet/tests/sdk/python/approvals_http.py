"""The approvals API by HTTP: the mission's three calls, which Placet and the example's client both answer."""

from collections.abc import Callable
from typing import TypeVar

import requests

from waiting import eventually

T = TypeVar("T")


class ApprovalsApi:
    """The three calls at `url`. A body is returned if the call went well, else `requests.HTTPError` is raised."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def ask(self, item: str, timeout_hours: float = 1.0, requester: str = "Alice") -> str:
        """Creates a request; its id."""
        body = {"requester": requester, "item": item, "timeout_hours": timeout_hours}
        return _call("POST", f"{self.url}/api/requests", body)["request_id"]

    def show(self, request_id: str) -> dict:
        return _call("GET", f"{self.url}/api/requests/{request_id}")

    def decide(self, request_id: str, is_approved: bool, approver: str = "Manager", comments: str = "Noted.") -> dict:
        body = {"is_approved": is_approved, "approver": approver, "comments": comments}
        return _call("POST", f"{self.url}/api/approvals/{request_id}", body)

    def outcome(self, request_id: str, within_s: float = 30.0) -> dict:
        """What came of it in the end: the `output` of a request that is decided or has timed out."""
        return eventually(lambda: self.show(request_id).get("output"), f"{request_id} has an outcome", within_s)

    def wait_until_asked(self, request_id: str) -> dict:
        """The `details` (the mission's custom status) of a request that waits for its answer."""
        return eventually(lambda: self.show(request_id).get("details"), f"{request_id} waits for an answer")


def once_back(call: Callable[[], T]) -> T:
    """The result of a call to a program that may just have lost its scheduler: 503 is tried again."""
    results: list[T] = []

    def attempt() -> bool:
        try:
            results.append(call())
        except requests.HTTPError as error:
            if error.response.status_code != 503:
                raise
        return bool(results)

    eventually(attempt, "the scheduler has been found again")
    return results[0]


def _call(method: str, url: str, body: dict | None = None) -> dict:
    answer = requests.request(method, url, json=body, timeout=30)
    if not answer.ok:
        raise requests.HTTPError(f"{method} {url}: {answer.status_code} {answer.text}", response=answer)
    return answer.json()
