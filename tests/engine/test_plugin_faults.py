"""What plugins may do wrong, and what it costs: never more than their own results."""

from __future__ import annotations

import inspect
import json
import logging
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from streamproc import (
    Detections,
    Event,
    Flow,
    Frame,
    FramePlugin,
    Moment,
    Options,
    Output,
    Registry,
    Results,
    StreamPlugin,
)
from streamproc.engine import replay_bundle
from streamproc.errors import PluginError
from streamproc.exits import PLUGIN_FAILED, STREAM_FAILED
from streamproc.frames import ArrayPicture, PixelCache
from streamproc.models import ModelStore
from streamproc.report.troubles import troubles
from streamproc.sinks.jsonl import json_line
from streamproc.testing import make_frame, make_frames, make_info, plugin_plan
from tests.engine.plugins import HANG, Fail, HangOrdered, HangPure, Level, Measure, Tell
from tests.engine.running import closed, run_faulty

SOON = {"timeout_ns": 200_000_000}


class Quiet(Tell):
    """Takes no level, so that two plugins may give one."""

    uses: ClassVar[Any] = ()

    def process(self, frame: Frame, past: Results) -> Output:
        return super().process(frame, Results())


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let the plugins that hang on purpose go, so that their threads end with the test."""
    HANG.clear()
    yield
    HANG.set()


def gives(function: Any, kind: type[Any] = FramePlugin, **members: Any) -> type[Any]:
    """A plugin class whose `process` is `function(frame)`."""

    def process(self: Any, frame: Frame, past: Results) -> Output:
        made: Output = function(frame)
        return made

    return type("Odd", (kind,), {"process": process, **members})


def raises(error: BaseException) -> Any:
    def function(frame: Frame) -> Output:
        raise error

    return function


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its text can be had")


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), MemoryError("no room"), GeneratorExit(), BadText(), ValueError("x" * 10**6)],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", [FramePlugin, StreamPlugin])
def test_whatever_a_plugin_raises_is_a_counted_failure(tmp_path: Path, error: BaseException, kind: type[Any]) -> None:
    report, events = run_faulty([plugin_plan(gives(raises(error), kind)), plugin_plan(Tell)], make_frames(20), tmp_path)
    (stream,) = report.streams
    assert stream.plugins[0].verdicts == {"failed": 10, "off": 10}
    assert type(error).__name__ in stream.plugins[0].off
    assert len(stream.plugins[0].off) < 3000
    assert [event.type for event in events].count("tell.seen") == 20
    assert closed(report)
    assert report.exit_code == PLUGIN_FAILED


@pytest.mark.parametrize("kind", [FramePlugin, StreamPlugin])
def test_output_without_end_is_an_error(tmp_path: Path, kind: type[Any]) -> None:
    def endless(frame: Frame) -> Output:
        while True:
            yield Event.instant(frame, "much.ado")

    report, events = run_faulty([plugin_plan(gives(endless, kind)), plugin_plan(Tell)], make_frames(12), tmp_path)
    assert "10,000" in report.streams[0].plugins[0].off
    assert not [event for event in events if event.type == "much.ado"]
    assert closed(report)


def test_output_before_a_failure_is_not_used(tmp_path: Path) -> None:
    def half(frame: Frame) -> Output:
        yield Event.instant(frame, "half.way")
        raise ValueError("half-way")

    report, events = run_faulty([plugin_plan(gives(half)), plugin_plan(Tell)], make_frames(5), tmp_path)
    assert {event.type for event in events} == {"tell.seen", "tell.end"}
    assert report.streams[0].plugins[0].verdicts == {"failed": 5}


def test_pixels_can_not_be_written_to(tmp_path: Path) -> None:
    def scribble(frame: Frame) -> Output:
        frame.rgb[0, 0] = 9
        return []

    report, _ = run_faulty([plugin_plan(gives(scribble))], make_frames(3), tmp_path)
    assert report.streams[0].plugins[0].verdicts == {"failed": 3}


Anything: Any = Event
"""for events that no type checker would let pass"""


def deep_list() -> list[Any]:
    """A list that holds itself."""
    whole: list[Any] = []
    whole.append(whole)
    return whole


BAD_EVENTS: dict[str, Any] = {
    "nan in data": lambda f: Anything.instant(f, "bad.data", level=float("nan")),
    "an object in data": lambda f: Anything.instant(f, "bad.data", what=object()),
    "half a character": lambda f: Anything.instant(f, "bad.text", text="\udc80"),
    "a type that is no text": lambda f: Anything.instant(f, 5),
    "times that are text": lambda f: Anything(type="bad.time", phase="instant", start_ns="0"),
    "a subject that is no text": lambda f: Anything(
        type="bad.subject", phase="instant", start_ns=0, end_ns=0, subject=7
    ),
    "a time beyond all calendars": lambda f: Anything(type="bad.time", phase="instant", start_ns=-(10**30), end_ns=0),
    "lists without end": lambda f: Anything.instant(f, "bad.data", deep=deep_list()),
    "ten megabytes": lambda f: Anything.instant(f, "too.big", text="x" * 10_000_000),
    "a picture that is no bytes": lambda f: Anything(
        type="bad.picture", phase="instant", start_ns=0, end_ns=0, attachments=("x",)
    ),
}


@pytest.mark.parametrize("make", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_unwritable_event_is_a_failure_of_its_plugin(tmp_path: Path, make: Any) -> None:
    report, events = run_faulty([plugin_plan(gives(lambda f: [make(f)])), plugin_plan(Tell)], make_frames(3), tmp_path)
    assert report.streams[0].plugins[0].verdicts == {"failed": 3}
    assert [event.type for event in events] == ["tell.seen"] * 3 + ["tell.end"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: Anything.instant(f, "bad.data", deep=deep_list()), "holds itself"),
        (
            lambda f: Anything.begin(f, "bad.time", "e", start_ns=0.5),
            "whole number of nanoseconds: seconds(1.5)",
        ),
    ],
    ids=["a list that holds itself", "seconds"],
)
def test_event_errors_use_no_jargon(tmp_path: Path, make: Any, words: str) -> None:
    plans = [plugin_plan(gives(lambda f: [make(f)]), settings={"on_error": "disable"})]
    report, _ = run_faulty(plans, make_frames(3), tmp_path)
    assert words in report.streams[0].plugins[0].off


def test_stop_iteration_in_a_generator_names_the_line(tmp_path: Path) -> None:
    def stops(frame: Frame) -> Output:
        yield Event.instant(frame, "a.b")
        next(iter(()))

    report, _ = run_faulty([plugin_plan(gives(stops), settings={"on_error": "disable"})], make_frames(3), tmp_path)
    assert "test_plugin_faults.py" in report.streams[0].plugins[0].off


def test_plugin_that_exits_while_opening_is_named(tmp_path: Path) -> None:
    def leave(self: Any, context: Any) -> None:
        raise SystemExit(0)

    report, _ = run_faulty([plugin_plan(type("Leaving", (Tell,), {"open": leave}))], make_frames(3), tmp_path)
    assert "plugin leaving can't be opened" in report.streams[0].error
    assert report.exit_code == STREAM_FAILED


def test_numpy_numbers_in_an_event_become_plain_ones(tmp_path: Path) -> None:
    def numbers(frame: Frame) -> Output:
        return [
            Anything(
                type="numbers", phase="instant", start_ns=np.int64(0), end_ns=np.int64(5), score=np.float32(0.25),
                data={"n": np.int32(3)},
            )
        ]  # fmt: skip

    _, events = run_faulty([plugin_plan(gives(numbers))], make_frames(2), tmp_path)
    assert [json.loads(json_line(event))["data"]["score"] for event in events] == [0.25, 0.25]


def test_late_events_have_their_own_ids(tmp_path: Path) -> None:
    """A plugin emits events of an old frame repeatedly: each has its own record."""

    class Late(StreamPlugin[Options]):
        first: Frame | None = None

        def process(self, frame: Frame, past: Results) -> Output:
            self.first = self.first or frame
            yield Event.instant(self.first, "late.event")

    _, events = run_faulty([plugin_plan(Late)], make_frames(10), tmp_path)
    assert len({event.id for event in events}) == 10
    assert [event.frame_index for event in events] == list(range(10))


def test_undeclared_result_fails_and_dependents_are_skipped(tmp_path: Path) -> None:
    class Needy(FramePlugin[Options]):
        needs = (Level,)

        def process(self, frame: Frame, past: Results) -> Output:
            return []

    liar = gives(lambda frame: [Detections.empty()], gives=(Level,))
    report, _ = run_faulty([plugin_plan(liar), plugin_plan(Needy), plugin_plan(Tell)], make_frames(4), tmp_path)
    assert report.streams[0].plugins[0].verdicts == {"failed": 4}
    assert report.streams[0].plugins[1].verdicts == {"missing": 4}
    assert closed(report)


class Unreadable(ArrayPicture):
    """A picture that its decoder can't convert."""

    def to_rgb(self) -> Any:
        raise RuntimeError("this picture can't be converted")

    to_gray = to_rgb


