"""Repro bundles: what they hold is what the plugin got, and a killed run leaves nothing behind for good."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from streamproc import Frame, FramePlugin, Options, Output, PluginError, Results
from streamproc.config import load_text
from streamproc.engine import Engine, replay_bundle
from streamproc.models import ModelStore
from streamproc.registry import Registry
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import Fail
from tests.videos import Recipe, encode


class Digest(FramePlugin[Options]):
    """Fails with a digest of every form of the picture, and of all that a frame says of itself."""

    def process(self, frame: Frame, past: Results) -> Output:
        forms = (frame.rgb, frame.bgr, frame.gray, frame.resized(50, 40), frame.reduced(50, 40))
        pixels = hashlib.sha256(b"".join(np.ascontiguousarray(form).tobytes() for form in forms)).hexdigest()
        frame_facts = (frame.index, frame.pts_ns, frame.captured_ns, frame.keyframe, frame.size, frame.stream.rate)
        raise ValueError(f"{pixels} {frame_facts}")


def test_bundle_holds_the_same_pixels_as_the_run(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    video = encode(tmp_path / "a.mp4", Recipe(frames=2, size=(128, 96), picture=lambda _: noise))
    config = {
        "version": 1,
        "streams": {"a": {"source": str(video), "chain": ["digest"], "sinks": []}},
        "plugins": {"digest": {"type": "tests.engine.test_bundles:Digest"}},
        "runtime": {"state": str(tmp_path / "state")},
    }
    Engine(load_text(json.dumps(config))).run()
    (bundle,) = (tmp_path / "state" / "bundles").iterdir()
    replay = replay_bundle(bundle, Registry(), ModelStore(), [__name__])
    assert replay.then.startswith("ValueError")
    assert replay.now == replay.then


def test_a_bundle_of_another_format_is_refused(tmp_path: Path) -> None:
    Engine(make_plan([plugin_plan(Fail, every=1)], make_frames(1), state=tmp_path)).run()
    (bundle,) = (tmp_path / "bundles").iterdir()
    with zipfile.ZipFile(bundle) as files:
        facts = json.loads(files.read("bundle.json"))
    older = tmp_path / "older.zip"
    with zipfile.ZipFile(older, "w") as files:
        files.writestr("bundle.json", json.dumps({**facts, "bundle": 1}))
    with pytest.raises(PluginError, match=r"older\.zip is a repro bundle of format 1, .* reads format 2"):
        replay_bundle(older, Registry(), ModelStore())


def test_unfinished_bundles_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    folder = tmp_path / "bundles"
    folder.mkdir()
    leftover, older = folder / f".a-fail-0-1.zip.{killed.pid}.part", folder / "a-fail-0-1.part"
    under_way = folder / f".b-fail-0-1.zip.{os.getppid()}.part"
    for path in (leftover, older, under_way):
        path.touch()
    Engine(make_plan([plugin_plan(Fail, every=1)], make_frames(2), state=tmp_path)).run()
    left = sorted(path.name for path in folder.iterdir())
    assert [name for name in left if name.endswith(".part")] == [under_way.name]
    assert len(left) == 2
