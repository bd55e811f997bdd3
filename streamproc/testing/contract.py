"""The contract of plugins, as checks to run from your own tests."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from streamproc.chain.covering import without_pixels
from streamproc.chain.guard import sort_output
from streamproc.chain.ordered import process_in_order, read_state, restore_state
from streamproc.engine.opening import close_plugin
from streamproc.errors import PluginError, describe
from streamproc.events import Event, Moment
from streamproc.frames import Clip, Frame
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, FramePlugin, PluginContext, Results, StreamPlugin, check_plugin
from streamproc.results import Result
from streamproc.waiting import finished, opened

BATCH = 4
"""frames that a pure plugin gets at once"""
_TURNS_S = 1e-6


def check_plugin_contract(
    cls: type[AnyPlugin],
    subjects: Sequence[Frame | Clip],
    *,
    past: Sequence[Iterable[Result]] | None = None,
    models: ModelStore | None = None,
    **options: Any,
) -> None:
    """Assert the contract that the engine relies on, over these frames (or clips):

    - it is a complete plugin of this protocol, its options can be described as JSON Schema and read back
    - the check of its options finds no mistake in these
    - it gives only results that its `gives` names, and events with JSON data
    - it doesn't write into shared pixels, and reads none unless it has `pixels = True`
    - pure kinds: the same answer in any order, in batches (several at once on a thread each), from a second object
    - stream plugins with `state`: restored half-way, they continue exactly
    """
    check_plugin(cls)
    cls.options_type.model_json_schema()
    checked = cls.options_type.model_validate(options)
    assert cls.options_type.model_validate(checked.model_dump()) == checked, "its options don't survive a round trip"
    wrong = [mistake.message for mistake in cls.check_options(checked, models or ModelStore())]
    assert wrong == [], "the check of its options finds mistakes in these"
    given = [_results(results) for results in past] if past is not None else [Results() for _ in subjects]
    work = list(zip(subjects, given, strict=True))
    if issubclass(cls, StreamPlugin):
        _check_stream(cls, work, checked, models)
    else:
        check_frame_plugin(cls, work, checked, models)


def plugin_answers(
    cls: type[AnyPlugin],
    subjects: Sequence[Frame | Clip],
    *,
    past: Sequence[Iterable[Result]] | None = None,
    models: ModelStore | None = None,
    **options: Any,
) -> list[str]:
    """Return a new plugin object's answer to each of these frames (or clips), as text that compares by value.

    For comparing one process with another: `pool.submit(plugin_answers, Mine, frames).result()`.
    """
    given = [_results(results) for results in past] if past is not None else [Results() for _ in subjects]
    work = list(zip(subjects, given, strict=True))
    plugin = _opened(cls, work, cls.options_type.model_validate(options), models)
    try:
        return [_answer(plugin, *pair) for pair in work]
    finally:
        close_plugin("test", plugin)


def check_frame_plugin(cls: type[AnyPlugin], work: Sequence[Any], options: Any, models: ModelStore | None) -> None:
    """Assert the contract of pure kinds: the same answer in any order, from threads, from another object."""
    first, second = _opened(cls, work, options, models), _opened(cls, work, options, models)
    try:
        straight = [_answer(first, subject, past) for subject, past in work]
        backward = [_answer(second, subject, past) for subject, past in reversed(work)][::-1]
        assert straight == backward, f"{cls.__name__} answers differently in another order: it isn't pure"
        batched = [answer for at in range(0, len(work), BATCH) for answer in _batch(first, work[at : at + BATCH])]
        assert straight == batched, (
            f"{cls.__name__} answers differently when it works on {BATCH} at once: data of one call must not be stored "
            "in the plugin"
        )
    finally:
        close_plugin("test", first)
        close_plugin("test", second)


def _batch(plugin: Any, work: Sequence[Any]) -> list[str]:
    """Return the answers of one plugin that processes all of these at once, each on a thread of its own.

    The threads begin together and take turns as often as the interpreter can, so that a race shows in a few calls.
    """
    together, interval = threading.Barrier(len(work)), sys.getswitchinterval()

    def answer(pair: Any) -> str:
        together.wait()
        return _answer(plugin, *pair)

    sys.setswitchinterval(_TURNS_S)
    try:
        with ThreadPoolExecutor(len(work)) as pool:
            return list(pool.map(answer, work))
    finally:
        sys.setswitchinterval(interval)


def _check_stream(cls: type[AnyPlugin], work: Sequence[Any], options: Any, models: ModelStore | None) -> None:
    whole, half = _opened(cls, work, options, models), _opened(cls, work, options, models)
    try:
        middle = len(work) // 2
        answers = [_answer(whole, *pair) for pair in work]
        again = [_answer(half, *pair) for pair in work[:middle]]
        fault, state = read_state(half)
        assert fault is None, f"{cls.__name__} can't be stored: {fault.error}"
        if state is not None:
            resumed = _opened(cls, work, options, models)
            try:
                restore_state(resumed, state)
                again += [_answer(resumed, *pair) for pair in work[middle:]]
            finally:
                close_plugin("test", resumed)
        else:
            again += [_answer(half, *pair) for pair in work[middle:]]
        assert answers == again, f"{cls.__name__} answers differently in a second run or after state and restore"
    finally:
        close_plugin("test", whole)
        close_plugin("test", half)


def _results(items: Iterable[Result]) -> Results:
    return Results({("given", type(item)): item for item in items})


def _opened(cls: type[AnyPlugin], work: Sequence[Any], options: Any, models: ModelStore | None) -> Any:
    plugin: Any = cls(options)
    log = logging.getLogger(__name__)
    opened(plugin)
    finished(plugin.open(PluginContext(name="test", stream=work[0][0].stream, models=models or ModelStore(), log=log)))
    if isinstance(plugin, ClipPlugin):
        plugin.clip()
    return plugin


def _answer(plugin: Any, subject: Frame | Clip, past: Results) -> str:
    """Return the plugin's answer as text, so that answers of any type compare by value."""
    before = subject.rgb.copy()
    parts: list[Any] = []
    moment = Moment.of(subject.last if isinstance(subject, Clip) else subject)
    shown = subject
    if isinstance(subject, Frame) and isinstance(plugin, StreamPlugin) and not plugin.pixels:
        shown = without_pixels(subject)
    for item in _output(plugin, shown, past):
        if isinstance(item, Event):
            parts.append(item.stamped(subject.stream, "test", 0, moment).to_json())
        else:
            parts.append(_table(item))
    assert (subject.rgb == before).all(), "it wrote into pixels that it shares with others"
    assert isinstance(plugin, FramePlugin | ClipPlugin | StreamPlugin)
    return repr(parts)


