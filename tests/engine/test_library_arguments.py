"""The arguments of `streamproc.run`: every form of a plugin and a source, and every mistake in them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import streamproc
from streamproc import ConfigError, Frame, FramePlugin, Options, Output, Results
from tests.engine.feeds import Feed
from tests.engine.plugins import Fail, Level, Measure

THREE = (Feed, {"frames": 3})


def names(*chain: Any) -> list[list[str]]:
    return [sorted(record.verdicts) for record in streamproc.run(THREE, chain)][:1]


def mistakes(*arguments: Any, **settings: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        streamproc.run(*arguments, **settings)
    assert "in the arguments:" in str(caught.value)
    assert all(issue.file is None and issue.line is None for issue in caught.value.issues)
    return [str(issue) for issue in caught.value.issues]


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("motion", "motion"),
        (("motion", {"min_area": 0.01}), "motion"),
        (Measure, "measure"),
        ((Fail, {"every": 100}), "fail"),
        ("tests.engine.plugins:Measure", "measure"),
        (("tests.engine.plugins:Fail", {"every": 100}), "fail"),
        ({"type": "motion", "name": "moves", "rate": 5}, "moves"),
        ({"type": Fail, "options": {"every": 100}, "on_error": "stop"}, "fail"),
    ],
)
def test_every_form_of_a_plugin_works(entry: Any, name: str) -> None:
    assert names(entry) == [[name]]


def test_equal_names_get_numbers() -> None:
    chain = [Measure, Measure, {"type": Measure, "name": "measure_2"}, (Fail, {"every": 9})]
    assert names(*chain) == [["fail", "measure", "measure_2", "measure_3"]]


def other_measure() -> type[FramePlugin[Options]]:
    class Measure(FramePlugin[Options]):
        gives = (Level,)

        def process(self, frame: Frame, past: Results) -> Output:
            yield Level(value=-1.0)

    return Measure


def test_two_classes_of_one_name_stay_apart() -> None:
    """As when a cell of a notebook is executed twice."""
    first, second = other_measure(), other_measure()
    second.process = lambda self, frame, past: [Level(value=-2.0)]  # type: ignore[method-assign]
    record = next(iter(streamproc.run(THREE, [first, second])))
    assert [level.value for level in record.all(Level).values()] == [-1.0, -2.0]


@pytest.mark.parametrize("source", [Feed, THREE, {"type": Feed, "options": {"frames": 3}}, {"yard": THREE}])
def test_every_form_of_a_source_works(source: Any) -> None:
    assert next(iter(streamproc.run(source))).index == 0


def test_every_mistake_is_reported_at_once() -> None:
    found = mistakes(THREE, ["motoin", ("motion", {"min_arae": 1}), 5], rte=5, rate=-1, workers=0, keep_frames="no")
    assert [line.partition(":")[0] for line in found] == [
        "rte", "keep_frames", "chain[2]", "rate", "chain[1].options.min_arae", "chain[0]", "workers",
    ]  # fmt: skip
    text = "\n".join(found)
    assert "rte: unknown argument; did you mean 'rate'?" in text
    assert "no plugin is called 'motoin'; did you mean 'motion'?" in text
    assert "keep_frames: expected True or False, got 'no'" in text


@pytest.mark.parametrize("source", [None, [1, 2], True, 1.5, ("file",), {}])
def test_what_is_no_source_is_refused(source: Any) -> None:
    (line,) = mistakes(source)
    assert "a path, address or camera index" in line


def test_a_mistake_names_its_stream() -> None:
    (line,) = mistakes({"yard": THREE, "dock": (Feed, {"frmes": 3})})
    assert line.startswith("source['dock'].options.frmes: unknown key 'frmes'; did you mean 'frames'?")


def test_a_single_name_is_no_chain() -> None:
    (line,) = mistakes(THREE, "motion")
    assert line == "chain: expected a list of plugins, got 'motion'; write ['motion'] for one plugin"


def test_a_missing_plugin_is_named() -> None:
    (line,) = mistakes(THREE, ["tracking"])
    assert line.startswith("chain[0]: tracking: needs Detections")


def test_a_loaded_plan_takes_no_chain(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "version: 1\nstreams: {a: {source: {type: synthetic, options: {duration: 1s}}}}\n"
        f"runtime: {{state: {tmp_path}/state}}\n"
    )
    plan = streamproc.load(tmp_path / "job.yaml")
    found = mistakes(plan, ["motion"], rate=5, workers=0)
    assert [line.partition(":")[0] for line in found] == ["chain", "rate", "workers"]
    assert len(list(streamproc.run(plan, workers=1))) == 15


def test_a_file_with_mistakes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("version: 1\nstreams: {a: {source: {typ: synthetic}}}\n")
    with pytest.raises(ConfigError, match=r"job\.yaml:2"):
        streamproc.load(tmp_path / "job.yaml")


def test_doubtful_options_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    zone = {"polygon": [[0, 0], [1, 0], [1, 1]], "loitering": {"absence": "5min"}}
    streamproc.run(THREE, ["motion", "tracking", ("rules", {"zones": {"yard": zone}})])
    (line,) = caplog.messages
    assert "absences up to 300s don't count" in line
