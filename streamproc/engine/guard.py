"""The guarded call of a plugin: its output is exhausted and checked inside, and what goes wrong stays inside."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from streamproc.errors import MissingInput, PluginError, redact
from streamproc.events import Event
from streamproc.plugin import AnyPlugin, Output
from streamproc.results import Result

Verdict = Literal["ok", "failed", "missing", "off", "hung"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one call of one plugin came to."""

    verdict: Verdict
    results: tuple[Result, ...] = ()
    events: tuple[Event, ...] = ()
    error: str = ""
    """one line for people"""
    trace: str = ""
    seconds: float = 0.0


OFF = Outcome("off")
MISSING = Outcome("missing")


Stamp = Callable[[tuple[Event, ...]], tuple[Event, ...]]


def call(name: str, plugin: AnyPlugin, function: Callable[[], Output | None], stamp: Stamp) -> Outcome:
    """Run `function`, a bound call of `plugin`'s, and stamp its events; never raises an `Exception`."""
    started = time.perf_counter()
    try:
        results, events = _sort(name, plugin, function())
        events = stamp(events)
    except MissingInput as error:
        return Outcome("missing", error=redact(str(error)), seconds=time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's fault alone
        return Outcome(
            "failed",
            error=redact(f"{type(error).__name__}: {error}"),
            trace=redact(traceback.format_exc()),
            seconds=time.perf_counter() - started,
        )
    return Outcome("ok", results, events, seconds=time.perf_counter() - started)


def _sort(name: str, plugin: AnyPlugin, output: Any) -> tuple[tuple[Result, ...], tuple[Event, ...]]:
    if output is None:
        return (), ()
    if not isinstance(output, Iterable) or isinstance(output, str | bytes | dict | Result):
        raise PluginError(
            f"{name} gave {_what(output)}, expected results and events (yield them, or return a list), or None"
        )
    results: list[Result] = []
    events: list[Event] = []
    for item in output:
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
        told = ", ".join(kind.__name__ for kind in plugin.gives) or "nothing"
        raise PluginError(f"{name} gave {type(item).__name__}, but its `gives` names {told}; add the class there")
    if any(type(item) is type(other) for other in before):
        raise PluginError(f"{name} gave two {type(item).__name__} for one frame, expected at most one; join them")


def _what(value: object) -> str:
    text = repr(value)
    return f"a {type(value).__name__} ({text[:60]}{'...' if len(text) > 60 else ''})"
