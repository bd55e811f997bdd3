"""Server programs that tests start: on loopback, with a log, and gone when the test run is."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

STOP_LIMIT_S = 30.0
POLL_S = 0.05


class Server:
    """A child process whose output goes to a file."""

    def __init__(self, command: Sequence[str], log: Path, *, cwd: Path | None = None) -> None:
        self.log = log
        # where util-linux is, the kernel ends the server even if the test run is killed
        tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*tied, *command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )

    def terminate(self) -> None:
        """SIGTERM, then SIGKILL if that isn't enough."""
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def failure(self, what: str) -> RuntimeError:
        """An error that shows the end of the log."""
        output = self.log.read_text(errors="replace")[-4000:]
        return RuntimeError(f"{what} (exit status {self.process.poll()}); the end of {self.log.name}:\n{output}")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    return ports


def wait_for_port(server: Server, port: int, limit_s: float) -> None:
    """Return once `server` takes connections; raise with its log if it ends or takes too long."""
    give_up = time.monotonic() + limit_s
    while time.monotonic() < give_up:
        if server.process.poll() is not None:
            raise server.failure("the server ended while it was starting")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
    server.kill()
    raise server.failure(f"the server took no connection within {limit_s:.0f} s")
