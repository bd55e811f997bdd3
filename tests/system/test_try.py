"""`streamproc try`: one plugin on a clip, from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from streamproc import Registry, StreamprocError
from streamproc.cli.contact import MOST_TILES, Tile, chosen
from streamproc.cli.front import in_front
from streamproc.exits import BAD_CONFIG, PLUGIN_FAILED, STREAM_FAILED
from streamproc.media import VideoWriter
from streamproc.sources.synthetic import SyntheticOptions, SyntheticSource
from tests.videos import read

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

from streamproc import Event, Field, FramePlugin, Options, Result


class DarkOptions(Options):
    limit: float = Field(40, ge=0, le=255, description="mean grey level below which a frame is dark")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level(Result):
    """Mean grey level."""

    schema: ClassVar[str] = "tests.level/1"
    value: float


class Dark(FramePlugin[DarkOptions]):
    gives = (Level,)

    def process(self, frame, past):
        yield Level(value=float(frame.gray.mean()))
        if frame.gray.mean() < self.options.limit:
            yield Event.instant(frame, "image.dark")


class Broken(FramePlugin[DarkOptions]):
    def process(self, frame, past):
        return [] if 1 / (frame.index - 3) else []


class Needy(FramePlugin[Options]):
    needs = (Level,)

    def process(self, frame, past):
        return []
'''

SCENE = {"width": 320, "height": 180, "rate": 10, "seed": 3}
Try = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figures that walk through a yard, for four seconds."""
    path = tmp_path_factory.mktemp("clip") / "yard.mp4"
    options = SyntheticOptions.model_validate({**SCENE, "duration": "4s"})
    writer = VideoWriter(path)
    for shown in read(SyntheticSource(options)).frames:
        assert shown.pts_ns is not None
        writer.write(shown.picture.to_rgb(), shown.pts_ns)
    writer.close()
    return path


@pytest.fixture
def tried(clip: Path, tmp_path: Path) -> Try:
    """Call it with a plugin and options; it runs in a folder that holds `mine.py`."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "temp").mkdir()

    def call(plugin: str, *options: str, source: Path | str = clip) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "streamproc", "try", plugin, str(source), *options]
        environment = {**os.environ, "TMPDIR": str(tmp_path / "temp")}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert list((tmp_path / "temp").iterdir()) == []
        return done

    return call


def test_a_plugin_of_your_own_is_shown(tried: Try, tmp_path: Path) -> None:
    done = tried("mine:Dark", "--set", "limit=255", "--frames", "20")
    assert done.returncode == 0, done.stderr
    assert "frames:  20\nresults: 20 Level\nevents:  20 image.dark\n" in done.stdout
    assert "the run ends after 20 frames" in done.stderr
    sheet = cv2.imread(str(tmp_path / "out" / "try" / "mine_Dark.png"))
    assert sheet is not None
    assert sheet.shape[1] > 3 * 480
    assert "picture: out/try/mine_Dark.png (12 frames)" in done.stdout


def test_needed_plugins_run_in_front(tried: Try) -> None:
    zones = "zones={yard: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}"
    done = tried("rules", "--with", "motion", "--set", zones, "--rate", "5", "--out", "pictures")
    assert done.returncode == 0, done.stderr
    assert "motion runs in front: --with" in done.stderr
    assert "tracking runs in front: rules needs Tracks" in done.stderr
    assert "chain: motion -> tracking -> rules" in done.stderr
    assert "zone.entered" in done.stdout
    assert "frames:  20" in done.stdout
    assert "picture: pictures/rules.png" in done.stdout


def test_the_first_error_is_shown_with_its_line(tried: Try) -> None:
    done = tried("mine:Broken")
    assert done.returncode == PLUGIN_FAILED
    line = MODULE.splitlines().index("        return [] if 1 / (frame.index - 3) else []") + 1
    assert f"failed at frame 3: ZeroDivisionError: division by zero [mine.py:{line} in process]" in done.stderr


def test_mistakes_are_reported_in_terms_of_the_command(tried: Try) -> None:
    done = tried("mine:Dark", "--set", "limt=5", "--rate", "-1")
    assert done.returncode == BAD_CONFIG
    assert "--set limt: unknown key 'limt'; did you mean 'limit'?" in done.stderr
    assert "--rate: input should be greater than 0, got -1" in done.stderr
    assert tried("mine:Dark", "--set", "limit").returncode == BAD_CONFIG
    done = tried("mine:Drak")
    assert "did you mean 'Dark'?" in done.stderr
    assert done.returncode == BAD_CONFIG


def test_a_clip_that_is_missing_is_named(tried: Try) -> None:
    done = tried("mine:Dark", source="nowhere.mp4")
    assert done.returncode == STREAM_FAILED
    assert "nowhere.mp4 doesn't exist" in done.stderr


def test_a_class_nobody_gives_is_named(tried: Try) -> None:
    done = tried("mine:Needy")
    assert done.returncode == BAD_CONFIG
    assert "mine:Needy needs Level, which no installed plugin gives; name one" in done.stderr
    assert tried("mine:Needy", "--with", "mine:Dark", "--frames", "3").returncode == 0


@pytest.mark.parametrize(
    ("plugin", "front"),
    [
        ("tracking", ["detection"]),
        ("rules", ["detection", "tracking"]),
        ("labels", ["classification"]),
        ("pose_smoothing", ["pose"]),
        ("face_clusters", ["faces", "face_tracks"]),
        ("class_areas", ["segmentation"]),
        ("camera_motion", []),
        ("motion", []),
    ],
)
def test_what_runs_in_front_follows_from_needs(plugin: str, front: list[str]) -> None:
    assert [entry.name for entry in in_front(Registry(), plugin, ())] == front


def test_a_choice_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamproc import Caption
    from tests.engine.plugins import Tell

    registry = Registry()
    monkeypatch.setattr(Tell, "needs", (Caption,))
    registry.add("plugin", "reader", Tell)
    with pytest.raises(StreamprocError, match="give; choose one: --with caption_net"):
        in_front(registry, "reader", ())
    assert [entry.name for entry in in_front(registry, "reader", ["captions"])] == ["captions"]


def test_events_have_half_of_the_sheet() -> None:
    def tiles(events: set[int], results: range) -> list[Tile]:
        weights = [2 if n in events else int(n in results) for n in range(100)]
        return [Tile(time_s=n, text="", weight=weight) for n, weight in enumerate(weights)]

    assert chosen(tiles({5, 6}, range(0))) == [5, 6]
    found = chosen(tiles({50, 51, 52}, range(20, 80)))
    assert {50, 51, 52} < set(found) < set(range(20, 80))
    assert len(found) == MOST_TILES
    assert chosen(tiles(set(), range(0)))[:: MOST_TILES - 1] == [0, 99]
    assert len(chosen(tiles(set(range(100)), range(0)))) == MOST_TILES
