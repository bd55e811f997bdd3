"""Search for stored items: by the vector of a picture, a person or a face, or by words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.events import utc_text
from streamproc.eventstore import Query, search
from streamproc.models import ModelStore
from streamproc_plugins.faces.enrolment import NO_DEMANDS, Demands, Photographer, read_photo
from streamproc_plugins.search.features import PictureEmbedder
from streamproc_plugins.search.memory import Filters, Item, Kind, Memory
from streamproc_plugins.vectors import VectorIndex

F32 = NDArray[np.float32]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SPREAD = 8
"""items asked for at first as a multiple of the hits wanted: filters and groups take some away"""
_GROWTH = 4
"""how many times more are asked for where too few hits are left"""
_MOST = 20_000
"""items looked at in one memory, with their pictures"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Limits for hits."""

    limit: int = 20
    stream: str = ""
    from_s: float | None = None
    """media seconds, at the earliest"""
    to_s: float | None = None
    since_ns: int | None = None
    """UTC, at the earliest; leaves out items without one"""
    until_ns: int | None = None
    least: float = -1.0
    """lowest cosine"""
    together_s: float = 3.0
    """hits of a stream that lie no further apart are one, shown by the best of them"""

    @property
    def filters(self) -> Filters:
        """Stream and times, as the memory filters by them."""
        asked: Filters = {}
        if self.stream:
            asked["stream = ?"] = self.stream
        if self.from_s is not None:
            asked["pts_ns >= ?"] = self.from_s * 1e9
        if self.to_s is not None:
            asked["pts_ns <= ?"] = self.to_s * 1e9
        if self.since_ns is not None:
            asked["captured_ns >= ?"] = self.since_ns
        if self.until_ns is not None:
            asked["captured_ns < ?"] = self.until_ns
        return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One hit; a stretch of time if the item was found several times in a row."""

    item: Item
    """the best of them"""
    score: float | None
    """cosine; None for words"""
    start_ns: int
    end_ns: int
    occurrences: int = 1
    """how many items it stands for"""


def by_picture(memories: Sequence[Memory], photo: Path, kind: Kind, wanted: Wanted, models: ModelStore) -> list[Hit]:
    """Frames that look like a picture, or objects that look like the one that a picture shows."""
    rgb = read_photo(photo)
    found: list[tuple[Item, float]] = []
    for model, group in _by_model(memories, kind).items():
        vector = PictureEmbedder(models, model)(rgb)
        found += _nearest(group, kind, vector, wanted)
    return grouped_hits(found, wanted)


def by_face(memories: Sequence[Memory], photo: Path, wanted: Wanted, models: ModelStore) -> list[Hit]:
    """Faces like the one face of a photo; `PluginError` where it shows none or several."""
    rgb = read_photo(photo)
    found: list[tuple[Item, float]] = []
    for model, group in _by_model(memories, "faces").items():
        one = Demands(**{**{name: getattr(NO_DEMANDS, name) for name in NO_DEMANDS.__slots__}, "one_face": True})
        looks = Photographer(models, model).enrol(rgb, one, str(photo))
        best: dict[tuple[Any, ...], tuple[Item, float]] = {}
        for vector in looks:  # the photo itself, and coarser copies that are more like small faces
            for item, score in _nearest(group, "faces", vector, wanted):
                key = (item.stream, item.pts_ns, item.box)
                if key not in best or best[key][1] < score:
                    best[key] = (item, score)
        found += best.values()
    return grouped_hits(found, wanted)


def by_words(memories: Sequence[Memory], events: Path | None, text: str, wanted: Wanted) -> list[Hit]:
    """Items whose label holds the words, and events and captions with them."""
    words = text.split()
    if not words:
        raise PluginError("--text is empty; give a word or more")
    hits = _joined([hit for memory in memories for hit in _labelled(memory, words, wanted)], wanted.together_s)
    if events is not None:
        hits += _events(events, text, wanted)
    hits.sort(key=lambda hit: (hit.item.stream, hit.start_ns))
    return hits[: wanted.limit]


def grouped_hits(found: Iterable[tuple[Item, float]], wanted: Wanted) -> list[Hit]:
    """Hits, best first: those close together in time in a stream are one."""
    hits = [Hit(item=item, score=score, start_ns=item.pts_ns, end_ns=item.pts_ns) for item, score in found]
    joined = _joined(hits, wanted.together_s)
    joined.sort(key=lambda hit: (-(hit.score or 0.0), hit.item.stream, hit.start_ns))
    return joined[: wanted.limit]


def _joined(hits: Sequence[Hit], together_s: float) -> list[Hit]:
    out: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.item.stream, hit.item.kind, hit.item.label, hit.start_ns)):
        last = out[-1] if out else None
        same = last is not None and _key(last.item) == _key(hit.item)
        if last is None or not same or hit.start_ns - last.end_ns > together_s * 1e9:
            out.append(hit)
            continue
        better = (hit.score or 0) > (last.score or 0)
        out[-1] = replace(
            hit if better else last, start_ns=last.start_ns, end_ns=hit.end_ns, occurrences=last.occurrences + 1
        )
    return out


def _key(item: Item) -> tuple[Any, ...]:
    return (item.stream, item.kind, item.label)


def _by_model(memories: Sequence[Memory], kind: Kind) -> dict[str, list[Memory]]:
    groups: dict[str, list[Memory]] = {}
    for memory in memories:
        if kind in memory.models:
            groups.setdefault(str(memory.models[kind]["model"]), []).append(memory)
    if not groups:
        there = sorted({stored for memory in memories for stored in memory.models})
        raise PluginError(
            f"no {kind} are stored there (only {', '.join(there) or 'nothing'}); let `remember` store them, behind the "
            "plugin that makes their embeddings"
        )
    return groups


def _nearest(memories: Sequence[Memory], kind: Kind, vector: F32, wanted: Wanted) -> list[tuple[Item, float]]:
    found: list[tuple[Item, float]] = []
    for memory in memories:
        index = memory.index(kind)
        if index is None or not len(index):
            continue
        if index.dim != len(vector):
            raise PluginError(
                f"{memory.folder} holds {kind} with {index.dim} values, the question has {len(vector)}; is the net "
                "named under `remember` the one that made them?"
            )
        found += nearest_items(memory, index, vector, kind, wanted)
    return found


def nearest_items(
    memory: Memory, index: VectorIndex, vector: F32, kind: Kind, wanted: Wanted
) -> list[tuple[Item, float]]:
    """The nearest of one memory: as many more are asked for as are needed for the hits wanted."""
    allowed = memory.matching(kind, wanted.filters) if wanted.filters else None
    most = len(index) if allowed is not None else min(len(index), _MOST)
    count = wanted.limit * _SPREAD
    while True:
        rows, cosine = index.query(vector, min(count, most))
        good = cosine >= wanted.least
        if allowed is not None:
            good &= np.isin(rows, allowed)
        items = memory.items(kind, rows[good].tolist()[:_MOST])
        scores = dict(zip(rows.tolist(), cosine.tolist(), strict=True))
        found = [(item, scores[row]) for row, item in items.items()]
        if count >= most or cosine[-1] < wanted.least or len(grouped_hits(found, wanted)) >= wanted.limit:
            return found
        count *= _GROWTH


def _labelled(memory: Memory, words: Sequence[str], wanted: Wanted) -> list[Hit]:
    count = min(wanted.limit * _SPREAD, _MOST)
    while True:
        items = memory.labelled(words, wanted.filters, count)
        hits = [Hit(item=item, score=None, start_ns=item.pts_ns, end_ns=item.pts_ns) for item in items]
        if len(items) < count or count == _MOST or len(_joined(hits, wanted.together_s)) >= wanted.limit:
            return hits
        count = min(count * _GROWTH, _MOST)


def _events(database: Path, text: str, wanted: Wanted) -> list[Hit]:
    query = Query(
        text=text, stream=wanted.stream, from_s=wanted.from_s, to_s=wanted.to_s, since=_utc(wanted.since_ns),
        until=_utc(wanted.until_ns), limit=wanted.limit,
    )  # fmt: skip
    hits = []
    for found in search(database, query):
        data = found.record["data"]
        start_ns = round(data["start_s"] * 1e9)
        label = str(data.get("text") or " ".join(str(data[k]) for k in ("label", "zone", "line") if k in data))
        item = Item(
            kind="frames", stream=data["stream"], pts_ns=start_ns, frame=data["frame"],
            captured_ns=None if data["captured"] is None else utc_ns(data["captured"]),
            label=f"{found.record['type']}: {label}", thumbnail=next(iter(found.pictures.values()), None),
        )  # fmt: skip
        end_ns = start_ns if data["end_s"] is None else round(data["end_s"] * 1e9)
        hits.append(Hit(item=item, score=None, start_ns=start_ns, end_ns=end_ns))
    return hits


def utc_ns(text: str) -> int:
    """Nanoseconds since 1970 of an ISO time, which is UTC where it names no other zone; `ValueError` for another text.

    >>> utc_ns("1970-01-01T00:00:01.5")
    1500000000
    """
    when = datetime.fromisoformat(text)
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1) * 1000


def _utc(time_ns: int | None) -> str:
    return "" if time_ns is None else utc_text(time_ns)


__all__ = ["Hit", "Wanted", "by_face", "by_picture", "by_words", "grouped_hits", "nearest_items", "utc_ns"]
