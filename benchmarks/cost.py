"""CPU time of a plugin on one frame or clip, and of the bare calls of its nets within it."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.real import store
from streamproc import Clip, Frame, PluginContext, Result, Results
from streamproc.models import Net
from streamproc.plugin import AnyPlugin

Inputs = Mapping[str, Any]
Call = tuple[Net, Inputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU-ms of all threads together, medians. None: not measured."""

    net_1: float | None = None
    """the bare nets, on one thread"""
    net_2: float | None = None
    """the bare nets, on two threads"""
    whole: float | None = None
    """the plugin's whole `process`, its nets on one thread"""
    overhead: float | None = None
    """what of `whole` isn't spent in nets"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often is measured."""

    most: int = 25
    least: int = 5
    seconds: float = 2.0
    """after so long no more than `least`"""
    quick: bool = False
    """leave out what takes long"""


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Keeps what nets are given while it is open."""
    calls: list[Call] = []
    with _watched(lambda net, inputs, _: calls.append((net, inputs))):
        yield calls


@contextmanager
def timed_nets() -> Iterator[list[float]]:
    """Keeps the CPU-ms of each call of a net while it is open."""
    spent: list[float] = []
    with _watched(lambda _net, _inputs, ms: spent.append(ms)):
        yield spent


@contextmanager
def _watched(tell: Callable[[Net, Inputs, float], None]) -> Iterator[None]:
    plain = Net.run

    def run(self: Net, inputs: Inputs) -> Any:
        start = time.process_time()
        outputs = plain(self, inputs)
        tell(self, inputs, 1e3 * (time.process_time() - start))
        return outputs

    Net.run = run  # type: ignore[method-assign]
    try:
        yield
    finally:
        Net.run = plain  # type: ignore[method-assign]


def opened(cls: type[AnyPlugin], subject: Frame | Clip, **options: Any) -> Any:
    """The plugin, opened for the stream of a frame or clip."""
    plugin: Any = cls(cls.options_type.model_validate(options))
    log = logging.getLogger("benchmarks")
    plugin.open(PluginContext(name="measured", stream=subject.stream, models=store(), log=log))
    return plugin


def past_of(given: Sequence[Result]) -> Results:
    """Earlier results as the engine would hand them on."""
    return Results({(type(result).__name__.lower(), type(result)): result for result in given})


def cost(
    cls: type[AnyPlugin],
    subject: Callable[[], Frame | Clip],
    effort: Effort,
    *,
    past: Sequence[Result] = (),
    **options: Any,
) -> Cost:
    """What a plugin costs on what `subject` makes anew each time, so that no conversion of pixels is remembered."""
    plugin = opened(cls, subject(), **options)
    with recorded() as one:
        list(plugin.process(subject(), past_of(past)) or ())
    two = _with_two_threads(cls, subject, past, options)
    spent: dict[str, list[float]] = {"net_1": [], "net_2": [], "whole": [], "overhead": []}
    for _ in rounds(effort):
        spent["net_1"].append(replay(one))
        if two:
            spent["net_2"].append(replay(two))
        fresh, earlier = subject(), past_of(past)
        with timed_nets() as inside:
            start = time.process_time()
            list(plugin.process(fresh, earlier) or ())
            spent["whole"].append(1e3 * (time.process_time() - start))
        spent["overhead"].append(spent["whole"][-1] - sum(inside))
    plugin.close()
    return Cost(**{name: statistics.median(times) for name, times in spent.items() if times})


def replay(calls: Sequence[Call]) -> float:
    """CPU-ms of the bare calls once more."""
    start = time.process_time()
    for net, inputs in calls:
        net.run(inputs)
    return 1e3 * (time.process_time() - start)


def rounds(effort: Effort) -> Iterator[int]:
    """One number for each time that is worth measuring."""
    start = time.perf_counter()
    for number in range(effort.most):
        if number >= effort.least and time.perf_counter() - start > effort.seconds:
            return
        yield number


def _with_two_threads(
    cls: type[AnyPlugin], subject: Callable[[], Frame | Clip], past: Sequence[Result], options: Mapping[str, Any]
) -> list[Call]:
    """The calls on nets of two threads; none where the library has one count of threads for the whole process."""
    more = {"threads": 2} if "threads" in cls.options_type.model_fields else {}
    plugin = opened(cls, subject(), **options, **more)
    with recorded() as calls:
        list(plugin.process(subject(), past_of(past)) or ())
    plugin.close()
    if any(net.entry.runtime in ("arrays", "keras", "savedmodel") for net, _ in calls):
        return []
    return calls if more else [(store().load(net.entry.name, threads=2), inputs) for net, inputs in calls]
