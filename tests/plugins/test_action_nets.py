"""The nets over clips: shapes, weights, files that load in safe mode, and that those over time really use it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamproc import Classification, ModelError
from streamproc.models import ModelStore
from streamproc.testing import make_clip, run_plugin
from streamproc_plugins.action import Action, AttentionMap
from streamproc_plugins.action.nets import FLOW_KINDS, KINDS, build

T, WIDE, HIGH, CLASSES = 8, 40, 32, 3
SLOW_TO_BUILD = ("i3d", "shufflenet3d")


def clips(model: Any, count: int = 2, seed: int = 0) -> list[Any]:
    """Pictures and, where the model wants it, flow."""
    rng = np.random.default_rng(seed)
    tops = [255 if given.shape[-1] == 3 else 8 for given in model.inputs]
    return [
        rng.random((count, *given.shape[1:]), np.float32) * top for given, top in zip(model.inputs, tops, strict=True)
    ]


def said(model: Any, given: list[Any]) -> Any:
    return np.asarray(model(given if len(given) > 1 else given[0], training=False))


def saved(model: Any, folder: Path) -> str:
    """A model folder that the store loads."""
    folder.mkdir()
    model.save(folder / "net.keras")
    spec = {"height": HIGH, "width": WIDE, "layout": "NDHWC", "colour": "rgb", "frames": T}
    manifest = {
        "name": folder.name, "task": "action", "runtime": "keras", "decode": "logits", "labels": ["a", "b", "c"],
        "input": spec, "files": [{"name": "net.keras"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    return str(folder)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SLOW_TO_BUILD])
def test_every_kind_survives_saving_in_safe_mode(kind: str, tmp_path: Path) -> None:
    model = build(kind, frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1)
    assert [given.name for given in model.inputs] == ["rgb", "flow"][: 2 if kind in FLOW_KINDS else 1]
    assert model.inputs[0].shape == (None, T, HIGH, WIDE, 3)
    given = clips(model)
    logits = said(model, given)
    assert logits.shape == (2, CLASSES)
    assert np.isfinite(logits).all()
    net = ModelStore(download=False).load(saved(model, tmp_path / kind))
    (again,) = net.run(dict(zip(["rgb", "flow"], given, strict=False))).values()
    assert np.allclose(again, logits, atol=1e-4)


def test_flow_stream_averages_with_any_kind() -> None:
    model = build("frame_mean", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1, flow=True)
    import keras

    rgb, uv = (model.get_layer(name).output for name in ("mean", "flow_mean"))
    parts = keras.Model(model.inputs, [rgb, uv])
    given = clips(model)
    each = [np.exp(np.asarray(x)) for x in parts(given, training=False)]
    mean = sum(one / one.sum(axis=1, keepdims=True) for one in each) / 2
    logits = np.exp(said(model, given))
    assert np.allclose(logits / logits.sum(axis=1, keepdims=True), mean, atol=1e-5)
    assert given[1].shape == (2, T, HIGH, WIDE, 2)


def test_flow_beyond_twenty_pixels_counts_as_twenty() -> None:
    model = build("two_stream", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1)
    rgb, uv = clips(model)
    far = uv.copy()
    far[..., 0], uv[..., 0] = 500, 20
    assert np.allclose(said(model, [rgb, far]), said(model, [rgb, uv]), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "cnn_lstn"}, "did you mean 'cnn_lstm'"),
        ({"kind": "slow_fusion", "frames": 4}, "at least 8 frames"),
        ({"kind": "i3d", "size": (8, 64)}, "of 16x16"),
        ({"width": 0}, "width 0"),
        ({"classes": 0}, "0 classes"),
        ({"depth": 3}, "not all of the options"),
    ],
)
def test_impossible_net_is_refused_with_advice(change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"kind": "cnn_lstm", "frames": T, "size": (WIDE, HIGH), "classes": CLASSES}
    with pytest.raises(ModelError, match=message):
        build(**settings | change)


def test_c3d_has_the_weights_of_the_paper() -> None:
    # 3x3x3 convolutions, then 512 x 1 x 4 x 4 values into two dense layers of 4096
    filters = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(27 * a * b + b for a, b in pairwise(filters))
    dense = (512 * 16 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 101
    model = build("c3d", frames=16, size=(112, 112), classes=101)
    assert model.count_params() == convolutions + dense


def test_attention_sums_to_one_per_picture(tmp_path: Path) -> None:
    from streamproc_plugins.action.nets.attention import with_map

    model = with_map(build("attention", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1))
    run = run_plugin(Action, [make_clip(T, width=WIDE, height=HIGH)], model=saved(model, tmp_path / "looking"))
    (shown,) = run.all(AttentionMap)
    assert shown.weights.shape == (T, 4, 5)
    assert shown.weights.sum(axis=(1, 2)) == pytest.approx(np.ones(T), abs=1e-4)
    assert len(run.all(Classification)[0].label) == CLASSES


def test_saved_attention_net_still_gives_its_map(tmp_path: Path) -> None:
    """Keras numbers unnamed operations anew in each process: those added must not take a number of the file's."""
    import keras

    from streamproc_plugins.action.nets.attention import with_map

    build("attention", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1).save(tmp_path / "net.keras")
    keras.utils.clear_session()
    model = with_map(keras.models.load_model(tmp_path / "net.keras", compile=False))
    run = run_plugin(Action, [make_clip(T, width=WIDE, height=HIGH)], model=saved(model, tmp_path / "looking"))
    (shown,) = run.all(AttentionMap)
    assert shown.weights.sum(axis=(1, 2)) == pytest.approx(np.ones(T), abs=1e-4)


