"""Asks a vision-language model from a thread of its own: one question at a time, no more than so many a minute."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamproc import PluginError
from streamproc.errors import redact
from streamproc_plugins.captioning.protocol import RETRIED, answer_text, refusal, request_body

if TYPE_CHECKING:
    import httpx

_FIRST_PAUSE_S = 0.5
_CONNECT_S = 5.0
_LONGEST_ANSWER = 1 << 20
"""bytes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The server, and how to ask it."""

    url: str
    """of the API, such as http://localhost:8000/v1"""
    model: str
    api_key: str
    max_tokens: int
    timeout_s: float
    """whole time for an answer, retries included"""
    per_minute: float


class Asker:
    """`ask` returns at once with a future; `close` ends the thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._closing = False
        self._under_way: tuple[asyncio.AbstractEventLoop, asyncio.Task[str]] | None = None
        self._next_s = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="streamproc-vision")

    def ask(self, prompt: str, jpegs: Sequence[bytes]) -> Future[str]:
        """The answer's text, some time; the future raises `PluginError` where there is none."""
        return self._thread.submit(self._answer, prompt, tuple(jpegs))

    def close(self) -> None:
        """Cancel the question under way and end the thread."""
        with self._lock:
            self._closing = True
            if self._under_way is not None:
                loop, task = self._under_way
                loop.call_soon_threadsafe(task.cancel)
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _answer(self, prompt: str, jpegs: tuple[bytes, ...]) -> str:
        # a loop of its own for each question: another thread can cancel a wait in a loop, but not one in a socket
        try:
            return asyncio.run(self._asked(prompt, jpegs))
        except asyncio.CancelledError:
            raise _given_up() from None

    async def _asked(self, prompt: str, jpegs: tuple[bytes, ...]) -> str:
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._closing:
                raise _given_up()
            self._under_way = asyncio.get_running_loop(), task
        try:
            return await self._until_answered(prompt, jpegs)
        finally:
            with self._lock:
                self._under_way = None

    async def _until_answered(self, prompt: str, jpegs: tuple[bytes, ...]) -> str:
        import httpx

        await asyncio.sleep(self._next_s - time.monotonic())
        self._next_s = time.monotonic() + 60 / self._address.per_minute
        body = request_body(self._address.model, prompt, jpegs, self._address.max_tokens)
        deadline, pause = time.monotonic() + self._address.timeout_s, _FIRST_PAUSE_S
        async with httpx.AsyncClient(follow_redirects=False) as client:
            while True:
                failure, wait_s = await self._attempt(client, body, deadline)
                if isinstance(failure, str):
                    return failure
                wait_s = max(wait_s, pause)
                if time.monotonic() + wait_s >= deadline:
                    raise failure
                await asyncio.sleep(wait_s)
                pause *= 2

    async def _attempt(
        self, client: httpx.AsyncClient, body: object, deadline: float
    ) -> tuple[str | PluginError, float]:
        """The answer, or the error and how long the server asks to wait; raises permanent errors."""
        import httpx

        address = self._address
        headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        left_s = max(deadline - time.monotonic(), 0.1)
        limit = httpx.Timeout(left_s, connect=min(_CONNECT_S, left_s))
        url = address.url.rstrip("/") + "/chat/completions"
        try:
            async with client.stream("POST", url, json=body, headers=headers, timeout=limit) as answer:
                content = await self._read(answer, deadline)
        except httpx.HTTPError as error:
            reason = redact(str(error)) or type(error).__name__
            return PluginError(
                f"{redact(address.url)} can't be asked ({reason}); is the server running, and `url` right?"
            ), 0.0
        if address.api_key:  # some servers repeat it in their refusal
            content = content.replace(address.api_key.encode(), b"***")
        if answer.status_code == 200:
            return answer_text(content), 0.0
        failure = refusal(answer.status_code, content)
        if answer.status_code not in RETRIED:
            raise failure
        return failure, _retry_after(answer)

    async def _read(self, answer: httpx.Response, deadline: float) -> bytes:
        """All of an answer; httpx's own limit is for each part of it, however many there are."""
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _LONGEST_ANSWER:
                raise PluginError(f"the answer has more than {_LONGEST_ANSWER:,} bytes; is `url` that of a chat API?")
            if time.monotonic() > deadline:
                raise PluginError(
                    f"the answer wasn't whole within {self._address.timeout_s:g} s; raise `answer_within`, or lower "
                    "`max_tokens`"
                )
        return bytes(content)


def _given_up() -> PluginError:
    return PluginError("the question was given up: the plugin is being closed")


def _retry_after(answer: httpx.Response) -> float:
    try:
        wait_s = float(answer.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0  # a date: the next pause will do
    return max(wait_s, 0.0) if math.isfinite(wait_s) else 0.0
