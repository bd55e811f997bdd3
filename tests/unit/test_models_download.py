"""Downloads against a real server on loopback: whole, cut, wrong, absent, unreachable."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamproc.errors import ChecksumError, DownloadError, ModelNotFound
from streamproc.models import ModelEntry, ModelStore, download
from streamproc.models.entries import ModelFile

BODY = bytes(range(256)) * 1000
SHA = hashlib.sha256(BODY).hexdigest()


class Shop(ThreadingHTTPServer):
    """Serves `content`, with faults on demand, and remembers the Range of every request."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.content = BODY
        self.cut_after: list[int] = []
        """bytes after which the next answers break off, one for each request"""
        self.ranges: list[str | None] = []
        self.knows_ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/net.onnx"


class Counter(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.path != "/net.onnx":
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        start = int(match[1]) if match and self.server.knows_ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}"
            )
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after.pop(0)] if self.server.cut_after else body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def entry_for(url: str | None, sha256: str | None = SHA, size: int | None = len(BODY)) -> ModelEntry:
    return ModelEntry(
        name="tiny",
        task="test",
        runtime="onnx",
        files=(ModelFile(name="net.onnx", url=url, sha256=sha256, bytes=size),),
    )


def fetch(entry: ModelEntry, folder: Path) -> Path:
    return download.fetch(entry, entry.files[0], folder / "net.onnx")


def test_download_reports_progress_and_leaves_nothing_else(shop: Shop, tmp_path: Path) -> None:
    entry, reports = entry_for(shop.url), []
    path = download.fetch(
        entry, entry.files[0], tmp_path / "net.onnx", lambda name, done, total: reports.append((name, done, total))
    )
    assert path.read_bytes() == BODY
    assert reports[-1] == ("net.onnx", len(BODY), len(BODY))
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["net.onnx"]


def test_interrupted_download_continues_at_its_place(shop: Shop, tmp_path: Path) -> None:
    shop.cut_after = [100_000, 50_000]
    assert fetch(entry_for(shop.url), tmp_path).read_bytes() == BODY
    assert shop.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_files_of_an_earlier_run_are_continued(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").write_bytes(BODY[:70_000])
    assert fetch(entry_for(shop.url), tmp_path).read_bytes() == BODY
    assert shop.ranges == ["bytes=70000-"]


def test_server_without_ranges_sends_the_file_again(shop: Shop, tmp_path: Path) -> None:
    shop.knows_ranges = False
    (tmp_path / "net.onnx.part").write_bytes(b"x" * 70_000)
    assert fetch(entry_for(shop.url), tmp_path).read_bytes() == BODY


def test_a_spoilt_beginning_is_fetched_again(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").write_bytes(b"x" * 70_000)
    assert fetch(entry_for(shop.url), tmp_path).read_bytes() == BODY
    assert shop.ranges == ["bytes=70000-", None]


def test_connection_that_brings_nothing_is_abandoned(shop: Shop, tmp_path: Path) -> None:
    shop.cut_after = [1000] + [0] * 20
    with pytest.raises(DownloadError, match=r"breaks off after 1000 of 256000 bytes.*models pull tiny"):
        fetch(entry_for(shop.url), tmp_path)
    assert (tmp_path / "net.onnx.part").stat().st_size == 1000, "stored for the next try"


def test_a_wrong_checksum_is_refused_and_thrown_away(shop: Shop, tmp_path: Path) -> None:
    shop.content = b"?" * len(BODY)
    with pytest.raises(ChecksumError, match=f"expected {SHA}"):
        fetch(entry_for(shop.url), tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == []


def test_body_longer_than_stated_is_refused(shop: Shop, tmp_path: Path) -> None:
    shop.content = BODY * 3
    with pytest.raises(ChecksumError, match="more than the 256000 bytes"):
        fetch(entry_for(shop.url), tmp_path)


def test_a_missing_file_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"404.*STREAMPROC_MODELS"):
        fetch(entry_for(shop.url + ".gone"), tmp_path)


def test_a_refused_connection_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # bound but not listening: refuses
        with pytest.raises(DownloadError, match=r"tiny isn't on this machine and 127\.0\.0\.1 can't be reached"):
            fetch(entry_for(f"http://127.0.0.1:{port}/net.onnx"), tmp_path)


@pytest.mark.leaves_threads  # a resolver without an answer can't be ended before its own time is over
def test_unresolvable_name_says_what_to_do(tmp_path: Path) -> None:
    # .invalid never resolves (RFC 2606)
    with pytest.raises(DownloadError, match=r"host\.invalid can't be reached.*put net\.onnx into a folder"):
        fetch(entry_for("http://host.invalid/net.onnx"), tmp_path)


def test_password_in_an_address_is_masked(shop: Shop, tmp_path: Path) -> None:
    secret = shop.url.replace("http://", "http://bob:hunter2@") + ".gone?token=s3cr3t"
    with pytest.raises(DownloadError) as caught:
        fetch(entry_for(secret), tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_model_without_address_must_be_in_a_mirror(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no public address.*STREAMPROC_MODELS"):
        fetch(entry_for(None), tmp_path)


def test_unwritable_cache_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").mkdir()
    with pytest.raises(DownloadError, match=r"net\.onnx can't be written .*STREAMPROC_CACHE"):
        fetch(entry_for(shop.url), tmp_path)


def test_two_threads_download_once(shop: Shop, tmp_path: Path) -> None:
    entry = entry_for(shop.url)
    threads = [threading.Thread(target=fetch, args=(entry, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shop.ranges) == 1


def test_store_without_downloads_fails_without_network(tmp_path: Path) -> None:
    store = ModelStore(mirrors=(), cache=tmp_path, download=False)
    with pytest.raises(ModelNotFound, match=r"yolox-nano isn't on this machine.*streamproc models pull yolox-nano"):
        store.load("yolox-nano")
