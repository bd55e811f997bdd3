"""Boxes and tracks as `supervision.Detections` and back."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from streamproc import Detections, Record, Tracks
from streamproc.testing import make_detections, make_info, make_tracks


@dataclass
class _Given:
    """What supervision's own class keeps of its arguments; the package is no dependency."""

    xyxy: Any
    confidence: Any = None
    class_id: Any = None
    mask: Any = None
    tracker_id: Any = None
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package where it is installed, else a class with the same fields."""
    try:
        import supervision  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ModuleNotFoundError:
        stand_in = ModuleType("supervision")
        stand_in.Detections = _Given  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "supervision", stand_in)


def test_track_ids_survive_the_round_trip() -> None:
    tracks = make_tracks({7: (10, 10, 30, 60), 3: (50, 20, 80, 90)})
    given = tracks.to_supervision()
    assert given.tracker_id.tolist() == tracks.track_id.tolist()
    back = Tracks.from_supervision(given)
    for name in ("xyxy", "score", "class_id", "track_id", "velocity", "age_ns"):
        assert getattr(back, name).tolist() == getattr(tracks, name).tolist(), name
    assert (back.label, back.state) == (tracks.label, tracks.state)
    assert type(Detections.from_supervision(given)) is Detections


def test_embeddings_and_operating_score_come_back() -> None:
    found = make_detections((10, 10, 30, 60), (50, 20, 80, 90))
    masks = np.zeros((2, 48, 64), np.bool_)
    masks[1, 20:30, 10:20] = True
    whole = replace(found, embeddings=np.array([[1, 0], [0, 1]], np.float32), operating_score=0.4, masks=masks)
    given = whole.to_supervision()
    back = Detections.from_supervision(given)
    assert back.operating_score == 0.4
    assert back.embeddings is not None
    assert back.embeddings.tolist() == [[1, 0], [0, 1]]
    assert back.masks is not None
    assert (back.masks == masks).all()
    plain = Detections.from_supervision(found.to_supervision())
    assert (plain.operating_score, plain.embeddings, plain.masks) == (None, None, None)
    none = replace(Detections.empty(), embeddings=np.zeros((0, 2), np.float32))
    again = Detections.from_supervision(none.to_supervision()).embeddings
    assert again is not None
    assert again.shape == (0, 2)


def test_a_record_gives_its_tracks_with_their_ids() -> None:
    tracks = make_tracks({7: (10, 10, 30, 60), 3: (50, 20, 80, 90)})
    record = Record(stream=make_info(), index=0, pts_ns=0, results={("tracks", Tracks): tracks})
    given = record.to_supervision(Tracks)
    assert given.tracker_id.tolist() == [7, 3]
    assert Tracks.from_supervision(given).track_id.tolist() == [7, 3]


def test_no_tracks_go_there_and_back() -> None:
    assert len(Tracks.from_supervision(Tracks.empty().to_supervision())) == 0


def test_detections_have_no_ids_and_make_no_tracks() -> None:
    given = make_detections((10, 10, 30, 60)).to_supervision()
    assert given.tracker_id is None
    with pytest.raises(ValueError, match="have no tracker_id; give them to a tracker first"):
        Tracks.from_supervision(given)


def test_ids_of_another_tracker_become_confirmed_tracks() -> None:
    found = _Given(xyxy=np.array([[1.0, 2, 3, 4]]), class_id=np.array([2]), tracker_id=np.array([9]))
    tracks = Tracks.from_supervision(found)
    assert (tracks.track_id.tolist(), tracks.state, tracks.label) == ([9], ("confirmed",), ("2",))