# --- nets that go on frame by frame


@pytest.mark.parametrize(("kind", "options"), [("cnn_lstm", {"layers_lstm": 2}), ("causal_conv", {})])
def test_step_ends_where_the_clip_net_does(kind: str, options: dict[str, Any]) -> None:
    from streamproc_plugins.action.nets.streaming import stepwise

    model = build(kind, frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1, **options)
    step = stepwise(model)
    (rgb,) = clips(model, count=1)
    states = [np.zeros((1, *given.shape[1:]), np.float32) for given in step.inputs[1:]]
    for t in range(T):
        logits, *states = (np.asarray(x) for x in step([rgb[:, t], *states], training=False))
    assert np.allclose(logits, said(model, [rgb]), atol=1e-5)


def test_net_that_looks_ahead_can_not_step() -> None:
    from streamproc_plugins.action.nets.streaming import stepwise

    model = build("slow_fusion", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=0.1)
    with pytest.raises(ModelError, match="causal_conv and cnn_lstm"):
        stepwise(model)


# --- I3D and its checkpoints


def checkpoint(path: Path, values: dict[str, Any]) -> Path:
    """A TensorFlow 1 checkpoint of these variables."""
    import tensorflow as tf

    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[n] for n in names]
    )
    return path


def test_i3d_loads_checkpoints_of_both_streams(tmp_path: Path) -> None:
    from streamproc_plugins.action.nets.blocks import stacked_kernel
    from streamproc_plugins.action.nets.i3d import checkpoint_names, load_checkpoint, published_shape

    model = build("i3d", frames=T, size=(WIDE, HIGH), classes=CLASSES, width=1 / 16, flow=True)
    variables = checkpoint_names(model)
    rng = np.random.default_rng(5)
    values = {name: rng.random(published_shape(name, v)).astype(np.float32) for name, v in variables.items()}
    streams = {scope: {n: v for n, v in values.items() if n.startswith(scope)} for scope in ("RGB/", "Flow/")}
    assert [len(part) for part in streams.values()] == [230, 230]
    paths = [checkpoint(tmp_path / scope.strip("/"), part) for scope, part in streams.items()]
    load_checkpoint(model, *paths)
    for name, variable in variables.items():
        value = values[name] if values[name].ndim == len(variable.shape) else stacked_kernel(values[name])
        assert np.array_equal(np.asarray(variable), value)
    assert np.isfinite(said(model, clips(model, count=1))).all()
    with pytest.raises(ModelError, match=r"lacks \['Flow/"):
        load_checkpoint(model, paths[0])
    wrong = values["RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w"][..., :1]
    part = streams["RGB/"] | {"RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w": wrong}
    with pytest.raises(ModelError, match=r"Conv3d_1a_7x7/conv_3d/w has the shape"):
        load_checkpoint(model, checkpoint(tmp_path / "wrong", part), paths[1])


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    from streamproc_plugins.action.nets.i3d import load_checkpoint

    with pytest.raises(ModelError, match="not a TensorFlow checkpoint"):
        load_checkpoint(None, tmp_path / "nothing.ckpt")


