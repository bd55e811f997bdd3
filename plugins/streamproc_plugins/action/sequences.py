"""Samples of each track, gathered into sequences of T at a beat of media time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.packing import pack, unpack

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceBeat:
    """T samples, so many per second of media time, one sequence every stride."""

    frames: int
    period_ns: int
    stride_ns: int
    slack_ns: int
    """a sample that is early by no more than this is on the beat"""

    @classmethod
    def of(cls, frames: int, rate: float, stride_ns: int, nominal_ns: int | None = None) -> SequenceBeat:
        """The beat for a rate in Hz. nominal_ns: usual time between two frames of the stream, where it is known."""
        period_ns = round(SECOND_NS / rate)
        slack_ns = min(nominal_ns or period_ns // 4, period_ns) // 2
        return cls(frames=frames, period_ns=period_ns, stride_ns=stride_ns, slack_ns=slack_ns)


@dataclass(slots=True, kw_only=True, eq=False)
class _Track:
    samples: deque[NDArray[Any]]
    due_ns: int = 0
    """when the next sample is wanted"""
    last_ns: int = 0
    answer_ns: int | None = None
    """when the next sequence is wanted; None: as soon as it is complete"""


@dataclass(slots=True, eq=False)
class Sequences:
    """The last samples of every track of one stream."""

    beat: SequenceBeat
    _tracks: dict[int, _Track] = field(default_factory=dict)

    def wants(self, track_id: int, now_ns: int) -> bool:
        """Whether a sample of this track is due."""
        track = self._tracks.get(track_id)
        return track is None or now_ns >= track.due_ns - self.beat.slack_ns

    def add(self, track_id: int, now_ns: int, sample: NDArray[Any]) -> NDArray[Any] | None:
        """Take a sample that is due; the sequence (T, ...) that it completes, where one is wanted.

        A hole of more than two beats begins a new sequence, so that none spans it; so does a sample of another shape.
        """
        track, period = self._tracks.get(track_id), self.beat.period_ns
        other = track is not None and track.samples[0].shape != sample.shape
        if track is None or other or now_ns - track.last_ns > 5 * period // 2:
            track = _Track(samples=deque(maxlen=self.beat.frames), due_ns=now_ns)
            self._tracks[track_id] = track
        on_beat = now_ns < track.due_ns + period - self.beat.slack_ns
        track.due_ns = (track.due_ns if on_beat else now_ns) + period
        track.last_ns = now_ns
        track.samples.append(sample)
        wanted_ns, stride = track.answer_ns, self.beat.stride_ns
        if len(track.samples) < self.beat.frames or (wanted_ns is not None and now_ns < wanted_ns - self.beat.slack_ns):
            return None
        in_time = wanted_ns is not None and now_ns - wanted_ns < stride
        track.answer_ns = (wanted_ns if in_time and wanted_ns is not None else now_ns) + stride
        return np.stack(track.samples)

    def forget(self, now_ns: int, after_ns: int) -> list[int]:
        """Drop tracks not sampled for longer; their ids."""
        gone = [track_id for track_id, track in self._tracks.items() if now_ns - track.last_ns > after_ns]
        for track_id in gone:
            del self._tracks[track_id]
        return gone

    def clear(self) -> None:
        """Drop all."""
        self._tracks.clear()

    def state(self) -> list[Any]:
        """JSON values for `restore`, the samples among them."""
        return [
            [track_id, track.due_ns, track.last_ns, track.answer_ns, pack(np.stack(track.samples))]
            for track_id, track in self._tracks.items()
        ]

    def restore(self, state: Iterable[Any]) -> None:
        """Go on from `state`; sequences that were longer or shorter are begun anew by their tracks."""
        self._tracks = {
            track_id: _Track(
                samples=deque(unpack(stored), maxlen=self.beat.frames),
                due_ns=due_ns, last_ns=last_ns, answer_ns=answer_ns,
            )
            for track_id, due_ns, last_ns, answer_ns, stored in state
        }  # fmt: skip


__all__ = ["SequenceBeat", "Sequences"]
