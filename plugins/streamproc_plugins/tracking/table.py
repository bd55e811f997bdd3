"""The tracker's memory, one row a track, and the input and output of a step."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.tracking.kalman import Belief, begin, to_cxcywh, to_xyxy
from streamproc_plugins.tracking.settings import TrackerSettings

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

NONE = -1


class TrackState(IntEnum):
    """State of a track; the names in lower case are those of `streamproc.Tracks`."""

    TENTATIVE = 0
    CONFIRMED = 1
    LOST = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurements:
    """Detections of one frame."""

    xyxy: Array
    """float64 (n, 4), pixels"""
    score: Array
    """float64 (n,), 0..1"""
    group: Indices
    """int64 (n,), number of the label"""
    embedding: NDArray[np.float32] | None = None
    """float32 (n, d) of unit length, zeros where unknown"""

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[Any]) -> Measurements:
        """The detections named by a mask or by indices."""
        if _are_all(rows, len(self)):
            return self
        return Measurements(
            xyxy=self.xyxy[rows],
            score=self.score[rows],
            group=self.group[rows],
            embedding=None if self.embedding is None else self.embedding[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackerStep:
    """The tracks as they stand after a frame: every living one, tentative and lost ones too."""

    track_id: Indices
    xyxy: Array
    """float64 (n, 4), pixels; predicted where the state is LOST"""
    velocity: Array
    """float64 (n, 2) of the centre, pixels a second"""
    state: Indices
    """`TrackState`; LOST: not detected in this frame"""
    shown: NDArray[np.bool_]
    """detected now and confirmed, or still shown without a detection"""
    score: Array
    group: Indices
    start_ns: Indices
    """media time of the first detection"""
    source: Indices
    """index of the detection, -1 where there was none"""
    embedding: NDArray[np.float32]
    """float32 (n, d) of unit length, zeros where unknown; d is 0 where no detection has one"""

    def __len__(self) -> int:
        return len(self.track_id)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """One row a track, in the order of their ids. Arrays of one length, replaced and never written to."""

    track_id: Indices
    mean: Array
    velocity: Array
    covariance: Array
    confirmed: NDArray[np.bool_]
    hits: Indices
    start_ns: Indices
    observed_ns: Indices
    score: Array
    group: Indices
    rival: Indices
    """another label of its last detections, -1 for none"""
    rival_ns: Indices
    """since when only that label was detected"""
    embedding: NDArray[np.float32]
    """float32 (n, d), zeros where unknown"""

    @staticmethod
    def empty() -> Table:
        """No tracks."""
        none = Measurements(xyxy=np.zeros((0, 4)), score=np.zeros(0), group=np.zeros(0, np.int64))
        return Table.born(np.zeros(0, np.int64), none, 0, TrackerSettings())

    @staticmethod
    def born(ids: Indices, observed: Measurements, now_ns: int, settings: TrackerSettings) -> Table:
        """Tracks that begin with these detections."""
        count = len(ids)
        belief = begin(to_cxcywh(observed.xyxy), observed.score, settings.motion)
        now = np.full(count, now_ns, np.int64)
        return Table(
            track_id=ids, mean=belief.mean, velocity=belief.velocity, covariance=belief.covariance,
            confirmed=np.zeros(count, np.bool_), hits=np.ones(count, np.int64), start_ns=now, observed_ns=now,
            score=observed.score.copy(), group=observed.group.copy(), rival=np.full(count, NONE, np.int64),
            rival_ns=now,
            embedding=np.zeros((count, 0), np.float32) if observed.embedding is None else observed.embedding.copy(),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.track_id)

    @property
    def belief(self) -> Belief:
        """The filter's part."""
        return Belief(mean=self.mean, velocity=self.velocity, covariance=self.covariance)

    def believing(self, belief: Belief) -> Table:
        """The same tracks with another belief."""
        return self.changed(mean=belief.mean, velocity=belief.velocity, covariance=belief.covariance)

    def changed(self, **columns: NDArray[Any]) -> Table:
        """The same tracks with other columns; as `dataclasses.replace`, in half the time."""
        return Table(**({name: getattr(self, name) for name in _COLUMNS} | columns))

    def xyxy(self) -> Array:
        """Boxes, float64 (n, 4)."""
        return to_xyxy(self.mean)

    def take(self, rows: NDArray[Any]) -> Table:
        """The tracks named by a mask or by indices."""
        if _are_all(rows, len(self)):
            return self
        return Table(**{name: getattr(self, name)[rows] for name in _COLUMNS})

    def with_rows(self, rows: Indices, part: Table) -> Table:
        """The table with `rows` replaced by those of `part`."""
        if _are_all(rows, len(self)):
            return part
        columns = {}
        for name in _COLUMNS:
            column = getattr(self, name).copy()
            column[rows] = getattr(part, name)
            columns[name] = column
        return Table(**columns)

    def joined(self, other: Table) -> Table:
        """These tracks and then those."""
        if not len(other):
            return self
        other = other.looking(self.embedding.shape[1])
        return Table(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _COLUMNS})

    def looking(self, width: int) -> Table:
        """With embeddings of this width; those of another width (another net) can't be compared and are forgotten."""
        if self.embedding.shape[1] == width:
            return self
        return self.changed(embedding=np.zeros((len(self), width), np.float32))

    def to_plain(self) -> dict[str, Any]:
        """JSON values from which `from_plain` makes the same table to the last bit."""
        plain: dict[str, Any] = {name: getattr(self, name).tolist() for name in _COLUMNS}
        plain["embedding"] = {
            "width": int(self.embedding.shape[1]),
            "float32": base64.b64encode(self.embedding.astype("<f4").tobytes()).decode(),
        }
        return plain

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> Table:
        """The table that `to_plain` wrote.

        Raises:
            ValueError: a column is missing or doesn't fit; the message names it.
        """
        blank, columns = Table.empty(), {}
        try:
            count = len(plain["track_id"])
            for item in fields(Table):
                like = getattr(blank, item.name)
                if item.name != "embedding":
                    columns[item.name] = np.array(plain[item.name], like.dtype).reshape(count, *like.shape[1:])
            packed = plain["embedding"]
            values = np.frombuffer(base64.b64decode(packed["float32"]), "<f4").astype(np.float32)
            columns["embedding"] = values.reshape(count, packed["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the tracks can't be read ({error!r}), expected the output of `state`; start without the stored state"
            ) from None
        return Table(**columns)


def _are_all(rows: NDArray[Any], count: int) -> bool:
    """Whether a mask, or indices of which none stands twice, name all of `count` rows in their order."""
    if len(rows) != count:
        return False
    return bool(rows.all()) if rows.dtype == np.bool_ else bool((rows[:-1] < rows[1:]).all())


_COLUMNS = tuple(item.name for item in fields(Table))

NOTHING = TrackerStep(
    track_id=np.zeros(0, np.int64), xyxy=np.zeros((0, 4)), velocity=np.zeros((0, 2)), state=np.zeros(0, np.int64),
    shown=np.zeros(0, np.bool_), score=np.zeros(0), group=np.zeros(0, np.int64), start_ns=np.zeros(0, np.int64),
    source=np.zeros(0, np.int64), embedding=np.zeros((0, 0), np.float32),
)  # fmt: skip
"""a step in which there is nothing"""
