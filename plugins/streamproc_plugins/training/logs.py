"""Figures that TensorBoard reads, without needing TensorBoard to write them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ScalarLog:
    """Writes scalars into one `events.out.tfevents...` file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def __enter__(self) -> Self:
        import tensorflow as tf
        from tensorflow.core.util.event_pb2 import Event

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"events.out.tfevents.{time.time():.0f}.streamproc"
        self._writer = tf.io.TFRecordWriter(str(path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each of these curves."""
        from tensorflow.core.framework.summary_pb2 import Summary
        from tensorflow.core.util.event_pb2 import Event

        rows = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=rows)))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


__all__ = ["ScalarLog"]
