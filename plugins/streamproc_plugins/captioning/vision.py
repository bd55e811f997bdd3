"""`vision_language`: windows of time described by a vision-language model behind an HTTP address."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from streamproc import (
    Caption,
    Detections,
    Duration,
    Event,
    Faces,
    Field,
    Frame,
    MissingInput,
    Moment,
    Options,
    Output,
    PluginContext,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
    seconds,
)
from streamproc.errors import redact
from streamproc.secrets import address_mistake
from streamproc_plugins.captioning.asking import Address, Asker
from streamproc_plugins.captioning.pictures import hidden
from streamproc_plugins.captioning.plugin import TYPE
from streamproc_plugins.captioning.windows import Window, window_at
from streamproc_plugins.jpeg import to_jpeg

PROMPT = (
    "These pictures were taken by one camera, in this order. Say in one or two plain sentences what they show and what "
    "happens. Parts may have been made unrecognisable on purpose: don't mention it."
)


class VisionLanguageOptions(Options):
    """Options of `vision_language`."""

    url: str = Field(description="address of an OpenAI-compatible API, such as http://localhost:8000/v1")
    model: str = Field(min_length=1, description="the model's name at that server")
    api_key: str = Field("", description="sent as a bearer token; write it as ${NAME}")
    prompt: str = Field(PROMPT, min_length=1, description="question about the pictures")
    every: Duration = Field(seconds(30), gt=0, le=seconds(86400), description="media time that one caption describes")
    pictures: int = Field(2, ge=1, le=8, description="pictures sent for each caption, spread evenly over its time")
    longest_side: int = Field(768, ge=64, le=2048, description="pixels; larger pictures are made smaller")
    hide: tuple[Literal["people", "faces"], ...] = Field(
        ("people", "faces"),
        description="made unrecognisable before a picture leaves this machine, by the detections, tracks and faces of "
        "plugins before; where those are missing nothing is sent; []: pictures go as they are",
    )
    max_tokens: int = Field(120, ge=8, le=4096, description="most tokens of an answer")
    per_minute: float = Field(20, ge=4, le=600, description="most requests in a minute of real time")
    answer_within: Duration = Field(
        seconds(40), gt=0, description="real time for an answer, retries included; less than the plugin's own `timeout`"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{redact(url)!r} is no HTTP address; expected one such as http://localhost:8000/v1")
        if mistake := address_mistake(url):
            raise ValueError(mistake)
        return url


@dataclass(slots=True)
class _Gathered:
    """The pictures of a window so far."""

    window: Window
    start_ns: int
    """the window's, or that of the shot that began within it"""
    jpegs: list[bytes] = field(default_factory=list)
    taken_ns: list[int] = field(default_factory=list)
    """media time of each"""
    end_ns: int = 0
    """where it really ended, once it did"""

    def state(self) -> dict[str, Any]:
        """JSON values for `of`."""
        packed = [base64.b64encode(data).decode() for data in self.jpegs]
        return {
            "window_ns": self.window.start_ns, "start_ns": self.start_ns, "end_ns": self.end_ns, "jpegs": packed,
            "taken_ns": list(self.taken_ns),
        }  # fmt: skip

    @classmethod
    def of(cls, state: Mapping[str, Any], length_ns: int) -> _Gathered:
        """The value from `state`."""
        jpegs = [base64.b64decode(data) for data in state["jpegs"]]
        window = window_at(state["window_ns"], length_ns)
        return cls(window, state["start_ns"], jpegs, list(state["taken_ns"]), state["end_ns"])


