"""Records as Parquet files, for pandas, polars, DuckDB and whatever reads Parquet."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streamproc.errors import SinkError, counted, describe
from streamproc.frames import StreamInfo
from streamproc.lookup import Key
from streamproc.options import Duration, Field, Options, seconds
from streamproc.record import Record
from streamproc.sink import RecordSink, SinkContext
from streamproc.sinks.appending import PathTaken, failed
from streamproc.sinks.journal import Journal
from streamproc.tables import given_by, record_batch, record_schema

if TYPE_CHECKING:
    import pyarrow as pa

_MIB = 1 << 20
_MOST_BATCHES = 256
_MOST_BYTES = 8 << 20
"""batches and bytes that wait for the next flush in memory"""


class ParquetOptions(Options):
    """Options of the `parquet` sink."""

    path: Path = Field(description="the folder for the files; it is made")
    part_rows: int = Field(100_000, ge=1, description="records in a file before the next one begins")
    part_size: int = Field(128, ge=1, le=1024, description="MiB of a file, uncompressed, before the next one begins")
    part_time: Duration = Field(seconds(3600), ge=1, description="media time in a file before the next one begins")
    group_rows: int = Field(10_000, ge=1, description="records in a row group")
    compression: Literal["zstd", "snappy", "gzip", "none"] = Field("zstd", description="of the files")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Stream and result classes that the records of a file have in common."""

    stream: StreamInfo
    gives: tuple[Key, ...]

    def with_record(self, record: Record) -> _Layout:
        """Return this layout if the record fits it, else a new one for it."""
        gives = given_by([record])
        if record.stream != self.stream:
            return _Layout(record.stream, gives)
        return self if set(gives) <= set(self.gives) else _Layout(self.stream, tuple(dict.fromkeys(self.gives + gives)))


@dataclass(slots=True)
class _Part:
    """A file that is being made."""

    layout: _Layout
    journal: Journal
    first_ns: int
    rows: int = 0
    pending: list[pa.RecordBatch] = field(default_factory=list)
    """batches since the last flush that aren't in the journal yet, where small ones would cost too many heads"""
    pending_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes, uncompressed."""
        return self.journal.size + self.pending_bytes

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows; where it raises, these weren't added."""
        if len(self.pending) >= _MOST_BATCHES or self.pending_bytes >= _MOST_BYTES:
            self.spill()
        self.pending.append(batch)
        self.pending_bytes += batch.nbytes
        self.rows += batch.num_rows

    def spill(self) -> None:
        """Move all rows into the journal."""
        import pyarrow as pa

        if self.pending:
            for batch in pa.Table.from_batches(self.pending).combine_chunks().to_batches():
                self.journal.add(batch)
            self.pending.clear()
            self.pending_bytes = 0


