"""Arrow forms of field annotations: convert values of a type to a column and back.

A form follows from the annotation alone, never from values. pyarrow is loaded when a form first makes a column.

`str`, `int`, `float`, `bool`, `bytes`      string, int64, double, bool, binary
`tuple[X, ...]`, `list[X]`, `tuple[X, X]`   list of X
`tuple[X, Y]`                               struct with the fields `_0`, `_1`
array with one free axis (see `Shape`)      list, the axes behind the first as lists of fixed size
any other array                             struct with the fields `dtype`, `shape` and `data` (C order)
`X | None`                                  as X, nullable
"""

from __future__ import annotations

import operator
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_LISTED = {
    np.dtype(name).type: name
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    )
}  # fmt: skip
"""dtypes that every reader of Arrow knows"""
_NUMBERS = "biufcmMSU"
_PLAIN = {str: "string", int: "int64", float: "double", bool: "bool", bytes: "binary"}


class Shape:
    """Axes of an array field, or the length of a tuple field, for use in an annotation.

    A name stands for a length that differs from value to value, a number for one that is always the same. Fields whose
    first axis is `"N"` are the rows of a result: N boxes, N scores.

    >>> Annotated[NDArray[np.float32], Shape("N", 4)].__metadata__
    (Shape('N', 4),)
    """

    __slots__ = ("axes",)

    def __init__(self, *axes: str | int) -> None:
        if not axes or any(not isinstance(axis, str) and axis < 1 for axis in axes):
            raise ValueError(f"Shape{axes} is no shape; give names and lengths of 1 or more, such as Shape('N', 4)")
        self.axes = axes

    def __repr__(self) -> str:
        return f"Shape({', '.join(map(repr, self.axes))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self.axes == other.axes

    def __hash__(self) -> int:
        return hash(self.axes)


class Unfit(ValueError):
    """A value that doesn't fit its annotation; the text says what was expected."""


class Unmapped(TypeError):
    """An annotation that has no Arrow form."""


class Form(ABC):
    """Conversion of values of one type to a column and back."""

    @abstractmethod
    def arrow_type(self) -> pa.DataType:
        """Return the type of the column."""

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> pa.Array:
        """Return a column of these values, None as null; raises `Unfit` for a value of another type."""

    @abstractmethod
    def decode(self, column: pa.Array) -> list[Any]:
        """Return the values of a column that `encode` made."""