class VisionLanguage(StreamPlugin[VisionLanguageOptions]):
    """Has a vision-language model describe each window of time: one `caption` event, and `Caption` for `annotate`.

    Where `shots` stands before, a window ends at a cut, too, and another begins.

    A thread of its own asks while the stream goes on. A recording waits for each answer before the next question,
    and emits it at the same frame in every run; a live stream emits it as soon as possible, and leaves a window out
    while it waits for the last answer.
    """

    pixels = True
    uses = (Detections, Tracks, Faces)
    gives = (Caption,)

    def open(self, context: PluginContext) -> None:
        """Start the thread that asks; nothing is sent yet."""
        options = self.options
        self._asker = Asker(
            Address(
                url=options.url, model=options.model, api_key=options.api_key, max_tokens=options.max_tokens,
                timeout_s=options.answer_within / 1e9, per_minute=options.per_minute,
            )
        )  # fmt: skip
        self._live = context.stream.live
        self._log = context.log
        self._cut_ns = 0
        self._gathered: _Gathered | None = None
        self._asked: tuple[_Gathered, Future[str]] | None = None
        self._last = ""
        self._skipped = 0

    def process(self, frame: Frame, past: Results) -> Output:
        """The model's answer about an earlier window; takes a picture where one is due."""
        out: list[Any] = list(self._advance(frame.pts_ns))
        window = window_at(frame.pts_ns, self.options.every)
        if self._gathered is None:
            self._gathered = _Gathered(window, max(window.start_ns, self._cut_ns))
        part_ns = (window.end_ns - self._gathered.start_ns) // self.options.pictures
        due_ns = self._gathered.start_ns + len(self._gathered.jpegs) * part_ns
        if len(self._gathered.jpegs) < self.options.pictures and frame.pts_ns >= due_ns:
            try:
                self._gathered.jpegs.append(self._picture(frame, past))
                self._gathered.taken_ns.append(frame.pts_ns)
            except MissingInput:
                if not out:  # else the answer would be lost with it; the next frame says it, too
                    raise
        if self._last:
            out.append(Caption(text=self._last))
        return out

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End a window at a cut, since the next pictures show another scene; a live one also without a frame."""
        if reason == "cut":
            return list(self._at_cut(moment.pts_ns))
        return list(self._advance(moment.pts_ns)) if self._live else []

    def flush(self, moment: Moment) -> Output:
        """Ask about the last window, and wait for every answer."""
        return [*self._ask(moment.pts_ns), *self._answered(wait=True)]

    def close(self) -> None:
        """End the thread at once, cancel a pending request and log that."""
        asker = getattr(self, "_asker", None)
        if asker is None:
            return
        if self._asked is not None and not self._asked[1].done():
            self._log.warning(
                "closed before the model answered: a window has no caption start_ns=%d end_ns=%d",
                self._asked[0].start_ns,
                self._asked[0].end_ns,
            )
        asker.close()

    def state(self) -> Mapping[str, Any]:
        """The pictures gathered so far, and those without an answer yet, which are sent again."""
        return {
            "last": self._last,
            "gathered": None if self._gathered is None else self._gathered.state(),
            "asked": None if self._asked is None else self._asked[0].state(),
            "cut_ns": self._cut_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._last, self._cut_ns = state["last"], state["cut_ns"]
        gathered, asked = (
            None if state[key] is None else _Gathered.of(state[key], self.options.every)
            for key in ("gathered", "asked")
        )
        self._gathered = gathered
        self._asked = None if asked is None else (asked, self._asker.ask(self.options.prompt, asked.jpegs))

    def _advance(self, now_ns: int) -> Iterator[Event]:
        """Ask about a window that is over; on a live stream, emit an answer that arrived meanwhile."""
        window = window_at(now_ns, self.options.every)
        if self._gathered is not None and self._gathered.window != window:
            yield from self._ask(window.start_ns)
        if self._live:
            yield from self._answered(wait=False)

    def _at_cut(self, cut_ns: int) -> Iterator[Event]:
        """Ask about the window so far at a cut, without pictures of the new shot."""
        self._cut_ns = cut_ns
        if self._gathered is None or cut_ns <= self._gathered.start_ns:
            return
        before = sum(at_ns < cut_ns for at_ns in self._gathered.taken_ns)
        del self._gathered.jpegs[before:], self._gathered.taken_ns[before:]
        yield from self._ask(cut_ns)

    def _picture(self, frame: Frame, past: Results) -> bytes:
        boxes: list[NDArray[np.float32]] = []
        if "people" in self.options.hide:
            boxes += _boxes("people", past.all(Detections))  # tracks are detections, too
        if "faces" in self.options.hide:
            boxes += _boxes("faces", past.all(Faces))
        return to_jpeg(hidden(frame.rgb, boxes), self.options.longest_side)

    def _ask(self, end_ns: int) -> Iterator[Event]:
        """Send the gathered pictures; before that, emit the last answer."""
        gathered, self._gathered = self._gathered, None
        try:
            yield from self._answered(wait=not self._live)
        finally:  # an answer that failed costs its own caption only
            if gathered is not None and gathered.jpegs:
                self._send(gathered, min(end_ns, gathered.window.end_ns))

    def _send(self, gathered: _Gathered, end_ns: int) -> None:
        if self._asked is None:
            gathered.end_ns = end_ns
            self._asked = (gathered, self._asker.ask(self.options.prompt, gathered.jpegs))
            return
        self._skipped += 1
        if self._skipped in (1, 10, 100) or self._skipped % 1000 == 0:
            self._log.warning(
                "a window has no caption, since the answer before is awaited start_ns=%d total=%d",
                gathered.start_ns,
                self._skipped,
            )

    def _answered(self, *, wait: bool) -> Iterator[Event]:
        if self._asked is None or not (wait or self._asked[1].done()):
            return
        (gathered, future), self._asked = self._asked, None
        start_ns, end_ns = gathered.start_ns, gathered.end_ns
        self._last = future.result()
        yield Event(
            type=TYPE,
            phase="instant",
            start_ns=start_ns,
            end_ns=max(end_ns, start_ns),
            episode=f"w{gathered.window.number}",
            data={"text": self._last, "model": self.options.model},
        )


def _boxes(what: str, found: Mapping[str, Detections | Faces]) -> list[NDArray[np.float32]]:
    """Boxes of the objects to hide; `MissingInput` without a plugin that detects them."""
    if not found:
        kind = "Faces" if what == "faces" else "Detections or Tracks"
        raise MissingInput(
            f"no plugin before it gave {kind} for this frame, so {what} can't be hidden and nothing is sent; put such "
            f"a plugin before it, or take {what} out of `hide` (behind `blur` they are hidden already)"
        )
    return [result.xyxy for result in found.values()]


__all__ = ["VisionLanguage", "VisionLanguageOptions"]