def unreadable(count: int) -> list[Any]:
    frames = make_frames(count)
    bad = [replace(frame, pixels=PixelCache(Unreadable(frame.rgb.copy()))) for frame in frames]
    return [frame if frame.index % 4 else broken for frame, broken in zip(frames, bad, strict=True)]


class WantsFlow(FramePlugin[Options]):
    needs = (Flow,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "flow.there", dt_ns=past[Flow].dt_ns)


@pytest.mark.parametrize("plugin", [Measure, WantsFlow])
def test_picture_that_can_not_be_converted_stops_nothing(tmp_path: Path, plugin: type[Any]) -> None:
    report, events = run_faulty([plugin_plan(plugin), plugin_plan(Tell)], unreadable(20), tmp_path)
    assert [event.type for event in events].count("tell.seen") == 20
    assert report.streams[0].ledger.observed == 20
    assert closed(report)


class Hanging(StreamPlugin[Options]):
    """Hangs where a subclass says so."""

    at: str = ""

    def stay(self, where: str) -> None:
        if where == self.at:
            HANG.wait()

    def open(self, context: Any) -> None:
        self.stay("open")

    def process(self, frame: Frame, past: Results) -> Output:
        return []

    def on_time(self, moment: Moment, reason: Any) -> Output:
        self.stay("on_time")
        return []

    def flush(self, moment: Moment) -> Output:
        self.stay("flush")
        return []

    def close(self) -> None:
        self.stay("close")


