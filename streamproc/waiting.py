"""Calls of `async def` methods: they run on one event loop of the process while the calling thread waits."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from streamproc.errors import PluginError

_ASYNC = ("open", "process", "on_time", "flush", "close")


class _Loop:
    """The event loop of the process; it runs while a plugin with `async def` methods is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def retain(self) -> None:
        """Count a user of the loop, as clients such as `httpx.AsyncClient` are bound to one loop."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Remove a user of the loop; the last one ends it."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._running is None:
                return
            (loop, thread), self._running = self._running, None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, started if it doesn't run."""
        with self._lock:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="streamproc-asyncio", daemon=True)
                self._running = (loop, thread)
                thread.start()
            return self._running[0]


_LOOP = _Loop()


def opened(plugin: object) -> None:
    """Run the event loop until `closed` if methods of this plugin are `async def`; call it before `open`."""
    if _waits(plugin):
        _LOOP.retain()


def closed(plugin: object) -> None:
    """Release the event loop of a closed plugin."""
    if _waits(plugin):
        _LOOP.release()


def _waits(plugin: object) -> bool:
    return any(is_async(getattr(plugin, name, None)) for name in _ASYNC)


def is_async(function: Any) -> bool:
    """Return whether a method is `async def`, as a coroutine or a generator."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def finished(value: Any, limit_s: float | None = None) -> Any:
    """Return `value`, awaited if needed: the result of a coroutine, the items of an asynchronous generator.

    Raises:
        PluginError: it took longer than `limit_s`, and was cancelled.
    """
    if inspect.isasyncgen(value):
        value = _collected(value)
    if not inspect.isawaitable(value):
        return value
    future = asyncio.run_coroutine_threadsafe(_awaited(value), _LOOP.get())
    try:
        return future.result(limit_s)
    except FutureTimeout:
        if future.done():  # it raised a TimeoutError of its own
            raise
        future.cancel()
        raise PluginError(f"gave no answer within {limit_s:g} s, and was cancelled; raise its timeout") from None


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


__all__ = ["closed", "finished", "is_async", "opened"]
