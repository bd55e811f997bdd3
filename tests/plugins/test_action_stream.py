"""`action_stream`: a net that carries its state from picture to picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, Frame, PluginError
from streamproc.models import ModelStore
from streamproc.shots import Shot
from streamproc.testing import Fault, make_frame, make_info, plugin_plan, run_chain, run_plugin
from streamproc_plugins.action import ActionStream
from streamproc_plugins.action.carried import SteppingNet
from tests.nets import answering_net, fading_net, model_folder

SPEC = {"height": 8, "width": 8, "layout": "NHWC", "colour": "rgb"}
INFO = make_info(width=8, height=8, rate=10)


@pytest.fixture
def fading(tmp_path: Path) -> str:
    """A net whose score of `bright` is half its last one and half the picture's level."""
    folder = model_folder(
        tmp_path / "fading", fading_net(8, 8), task="action", decode="sigmoid", labels=["bright", "dark"], input=SPEC
    )
    return str(folder)


def flat(levels: list[int], times: list[float] | None = None) -> list[Frame]:
    times = times or [i / 10 for i in range(len(levels))]
    rgb = np.ones((8, 8, 3), np.uint8)
    return [
        make_frame(rgb=rgb * level, index=i, pts_s=at, info=INFO)
        for i, (level, at) in enumerate(zip(levels, times, strict=True))
    ]


def bright(found: list[Classification]) -> list[float]:
    """The score of `bright` of each answer."""
    return [float(one.score[one.label.index("bright")]) for one in found]


def test_the_state_goes_on_from_picture_to_picture(fading: str) -> None:
    run = run_plugin(ActionStream, flat([255, 255, 255, 0]), model=fading)
    assert bright(run.all(Classification)) == pytest.approx([1 / 2, 3 / 4, 7 / 8, 7 / 16], abs=1e-4)


def test_it_begins_anew_behind_a_gap(fading: str) -> None:
    run = run_plugin(ActionStream, flat([255, 255, 255], [0, 0.1, 5.0]), model=fading)
    assert bright(run.all(Classification)) == pytest.approx([1 / 2, 3 / 4, 1 / 2], abs=1e-4)
    patient = run_plugin(ActionStream, flat([255, 255, 255], [0, 0.1, 0.9]), model=fading)
    assert bright(patient.all(Classification))[2] == pytest.approx(7 / 8, abs=1e-4)


def test_lost_source_begins_anew(fading: str) -> None:
    frames: list[Any] = [*flat([255, 255]), Fault("lost"), *flat([255] * 4)[2:]]
    run = run_chain([plugin_plan(ActionStream, model=fading)], frames, watch=ActionStream, live=True)
    assert bright(run.all(Classification))[:3] == pytest.approx([1 / 2, 3 / 4, 1 / 2], abs=1e-4)


def test_another_shot_begins_anew(fading: str) -> None:
    shots = [Shot(number=number, start_ns=0, kind="cut") for number in (1, 1, 2, 2)]
    run = run_plugin(ActionStream, flat([255] * 4), past=[[shot] for shot in shots], model=fading)
    assert bright(run.all(Classification)) == pytest.approx([1 / 2, 3 / 4, 1 / 2, 3 / 4], abs=1e-4)


def test_answers_wait_for_the_warm_up(fading: str) -> None:
    run = run_plugin(ActionStream, flat([255] * 5), model=fading, warm_up="200ms")
    assert bright(run.all(Classification)) == pytest.approx([7 / 8, 15 / 16, 31 / 32], abs=1e-4)


def test_it_looks_at_its_region_only(fading: str) -> None:
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[:, 4:] = 255
    run = run_plugin(ActionStream, [make_frame(rgb=rgb, info=INFO)], model=fading, region=[0.5, 0, 1, 1])
    assert bright(run.all(Classification)) == pytest.approx([0.5], abs=1e-4)


def test_net_without_states_is_refused(tmp_path: Path) -> None:
    net = answering_net({"y": np.zeros((1, 2), np.float32)}, (1, 8, 8, 3))
    folder = model_folder(tmp_path / "still", net, task="action", labels=["a", "b"], input=SPEC)
    with pytest.raises(PluginError, match=r"no streaming net.*expected a picture \(1, 8, 8, 3\), states"):
        run_plugin(ActionStream, flat([0]), model=str(folder))


def test_the_state_of_another_net_is_refused(fading: str) -> None:
    net = SteppingNet.of(ModelStore(download=False).load(fading))
    with pytest.raises(ValueError, match="another net"):
        net.read({"level": np.zeros((1, 7), np.float32)})


@pytest.fixture(scope="module")
def litert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT with a signature as MoViNets' streaming files have it: image and states in, logits and states out.

    `sum` adds the pictures' mean levels, `count` the pictures (int32); the logits are mean and minus the mean.
    """
    import tensorflow as tf

    class Counting(tf.Module):  # type: ignore[misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec((1, 1, 8, 8, 3), tf.float32, "image"),
                tf.TensorSpec((1, 1), tf.float32, "state_sum"),
                tf.TensorSpec((1,), tf.int32, "state_count"),
            ],
        )
        def step(self, image: Any, state_sum: Any, state_count: Any) -> Any:
            total = state_sum + tf.reduce_mean(image, axis=[1, 2, 3, 4])[:, None] / 255.0
            count = state_count + 1
            mean = total / tf.cast(count, tf.float32)
            logits = tf.concat([mean, -mean], axis=1)
            return {"logits": logits, "state_sum": total, "state_count": count}

    module = Counting()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.step.get_concrete_function()], module)
    folder = tmp_path_factory.mktemp("models") / "counting"
    folder.mkdir()
    (folder / "net.tflite").write_bytes(converter.convert())
    manifest = {
        "name": "counting", "task": "action", "runtime": "litert", "decode": "sigmoid", "labels": ["bright", "dark"],
        "input": {"height": 8, "width": 8, "layout": "NDHWC", "colour": "rgb", "frames": 1},
        "files": [{"name": "net.tflite"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def test_litert_net_carries_states_by_signature_names(litert_folder: Path) -> None:
    net = SteppingNet.of(ModelStore(download=False).load(str(litert_folder)))
    assert {before.signature or before.name for before, _ in net.states} >= {"state_sum", "state_count"}
    run = run_plugin(ActionStream, flat([255, 0, 0, 0]), model=str(litert_folder))
    assert bright(run.all(Classification)) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], abs=1e-4)
