"""Typed results that plugins give each other, each with a schema name and a form as an Arrow table.

A plugin of your own may give a class of its own: a frozen keyword-only dataclass derived from `Result` with a `schema`
(name and version) whose fields are NumPy arrays, strings, numbers, booleans, tuples of those, or None. `Shape` in an
annotation names the axes of an array.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamproc.arrow_forms import Shape
from streamproc.errors import check_array

if TYPE_CHECKING:
    import pyarrow as pa

COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""Keypoint names in the order of the COCO data set (Lin et al. 2014)."""


class Result:
    """Base class of everything a plugin gives to the plugins after it."""

    schema: ClassVar[str] = ""
    """name and version, such as `streamproc.detections/1`; a change of meaning needs a new version"""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.schema:
            raise TypeError(f"{cls.__name__} needs a class attribute `schema`, such as 'mypackage.things/1'")

    @classmethod
    def arrow_schema(cls) -> pa.Schema:
        """Schema of `to_arrow`'s table: from the declared fields alone, the same for every value of the class.

        A class with a field that has no Arrow form overrides this, `to_arrow` and `from_arrow`.
        """
        from streamproc.arrow import schema_of

        return schema_of(cls)

    def to_arrow(self) -> pa.RecordBatch:
        """One row with a column per field; the schema name stands in the batch's metadata."""
        from streamproc.arrow import batch_of

        return batch_of(type(self), [self])

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> Self:
        """The result that `to_arrow` wrote; `ValueError` when the batch holds another schema."""
        from streamproc.arrow import results_of

        found: list[Self] = results_of(cls, batch)
        if len(found) != 1:
            raise ValueError(f"the batch holds {len(found)} rows, expected 1; take one with batch.slice(row, 1)")
        return found[0]