def _table(item: Result) -> Any:
    """Return the result as plain values, after a round trip through Arrow."""
    name = type(item).__name__
    try:
        table = item.to_arrow()
        assert table.schema.equals(type(item).arrow_schema()), "to_arrow has other columns than arrow_schema"
        again = type(item).from_arrow(table)
        assert type(again) is type(item), f"from_arrow gives {type(again).__name__}"
        assert repr(again.to_arrow().to_pydict()) == repr(table.to_pydict()), "it is another one when it is read back"
    except Exception as error:
        raise AssertionError(
            f"{name} can't be written as a table: {describe(error)}; make its fields arrays, numbers, texts or tuples"
        ) from error
    return table.to_pydict()


def _output(plugin: Any, subject: Frame | Clip, past: Results) -> list[Result | Event]:
    """Return the engine's view of one call's output; `AssertionError` with the error that it would report."""
    name = type(plugin).__name__
    call: Any = partial(process_in_order, plugin) if isinstance(plugin, StreamPlugin) else plugin.process
    try:
        results, events = sort_output(name, plugin, finished(call(subject, past)))
    except PluginError as error:
        raise AssertionError(str(error)) from error
    except SystemExit as error:
        raise AssertionError(f"{name} failed: {describe(error)}") from error
    return [*results, *events]


__all__ = ["check_frame_plugin", "check_plugin_contract", "plugin_answers"]
