"""Order of events between recorded streams, and streams that join and leave."""

from __future__ import annotations

from streamproc.delivery.merge import MergeQueue
from streamproc.events import Event
from streamproc.testing import make_frame, make_info

SECOND = 10**9


def event(stream: str, at_s: float) -> Event:
    return Event.instant(make_frame(pts_s=at_s, info=make_info(stream)), "test.seen", source=stream, at_s=at_s)


def hold(merge: MergeQueue, stream: str, at_s: float, *, sinks: tuple[str, ...] = ("log",)) -> None:
    """One frame of a stream with its event."""
    merge.hold(stream, int(at_s * SECOND), [event(stream, at_s)], sinks)


def released(merge: MergeQueue) -> list[tuple[str, float]]:
    """Stream and time of the events that come out now."""
    found = [item for item, _ in merge.release()]
    return [(str(e.data["source"]), float(e.data["at_s"])) for e in found if isinstance(e, Event)]


def merge_of(*streams: str) -> MergeQueue:
    merge = MergeQueue()
    for stream in streams:
        merge.expect(stream)
    return merge


def test_events_leave_by_media_time() -> None:
    merge = merge_of("a", "b")
    for at_s in (0, 1, 2):
        hold(merge, "a", at_s)
    assert released(merge) == []
    hold(merge, "b", 1)
    assert released(merge) == [("a", 0), ("a", 1), ("b", 1)]
    hold(merge, "b", 3)
    assert released(merge) == [("a", 2)]
    merge.ended("a")
    assert released(merge) == [("b", 3)]


def test_a_frame_without_events_moves_its_stream_on() -> None:
    merge = merge_of("a", "b")
    hold(merge, "a", 1)
    merge.hold("b", 2 * SECOND, [], ("log",))
    assert released(merge) == [("a", 1)]


def test_nobody_waits_for_an_ended_stream() -> None:
    merge = merge_of("a", "b")
    hold(merge, "a", 5)
    hold(merge, "b", 1)
    assert released(merge) == [("b", 1)]
    merge.ended("b")
    assert "b" not in merge
    assert released(merge) == [("a", 5)]


def test_an_ended_stream_leaves_behind_its_events() -> None:
    merge = merge_of("a", "b")
    hold(merge, "b", 4)
    merge.ended("b")
    assert "b" in merge
    hold(merge, "a", 5)
    assert released(merge) == [("b", 4), ("a", 5)]
    assert "b" not in merge


def test_a_late_stream_starts_where_the_others_are() -> None:
    merge = merge_of("a")
    hold(merge, "a", 100)
    assert released(merge) == [("a", 100)]
    merge.expect("late")
    hold(merge, "a", 101)
    hold(merge, "late", 0)
    assert released(merge) == [("late", 0)]
    hold(merge, "late", 2)
    assert released(merge) == [("a", 101)]


def test_a_mark_passes_behind_the_events_before_it() -> None:
    passed: list[str] = []
    merge = merge_of("a", "b")
    assert not merge.mark("a", lambda: passed.append("early"))
    hold(merge, "a", 1)
    assert merge.mark("a", lambda: passed.append("mark"))
    for item, _ in merge.release():
        assert item is None, "nothing may leave yet"
    merge.ended("b")
    for item, _ in merge.release():
        passed.append("event") if isinstance(item, Event) else item()
    assert passed == ["event", "mark"]


def test_a_sinks_waiting_events_come_in_order() -> None:
    merge = merge_of("a", "b", "slow")
    hold(merge, "a", 2, sinks=("log", "alerts"))
    hold(merge, "b", 1, sinks=("alerts",))
    hold(merge, "a", 3, sinks=("log", "alerts"))
    assert [e.data["at_s"] for e in merge.waiting_for("alerts")] == [1, 2, 3]
    assert [e.data["at_s"] for e in merge.waiting_for("log")] == [2, 3]
    assert merge.waiting_for("other") == []
    assert merge.backlog("a")[0] == 2
