"""`remember`: stores a stream's content, to be searched later by a picture, a face or words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from streamproc import (
    Detections,
    Duration,
    Faces,
    Field,
    Frame,
    Mistake,
    Moment,
    Options,
    Output,
    PluginContext,
    PluginError,
    Results,
    StreamPlugin,
    TimeReason,
    Tracks,
    seconds,
)
from streamproc.geometry import iou
from streamproc.models import ModelStore, model_mistakes
from streamproc_plugins.packing import pack, unpack
from streamproc_plugins.search.memory import Item, Kind, Memory
from streamproc_plugins.search.results import Embedding
from streamproc_plugins.search.thumbnails import thumbnail
from streamproc_plugins.storage import checked_folder, folder_of
from streamproc_plugins.tracking import Embeddings

F32 = NDArray[np.float32]

_SAME = 0.5
"""IoU from which a track is the detection's"""
_EXPIRE_EVERY_S = 600.0
_MOST_LAST = 1000
"""tracks and faces whose last stored item is remembered"""


class RememberOptions(Options):
    """Options of `remember`."""

    path: str = Field("out/memory/{stream}", min_length=1, description="folder; {stream} is the stream's name")
    every: Duration = Field(seconds(1), ge=0, description="media time between two pictures, and two looks at a track")
    alike: float = Field(
        0.97, gt=0, le=1, description="cosine from which an item equals the last stored one, and isn't stored again"
    )
    objects: bool = Field(True, description="store objects, where `appearance` gives their embeddings")
    faces: bool = Field(False, description="store faces with embeddings: biometric data, so only where asked for")
    object_model: str = Field("reid-0267", description="the net of `appearance`, by which questions are embedded")
    face_model: str = Field("sface", description="the embedding net of `faces`, by which questions are embedded")
    thumbnails: bool = Field(True, description="store a small picture of each item")
    thumbnail_side: int = Field(160, ge=32, le=640, description="its longer side in pixels")
    keep: Duration | None = Field(
        None, gt=0, description="real time after which an item is forgotten, also on disk; left out: never"
    )

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        return checked_folder(path)


