"""Nets over features: trained on the output of `embed`, run by `action_stream` behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, ModelError, PluginError
from streamproc.media import VideoWriter
from streamproc.models import ModelStore
from streamproc.testing import make_frame, make_info, plugin_plan, run_chain, run_plugin
from streamproc_plugins.action import ActionStream
from streamproc_plugins.action.nets.features import FEATURE_KINDS, build_over_features, step_over_features
from streamproc_plugins.search import Embed, Embedding
from streamproc_plugins.training.clips import ClipSettings
from streamproc_plugins.training.course import CourseSettings, TrainingProgress
from streamproc_plugins.training.data import CLIP_SUFFIXES, TrainingError, read_folder
from streamproc_plugins.training.fit import FitSettings
from streamproc_plugins.training.sequences import train_sequences
from tests.nets import brightness_classes, model_folder

RATE, FRAMES = 10, 6
LEVELS = {"rises": np.linspace(20, 230, FRAMES), "falls": np.linspace(230, 20, FRAMES)}
"""the same pictures in another order: only time separates them"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedding net: how bright a picture is, and how dark."""
    spec = {"height": 16, "width": 16, "layout": "NCHW", "colour": "rgb"}
    folder = tmp_path_factory.mktemp("base") / "levels"
    return str(model_folder(folder, brightness_classes(16, 16), task="retrieval", decode="embedding", input=spec))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for label, levels in LEVELS.items():
        (folder / label).mkdir()
        for take in range(8):
            writer = VideoWriter(folder / label / f"take{take}x.mp4", crf=5)
            for n, level in enumerate(levels + 2 * take):
                writer.write(np.full((64, 64, 3), int(level), np.uint8), n * 10**9 // RATE)
            writer.close()
    return folder


def settings(out: Path, net: str = "feature_lstm") -> ClipSettings:
    course = CourseSettings(batch=4, validation=0.25, fit=FitSettings(epochs=25, patience=25, rate=5e-3))
    return ClipSettings(out=out, name="light", net=net, frames=FRAMES, rate=RATE, width=0.1, course=course)


def test_trained_sequence_net_runs_behind_embed(clips: Path, base: str, tmp_path: Path) -> None:
    data = read_folder(clips, CLIP_SUFFIXES, "file")
    outcome = train_sequences(data, settings(tmp_path / "light"), base, TrainingProgress())
    assert outcome.report.accuracy[1] == 1.0
    info = make_info(width=64, height=64, rate=RATE)
    frames = [make_frame(fill=int(level), index=n, info=info) for n, level in enumerate(LEVELS["falls"])]
    chain = [
        plugin_plan(Embed, name="what", model=base),
        plugin_plan(ActionStream, name="doing", model=str(tmp_path / "light")),
    ]
    found = run_chain(chain, frames, watch=ActionStream).all(Classification)
    assert len(found) == FRAMES
    assert found[-1].label[0] == "falls"
    assert found[-1].score[0] > 0.8


@pytest.mark.parametrize("kind", FEATURE_KINDS)
def test_repeated_step_equals_the_clip_net(kind: str) -> None:
    model = build_over_features(kind, frames=5, depth=7, classes=3, width=0.05)
    step = step_over_features(model)
    clip = np.random.default_rng(0).normal(size=(1, 5, 7)).astype(np.float32)
    states: list[Any] = [np.zeros((1, tensor.shape[-1]), np.float32) for tensor in step.inputs[1:]]
    for t in range(5):
        logits, *states = (np.asarray(one) for one in step([clip[:, t], *states], training=False))
    np.testing.assert_allclose(logits, model(clip, training=False), atol=1e-5)


def test_mean_confuses_a_clip_with_its_reverse() -> None:
    model = build_over_features("feature_mean", frames=5, depth=4, classes=2, width=0.05)
    clip = np.random.default_rng(0).normal(size=(1, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(model(clip, training=False), model(clip[:, ::-1], training=False), atol=1e-5)


def test_net_not_over_features_is_refused(base: str, tmp_path: Path, clips: Path) -> None:
    with pytest.raises(TrainingError, match="--base goes with --net feature_lstm or feature_mean, got c3d"):
        train_sequences(read_folder(clips, CLIP_SUFFIXES), settings(tmp_path / "x", "c3d"), base, TrainingProgress())
    with pytest.raises(ModelError, match="no kind of net 'feature_lst'; did you mean 'feature_lstm'"):
        build_over_features("feature_lst", frames=5, depth=4, classes=2)


def test_missing_or_foreign_features_are_refused(tmp_path: Path) -> None:
    step = step_over_features(build_over_features("feature_lstm", frames=3, depth=4, classes=2, width=0.05))
    folder = tmp_path / "net"
    folder.mkdir()
    step.save(folder / "net.keras")
    manifest = (
        '{"name": "net", "task": "action", "runtime": "keras", "decode": "logits", "labels": ["a", "b"], '
        '"files": [{"name": "net.keras"}]}'
    )
    (folder / "model.json").write_text(manifest)
    frames = [make_frame()]
    with pytest.raises(PluginError, match="put `embed` before it"):
        run_plugin(ActionStream, frames, model=str(folder), models=ModelStore())
    other = Embedding(values=np.array([1, 0, 0], np.float32), model="other")
    with pytest.raises(ModelError, match=r"takes features float32 .*4\), `embed` gave 3 values of other"):
        run_plugin(ActionStream, frames, past=[[other]], model=str(folder), models=ModelStore())
