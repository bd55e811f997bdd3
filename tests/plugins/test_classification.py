"""The `classification` plugin: on nets whose answer is arithmetic, and on real nets and photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from streamproc import Classification, ModelError, PluginError
from streamproc.geometry import window_of
from streamproc.models import ModelStore, label_ids
from streamproc.testing import make_frame, run_plugin
from streamproc_plugins.classification import ClassificationOptions, ClassificationPlugin
from streamproc_plugins.classification.scores import combined, lowest_scores, top_ids
from streamproc_plugins.classification.views import fractions_of, widened
from tests.nets import answering_net, brightness_classes, model_folder

SIDE = 16
SPEC = {"height": SIDE, "width": SIDE, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
LABELS = ["cat, puss", "dog", "crane, bird", "crane"]


def levels(folder: Path, **entry: Any) -> str:
    """A model whose score for `bright` is the mean grey level / 255."""
    given = {"task": "classification", "decode": "sigmoid", "labels": ["bright", "dark"], "input": SPEC} | entry
    return str(model_folder(folder / "levels", brightness_classes(SIDE, SIDE), **given))


def answers(folder: Path, values: list[float], **entry: Any) -> str:
    """A model that gives these outputs for every picture."""
    net = answering_net({"y": np.array([values], np.float32)}, (1, 3, SIDE, SIDE))
    given = {"task": "classification", "decode": "logits", "labels": LABELS, "input": SPEC} | entry
    return str(model_folder(folder / "fixed", net, **given))


def classify(rgb: NDArray[np.uint8], **options: Any) -> Classification:
    models = options.pop("models", None)
    (found,) = run_plugin(ClassificationPlugin, [make_frame(rgb=rgb)], models=models, **options).all(Classification)
    return found


def emitted(found: Classification) -> dict[str, float]:
    return dict(zip(found.label, found.score.tolist(), strict=True))


def patches() -> NDArray[np.uint8]:
    """uint8 (64, 128, 3): black, its middle half of each side white."""
    rgb = np.zeros((64, 128, 3), np.uint8)
    rgb[16:48, 32:96] = 255
    return rgb


BLACK = np.zeros((64, 96, 3), np.uint8)


@pytest.mark.parametrize(
    ("views", "bright"),
    [
        (["whole"], 0.25),
        (["centre"], 1.0),
        (["whole", "centre"], 0.625),
        ([[0.0, 0.0, 0.25, 1.0]], 0.0),
        ([[0.25, 0.25, 0.5, 0.75]], 1.0),
        ([[[0.25, 0.0], [0.75, 0.0], [0.75, 1.0]]], 0.5),
    ],
)
def test_each_view_is_that_part_of_the_picture(tmp_path: Path, views: list[Any], bright: float) -> None:
    found = emitted(classify(patches(), model=levels(tmp_path), views=views))
    assert found["bright"] == pytest.approx(bright, abs=0.01)
    assert found["dark"] == pytest.approx(1 - bright, abs=0.01)


def test_the_best_of_several_views_may_count(tmp_path: Path) -> None:
    found = emitted(classify(patches(), model=levels(tmp_path), views=["whole", "centre"], combine="max"))
    assert found == pytest.approx({"bright": 1.0, "dark": 0.75}, abs=0.01)


@pytest.mark.parametrize(
    ("fit", "bright"),
    [
        ("stretch", 0.25),
        # 56 x 56 pixels in the middle, of which 32 rows are white
        ("crop", 32 / 56),
        # 16 x 8 of 16 x 16 are the picture, the rest is grey 114
        ("letterbox", (0.25 + 114 / 255) / 2),
    ],
)
def test_the_picture_is_fitted_as_asked(tmp_path: Path, fit: str, bright: float) -> None:
    found = emitted(classify(patches(), model=levels(tmp_path), fit=fit))
    assert found["bright"] == pytest.approx(bright, abs=0.03)


@pytest.mark.parametrize(
    ("decode", "activation", "scores"),
    [
        ("logits", "auto", [0.75, 0.25, 0.0, 0.0]),
        ("multilabel-logits", "auto", [0.9, 0.75, 0.0, 0.0]),
        ("softmax", "auto", [1.0, 1.0, 0.0, 0.0]),
        ("softmax", "softmax", [0.75, 0.25, 0.0, 0.0]),
        ("", "sigmoid", [0.9, 0.75, 0.0, 0.0]),
    ],
)
def test_outputs_become_scores_as_declared(tmp_path: Path, decode: str, activation: str, scores: list[float]) -> None:
    logits = [float(np.log(9)), float(np.log(3)), -200.0, -200.0]
    found = classify(BLACK, model=answers(tmp_path, logits, decode=decode), activation=activation)
    assert found.score.tolist() == pytest.approx(scores, abs=1e-6)
    assert found.class_id.tolist() == [0, 1, 2, 3]


def test_model_without_output_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"expected softmax, sigmoid, logits, multilabel-logits.*activation"):
        classify(BLACK, model=answers(tmp_path, [0, 0, 0, 0], decode="argmax"))


def test_many_labels_with_thresholds_of_their_own(tmp_path: Path) -> None:
    model = answers(tmp_path, [0.6, 0.5, 0.3, 0.2], decode="sigmoid")
    assert emitted(classify(BLACK, model=model, min_score=0.4)) == pytest.approx({"cat, puss": 0.6, "dog": 0.5})
    found = classify(BLACK, model=model, min_score=0.4, scores={"puss": 0.7, "crane": 0.2})
    assert found.label == ("dog", "crane")
    assert classify(BLACK, model=model, top_k=1).label == ("cat, puss",)
    assert classify(BLACK, model=model, min_score=0.9).label == ()


def test_labels_match_whole_names_or_synonyms(tmp_path: Path) -> None:
    model = answers(tmp_path, [0.1, 0.2, 0.3, 0.4], decode="sigmoid")
    assert classify(BLACK, model=model, labels=["puss", "crane"]).label == ("crane", "cat, puss")
    assert classify(BLACK, model=model, labels=["crane, bird"]).class_id.tolist() == [2]


def test_unknown_label_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"no label 'pus'; did you mean 'puss'\?.*'dgo'.*it knows 4"):
        classify(BLACK, model=answers(tmp_path, [0, 0, 0, 0]), labels=["pus"], scores={"dgo": 0.1})


@pytest.mark.parametrize(("decode", "animal"), [("softmax", 0.75), ("sigmoid", 0.5)])
def test_groups_stand_for_several_labels(tmp_path: Path, decode: str, animal: float) -> None:
    """Their sum where one label is right, the highest where several may be."""
    model = answers(tmp_path, [0.5, 0.25, 0.125, 0.125], decode=decode)
    groups = {"animal": ["puss", "dog"], "crane": ["crane", "crane, bird"]}
    found = classify(BLACK, model=model, groups=groups)
    assert emitted(found) == pytest.approx({"animal": animal, "crane": 0.25 if decode == "softmax" else 0.125})
    assert found.class_id.tolist() == [4, 5]
    assert classify(BLACK, model=model, groups={"animal": ["puss", "dog"]}, labels=["animal"]).label == ("animal",)
    rest = classify(BLACK, model=model, groups={"animal": ["puss", "dog"]}, min_score=0.1, scores={"animal": 0.8})
    assert rest.label == ("crane, bird", "crane")


def test_groups_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    model = answers(tmp_path, [0, 0, 0, 0])
    with pytest.raises(PluginError, match=r"no label 'dgo'; did you mean 'dog'"):
        classify(BLACK, model=model, groups={"animal": ["dgo"]})
    with pytest.raises(PluginError, match=r"'dog' is called like a label of the model that isn't in it"):
        classify(BLACK, model=model, groups={"dog": ["puss"]})
    with pytest.raises(ValidationError):
        ClassificationOptions(groups={"animal": ()})


def test_net_with_other_labels_is_refused_with_shapes(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"y float32 \(1, 3\).*\(1, 4\)"):
        classify(BLACK, model=answers(tmp_path, [0, 0, 0]))


@pytest.mark.parametrize("wrong", [{"height": 8}, {"layout": "NHWC"}, {"dtype": "uint8"}])
def test_net_with_other_input_is_refused_with_shapes(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=r"images float32 \(1, 3, 16, 16\), (its entry|but its manifest) says"):
        classify(BLACK, model=answers(tmp_path, [0, 0, 0, 0], input={**SPEC, **wrong}))


def test_models_of_clips_and_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="has no labels"):
        classify(BLACK, model=answers(tmp_path, [0, 0], labels=[]))
    spec = {**SPEC, "layout": "NDHWC", "frames": 4}
    with pytest.raises(PluginError, match="needs a model of single pictures"):
        classify(BLACK, model=answers(tmp_path / "clips", [0, 0, 0, 0], input=spec))


def test_scores_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finite"):
        classify(BLACK, model=answers(tmp_path, [0, float("nan"), 0, 0]))


@pytest.mark.parametrize("views", [[], ["hole"], [[0.5, 0, 0.2, 1]], [[[0, 0], [1, 1]]], [[[0, 0], [1, 0], [0.5, 0]]]])
def test_views_that_show_nothing_are_refused(views: list[Any]) -> None:
    with pytest.raises(ValidationError):
        ClassificationOptions(views=tuple(views))


def test_a_keras_net_reads_pictures_too(tmp_path: Path) -> None:
    import keras

    picture = keras.Input((SIDE, SIDE, 3))
    mean = keras.layers.GlobalAveragePooling2D()(picture)
    model = keras.Model(picture, keras.layers.Dense(2, name="head")(mean))
    model.get_layer("head").set_weights([np.array([[1, 0], [0, 1], [0, 0]], np.float32), np.zeros(2, np.float32)])
    folder = tmp_path / "keras"
    folder.mkdir()
    model.save(folder / "net.keras")
    spec = {**SPEC, "layout": "NHWC", "scale": [1 / 255] * 3}
    manifest = {
        "name": "keras", "task": "classification", "runtime": "keras", "decode": "logits", "labels": ["red", "green"],
        "input": spec, "files": [{"name": "net.keras"}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[..., 0] = 255
    e = float(np.e)
    assert emitted(classify(rgb, model=str(folder))) == pytest.approx({"red": e / (1 + e), "green": 1 / (1 + e)})


# mathematics


def test_windows_hold_what_the_box_touches() -> None:
    assert window_of((0.1, 0.0, 0.3, 1.0), 100, 50) == (10, 0, 30, 50)
    assert window_of((0.105, 0.5, 0.105, 0.5), 100, 50) == (10, 25, 11, 26)
    assert window_of((1.0, 1.0, 1.0, 1.0), 100, 50) == (99, 49, 100, 50)
    assert fractions_of("centre", 0.5) == (0.25, 0.25, 0.75, 0.75)
    assert fractions_of(((0.2, 0.1), (0.6, 0.1), (0.4, 0.9)), 0.5) == (0.2, 0.1, 0.6, 0.9)


def test_windows_grow_to_the_input_shape() -> None:
    assert widened((40, 10, 60, 50), (1, 1), 100, 60) == (30, 10, 70, 50)
    assert widened((0, 10, 20, 50), (1, 1), 100, 60) == (0, 10, 40, 50)
    assert widened((0, 20, 100, 40), (1, 1), 100, 60) == (0, 0, 100, 60)
    assert widened((10, 10, 30, 30), (1, 2), 100, 60) == (0, 10, 40, 30)


def test_ties_keep_the_order_of_the_classes() -> None:
    scores, floor = np.array([0.2, 0.5, 0.5, 0.1], np.float32), np.full(4, 0.2, np.float32)
    assert top_ids(scores, floor, 9).tolist() == [1, 2, 0]
    assert combined([scores, scores[::-1]], "mean").tolist() == pytest.approx([0.15, 0.5, 0.5, 0.15])


def test_synonyms_yield_to_exact_labels() -> None:
    assert label_ids("crane", LABELS) == [3]
    assert label_ids("bird", LABELS) == [2]
    assert label_ids("Cat", LABELS) == []
    floor = lowest_scores(LABELS, ["dog"], 0.5, {"dog": 0.25, "puss": 0.1})
    assert floor.tolist() == [2.0, 0.25, 2.0, 2.0]


# real nets, real photos


@pytest.fixture(scope="module")
def store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(mirrors=[shared / "models"], cache=tmp_path_factory.mktemp("cache"), download=False)


def photo(shared: Path, name: str) -> NDArray[np.uint8]:
    import cv2

    bgr = cv2.imread(str(shared / "models" / "pictures" / name))
    assert bgr is not None
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "label", "stretched", "cropped"),
    [
        ("grace_hopper.bmp", "military uniform", 0.87, None),
        ("cat.bmp", "Egyptian cat", 0.59, 0.86),
        ("parrot.jpg", "macaw", 0.92, 0.97),
        ("hot_dog.jpg", "hotdog, hot dog, red hot", 0.63, 0.84),
    ],
)
def test_mobilenet_knows_the_photos(
    shared: Path, store: ModelStore, name: str, label: str, stretched: float, cropped: float | None
) -> None:
    """0.87 and 0.92 are the published answers; the crop cuts the uniform off an upright photo."""
    rgb = photo(shared, name)
    found = classify(rgb, models=store, fit="stretch")
    assert found.label[0] == label
    assert found.score[0] == pytest.approx(stretched, abs=0.03)
    if cropped is not None:
        found = classify(rgb, models=store)
        assert found.label[0] == label
        assert found.score[0] == pytest.approx(cropped, abs=0.03)


@pytest.mark.real
def test_cats_of_all_kinds_are_cats(shared: Path, store: ModelStore) -> None:
    cats = ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]
    found = classify(photo(shared, "cat.bmp"), models=store, groups={"cat": cats})
    assert found.label[0] == "cat"
    assert found.score[0] > 0.9


@pytest.mark.real
def test_quantised_net_is_repeatable(shared: Path, store: ModelStore) -> None:
    rgb = photo(shared, "cat.bmp")
    found = classify(rgb, models=store, top_k=1000)
    assert found.score.sum() == pytest.approx(1, abs=0.1)
    again = classify(rgb, models=store, top_k=1000, threads=2)
    assert found.label == again.label
    assert (found.score == again.score).all()


@pytest.mark.real
def test_a_zone_shows_what_the_whole_picture_hides(shared: Path, store: ModelStore) -> None:
    """The parrot small in the corner of a black picture."""
    import cv2

    rgb = np.zeros((720, 1280, 3), np.uint8)
    rgb[500:720, 1060:1280] = cv2.resize(photo(shared, "parrot.jpg"), (220, 220), interpolation=cv2.INTER_AREA)
    assert classify(rgb, models=store, labels=["macaw"], min_score=0.5).label == ()
    found = classify(rgb, models=store, labels=["macaw"], min_score=0.5, views=[[0.83, 0.7, 1.0, 1.0]])
    assert found.label == ("macaw",)