class ParquetSink(RecordSink[ParquetOptions]):
    """Writes the results of each stream as Parquet files: a row per record, a struct per plugin and result class.

    Files are `STREAM-00001.parquet`, `STREAM-00002.parquet`, ...; a new one begins after `part_rows`, `part_size` or
    `part_time`, where the stream or its chain changes, and in each run. No file is ever changed or overwritten.

    A file appears when it is whole. Until then its records are in a journal beside it (`.STREAM-00001.journal`),
    durable after each flush. `kill -9` loses nothing that was flushed: the next run that opens the folder makes the
    file of what the journal holds. Pictures aren't written.

    Delivery: at least once; a repeated record has the `stream`, `index` and `reason` of the first.
    """

    _parts: dict[str, _Part]
    _log: logging.Logger

    def open(self, context: SinkContext) -> None:
        """Make the folder and the files that a killed run left unfinished; raises `SinkError` or `SinkBusy`."""
        folder, self._log, self._parts = self.options.path, context.log, {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failed(folder, error) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(f"{folder} can't be written; change its permissions, or choose another path")
        for path in sorted(folder.glob(".*.journal")):
            self._recover(path, context)

    def write(self, records: Sequence[Record]) -> None:
        """Add these records to the journals of their streams."""
        # everything is encoded first, so that a record that can't be written adds nothing
        runs = [(layout, run, record_batch(run, layout.gives)) for layout, run in self._runs(records)]
        for layout, run, batch in runs:
            part = self._part_for(layout, run[0])
            part.add(batch)
            if run[-1].reason == "end":
                with suppress(SinkError):  # tried again when the next part begins, or at the end
                    self._finish(layout.stream.name)

    def flush(self) -> None:
        """Return once all journals are on the disk."""
        for part in self._parts.values():
            part.spill()
            part.journal.sync()

    def close(self) -> None:
        """Finish all files; one that can't be finished now is finished when the folder is opened again."""
        parts = getattr(self, "_parts", {})
        for name in list(parts):
            try:
                self._finish(name)
            except SinkError as error:
                self._log.warning("%s; its records stay in the journal until the next run", error)
                parts.pop(name).journal.close()

    def _runs(self, records: Sequence[Record]) -> list[tuple[_Layout, list[Record]]]:
        """The records in batches for one file each, in order per stream."""
        layouts = {name: part.layout for name, part in self._parts.items()}
        latest: dict[str, list[Record]] = {}
        runs: list[tuple[_Layout, list[Record]]] = []
        for record in records:
            name = record.stream.name
            before = layouts.get(name)
            layout = layouts[name] = (before or _Layout(record.stream, ())).with_record(record)
            if name not in latest or layout != before:
                latest[name] = []
                runs.append((layout, latest[name]))
            latest[name].append(record)
        return runs

    def _part_for(self, layout: _Layout, first: Record) -> _Part:
        """The file in which the records go on."""
        name = layout.stream.name
        part = self._parts.get(name)
        if part is not None and (part.layout != layout or self._is_full(part, first)):
            self._finish(name)
            part = None
        if part is None:
            journal = self._new_journal(layout)
            part = self._parts[name] = _Part(layout, journal, first.pts_ns)
        return part

    def _is_full(self, part: _Part, record: Record) -> bool:
        options = self.options
        longest = record.pts_ns - part.first_ns >= options.part_time
        return longest or part.rows >= options.part_rows or part.size >= options.part_size * _MIB

    def _new_journal(self, layout: _Layout) -> Journal:
        """A journal with the next number that no file has."""
        folder, stem = self.options.path, _stem(layout.stream.name)
        form = re.compile(rf"\.?{re.escape(stem)}-(\d+)\.(parquet|journal)")
        taken = [int(match[1]) for path in folder.iterdir() if (match := form.fullmatch(path.name))]
        number = max(taken, default=0)
        while True:
            number += 1
            path = folder / f".{stem}-{number:05d}.journal"
            try:
                journal = Journal(path)
            except PathTaken:
                continue
            if not journal.empty:
                journal.close()
            elif _file_of(path).exists():  # another process has just finished this number
                journal.remove()
            else:
                break
        try:
            journal.begin(record_schema(layout.gives).with_metadata({"streamproc.stream": _about(layout.stream)}))
            _sync(folder)
        except OSError as error:
            journal.remove()
            raise failed(path, error) from error
        except BaseException:
            journal.remove()
            raise
        return journal

    def _finish(self, name: str) -> None:
        """Make the file of a stream's journal."""
        part = self._parts[name]
        part.spill()
        finish(part.journal, self.options)
        del self._parts[name]

    def _recover(self, path: Path, context: SinkContext) -> None:
        """Make the file of a journal that no process has open."""
        try:
            journal = Journal(path)
        except PathTaken:
            return
        try:
            rows = finish(journal, self.options)
        except SinkError:
            journal.close()
            raise
        if rows:
            said = f"{_file_of(path)} was made of {counted(rows, 'record')} that a run left when it was killed"
            context.log.warning(said)
            context.note(said)


def finish(journal: Journal, options: ParquetOptions) -> int:
    """Make the Parquet file of a journal and remove the journal; the number of records, 0 where there is no file."""
    path = _file_of(journal.path)
    half = path.with_name(f".{path.name}.part")
    rows = 0
    try:
        if not journal.empty and not path.exists():  # it exists where a run was killed between the last two steps
            rows = _write(half, journal, options)
            if rows:
                _sync(half)
                half.replace(path)
                _sync(path.parent)
        half.unlink(missing_ok=True)
        journal.remove()
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise failed(path, error) from error
    except Exception as error:
        raise SinkError(f"{journal.path} can't be made a file ({describe(error)}); move it away") from error
    return rows


def _write(path: Path, journal: Journal, options: ParquetOptions) -> int:
    import pyarrow.parquet as pq

    schema, batches = journal.read()
    rows = 0
    with pq.ParquetWriter(path, schema, compression=options.compression) as writer:
        for table in _groups(schema, batches, options.group_rows):
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _groups(schema: pa.Schema, batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Tables of this many rows, however many each batch holds."""
    import pyarrow as pa

    pending, rows = [], 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows >= size:
            table = pa.Table.from_batches(pending, schema).combine_chunks()
            whole = rows - rows % size
            yield from (table.slice(at, size) for at in range(0, whole, size))
            pending, rows = table.slice(whole).to_batches(), rows - whole
    if rows:
        yield pa.Table.from_batches(pending, schema).combine_chunks()


def _file_of(journal: Path) -> Path:
    return journal.with_name(journal.name.removeprefix(".").removesuffix(".journal") + ".parquet")


def _stem(stream: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in stream)
    return "_" + safe[1:] if safe.startswith(".") else safe


def _about(stream: StreamInfo) -> str:
    return json.dumps({
        "name": stream.name,
        "identity": stream.identity,
        "width": stream.width,
        "height": stream.height,
        "rate": None if stream.rate is None else str(stream.rate),
        "live": stream.live,
        "started_ns": stream.started_ns,
        "session": stream.session,
    })  # fmt: skip


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["ParquetOptions", "ParquetSink", "finish"]
