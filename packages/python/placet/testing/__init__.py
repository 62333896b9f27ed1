"""A Placet of the test's own: fresh, on free ports, with a clock that stands until it is told to go on.

    from placet.testing import server

    with server() as placet:
        client = DurableTaskSchedulerClient(**placet.connection())
        ...
        placet.advance("24h")

The binary is the one that PLACET_BIN names, or `placet` on the PATH. With pytest there is a fixture: `placet_server`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Sequence, Union

__all__ = ["Advanced", "NotStarted", "Refused", "Server", "server"]

#: A duration: a text such as "24h", "1d" or "1d 12h"; a timedelta; or a number of seconds.
DurationLike = Union[str, timedelta, float]

# How long anything may take that ought to take milliseconds: generous, since a slow machine is no failure.
_PATIENCE_S = 60.0


class NotStarted(Exception):
    """The server did not start: there is no binary, or it says why."""


class Refused(Exception):
    """The server does not do what it was asked to."""


@dataclass(frozen=True)
class Advanced:
    """Where the clock has come to."""

    #: What it says now, in UTC.
    now: datetime
    #: How many timers have fired on the way.
    timers_fired: int
    #: Work items that workers have, and that were not waited for any longer.
    items_out: int
    #: Work items that no worker has taken.
    items_ready: int


class Server:
    """A running server with all its roles. It stops when it is closed, and ends with this process in any case."""

    def __init__(
        self,
        *,
        virtual_time: str | None = "manual",
        auto_after: DurationLike | None = None,
        taskhub: str = "default",
        binary: str | os.PathLike[str] | None = None,
        args: Sequence[str] = (),
    ):
        """Starts one.

        virtual_time: "manual": the clock stands until `advance`. "auto": it also goes by itself to the next timer, when
        nothing else has been left to happen for `auto_after` (100 ms if not given). None: time is real.
        taskhub: the hub of the requests that are made over HTTP, and of `connection()`.
        args: more arguments for `placet serve`.

        Raises NotStarted.
        """
        self.taskhub = taskhub
        command = [_find(binary), "serve", "--ephemeral", "--json", "--until-stdin-ends", "--taskhub", taskhub]
        command += ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]
        if virtual_time is not None:
            command.append(f"--virtual-time={virtual_time}")
        if auto_after is not None:
            command.append(f"--auto-after={_text(auto_after)}")
        self._log: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(
                [*command, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
            )
        except OSError as error:
            raise NotStarted(f"{command[0]}: {error}") from error
        announced = self._first_line()
        #: The scheduler's address: `host_address` of Microsoft's clients and workers.
        self.endpoint: str = announced["grpc"]
        #: The address of the HTTP API.
        self.http: str = announced["http"]

    def connection(self, taskhub: str | None = None) -> dict[str, Any]:
        """What DurableTaskSchedulerClient and DurableTaskSchedulerWorker are to be given."""
        return {
            "host_address": self.endpoint,
            "taskhub": taskhub or self.taskhub,
            "secure_channel": False,
            "token_credential": None,
        }

    def advance(self, by: DurationLike, *, patience: DurationLike = 10.0) -> Advanced:
        """Lets the clock go on. It goes from timer to timer: each fires at its own time, and the clock stops there until
        what follows from it has come to rest; so it does before it leaves, and at the end. When this returns, all that
        could happen by then has happened.

        patience: how long, in real time, the clock waits for a work item that a worker has, before it leaves it to go on;
        and all in all for a worker of items that nobody has taken.

        Raises Refused, if time is real or the duration is none.
        """
        arrived = self._call("/api/time/advance", {"by": _text(by), "patience": _text(patience)})
        return Advanced(
            now=_time(arrived["now"]),
            timers_fired=arrived["timers_fired"],
            items_out=arrived["items_out"],
            items_ready=arrived["items_ready"],
        )

    def settle(self, *, patience: DurationLike = 10.0) -> Advanced:
        """Waits until all that can happen without the clock going on has happened."""
        return self.advance(0, patience=patience)

    def now(self) -> datetime:
        """What the server's clock says, in UTC."""
        return _time(self._call("/api/time", None)["now"])

    @property
    def log(self) -> str:
        """What the server has written to its log."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Stops the server and waits until it has. What it kept is gone."""
        if self._child.stdin is None or self._child.stdin.closed:
            return
        self._child.stdin.close()
        try:
            self._child.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_line(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        # Whoever says nothing at all is not waited for for ever: what is read ends with the process.
        overdue = threading.Timer(_PATIENCE_S, self._child.kill)
        overdue.start()
        line = self._child.stdout.readline()
        overdue.cancel()
        if not line.endswith(b"\n"):
            code = self._child.wait()
            log = self.log
            self.close()
            raise NotStarted(f"placet ended with {code}:\n{log}")
        return json.loads(line)

    def _call(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self.http + path, data, {"Content-Type": "application/json"})
        try:
            # Not by way of a proxy: it is on this computer.
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(json.load(error)["detail"]) from None


def server(**options: Any) -> Server:
    """A fresh server, to be used in a `with`. See `Server` for the options."""
    return Server(**options)


def _find(binary: str | os.PathLike[str] | None) -> str:
    given = binary or os.environ.get("PLACET_BIN")
    found = os.fspath(given) if given else shutil.which("placet")
    if found is None:
        raise NotStarted("there is no placet on the PATH; set PLACET_BIN to where it is")
    return found


def _text(duration: DurationLike) -> str:
    if isinstance(duration, str):
        return duration
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return f"{seconds:.6f}s"


def _time(text: str) -> datetime:
    """RFC 3339 in UTC, with as many digits of a second as there are: `fromisoformat` reads them from Python 3.11 on."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    at = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return at + timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
