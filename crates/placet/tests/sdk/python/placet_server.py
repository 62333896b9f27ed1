"""A Placet of the test's own, which can be killed and started again on the same data and the same ports."""

import json
import os
from pathlib import Path

from processes import Process
from waiting import eventually


class PlacetServer:
    """`placet` with all its roles. `grpc` and `http` are its addresses once it has started."""

    def __init__(self, folder: Path, binary: str | None = None):
        self._binary = binary or os.environ.get("PLACET_BIN")
        if not self._binary:
            raise RuntimeError("PLACET_BIN must name the placet binary; `cargo xtask test --only python` sets it")
        self._folder = folder
        self._grpc_addr = self._http_addr = "127.0.0.1:0"
        self._process: Process | None = None
        self.grpc = self.http = ""

    def start(self) -> "PlacetServer":
        ready = self._folder / "ready.json"
        ready.unlink(missing_ok=True)
        self._process = Process(
            [
                self._binary,
                *("--data-dir", str(self._folder / "data")),
                *("--grpc-addr", self._grpc_addr),
                *("--http-addr", self._http_addr),
                *("--ready-file", str(ready)),
            ],
            self._folder / "placet.log",
        )
        eventually(lambda: ready.exists() or not self._process.is_running, "the server is ready")
        if not ready.exists():
            raise AssertionError(f"the server ended at once:\n{self.log}")
        addresses = json.loads(ready.read_text())
        self.grpc, self.http = addresses["grpc"], addresses["http"]
        # The next start takes the same ports, so that clients and workers find it again.
        self._grpc_addr, self._http_addr = _host_and_port(self.grpc), _host_and_port(self.http)
        return self

    def kill(self) -> None:
        """As the power cut does it."""
        self._process.kill()

    def stop(self) -> None:
        """Asks it to end; it must do so in good order."""
        code = self._process.stop()
        assert code == 0, f"the server ended with {code}:\n{self.log}"

    def close(self) -> None:
        if self._process is not None and self._process.is_running:
            self._process.kill()

    @property
    def log(self) -> str:
        return self._process.log


def _host_and_port(url: str) -> str:
    return url.split("://", 1)[1].rstrip("/")
