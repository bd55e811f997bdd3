"""Plugins that wait for a service: they cost their neighbours no frame, declared or not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from streamproc import (
    Caption,
    Event,
    Field,
    Frame,
    FramePlugin,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
)
from streamproc.config.plan import Plan, PluginPlan
from streamproc.engine import Engine
from streamproc.shared import SharedObjects
from streamproc.testing import make_frames, make_plan, plugin_plan, run_chain, run_plugin
from tests.engine.running import run_engine

FRAMES = 30


class Service:
    """An HTTP service that answers nobody before as many have asked as it waits for."""

    def __init__(self) -> None:
        self.asked = 0
        self.together = threading.Condition()
        self.released = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with service.together:
                    service.asked += 1
                    service.together.notify_all()
                service.released.wait(60)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def wait_for(self, count: int) -> None:
        with self.together:
            assert self.together.wait_for(lambda: self.asked >= count, 60)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


class AskOptions(Options):
    url: str = Field(description="address of the service")


class Ask(FramePlugin[AskOptions]):
    """Asks and waits, without a word of it."""

    gives = (Caption,)

    def open(self, context: PluginContext) -> None:
        self.client = httpx.Client(timeout=60)

    def process(self, frame: Frame, past: Results) -> Output:
        return [Caption(text=self.client.get(self.options.url).text)]

    def close(self) -> None:
        self.client.close()


class AskDeclared(Ask):
    waits: ClassVar[bool] = True


class AskAsync(FramePlugin[AskOptions]):
    gives = (Caption,)

    async def open(self, context: PluginContext) -> None:  # type: ignore[override]
        self.client = httpx.AsyncClient(timeout=60)

    async def process(self, frame: Frame, past: Results) -> Output:
        answer = await self.client.get(self.options.url)
        return [Caption(text=answer.text)]

    async def close(self) -> None:  # type: ignore[override]
        await self.client.aclose()


class Count(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "frame.counted")


def two_streams(chain: list[PluginPlan], state: Path, frames: int) -> Plan:
    asking = make_plan(chain, make_frames(frames), state=state, workers=2, name="asking")
    other = make_plan([plugin_plan(Count)], make_frames(FRAMES), state=state, workers=2, name="other")
    return replace(asking, streams=(*asking.streams, *other.streams))


@pytest.mark.parametrize("cls", [Ask, AskDeclared, AskAsync])
def test_waiting_calls_leave_the_workers_to_others(cls: type[Any], service: Service, tmp_path: Path) -> None:
    engine = Engine(two_streams([plugin_plan(cls, url=service.url)], tmp_path, 4))

    def meanwhile(engine: Engine) -> None:
        service.wait_for(3)  # more calls wait than there are workers
        pause = threading.Event()
        while sum(stream.ledger.total("processed") for stream in engine.report().streams) < FRAMES:
            pause.wait(0.01)
        service.released.set()

    report = run_engine(engine, meanwhile)
    assert [stream.ledger.total("processed") for stream in report.streams] == [4, FRAMES]
    assert report.exit_code == 0


def test_async_results_keep_the_order_of_frames(service: Service) -> None:
    service.released.set()
    run = run_chain([plugin_plan(AskAsync, url=service.url), plugin_plan(Count)], make_frames(20), watch=AskAsync)
    assert [found.text for found in run.all(Caption)] == ["ok"] * 20
    assert [event.frame_index for event in run.events] == list(range(20))


class Streams(FramePlugin[Options]):
    """An asynchronous generator."""

    async def process(self, frame: Frame, past: Results) -> Any:
        yield Event.instant(frame, "frame.first")
        yield Event.instant(frame, "frame.second")


class OrderedAsync(StreamPlugin[Options]):
    async def process(self, frame: Frame, past: Results) -> Output:
        return [Event.instant(frame, "frame.seen", before=[event.type for event in past.events])]

    async def flush(self, moment: Any) -> Output:
        return [Event(type="stream.over", phase="instant", start_ns=0, end_ns=0)]


def test_every_kind_of_async_call_is_awaited() -> None:
    run = run_chain([plugin_plan(Streams), plugin_plan(OrderedAsync)], make_frames(2))
    assert run.types == ["frame.first", "frame.second", "frame.seen"] * 2 + ["stream.over"]
    assert run_plugin(Streams, make_frames(1)).types == ["frame.first", "frame.second"]


class Never(FramePlugin[Options]):
    cancelled: ClassVar[list[int]] = []

    async def process(self, frame: Frame, past: Results) -> Output:
        import asyncio

        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(frame.index)
            raise
        return []


def test_an_async_call_is_cancelled_at_its_timeout() -> None:
    Never.cancelled.clear()
    never = plugin_plan(Never, settings={"timeout_ns": 50_000_000, "max_failures": 3})
    run = run_chain([never, plugin_plan(Count)], make_frames(5))
    (stream,) = run.report.streams
    assert stream.plugins[0].verdicts == {"failed": 3, "off": 2}
    assert "gave no answer within 0.05 s" in stream.plugins[0].off
    assert sorted(Never.cancelled)[:3] == [0, 1, 2]
    assert stream.ledger.total("processed") == 5
    assert run.report.abandoned == ()


class Weights:
    """Stands for weights that take long to load."""


class Loads(FramePlugin[Options]):
    made: ClassVar[list[Weights]] = []

    def open(self, context: PluginContext) -> None:
        def make() -> Weights:
            self.made.append(Weights())
            return self.made[-1]

        self.weights = context.shared("weights", make)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "weights.used", which=self.made.index(self.weights))


def test_shared_objects_are_made_once_for_all_streams(tmp_path: Path) -> None:
    Loads.made.clear()
    plan = make_plan([plugin_plan(Loads)], make_frames(2), state=tmp_path)
    streams = tuple(replace(plan.streams[0], name=f"s{n}") for n in range(8))
    assert run_engine(Engine(replace(plan, streams=streams))).exit_code == 0
    assert len(Loads.made) == 1


def test_shared_object_is_made_again_after_a_failure() -> None:
    shared, tries = SharedObjects(), []

    def make() -> list[int]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no network")
        return tries

    with pytest.raises(OSError, match="no network"):
        shared.get("key", make)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shared.get("key", make), range(8)))
    assert len(tries) == 2
    assert all(each is tries for each in found)