@pytest.mark.real
def test_i3d_has_exactly_the_published_variables(shared: Path) -> None:
    import tensorflow as tf

    from streamproc_plugins.action.nets.i3d import checkpoint_names, published_shape

    model = build("i3d", frames=16, size=(224, 224), classes=400, flow=True)
    shapes = {name: published_shape(name, variable) for name, variable in checkpoint_names(model).items()}
    published: dict[str, Any] = {}
    for stream in ("rgb_imagenet", "flow_imagenet"):
        reader = tf.train.load_checkpoint(str(shared / "models" / "i3d" / stream / "model.ckpt"))
        published |= {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    assert len(published) == 460
    assert shapes == published
    assert said(model, clips(model, count=1)).shape == (1, 400)


def test_convolutions_in_2d_equal_those_in_3d() -> None:
    import keras
    from keras import layers

    from streamproc_plugins.action.nets.blocks import convolved, max_pooled, stacked_kernel

    # odd sizes and a stride: padding isn't the same on both sides
    x = np.random.default_rng(3).random((2, 7, 12, 9, 3), np.float32)
    given = keras.Input(x.shape[1:])
    flat = keras.Model(given, convolved(given, 4, "c", kernel=(3, 3), strides=(2, 2)))
    solid = layers.Conv3D(4, 3, strides=2, padding="same")
    expected = solid(x)
    kernel, bias = solid.get_weights()
    flat.get_layer("c").set_weights([stacked_kernel(kernel), bias])
    assert np.allclose(said(flat, [x]), np.asarray(expected), atol=1e-5)
    pooled = keras.Model(given, max_pooled(given, (3, 3), (2, 2), "p"))
    assert np.array_equal(said(pooled, [x]), np.asarray(layers.MaxPooling3D(3, 2, padding="same")(x)))


# --- time


def test_single_picture_does_not_give_the_class() -> None:
    from tests.motion_clips import FRAMES, SIDE, STATES, STEPS, column_px, states

    starts = range(SIDE)
    of_motion = [[sorted(column_px(c, s)[t] for s in starts) for t in range(FRAMES)] for c in range(len(STEPS))]
    assert all(of_motion[c][t] == list(starts) for c in range(len(STEPS)) for t in range(FRAMES))
    moves = np.array([2, 3, 6])
    for label in (0, 1):
        shown = np.array([states(label, start, moves) for start in range(len(STATES))])
        assert all(sorted(shown[:, t]) == list(range(len(STATES))) for t in range(FRAMES))


def test_unordered_pictures_do_not_give_the_class() -> None:
    from tests.motion_clips import FRAMES, STATES, STEPS, column_px, states

    sets = {tuple(sorted(column_px(c, 5))) for c in range(len(STEPS))}
    assert len(sets) == 1
    moves = np.array([2, 3, 6])
    for start in range(len(STATES)):
        clip = states(0, start, moves)
        backwards = states(1, int(clip[-1]), np.sort(FRAMES - moves))
        assert np.array_equal(clip[::-1], backwards)


@pytest.mark.parametrize(
    ("kind", "task"),
    [("early_fusion", "motion"), ("causal_conv", "motion"), ("late_fusion", "order"), ("two_stream", "order")],
)
def test_nets_over_time_learn_order(kind: str, task: str) -> None:
    from keras.utils import set_random_seed

    from tests.motion_clips import FRAMES, SIDE, TASKS
    from tests.training import accuracy, train

    set_random_seed(7)
    model = build(kind, frames=FRAMES, size=(SIDE, SIDE), classes=TASKS[task], width=0.125)
    train(model, task, epochs=12, stop_at=0.98)
    assert accuracy(model, task) >= 0.95


@pytest.mark.parametrize("kind", ["single_frame", "frame_mean"])
def test_net_without_order_stays_at_chance(kind: str) -> None:
    from keras.utils import set_random_seed

    from tests.motion_clips import FRAMES, SIDE, TASKS
    from tests.training import accuracy, train

    set_random_seed(7)
    model = build(kind, frames=FRAMES, size=(SIDE, SIDE), classes=TASKS["motion"], width=0.125)
    train(model, "motion", epochs=2)
    assert accuracy(model, "motion") < 0.4  # chance is 0.25


@pytest.mark.parametrize("kind", ["frame_mean", "frame_max", "conv_pooling", "late_pooling"])
def test_pooling_nets_confuse_a_clip_with_its_reverse(kind: str) -> None:
    from tests.motion_clips import FRAMES, SIDE

    model = build(kind, frames=FRAMES, size=(SIDE, SIDE), classes=4, width=0.125)
    forward, backward = said(model, [_reversed_pair()])
    assert np.allclose(forward, backward, atol=1e-5)


def _reversed_pair() -> Any:
    """A clip, and the same backwards, float32 (2, T, h, w, 3)."""
    from tests.motion_clips import make

    rgb, _, _ = make("motion", 1, seed=1)
    return np.concatenate([rgb, rgb[:, ::-1]]).astype(np.float32)
