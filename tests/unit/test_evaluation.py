"""Evaluators of labels, clusters, captions, masks and flow, against arithmetic and published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamproc.errors import ModelError
from streamproc.evaluation import captions, classification, flow, nets, segmentation
from streamproc.evaluation.bcubed import bcubed, evaluate_clusters
from streamproc.media.stills import read_picture
from streamproc.models import ModelStore
from tests.nets import brightness_classes, model_folder


def test_classification_scores_follow_from_the_confusion_matrix() -> None:
    """Of four cats three are found; of the five called cat two are dogs."""
    truth = [0, 0, 0, 0, 1, 1, 2]
    ranked = [[0, 1], [0, 1], [0, 2], [1, 0], [0, 1], [0, 2], [2, 0]]
    report = classification.evaluate(truth, ranked, ["cat", "dog", "owl"], tops=(1, 2))
    assert report.accuracy == {1: pytest.approx(4 / 7), 2: pytest.approx(6 / 7)}
    assert report.confusion.tolist() == [[3, 1, 0], [2, 0, 0], [0, 0, 1]]
    cat = report.classes[0]
    assert (cat.precision, cat.recall, cat.f1, cat.support) == pytest.approx((3 / 5, 3 / 4, 2 / 3, 4))
    assert report.mean_recall == pytest.approx((3 / 4 + 0 + 1) / 3)
    assert "cat" in report.table()
    assert json.loads(report.to_json())["accuracy"]["top1"] == pytest.approx(4 / 7, abs=1e-6)


def test_an_item_without_an_answer_counts_as_wrong() -> None:
    report = classification.evaluate([0, 1], [[0], []], ["a", "b"])
    assert report.accuracy == {1: 0.5}  # of two classes five best say nothing
    assert (report.classes[1].recall, report.confusion.sum()) == (0, 1)


def test_labels_come_from_csv_files_ranked_by_score(tmp_path: Path) -> None:
    truth, found = tmp_path / "truth.csv", tmp_path / "found.csv"
    truth.write_text("path,label\na.jpg,cat\nb.jpg,dog\n")
    found.write_text("path,label,score\na.jpg,dog,0.2\na.jpg,cat,0.7\nb.jpg,cat,0.9\n")
    report = classification.evaluate_labels(classification.read_labels(truth), classification.read_labels(found))
    assert report.accuracy[1] == 0.5
    found.write_text("path,label\nc.jpg,dog\n")
    with pytest.raises(ValueError, match=r"'c.jpg'.*isn't in the truth"):
        classification.evaluate_labels(classification.read_labels(truth), classification.read_labels(found))
    found.write_text("file,class\nc.jpg,dog\n")
    with pytest.raises(ValueError, match="expected path,label"):
        classification.read_labels(found)


def test_bcubed_of_a_worked_example() -> None:
    """Two clusters of three; in the second one is of another person."""
    score = bcubed([1, 1, 1, 2, 2, 2], ["a", "a", "a", "b", "b", "a"])
    assert score.precision == pytest.approx((3 * 1 + 2 * 2 / 3 + 1 / 3) / 6)
    assert score.recall == pytest.approx((3 * 3 / 4 + 1 / 4 + 2 * 1) / 6)
    report = evaluate_clusters({"x": ["a"], "y": ["a"]}, {"x": ["1"], "y": ["1"]})
    assert (report.score.f1, report.clusters) == (1.0, 1)
    with pytest.raises(ValueError, match="in the truth only"):
        evaluate_clusters({"x": ["a"]}, {})


def test_bleu_of_the_papers_examples() -> None:
    """Papineni et al. 2002: seven times `the` has a clipped unigram precision of 2/7; candidate 1 has 17/18."""
    references = [["the cat is on the mat"], ["there is a cat on the mat"]]
    the = [captions.words("the the the the the the the")]
    assert captions.bleu([(the[0], [captions.words(r[0]) for r in references])])[0] == pytest.approx(2 / 7)
    candidate = "It is a guide to action which ensures that the military always obeys the commands of the party"
    known = [
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    ]
    scores = captions.bleu([(captions.words(candidate), [captions.words(r) for r in known])])
    assert scores[0] == pytest.approx(17 / 18)
    assert scores[1] == pytest.approx((17 / 18 * 10 / 17) ** 0.5)


def test_a_short_caption_is_punished_for_its_length() -> None:
    scores = captions.bleu([(["a", "b"], [["a", "b", "c", "d"]])])
    assert scores[0] == pytest.approx(np.exp(1 - 4 / 2))


def test_cider_is_ten_for_the_reference_itself() -> None:
    sentences = {n: f"word{n} {n}a {n}b {n}c" for n in range(4)}
    same = captions.evaluate({n: [s] for n, s in sentences.items()}, sentences)
    assert (same.cider, same.bleu[3]) == pytest.approx((10, 1))
    assert (
        captions.evaluate({n: [s] for n, s in sentences.items() if n < 2}, {0: "x y z w", 1: sentences[1]}).cider < 5.1
    )


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A man's dog, isn't it?  Well-known!", "a man 's dog is n't it well-known"),
        ("U.S. flag at 2:30 p.m.", "u.s. flag at 2:30 p.m."),
        ("the 3rd 1/2 of x/y", "the 3rd 1/2 of x/y"),
        ("1,000 people & 5.5% off $20", "1,000 people & 5.5 % off $ 20"),
        ("O'Brien's dog; (a) [b] {c}", "o'brien 's dog -lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-"),
        ("He can't, won't and cannot go", "he ca n't wo n't and can not go"),
        ("rock'n'roll, gonna wanna gimme", "rock 'n' roll gon na wan na gim me"),
        ("Mr. Smith's cat... vs. the tennis pro.", "mr. smith 's cat vs. the tennis pro"),
        ("it’s a man’s “dog” — 5 o'clock", "it 's a man 's dog 5 o'clock"),
        ("@home #tag under_score a / b \\ c * d", "@home #tag under_score a / b \\ c * d"),
        ("naïve café, emoji 😀 dog!!", "naïve café emoji dog !!"),
        ("$5.00 at 7-Eleven on 12/25/2010", "$ 5.00 at 7-eleven on 12/25/2010"),
        ("No. 5 is no. The end", "no. 5 is no the end"),
    ],
)  # fmt: skip
def test_words_are_those_of_cocos_tokeniser(sentence: str, expected: str) -> None:
    """Known from CoreNLP 3.4.1 as pycocoevalcap calls it: brackets stay, since COCO lists them in capitals."""
    assert captions.words(sentence) == expected.split()


def test_bleu_matches_coco_where_ngrams_are_missing() -> None:
    """pycocoevalcap adds a little to counts, so that captions of one word have a BLEU-4 that isn't zero."""
    references = {1: ["A man rides a bicycle.", "A cyclist on the road."], 2: ["Two cars are parked."], 3: ["A dog."]}
    report = captions.evaluate(references, {1: "man", 2: "cars", 3: "dog"})
    # three words of three are right; no longer n-gram exists: ratio (3 + 1e-15) / (11 + 1e-9)
    short = np.exp(1 - 11 / 3)
    assert report.bleu == pytest.approx(
        (short, short * (1e-15 / 1e-9) ** (1 / 2), short * 1e-12 ** (1 / 3), short * 1e-18 ** (1 / 4)), rel=1e-6
    )