def _freeze(owner: object, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False


def _check_rows(owner: str, count: int, columns: dict[str, Any]) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != count:
            raise ValueError(
                f"{owner}.{name} has {len(column)} rows, expected {count}; give every column the same length"
            )


def _check_boxes(owner: str, xyxy: NDArray[Any]) -> None:
    check_array(f"{owner}.xyxy", xyxy, np.float32, (None, 4))
    if not len(xyxy) or (np.isfinite(xyxy).all() and (xyxy[:, :2] <= xyxy[:, 2:]).all()):
        return
    bad = ~np.isfinite(xyxy).all(axis=1) | (xyxy[:, 2] < xyxy[:, 0]) | (xyxy[:, 3] < xyxy[:, 1])
    row = int(np.argmax(bad))
    sized = np.isfinite(xyxy[row]).all() and (xyxy[row, 2:] > 0).all()
    advice = "; of x, y, width and height make [x, y, x + width, y + height]" if sized else ""
    wanted = f"finite numbers with left <= right and top <= bottom{advice}"
    raise ValueError(f"{owner}.xyxy[{row}] is {xyxy[row].tolist()}, expected {wanted}")


def _check_scores(owner: str, score: NDArray[Any], count: int | None = None) -> None:
    check_array(f"{owner}.score", score, np.float32, (count,))
    if score.size and not (score.min() >= 0 and score.max() <= 1):  # NaN fails both
        raise ValueError(f"{owner}.score holds {score.tolist()[:5]}..., expected numbers from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One row of `Detections`, for reading."""

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections(Result):
    """Labelled boxes of one frame: columns of equal length N, indexable by mask, index array or slice."""

    schema: ClassVar[str] = "streamproc.detections/1"

    xyxy: Annotated[NDArray[np.float32], Shape("N", 4)]
    """float32 (N, 4), source pixels, right and bottom exclusive"""
    score: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,), 0..1"""
    class_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,)"""
    label: Annotated[tuple[str, ...], Shape("N")]
    """N names"""
    masks: Annotated[NDArray[np.bool_], Shape("N", "h", "w")] | None = None
    """bool (N, h, w) on a grid that covers the whole picture, its pixels unless the giver says otherwise, or None"""
    embeddings: Annotated[NDArray[np.float32], Shape("N", "D")] | None = None
    """float32 (N, D), unit length, zeros where unknown, or None"""
    operating_score: float | None = None
    """score, above 0 and below 1, at which the giver is meant to be used (mostly wrong below), or None"""

    def __post_init__(self) -> None:
        _check_boxes("Detections", self.xyxy)
        if self.operating_score is not None and not 0 < self.operating_score < 1:
            raise ValueError(f"Detections.operating_score is {self.operating_score}, expected a number between 0 and 1")
        count = len(self.xyxy)
        _check_scores("Detections", self.score, count)
        check_array("Detections.class_id", self.class_id, np.int64, (count,))
        _check_rows("Detections", count, {"label": self.label, "masks": self.masks, "embeddings": self.embeddings})
        _freeze(self, ("xyxy", "score", "class_id", "masks", "embeddings"))

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        return cls.of(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @classmethod
    def of(
        cls,
        xyxy: ArrayLike,
        score: ArrayLike,
        label: Sequence[str],
        class_id: ArrayLike | None = None,
    ) -> Self:
        """From arrays of any number type; without `class_id` every box has class 0."""
        ids = np.zeros(len(label), np.int64) if class_id is None else class_id
        return cls(
            xyxy=np.array(xyxy, dtype=np.float32).reshape(-1, 4),
            score=np.array(score, dtype=np.float32),
            class_id=np.array(ids, dtype=np.int64),
            label=tuple(label),
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    def __iter__(self) -> Iterator[Detection]:
        for row in range(len(self)):
            left, top, right, bottom = self.xyxy[row].tolist()
            yield Detection(
                xyxy=(left, top, right, bottom),
                score=float(self.score[row]),
                class_id=int(self.class_id[row]),
                label=self.label[row],
            )

    def __getitem__(self, rows: NDArray[Any] | slice | Sequence[int]) -> Self:
        """The chosen rows as a new object of the same class."""
        index = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        return dataclasses.replace(
            self, **{f.name: _take(getattr(self, f.name), index) for f in dataclasses.fields(self)}
        )

    def to_supervision(self) -> Any:
        """As `supervision.Detections` (needs the package `supervision`); of `Tracks` with the ids as `tracker_id`."""
        from streamproc.bridge import to_supervision

        return to_supervision(self)

    @classmethod
    def from_supervision(cls, found: Any) -> Self:
        """From `supervision.Detections`; names come from its `class_name` data, else from the class numbers.

        Raises:
            ValueError: `Tracks` are wanted, but there is no `tracker_id`.
        """
        from streamproc.bridge import from_supervision

        boxes: Self = from_supervision(cls, found)
        return boxes


def _take(column: Any, index: NDArray[np.int64]) -> Any:
    if isinstance(column, np.ndarray):
        return column[index]
    return tuple(column[i] for i in index) if isinstance(column, tuple) else column


TRACK_STATES = ("tentative", "confirmed", "lost")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks(Detections):
    """Detections with an identity over time: the one home of track ids."""

    schema: ClassVar[str] = "streamproc.tracks/1"

    track_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,), positive, never used twice within a stream"""
    state: Annotated[tuple[str, ...], Shape("N")]
    """N of `tentative`, `confirmed`, `lost` (predicted: no detection in this frame)"""
    velocity: Annotated[NDArray[np.float32], Shape("N", 2)]
    """float32 (N, 2): of the box's centre, right and down, pixels per second of media time"""
    age_ns: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,): media time since the track's first detection"""

    def __post_init__(self) -> None:
        # dataclass(slots=True) makes a new class, in which a bare super() no longer finds its way
        Detections.__post_init__(self)
        count = len(self.xyxy)
        check_array("Tracks.track_id", self.track_id, np.int64, (count,))
        check_array("Tracks.velocity", self.velocity, np.float32, (count, 2))
        check_array("Tracks.age_ns", self.age_ns, np.int64, (count,))
        _check_rows("Tracks", count, {"state": self.state})
        if len(set(self.track_id.tolist())) != count:
            raise ValueError(
                f"Tracks.track_id holds an id twice: {self.track_id.tolist()}; each may stand once in a frame"
            )
        if unknown := set(self.state) - set(TRACK_STATES):
            raise ValueError(f"Tracks.state holds {sorted(unknown)}, expected {', '.join(TRACK_STATES)}")
        _freeze(self, ("track_id", "velocity", "age_ns"))

    @classmethod
    def empty(cls) -> Self:
        """No tracks."""
        none = Detections.empty()
        return cls(
            xyxy=none.xyxy,
            score=none.score,
            class_id=none.class_id,
            label=(),
            track_id=np.zeros(0, np.int64),
            state=(),
            velocity=np.zeros((0, 2), np.float32),
            age_ns=np.zeros(0, np.int64),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classification(Result):
    """Labels of a frame or clip, best first."""

    schema: ClassVar[str] = "streamproc.classification/1"

    label: Annotated[tuple[str, ...], Shape("N")]
    score: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,), 0..1, falling"""
    class_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,)"""

    def __post_init__(self) -> None:
        count = len(self.label)
        _check_scores("Classification", self.score, count)
        check_array("Classification.class_id", self.class_id, np.int64, (count,))
        _freeze(self, ("score", "class_id"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation(Result):
    """A class for every pixel of a grid that covers the whole picture."""

    schema: ClassVar[str] = "streamproc.segmentation/1"

    class_map: Annotated[NDArray[np.uint8], Shape("h", "w")]
    """uint8 (h, w): index into `labels`"""
    labels: tuple[str, ...]
    """the first is the background: what is none of the others"""

    def __post_init__(self) -> None:
        check_array("Segmentation.class_map", self.class_map, np.uint8, (None, None))
        if self.class_map.size and int(self.class_map.max()) >= len(self.labels):
            raise ValueError(
                f"Segmentation.class_map holds {self.class_map.max()}, but there are {len(self.labels)} labels"
            )
        _freeze(self, ("class_map",))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Poses(Result):
    """Keypoints of N people in COCO-17 order (`COCO17`)."""

    schema: ClassVar[str] = "streamproc.poses/1"

    keypoints: Annotated[NDArray[np.float32], Shape("N", 17, 3)]
    """float32 (N, 17, 3): x, y in source pixels, score 0..1"""
    score: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,), 0..1"""
    track_id: Annotated[NDArray[np.int64], Shape("N")] | None = None
    """int64 (N,): whose pose it is, where tracks came before"""

    def __post_init__(self) -> None:
        check_array("Poses.keypoints", self.keypoints, np.float32, (None, 17, 3))
        if not np.isfinite(self.keypoints).all():
            raise ValueError(
                "Poses.keypoints holds numbers that are not finite; give a score of 0 where a point is unknown"
            )
        _check_scores("Poses", self.score, len(self.keypoints))
        if self.track_id is not None:
            check_array("Poses.track_id", self.track_id, np.int64, (len(self.keypoints),))
        _freeze(self, ("keypoints", "score", "track_id"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faces(Result):
    """N faces with five landmarks: right eye, left eye, nose, right and left mouth corner."""

    schema: ClassVar[str] = "streamproc.faces/1"

    xyxy: Annotated[NDArray[np.float32], Shape("N", 4)]
    """float32 (N, 4), source pixels"""
    score: Annotated[NDArray[np.float32], Shape("N")]
    """float32 (N,), 0..1"""
    landmarks: Annotated[NDArray[np.float32], Shape("N", 5, 2)]
    """float32 (N, 5, 2): x, y in source pixels"""
    embeddings: Annotated[NDArray[np.float32], Shape("N", "D")] | None = None
    """float32 (N, D), unit length; zeros for faces that were too poor to identify"""
    cluster: Annotated[tuple[str, ...], Shape("N")] | None = None
    """N names or cluster ids, empty where unknown"""
    refused: Annotated[tuple[str, ...], Shape("N")] | None = None
    """N reasons why a face got no embedding, empty where it has one"""
    strangers: tuple[float, float] | None = None
    """mean and standard deviation of the cosine between faces of two people, as the embedding's model declares them"""

    def __post_init__(self) -> None:
        _check_boxes("Faces", self.xyxy)
        count = len(self.xyxy)
        _check_scores("Faces", self.score, count)
        check_array("Faces.landmarks", self.landmarks, np.float32, (count, 5, 2))
        columns = {"embeddings": self.embeddings, "cluster": self.cluster, "refused": self.refused}
        _check_rows("Faces", count, columns)
        _freeze(self, ("xyxy", "score", "landmarks", "embeddings"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Caption(Result):
    """A sentence about a frame or clip."""

    schema: ClassVar[str] = "streamproc.caption/1"

    text: str
    score: float | None = None
    """0..1, where the method gives one"""


__all__ = [
    "COCO17",
    "TRACK_STATES",
    "Caption",
    "Classification",
    "Detection",
    "Detections",
    "Faces",
    "Poses",
    "Result",
    "Segmentation",
    "Tracks",
]
