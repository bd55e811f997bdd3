"""A server on loopback that speaks as much of the chat protocol as `vision_language` asks for."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


@dataclass
class VisionServer:
    """What it was asked, and what it answers: the replies in turn, then `This is answer N.` or always one text."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    replies: deque[Reply] = field(default_factory=deque)
    text: str = ""
    before: Callable[[], None] = lambda: None
    """called before each answer"""
    trickle: bool = False
    """answer byte by byte, and never to the end"""

    def reply(self) -> Reply:
        """The next answer."""
        if self.replies:
            return self.replies.popleft()
        return 200, completion(self.text or f"This is answer {len(self.asked)}.")


def completion(text: Any) -> dict[str, Any]:
    """The JSON of a chat completion."""
    return {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}


@contextmanager
def vision_server(given: VisionServer | None = None) -> Iterator[VisionServer]:
    """A running server."""
    state = given or VisionServer()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.keys.append(self.headers.get("Authorization", ""))
            state.asked.append({"path": self.path, **json.loads(body)})
            state.before()
            status, content, *more = state.reply()
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            with contextlib.suppress(OSError):  # nobody may listen any more
                self.end_headers()
                while state.trickle and not ended.wait(0.05):
                    self.wfile.write(b" ")
                self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="vision-server")
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
