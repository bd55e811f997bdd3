"""`streamproc.run_async`: the same records for `async for`, and an event loop that goes on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import streamproc
from streamproc import ConfigError, RunError, StreamprocError
from tests.engine.feeds import Feed
from tests.engine.plugins import Measure
from tests.engine.test_library import engine_threads, feed


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Feed.reset()
    yield
    assert list(tmp_path.iterdir()) == []


async def ended() -> None:
    """Wait until no thread of an engine is left: a bare `break` ends a run a little later."""
    async with asyncio.timeout(30):
        while engine_threads():
            await asyncio.sleep(0)


def test_the_records_are_those_of_a_loop() -> None:
    async def loop() -> list[int]:
        return [record.index async for record in streamproc.run_async(feed(20), [Measure])]

    assert asyncio.run(loop()) == list(range(20))
    assert engine_threads() == []


def test_other_tasks_get_their_turn() -> None:
    turns = 0

    async def ticker() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def loop() -> list[int]:
        task = asyncio.create_task(ticker())
        found: list[int] = []
        async for record in streamproc.run_async(feed(20), [Measure]):
            assert turns > len(found)  # at least one between any two records
            found.append(record.index)
        task.cancel()
        return found

    assert asyncio.run(loop()) == list(range(20))


def test_break_ends_everything() -> None:
    async def loop() -> None:
        async with aclosing(streamproc.run_async(feed(None), [Measure])) as records:  # type: ignore[type-var]
            async for record in records:
                if record.index == 3:
                    break
        assert engine_threads() == []
        async for record in streamproc.run_async(feed(None, feed="other"), [Measure]):
            if record.index == 3:
                break
        del record
        await ended()

    asyncio.run(loop())


@pytest.mark.parametrize("silent", [False, True])
def test_a_cancelled_task_ends_everything(silent: bool) -> None:
    """Inside the loop's body, and while the loop waits for a camera that is silent."""

    async def loop() -> None:
        reached = asyncio.Event()

        async def watch() -> None:
            source = feed(2, silent=True, live=True) if silent else feed(None)
            async for record in streamproc.run_async(source, [Measure]):
                if record.index == 1:
                    reached.set()
                    if not silent:
                        await asyncio.Event().wait()

        task = asyncio.create_task(watch())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended()

    asyncio.run(loop())


def test_pixels_are_freed_after_each_step() -> None:
    async def loop() -> list[Any]:
        return [record.frame async for record in streamproc.run_async(feed(2), [Measure])]

    first, _ = asyncio.run(loop())
    with pytest.raises(StreamprocError, match="pixels of this frame are freed"):
        _ = first.rgb


def test_mistakes_are_reported_at_the_call() -> None:
    with pytest.raises(ConfigError, match="did you mean 'motion'"):
        streamproc.run_async(feed(2), ["motoin"])


def test_failures_are_raised_at_the_end() -> None:
    async def loop() -> None:
        async for _ in streamproc.run_async("nowhere.mp4", [Measure]):
            pass

    with pytest.raises(RunError, match=r"nowhere\.mp4"):
        asyncio.run(loop())


def test_several_runs_interleave() -> None:
    async def count(name: str, frames: int) -> int:
        return len([record async for record in streamproc.run_async(feed(frames, feed=name), [Measure])])

    async def both() -> list[int]:
        return list(await asyncio.gather(count("a", 20), count("b", 30)))

    assert asyncio.run(both()) == [20, 30]
