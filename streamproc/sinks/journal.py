"""Journals: batches of a table on disk before they are whole files, so that a crash loses nothing that was flushed.

A journal holds frames: a checksum (CRC-32), a length and that many bytes of Arrow's IPC form; first the schema, then
batches. One process at a time has it open.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamproc.sinks.appending import AppendingFile, PathTaken

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = struct.Struct("<IQ")


class Journal(AppendingFile):
    """An open journal, new or left by a run that was killed; opening it removes a frame that is not whole."""

    def __init__(self, path: Path) -> None:
        """Open and lock it; `PathTaken` if another process has it open, else as `AppendingFile`."""
        super().__init__(path, replace=False)
        if not self._is_there():  # removed between being opened and being locked
            self.close()
            raise PathTaken(f"{path} is being removed by another run")

    def begin(self, schema: pa.Schema) -> None:
        """Write the schema into an empty journal."""
        self._add(schema.serialize())

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch; raises `SinkBusy` or `SinkError`, and then it isn't in the journal."""
        self._add(batch.serialize())

    def read(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema and the batches of a journal that isn't empty."""
        import pyarrow as pa

        frames = (pa.py_buffer(frame) for frame in self._frames())
        schema = pa.ipc.read_schema(next(frames))
        return schema, (pa.ipc.read_record_batch(frame, schema) for frame in frames)

    def remove(self) -> None:
        """Remove the file and close it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _add(self, frame: pa.Buffer) -> None:
        self.append(b"".join((_HEAD.pack(zlib.crc32(frame), len(frame)), frame)))

    def _frames(self) -> Iterator[bytes]:
        end, size = 0, os.fstat(self._fd).st_size
        while len(head := os.pread(self._fd, _HEAD.size, end)) == _HEAD.size:
            checksum, length = _HEAD.unpack(head)
            end += _HEAD.size + length
            if end > size:
                return
            frame = os.pread(self._fd, length, end - length)
            if len(frame) != length or zlib.crc32(frame) != checksum:
                return
            yield frame

    def _end_of_whole(self) -> int:
        return sum(_HEAD.size + len(frame) for frame in self._frames())

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False


__all__ = ["Journal"]