@pytest.mark.logs_errors
@pytest.mark.parametrize("where", ["on_time", "flush", "close"])
def test_a_plugin_that_hangs_anywhere_is_left_behind(tmp_path: Path, where: str) -> None:
    info = make_info(rate=10)
    frames = [make_frame(index=i, pts_s=t, info=info) for i, t in enumerate([0, 0.1, 0.2, 8.0, 8.1])]
    hanging = type("Hangs", (Hanging,), {"at": where})
    report, events = run_faulty([plugin_plan(hanging, settings=SOON), plugin_plan(Tell)], frames, tmp_path)
    assert [event.type for event in events].count("tell.seen") == 5
    assert events[-1].type == "tell.end"
    assert report.abandoned_threads == 1
    assert report.exit_code == PLUGIN_FAILED
    assert closed(report)


@pytest.mark.logs_errors
def test_plugin_hanging_in_open_fails_its_stream_alone(tmp_path: Path) -> None:
    hanging = type("Hangs", (Hanging,), {"at": "open"})
    report, _ = run_faulty([plugin_plan(hanging)], make_frames(3), tmp_path, open_limit_ns=200_000_000)
    assert "did not come back" in report.streams[0].error
    assert "hangs" in report.streams[0].error
    assert report.abandoned_threads == 1
    assert report.exit_code == STREAM_FAILED


@pytest.mark.logs_errors
def test_two_plugins_hanging_at_one_frame_are_abandoned(tmp_path: Path) -> None:
    chain = [
        plugin_plan(HangPure, at=5, settings=SOON),
        plugin_plan(HangOrdered, at=5, settings=SOON),
        plugin_plan(HangPure, name="second", at=5, settings=SOON),
        plugin_plan(Quiet, name="last"),
    ]
    report, events = run_faulty(chain, make_frames(40), tmp_path, workers=1)
    assert [event.type for event in events].count("tell.seen") == 40
    assert report.abandoned_threads == 3
    assert closed(report)


