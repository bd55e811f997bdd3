"""An index of unit vectors that grows while it is searched: nearest by cosine, exact where it is small.

Rows lie in segments of a fixed number. A full segment gets an Annoy file in the background and is searched by it from
half a segment later on, at a row count and not at a moment (a call that adds that row waits for the file if need be);
till then, and in the last segments, the search is exact. Candidates are ranked by their exact cosines. So the answer
follows from the calls alone, not from the speed of the background thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamproc import PluginError
from streamproc_plugins.vectors.manifest import IndexPlan, Lock, Manifest
from streamproc_plugins.vectors.rows import DEAD, F32, RowFiles, RowSegment, file_of, numbers_in
from streamproc_plugins.vectors.shards import Shard, available, build_shard, shard_file

SEGMENT = 32_768
TREES = 20
_UNIT = 1e-3
_SPARE = 16
"""candidates more than asked for: the first ranking is in float32, the last one exact"""


class VectorIndex:
    """Ids and times of unit vectors, searched by cosine; on disk, or in memory where `folder` is None.

    One writer a folder (a second is refused), any number of readers (`readonly=True`). All methods may be called from
    several threads. The same calls in the same order give the same answers, however long the background thread takes
    and however often the folder was opened in between. A reader may search exactly where the writer uses Annoy already,
    and so does an installation without Annoy: they find what Annoy finds, and more.

    A killed process loses nothing that `add` returned from; a power failure at most the rows after `flush`.
    Removed vectors are overwritten on disk at once, and the Annoy file that held them is deleted at once.
    """

    def __init__(
        self, folder: Path | None, dim: int, *, segment: int = SEGMENT, trees: int = TREES, readonly: bool = False
    ) -> None:
        """Open or make the index.

        dim: values of a vector. segment: rows of an Annoy file. trees: more are better, larger and slower. Both are
        fixed when the index is made. Raises `PluginError` where the folder is in use, or made for other vectors.
        """
        if dim < 1 or segment < 2 or trees < 1:
            raise ValueError(f"dim, segment and trees are {dim}, {segment} and {trees}, expected at least 1, 2 and 1")
        if readonly and (folder is None or not folder.is_dir()):
            raise PluginError(f"there is no index in {folder} to be read")
        self.dim, self.folder, self.readonly = dim, folder, readonly
        self._mutex = threading.RLock()
        self._segments: dict[int, RowSegment] = {}
        self._shards: dict[int, Shard] = {}
        self._builds: dict[int, tuple[int, Future[None]]] = {}
        self._builder: ThreadPoolExecutor | None = None
        self._lock: Lock | None = None
        self._files: RowFiles | None = None
        self._approximate = folder is not None and available()
        if folder is None:
            self._plan = IndexPlan(dim=dim, segment=segment, trees=trees)
        else:
            self._open(folder, IndexPlan(dim=dim, segment=segment, trees=trees))
        self._size = self._plan.segment

    def _open(self, folder: Path, wanted: IndexPlan) -> None:
        if not self.readonly:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = Lock(folder)
            for part in folder.glob(".*.part"):  # of a tree that was being built when a run was killed
                part.unlink(missing_ok=True)
        try:
            self._manifest = Manifest(folder)
            self._plan = self._manifest.load(wanted, write=not self.readonly)
            self._files = RowFiles(folder, self.dim, self._plan.segment)
            self._size = self._plan.segment
            self._load(folder, self._files)
        except BaseException:
            self.close()
            raise

    def _load(self, folder: Path, files: RowFiles) -> None:
        for number in reversed(numbers_in(folder)):  # the last one first: it says how many rows there are
            with suppress(FileNotFoundError):  # for a reader: expired just now
                self._segments[number] = files.load(number, mend=not self.readonly)
            self._advance()  # vectors that Annoy searches needn't stay in memory

    @property
    def rows(self) -> int:
        """Number of rows added so far, without truncated ones."""
        if not self._segments:
            return 0
        last = self._segments[max(self._segments)]
        return last.number * self._size + last.count

    def __len__(self) -> int:
        """Number of vectors that can be found."""
        with self._mutex:
            return sum(segment.alive for segment in self._segments.values())

    def add(self, ids: Sequence[int] | NDArray[Any], vectors: NDArray[Any], times_ns: Sequence[int] | Any) -> None:
        """Append vectors (N, D) of unit length with ids >= 0 and times; an id may stand for several vectors.

        Raises `ValueError` for other shapes, lengths or ids; nothing is added then.
        """
        self._writable()
        ids = np.asarray(ids, np.int64).reshape(-1)
        times = np.asarray(times_ns, np.int64).reshape(-1)
        values = np.ascontiguousarray(vectors, np.float32).reshape(-1, np.shape(vectors)[-1])
        if values.shape != (len(ids), self.dim) or len(times) != len(ids):
            raise ValueError(
                f"got {len(ids)} ids, {len(times)} times, vectors {values.shape}; expected N, N and (N, {self.dim})"
            )
        if (ids < 0).any():
            raise ValueError(f"ids hold {int(ids.min())}, expected numbers >= 0")
        check_unit(values)
        with self._mutex:
            done = 0
            while done < len(ids):
                done += self._append(ids[done:], times[done:], values[done:])

    def query(self, vector: NDArray[Any], k: int) -> tuple[NDArray[np.int64], F32]:
        """Ids int64 (M,) and cosines float32 (M,) of the `k` nearest vectors (or of all that there are), best first.

        vector: (D,) of unit length. Equal cosines are in the order of their ids.
        """
        wanted = np.ascontiguousarray(vector, np.float32).reshape(-1)
        if wanted.shape != (self.dim,) or k < 1:
            raise ValueError(f"got a vector {np.shape(vector)} and k {k}, expected ({self.dim},) and at least 1")
        check_unit(wanted[None])
        with self._mutex:
            parts = [self._nearest(number, wanted, k) for number in sorted(self._segments)]
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        ids, found = (np.concatenate(column) for column in zip(*parts, strict=True))
        # one by one and in double precision: the same pair of vectors has the same cosine wherever it was found
        cosine = np.einsum("ij,j->i", found.astype(np.float64), wanted.astype(np.float64)).round(7)
        best = np.lexsort((ids, -cosine))[:k]
        return ids[best], np.clip(cosine[best], -1, 1).astype(np.float32)

    def known_ids(self) -> list[int]:
        """Every id that stands for a vector, rising."""
        with self._mutex:
            parts = [segment.ids[: segment.count] for segment in self._segments.values()]
        return [int(item) for item in np.unique(np.concatenate([np.zeros(0, np.int64), *parts])) if item != DEAD]

    def oldest_ns(self) -> int | None:
        """The least time of the vectors that are there; None without any."""
        with self._mutex:
            parts = [segment.times_ns[segment.ids != DEAD] for segment in self._segments.values()]
        return min((int(times.min()) for times in parts if len(times)), default=None)

    def vectors_of(self, item: int) -> tuple[F32, NDArray[np.int64]]:
        """Vectors (N, D) and times int64 (N,) of one id, in the order in which they were added."""
        with self._mutex:
            vectors, times = [np.zeros((0, self.dim), np.float32)], [np.zeros(0, np.int64)]
            for number in sorted(self._segments):
                rows = np.flatnonzero(self._segments[number].ids == item) if item >= 0 else np.zeros(0, np.int64)
                vectors.append(self._values(number, rows))
                times.append(self._segments[number].times_ns[rows])
            return np.concatenate(vectors), np.concatenate(times)

    def remove(self, ids: Sequence[int] | NDArray[Any]) -> int:
        """Delete all vectors of these ids, also on disk; gives their number."""
        self._writable()
        gone = np.asarray(ids, np.int64)
        with self._mutex:
            return sum(self._wipe(n, np.isin(s.ids, gone) & (s.ids != DEAD)) for n, s in list(self._segments.items()))

    def expire(self, before_ns: int, *, from_ns: int = -(2**63)) -> int:
        """Delete all vectors with a time of `from_ns` to before `before_ns`, also on disk; gives their number."""
        self._writable()
        with self._mutex:
            timed = [(n, s.ids != DEAD, s.times_ns) for n, s in self._segments.items()]
            return sum(self._wipe(n, alive & (from_ns <= t) & (t < before_ns)) for n, alive, t in timed)

    def merge(self) -> None:
        """Build missing Annoy files now, wait for them, and use them from here on."""
        self._writable()
        with self._mutex:
            rows = self.rows
            for number in self._sealed():
                self._plan = self._plan.with_due(number, min(self._plan.due(number), rows))
            self._save_plan()
            self._advance()

    def truncate(self, rows: int) -> None:
        """Remove every row from number `rows` on, as if they had never been added: back to a checkpoint.

        Rows removed in between stay removed. Raises `ValueError` where there aren't so many rows.
        """
        self._writable()
        with self._mutex:
            if not 0 <= rows <= self.rows:
                raise ValueError(f"there are {self.rows} rows, can't go back to {rows}")
            for number in [n for n in self._segments if (n + 1) * self._size > rows]:
                self._truncate(number, rows - number * self._size)
            self._advance()

    def flush(self) -> None:
        """Write added rows to the disk."""
        with self._mutex:
            if self._files is not None and not self.readonly:
                self._files.flush()

    def refresh(self) -> None:
        """For a reader: load the writer's latest rows."""
        if not self.readonly or self._files is None or self.folder is None:
            return
        with self._mutex:
            self._close_shards()
            self._plan = self._manifest.load(self._plan, write=False)
            self._segments = {}
            self._load(self.folder, self._files)

    def close(self) -> None:
        """End the background thread and close the files; may be called twice."""
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.shutdown(wait=True, cancel_futures=True)
        with self._mutex:
            self._builds = {}
            self._close_shards()
            if self._files is not None and not self.readonly:
                self._files.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, ids: NDArray[np.int64], times: NDArray[np.int64], values: F32) -> int:
        """Append as many rows as fit into the last segment, at least one; gives their number."""
        number, place = divmod(self.rows, self._size)
        segment = self._segments.setdefault(number, RowSegment.empty(number, self._size, self.dim))
        count = min(len(ids), self._size - place)
        if self._files is not None:
            self._files.append(number, ids[:count], times[:count], values[:count])
        assert segment.vectors is not None
        part = slice(place, place + count)
        segment.ids[part], segment.times_ns[part], segment.vectors[part] = ids[:count], times[:count], values[:count]
        segment.count = place + count
        self._advance()
        return count

    def _nearest(self, number: int, vector: F32, k: int) -> tuple[NDArray[np.int64], F32]:
        """Ids and vectors of a segment that include its `k` nearest."""
        segment, shard = self._segments[number], self._shards.get(number)
        if shard is not None:
            rows = shard.candidates(vector, max(4 * k, 64))
            return segment.ids[rows], self._values(number, rows)
        assert segment.vectors is not None
        cosine = segment.vectors[: segment.count] @ vector
        cosine[segment.ids[: segment.count] == DEAD] = -2
        wanted = min(k + _SPARE, segment.alive)
        rows = np.argpartition(-cosine, wanted - 1)[:wanted] if wanted else np.zeros(0, np.int64)
        return segment.ids[rows], segment.vectors[rows]

    def _values(self, number: int, rows: NDArray[Any]) -> F32:
        segment = self._segments[number]
        if segment.vectors is not None:
            return np.asarray(segment.vectors[rows])
        return np.asarray(self._shards[number].vectors[rows], np.float32)

    def _sealed(self) -> list[int]:
        return sorted(number for number, segment in self._segments.items() if segment.count == self._size)

    def _advance(self) -> None:
        """Begin the builds that are due, and use those whose row is reached."""
        if not self._approximate or self.folder is None:
            return
        for number in self._sealed():
            if number in self._shards or not self._segments[number].alive:
                continue
            if not self.readonly:
                self._begin(number)
            if self.rows >= self._plan.due(number):
                self._use(number, self.folder)

    def _begin(self, number: int) -> None:
        generation = self._plan.generation(number)
        if number in self._builds and self._builds[number][0] == generation:
            return
        segment = self._segments[number]
        assert self.folder is not None
        assert segment.vectors is not None
        path = shard_file(self.folder, number, generation)
        if path.is_file():
            return
        rows = np.flatnonzero(segment.ids != DEAD)
        self._builder = self._builder or ThreadPoolExecutor(1, thread_name_prefix="vector-index")
        future = self._builder.submit(build_shard, path, segment.vectors, rows, self._plan.trees)
        self._builds[number] = (generation, future)

    def _use(self, number: int, folder: Path) -> None:
        path = shard_file(folder, number, self._plan.generation(number))
        begun = self._builds.pop(number, None)
        try:
            if begun is not None:
                begun[1].result()
            if path.is_file():
                self._use_file(number, path)
        except OSError as error:
            raise PluginError(f"{path} can't be written ({error.strerror}); check the space left on the disk") from None
        except PluginError:
            if not self.readonly:
                raise
            # the writer has changed the segment since: a reader searches exactly till `refresh`

    def _use_file(self, number: int, path: Path) -> None:
        segment = self._segments[number]
        rows = np.flatnonzero(segment.ids != DEAD)
        assert self._files is not None
        self._shards[number] = Shard.open(path, rows, self._files.mapped(number)["vector"])
        segment.vectors = None

    def _wipe(self, number: int, mask: NDArray[np.bool_]) -> int:
        """Remove rows of a segment everywhere; gives their number."""
        rows, segment = np.flatnonzero(mask), self._segments[number]
        if not len(rows):
            return 0
        self._drop_shard(number, due=self.rows + self._size // 2)
        segment.ids[rows] = DEAD
        assert segment.vectors is not None
        segment.vectors[rows] = 0
        last = number == max(self._segments)
        if self._files is not None and not segment.alive and not last:
            self._files.delete(number)
        elif self._files is not None:
            self._files.wipe(number, rows.tolist())
        if not segment.alive and not last:
            del self._segments[number]
        self._advance()
        return len(rows)

    def _drop_shard(self, number: int, due: int) -> None:
        """Search the segment exactly again until row `due`; its tree file is deleted."""
        segment, shard = self._segments[number], self._shards.pop(number, None)
        if shard is not None:
            segment.vectors = np.array(shard.vectors, np.float32)
            shard.close()
        if self.folder is None or segment.count < self._size:
            return
        begun = self._builds.pop(number, None)
        old = shard_file(self.folder, number, self._plan.generation(number))
        self._plan = self._plan.next_generation(number, due)
        self._save_plan()
        if begun is not None:
            begun[1].exception()  # it may be writing the file that is to go
        old.unlink(missing_ok=True)

    def _truncate(self, number: int, count: int) -> None:
        segment = self._segments[number]
        valid = max(count, 0)
        if segment.count > valid:
            self._drop_shard(number, due=(number + 1) * self._size + self._size // 2)
            assert segment.vectors is not None
            segment.ids[valid:], segment.vectors[valid:], segment.count = DEAD, 0, valid
        if self._files is not None and self.folder is not None and file_of(self.folder, number).is_file():
            if count >= 0:  # an empty file still says how many rows there are
                self._files.truncate(number, count)
            else:
                self._files.delete(number)
        if count < 0:
            del self._segments[number]

    def _save_plan(self) -> None:
        if self.folder is not None:
            self._manifest.save(self._plan)

    def _close_shards(self) -> None:
        for shard in self._shards.values():
            shard.close()
        self._shards = {}

    def _writable(self) -> None:
        if self.readonly:
            raise PluginError(f"the index in {self.folder} was opened to be read only")


def check_unit(vectors: F32) -> None:
    """Raise `ValueError` unless every row of (N, D) is finite and of length 1."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~(np.abs(length - 1) <= _UNIT))
    if len(bad):
        raise ValueError(f"vector {int(bad[0])} has the length {length[bad[0]]:.4g}, expected 1; divide it by that")


__all__ = ["SEGMENT", "TREES", "VectorIndex", "check_unit"]
