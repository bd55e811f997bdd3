"""Ids of unknown people while a stream runs: an id lasts over tracks, restarts and merges."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc.models import ScoreSpread
from streamproc_plugins.faces.operating import LEAST_PEOPLE, people_spread
from streamproc_plugins.faces.visits import Pair
from streamproc_plugins.packing import pack, unpack
from streamproc_plugins.storage import write_private
from streamproc_plugins.vectors import VectorIndex

F32 = NDArray[np.float32]

Least = float | Callable[[int], float]
"""a cosine, or one that follows from the number of people"""

NEIGHBOURS = 20
GROWTH = 3
"""a track adds another vector when it has so many times the good looks it had at the last one"""
MEMORY_MOST = 2000
"""vectors stored where there is no folder: they travel in the state"""
_GROWN = 1.25
_MEASURED = 500
"""newest people on whom the likeness of strangers is measured"""
_COMPANY = 1000
"""newest tracks without an id whose company is remembered"""
FILE = "people.json"
CAPTURED_NS = 10 * 365 * 86400 * 10**9
"""a vector's time is that of capture (UTC) from here on, ten years after 1970; less is media time: no time of capture
was known"""


@dataclass(slots=True, kw_only=True)
class Assigned:
    """The person of a face track."""

    person: int
    looks: int
    """good looks at the last vector that was added"""
    observed_ns: int
    score: float
    beside: list[int] = field(default_factory=list)
    """people that were in one frame with it: it is none of them"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Merge of two ids of one person into the older one."""

    retained: int
    gone: int
    score: float


