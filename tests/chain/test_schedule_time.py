"""Media time where no frame comes: lost, idle, back and gaps."""

from __future__ import annotations

import numpy as np

from streamproc.chain.schedule import IDLE_SLACK_NS, Schedule, Scheduled
from streamproc.config.plan import ChainPlan
from streamproc.frames import ArrayPicture, StreamInfo
from streamproc.source import DecodedFrame

S = 1_000_000_000
UTC_NS = 1_700_000_000 * S
INFO = StreamInfo(name="gate", identity="x", width=8, height=8, live=True)
PICTURE = ArrayPicture(np.zeros((8, 8, 3), np.uint8))


def schedule() -> Schedule:
    return Schedule(ChainPlan(chain=()), INFO, (), lambda _: None)


def feed(plan: Schedule, at_s: float, *, away_s: float | None = None, captured: bool = True) -> Scheduled:
    at_ns = round(at_s * S)
    decoded = DecodedFrame(picture=PICTURE, pts_ns=at_ns, captured_ns=UTC_NS + at_ns if captured else None)
    return plan.feed(decoded, away_ns=None if away_s is None else round(away_s * S))


def frame_s(scheduled: Scheduled) -> float:
    assert scheduled.item is not None
    return scheduled.item.frame.pts_ns / S


def test_gap_carries_the_new_frames_capture_time() -> None:
    plan = schedule()
    for n in range(5):
        feed(plan, n / 10)
    (mark,) = feed(plan, 30).marks
    assert (mark.reason, mark.moment.pts_ns, mark.moment.captured_ns) == ("gap", 30 * S, UTC_NS + 30 * S)
    assert mark.moment.frame_index == 4


def test_back_carries_the_new_frames_capture_time() -> None:
    plan = schedule()
    feed(plan, 0)
    feed(plan, 1)
    assert plan.lost().moment.pts_ns == S
    (mark,) = feed(plan, 21, away_s=25).marks
    assert (mark.reason, mark.moment.pts_ns, mark.moment.captured_ns) == ("back", 21 * S, UTC_NS + 21 * S)


def test_time_goes_on_while_no_frame_comes() -> None:
    plan = schedule()
    feed(plan, 0)
    assert plan.idle(IDLE_SLACK_NS) is None  # a frame may still be on its way
    first, second = plan.idle(IDLE_SLACK_NS + S), plan.idle(IDLE_SLACK_NS + 3 * S)
    assert first is not None
    assert second is not None
    assert [first.moment.pts_ns, second.moment.pts_ns] == [S, 3 * S]
    assert second.moment.captured_ns == UTC_NS + 3 * S
    assert second.reason == "idle"


def test_no_time_passes_before_the_first_frame() -> None:
    assert schedule().idle(60 * S) is None


def test_frame_after_idle_has_its_own_time() -> None:
    plan = schedule()
    feed(plan, 0)
    plan.idle(IDLE_SLACK_NS + 4 * S)
    assert frame_s(feed(plan, 6)) == 6


def test_late_frame_never_goes_back_in_time() -> None:
    plan = schedule()
    feed(plan, 0)
    plan.idle(IDLE_SLACK_NS + 10 * S)
    times = [frame_s(feed(plan, late)) for late in (0.1, 0.2, 0.3, 0.4)]
    assert times == sorted(times)
    assert times[0] > 10
    assert sum(plan.timeline.mended.values()) >= 1


def test_an_outage_counts_once_although_time_went_on() -> None:
    plan = schedule()
    feed(plan, 0, captured=False)
    plan.lost()
    plan.idle(IDLE_SLACK_NS + 8 * S)
    assert frame_s(feed(plan, 500, away_s=12, captured=False)) == 12


def test_restored_schedule_goes_on_after_idle_time() -> None:
    plan, again = schedule(), schedule()
    feed(plan, 0)
    plan.idle(IDLE_SLACK_NS + 4 * S)
    again.restore(plan.state())
    assert frame_s(feed(again, 6)) == frame_s(feed(plan, 6))
