"""Results and events from the actions of each tracked person: shared by `track_action` and `pose_action`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Classification, Event, Frame
from streamproc_plugins.action.results import TrackActions
from streamproc_plugins.labels import LabelsOptions
from streamproc_plugins.labels.episodes import Episodes, LabelChange


def actions(found: Mapping[int, Classification]) -> TrackActions:
    """The best label of each track."""
    return TrackActions(
        track_id=np.array(list(found), np.int64),
        label=tuple(one.label[0] for one in found.values()),
        score=np.array([one.score[0] for one in found.values()], np.float32),
        class_id=np.array([one.class_id[0] for one in found.values()], np.int64),
    )


class PeopleEpisodes:
    """One state machine of labels for each track; `track.action` events with start and end."""

    def __init__(self, options: LabelsOptions) -> None:
        self._settings = options.settings()
        self._wanted, self._ignored = frozenset(options.labels), frozenset(options.ignore)
        self._tracks: dict[int, Episodes] = {}
        self._boxes: dict[int, list[float]] = {}

    def observe(
        self, frame: Frame, found: Mapping[int, Classification], boxes: Mapping[int, NDArray[Any]]
    ) -> Iterator[Event]:
        """The answers at this frame, by track. boxes: xyxy (4,) in source pixels of the detected tracks."""
        self._boxes |= {track_id: np.asarray(box, np.float64).tolist() for track_id, box in boxes.items()}
        for track_id, one in found.items():
            episodes = self._tracks.setdefault(track_id, self._begin(track_id))
            said = {
                label: score
                for label, score in zip(one.label, one.score.tolist(), strict=True)
                if label not in self._ignored and (not self._wanted or label in self._wanted)
            }
            yield from self._events(track_id, episodes.observe(frame.pts_ns, said, frame.index))
        yield from self.lose(frame.pts_ns)

    def lose(self, now_ns: int) -> Iterator[Event]:
        """End actions without an answer for too long, at the person's last observation."""
        for track_id, episodes in self._tracks.items():
            yield from self._events(track_id, episodes.lose(now_ns))

    def finish(self, tracks: Iterable[int] | None = None) -> Iterator[Event]:
        """End the actions of these tracks, or of all, at their last observation."""
        for track_id in list(self._tracks if tracks is None else tracks):
            episodes = self._tracks.pop(track_id, None)
            if episodes is not None:
                yield from self._events(track_id, episodes.finish())
            self._boxes.pop(track_id, None)
        if tracks is None:
            self._boxes.clear()

    def _begin(self, track_id: int) -> Episodes:
        return Episodes(self._settings, "track.action", prefix=f"{track_id}/", track_id=track_id)

    def _events(self, track_id: int, changes: Iterable[LabelChange]) -> Iterator[Event]:
        box = {"box": self._boxes[track_id]} if track_id in self._boxes else {}
        return (change.event(score=change.score, **box) for change in changes)

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "tracks": [[track_id, episodes.state()] for track_id, episodes in self._tracks.items()],
            "boxes": [[track_id, box] for track_id, box in self._boxes.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._tracks = {}
        for track_id, stored in state["tracks"]:
            self._tracks[track_id] = self._begin(track_id)
            self._tracks[track_id].restore(stored)
        self._boxes = dict(state["boxes"])


__all__ = ["PeopleEpisodes", "actions"]
