"""`Episode`: the events of one happening, and how it goes on after a restart."""

from __future__ import annotations

import json

from streamproc import Episode, Event, Moment
from streamproc.frames import SECOND_NS
from streamproc.testing import make_info

NOW = 40 * SECOND_NS


def crowd() -> Episode:
    return Episode(type="zone.crowded", key="yard/7", start_ns=NOW - SECOND_NS, subject="yard", data={"zone": "yard"})


def test_its_events_share_key_start_and_data() -> None:
    episode = crowd()
    events = [
        episode.start(NOW, score=0.5, count=5),
        episode.update(NOW + SECOND_NS, count=6),
        episode.end(NOW + 2 * SECOND_NS, score=0.75, most=6),
    ]
    assert [event.phase for event in events] == ["start", "update", "end"]
    assert {(event.type, event.episode, event.start_ns, event.subject) for event in events} == {
        ("zone.crowded", "yard/7", NOW - SECOND_NS, "yard")
    }
    assert [event.end_ns for event in events] == [None, None, NOW + 2 * SECOND_NS]
    assert [event.score for event in events] == [0.5, None, 0.75]
    assert [dict(event.data) for event in events] == [
        {"zone": "yard", "count": 5}, {"zone": "yard", "count": 6}, {"zone": "yard", "most": 6},
    ]  # fmt: skip


def test_updates_are_due_on_their_beat() -> None:
    episode = crowd()
    assert not episode.due(NOW, SECOND_NS)
    episode.start(NOW)
    assert not episode.due(NOW + SECOND_NS - 1, SECOND_NS)
    assert episode.due(NOW + SECOND_NS, SECOND_NS)
    episode.update()  # out of turn
    assert episode.due(NOW + SECOND_NS, SECOND_NS)
    episode.update(NOW + SECOND_NS)
    assert not episode.due(NOW + SECOND_NS, SECOND_NS)
    assert not episode.due(NOW + 100 * SECOND_NS, 0)


def test_a_stored_episode_goes_on_exactly() -> None:
    episode = crowd()
    episode.start(NOW)
    stored = json.loads(json.dumps(episode.state()))
    assert not {"frame_index", "pts_ns", "captured_ns"} & set(stored)
    restored = Episode.restored(stored)
    assert restored == episode
    assert restored is not None
    assert restored.end(NOW, most=6) == episode.end(NOW, most=6)
    assert Episode.restored(None) is None


def test_seconds_from_its_start() -> None:
    assert crowd().lasted_s(NOW + SECOND_NS // 2) == 1.5


def test_the_moment_stamps_frame_time_and_capture() -> None:
    moment = Moment(pts_ns=NOW, frame_index=400, captured_ns=1_700_000_000 * SECOND_NS)
    made = crowd().start(NOW)
    event = made.stamped(make_info(), "rules", 0, moment)
    assert (event.frame_index, event.pts_ns) == (400, NOW)
    assert event.captured_ns == 1_699_999_999 * SECOND_NS  # it began a second before
    unknown = made.stamped(make_info(), "rules", 0, Moment(pts_ns=NOW, frame_index=400))
    assert unknown.captured_ns is None


def test_authors_own_stamps_do_not_count() -> None:
    wrong = Event(type="a.b", phase="instant", start_ns=0, end_ns=0, frame_index=3, pts_ns=5, captured_ns=7)
    event = wrong.stamped(make_info(), "mine", 0, Moment(pts_ns=NOW, frame_index=400))
    assert (event.frame_index, event.pts_ns, event.captured_ns) == (400, NOW, None)


def test_an_end_without_a_time_is_now() -> None:
    begun = Event(type="a.b", phase="start", start_ns=NOW - SECOND_NS, episode="e")
    moment = Moment(pts_ns=NOW, frame_index=400)
    assert begun.later("end").stamped(make_info(), "mine", 0, moment).end_ns == NOW
    assert begun.later("update").stamped(make_info(), "mine", 0, moment).end_ns is None