def test_pictures_without_a_caption_are_refused_or_counted() -> None:
    references = {1: ["a red car"], 2: ["a blue car"], 3: ["a green car"]}
    with pytest.raises(ValueError, match="2 of 3 pictures with references have no caption, such as 2"):
        captions.evaluate(references, {1: "a red car"})
    report = captions.evaluate(references, {1: "a red car"}, subset=True)
    assert (report.captions, report.uncaptioned) == (1, 2)
    assert report.bleu[2] == pytest.approx(1)
    assert "without a caption" in report.table()


def test_two_captions_for_one_picture_are_refused(tmp_path: Path) -> None:
    found = tmp_path / "f.json"
    found.write_text(json.dumps([{"image_id": 7, "caption": "one cat"}, {"image_id": 7, "caption": "a dog"}]))
    with pytest.raises(ValueError, match="several captions for the picture 7"):
        captions.read_found(found)
    found.write_text(json.dumps([{"image_id": [7], "caption": "one cat"}]))
    with pytest.raises(ValueError, match=r"image_id \[7\], expected a number or a text"):
        captions.read_found(found)


def test_captions_come_from_cocos_files(tmp_path: Path) -> None:
    truth, found = tmp_path / "t.json", tmp_path / "f.json"
    notes = [{"image_id": 7, "caption": "A cat."}, {"image_id": 7, "caption": "One cat."}]
    truth.write_text(json.dumps({"annotations": notes}))
    found.write_text(json.dumps([{"image_id": 7, "caption": "one cat"}]))
    report = captions.evaluate(captions.read_references(truth), captions.read_found(found))
    assert report.bleu[:2] == pytest.approx((1, 1))
    found.write_text(json.dumps([{"image_id": 8, "caption": "one cat"}]))
    with pytest.raises(ValueError, match="picture 8 has a caption but no reference"):
        captions.evaluate(captions.read_references(truth), captions.read_found(found))
    found.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        captions.read_found(found)


