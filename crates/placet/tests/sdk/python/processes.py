"""Programs that a test starts, watches and kills."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[4] / "examples" / "python-human-interaction"


class Process:
    """A program, with all that it prints in one file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None):
        self.log_path = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            )

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def kill(self) -> None:
        """As the power cut does it."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> int:
        """Asks it to end, and tells the exit code."""
        if self.is_running:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop when asked to:\n{self.log}") from None


def python(script: Path, log: Path, env: dict[str, str]) -> Process:
    """A Python program, with this interpreter and its packages."""
    return Process([sys.executable, str(script)], log, env)


def free_port() -> int:
    """A port that nobody listens on now, for programs that cannot be told to choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
