"""A real RTSP server for tests (GStreamer's), with patterns of known content or a looped clip.

Needs the system packages that `make deps` installs on Debian and Ubuntu.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.machine import NO_RTSP_SERVER
from tests.servers.process import Server, free_ports, wait_for_port

PYTHON = "/usr/bin/python3"
"""the system's own: `gi` belongs to it and not to virtual environments"""
PROGRAM = Path(__file__).with_name("rtsp_server.py")
START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A live `videotestsrc` pattern: `smpte` (colour bars), `ball`, `white`, `red`, `snow` ..."""

    name: str
    pattern: str = "smpte"
    codec: Literal["h264", "mjpeg"] = "h264"
    size: tuple[int, int] = (320, 240)
    """width, height"""
    rate: int = 15
    kind: str = "pattern"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """An Annex-B H.264 file (access unit delimiters, no B-frames) repeated for ever at `rate` pictures a second."""

    name: str
    path: str
    rate: int
    kind: str = "loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What clients have to know."""

    user: str
    password: str
    digest: bool = False


class RtspServer:
    """One server on a port of its own, which it keeps when started again."""

    def __init__(self, folder: Path, mounts: tuple[Pattern | Loop, ...], login: Login | None) -> None:
        (self.port,) = free_ports(1)
        self.login = login
        self._log = folder / f"rtsp-{self.port}.log"
        secrets = {} if login is None else asdict(login)
        self._spec = json.dumps({"port": self.port, "mounts": [asdict(mount) for mount in mounts], **secrets})
        self._server: Server | None = None

    def url(self, name: str, *, login: bool = True) -> str:
        """The address of a mount, with user and password where the server asks for them."""
        who = f"{self.login.user}:{self.login.password}@" if login and self.login else ""
        return f"rtsp://{who}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it, again too, and wait until it takes connections."""
        self._server = Server([PYTHON, str(PROGRAM), self._spec], self._log)
        wait_for_port(self._server, self.port, START_LIMIT_S)

    def stop(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.process.send_signal(signal.SIGCONT)
            self._server.terminate()
            self._server = None

    def freeze(self) -> None:
        """Let it hang: connections stay, nothing comes any more."""
        assert self._server is not None, "start the server first"
        self._server.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        assert self._server is not None, "start the server first"
        self._server.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="session")
def _rtsp_ready() -> None:
    needed = "import gi\nfor m in ('Gst', 'GstRtspServer'): gi.require_version(m, '1.0')\n"
    needed += "from gi.repository import Gst\nGst.init(None)\n"
    needed += "assert all(Gst.ElementFactory.find(e) for e in ('x264enc', 'rtph264pay', 'h264parse', 'jpegenc'))"
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", needed], capture_output=True, check=False).returncode:
        pytest.skip(f"{NO_RTSP_SERVER} (or a plugin of it): `make deps` installs it on Debian and Ubuntu")


@pytest.fixture
def rtsp(_rtsp_ready: None, tmp_path: Path) -> Iterator[Callable[..., RtspServer]]:
    """Call it with mounts (and `login=`) to get a running server, which is stopped at the end."""
    with ExitStack() as stack:

        def serve(*mounts: Pattern | Loop, login: Login | None = None) -> RtspServer:
            server = RtspServer(tmp_path, mounts, login)
            stack.callback(server.stop)
            server.start()
            return server

        yield serve