def test_iou_dice_and_accuracy_of_squares() -> None:
    """4x4 against the same moved by two columns: 8 pixels in common, 24 together."""
    truth, found = np.zeros((8, 8), np.int64), np.zeros((8, 8), np.int64)
    truth[2:6, 0:4] = found[2:6, 2:6] = 1
    truth[0] = segmentation.VOID
    found[0] = 1  # isn't looked at
    report = segmentation.evaluate([(truth, found)], ["nothing", "square", "absent"])
    square = report["square"]
    assert (square.iou, square.dice, square.recall) == pytest.approx((8 / 24, 16 / 32, 8 / 16))
    assert report.accuracy == pytest.approx((56 - 16) / 56)
    assert report.mean_iou == pytest.approx((8 / 24 + 32 / 48) / 2)
    with pytest.raises(ValueError, match="expected one shape"):
        segmentation.evaluate([(truth, found[1:])], ["a", "b"])
    with pytest.raises(ValueError, match="expected 0 to 0"):
        segmentation.evaluate([(truth, found)], ["a"])


def test_masks_are_ids_paired_by_name(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for side in ("truth", "found"):
        (tmp_path / side).mkdir()
    cv2.imwrite(str(tmp_path / "truth" / "a_mask.png"), ids)
    cv2.imwrite(str(tmp_path / "found" / "a.bmp"), ids)
    assert segmentation.read_mask(tmp_path / "truth" / "a_mask.png").tolist() == ids.tolist()
    report = segmentation.evaluate_files(tmp_path / "truth", tmp_path / "found")
    assert (report.accuracy, report.mean_iou, report.pictures) == (1, 1, 1)
    cv2.imwrite(str(tmp_path / "colours.png"), np.dstack([ids, ids, ids + 1]))
    with pytest.raises(ValueError, match="is in colours"):
        segmentation.read_mask(tmp_path / "colours.png")


def test_a_flo_file_comes_back_as_it_was(tmp_path: Path) -> None:
    uv = np.random.default_rng(1).normal(size=(3, 5, 2)).astype(np.float32)
    flow.write_flo(tmp_path / "a.flo", uv)
    assert (tmp_path / "a.flo").read_bytes()[:4] == b"PIEH"
    assert np.array_equal(flow.read_flo(tmp_path / "a.flo"), uv)
    (tmp_path / "a.flo").write_bytes((tmp_path / "a.flo").read_bytes()[:-1])
    with pytest.raises(ValueError, match="says 5x3 and has"):
        flow.read_flo(tmp_path / "a.flo")
    (tmp_path / "b.flo").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"is not a \.flo file"):
        flow.read_flo(tmp_path / "b.flo")


