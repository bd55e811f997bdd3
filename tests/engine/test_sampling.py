"""Sampling by media time: the beat and the clips that are cut on it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from streamproc.chain.clips import ClipCutter
from streamproc.chain.sampling import Beat
from streamproc.config.plan import FlowPlan
from streamproc.plugin import ClipSpec
from streamproc.testing import make_frame, make_frames, make_info

NTSC = Fraction(30000, 1001)


def times(rate: Fraction, count: int) -> list[int]:
    return [round(i * 1_000_000_000 / rate) for i in range(count)]


def taken(rate: float, pts: list[int], nominal_ns: int | None) -> list[int]:
    beat = Beat.of(rate, nominal_ns)
    assert beat is not None
    return [t for t in pts if beat.takes(t)]


@pytest.mark.parametrize("source", [Fraction(10), Fraction(25), NTSC, Fraction(60)])
def test_equal_rates_take_every_frame(source: Fraction) -> None:
    pts = times(source, 500)
    assert taken(float(source), pts, round(1e9 / source)) == pts


def test_matroska_milliseconds_lose_no_frame_at_equal_rates() -> None:
    pts = [round(t / 1e6) * 1_000_000 for t in times(NTSC, 500)]
    assert taken(float(NTSC), pts, round(1e9 / NTSC)) == pts


@pytest.mark.parametrize(("source", "rate"), [(Fraction(30), 10), (NTSC, 5), (Fraction(60), 7), (Fraction(25), 2)])
def test_lower_rate_is_met_evenly_on_average(source: Fraction, rate: float) -> None:
    pts = times(source, round(20 * source))
    got = taken(rate, pts, round(1e9 / source))
    assert len(got) == pytest.approx(20 * rate, abs=1)
    steps = np.diff(got)
    assert steps.max() - steps.min() <= 1.1e9 / source


def test_variable_frame_rate_is_sampled_by_time() -> None:
    fast = [i * 10_000_000 for i in range(200)]
    slow = [2_000_000_000 + i * 200_000_000 for i in range(20)]
    got = taken(5, fast + slow, None)
    assert len(got) == pytest.approx(30, abs=1)
    steps = np.diff(got)
    assert steps.min() >= 170_000_000
    assert steps.max() <= 230_000_000


def test_beat_starts_anew_after_a_gap() -> None:
    got = taken(10, [0, 100_000_000, 9_030_000_000, 9_080_000_000, 9_130_000_000], 50_000_000)
    assert got == [0, 100_000_000, 9_030_000_000, 9_130_000_000]


def cut(pts: list[int], spec: ClipSpec) -> list[list[int]]:
    info = make_info(width=32, height=24, rate=30)
    cutter = ClipCutter(spec, FlowPlan(), info.nominal_ns)
    clips = []
    for index, time in enumerate(pts):
        frame = make_frame(fill=index % 256, index=index, pts_s=time / 1e9, info=info)
        made = cutter.add(frame)
        if made is not None:
            clips.append(made.build(frame).pts_ns.tolist())
    return clips


def test_clips_follow_media_time_and_stride() -> None:
    pts = times(Fraction(30), 120)
    spec = ClipSpec(frames=4, rate=10, stride_ns=500_000_000, size=(16, 16))
    clips = cut(pts, spec)
    assert clips[0] == [0, 100_000_000, 200_000_000, 300_000_000]
    ends = np.array([clip[-1] for clip in clips])
    assert np.abs(np.diff(ends) - 500_000_000).max() <= 34_000_000
    assert len(clips) == 8


def test_slow_source_still_gives_clips_and_a_warning() -> None:
    spec = ClipSpec(frames=4, rate=10, stride_ns=500_000_000, size=(16, 16))
    for rate, warned in ((2, True), (6, True), (9.5, False), (15, False), (29.97, False)):
        cutter = ClipCutter(spec, FlowPlan(), None)
        clips = [cutter.add(frame) for frame in make_frames(60, info=make_info(width=32, height=24, rate=rate))]
        assert len([clip for clip in clips if clip]) >= 3, rate
        assert bool(cutter.warning) is warned, rate
        assert not warned or f"about {1000 / rate:.0f} ms apart instead of 100 ms" in cutter.warning


def test_stream_too_short_for_a_clip_warns() -> None:
    spec = ClipSpec(frames=16, rate=8, stride_ns=500_000_000, size=(16, 16))
    cutter = ClipCutter(spec, FlowPlan(), None)
    assert [cutter.add(frame) for frame in make_frames(45, info=make_info(rate=25))] == [None] * 45
    assert "no clip was complete: one takes 16 pictures at 8 per second, 2.0 s without a gap" in cutter.warning


def test_restart_after_the_last_clip_gives_no_warning() -> None:
    spec = ClipSpec(frames=4, rate=10, stride_ns=500_000_000, size=(16, 16))
    frames = make_frames(32, info=make_info(width=32, height=24, rate=10))
    before, after = ClipCutter(spec, FlowPlan(), None), ClipCutter(spec, FlowPlan(), None)
    clips = [before.add(frame) for frame in frames[:30]]
    assert any(clips)
    after.restore(before.state())
    assert [after.add(frame) for frame in frames[30:]] == [None, None]
    assert after.warning == before.warning == ""


def test_sampled_region_does_not_hold_the_whole_frame() -> None:
    spec = ClipSpec(frames=1, rate=10, stride_ns=100_000_000, size=(16, 12), region=(0, 0, 0.1, 0.1))
    (frame,) = make_frames(1, info=make_info(width=160, height=120, rate=10))
    cut_clip = ClipCutter(spec, FlowPlan(), None).add(frame)
    assert cut_clip is not None
    assert not np.shares_memory(cut_clip.samples[0].rgb, frame.rgb)


def test_clip_ends_at_a_frame_of_the_rate() -> None:
    spec = ClipSpec(frames=4, rate=8, stride_ns=500_000_000, size=(16, 16))
    cutter, rate = ClipCutter(spec, FlowPlan(), 40_000_000), Beat.of(5, 40_000_000)
    assert rate is not None
    ends = []
    for frame in make_frames(150, info=make_info(width=32, height=24, rate=25)):
        on_rate = rate.takes(frame.pts_ns)
        clip = cutter.add(frame, on_rate)
        if clip is not None:
            assert on_rate
            pictures = clip.build(frame).pts_ns
            assert 0 <= frame.pts_ns - pictures[-1] < 125_000_000
            ends.append(frame.pts_ns)
    assert len(ends) == 11
    assert np.abs(np.diff(ends) - 500_000_000).max() <= 200_000_000


def test_a_clip_never_spans_a_gap() -> None:
    pts = [*times(Fraction(10), 5), *(t + 5_000_000_000 for t in times(Fraction(10), 5))]
    spec = ClipSpec(frames=4, rate=10, stride_ns=100_000_000, size=(16, 16))
    clips = cut(pts, spec)
    assert clips
    assert all(clip[-1] - clip[0] == 300_000_000 for clip in clips)


def test_equal_motion_gives_equal_clips_at_any_rate() -> None:
    spec = ClipSpec(frames=5, rate=5, stride_ns=1_000_000_000, size=(16, 16))
    by_rate = [cut(times(Fraction(rate), rate * 6), spec) for rate in (10, 25, 50)]
    assert by_rate[0] == by_rate[1] == by_rate[2]


def test_region_is_cropped_before_resizing_and_stored() -> None:
    info = make_info(width=40, height=20, rate=10)
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[10:, 10:20] = 200
    region = (0.25, 0.5, 0.5, 1.0)
    spec = ClipSpec(frames=1, rate=10, stride_ns=100_000_000, size=(16, 16), flow=True, region=region)
    cutter = ClipCutter(spec, FlowPlan(), info.nominal_ns)
    frame = make_frame(rgb=rgb, info=info)
    clip = cutter.add(frame)
    assert clip is not None
    built = clip.build(frame)
    assert (built.rgb == 200).all()
    assert built.flow is not None
    assert built.flow.shape == (1, 16, 16, 2)
    other = ClipCutter(replace(spec, region=None), FlowPlan(), info.nominal_ns)
    other.restore(cutter.state())
    assert other.state()["pts_ns"] == []
    same = ClipCutter(spec, FlowPlan(), info.nominal_ns)
    same.restore(cutter.state())
    assert same.state() == cutter.state()


@pytest.mark.parametrize("region", [(0.5, 0, 0.5, 1), (0, 0, 1, 1.2), (-0.1, 0, 1, 1)])
def test_region_outside_the_picture_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        ClipSpec(frames=1, rate=10, stride_ns=10**9, size=(4, 4), region=region)
