"""Results of the plugins behind `faces`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces, Result, Shape
from streamproc.errors import check_array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceTracks(Faces):
    """Faces with an identity over time: landmarks smoothed, and a mean embedding over all good looks."""

    schema: ClassVar[str] = "streamproc.face_tracks/1"

    track_id: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,), positive, never used twice within a stream"""
    age_ns: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,): media time since the track's first face"""
    looks: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,): how many of the track's faces had an embedding"""
    unsure_ns: Annotated[NDArray[np.int64], Shape("N")]
    """int64 (N,): media time since the last of them (or since the beginning), 0 where this one has an embedding"""
    templates: Annotated[NDArray[np.float32], Shape("N", "D")] | None = None
    """float32 (N, D), unit length: the mean of those embeddings; zeros where there was none"""

    def __post_init__(self) -> None:
        # dataclass(slots=True) makes a new class, in which a bare super() no longer finds its way
        Faces.__post_init__(self)
        count = len(self.xyxy)
        for name in ("track_id", "age_ns", "looks", "unsure_ns"):
            check_array(f"{type(self).__name__}.{name}", getattr(self, name), np.int64, (count,))
            getattr(self, name).flags.writeable = False
        if self.templates is not None:
            check_array(f"{type(self).__name__}.templates", self.templates, np.float32, (count, None))
            self.templates.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedFaces(FaceTracks):
    """Tracked faces of which `cluster` holds the names of people that are known; empty for the others."""

    schema: ClassVar[str] = "streamproc.named_faces/1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceClusters(FaceTracks):
    """Tracked faces of which `cluster` holds stable ids of unknown people (or names); empty until they are known."""

    schema: ClassVar[str] = "streamproc.face_clusters/1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceAttributes(Result):
    """Answers of classifiers for N faces, in the order of the `Faces` they were computed for."""

    schema: ClassVar[str] = "streamproc.face_attributes/1"

    heads: tuple[str, ...]
    """H names of classifiers, such as age and gender"""
    labels: tuple[str, ...]
    """for each classifier the N labels, one a line; empty where it isn't sure or didn't look"""
    score: Annotated[NDArray[np.float32], Shape("N", "H")]
    """float32 (N, H), 0..1; 0 where it didn't look"""

    def __post_init__(self) -> None:
        check_array("FaceAttributes.score", self.score, np.float32, (None, len(self.heads)))
        rows = {len(self.of(head)) for head in self.heads}
        if len(self.labels) != len(self.heads) or rows - {len(self.score)}:
            raise ValueError(f"FaceAttributes has {len(self.score)} rows of scores, but {sorted(rows)} labels")
        self.score.flags.writeable = False

    def of(self, head: str) -> tuple[str, ...]:
        """The N labels of one classifier."""
        return tuple(self.labels[self.heads.index(head)].split("\n")) if len(self.score) else ()


FacesT = TypeVar("FacesT", bound=FaceTracks)


def with_names(kind: type[FacesT], faces: FaceTracks, names: Sequence[str]) -> FacesT:
    """The same faces as another class, with a name (or an empty text) for each."""
    columns = {field.name: getattr(faces, field.name) for field in fields(FaceTracks)}
    return kind(**{**columns, "cluster": tuple(names)})