@pytest.mark.logs_errors
@pytest.mark.parametrize("plugin", [HangPure, HangOrdered])
def test_bundle_of_a_hang_shows_the_place(tmp_path: Path, plugin: type[Any]) -> None:
    chain = [plugin_plan(Measure), plugin_plan(plugin, at=5, settings=SOON)]
    run_faulty(chain, make_frames(20), tmp_path)
    (bundle,) = (tmp_path / "bundles").iterdir()
    with zipfile.ZipFile(bundle) as files:
        facts = json.loads(files.read("bundle.json"))
        assert any(name.startswith("past/measure/") for name in files.namelist())
    assert facts["frame"] == 5
    assert "HANG.wait()" in facts["trace"]
    replay = replay_bundle(bundle, Registry(), ModelStore(), ["tests.engine.plugins", __name__])
    assert replay.same
    assert replay.now == "did not come back within 0.2 s"
    assert "HANG.wait()" in replay.trace
    HANG.set()
    assert replay_bundle(bundle, Registry(), ModelStore(), ["tests.engine.plugins", __name__]).now == ""


class HangInPicture(ArrayPicture):
    """Its conversion never ends."""

    def to_rgb(self) -> Any:
        HANG.wait()
        return super().to_rgb()


@pytest.mark.logs_errors
def test_bundle_of_a_hanging_picture_leaves_it_out(tmp_path: Path) -> None:
    frames = make_frames(6)
    stuck = PixelCache(HangInPicture(np.zeros((frames[0].height, frames[0].width, 3), np.uint8)))
    frames[3] = replace(frames[3], pixels=stuck)
    looking = gives(lambda frame: [Event.instant(frame, "seen", level=int(frame.rgb[0, 0, 0]))])
    report, _ = run_faulty([plugin_plan(looking, settings=SOON)], frames, tmp_path)
    (bundle,) = (tmp_path / "bundles").iterdir()
    with zipfile.ZipFile(bundle) as files:
        assert files.namelist() == ["bundle.json"]
    assert closed(report)


@pytest.mark.logs_errors
def test_a_hang_and_a_breaker_that_opens_meanwhile(tmp_path: Path) -> None:
    chain = [
        plugin_plan(Fail, from_index=4, settings={"max_failures": 3}),
        plugin_plan(HangOrdered, at=5, settings=SOON),
        plugin_plan(Tell),
    ]
    report, events = run_faulty(chain, make_frames(40), tmp_path, workers=4)
    assert [event.type for event in events].count("tell.seen") == 40
    assert report.streams[0].plugins[0].verdicts == {"ok": 4, "failed": 3, "off": 33}
    assert closed(report)


class Opened(StreamPlugin[Options]):
    """Records which plugins were opened and closed."""

    notes: list[str]
    refuse = False

    def open(self, context: Any) -> None:
        self.notes.append(f"open {context.name}")
        if self.refuse:
            raise ValueError("refused on purpose")

    def close(self) -> None:
        self.notes.append("close")

    def process(self, frame: Frame, past: Results) -> Output:
        return []

    def restore(self, state: Mapping[str, Any]) -> None:
        raise ValueError("can't")


def test_failed_open_closes_the_plugins_before_it(tmp_path: Path) -> None:
    notes: list[str] = []
    good = type("Good", (Opened,), {"notes": notes})
    bad = type("Bad", (Opened,), {"notes": notes, "refuse": True})
    report, _ = run_faulty([plugin_plan(good), plugin_plan(bad)], make_frames(3), tmp_path)
    assert "refused on purpose" in report.streams[0].error
    assert notes == ["open good", "open bad", "close", "close"]


def test_failing_plugin_leaves_the_thread_count_unchanged(tmp_path: Path) -> None:
    before = threading.active_count()
    run_faulty([plugin_plan(gives(raises(SystemExit(1)))), plugin_plan(Tell)], make_frames(20), tmp_path)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_breakers_of_two_stages_open_at_equal_frames(tmp_path: Path, workers: int) -> None:
    class Jitter(Measure):
        """Overtakes; gives nothing."""

        gives: ClassVar[Any] = ()

        def process(self, frame: Frame, past: Results) -> Output:
            list(super().process(frame, past))
            return []

    class Echo(StreamPlugin[Options]):
        """Emits the level of its input; fails from frame 30 on."""

        uses = (Level,)

        def process(self, frame: Frame, past: Results) -> Output:
            if frame.index >= 30:
                raise ValueError("from 30 on")
            got = past.get(Level)
            yield Event.instant(frame, "echo", level=None if got is None else got.value)

    class Late(Fail):
        """Fails as well; gives something else."""

        gives: ClassVar[Any] = (Detections,)

        def process(self, frame: Frame, past: Results) -> Output:
            list(super().process(frame, past))
            yield Event.instant(frame, "late")
            yield Detections.empty()

    chain = [
        plugin_plan(Jitter, name="a"),
        plugin_plan(Fail, name="b", from_index=11, settings={"max_failures": 4}),
        plugin_plan(Echo, name="c", settings={"max_failures": 6}),
        plugin_plan(Late, name="d", from_index=23, settings={"max_failures": 2}),
        plugin_plan(Tell, name="e"),
    ]
    frames = [make_frame(fill=i, index=i) for i in range(60)]
    report, events = run_faulty(chain, frames, tmp_path / "x", workers=workers)
    again, expected = run_faulty(chain, frames, tmp_path / "y", workers=3)
    assert [json_line(event) for event in events] == [json_line(event) for event in expected]
    verdicts = {plugin.name: plugin.verdicts for plugin in report.streams[0].plugins}
    assert verdicts == {plugin.name: plugin.verdicts for plugin in again.streams[0].plugins}
    assert verdicts["b"] == {"ok": 11, "failed": 4, "off": 45}
    assert verdicts["c"] == {"ok": 30, "failed": 6, "off": 24}
    assert verdicts["d"] == {"ok": 23, "failed": 2, "off": 35}


