"""The captioner: trained on clips made here, its decoder in NumPy the same as in Keras, run in the engine."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Caption, PluginError
from streamproc.evaluation.captions import evaluate
from streamproc.media import VideoWriter
from streamproc.models import ModelStore, add
from streamproc.testing import make_frame, make_info, run_plugin
from streamproc_plugins.captioning import CaptionNet
from streamproc_plugins.captioning.decoder import Weights, advance, attend, log_softmax, start_states
from streamproc_plugins.captioning.nets import ENCODERS, NetSettings, build_captioner
from streamproc_plugins.captioning.samples import grouped_captioned, read_captioned, split_captioned
from streamproc_plugins.captioning.training import CaptionSettings, train_captions
from streamproc_plugins.captioning.vocabulary import START
from streamproc_plugins.training.augment import Augmentation
from streamproc_plugins.training.course import CourseSettings, TrainingProgress
from streamproc_plugins.training.data import TrainingError
from streamproc_plugins.training.fit import FitSettings

SIDE, FRAMES, RATE = 32, 4, 10
COLOURS = {"red": (230, 40, 40), "green": (40, 210, 60), "blue": (60, 80, 240)}
WAYS = {"moves to the right": (5, 0), "moves to the left": (-5, 0), "moves up": (0, -5), "stays": (0, 0)}


def clip(colour: str, way: str, seed: int) -> NDArray[np.uint8]:
    """A square of this colour on noise, uint8 (T, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    right, down = WAYS[way]
    x = int(rng.integers(2, 6)) + (16 if right < 0 else 0 if right > 0 else 8)
    y = int(rng.integers(2, 6)) + (16 if down < 0 else 6)
    rgb = rng.integers(0, 40, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    for t in range(FRAMES):
        rgb[t, y + down * t : y + down * t + 8, x + right * t : x + right * t + 8] = COLOURS[colour]
    return rgb


def sentence(colour: str, way: str) -> str:
    return f"A {colour} square {way}."


def write_clip(path: Path, rgb: NDArray[np.uint8]) -> None:
    writer = VideoWriter(path, crf=5)
    try:
        for number, picture in enumerate(np.repeat(np.repeat(rgb, 2, axis=1), 2, axis=2)):
            writer.write(picture, number * 1_000_000_000 // RATE)
    finally:
        writer.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of clips: every colour and way several times; some held out."""
    folder = tmp_path_factory.mktemp("captioned")
    with (folder / "captions.csv").open("w", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["path", "caption", "side"])
        for n, (colour, way, take) in enumerate(itertools.product(COLOURS, WAYS, range(5))):
            write_clip(folder / f"{n}.mp4", clip(colour, way, n))
            rows.writerow([f"{n}.mp4", sentence(colour, way), "val" if take == 4 else "train"])
    return folder / "captions.csv"


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A captioner over space and time, trained on them."""
    course = CourseSettings(
        batch=12, fit=FitSettings(epochs=30, patience=20, rate=4e-3), augmentation=Augmentation.none()
    )  # fmt: skip
    settings = CaptionSettings(
        out=tmp_path_factory.mktemp("model") / "squares", name="squares", encoder="3d", frames=FRAMES, rate=RATE,
        size=(SIDE, SIDE), width=0.25, longest=9, course=course,
    )  # fmt: skip
    return train_captions(read_captioned(data), settings, TrainingProgress())


def test_unknown_clips_are_described_word_for_word(trained: Any) -> None:
    assert trained.report.captions == 12
    assert trained.report.bleu[3] > 0.95
    assert trained.report.cider > 9
    report = json.loads((trained.folder / "training.json").read_text())
    assert report["held_out"]["BLEU-4"] == pytest.approx(trained.report.bleu[3], abs=1e-4)
    assert (trained.folder / "curves.png").stat().st_size > 1000


def test_trained_folder_runs_as_a_model(trained: Any, tmp_path: Path) -> None:
    store = ModelStore(mirrors=[], cache=tmp_path / "cache", download=False)
    assert add(store, trained.folder).name == "squares"
    info = make_info(width=SIDE, height=SIDE, rate=RATE)
    rgb = np.concatenate([clip("blue", "moves to the left", 900), clip("red", "stays", 901)])
    frames = [make_frame(rgb=picture, index=n, info=info) for n, picture in enumerate(rgb)]
    run = run_plugin(CaptionNet, frames, models=store, model="squares", rate=RATE, stride="400ms")
    texts = [event.data["text"] for event in run.events]
    assert texts == ["a blue square moves to the left", "a red square stays"]
    assert [caption.text for caption in run.all(Caption)] == texts
    assert all(0.3 < (event.score or 0) <= 1 for event in run.events)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_numpy_decoder_equals_the_trained_one(encoder: Any) -> None:
    settings = NetSettings(encoder=encoder, frames=2, size=(16, 16), words=11, longest=5, width=0.1)
    captioner = build_captioner(settings)
    channels = 2 if encoder == "flow" else 3
    rng = np.random.default_rng(1)
    pictures = rng.uniform(0, 9, (1, 2, 16, 16, channels)).astype(np.float32)
    words = np.array([[START, 5, 7, 4]], np.int32)
    name = "flow" if encoder == "flow" else "rgb"
    wanted = np.asarray(captioner.model({name: pictures, "words": words}, training=False))[0]
    regions = np.asarray(captioner.encoder(pictures, training=False))[0]
    weights = Weights.of(captioner.decoder_arrays(), 11)
    projected = regions @ weights.regions_kernel + weights.regions_bias
    hidden, memory = start_states(weights, regions)
    for step, word in enumerate(words[0]):
        look = attend(weights, projected, hidden)
        logits, hidden, memory = advance(weights, regions, look, np.array([word]), (hidden, memory))
        np.testing.assert_allclose(log_softmax(logits)[0], log_softmax(wanted[step]), atol=1e-4)


def test_a_small_set_is_learned_exactly(tmp_path: Path) -> None:
    """Pictures in COCO's form, each four times, a little higher or lower: held-out ones are like the others."""
    import cv2

    images, notes = [], []
    for n, (colour, rgb) in enumerate([*COLOURS.items()] * 4):
        picture = np.full((SIDE, SIDE, 3), 20, np.uint8)
        low = 4 + 2 * (n // len(COLOURS))  # the same picture would stay on one side
        picture[low : low + 16, 4:20] = rgb
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture[..., ::-1])
        images.append({"id": n, "file_name": f"{n}.png"})
        notes.append({"image_id": n, "caption": f"There is a {colour} box on a dark ground"})
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": notes}))
    course = CourseSettings(
        batch=3, validation=0.25, fit=FitSettings(epochs=25, patience=25, rate=5e-3), augmentation=Augmentation.none()
    )  # fmt: skip
    settings = CaptionSettings(
        out=tmp_path / "boxes", name="boxes", size=(SIDE, SIDE), width=0.2, longest=11, course=course
    )
    outcome = train_captions(read_captioned(tmp_path / "captions.json"), settings, TrainingProgress())
    assert outcome.report.bleu[3] == pytest.approx(1.0)
    assert {said for _, said, _ in outcome.examples} <= {
        f"there is a {colour} box on a dark ground" for colour in COLOURS
    }


# --- data ---


def table(tmp_path: Path, *rows: str) -> Path:
    (tmp_path / "captions.csv").write_text("\n".join(rows) + "\n")
    for n in range(4):
        (tmp_path / f"{n}.mp4").touch()
    return tmp_path / "captions.csv"


def test_sentences_of_a_clip_stay_on_one_side(tmp_path: Path) -> None:
    captioned = read_captioned(
        table(
            tmp_path, "path,caption,group", "0.mp4,one,a", "0.mp4,two,a", "1.mp4,three,a", "2.mp4,four,b",
            "3.mp4,five,c",
        )
    )  # fmt: skip
    assert [item.sentences for item in captioned] == [("one", "two"), ("three",), ("four",), ("five",)]
    for seed in range(5):
        training, validation = split_captioned(captioned, 0.3, seed)
        assert {i.sample.group for i in training}.isdisjoint({i.sample.group for i in validation})
        assert training
        assert validation


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,label", "0.mp4,one"], "has the columns path, label, expected path,caption"),
        (["path,caption", "9.mp4,one"], "9.mp4 does not exist"),
        (["path,caption", "0.mp4,"], "no path or no caption"),
    ],
)
def test_data_that_are_wrong_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_captioned(table(tmp_path, *rows))


def test_copies_of_a_clip_stay_together(tmp_path: Path) -> None:
    rows = ["path,caption", *(f"{n}.mp4,sentence {n}" for n in range(4))]
    path = table(tmp_path, *rows)
    for n in range(4):
        (tmp_path / f"{n}.mp4").write_bytes(bytes([n % 2] * 9))
    captioned, notes = grouped_captioned(read_captioned(path))
    assert [item.sample.group for item in captioned] == ["0.mp4", "1.mp4", "0.mp4", "1.mp4"]
    assert notes == ("4 samples show the same as others, or nearly; they stay on one side",)


def test_a_single_group_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="in 1 group can't be split"):
        split_captioned(read_captioned(table(tmp_path, "path,caption,group", "0.mp4,one,a", "1.mp4,two,a")), 0.2)


