"""MJPEG that a camera pushes over HTTP: live pictures with the time of their arrival."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from queue import Empty, Queue

import pytest

from streamproc.errors import SourceLost
from streamproc.sources.file import FileOptions, FileSource
from tests.videos import context, frames_of, number_of, numbered


class Camera:
    """Greets who connects with a picture or two, then sends one for each call of `show` to who connected last."""

    def __init__(self) -> None:
        self.pictures: Queue[bytes | None] = Queue()
        self.connections = 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Write nothing."""

            def do_GET(self) -> None:
                camera.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):
                    camera.serve(self.wfile.write, camera.connections)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/video"
        self._thread = threading.Thread(target=self.server.serve_forever, name="camera")
        self._thread.start()

    def serve(self, write: Callable[[bytes], object], connection: int) -> None:
        for _ in range(2):
            write(part(jpeg(0)))
        while connection == self.connections:
            try:
                data = self.pictures.get(timeout=0.02)
            except Empty:
                continue
            if connection != self.connections:
                self.pictures.put(data)  # it was meant for who connected since
                return
            if data is None:
                return
            write(part(data))

    def show(self, number: int) -> None:
        self.pictures.put(jpeg(number))

    def end(self) -> None:
        """Close the connection of who watches."""
        self.pictures.put(None)

    def close(self) -> None:
        self.connections += 1
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def jpeg(number: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", numbered(number))[1].tobytes()


def part(data: bytes) -> bytes:
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"


@pytest.fixture
def camera() -> Iterator[Camera]:
    served = Camera()
    try:
        yield served
    finally:
        served.close()


def test_pushed_pictures_have_their_arrival_time(camera: Camera) -> None:
    source = FileSource(FileOptions(path=camera.url))
    info = source.open(context())
    assert info.live
    assert info.rate is None
    frames = frames_of(source, info)
    last_ns = next(frames).pts_ns or 0
    next(frames)
    for number in range(500, 504):
        before_ns, before_utc_ns = time.monotonic_ns(), time.time_ns()
        camera.show(number)
        decoded = next(frames)
        assert number_of(decoded.picture.to_gray()) == number
        assert max(before_ns, last_ns) < (decoded.pts_ns or 0) <= time.monotonic_ns()
        assert before_utc_ns <= (decoded.captured_ns or 0) <= time.time_ns()
        last_ns = decoded.pts_ns or 0
    camera.end()
    with pytest.raises(SourceLost, match="has ended"):
        list(frames)
    source.close()
    info = source.open(context())
    assert info.live
    assert len(list(islice(frames_of(source, info), 2))) == 2
    source.close()
    camera.close()
    with pytest.raises(SourceLost, match="takes no connection"):
        source.open(context())
    source.close()
