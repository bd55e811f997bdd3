"""Result classes as Arrow tables: a schema from the declared fields of a class, and its values to and from that.

pyarrow is loaded on first use; the check of a class's annotations does without.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import typing as npt

from streamproc.arrow_forms import AnyArray, Form, Items, Rows, Shape, Unfit, Unmapped, form_of
from streamproc.errors import PluginError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_KEY = "streamproc.schema"
"""metadata key of the name and version of a result class"""

_ALLOWED = (
    "str, int, float, bool, bytes, NDArray[...] of numbers, tuple[...] or list[...] of these, or X | None; "
    "or override arrow_schema, to_arrow and from_arrow in the class"
)
_NAMES = {
    **{name: getattr(typing, name) for name in typing.__all__},
    "np": np, "npt": npt, "numpy": np, "NDArray": npt.NDArray, "Shape": Shape, "typing": typing,
}  # fmt: skip
"""names that an annotation may use though its module imports them for type checkers only"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One field of a result class."""

    name: str
    form: Form
    nullable: bool
    axes: tuple[str | int, ...]
    """declared by `Shape`, empty where nothing is declared"""

    @property
    def is_rows(self) -> bool:
        """Whether the field has a value for each row of the result."""
        return self.axes[:1] == ("N",) and isinstance(self.form, Rows | Items | AnyArray)


def columns_of(cls: Any) -> tuple[Column, ...]:
    """Return the fields of a result class; `PluginError` names a field whose annotation has no Arrow form."""
    return _columns_of(cls)


@cache
def _columns_of(cls: type) -> tuple[Column, ...]:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    return tuple(_column(cls, field) for field in fields if field.init)


def schema_of(cls: Any) -> pa.Schema:
    """Return the schema of a result class: a column per field, its schema name in the metadata."""
    return _schema_of(cls)


@cache
def _schema_of(cls: Any) -> pa.Schema:
    import pyarrow as pa

    fields = [pa.field(c.name, c.form.arrow_type(), nullable=c.nullable) for c in columns_of(cls)]
    return pa.schema(fields, metadata={SCHEMA_KEY: cls.schema})


def batch_of(cls: Any, results: Sequence[Any]) -> pa.RecordBatch:
    """Return one row per result; `ValueError` names a field whose value doesn't fit its annotation."""
    import pyarrow as pa

    columns = [_encoded(cls, c, [getattr(result, c.name) for result in results]) for c in columns_of(cls)]
    return pa.RecordBatch.from_arrays(columns, schema=schema_of(cls))


def results_of(cls: Any, batch: pa.RecordBatch) -> list[Any]:
    """Return the results that `batch_of` wrote; `ValueError` when the batch holds another schema."""
    found = (batch.schema.metadata or {}).get(SCHEMA_KEY.encode(), b"").decode()
    if found != cls.schema:
        raise ValueError(f"the batch holds {found or 'no schema name'!r}, expected {cls.schema!r}")
    columns = columns_of(cls)
    if not columns:
        return [cls() for _ in range(max(1, batch.num_rows))]
    values = [column.form.decode(part) for column, part in zip(columns, _fitted(cls, batch).columns, strict=True)]
    names = [column.name for column in columns]
    return [cls(**dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


def _column(cls: type, field: dataclasses.Field[Any]) -> Column:
    try:
        hint = _hint(cls, field)
        form, nullable = form_of(hint)
    except NameError as error:
        raise PluginError(
            f"{cls.__name__}.{field.name} is annotated {field.type}, of which {error.name} is not imported when the "
            f"module runs; import it outside of `if TYPE_CHECKING`"
        ) from None
    except Unmapped:
        shown = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", field.type)
        raise PluginError(
            f"{cls.__name__}.{field.name} is annotated {shown}, which has no form in an Arrow table; use {_ALLOWED}"
        ) from None
    return Column(name=field.name, form=form, nullable=nullable, axes=_axes(hint))


def _hint(cls: type, field: dataclasses.Field[Any]) -> Any:
    """Return the annotation of a field as an object; `NameError` where it names something unknown."""
    owner = next((base for base in cls.__mro__ if field.name in inspect.get_annotations(base)), cls)
    known: Mapping[str, Any] = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    holder = types.SimpleNamespace(__annotations__={field.name: field.type})
    hints = typing.get_type_hints(holder, globalns={**_NAMES, **known}, include_extras=True)
    return hints[field.name]


def _axes(hint: Any) -> tuple[str | int, ...]:
    """Return the axes that `Shape` declares anywhere in an annotation."""
    for part in typing.get_args(hint):
        if isinstance(part, Shape):
            return part.axes
        if found := _axes(part):
            return found
    return ()


def _encoded(cls: type, column: Column, values: Sequence[Any]) -> pa.Array:
    try:
        if not column.nullable and any(value is None for value in values):
            raise Unfit("a value; annotate it `X | None` if it may be absent")
        return column.form.encode(values)
    except Unfit as error:
        raise ValueError(f"{cls.__name__}.{column.name} is {_shown(values)}, expected {error}") from None


def _shown(values: Sequence[Any]) -> str:
    if len(values) > 1:
        return f"of another type in one of {len(values)} results"
    value = values[0]
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {value.shape}"
    return repr(value)[:80]


def _fitted(cls: type, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with exactly the columns and types of the class, as another program may have changed them."""
    import pyarrow as pa

    wanted = schema_of(cls)
    try:
        found = [batch.column(field.name) for field in wanted]
        columns = [c if c.type == f.type else c.cast(f.type) for c, f in zip(found, wanted, strict=True)]
    except (KeyError, pa.ArrowException) as error:
        raise ValueError(
            f"the batch doesn't have the columns of {cls.__name__} ({error}); it was written by another version of "
            "the class, which needs another version in its `schema`"
        ) from None
    return pa.RecordBatch.from_arrays(columns, names=wanted.names)


__all__ = ["SCHEMA_KEY", "Column", "batch_of", "columns_of", "results_of", "schema_of"]