def test_a_captioner_without_channels_is_refused(tmp_path: Path) -> None:
    captioned = read_captioned(table(tmp_path, "path,caption", "0.mp4,one", "1.mp4,two"))
    with pytest.raises(TrainingError, match="--width is 0, expected more than 0"):
        train_captions(captioned, CaptionSettings(out=tmp_path / "out", name="x", width=0), TrainingProgress())
    assert not (tmp_path / "out").exists()


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    store = ModelStore(mirrors=[], cache=tmp_path, download=False)
    with pytest.raises(PluginError, match="expected a captioner"):
        run_plugin(CaptionNet, [make_frame()], models=store, model="mobilenet-v2")


def test_decoder_of_other_shape_is_refused_with_shapes(trained: Any, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(trained.folder, folder)
    with np.load(folder / "decoder.npz") as stored:
        arrays = dict(stored)
    arrays["lstm_bias"] = arrays["lstm_bias"][:-4]
    np.savez(folder / "decoder.npz", **arrays)
    with pytest.raises(PluginError, match=r"lstm_bias has the shape \(252,\), expected \(256,\)"):
        run_plugin(CaptionNet, [make_frame()], models=ModelStore(mirrors=[], cache=tmp_path), model=str(folder))


def test_the_metrics_know_a_perfect_caption() -> None:
    assert evaluate({"a": ["a red square stays here"]}, {"a": "a red square stays here"}).bleu[3] == pytest.approx(1)