class Remember(StreamPlugin[RememberOptions]):
    """Stores embeddings of pictures, objects and faces in a folder that `streamproc search` searches.

    Uses `Embedding` (from `embed`), `Embeddings` with `Detections` (from `appearance`), `Faces`. Gives nothing.
    """

    pixels = True
    uses = (Embedding, Embeddings, Detections, Faces)
    writes = ("path",)

    @classmethod
    def check_options(cls, options: RememberOptions, models: ModelStore) -> Iterable[Mistake]:
        """The models by which questions are embedded must be known."""
        named = {"object_model": options.object_model, "face_model": options.face_model}
        return [mistake for key, name in named.items() for mistake in model_mistakes(models, name, option=(key,))]

    def open(self, context: PluginContext) -> None:
        """Open or make the folder; `PluginError` where it is in use or of another version."""
        self._stream = context.stream
        self._memory = Memory(folder_of(self.options.path, context.stream.name))
        self._fresh = True
        self._last_stored: dict[str, tuple[int, F32]] = {}
        self._next_expiry_s = 0.0

    def process(self, frame: Frame, past: Results) -> Output:
        """Store items that are due and new."""
        if self._fresh:
            self._begin()
        self._expire()
        picture = past.get(Embedding)
        if picture is not None:
            self._store_picture(frame, picture)
        if self.options.objects and (looks := past.get(Embeddings)) is not None:
            self._store_objects(frame, past[Detections], looks.values, past.all(Tracks))
        faces = past.get(Faces) if self.options.faces else None
        if faces is not None and faces.embeddings is not None:
            self._store_faces(frame, faces, faces.embeddings)
        return ()

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """At a cut everything is new."""
        if reason == "cut":
            self._last_stored.clear()
        return ()

    def close(self) -> None:
        """Close the folder."""
        memory = getattr(self, "_memory", None)
        if memory is not None:
            memory.close()

    def state(self) -> dict[str, Any]:
        """Number of stored items, and the last ones, as JSON values."""
        last = {key: [at, pack(values)] for key, (at, values) in self._last_stored.items()}
        return {"rows": self._memory.rows(), "last": last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; later items are deleted, as their frames follow again."""
        self._memory.back_to(state["rows"], self._stream.identity)
        self._last_stored = {key: (at, unpack(values)) for key, (at, values) in state["last"].items()}
        self._fresh = False

    def _begin(self) -> None:
        """Delete an earlier run's items of the same recording, so that it is stored once."""
        same = self._memory.identity == self._stream.identity and not self._stream.live
        self._memory.back_to({} if same else self._memory.rows(), self._stream.identity)
        self._fresh = False

    def _expire(self) -> None:
        if self.options.keep is not None and time.monotonic() >= self._next_expiry_s:
            self._next_expiry_s = time.monotonic() + _EXPIRE_EVERY_S
            self._memory.expire(time.time_ns() - self.options.keep)

    def _store_picture(self, frame: Frame, found: Embedding) -> None:
        if self._due("picture", frame.pts_ns, found.values):
            whole = self._item("frames", frame, (0.0, 0.0, float(frame.width), float(frame.height)))
            self._store([whole], found.values[None], found.model)

    def _store_objects(self, frame: Frame, found: Detections, values: F32, tracks: Mapping[str, Tracks]) -> None:
        if len(values) != len(found):
            raise PluginError(
                f"{len(values)} embeddings for {len(found)} detections; under `inputs` name the same detections for "
                "appearance and remember"
            )
        ids = _track_ids(found, next(iter(tracks.values()), None))
        rows = np.flatnonzero(values.any(axis=1)).tolist()
        key = [f"object {ids[n]}" if ids[n] is not None else f"object {found.label[n]} {n}" for n in range(len(found))]
        due = [n for n in rows if self._due(key[n], frame.pts_ns, values[n])]
        items = [self._item("objects", frame, tuple(found.xyxy[n].tolist()), found.label[n], ids[n]) for n in due]
        self._store(items, values[due], self.options.object_model)

    def _store_faces(self, frame: Frame, found: Faces, values: F32) -> None:
        names = found.cluster or ("",) * len(values)
        rows = np.flatnonzero(values.any(axis=1)).tolist()
        due = [n for n in rows if self._due(f"face {names[n] or n}", frame.pts_ns, values[n])]
        items = [self._item("faces", frame, tuple(found.xyxy[n].tolist()), names[n]) for n in due]
        self._store(items, values[due], self.options.face_model)

    def _due(self, key: str, now_ns: int, values: F32) -> bool:
        """Whether the item is due and unlike the last stored one; then it counts as stored."""
        last = self._last_stored.get(key)
        if last is not None and now_ns - last[0] < self.options.every:
            return False
        if last is not None and len(last[1]) == len(values) and float(last[1] @ values) >= self.options.alike:
            self._note_stored(key, now_ns, last[1])
            return False
        self._note_stored(key, now_ns, values)
        return True

    def _note_stored(self, key: str, now_ns: int, values: F32) -> None:
        self._last_stored.pop(key, None)
        self._last_stored[key] = (now_ns, values)  # the last one now: the first ones are tracks that are long gone
        while len(self._last_stored) > _MOST_LAST:
            del self._last_stored[next(iter(self._last_stored))]

    def _item(
        self, kind: Kind, frame: Frame, box: tuple[float, ...], label: str = "", track_id: int | None = None
    ) -> Item:
        options = self.options
        picture = thumbnail(frame.rgb, box, options.thumbnail_side) if options.thumbnails else None
        return Item(
            kind=kind, stream=self._stream.name, pts_ns=frame.pts_ns, captured_ns=frame.captured_ns, frame=frame.index,
            label=label, track_id=track_id, box=box, thumbnail=picture,
        )  # fmt: skip

    def _store(self, items: Sequence[Item], vectors: F32, model: str) -> None:
        if items:
            self._memory.begin(items[0].kind, model, int(vectors.shape[1]))
            self._memory.store(items, vectors, time.time_ns())


def _track_ids(found: Detections, tracks: Tracks | None) -> list[int | None]:
    """The track of each detection, where one lies on it."""
    if tracks is None or not len(tracks.xyxy) or not len(found.xyxy):
        return [None] * len(found.xyxy)
    overlap = iou(found.xyxy, tracks.xyxy)
    best = overlap.argmax(axis=1)
    return [
        int(tracks.track_id[column]) if overlap[row, column] >= _SAME else None
        for row, column in enumerate(best.tolist())
    ]


__all__ = ["Remember", "RememberOptions"]
