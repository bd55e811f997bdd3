"""The `action` plugin with a small 3-D convolution net whose answer follows from its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, Frame, ModelError, PluginError
from streamproc.testing import (
    check_plugin_contract,
    make_clip,
    make_frame,
    make_info,
    plugin_plan,
    run_chain,
    run_plugin,
)
from streamproc_plugins.action import Action
from streamproc_plugins.action.scores import activate, best

T, SIDE = 6, 24


@pytest.fixture(scope="module")
def direction_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras: two Conv3D filters that follow a bar, one pixel a picture to the right or left, then the maximum."""
    import keras

    right = np.zeros((T, 1, T + 2, 3, 1), np.float32)
    for t in range(T):
        right[t, 0, t : t + 3] = 1 / (9 * T)
    left = right[::-1]
    clip = keras.Input((T, SIDE, SIDE, 3))
    seen = keras.layers.Conv3D(2, (T, 1, T + 2), activation="relu", use_bias=False, name="follow")(clip)
    out = keras.layers.GlobalMaxPooling3D()(seen)
    model = keras.Model(clip, out)
    model.get_layer("follow").set_weights([np.concatenate([right, left], axis=-1)])
    folder = tmp_path_factory.mktemp("models") / "direction"
    folder.mkdir()
    model.save(folder / "net.keras")
    manifest = {
        "name": "direction",
        "task": "action",
        "runtime": "keras",
        "labels": ["right", "left"],
        "input": {
            "height": SIDE, "width": SIDE, "layout": "NDHWC", "colour": "rgb", "frames": T, "scale": [0.05, 0.05, 0.05],
        },
        "files": [{"name": "net.keras"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def moving_bar(step: int, count: int = 21) -> list[Frame]:
    """A bar three pixels wide that moves by `step` pixels a frame, at 10 frames a second."""
    info = make_info(width=SIDE, height=SIDE, rate=10)
    frames = []
    for i in range(count):
        rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
        start = i if step > 0 else SIDE - 3 - i
        rgb[:, start : start + 3] = 255
        frames.append(make_frame(rgb=rgb, index=i, info=info))
    return frames


@pytest.mark.parametrize(("step", "label"), [(1, "right"), (-1, "left")])
def test_it_tells_the_direction_that_only_time_shows(direction_net: Path, step: int, label: str) -> None:
    options: dict[str, Any] = {"model": str(direction_net), "rate": 10, "stride": "500ms"}
    run = run_chain([plugin_plan(Action, **options)], moving_bar(step), watch=Action)
    found = run.all(Classification)
    assert len(found) == 4
    assert all(result.label[0] == label and result.score[0] > 0.9 for result in found)
    assert [event.data["label"] for event in run.events] == [label] * 4
    first = run.events[0]
    assert (first.start_ns, first.end_ns) == (0, 500_000_000)


def test_ignored_labels_and_low_scores_are_no_events(direction_net: Path) -> None:
    options: dict[str, Any] = {"model": str(direction_net), "rate": 10, "ignore": ["right"]}
    assert run_chain([plugin_plan(Action, **options)], moving_bar(1)).types == []


def test_it_holds_to_the_contract_of_clip_plugins(direction_net: Path) -> None:
    clips = [make_clip(T, width=SIDE, height=SIDE, seed=seed) for seed in range(4)]
    check_plugin_contract(Action, clips, model=str(direction_net))


def test_a_model_of_single_pictures_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    from tests.nets import answering_net, model_folder

    spec = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb"}
    folder = model_folder(tmp_path / "still", answering_net({"y": np.zeros((1, 3))}, (1, 3, 8, 8)), input=spec)
    with pytest.raises(PluginError, match="needs a model of clips"):
        run_plugin(Action, moving_bar(1, 3), model=str(folder))


def test_labels_that_do_not_fit_the_net_are_refused_with_both_shapes(direction_net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "net.keras").write_bytes((direction_net / "net.keras").read_bytes())
    manifest = json.loads((direction_net / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**manifest, "name": "wrong", "labels": ["a", "b", "c"]}))
    with pytest.raises(PluginError, match=r"2\).*\(1, 3\)"):
        run_plugin(Action, moving_bar(1, 3), model=str(folder))
    assert issubclass(ModelError, Exception)


def test_scores_from_logits() -> None:
    assert activate(np.array([0.0, 0.0]), "softmax").tolist() == [0.5, 0.5]
    assert activate(np.array([1000.0, 0.0]), "softmax").tolist() == [1.0, 0.0]
    assert activate(np.array([0.0]), "sigmoid").tolist() == [0.5]
    assert best(np.array([0.1, 0.5, 0.5, 0.2], np.float32), 3).tolist() == [1, 2, 3]