def test_end_point_errors_leave_unknown_pixels_out() -> None:
    truth, found = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    truth[0, 0], found[0, 0] = 1e10, 5
    found[0, 1] = (3, 4)
    score = flow.evaluate(truth, found)
    assert (score.epe, score.pixels, score.over_3px) == pytest.approx((5 / 3, 3, 1 / 3))
    found[1, 1] = np.nan
    with pytest.raises(ValueError, match="unknown or infinite"):
        flow.evaluate(truth, found)


@pytest.mark.real
@pytest.mark.parametrize(("method", "error"), [("zero", 1.256), ("dis", 0.225), ("farneback", 0.431)])
def test_published_flow_gives_the_known_errors(shared: Path, method: flow.Method, error: float) -> None:
    folder = shared / "data" / "flow" / "RubberWhale"
    pair = [read_picture(folder / name) for name in ("frame10.png", "frame11.png")]
    assert pair[0] is not None
    assert pair[1] is not None
    score = flow.evaluate(flow.read_flo(folder / "flow10.flo"), flow.compute(method, pair[0], pair[1]))
    assert score.epe == pytest.approx(error, abs=0.002)


@pytest.mark.real
@pytest.mark.parametrize(("model", "iou"), [("deeplab-voc", 0.905), ("deeplab-voc-small", 0.82)])
def test_nets_segment_the_bird_as_known(shared: Path, model: str, iou: float) -> None:
    folder = shared / "models" / "pictures"
    masks = segmentation.find_masks(folder / "bird_segmentation_mask.bmp")
    report = nets.segment(ModelStore(mirrors=[shared / "models"]), model, masks, folder.parent / "pictures")
    assert report["bird"].iou == pytest.approx(iou, abs=0.005)


@pytest.mark.real
def test_a_real_classifier_is_scored_over_pictures(shared: Path) -> None:
    known = {"cat.bmp": "Egyptian cat", "parrot.jpg": "macaw", "hot_dog.jpg": "hotdog", "sunflower.bmp": "daisy"}
    store = ModelStore(mirrors=[shared / "models"])
    report = nets.classify(store, "mobilenet-v2", known, shared / "models" / "pictures")
    assert report.accuracy[5] >= 0.75


@pytest.mark.parametrize("more", [{"labels": ["person"]}, {"labels": ["a", "b"], "resize": "letterbox"}])
def test_net_without_whole_picture_classes_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    spec = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb", "resize": more.pop("resize", "stretch")}
    model = model_folder(tmp_path / "net", brightness_classes(8, 8), input=spec, **more)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(ModelError, match="expected several labels and stretch"):
        nets.segment(ModelStore(), str(model), segmentation.find_masks(tmp_path / "a.png"), tmp_path)


def test_net_runs_over_a_folder_per_class(tmp_path: Path) -> None:
    spec: dict[str, Any] = {"height": 8, "width": 8, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
    model = model_folder(tmp_path / "levels", brightness_classes(8, 8), labels=["bright", "dark"], input=spec)
    for name, levels in (("bright", (250, 240)), ("dark", (3, 200))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for level in levels:
            cv2.imwrite(str(tmp_path / "data" / name / f"{level}.png"), np.full((8, 8, 3), level, np.uint8))
    truth = {path: labels[0] for path, labels in classification.read_labels(tmp_path / "data").items()}
    report = nets.classify(ModelStore(), str(model), truth, tmp_path / "data")
    assert report.accuracy[1] == 0.75
    assert report.classes[1].recall == 0.5
