"""The contract check finds what the engine would trip over."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from streamproc import Event, Frame, FramePlugin, Mistake, Options, Output, PluginContext, Result, Results, StreamPlugin
from streamproc.errors import StreamprocError
from streamproc.models import ModelStore
from streamproc.testing import check_plugin_contract, make_frame

FRAMES = [make_frame(fill=20 * i, index=i) for i in range(4)]


class Level(FramePlugin[Options]):
    """Pure."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "image.level", level=int(frame.gray[0, 0]))


class Remembering(FramePlugin[Options]):
    """Tells the level of the frame before: right on one thread, in order."""

    def open(self, context: PluginContext) -> None:
        self._before = 0

    def process(self, frame: Frame, past: Results) -> Output:
        before, self._before = self._before, int(frame.gray[0, 0])
        yield Event.instant(frame, "image.level", level=before)


class Keeping(FramePlugin[Options]):
    """Right in any order, one by one: but what belongs to a call is kept in the plugin."""

    def open(self, context: PluginContext) -> None:
        self._other = threading.Condition()
        self._calls = 0

    def process(self, frame: Frame, past: Results) -> Output:
        self._level = int(frame.gray[0, 0])
        self._met()
        yield Event.instant(frame, "image.level", level=self._level)

    def _met(self) -> None:
        """Let another call in, if there is one: stands for a net that leaves the lock of the interpreter."""
        with self._other:
            self._calls += 1
            self._other.notify_all()
            before = self._calls
            self._other.wait_for(lambda: self._calls > before, timeout=0.1)


def test_a_pure_plugin_passes() -> None:
    check_plugin_contract(Level, FRAMES)


def test_one_that_remembers_is_told_from_another_order() -> None:
    with pytest.raises(AssertionError, match="Remembering answers differently in another order"):
        check_plugin_contract(Remembering, FRAMES)


def test_one_that_mixes_what_it_works_on_at_once_is_told_from_batches() -> None:
    with pytest.raises(AssertionError, match="Keeping answers differently when it works on 4 at once"):
        check_plugin_contract(Keeping, FRAMES)


class Picky(Level):
    """Refuses its own defaults."""

    @classmethod
    def check_options(cls, options: Options, models: ModelStore) -> list[Mistake]:
        return [Mistake((), "nothing is right")]


def test_one_that_refuses_options_that_it_is_to_run_with_is_told() -> None:
    with pytest.raises(AssertionError, match="finds mistakes in these"):
        check_plugin_contract(Picky, FRAMES)


class Looking(StreamPlugin[Options]):
    """Looks at pixels without saying so."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "image.level", level=int(frame.gray[0, 0]))


class LookingOpenly(Looking):
    """Says so."""

    pixels = True


def test_a_stream_plugin_gets_pixels_only_where_it_declares_them() -> None:
    check_plugin_contract(LookingOpenly, FRAMES)
    with pytest.raises(StreamprocError, match=r"set `pixels = True` in its class"):
        check_plugin_contract(Looking, FRAMES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Odd(Result):
    """A result that no table can hold."""

    schema: ClassVar[str] = "test.odd/1"
    level: Any


class GivesOdd(FramePlugin[Options]):
    """Gives one."""

    gives = (Odd,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Odd(level={"a": {1, 2}})


def test_a_result_that_no_table_can_hold_is_named() -> None:
    with pytest.raises(AssertionError, match=r"Odd can't be written as a table: .*make its fields arrays"):
        check_plugin_contract(GivesOdd, FRAMES)
