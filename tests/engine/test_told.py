"""What a person is told of a run in which something was wrong but nothing failed."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from streamproc.config import load_text
from streamproc.engine import Engine
from streamproc.report.troubles import troubles
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import Fail, NanBoxes
from tests.videos import Recipe, encode, hurt


def test_frames_that_cannot_be_decoded_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "a.ts", Recipe(frames=100, b_frames=2, options={"sc_threshold": "0", "crf": "18"}))
    hurt(path, at=0.5, length=2000)
    text = (
        f'version: 1\nstreams: {{s: {{source: {{type: file, options: {{path: "{path}"}}}}, chain: [m], sinks: []}}}}\n'
    )
    plan = load_text(f'{text}plugins: {{m: {{type: motion}}}}\nruntime: {{state: "{tmp_path / "state"}"}}\n')
    with caplog.at_level(logging.WARNING):
        report = Engine(plan).run()
    lost = report.ledger.total("undecodable")
    assert lost > 0
    assert f"{lost} frames of s could not be decoded; what they showed is missing" in troubles(report)
    assert sum("a frame can't be decoded stream=s" in record.getMessage() for record in caplog.records) >= 1


def test_another_plugin_that_fails_at_the_same_frame_keeps_a_bundle_of_its_own(tmp_path: Path) -> None:
    for failing in (plugin_plan(Fail, name="p", from_index=0), plugin_plan(NanBoxes, name="p")):
        Engine(make_plan([failing], make_frames(2), state=tmp_path)).run()
    names = sorted(path.name for path in (tmp_path / "bundles").iterdir())
    assert len(names) == 2
    Engine(make_plan([plugin_plan(Fail, name="p", from_index=0)], make_frames(2), state=tmp_path)).run()
    assert sorted(path.name for path in (tmp_path / "bundles").iterdir()) == names  # the same failure once more


@pytest.mark.real
def test_litert_does_not_greet_on_stderr_and_nothing_else_is_held_back(shared: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom streamproc.models import ModelStore\n"
        "store = ModelStore(mirrors=[Path(sys.argv[1])], cache=Path(sys.argv[2]), download=False)\n"
        "store.load('mobilenet-v1-tiny')\nos.write(2, b'done\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shared / "models"), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "done\n"
