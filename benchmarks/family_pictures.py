"""Rows of `benchmarks.families` that are about single pictures and short clips: one net each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost import Cost, Effort, cost, opened, past_of
from benchmarks.real import SHARED, Image, class_map, picture, pictures, store
from streamproc import Classification, Clip, Detections, Faces, Frame, Poses, Result, Segmentation
from streamproc.plugin import AnyPlugin
from streamproc.testing import make_detections, make_frame, make_info, run_plugin

MODELS = "shared/models/README.md"
DATA = "shared/data/README.md"
EYE = "seen by eye"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One family and net on one input."""

    family: str
    net: str
    seen: str
    """the input"""
    expected: str
    source: str
    """where the expected answer comes from"""
    got: str
    holds: bool
    cost: Cost


def only(cls: type[AnyPlugin], rgb: Image, *past: Result, **options: Any) -> Any:
    """The one result that a plugin gives for one picture."""
    frame = make_frame(rgb=rgb)
    plugin = opened(cls, frame, **options)
    (found,) = [item for item in plugin.process(frame, past_of(past)) or () if isinstance(item, Result)]
    plugin.close()
    return found


def of(rgb: Image) -> Callable[[], Frame]:
    """Makes a frame of these pixels, nothing converted yet."""
    return lambda: make_frame(rgb=rgb)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def near(got: float, expected: float, by: float) -> bool:
    """True where the two differ by at most `by`."""
    return abs(got - expected) <= by


def classification(effort: Effort) -> Iterator[Row]:
    """The published answers on four photos; two of them are told with a score."""
    from streamproc_plugins.classification import ClassificationPlugin

    expected = {
        "grace_hopper.bmp": ("military uniform", 0.87),
        "parrot.jpg": ("macaw", 0.92),
        "cat.bmp": ("Egyptian cat", None),
        "hot_dog.jpg": ("hotdog", None),
    }
    told, holds = [], True
    for name, (label, score) in expected.items():
        found: Classification = only(ClassificationPlugin, picture(name), fit="stretch")
        first, sure = found.label[0].split(",")[0], float(found.score[0])
        told.append(f"{first} {sure:.2f}")
        holds &= first == label and (score is None or near(sure, score, 0.03))
    yield Row(
        family="classification", net="mobilenet-v2", seen="4 photos",
        expected="military uniform 0.87, macaw 0.92, Egyptian cat, hotdog", source=MODELS,
        got=", ".join(told), holds=holds,
        cost=cost(ClassificationPlugin, of(picture("grace_hopper.bmp")), effort, fit="stretch"),
    )  # fmt: skip


THINGS = {
    "bird_segmentation.bmp": ("bird", [[80, 75, 478, 410]]),
    "posenet_test_image.bmp": ("person", [[203, 104, 312, 409], [309, 118, 425, 405]]),
    "pets.jpg": ("dog", [[109, 34, 260, 297], [344, 168, 495, 369]]),
}
"""label and boxes of what is in the pictures"""


def detection(effort: Effort) -> Iterator[Row]:
    """A bird, two people, two dogs; two vehicles; the pedestrians of eight frames of MOT17-04."""
    from streamproc_plugins.detection import Detection

    for net in ("yolox-nano", "yolox-nano-tflite", "fastestdet"):
        counts, worst = [], 1.0
        for name, (label, boxes) in THINGS.items():
            found: Detections = only(Detection, picture(name), model=net, labels=[label], min_score=0.6)
            counts.append(len(found))
            worst = min(worst, _worst_overlap(boxes, found))
        yield Row(
            family="detection", net=net, seen="3 pictures", expected="1 bird, 2 people, 2 dogs, each box IoU > 0.75",
            source=EYE, got="{} bird, {} people, {} dogs, lowest IoU {:.2f}".format(*counts, worst),
            holds=counts == [1, 2, 2] and worst > 0.75,
            cost=cost(Detection, of(picture("pets.jpg")), effort, model=net),
        )  # fmt: skip
    yield _street(effort)


