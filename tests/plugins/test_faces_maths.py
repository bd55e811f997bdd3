"""The mathematics of faces: decoding, alignment, quality, smoothing, verification, clustering, BCubed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.evaluation.bcubed import bcubed
from streamproc_plugins.faces.alignment import SIDE, TEMPLATE, align, similarity
from streamproc_plugins.faces.clustering import chinese_whispers, hdbscan, kmeans, renumbered
from streamproc_plugins.faces.quality import eye_distance, frontalness, sharpness
from streamproc_plugins.faces.verification import THRESHOLDS, cosine_of, find_threshold, pair_distances
from streamproc_plugins.faces.yunet import decode_faces
from streamproc_plugins.one_euro import OneEuro, one_euro
from tests.plugins.faces import person, set_face, yunet_answers


def test_yunet_decoding_follows_from_the_cell() -> None:
    answers = yunet_answers(64, 96)
    set_face(answers, 96, (5, 3))
    answers["cls_8"][0, 3 * 12 + 5], answers["obj_8"][0, 3 * 12 + 5] = 0.9, 0.4
    answers["cls_32"][0, 1], answers["obj_32"][0, 1] = 1, 1  # a box as large as its cell, round its upper left corner
    found = decode_faces(answers, (64, 96), 0.5)
    assert found.score.tolist() == pytest.approx([0.6, 1])
    assert found.xyxy.tolist() == [[28, 12, 60, 44], [16, -16, 48, 16]]
    assert found.landmarks[0] == pytest.approx(TEMPLATE / 112 * 32 + [28, 12], abs=1e-4)
    assert len(decode_faces(answers, (64, 96), 0.7)) == 1


def test_a_detector_that_answers_nan_is_refused() -> None:
    answers = yunet_answers(64, 96)
    answers["obj_16"][0, 3] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        decode_faces(answers, (64, 96), 0.5)


def test_a_similarity_is_found_again() -> None:
    turn, scale, shift = np.deg2rad(33), 2.5, np.array([10, -4])
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = TEMPLATE @ matrix.T + shift
    assert similarity(TEMPLATE, moved) == pytest.approx(np.column_stack([matrix, shift]))


def test_a_mirrored_face_is_never_reflected() -> None:
    found = similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="all one point"):
        similarity(np.ones((5, 2)), TEMPLATE)
    with pytest.raises(ValueError, match="all one point"):
        similarity(np.full((5, 2), np.nan), TEMPLATE)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 5.0])
def test_aligned_eyes_lie_at_the_template(scale: float) -> None:
    size = round(200 * scale)
    rgb = np.zeros((size, size, 3), np.uint8)
    points = (TEMPLATE + 40) * scale
    for x, y in points:
        cv2.circle(rgb, (round(x * 16), round(y * 16)), round(64 * scale), (255, 255, 255), -1, cv2.LINE_AA, 4)
    face = align(rgb, points)
    assert face.shape == (SIDE, SIDE, 3)
    for x, y in TEMPLATE:
        part = face[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, 0].astype(np.float64)
        rows, columns = np.mgrid[-6:7, -6:7]
        assert (part * columns).sum() / part.sum() == pytest.approx(x - round(x), abs=0.6)
        assert (part * rows).sum() / part.sum() == pytest.approx(y - round(y), abs=0.6)


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    # a checkerboard of single pixels is grey from afar; picking pixels would leave black and white
    rgb = np.repeat(np.indices((900, 900)).sum(axis=0)[..., None] % 2 * 255, 3, axis=2).astype(np.uint8)
    inner = align(rgb, TEMPLATE * 8)[10:-10, 10:-10]
    assert inner.std() < 6
    assert inner.mean() == pytest.approx(127.5, abs=3)


def test_quality_is_measured_from_landmarks_and_pixels() -> None:
    straight, profile = TEMPLATE.copy(), TEMPLATE.copy()
    straight[2, 0] = straight[:2, 0].mean()
    profile[2] = profile[1]
    both = np.stack([straight, profile]).astype(np.float32)
    assert frontalness(both).tolist() == pytest.approx([1, 0], abs=0.02)
    assert eye_distance(both * 2).tolist() == pytest.approx([70.48, 70.48], abs=0.01)
    noise = np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)
    assert sharpness(np.full((112, 112, 3), 80, np.uint8)) == 0
    assert sharpness(noise) > 10 * sharpness(cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8))


def test_the_filter_stills_trembling_and_follows_movement() -> None:
    settings = OneEuro(min_cutoff_hz=1, beta=4)
    rng = np.random.default_rng(3)

    def run(raw: NDArray[Any], dt_s: float) -> NDArray[np.float64]:
        value, speed, out = raw[0], np.zeros_like(raw[0]), [raw[0]]
        for now in raw[1:]:
            value, speed = one_euro(now, value, speed, dt_s, 100, settings)
            out.append(value)
        return np.array(out)

    still = 50 + rng.normal(0, 1, (300, 1))
    assert run(still, 1 / 30)[60:].std() < 0.45 * still[60:].std()
    moving = np.arange(300, dtype=np.float64)[:, None] * 10  # three of its own widths a second
    assert np.abs(run(moving, 1 / 30) - moving)[60:].max() < 6
    # twice as many frames of the same movement lag as many seconds, not frames
    lag = [
        np.abs(run(np.arange(n)[:, None] * 300 * dt, dt)[-1] - 300 * dt * (n - 1))[0]
        for n, dt in ((90, 1 / 30), (180, 1 / 60))
    ]
    assert lag[0] == pytest.approx(lag[1], abs=2)


def test_verification_counts_each_distinct_pair_once() -> None:
    vectors = np.stack([person(0), person(0), person(1), person(2)])
    distances, same = pair_distances(vectors, ["a", "a", "b", "c"])
    assert len(distances) == 6
    assert same.sum() == 1
    assert sorted(distances.round(6).tolist()) == pytest.approx([0, *[2**0.5] * 5], abs=1e-3)


def test_curve_has_all_measures_at_every_threshold() -> None:
    # on a circle: one person at 0 and 40 degrees, another at 100 and 160; chords are 2 sin(angle / 2)
    angles = np.deg2rad([0, 40, 100, 160])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)])
    curve = find_threshold(vectors, ["a", "a", "b", "b"])
    assert curve.distance.tolist() == pytest.approx([0.5 + 0.01 * n for n in range(100)])
    at = {round(float(d), 2): n for n, d in enumerate(curve.distance)}
    # pairs of one person: 0.684, 1.0; of two: 60 degrees 1.0, 100 degrees 1.532, 120 1.732, 160 1.970
    assert (curve.same, curve.different) == (2, 4)
    row = at[0.6]
    assert (curve.accuracy[row], curve.precision[row], curve.recall[row]) == pytest.approx((4 / 6, 1, 0))
    row = at[0.7]
    assert (curve.accuracy[row], curve.precision[row], curve.recall[row]) == pytest.approx((5 / 6, 1, 0.5))
    row = at[1.2]
    assert (curve.accuracy[row], curve.precision[row], curve.recall[row]) == pytest.approx((5 / 6, 2 / 3, 1))
    assert curve.balanced[row] == pytest.approx((1 + 3 / 4) / 2)
    assert curve.distance[curve.best_balanced] > 1.0
    assert cosine_of(1.0) == 0.5
    assert THRESHOLDS[[0, -1]].tolist() == [0.5, 1.49]


def test_best_threshold_is_not_simply_the_last() -> None:
    vectors = np.stack([person(0), person(0, 0.05, 1), person(1), person(1, 0.05, 2)])
    curve = find_threshold(vectors, list("aabb"))
    assert curve.accuracy[curve.best] == 1
    assert 0.5 < curve.distance[curve.best] < 1.4
    assert curve.accuracy[-1] < 1


def test_pairs_of_one_kind_only_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 pairs of one person and 0 of two"):
        find_threshold(np.stack([person(0), person(0)]), ["a", "a"])


GROUPS = np.repeat(np.arange(4), 6)
CROWD = np.stack([person(int(identity), 0.12, n) for n, identity in enumerate(GROUPS)])


@pytest.mark.parametrize("name", ["whispers", "hdbscan", "kmeans"])
def test_groups_are_found_in_any_order(name: str) -> None:
    for order in (np.arange(len(CROWD)), np.random.default_rng(4).permutation(len(CROWD))):
        vectors = CROWD[order]
        if name == "whispers":
            found = chinese_whispers(vectors, 0.5)
        else:
            found = hdbscan(vectors) if name == "hdbscan" else kmeans(vectors, 4)
        assert found.tolist() == renumbered(GROUPS[order]).tolist()


def test_a_stranger_stays_alone() -> None:
    vectors = np.concatenate([CROWD, [person(7)]])
    assert chinese_whispers(vectors, 0.5).tolist() == [*GROUPS.tolist(), 4]
    assert hdbscan(vectors).tolist() == [*GROUPS.tolist(), 4]
    assert chinese_whispers(np.zeros((0, 8)), 0.5).tolist() == []
    assert hdbscan(np.stack([person(1)])).tolist() == [0]


def test_kmeans_wants_no_more_groups_than_faces() -> None:
    assert kmeans(np.repeat(person(1)[None], 3, axis=0), 2).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="got 5 groups for 3 faces"):
        kmeans(CROWD[:3], 5)


def test_bcubed_by_hand() -> None:
    # precision (2/3 + 2/3 + 1/3 + 1) / 4, recall (1 + 1 + 1/2 + 1/2) / 4
    score = bcubed([1, 1, 1, 2], ["a", "a", "b", "b"])
    assert (score.precision, score.recall, score.items) == pytest.approx((2 / 3, 3 / 4, 4))
    assert score.f1 == pytest.approx(12 / 17)
    assert bcubed(["x", "y"], [1, 2]).f1 == 1
    assert bcubed([0, 0, 0, 0], list("abcd")).precision == 0.25
    with pytest.raises(ValueError, match="got 1 groups and 2 true ones"):
        bcubed([1], [1, 2])
