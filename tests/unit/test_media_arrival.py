"""Capture times of live streams: anchored on the packet that came in quickest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streamproc.frames import SECOND_NS
from streamproc.media.arrival import CaptureClock

MS = 1_000_000
NOW = 1_700_000_000 * SECOND_NS


def captured_ms(packets: Sequence[tuple[int | None, int]], clock: CaptureClock | None = None) -> list[int]:
    """Capture times after all was observed, in ms from `NOW`; packets: (time stamp, arrival), both in ms."""
    clock = clock or CaptureClock()
    nanoseconds = [(None if pts is None else pts * MS, NOW + arrival * MS) for pts, arrival in packets]
    for pts_ns, arrived_ns in nanoseconds:
        clock.observe(pts_ns, arrived_ns)
    return [(clock.captured_ns(pts_ns, arrived_ns) - NOW) // MS for pts_ns, arrived_ns in nanoseconds]


def test_packets_delayed_by_probing_have_their_sending_time() -> None:
    late = [(9000 + 40 * index, 2000) for index in range(50)]
    assert captured_ms([*late, (11_000, 2003), (11_040, 2043)]) == [40 * index + 3 for index in range(52)]


def test_jitter_and_a_stall_move_no_capture_time() -> None:
    arrivals = [40 * index + (index * 37) % 25 for index in range(50)] + [5000] * 75
    found = captured_ms([(40 * index, arrival) for index, arrival in enumerate(arrivals)])
    assert found == [40 * index for index in range(125)]


@pytest.mark.parametrize(
    ("jump", "length"),
    [pytest.param(3_600_000, 50, id="an hour ahead"), pytest.param(-20_000, 50, id="back")],
)
def test_restarted_time_stamps_are_anchored_again(jump: int, length: int) -> None:
    clock = CaptureClock()
    before = [(40 * index, 40 * index + 5) for index in range(length)]
    after = [(40 * index + jump, 40 * index + 7) for index in range(length, 2 * length)]
    assert captured_ms(before, clock) == [40 * index + 5 for index in range(length)]
    assert captured_ms(after, clock) == [40 * index + 7 for index in range(length, 2 * length)]


def test_a_time_stamp_that_stands_still_says_nothing() -> None:
    clock = CaptureClock()
    captured_ms([(40 * index, 40 * index) for index in range(50)], clock)
    for index in range(50, 250):
        (found,) = captured_ms([(2000, 40 * index)], clock)
    assert found == 40 * 249


def test_camera_and_machine_clocks_may_drift() -> None:
    clock = CaptureClock()
    for second in range(0, 24 * 3600, 10):  # the camera's runs slow by a ten-thousandth: 8 s a day
        arrival = second * 1000
        (found,) = captured_ms([(arrival - second // 10, arrival)], clock)
        assert 0 <= arrival - found <= 61


def test_without_time_stamps_it_is_the_arrival() -> None:
    assert captured_ms([(None, 10), (None, 50)]) == [10, 50]