def _worst_overlap(boxes: list[list[int]], found: Detections) -> float:
    from streamproc.geometry import iou

    return float(iou(np.array(boxes, np.float32), found.xyxy).max(axis=1, initial=0).min())


def _street(effort: Effort) -> Row:
    from streamproc_plugins.detection import Detection

    rgb, net = picture("cityscapes_segmentation.bmp"), "person-vehicle-bike"
    found: Detections = only(Detection, rgb, model=net)
    return Row(
        family="detection", net=net, seen="cityscapes picture", expected="2 vehicles", source=EYE,
        got=f"{len(found)} {'/'.join(sorted(set(found.label)))}s", holds=found.label == ("vehicle", "vehicle"),
        cost=cost(Detection, of(rgb), effort, model=net),
    )  # fmt: skip


GESTURES = (
    (108, 1, "Sliding two fingers up", 0.94),
    (124, 1, "No gesture", 0.91),
    (140, 1, "Sliding two fingers down", 0.94),
    (208, 1, "Sliding two fingers left", 0.53),
    (240, 2, "Sliding two fingers right", 0.69),
    (192, 1, "No gesture", 0.93),
)
"""first frame of the window, step in frames, what is seen, its score"""


def action(effort: Effort) -> Iterator[Row]:
    """Six windows of a clip of gestures."""
    from streamproc_plugins.action import Action

    told, holds, clip = [], True, None
    seen = list(pictures("gestures_seated_person.mp4"))
    for first, step, label, score in GESTURES:
        clip = gesture(seen[first : first + 16 * step : step], step)
        (found,) = run_plugin(Action, [clip], models=store(), model="shufflenet3d-jester").all(Classification)
        told.append(f"{found.label[0].removeprefix('Sliding two fingers ')} {found.score[0]:.2f}")
        holds &= found.label[0] == label and near(float(found.score[0]), score, 0.02)
    assert clip is not None
    last = clip
    measured = cost(Action, lambda: last, effort, model="shufflenet3d-jester")
    yield Row(
        family="action", net="shufflenet3d-jester", seen="6 windows of gestures_seated_person.mp4",
        expected="up 0.94, No gesture 0.91, down 0.94, left 0.53, right 0.69, No gesture 0.93", source=MODELS,
        got=", ".join(told), holds=holds,
        cost=replace(measured, net_2=None if effort.quick else _tensorflow_on_two_threads()),
    )  # fmt: skip


def gesture(window: list[Image], step: int) -> Clip:
    """16 pictures, `step` frames of the clip from one to the next, as the engine cuts the seated person from them."""
    from streamproc_plugins.action import Action

    kept: list[Clip] = []

    class Keeping(Action):
        def process(self, clip: Clip, past: Any) -> Any:
            kept.append(clip)
            return ()

    info = make_info(width=640, height=480, rate=16)
    frames = [make_frame(rgb=rgb, index=i, pts_s=i * step / 16, info=info) for i, rgb in enumerate(window)]
    region = [190 / 640, 40 / 480, 490 / 640, 265 / 480]
    run_plugin(Keeping, frames, models=store(), model="shufflenet3d-jester", region=region, rate=16 / step)
    return kept[0]