@dataclass(frozen=True, slots=True)
class Plain(Form):
    """Form of a text, number, truth value or byte string."""

    kind: type

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.type_for_alias(_PLAIN[self.kind])

    def encode(self, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa

        try:
            plain = [None if value is None else self._checked(value) for value in values]
            return pa.array(plain, self.arrow_type(), from_pandas=False)
        except UnicodeEncodeError:
            raise Unfit("text that UTF-8 can carry") from None
        except (OverflowError, pa.ArrowException):
            raise Unfit(f"a value that fits {self.arrow_type()}") from None

    def decode(self, column: pa.Array) -> list[Any]:
        found: list[Any] = column.to_pylist()
        return found

    def _checked(self, value: Any) -> Any:
        if self.kind is int and hasattr(value, "__index__"):
            return operator.index(value)
        if self.kind is float and isinstance(value, float | np.floating):
            return float(value)
        if self.kind is float and isinstance(value, int | np.integer):
            if int(float(value)) == int(value):
                return float(value)
        elif self.kind is bool and isinstance(value, bool | np.bool_):
            return bool(value)
        elif self.kind is str and isinstance(value, str):
            return str(value)
        elif self.kind is bytes and isinstance(value, bytes):
            return value
        raise Unfit(f"{self.kind.__name__}")


@dataclass(frozen=True, slots=True)
class Items(Form):
    """Form of a tuple or list of values of one type."""

    kind: type
    item: Form
    nullable: bool
    count: int | None = None

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.list_(pa.field("element", self.item.arrow_type(), nullable=self.nullable))

    def encode(self, values: Sequence[Any]) -> pa.Array:
        for value in values:
            self._check(value)
        flat = [item for value in values if value is not None for item in value]
        return listed(self.arrow_type(), self.item.encode(flat), values)

    def decode(self, column: pa.Array) -> list[Any]:
        cells, places = unlisted(column)
        items = self.item.decode(cells)
        return [None if place is None else self.kind(items[place]) for place in places]

    def _check(self, value: Any) -> None:
        if value is None:
            return
        if not isinstance(value, list | tuple):
            raise Unfit(f"a {self.kind.__name__}")
        if self.count is not None and len(value) != self.count:
            raise Unfit(f"{self.count} items")
        if not self.nullable and any(item is None for item in value):
            raise Unfit("no None among its items")


@dataclass(frozen=True, slots=True)
class Mixed(Form):
    """Form of a tuple of values of different types."""

    items: tuple[tuple[Form, bool], ...]

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.struct([pa.field(f"_{n}", form.arrow_type()) for n, (form, _) in enumerate(self.items)])

    def encode(self, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa

        for value in values:
            if value is not None and (not isinstance(value, tuple) or len(value) != len(self.items)):
                raise Unfit(f"a tuple of {len(self.items)} items")
        columns = []
        for n, (form, nullable) in enumerate(self.items):
            if not nullable and any(value is not None and value[n] is None for value in values):
                raise Unfit("no None among its items")
            columns.append(form.encode([None if value is None else value[n] for value in values]))
        return pa.StructArray.from_arrays(columns, fields=list(self.arrow_type()), mask=_nulls(values))

    def decode(self, column: pa.Array) -> list[Any]:
        parts = [form.decode(column.field(n)) for n, (form, _) in enumerate(self.items)]
        rows = zip(*parts, strict=True)
        return [row if valid else None for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Rows(Form):
    """Form of an array of which only the first axis varies in length."""

    dtype: str
    first: str | int
    inner: tuple[int, ...]

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.list_(pa.field("element", self._row_type(), nullable=False))

    def encode(self, values: Sequence[Any]) -> pa.Array:
        for value in values:
            self._check(value)
        given = [value.reshape(-1) for value in values if value is not None]
        flat = np.concatenate(given) if given else np.zeros(0, self.dtype)
        return listed(self.arrow_type(), self._nested(flat), values)

    def decode(self, column: pa.Array) -> list[Any]:
        cells, places = unlisted(column)
        flat = cells
        for _ in self.inner:
            flat = flat.flatten()
        rows = flat.to_numpy(zero_copy_only=False).astype(self.dtype, copy=False)
        rows = rows.reshape(len(cells), *self.inner)
        return [None if place is None else rows[place].copy() for place in places]

    def _row_type(self) -> pa.DataType:
        return _nested_type(self.dtype, self.inner)

    def _nested(self, flat: NDArray[Any]) -> pa.Array:
        """Return the numbers in lists of fixed size, one for each axis behind the first."""
        import pyarrow as pa

        column, kinds = pa.array(flat, from_pandas=False), [self._row_type()]
        for _ in self.inner[1:]:
            kinds.append(kinds[-1].value_type)
        for kind in reversed(kinds[: len(self.inner)]):
            column = pa.FixedSizeListArray.from_arrays(column, type=kind)
        return column

    def _check(self, value: Any) -> None:
        if value is None:
            return
        axes = (self.first, *self.inner)
        fits = isinstance(value, np.ndarray) and value.dtype == np.dtype(self.dtype) and value.ndim == len(axes)
        if not fits or any(isinstance(n, int) and n != got for n, got in zip(axes, value.shape, strict=True)):
            raise Unfit(f"an array {self.dtype} {Shape(*axes)}")


@dataclass(frozen=True, slots=True)
class AnyArray(Form):
    """Form of an array of any shape."""

    dtype: str = ""
    """declared dtype, empty where there is none; the column stores that of each value"""

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.struct(
            [("dtype", pa.string()), ("shape", pa.list_(pa.field("element", pa.int64()))), ("data", pa.large_binary())]
        )

    def encode(self, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa

        for value in values:
            if value is not None and not (isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS):
                raise Unfit("an array of numbers")
        if all(value is None for value in values):
            return pa.nulls(len(values), self.arrow_type())
        kinds = [None if value is None else value.dtype.str for value in values]
        shapes = [None if value is None else list(value.shape) for value in values]
        data = [None if value is None else value.tobytes() for value in values]
        fields = list(self.arrow_type())
        columns = [pa.array(part, field.type) for part, field in zip((kinds, shapes, data), fields, strict=True)]
        return pa.StructArray.from_arrays(columns, fields=fields, mask=_nulls(values))

    def decode(self, column: pa.Array) -> list[Any]:
        kinds, shapes = column.field("dtype").to_pylist(), column.field("shape").to_pylist()
        data, valid = column.field("data").to_pylist(), column.is_valid().to_pylist()
        return [
            np.frombuffer(data[n], np.dtype(kinds[n])).reshape(shapes[n]).copy() if valid[n] else None
            for n in range(len(valid))
        ]


@cache
def _nested_type(dtype: str, axes: tuple[int, ...]) -> pa.DataType:
    """Return the type of one row with these axes."""
    import pyarrow as pa

    kind = pa.from_numpy_dtype(np.dtype(dtype))
    for length in reversed(axes):
        kind = pa.list_(pa.field("element", kind, nullable=False), length)
    return kind


def listed(kind: pa.DataType, items: pa.Array, values: Sequence[Any]) -> pa.Array:
    """Return a list column of this type: `items` are those of all values one after the other."""
    import pyarrow as pa

    bounds = np.cumsum([0, *(0 if value is None else len(value) for value in values)])
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), items, type=kind, mask=_nulls(values))


def unlisted(column: pa.Array) -> tuple[pa.Array, list[slice | None]]:
    """Return the items of all lists of a column, and the span of each list, None for a null."""
    bounds, valid = column.offsets.to_pylist(), column.is_valid().to_pylist()
    first = bounds[0]
    cells = column.values.slice(first, bounds[-1] - first)  # a column may be a part of a longer one
    places = zip(bounds, bounds[1:], valid, strict=False)
    return cells, [slice(start - first, stop - first) if there else None for start, stop, there in places]


def _nulls(values: Sequence[Any]) -> pa.Array | None:
    import pyarrow as pa

    return pa.array([value is None for value in values], pa.bool_()) if any(v is None for v in values) else None


def form_of(annotation: Any, shape: Shape | None = None) -> tuple[Form, bool]:
    """Return the form of an annotation, and whether it may be None; raises `Unmapped` if it has none."""
    annotation = _without_alias(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        found = [part for part in args[1:] if isinstance(part, Shape)]
        return form_of(args[0], found[0] if found else shape)
    if origin in (typing.Union, types.UnionType):
        others = [arg for arg in args if arg is not type(None)]
        if len(others) == 1:
            return form_of(others[0], shape)[0], True
    if origin is Literal and len({type(arg) for arg in args}) == 1:
        return form_of(type(args[0]))
    if isinstance(annotation, type) and annotation in _PLAIN:
        return Plain(annotation), False
    if origin in (tuple, list) and args and args != ((),):
        return _items(origin, args), False
    if origin is np.ndarray or annotation is np.ndarray:
        return _array(args, shape), False
    raise Unmapped(annotation)


def _without_alias(annotation: Any) -> Any:
    """Return what an alias (`type X = ...`) stands for, as `NDArray` is one from NumPy 2.5 on; others as they are."""
    args = typing.get_args(annotation)
    alias = typing.get_origin(annotation) if args else annotation
    if not (hasattr(alias, "__type_params__") and hasattr(alias, "__value__")):
        return annotation
    return _without_alias(alias.__value__[args] if args else alias.__value__)


def _items(kind: type, args: tuple[Any, ...]) -> Form:
    if kind is list or args[-1] is Ellipsis:
        return Items(kind, *form_of(args[0]))
    forms = tuple(form_of(arg) for arg in args)
    return Items(kind, *forms[0], len(forms)) if len(set(forms)) == 1 else Mixed(forms)


def _array(args: tuple[Any, ...], shape: Shape | None) -> Form:
    kind = next(iter(typing.get_args(args[1])), None) if len(args) == 2 else None
    dtype = _LISTED.get(kind, "") if isinstance(kind, type) else ""
    first, *inner = shape.axes if shape is not None else ("", "")
    if not dtype or any(isinstance(axis, str) for axis in inner):
        return AnyArray(dtype)
    return Rows(dtype, first, tuple(axis for axis in inner if isinstance(axis, int)))


__all__ = [
    "AnyArray",
    "Form",
    "Items",
    "Mixed",
    "Plain",
    "Rows",
    "Shape",
    "Unfit",
    "Unmapped",
    "form_of",
    "listed",
    "unlisted",
]
