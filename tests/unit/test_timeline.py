"""Media time: what becomes of a source's own time stamps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from streamproc.frames import SECOND_NS
from streamproc.timeline import LEAP_NS, Timeline

MS = 1_000_000


def place_ms(stamps: Iterable[int | None], rate: int | None = 25) -> tuple[list[float], list[str | None]]:
    """Media times in ms and faults of time stamps in ms."""
    timeline = Timeline(None if rate is None else Fraction(rate))
    placed = [timeline.place(None if stamp is None else stamp * MS) for stamp in stamps]
    return [p.pts_ns / MS for p in placed], [p.fault for p in placed]


@pytest.mark.parametrize(
    ("stamps", "times", "faults"),
    [
        pytest.param([700, 740, 780], [0, 40, 80], [], id="regular, not from 0"),
        pytest.param([0, 33, 100, 110], [0, 33, 100, 110], [], id="variable rate stays"),
        pytest.param([0, 40, None, 120], [0, 40, 80, 120], ["missing"], id="one missing"),
        pytest.param([None, 40, 80], [0, 40, 80], ["missing"], id="first missing, as RTSP has it"),
        pytest.param([None, 9000, 9040], [0, 40, 80], ["missing"], id="first missing, other base"),
        pytest.param([None] * 4, [0, 40, 80, 120], ["missing"] * 4, id="none at all"),
        pytest.param([0, 40, 40, 120], [0, 40, 80, 120], ["repeated"], id="one repeated"),
        pytest.param([0, 40, 10, 120, 160], [0, 40, 80, 120, 160], ["backward"], id="one backward"),
        pytest.param([0, 40, 10, 70, 110], [0, 40, 80, 80.001, 110], ["backward"], id="mended one in the way"),
        pytest.param([5000, 5040, 0, 40, 80], [0, 40, 80, 120, 160], ["backward", "reset"], id="reset"),
        pytest.param([0, 0, 0, 0, 0, 40, 80], [0, 40, 80, 120, 160, 200, 240],
                     ["repeated"] * 4 + ["backward", "reset"], id="stuck, then on"),
        pytest.param([0, 40, LEAP_NS // MS + 50, LEAP_NS // MS + 90], [0, 40, 80, 120], ["reset"], id="leap of a day"),
    ],
)  # fmt: skip
def test_time_stamps_become_media_time(stamps: list[int | None], times: list[float], faults: list[str]) -> None:
    got, found = place_ms(stamps)
    assert got == times
    assert [fault for fault in found if fault] == faults


def test_pairs_of_equal_stamps_cause_no_drift() -> None:
    times, _ = place_ms([stamp for index in range(5000) for stamp in (40 * index, 40 * index)])
    assert times == sorted(set(times))
    assert max(abs(time - 40 * (index // 2)) for index, time in enumerate(times)) <= 40.002


def test_gap_has_its_true_length_and_is_marked() -> None:
    timeline = Timeline(Fraction(25))
    placed = [timeline.place(stamp * MS) for stamp in (0, 40, 1040, 3040, 3080)]
    assert [p.pts_ns // MS for p in placed] == [0, 40, 1040, 3040, 3080]
    assert [p.gap for p in placed] == [False, False, False, True, False]


def test_regular_step_at_low_rate_is_no_gap() -> None:
    timeline = Timeline(Fraction(1, 2))
    assert not any(timeline.place(2 * SECOND_NS * index).gap for index in range(5))


def test_single_leap_is_recognised_by_the_next_picture() -> None:
    stamps = [0, 40, 60_000, 120, 160]
    timeline = Timeline(Fraction(25))
    placed = [
        timeline.place(stamp * MS, following * MS) for stamp, following in zip(stamps, [*stamps[1:], 200], strict=True)
    ]
    assert [p.pts_ns // MS for p in placed] == [0, 40, 80, 120, 160]
    assert timeline.mended["forward"] == 1


def test_true_gap_stays_with_look_ahead() -> None:
    timeline = Timeline(Fraction(25))
    pairs = ((0, 40), (40, 9000), (9000, 9040))
    assert [timeline.place(a * MS, b * MS).pts_ns // MS for a, b in pairs] == [0, 40, 9000]


def test_ntsc_time_is_exact_after_a_day() -> None:
    rate = Fraction(30000, 1001)
    with_stamps, without = Timeline(rate), Timeline(rate)
    count = 30_000
    stamps = [round(Fraction(index * SECOND_NS) / rate) for index in range(count)]
    assert [with_stamps.place(stamp).pts_ns for stamp in stamps] == stamps
    assert [without.place(None).pts_ns for _ in range(count)] == stamps
    assert stamps[-1] == round(Fraction((count - 1) * 1001 * SECOND_NS, 30000))


def test_last_good_step_mends_without_nominal_rate() -> None:
    assert place_ms([0, 100, 200, None, 400], rate=None)[0] == [0, 100, 200, 300, 400]
    assert place_ms([None, None], rate=None)[0] == [0, 40]


@pytest.mark.parametrize(
    ("rate", "stamps", "times"),
    [
        pytest.param(None, [0, 100, 200, 1000, 1000, 1100, 1200], [0, 100, 200, 1000, 1050, 1100, 1200], id="repeated"),
        pytest.param(None, [0, 100, 200, 1000, None, 1200, 1300], [0, 100, 200, 1000, 1100, 1200, 1300], id="missing"),
        pytest.param(None, [0, 100, 200, 1000, 950, 1100, 1200], [0, 100, 200, 1000, 1050, 1100, 1200], id="backward"),
        pytest.param(None, [0, 900, 900, 1000, 1100, 1200], [0, 900, 940, 1000, 1100, 1200], id="long first step"),
        pytest.param(Fraction(6, 10), [0, 100, 200, 200, 300, 400], [0, 100, 200, 250, 300, 400], id="mean of all"),
        pytest.param(Fraction(90_000), [0, 40, None, None, None, 200], [0, 40, 80, 120, 160, 200], id="clock ticks"),
        pytest.param(Fraction(25), [0, 80, 160, 240, None, 400], [0, 80, 160, 240, 320, 400], id="half of the rate"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ahead", [True, False], ids=["recorded", "live"])
def test_mended_picture_stays_before_those_that_follow(
    rate: Fraction | None, stamps: list[int | None], times: list[float], ahead: bool
) -> None:
    timeline = Timeline(rate)
    nanoseconds = [None if stamp is None else stamp * MS for stamp in stamps]
    following = [*nanoseconds[1:], None] if ahead else [None] * len(stamps)
    got = [timeline.place(stamp, after).pts_ns / MS for stamp, after in zip(nanoseconds, following, strict=True)]
    if ahead:
        assert got == times
    else:  # without a look ahead the one that follows may have to give way, by half of a step
        assert max(abs(one - other) for one, other in zip(got, times, strict=True)) <= 50.001
        assert got[-1] == times[-1]


def test_slow_stream_has_no_gaps_once_known() -> None:
    timeline = Timeline(None)
    gaps = [timeline.place(5 * SECOND_NS * index).gap for index in range(6)]
    assert gaps[4:] == [False] * 2


def test_time_continues_over_a_reconnection() -> None:
    timeline = Timeline(Fraction(25))
    for stamp in (0, 40):
        timeline.place(stamp * MS)
    timeline.reconnected(7 * SECOND_NS)
    placed = [timeline.place(stamp) for stamp in (None, 123 * SECOND_NS, 123 * SECOND_NS + 40 * MS)]
    assert [p.pts_ns // MS for p in placed] == [7040, 7080, 7120]
    assert placed[0].gap


def test_a_reconnection_at_once_still_moves_time_on() -> None:
    timeline = Timeline(Fraction(25))
    timeline.place(0)
    timeline.reconnected(0)
    assert timeline.place(0).pts_ns == 40 * MS


def test_any_time_stamps_give_strictly_increasing_time() -> None:
    random = np.random.default_rng(3)
    for _ in range(40):
        timeline = Timeline(Fraction(25) if random.random() < 0.5 else None)
        last = -1
        for _ in range(300):
            stamp = None if random.random() < 0.1 else int(random.integers(-5, 60)) * 20 * MS
            if random.random() < 0.02:
                timeline.reconnected(int(random.integers(0, 3)) * SECOND_NS)
            placed = timeline.place(stamp)
            assert placed.pts_ns > last
            last = placed.pts_ns


def test_a_restored_timeline_goes_on_exactly() -> None:
    random = np.random.default_rng(5)
    stamps = [None if random.random() < 0.1 else int(random.integers(0, 50)) * 40 * MS for _ in range(400)]
    whole, first = Timeline(Fraction(25)), Timeline(Fraction(25))
    expected = [whole.place(stamp) for stamp in stamps]
    got = [first.place(stamp) for stamp in stamps[:173]]
    second = Timeline(Fraction(25))
    second.restore(json.loads(json.dumps(first.state())))
    got += [second.place(stamp) for stamp in stamps[173:]]
    assert got == expected
    assert second.mended == whole.mended