def _tensorflow_on_two_threads() -> float:
    """CPU-ms of the same net where TensorFlow, whose threads are the whole process's, has two."""
    words = [sys.executable, "-m", "benchmarks.family_pictures"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def segmentation(effort: Effort) -> Iterator[Row]:
    """A bird and a street with ground truth."""
    from streamproc_plugins.segmentation import SegmentationPlugin

    bird, bird_truth = picture("bird_segmentation.bmp"), class_map("bird_segmentation_mask.bmp")
    for net, expected in (("deeplab-voc", 0.905), ("deeplab-voc-small", 0.82)):
        found: Segmentation = only(SegmentationPlugin, bird, model=net)
        number = found.labels.index("bird")
        got = overlap(found.class_map == number, bird_truth == number)
        yield Row(
            family="segmentation", net=net, seen="bird_segmentation", expected=f"bird IoU {expected}", source=MODELS,
            got=f"{got:.3f}", holds=near(got, expected, 0.01),
            cost=cost(SegmentationPlugin, of(bird), effort, model=net),
        )  # fmt: skip
    street, street_truth = picture("cityscapes_segmentation.bmp"), class_map("cityscapes_segmentation_mask.bmp")
    wanted = {"road": (0, 0.92), "building": (2, 0.84), "vegetation": (8, 0.90), "car": (13, 0.86)}
    found = only(SegmentationPlugin, street, model="deeplab-cityscapes", labels=list(wanted))
    fits = {
        label: overlap(found.class_map == found.labels.index(label), street_truth == number)
        for label, (number, _) in wanted.items()
    }
    yield Row(
        family="segmentation", net="deeplab-cityscapes", seen="cityscapes_segmentation",
        expected=", ".join(f"{label} {least}" for label, (_, least) in wanted.items()), source=MODELS,
        got=", ".join(f"{label} {fit:.2f}" for label, fit in fits.items()),
        holds=all(near(fits[label], expected, 0.01) for label, (_, expected) in wanted.items()),
        cost=cost(SegmentationPlugin, of(street), effort, model="deeplab-cityscapes"),
    )  # fmt: skip


def people(effort: Effort) -> Iterator[Row]:
    """Masks and poses of two people: by one net for the whole picture, and by nets for each box."""
    from streamproc_plugins.detection import Detection
    from streamproc_plugins.pose import Pose
    from streamproc_plugins.pose.matching import alike
    from streamproc_plugins.segmentation import Instances

    rgb = picture("posenet_test_image.bmp")
    boxes: Detections = only(Detection, rgb, labels=["person"], min_score=0.6)
    whole: Detections = only(Instances, rgb)
    crops: Detections = only(Instances, rgb, boxes, mode="crops")
    each: Poses = only(Pose, rgb, boxes)
    together: Poses = only(Pose, rgb, mode="bottom-up")
    inside = _points_in_masks(each, whole)
    for mode, net, found in (("people", "bodypix", whole), ("crops", "selfie", crops)):
        given = () if mode == "people" else (boxes,)
        part = inside if mode == "people" else _points_in_masks(each, found)
        yield Row(
            family="instances", net=net, seen="posenet_test_image, 2 people",
            expected="2 masks; keypoints in the own one: 0.82 (mean of 94 people)" if mode == "people"
            else "2 masks; keypoints in the own one: 0.88 (mean of crops)",
            source=MODELS, got=f"{len(found)} masks; {part:.2f}", holds=len(found) == 2 and part >= 0.8,
            cost=cost(Instances, of(rgb), effort, past=given, mode=mode),
        )  # fmt: skip
    fit = alike(each.keypoints, together.keypoints).max(axis=1)
    for mode, net in (("top-down", "movenet-lightning"), ("bottom-up", "bodypix")):
        yield Row(
            family="pose", net=f"{net}, {mode}", seen="posenet_test_image, 2 people",
            expected="2 people; movenet and bodypix agree, OKS > 0.75", source="two nets that share nothing",
            got=f"{len(each.score if mode == 'top-down' else together.score)} people, lowest OKS {fit.min():.2f}",
            holds=len(each.score) == len(together.score) == 2 and fit.min() > 0.75,
            cost=cost(Pose, of(rgb), effort, past=(boxes,) if mode == "top-down" else (), mode=mode),
        )  # fmt: skip


def _points_in_masks(poses: Poses, found: Detections) -> float:
    """Share of the keypoints from the shoulders down that lie in the mask of the person who has most of them."""
    assert found.masks is not None
    x, y = (poses.keypoints[:, 5:, axis].astype(int) for axis in (0, 1))
    return float(found.masks[:, y, x].mean(axis=2).max(axis=0).mean())


def faces(effort: Effort) -> Iterator[Row]:
    """100 photos of ten people: verified in pairs, and grouped."""
    from streamproc.evaluation.bcubed import bcubed
    from streamproc_plugins.faces import FacesPlugin
    from streamproc_plugins.faces.clustering import chinese_whispers
    from streamproc_plugins.faces.enrolment import Photographer, read_photo
    from streamproc_plugins.faces.verification import cosine_of, find_threshold

    photographer, vectors, names = Photographer(store(), "mobileface"), [], []
    for path in sorted((SHARED / "data/faces/lfw10x10").glob("*/*.jpg")):
        seen: Faces = photographer.faces(read_photo(path))
        assert seen.embeddings is not None
        middle = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2 - 125
        vectors.append(seen.embeddings[int((middle**2).sum(axis=1).argmin())])
        names.append(path.parent.name)
    curve = find_threshold(np.array(vectors), tuple(names))
    best, at = float(curve.balanced[curve.best_balanced]), cosine_of(curve.distance[curve.best_balanced])
    groups = bcubed(chinese_whispers(np.array(vectors), 0.35).tolist(), names).f1
    rgb = read_photo(SHARED / "data/faces/references/alex-lacamoire.png")
    yield Row(
        family="faces", net="yunet, mobileface", seen="lfw10x10, 100 photos of 10 people",
        expected="balanced accuracy 0.989 of 4,950 pairs; BCubed F1 1.000", source=DATA,
        got=f"{best:.3f} at cosine {at:.2f}; {groups:.3f}", holds=near(best, 0.989, 0.002) and near(groups, 1, 1e-3),
        cost=cost(FacesPlugin, of(rgb), effort, embedding="mobileface"),
    )  # fmt: skip


def appearance(effort: Effort) -> Iterator[Row]:
    """Which of twelve pedestrians is it, six frames later?"""
    from streamproc_plugins.tracking import Appearance

    clip = list(pictures("mot_MOT17-04_first8.mp4"))
    first, last = _pedestrians(1, 7)
    for net in ("reid-0267", "osnet-x0-25"):
        early, late = (
            only(Appearance, clip[n], boxes, model=net, min_height=100).values for n, boxes in ((0, first), (6, last))
        )
        right = int(((early @ late.T).argmax(axis=1) == np.arange(len(early))).sum())
        yield Row(
            family="appearance", net=net, seen=f"MOT17-04 frames 1 and 7, {len(early)} people",
            expected=f"{len(early)} of {len(early)} look most like themselves", source="the clip's ground truth",
            got=f"{right} of {len(early)}", holds=right == len(early),
            cost=cost(Appearance, of(clip[0]), effort, past=(first,), model=net, min_height=100),
        )  # fmt: skip


def _pedestrians(*frames: int) -> list[Detections]:
    """Up to twelve pedestrians well visible in all of these frames, in one order."""
    table = np.loadtxt(SHARED / "media" / "mot_MOT17-04_first8.gt.txt", delimiter=",")
    table = table[(table[:, 7] == 1) & (table[:, 8] > 0.85) & (table[:, 5] > 100)]
    parts = [{int(row[1]): row[2:6] for row in table[table[:, 0] == frame]} for frame in frames]
    names = sorted(set.intersection(*(set(part) for part in parts)))[:12]
    return [make_detections(*[(x, y, x + w, y + h) for x, y, w, h in (part[n] for n in names)]) for part in parts]


def _print_two_threads() -> None:
    """For `_tensorflow_on_two_threads`, in a process of its own."""
    from streamproc.models.runtimes.tensorflow import library

    tf = library(2)
    tf.constant(0)  # from here on the number of threads stands
    from streamproc_plugins.action import Action

    clip = gesture(list(islice(pictures("gestures_seated_person.mp4"), 100, 116)), 1)
    print(cost(Action, lambda: clip, Effort(), model="shufflenet3d-jester").net_1)


if __name__ == "__main__":
    _print_two_threads()
