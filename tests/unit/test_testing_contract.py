"""The contract check finds what the engine would trip over."""

from __future__ import annotations

import threading

import pytest

from streamproc import Event, Frame, FramePlugin, Mistake, Options, Output, PluginContext, Results
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
