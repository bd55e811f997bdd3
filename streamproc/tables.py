"""Records as tables: one row per record, or one row per detection, track, pose or face.

pyarrow makes the tables; pandas, polars and DuckDB open them. None of them is loaded before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from streamproc.arrow import SCHEMA_KEY, batch_of, results_of
from streamproc.errors import PluginError, StreamprocError
from streamproc.lookup import Key
from streamproc.record import Record
from streamproc.replacement import Replacement
from streamproc.results import Result
from streamproc.rows import row_batch, row_schema

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = TypeVar("RESULT", bound=Result)

_CHUNK = 1024
"""records that are turned into one batch of a table"""
_CHAINS = 256
"""chains whose schema is remembered"""


def to_arrow(records: Iterable[Record], kind: type[Result] | None = None) -> pa.Table:
    """A table of these records.

    Without `kind` it has one row per record: `stream`, `index`, `pts_ns`, `captured_ns`, `reason`, a struct column
    `PLUGIN.CLASS` for each result class that a plugin gives (null where it gave none), `verdicts` and `events` (a JSON
    array of CloudEvents). Pictures aren't in it.

    With `kind` it has one row per detection (track, pose, face) of exactly that class, or one row per result of a class
    without rows, behind the columns `stream`, `index`, `time_s`, `captured` and `plugin`. A box is `x1`, `y1`, `x2`,
    `y2`, a velocity `vx`, `vy`; times in nanoseconds become seconds (`age_ns` is `age_s`). Masks aren't in it.
    """
    import pyarrow as pa

    plain = (record.without_frame() for record in records)
    if kind is not None:  # chunk by chunk: masks and maps of a long run needn't fit into memory
        return pa.Table.from_batches([row_batch(part, kind) for part in _chunks(plain)], row_schema(kind))
    found = list(plain)
    gives = given_by(found)
    return pa.Table.from_batches([record_batch(part, gives) for part in _chunks(found)], record_schema(gives))


def to_pandas(records: Iterable[Record], kind: type[Result] | None = None) -> Any:
    """The table of `to_arrow` as a `pandas.DataFrame` (needs the package `pandas`)."""
    try:
        import pandas  # noqa: F401
    except ModuleNotFoundError:
        raise StreamprocError("to_pandas needs pandas, which isn't installed: pip install pandas") from None
    return to_arrow(records, kind).to_pandas()


def read_results(table: pa.Table, plugin: str, kind: type[RESULT]) -> list[RESULT | None]:
    """The results of one plugin in a table with one row per record, equal to those written; None where it gave none.

    Raises:
        ValueError: the table has no such column, or it was written by another version of the class.
    """
    names = [name for name in _possible_names(plugin, kind) if name in table.column_names]
    if not names:
        raise ValueError(f"the table has no column {plugin}.{kind.__name__}, only {', '.join(table.column_names)}")
    field = table.schema.field(names[0])
    metadata = field.metadata or {SCHEMA_KEY.encode(): kind.schema.encode()}
    return [result for part in table.column(names[0]).chunks for result in _read(part, kind, metadata)]


def record_schema(gives: Sequence[Key]) -> pa.Schema:
    """Schema of a table with one row per record, from what the plugins of the chain give."""
    return _record_schema(tuple(gives))


@lru_cache(maxsize=_CHAINS)
def _record_schema(gives: tuple[Key, ...]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([
        pa.field("stream", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("pts_ns", pa.int64(), nullable=False),
        pa.field("captured_ns", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        *(_struct_field(name, *key) for key, name in column_names(gives).items()),
        pa.field("verdicts", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("events", pa.string(), nullable=False),
    ])  # fmt: skip


def record_batch(records: Sequence[Record], gives: Sequence[Key]) -> pa.RecordBatch:
    """One row per record, with the columns of `record_schema`."""
    import pyarrow as pa

    columns = [
        [record.stream.name for record in records],
        [record.index for record in records],
        [record.pts_ns for record in records],
        [record.captured_ns for record in records],
        [record.reason for record in records],
        *(_struct_column(key, records) for key in column_names(gives)),
        [list(record.verdicts.items()) for record in records],
        [_events(record) for record in records],
    ]
    schema = record_schema(gives)
    arrays = [pa.array(c, f.type) if isinstance(c, list) else c for c, f in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def given_by(records: Iterable[Record]) -> tuple[Key, ...]:
    """Plugin and class of every result that the chains of these records give, and of any that a record holds beside."""
    found: dict[Key, None] = {}
    for record in records:
        found |= dict.fromkeys((*record.gives, *record.results))
    return tuple(found)


def column_names(gives: Iterable[Key]) -> dict[Key, str]:
    """Name of the column of each result that a table holds: no `Replacement`, which is a picture."""
    names: dict[Key, str] = {}
    for plugin, kind in gives:
        if issubclass(kind, Result) and not issubclass(kind, Replacement):
            taken = set(names.values())
            free = (name for name in _possible_names(plugin, kind) if name not in taken)
            name = next(free, None)
            if name is None:
                raise PluginError(f"{plugin} gives two classes with the schema {kind.schema}; give each its own")
            names[plugin, kind] = name
    return names


def _possible_names(plugin: str, kind: type[Result]) -> tuple[str, str]:
    return f"{plugin}.{kind.__name__}", f"{plugin}.{kind.schema}"


def _struct_field(name: str, plugin: str, kind: type[Result]) -> pa.Field:
    import pyarrow as pa

    about = {SCHEMA_KEY: kind.schema, "streamproc.plugin": plugin}
    fields = _struct_fields(kind)
    return pa.field(name, pa.struct(fields) if fields else pa.bool_(), metadata=about)


def _struct_fields(kind: type[Result]) -> list[pa.Field]:
    """Fields of the struct of a class: each may be null, as it is where the whole struct is."""
    return [field.with_nullable(True) for field in kind.arrow_schema()]


def _struct_column(key: Key, records: Sequence[Record]) -> pa.Array:
    """Results as structs, null where there is none; true for a result of a class without fields."""
    import pyarrow as pa

    kind = key[1]
    given = [record.results[key] for record in records if key in record.results]
    places = iter(range(len(given)))
    rows = pa.array([next(places) if key in record.results else None for record in records], pa.int64())
    batch = _batch(kind, given)
    if not batch.schema.names:
        return pa.array([True] * len(given), pa.bool_()).take(rows)
    structs = pa.StructArray.from_arrays(batch.columns, fields=_struct_fields(kind))
    return structs if len(given) == len(records) else structs.take(rows)


def _batch(kind: Any, results: Sequence[Result]) -> pa.RecordBatch:
    """One row per result, by the class's own `to_arrow` where it has one."""
    import pyarrow as pa

    if kind.to_arrow is Result.to_arrow:
        return batch_of(kind, results)
    schema = kind.arrow_schema()
    made = [result.to_arrow() for result in results]
    for batch in made:
        if not batch.schema.equals(schema):
            raise PluginError(
                f"{kind.__name__}.to_arrow makes the columns {batch.schema.names}, which differ from those of its "
                f"arrow_schema ({schema.names}) in name or type; override both alike"
            )
    return pa.Table.from_batches(made, schema).combine_chunks().to_batches()[0] if made else _none_of(schema)


