"""The HTTP API against its own description: an OpenAPI fuzzer makes calls of `/openapi.json`, good ones and bad ones, one by one and
one after another, and each must be answered, and only as the description says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from placet.testing import Server

# What an answer is held to. Not among them is that whatever fits its schema is accepted: a request that nobody could decide fits, too.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
]

# Streams of events have no end to be waited for (tests in Rust read them), and a call that may wait does not.
SETTINGS = """
[[operations]]
include-operation-id = ["watchRequest", "watchInbox"]
enabled = false

[[operations]]
include-operation-id = ["getRequest"]
parameters = { "query.wait" = "1s" }
"""

COMPANY = """
[users.ann]
[users.ben]
[users.alice]
[users.bob]
[users.carol]
[users.dave]
[users.Manager]
[users.Alice]

[groups]
sre = ["ann", "ben"]

[policies.expense]
timeout = "5d"
editable = ["/amount"]

[[policies.expense.stages]]
seats = [{ from = ["group:sre"] }]
escalate = [{ after = "1d", remind = {} }]
"""


def fuzz(url: str, folder: Path, examples: int, *more: str) -> None:
    (folder / "schemathesis.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--checks", ",".join(CHECKS)]
    command += ["--max-examples", str(examples), "--continue-on-failure", "--request-timeout", "60", "--no-color", *more]
    # What it finds it tells with a seed and a curl line.
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "COLUMNS": "160"})
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize("company", ["", COMPANY], ids=["anybody", "a company"])
def test_every_call_is_answered_as_the_description_says(company: str, tmp_path: Path):
    (tmp_path / "placet.toml").write_text(company)
    with Server(virtual_time=None, args=["--config", str(tmp_path / "placet.toml")]) as server:
        fuzz(server.http, tmp_path, 25, "--seed", "1")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_so_are_very_many(tmp_path: Path):
    """Others each time."""
    with Server(virtual_time=None) as server:
        fuzz(server.http, tmp_path, 500)


def test_every_example_is_taken():
    """What `/docs` shows can be sent: nothing of it is a bad body."""
    with Server(virtual_time=None) as server:
        document = requests.get(f"{server.http}/openapi.json", timeout=10).json()
        bodies = [
            (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "application/json" in operation.get("requestBody", {}).get("content", {})
        ]
        assert len(bodies) > 20
        made = requests.post(f"{server.http}/api/v1/requests", json={"requester": "alice", "item": "x"}, timeout=20).json()
        for method, path, operation in bodies:
            url = server.http + path.replace("{id}", made["request_id"])
            example = operation["requestBody"]["content"]["application/json"]["example"]
            answer = requests.request(method, url, json=example, timeout=60)
            assert str(answer.status_code) in operation["responses"], (path, answer.text)
            assert answer.status_code not in (404, 422), (path, answer.text)
