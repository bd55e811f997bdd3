"""Guarded calls of plugins: exhaust and check the output, and turn every exception into an outcome."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from streamproc.blame import author_frame
from streamproc.errors import MissingInput, PluginError, describe, redact
from streamproc.events import Event
from streamproc.plugin import AnyPlugin, Output
from streamproc.results import Result

Verdict = Literal["ok", "failed", "missing", "off", "hung"]

MOST_ITEMS = 10_000
"""results and events that one call may give: a generator without end must not eat the memory"""

_LONGEST_TRACE = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Outcome of one plugin call."""

    verdict: Verdict
    results: tuple[Result, ...] = ()
    events: tuple[Event, ...] = ()
    error: str = ""
    """one line for people"""
    place: str = ""
    """file, line and function of the author's frame that failed"""
    trace: str = ""
    cause: BaseException | None = None
    """what the plugin raised"""
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """Error and place in one line."""
        return f"{self.error} [{self.place}]" if self.place else self.error


def hung(limit_s: float) -> Outcome:
    """Return the outcome of a call that was abandoned after this time."""
    return Outcome("hung", error=f"did not come back within {limit_s:g} s")


OFF = Outcome("off")
MISSING = Outcome("missing")


Stamp = Callable[[tuple[Event, ...]], tuple[Event, ...]]


def call(name: str, plugin: AnyPlugin, function: Callable[[], Output | None], stamp: Stamp) -> Outcome:
    """Run `function`, a bound call of `plugin`, and stamp its events; an exception becomes a failed outcome."""
    started = time.perf_counter()
    try:
        results, events = sort_output(name, plugin, function())
        events = stamp(events)
    except MissingInput as error:
        said = describe(error, place=False)
        return Outcome("missing", error=said, cause=error, seconds=time.perf_counter() - started)
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises, SystemExit too, is its fault alone
        trace = redact(traceback.format_exc()[-_LONGEST_TRACE:])
        said, place = describe(error, place=False), author_frame(error)
        seconds = time.perf_counter() - started
        return Outcome("failed", error=said, place=place, trace=trace, cause=error, seconds=seconds)
    return Outcome("ok", results, events, seconds=time.perf_counter() - started)


def sort_output(name: str, plugin: AnyPlugin, output: Any) -> tuple[tuple[Result, ...], tuple[Event, ...]]:
    """Exhaust and check the output of a call; return its results and events. Raises `PluginError`."""
    if output is None:
        return (), ()
    if not isinstance(output, Iterable) or isinstance(output, str | bytes | dict | Result):
        raise PluginError(
            f"{name} gave {_what(output)}, expected results and events (yield them, or return a list), or None"
        )
    results: list[Result] = []
    events: list[Event] = []
    for count, item in enumerate(output):
        if count == MOST_ITEMS:
            raise PluginError(f"{name} gave more than {MOST_ITEMS:,} items in one call; join them, or end the loop")
        if isinstance(item, Event):
            events.append(item)
        elif isinstance(item, Result):
            _check_result(name, plugin, item, results)
            results.append(item)
        else:
            raise PluginError(f"{name} gave {_what(item)} among its output, expected results and events")
    return tuple(results), tuple(events)


def _check_result(name: str, plugin: AnyPlugin, item: Result, before: list[Result]) -> None:
    if type(item) not in plugin.gives:
        named = ", ".join(kind.__name__ for kind in plugin.gives) or "nothing"
        raise PluginError(f"{name} gave {type(item).__name__}, but its `gives` names {named}; add the class there")
    if any(type(item) is type(other) for other in before):
        raise PluginError(f"{name} gave two {type(item).__name__} for one frame, expected at most one; join them")


def _what(value: object) -> str:
    text = repr(value)
    return f"an object of class {type(value).__name__} ({text[:60]}{'...' if len(text) > 60 else ''})"