def _none_of(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([], schema)


def _read(column: pa.Array, kind: type[RESULT], metadata: dict[bytes, bytes]) -> list[RESULT | None]:
    import pyarrow as pa

    valid = column.drop_null()
    if pa.types.is_struct(column.type):
        batch = pa.RecordBatch.from_struct_array(valid).replace_schema_metadata(metadata)
    else:
        batch = pa.RecordBatch.from_arrays([], schema=pa.schema([], metadata))
    if kind.to_arrow is not Result.to_arrow:
        found = [kind.from_arrow(batch.slice(row, 1)) for row in range(batch.num_rows)]
    elif len(valid):
        found = results_of(kind, batch)
    else:
        found = []
    rest = iter(found * len(valid) if not batch.schema.names else found)
    return [next(rest) if is_there else None for is_there in column.is_valid().to_pylist()]


def _events(record: Record) -> str:
    return json.dumps([event.to_json() for event in record.events], ensure_ascii=False, separators=(",", ":"))


def _chunks(records: Iterable[Record]) -> Iterable[list[Record]]:
    rest = iter(records)
    while part := list(islice(rest, _CHUNK)):
        yield part


__all__ = [
    "column_names",
    "given_by",
    "read_results",
    "record_batch",
    "record_schema",
    "to_arrow",
    "to_pandas",
]