class People:
    """The index of unknown people, and the person of each track. An id is given once and never again."""

    def __init__(self, folder: Path | None, dim: int, threshold: Least, merge_threshold: Least) -> None:
        """Open or make the folder; raises `PluginError` where it is in use or of another net."""
        self._threshold, self._merge_threshold = threshold, merge_threshold
        self.conflicts: list[tuple[int, Pair]] = []
        """of the last frame: ids that two faces in view are like"""
        self._folder = folder
        self.index = VectorIndex(folder, dim)
        self._next = 1
        self._same: dict[int, int] = {}
        self._tracks: dict[int, Assigned] = {}
        self._here: set[int] = set()
        self._company: dict[int, set[int]] = {}
        """ids that were in a frame with a track that isn't anybody yet"""
        self._measured_at = 0
        self._measured: ScoreSpread | None = None
        self._saved = (1, 0)
        if folder is not None and (folder / FILE).is_file():
            self._load(folder / FILE)

    def person_of(self, track_id: int) -> int | None:
        """The id of a track that was assigned, merges followed."""
        found = self._tracks.get(track_id)
        return None if found is None else self.now(found.person)

    def score_of(self, track_id: int) -> float:
        """Cosine with which the track was assigned; 1 for the first of its person."""
        return self._tracks[track_id].score

    def now(self, person: int) -> int:
        """The id that this one was merged into, or itself."""
        while person in self._same:
            person = self._same[person]
        return person

    def meet(self, tracks: Collection[int], now_ns: int | None = None) -> None:
        """Separate the tracks of one frame, which are different people: of two with one id the less sure loses it."""
        self.conflicts = []
        self._here = here = set()
        holders: dict[int, int] = {}
        for track_id in sorted(self._tracks.keys() & set(tracks), key=lambda t: (-self._tracks[t].score, t)):
            track = self._tracks[track_id]
            person = self.now(track.person)
            if person in here:
                self.conflicts.append((person, Pair(retained=holders[person], other=track_id, score=track.score)))
                del self._tracks[track_id]
            elif now_ns is not None:
                track.observed_ns = now_ns
            holders.setdefault(person, track_id)
            here.add(person)

    def remember_company(self, tracks: Collection[int]) -> None:
        """Note that the frame's tracks without an id are none of the people in it, now and later."""
        for track_id in set(tracks) - self._tracks.keys():
            self._company.setdefault(track_id, set()).update(self._here)

    def likeness(self, template: F32, track_id: int) -> float:
        """Cosine with the most alike person who was in no frame with this track; -1 where there is none."""
        return self._nearest(template, self._others(track_id))[1]

    def _others(self, track_id: int) -> set[int]:
        """People in the frame, or in an earlier one with a track that has no id yet."""
        return self._here.union(self.now(person) for person in self._company.get(track_id, ()))

    def _holder(self, person: int) -> int:
        return max((t for t, track in self._tracks.items() if self.now(track.person) == person), default=0)

    def _least(self, least: Least) -> float:
        """A threshold for the present number of people."""
        return least if isinstance(least, float) else least(self._count())

    def look(self, now_ns: int, time_ns: int, track_id: int, looks: int, template: F32) -> Merged | None:
        """Assign a face track with so many good looks and this mean embedding (D,), or update its person.

        now_ns: media time. time_ns: of capture, media time where that isn't known.

        Gives a merge where the better look shows that two ids are one person. No track becomes a person who is in the
        frame already, or was in one with it; `meet` and earlier calls for this frame report those.
        """
        known = self._tracks.get(track_id)
        if known is None:
            barred, least = self._others(track_id), self._least(self._threshold)
            person, score = self._nearest(template, barred)
            twin, twin_score = self._nearest(template, ())
            if twin in barred and twin_score >= max(least, score):
                assert twin is not None
                self.conflicts.append((twin, Pair(retained=self._holder(twin), other=track_id, score=twin_score)))
            if person is None or score < least:
                person, score = self._next, 1.0
                self._next += 1
            beside = sorted(barred - {person})
            self._tracks[track_id] = Assigned(
                person=person, looks=looks, observed_ns=now_ns, score=score, beside=beside
            )
            self._company.pop(track_id, None)
            self._here.add(person)
            self._add(person, template, time_ns)
            return None
        known.observed_ns = now_ns
        own = self.now(known.person)
        if not self._here - {own} <= set(known.beside):
            known.beside = sorted((self._here - {own}).union(known.beside))
        if looks < GROWTH * known.looks:
            return None
        known.looks = looks
        other, score = self._nearest(template, {own, *known.beside})
        merged = None
        if other is not None and score >= self._least(self._merge_threshold):
            merged = Merged(retained=min(own, other), gone=max(own, other), score=score)
            self._same[merged.gone] = own = merged.retained
            self._here = {self.now(person) for person in self._here}
        self._add(own, template, time_ns)
        return merged

    def _nearest(self, template: F32, but: Collection[int]) -> tuple[int | None, float]:
        """The person with the most alike vector, without the excluded ones, and the cosine."""
        others = {self.now(person) for person in but}
        ids, cosine = self.index.query(template, NEIGHBOURS * max(len(others), 1))
        for item, score in zip(ids.tolist(), cosine.tolist(), strict=True):
            person = self.now(item)
            if person not in others:
                return person, score
        return None, -1.0

    def spread(self, declared: ScoreSpread) -> ScoreSpread:
        """Likeness of the known people, measured anew when there are a quarter more than the last time."""
        count = self._count()
        if count >= max(LEAST_PEOPLE, _GROWN * self._measured_at):
            firsts: dict[int, F32] = {}
            for item in self.index.known_ids()[-_MEASURED:]:
                firsts.setdefault(self.now(item), self.index.vectors_of(item)[0][0])
            found = people_spread(np.array([*firsts.values()], np.float32), declared)
            self._measured_at, self._measured = count, found
        return self._measured or declared

    def _count(self) -> int:
        """Approximate number of people: expired ones count until there are fewer vectors."""
        return max(min(self._next - 1 - len(self._same), len(self.index)), 1)

    def _add(self, person: int, template: F32, time_ns: int) -> None:
        if self._folder is not None and (self._next, len(self._same)) != self._saved:
            self._save(self._folder / FILE)  # before the vector: an id that stands in the index is never given again
        self.index.add([person], template[None], [time_ns])
        if self._folder is None and len(self.index) > MEMORY_MOST:
            oldest_ns = self.index.oldest_ns()
            assert oldest_ns is not None
            self.index.expire(oldest_ns + 1)

    def forget_tracks(self, before_ns: int) -> None:
        """Forget tracks whose last face is older than a media time."""
        self._tracks = {t: known for t, known in self._tracks.items() if known.observed_ns >= before_ns}
        newest = max([*self._tracks, *self._company], default=0)
        self._company = {t: ids for t, ids in self._company.items() if t > newest - _COMPANY}

    def expire(self, before_ns: int) -> int:
        """Delete vectors captured before a time, on disk too; gives their number. Those without a time stay."""
        return self.index.expire(before_ns, from_ns=CAPTURED_NS)

    def known(self) -> dict[int, tuple[int, int, int]]:
        """Number of vectors by id, merges followed, with the times of the first and the last in nanoseconds.

        The times are of capture; less than `CAPTURED_NS`, media time, where none is known.
        """
        found: dict[int, list[int]] = {}
        for item, _, times in self._rows():
            found.setdefault(self.now(item), []).extend(times.tolist())
        spans = {}
        for person, all_ns in sorted(found.items()):
            captured_ns = [time_ns for time_ns in all_ns if time_ns >= CAPTURED_NS] or all_ns
            spans[person] = (len(all_ns), min(captured_ns), max(captured_ns))
        return spans

    def forget(self, person: int) -> int:
        """Delete a person, on disk too, and give the number of deleted vectors."""
        return self.index.remove([item for item in self.index.known_ids() if self.now(item) == self.now(person)])

    def join(self, one: int, other: int) -> int:
        """Merge two ids of one person; gives the older one, which stays."""
        retained, gone = sorted((self.now(one), self.now(other)))
        if retained != gone:
            self._same[gone] = retained
            if self._folder is not None:
                self._save(self._folder / FILE)
        return retained

    def close(self) -> None:
        """Release the folder."""
        self.index.close()

    def _load(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._next = int(stored["next"])
            self._same = {int(gone): int(retained) for gone, retained in stored["same"]}
            self._saved = (self._next, len(self._same))
        except (ValueError, KeyError, TypeError):
            self.close()
            raise PluginError(f"{path} can't be read; it isn't of face clusters, or was damaged") from None

    def _save(self, path: Path) -> None:
        content = {"next": self._next, "same": [list(pair) for pair in self._same.items()]}
        write_private(path, json.dumps(content).encode())
        self._saved = (self._next, len(self._same))

    def _rows(self) -> Iterator[tuple[int, F32, NDArray[np.int64]]]:
        for person in self.index.known_ids():  # not all ids that were ever given: over months those become many
            vectors, times = self.index.vectors_of(person)
            yield person, vectors, times

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`: with a folder the position in it, without one all vectors."""
        retained = {
            "next": self._next,
            "same": [list(pair) for pair in self._same.items()],
            "tracks": [[track_id, asdict(known)] for track_id, known in self._tracks.items()],
            "company": [[track_id, sorted(ids)] for track_id, ids in self._company.items() if ids],
        }
        if self._measured is not None:
            retained["measured"] = [self._measured_at, self._measured.mean, self._measured.sd]
        if self._folder is not None:
            self.index.flush()
            return {**retained, "rows": self.index.rows}
        rows = [[person, pack(vectors), times.tolist()] for person, vectors, times in self._rows()]
        return {**retained, "vectors": rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; rows that a folder got after it are removed, as their faces follow again.

        Raises `ValueError` where the folder isn't the one of the state.
        """
        if ("rows" in state) != (self._folder is not None):
            raise ValueError("the state of face_clusters belongs to another `folder`; start without the stored state")
        self._next = state["next"]
        self._same = dict(state["same"])
        self._tracks = {track_id: Assigned(**known) for track_id, known in state["tracks"]}
        self._measured_at, self._measured = 0, None
        if "measured" in state:
            self._measured_at, mean, sd = state["measured"]
            self._measured = ScoreSpread(mean=mean, sd=sd)
        self._company = {track_id: set(ids) for track_id, ids in state.get("company", ())}
        if self._folder is not None:
            self.index.truncate(state["rows"])
            self._save(self._folder / FILE)
            return
        for person, vectors, times in state["vectors"]:
            self.index.add([person] * len(times), unpack(vectors), times)


def open_folder(folder: Path) -> People:
    """The people of a folder that a run wrote; `PluginError` where there is none, or while a run writes it."""
    try:
        dim = int(json.loads((folder / "index.json").read_text(encoding="utf-8"))["dim"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PluginError(f"{folder} isn't a folder of face_clusters; name the one in its option `folder`") from None
    return People(folder, dim, threshold=1.0, merge_threshold=1.0)


__all__ = ["CAPTURED_NS", "MEMORY_MOST", "Merged", "People", "open_folder"]