def test_bundle_imports_only_installed_or_named_modules(tmp_path: Path) -> None:
    bundle = failed_bundle(tmp_path)
    with pytest.raises(PluginError, match=r"names the module 'tests\.engine\.plugins', which belongs to no installed"):
        replay_bundle(bundle, Registry(), ModelStore())
    for name in ("os:system", "antigravity:x", "", ":"):
        changed = rewritten(bundle, tmp_path / "changed.zip", "bundle.json", partial(renamed, name=name))
        with pytest.raises(PluginError, match=r"belongs to no installed package|not a whole repro bundle"):
            replay_bundle(changed, Registry(), ModelStore(), ["tests.engine.plugins"])


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_truncated_bundle_is_refused_with_a_sentence(tmp_path: Path, keep: int) -> None:
    bundle = failed_bundle(tmp_path)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[:keep])
    with pytest.raises(PluginError, match="not a whole repro bundle"):
        replay_bundle(cut, Registry(), ModelStore(), ["tests.engine.plugins"])


@pytest.mark.parametrize(
    ("part", "data"),
    [
        ("bundle.json", b"[]"),
        ("bundle.json", b"{}"),
        ("bundle.json", b"not json"),
        ("frame.png", b"no picture"),
        ("past/measure/tests.engine.plugins:Level.arrow", b"no arrow"),
    ],
)
def test_bundle_with_a_damaged_part_is_refused(tmp_path: Path, part: str, data: bytes) -> None:
    changed = rewritten(failed_bundle(tmp_path), tmp_path / "changed.zip", part, lambda _: data)
    with pytest.raises(PluginError, match="not a whole repro bundle"):
        replay_bundle(changed, Registry(), ModelStore(), ["tests.engine.plugins"])


class Fractions(FramePlugin[Options]):
    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Detections.of([[0.2, 0.3, 0.4, 0.5]], [0.5], ["person"])


