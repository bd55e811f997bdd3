"""Poses over time: still points steadied, quick ones followed, earlier frames carried along flow; in media time."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from streamproc import Flow, PluginContext, Poses, Results
from streamproc.frames import Frame
from streamproc.models import ModelStore
from streamproc.testing import make_frame, make_info, run_plugin
from streamproc_plugins.pose import PosePooling, PosePoolingOptions, PoseSmoothing
from streamproc_plugins.pose.identity import Identities
from streamproc_plugins.pose.pooling import carry, pool_heatmaps, pool_points
from streamproc_plugins.pose.smoothing import Filtered, PointFilter, smooth
from tests.plugins.people import poses, scored, standing

F32 = NDArray[np.float32]
MS = 1_000_000
PLAIN = PointFilter(min_cutoff_hz=1 / (2 * math.pi), beta=0)
"""takes dt / (1 + dt) of each new place: the half after a second"""


def timed(times_ms: list[int]) -> list[Frame]:
    info = make_info(width=400, height=300)
    return [make_frame(index=i, pts_s=t / 1000, info=info) for i, t in enumerate(times_ms)]


def shaken(count: int, seed: int = 0) -> list[Poses]:
    """A person standing still, measured with an error of 3 px."""
    rng = np.random.default_rng(seed)
    still = standing(200, 80)
    return [poses((still + rng.normal(0, 3, (17, 2))).astype(np.float32)) for _ in range(count)]


def jitter(found: list[Poses]) -> float:
    """Mean way of a keypoint from one frame to the next, after a second to settle."""
    places = np.stack([one.keypoints[0, :, :2] for one in found[10:]])
    return float(np.linalg.norm(np.diff(places, axis=0), axis=2).mean())


def test_the_filter_follows_its_arithmetic() -> None:
    memory, first = smooth(Filtered.none(), 0, scored(standing(100, 50)), 60, PLAIN)
    assert np.allclose(first, scored(standing(100, 50)))
    memory, second = smooth(memory, 1000 * MS, scored(standing(108, 50)), 60, PLAIN)
    assert np.allclose(second[:, :2], standing(104, 50))
    _, third = smooth(memory, 2000 * MS, scored(standing(108, 50)), 60, PLAIN)
    assert np.allclose(third[:, :2], standing(106, 50))


def test_speed_in_body_sizes_raises_the_cutoff() -> None:
    # the speed's own filter takes 2 pi / (1 + 2 pi) of 8 px/s, which is a tenth of this body's size in a second
    size = 8 * 2 * math.pi / (1 + 2 * math.pi) * 10
    settings = PointFilter(min_cutoff_hz=1 / (2 * math.pi), beta=2 * 10 / (2 * math.pi))
    memory, _ = smooth(Filtered.none(), 0, scored(standing(100, 50)), size, settings)
    _, points = smooth(memory, 1000 * MS, scored(standing(108, 50)), size, settings)
    # the cutoff is three times as high: 3 / (1 + 3) of the way
    assert np.allclose(points[:, :2], standing(106, 50))


def test_missing_points_pass_without_touching_the_memory() -> None:
    memory, _ = smooth(Filtered.none(), 0, scored(standing(100, 50)), 60, PLAIN)
    away = scored(standing(900, 900))
    away[3:, 2] = 0.1
    memory, points = smooth(memory, 500 * MS, away, 60, PLAIN)
    assert np.allclose(points[3:], away[3:])
    _, back = smooth(memory, 1000 * MS, scored(standing(108, 50)), 60, PLAIN)
    assert np.allclose(back[3:, :2], standing(104, 50)[3:])
    later = smooth(memory, 3000 * MS, scored(standing(108, 50)), 60, PLAIN)[1]
    assert np.allclose(later[:, :2], standing(108, 50))


def test_somebody_still_trembles_less() -> None:
    given = shaken(40)
    found = run_plugin(PoseSmoothing, timed([100 * i for i in range(40)]), past=[[p] for p in given]).all(Poses)
    assert jitter(found) < 0.6 * jitter(given)
    assert np.abs(found[-1].keypoints[0, :, :2] - standing(200, 80)).max() < 6


def test_filter_ends_equally_at_every_frame_rate() -> None:
    def end(rate: int) -> F32:
        times = [round(1000 * i / rate) for i in range(2 * rate + 1)]
        given = [poses(standing(100 + t / 50, 80)) for t in times]
        return run_plugin(PoseSmoothing, timed(times), past=[[p] for p in given]).all(Poses)[-1].keypoints

    assert np.abs(end(10) - end(50))[0, :, 0].max() < 1.0


def test_swapped_rows_stay_the_same_people() -> None:
    a, b = standing(100, 80), standing(250, 80)
    given = [poses(a, b), poses(b, a), poses(a, b)]
    found = run_plugin(PoseSmoothing, timed([0, 100, 200]), past=[[p] for p in given]).all(Poses)
    ids = [[] if one.track_id is None else one.track_id.tolist() for one in found]
    assert ids == [[1, 2], [2, 1], [1, 2]]
    for before, after in zip(given, found, strict=True):
        assert np.abs(before.keypoints - after.keypoints).max() < 0.01


def test_track_ids_pass_through() -> None:
    given = [poses(standing(100, 80), standing(250, 80), track_id=[9, 0])] * 2
    found = run_plugin(PoseSmoothing, timed([0, 100]), past=[[p] for p in given]).all(Poses)
    assert [None if one.track_id is None else one.track_id.tolist() for one in found] == [[9, 0], [9, 0]]


def test_walker_keeps_its_number_newcomer_gets_another() -> None:
    identities = Identities(500 * MS)
    keys = [identities.observe(i * 100 * MS, poses(standing(100 + 10 * i, 80))) for i in range(5)]
    assert keys == [["p1"]] * 5
    assert identities.observe(1100 * MS, poses(standing(140, 80))) == ["p2"]
    assert identities.observe(1200 * MS, poses(standing(140, 80), standing(140, 80), track_id=[7, 0])) == ["7", "p2"]


def test_heat_maps_are_carried_along_flow_and_weighed() -> None:
    maps = np.zeros((3, 8, 12, 17), np.float32)
    maps[0, 4, 3], maps[1, 4, 5], maps[2, 4, 8] = 1.0, 0.5, 0.2
    flows = np.zeros((2, 8, 12, 2), np.float32)
    flows[0, ..., 0], flows[1, ..., 0] = 2, 3
    pooled = pool_heatmaps(maps, flows, [1, 2, 1])
    assert np.allclose(pooled[4, 8], 1 * 0.25 + 0.5 * 0.5 + 0.2 * 0.25, atol=1e-4)
    assert pooled[4, :8].max() < 1e-4
    assert np.allclose(pool_heatmaps(maps[:1], flows[:0], [3]), maps[0])


def test_weights_that_dont_fit_are_refused() -> None:
    maps, flows = np.zeros((2, 4, 4, 1), np.float32), np.zeros((1, 4, 4, 2), np.float32)
    for weights in ([1], [0, 0], [1, -1], [1, math.nan]):
        with pytest.raises(ValueError, match="expected 2 numbers >= 0"):
            pool_heatmaps(maps, flows, weights)


def test_pooled_keypoints_are_weighted_means() -> None:
    now, before = scored(standing(100, 50), 0.4), scored(standing(110, 50), 0.8)
    pooled = pool_points(np.stack([before, now]), np.array([0.5, 1.0]), 0.2)
    assert np.allclose(pooled[:, :2], standing(105, 50))
    assert np.allclose(pooled[:, 2], (0.5 * 0.8 + 1.0 * 0.4) / 1.5)


def test_missing_keypoint_comes_from_earlier_frames() -> None:
    now, before = scored(standing(100, 50)), scored(standing(100, 50))
    now[9] = (0, 0, 0)
    pooled = pool_points(np.stack([before, now]), np.array([1.0, 1.0]), 0.2)
    assert np.allclose(pooled[9], [*standing(100, 50)[9], 0.45])
    now[10], before[10] = (5, 6, 0.1), (7, 8, 0.1)
    assert np.allclose(pool_points(np.stack([before, now]), np.array([1.0, 1.0]), 0.2)[10], [5, 6, 0.1])


def test_carrying_scales_flow_to_picture_and_time() -> None:
    uv = np.zeros((10, 10, 2), np.float32)
    uv[..., 0], uv[..., 1] = 1, -2
    points = scored(standing(20, 10, 0.1))
    moved = carry(points[None], uv, 0.5, times=2.0)[0]
    assert np.allclose(moved - points, [2 * 2 * 1, 2 * 2 * -2, 0], atol=1e-4)


def pooled(given: list[Poses], step_px: float) -> list[Poses]:
    """Pooling where a known flow goes `step_px` to the right between frames of 100 ms."""
    flow = Flow(uv=np.full((30, 40, 2), (step_px / 10, 0), np.float32), dt_ns=100 * MS, scale=0.1)
    frames = timed([100 * i for i in range(len(given))])
    plugin = PosePooling(PosePoolingOptions())
    log = logging.getLogger(__name__)
    plugin.open(PluginContext(name="pooled", stream=frames[0].stream, models=ModelStore(), log=log))
    out: list[Poses] = []
    for frame, one in zip(frames, given, strict=True):
        past: dict[tuple[str, type], object] = {("pose", Poses): one}
        if frame.index:
            past["engine", Flow] = flow
        out += [item for item in plugin.process(frame, Results(past)) or () if isinstance(item, Poses)]
    return out


def test_earlier_frames_steady_a_moving_person() -> None:
    rng = np.random.default_rng(1)
    walk = [standing(60 + 8 * i, 80) for i in range(30)]
    given = [poses((at + rng.normal(0, 3, (17, 2))).astype(np.float32)) for at in walk]
    found = pooled(given, 8.0)
    raw = np.mean([np.abs(one.keypoints[0, :, :2] - at).mean() for one, at in zip(given[5:], walk[5:], strict=True)])
    off = np.mean([np.abs(one.keypoints[0, :, :2] - at).mean() for one, at in zip(found[5:], walk[5:], strict=True)])
    assert off < 0.7 * raw


def test_pooling_without_a_past_changes_nothing() -> None:
    given = [poses(standing(100, 80)), poses(), poses(standing(100, 80))]
    found = pooled(given, 0.0)
    assert [len(one.score) for one in found] == [1, 0, 1]
    assert np.allclose(found[0].keypoints, given[0].keypoints)


def test_the_engine_gives_the_flow_that_pooling_uses() -> None:
    rng = np.random.default_rng(3)
    wide = rng.integers(0, 256, (120, 260, 3), dtype=np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    frames = [make_frame(rgb=np.ascontiguousarray(wide[:, 60 - 4 * i : 360 - 4 * i]), index=i) for i in range(6)]
    whole = scored(standing(100, 60))
    missing = whole.copy()
    missing[:, 0] += 20
    missing[9, 2] = 0.0
    given = [[poses(whole + np.array([4 * i, 0, 0], np.float32))] for i in range(5)] + [[poses(missing)]]
    found = run_plugin(PosePooling, frames, past=given).all(Poses)[-1].keypoints[0]
    assert found[9, 2] > 0.4
    assert np.abs(found[9, :2] - (whole[9, :2] + (20, 0))).max() < 1.5
