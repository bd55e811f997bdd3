"""Rows of results: one row per detection, track, pose or face, with plain columns.

Rows are the fields whose first axis is `N` (see `Shape`). A class without any has one row per result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamproc.arrow import Column, batch_of, columns_of
from streamproc.arrow_forms import AnyArray, Rows
from streamproc.frames import SECOND_NS
from streamproc.record import Record
from streamproc.results import Result

if TYPE_CHECKING:
    import pyarrow as pa

_PARTS = {"xyxy": ("x1", "y1", "x2", "y2"), "velocity": ("vx", "vy")}
"""columns of a field of several numbers a row"""

_PLACE = ("stream", "index", "time_s", "captured", "plugin")


def row_schema(kind: type[Result]) -> pa.Schema:
    """Schema of the table of a class's rows: the same for all values."""
    return row_batch([], kind).schema


def row_batch(records: Sequence[Record], kind: type[Result]) -> pa.RecordBatch:
    """The rows of all results of exactly this class."""
    import pyarrow as pa

    found = [(r, name, result) for r in records for (name, given), result in r.results.items() if given is kind]
    results = [result for _, _, result in found]
    if kind.to_arrow is not Result.to_arrow:
        counts, columns = _own_columns(kind, results)
    elif any(column.is_rows for column in columns_of(kind)):
        counts, columns = _row_columns(kind, results)
    else:
        batch = batch_of(kind, results)
        counts, columns = [1] * len(results), dict(zip(batch.schema.names, batch.columns, strict=True))
    rows = np.repeat(np.arange(len(found)), counts)
    columns = {(f"{kind.__name__}.{name}" if name in _PLACE else name): c for name, c in columns.items()}
    place = _place([record for record, _, _ in found], [name for _, name, _ in found])
    moved = {name: column.take(pa.array(rows)) for name, column in place.items()}
    return pa.RecordBatch.from_pydict({**moved, **columns})


def _place(records: Sequence[Record], plugins: Sequence[str]) -> dict[str, pa.Array]:
    import pyarrow as pa

    captured = [None if r.captured_ns is None else r.captured_ns // 1000 for r in records]
    return {
        "stream": pa.array([record.stream.name for record in records], pa.string()),
        "index": pa.array([record.index for record in records], pa.int64()),
        "time_s": pa.array([record.time for record in records], pa.float64()),
        "captured": pa.array(captured, pa.timestamp("us", "UTC")),
        "plugin": pa.array(plugins, pa.string()),
    }


def _own_columns(kind: type[Result], results: Sequence[Result]) -> tuple[list[int], dict[str, pa.Array]]:
    """One row per result of a class with a form of its own."""
    import pyarrow as pa

    table = pa.Table.from_batches([result.to_arrow() for result in results], kind.arrow_schema())
    parts = {name: table.column(name).combine_chunks() for name in table.column_names}
    return [1] * len(results), parts


def _row_columns(kind: type[Result], results: Sequence[Result]) -> tuple[list[int], dict[str, pa.Array]]:
    """Number of rows of each result, and the columns of them all."""
    used = [column for column in columns_of(kind) if column.is_rows and _has_plain_rows(column)]
    values = {column.name: [getattr(result, column.name) for result in results] for column in used}
    counts = [_count(kind, {name: column[n] for name, column in values.items()}) for n in range(len(results))]
    made: dict[str, pa.Array] = {}
    for column in used:
        flat = _flat(column, values[column.name], counts)
        made |= _split(column, flat)
    return counts, made


def _has_plain_rows(column: Column) -> bool:
    """Return whether a row fits a cell: no mask, and a dtype that is known."""
    return not isinstance(column.form, AnyArray) or (len(column.axes) == 2 and bool(column.form.dtype))


def _count(kind: type[Result], values: dict[str, Any]) -> int:
    lengths = {name: len(value) for name, value in values.items() if value is not None}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"{kind.__name__} has fields with the axis 'N' that differ in length: {shown}")
    return next(iter(lengths.values()), 0)


def _flat(column: Column, values: Sequence[Any], counts: Sequence[int]) -> pa.Array:
    """A cell for each row of all results, null where a result has no such field."""
    import pyarrow as pa

    if isinstance(column.form, AnyArray):
        cells = _vectors(column.form.dtype, values)
    else:
        cells = column.form.encode(values).flatten()
    if not any(value is None for value in values):
        return cells
    there = np.repeat([value is not None for value in values], counts)
    return cells.take(pa.array(np.cumsum(there) - 1, mask=~there))


def _vectors(dtype: str, values: Sequence[Any]) -> pa.Array:
    """Each row of arrays (N, D) as a list of numbers."""
    import pyarrow as pa

    given: list[NDArray[Any]] = [np.asarray(value, dtype) for value in values if value is not None]
    lengths = np.concatenate([[0], *(np.full(len(value), value.shape[1]) for value in given)])
    numbers = np.concatenate([np.zeros(0, dtype), *(value.reshape(-1) for value in given)])
    bounds = pa.array(np.cumsum(lengths), pa.int32())
    return pa.ListArray.from_arrays(bounds, pa.array(numbers, from_pandas=False))


def _split(column: Column, cells: pa.Array) -> dict[str, pa.Array]:
    """Columns of one field: a box as its four sides, nanoseconds as seconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = _PARTS.get(column.name, ())
    if isinstance(column.form, Rows) and column.form.inner == (len(names),):
        numbers = np.asarray(cells.flatten()).reshape(-1, len(names))
        return {name: pa.array(numbers[:, n], from_pandas=False) for n, name in enumerate(names)}
    if column.name.endswith("_ns") and pa.types.is_integer(cells.type):
        seconds = pc.divide(cells.cast(pa.float64()), float(SECOND_NS))
        return {column.name.removesuffix("_ns") + "_s": seconds}
    return {column.name: cells}


__all__ = ["row_batch", "row_schema"]