class Sizes(FramePlugin[Options]):
    """Something of 40 by 60 pixels that moves, as left, top, width, height."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        yield Detections.of([[frame.index, 1.5 * frame.index, 40, 60]], [0.5], ["person"])


class Corners(Sizes):
    """The same, right."""

    def process(self, frame: Frame, past: Results) -> Output:
        left, top = frame.index, 1.5 * frame.index
        yield Detections.of([[left, top, left + 40, top + 60]], [0.5], ["person"])


class SpeechlessSizes(Sizes):
    """Fails when asked about the whole run."""

    def remarks(self) -> list[str]:
        raise RuntimeError("no words")


def test_plugin_failing_in_remarks_leaves_the_engines_remarks(tmp_path: Path) -> None:
    report, _ = run_faulty([plugin_plan(SpeechlessSizes)], make_frames(35), tmp_path)
    (plugin,) = report.streams[0].plugins
    assert ["right and bottom hardly do" in remark for remark in plugin.remarks] == [True]


@pytest.mark.parametrize(
    ("cls", "words"),
    [(Fractions, "its boxes lie between 0 and 1"), (Sizes, "right and bottom hardly do"), (Corners, "")],
)
def test_doubtful_boxes_are_reported_once(
    cls: type[Any], words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report, _ = run_faulty([plugin_plan(cls)], make_frames(35), tmp_path)
    (plugin,) = report.streams[0].plugins
    assert [words in remark for remark in plugin.remarks] == ([True] if words else [])
    assert caplog.text.count("Detections.xyxy are") == bool(words)


def test_left_top_width_height_boxes_are_recognised() -> None:
    with pytest.raises(ValueError, match=r"of x, y, width and height make \[x, y, x \+ width"):
        Detections.of([[200, 150, 40, 60]], [0.5], ["person"])


class Darken(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        frame.rgb[0] = 0
        return []


class DarkenInOpenCv(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        cv2.rectangle(frame.rgb, (0, 0), (5, 5), (0, 0, 0))
        return []


@pytest.mark.parametrize("cls", [Darken, DarkenInOpenCv])
def test_writing_to_shared_pixels_names_line_and_remedy(
    cls: type[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_faulty([plugin_plan(cls, settings={"on_error": "disable"})], make_frames(3), tmp_path)
    assert "copy them first: frame.rgb.copy()" in caplog.text
    line = inspect.getsourcelines(cls)[1] + 2
    assert f"[test_plugin_faults.py:{line} in process]" in caplog.text


def deep() -> None:
    raise KeyError("who")


class Deep(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        deep()
        return []


def test_authors_innermost_line_is_named_traceback_at_debug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "streamproc"):
        run_faulty([plugin_plan(Deep)], make_frames(3), tmp_path)
    place = f"[test_plugin_faults.py:{inspect.getsourcelines(deep)[1] + 1} in deep]"
    warned = [
        r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "plugin failed" in r.getMessage()
    ]
    assert warned
    assert warned[0].endswith(f"KeyError: 'who' {place}")
    assert any("Traceback" in r.getMessage() for r in caplog.records if r.levelno == logging.DEBUG)


def test_stop_logs_the_traceback_and_names_the_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report, _ = run_faulty([plugin_plan(Deep, settings={"on_error": "stop"})], make_frames(3), tmp_path)
    assert "in deep]" in report.stopped
    assert "Traceback" in caplog.text


class OpensBadly(Deep):
    def open(self, context: Any) -> None:
        deep()


class ClosesBadly(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        return []

    def close(self) -> None:
        deep()


@pytest.mark.parametrize("cls", [OpensBadly, ClosesBadly])
def test_failure_in_open_or_close_names_the_line(
    cls: type[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report, _ = run_faulty([plugin_plan(cls)], make_frames(3), tmp_path)
    assert "in deep]" in caplog.text + report.streams[0].error


class NeverGives(FramePlugin[Options]):
    gives = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        return []


class Asks(FramePlugin[Options]):
    def process(self, frame: Frame, past: Results) -> Output:
        past[Level]
        return []


class Needs(FramePlugin[Options]):
    needs = (Level,)

    def process(self, frame: Frame, past: Results) -> Output:
        return []


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ([plugin_plan(Deep)], "failed at each of its frames (3)"),
        ([plugin_plan(Asks)], "wanted a result that no plugin gave, at 3 frames; name its class in `needs`"),
        (
            [plugin_plan(NeverGives), plugin_plan(Needs)],
            "plugin needs of test never had its input (Level), in 3 frames; check the plugins before it that give it",
        ),
    ],
)
def test_run_without_plugin_output_has_an_exit_code(chain: list[Any], words: str, tmp_path: Path) -> None:
    report, _ = run_faulty(chain, make_frames(3), tmp_path)
    assert report.exit_code == PLUGIN_FAILED
    assert any(words in line for line in troubles(report)), troubles(report)


def failed_bundle(folder: Path) -> Path:
    """A bundle of a plugin that failed after another one had given a result."""
    chain = [plugin_plan(Measure), plugin_plan(Fail, every=3)]
    run_faulty(chain, make_frames(4), folder)
    (bundle,) = (folder / "bundles").glob("*.zip")
    return bundle


def rewritten(bundle: Path, path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a bundle in which one part is another."""
    with zipfile.ZipFile(bundle) as before, zipfile.ZipFile(path, "w") as after:
        assert part in before.namelist()
        for name in before.namelist():
            after.writestr(name, change(before.read(name)) if name == part else before.read(name))
    return path


def renamed(data: bytes, name: str) -> bytes:
    facts = json.loads(data)
    return json.dumps({**facts, "plugin": {**facts["plugin"], "class": name}}).encode()
