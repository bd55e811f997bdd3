"""Results as Arrow tables: a schema from the fields alone, and what is read back equals what was written."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pytest
import typing_extensions
from numpy.typing import NDArray

import streamproc
import streamproc_plugins
from streamproc import (
    Caption,
    Classification,
    Detections,
    Faces,
    FramePlugin,
    Options,
    Output,
    PluginError,
    Poses,
    Replacement,
    Result,
    Results,
    Segmentation,
    Shape,
    Tracks,
)  # fmt: skip
from streamproc.arrow import batch_of, results_of
from streamproc.plugin import check_plugin
from streamproc.shots import Shot
from streamproc_plugins.action.results import AttentionMap, TrackActions
from streamproc_plugins.faces.results import FaceAttributes, FaceClusters, FaceTracks, NamedFaces
from streamproc_plugins.rules.view import RuleView
from streamproc_plugins.search.results import Embedding
from streamproc_plugins.segmentation.results import ClassAreas, Foreground
from streamproc_plugins.tracking.results import CameraMotion, Embeddings

if TYPE_CHECKING:
    from decimal import Decimal

Rng = np.random.Generator

ODD = np.array(
    [0x00000001, 0x80000000, 0x007FFFFF, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC00123, 0xFFC00001],
    np.uint32,
).view(np.float32)
"""subnormal numbers, minus zero, the largest, infinities, and NaNs with different bits"""
WORDS = ("", "person", "Zoë ☂", "a\0b", "line\nbreak", "☂" * 40)


def words(rng: Rng, count: int) -> tuple[str, ...]:
    return tuple(WORDS[n] for n in rng.integers(0, len(WORDS), count))


def floats(rng: Rng, *shape: int) -> NDArray[np.float32]:
    """Finite numbers of every size, subnormal ones among them."""
    bits = rng.integers(0, 2**31, shape, dtype=np.uint32)
    found = bits.view(np.float32)
    return np.where(np.isfinite(found), found, np.float32(1e-45)).astype(np.float32)


def scores(rng: Rng, *shape: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.minimum(rng.random(shape, np.float32), floats(rng, *shape))
    return found


def units(rng: Rng, *shape: int) -> NDArray[np.float32]:
    found = rng.normal(size=shape)
    return np.asarray((found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32), np.float32)


def whole(rng: Rng, *shape: int) -> NDArray[np.int64]:
    return rng.integers(-(2**63), 2**63 - 1, shape, dtype=np.int64)


def boxes(rng: Rng, count: int) -> NDArray[np.float32]:
    corners = np.sort(floats(rng, count, 2, 2), axis=1)
    return corners.reshape(count, 4)


def sometimes(rng: Rng, value: Any) -> Any:
    return value if rng.random() < 0.6 else None


def detections(rng: Rng, count: int) -> dict[str, Any]:
    return {
        "xyxy": boxes(rng, count),
        "score": scores(rng, count),
        "class_id": whole(rng, count),
        "label": words(rng, count),
        "masks": sometimes(rng, rng.random((count, *rng.integers(0, 5, 2))) < 0.5),
        "embeddings": sometimes(rng, floats(rng, count, int(rng.integers(0, 5)))),
        "operating_score": sometimes(rng, float(rng.uniform(0.01, 0.99))),
    }


def tracks(rng: Rng, count: int) -> dict[str, Any]:
    return {
        **detections(rng, count),
        "track_id": np.array(rng.permutation(count), np.int64),
        "state": tuple(("tentative", "confirmed", "lost")[n] for n in rng.integers(0, 3, count)),
        "velocity": floats(rng, count, 2),
        "age_ns": whole(rng, count),
    }


def faces(rng: Rng, count: int) -> dict[str, Any]:
    return {
        "xyxy": boxes(rng, count),
        "score": scores(rng, count),
        "landmarks": floats(rng, count, 5, 2),
        "embeddings": sometimes(rng, units(rng, count, 3)),
        "cluster": sometimes(rng, words(rng, count)),
        "refused": sometimes(rng, words(rng, count)),
        "strangers": sometimes(rng, tuple(rng.random(2).tolist())),
    }


def face_tracks(rng: Rng, count: int) -> dict[str, Any]:
    ids = {name: whole(rng, count) for name in ("track_id", "age_ns", "looks", "unsure_ns")}
    return {**faces(rng, count), **ids, "templates": sometimes(rng, units(rng, count, 3))}


def rule_view(rng: Rng, count: int) -> dict[str, Any]:
    start = np.cumsum([0, *rng.integers(0, 4, count)], dtype=np.int64)
    return {
        "zone": words(rng, count),
        "zone_points": floats(rng, int(start[-1]), 2),
        "zone_start": start,
        "occupancy": whole(rng, count),
        "line": words(rng, count),
        "line_points": floats(rng, int(start[-1]), 2),
        "line_start": start.copy(),
        "crossings": whole(rng, count, 2),
        "direction": words(rng, 2 * count),
    }


def labelled(rng: Rng, count: int) -> dict[str, Any]:
    return {"label": words(rng, count), "score": scores(rng, count), "class_id": whole(rng, count)}


MAKERS: dict[type[Result], Callable[[Rng, int], dict[str, Any]]] = {
    Detections: detections,
    Tracks: tracks,
    Classification: labelled,
    TrackActions: lambda rng, n: {**labelled(rng, n), "track_id": whole(rng, n)},
    Segmentation: lambda rng, n: {
        "class_map": rng.integers(0, n + 1, rng.integers(0, 6, 2), dtype=np.uint8), "labels": words(rng, n + 1)
    },
    Poses: lambda rng, n: {
        "keypoints": floats(rng, n, 17, 3), "score": scores(rng, n), "track_id": sometimes(rng, whole(rng, n))
    },
    Faces: faces,
    FaceTracks: face_tracks,
    NamedFaces: face_tracks,
    FaceClusters: face_tracks,
    FaceAttributes: lambda rng, n: {
        "heads": ("age", "gender"), "labels": tuple("\n".join("ab"[k % 2] for k in range(n)) for _ in range(2)),
        "score": scores(rng, n, 2),
    },
    Caption: lambda rng, n: {"text": words(rng, 1)[0], "score": sometimes(rng, float(rng.random()))},
    Replacement: lambda rng, n: {"rgb": rng.integers(0, 256, (n, 4, 3), dtype=np.uint8)},
    AttentionMap: lambda rng, n: {"weights": floats(rng, n, 2, 3), "region": tuple(rng.random(4).tolist())},
    RuleView: rule_view,
    Embedding: lambda rng, n: {"values": units(rng, n + 1), "model": words(rng, 1)[0]},
    Embeddings: lambda rng, n: {"values": floats(rng, n, 3), "strangers": sometimes(rng, float(rng.random()) - 0.5)},
    ClassAreas: lambda rng, n: {"label": words(rng, n), "area": scores(rng, n)},
    Foreground: lambda rng, n: {"mask": rng.random((n, 3)) < 0.5, "label": words(rng, n)},
    Shot: lambda rng, n: {"number": n + 1, "start_ns": int(rng.integers(2**62)), "kind": "cut", "blank": n % 2 == 0},
    CameraMotion: lambda rng, n: {
        "affine": floats(rng, 2, 3).astype(np.float64) / 3, "dt_ns": n + 1, "support": float(rng.random())
    },
}  # fmt: skip


def declared(package: ModuleType) -> Iterator[type[Result]]:
    """Every result class of a package."""
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    pending = [Result]
    while pending:
        for cls in pending.pop().__subclasses__():
            pending.append(cls)
            # dataclass(slots=True) leaves a first class behind that is no longer the module's
            there = getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
            if there and cls.__module__.split(".")[0] == package.__name__:
                yield cls


def bits(value: Any) -> Any:
    """A value in a form that compares bit for bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, tuple | list):
        return type(value), [bits(item) for item in value]
    return type(value), np.float64(value).tobytes() if isinstance(value, float) else value


def same(first: Result, second: Result) -> bool:
    names = [field.name for field in dataclasses.fields(first)]  # type: ignore[arg-type]
    return type(first) is type(second) and all(bits(getattr(first, n)) == bits(getattr(second, n)) for n in names)


def test_every_result_class_is_covered_here() -> None:
    assert {*declared(streamproc), *declared(streamproc_plugins)} == set(MAKERS)


@pytest.mark.parametrize("cls", MAKERS, ids=lambda cls: cls.__name__)
def test_results_read_back_equal_what_was_written(cls: type[Result]) -> None:
    rng = np.random.default_rng(7)
    written = [cls(**MAKERS[cls](rng, count)) for count in (0, 1, 2, 5) for _ in range(20)]
    for result in written:
        assert same(cls.from_arrow(result.to_arrow()), result)
    together = batch_of(cls, written)
    assert all(map(same, results_of(cls, together), written))
    assert all(map(same, results_of(cls, together.slice(17, 30)), written[17:47]))


@pytest.mark.parametrize("cls", MAKERS, ids=lambda cls: cls.__name__)
def test_schemas_follow_from_fields_alone(cls: type[Result]) -> None:
    rng = np.random.default_rng(3)
    schema = cls.arrow_schema()
    assert schema.metadata == {b"streamproc.schema": cls.schema.encode()}
    assert "null" not in [str(field.type) for field in schema]
    for count in (0, 1, 4):
        assert cls(**MAKERS[cls](rng, count)).to_arrow().schema.equals(schema, check_metadata=True)


def test_boxes_are_lists_of_four() -> None:
    schema = Detections.arrow_schema()
    assert schema.field("xyxy").type.value_type.list_size == 4
    assert schema.field("label").type.value_type == pa.string()
    assert [name for name in schema.names if schema.field(name).nullable] == ["masks", "embeddings", "operating_score"]


def random_field(rng: Rng, depth: int = 0) -> tuple[Any, Callable[[], Any]]:
    """An annotation that a stranger may write, and a maker of its values."""
    kinds = ["text", "whole", "number", "truth", "bytes", "array", "row", "fixed", "any", "choice"]
    if depth < 2:
        kinds += ["tuple", "pair", "mixed", "list", "optional"]
    kind = kinds[rng.integers(len(kinds))]
    if kind in ("tuple", "pair", "list", "optional"):
        inner, make = random_field(rng, depth + 1)
        made: dict[str, tuple[Any, Callable[[], Any]]] = {
            "tuple": (types.GenericAlias(tuple, (inner, ...)), lambda: tuple(make() for _ in range(rng.integers(4)))),
            "pair": (types.GenericAlias(tuple, (inner, inner)), lambda: (make(), make())),
            "list": (types.GenericAlias(list, (inner,)), lambda: [make() for _ in range(rng.integers(4))]),
            "optional": (inner | None, lambda: sometimes(rng, make())),
        }
        return made[kind]
    dtype = np.dtype(("?", "i1", "u2", "i4", "u8", "f4", "f8")[rng.integers(7)])
    typed: Any = NDArray[dtype.type]  # type: ignore[name-defined]

    def array(*shape: int) -> NDArray[Any]:
        size = int(np.prod(shape)) * dtype.itemsize
        raw = np.frombuffer(rng.bytes(size), np.uint8)
        return (raw % 2 if dtype.kind == "b" else raw).view(dtype).reshape(shape)

    def length() -> int:
        return int(rng.integers(0, 4))

    return {
        "text": (str, lambda: words(rng, 1)[0]),
        "whole": (int, lambda: int(whole(rng, 1)[0])),
        "number": (float, lambda: float(ODD[rng.integers(len(ODD))])),
        "truth": (bool, lambda: bool(rng.random() < 0.5)),
        "bytes": (bytes, lambda: rng.bytes(length())),
        "choice": (Literal["a", "b"], lambda: "ab"[rng.integers(2)]),
        "mixed": (tuple[str, int | None], lambda: (words(rng, 1)[0], sometimes(rng, 4))),
        "array": (typed, lambda: array(*(length() for _ in range(length())))),
        "any": (NDArray[Any], lambda: np.frombuffer(rng.bytes(6), ">f2")),
        "row": (Annotated[typed, Shape("N")], lambda: array(length())),
        "fixed": (Annotated[typed, Shape("N", 2, 3)], lambda: array(length(), 2, 3)),
    }[kind]


def test_a_strangers_results_read_back_equal() -> None:
    rng = np.random.default_rng(11)
    for number in range(150):
        made = {f"f{n}": random_field(rng) for n in range(1 + number % 6)}
        cls: Any = dataclasses.make_dataclass(
            f"Stranger{number}", [(name, hint) for name, (hint, _) in made.items()], bases=(Result,),
            namespace={"schema": f"stranger.{number}/1"}, frozen=True, kw_only=True, eq=False,
        )  # fmt: skip
        written = [cls(**{name: make() for name, (_, make) in made.items()}) for _ in range(8)]
        for result in written:
            assert same(cls.from_arrow(result.to_arrow()), result), (made, result)
        assert all(map(same, results_of(cls, batch_of(cls, written)), written)), made


def test_odd_floats_keep_their_bits() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
    class Odd(Result):
        schema: ClassVar[str] = "tests.odd/1"
        values: Annotated[NDArray[np.float32], Shape("N")]
        pairs: tuple[tuple[float, float], ...]

    odd = Odd(values=ODD, pairs=tuple((float(value), -0.0) for value in ODD))
    assert same(Odd.from_arrow(odd.to_arrow()), odd)


def test_none_and_empty_stay_apart() -> None:
    none = Detections.empty()
    empty = dataclasses.replace(none, masks=np.zeros((0, 3, 4), np.bool_), embeddings=np.zeros((0, 7), np.float32))
    for result in (none, empty):
        assert same(Detections.from_arrow(result.to_arrow()), result)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Level(Result):
    schema: ClassVar[str] = "tests.level/1"
    level: float
    names: tuple[str, ...] = ()
    row: Annotated[NDArray[np.float32], Shape("N", 2)] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Priced(Result):
    schema: ClassVar[str] = "tests.priced/1"
    price: complex


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Late(Result):
    schema: ClassVar[str] = "tests.late/1"
    price: Decimal


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OwnForm(Result):
    schema: ClassVar[str] = "tests.own-form/1"
    price: complex

    @classmethod
    def arrow_schema(cls) -> pa.Schema:
        return pa.schema([("real", pa.float64()), ("imag", pa.float64())], {"streamproc.schema": cls.schema})

    def to_arrow(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([{"real": self.price.real, "imag": self.price.imag}], self.arrow_schema())

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> OwnForm:
        (row,) = batch.to_pylist()
        return cls(price=complex(row["real"], row["imag"]))


class Empty(Result):
    schema = "tests.empty/1"


def plugin_that_gives(*kinds: type[Result]) -> Any:
    class Gives(FramePlugin[Options]):
        """Gives these."""

        gives = kinds

        def process(self, frame: streamproc.Frame, past: Results) -> Output:
            return []

    return Gives


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": "high"}, r"Level\.level is 'high', expected float"),
        ({"level": None}, r"Level\.level is None, expected a value; annotate it `X \| None` if it may be absent"),
        ({"level": 2**53 + 1}, r"Level\.level is 9007199254740993, expected float"),
        ({"level": 1, "names": ("a", None)}, r"Level\.names is \('a', None\), expected no None among its items"),
        ({"level": 1, "names": ("\ud800",)}, r"Level\.names is .*, expected text that UTF-8 can carry"),
        ({"level": 1, "row": np.zeros((1, 2))}, r"Level\.row is an array float64 \(1, 2\), expected an array float32"),
        (
            {"level": 1, "row": np.zeros((1, 3), "f4")},
            r"Level\.row is an array float32 \(1, 3\), expected .*\('N', 2\)",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Level(**wrong).to_arrow()


def test_fields_without_a_form_are_refused_by_name() -> None:
    message = (
        r"Priced\.price is annotated complex, which has no form in an Arrow table; use str, .*override arrow_schema"
    )
    with pytest.raises(PluginError, match=message):
        check_plugin(plugin_that_gives(Priced))
    with pytest.raises(PluginError, match=message):
        Priced(price=1j).to_arrow()
    with pytest.raises(PluginError, match=r"Late\.price is annotated Decimal, of which Decimal is not imported when"):
        check_plugin(plugin_that_gives(Late))


def test_a_class_may_have_its_own_form() -> None:
    check_plugin(plugin_that_gives(OwnForm))
    assert OwnForm.from_arrow(OwnForm(price=3 + 4j).to_arrow()).price == 3 + 4j


def test_a_result_without_fields_has_a_table() -> None:
    check_plugin(plugin_that_gives(Empty))
    assert isinstance(Empty.from_arrow(Empty().to_arrow()), Empty)


def test_tables_of_another_version_are_refused() -> None:
    batch = Caption(text="a").to_arrow()
    with pytest.raises(ValueError, match=r"holds 'streamproc.caption/2', expected 'streamproc.caption/1'"):
        Caption.from_arrow(batch.replace_schema_metadata({"streamproc.schema": "streamproc.caption/2"}))
    with pytest.raises(ValueError, match=r"doesn't have the columns of Caption"):
        Caption.from_arrow(batch.select(["score"]).replace_schema_metadata(batch.schema.metadata))
    with pytest.raises(ValueError, match=r"holds 2 rows, expected 1"):
        Caption.from_arrow(batch_of(Caption, [Caption(text="a"), Caption(text="b")]))


def test_wider_types_of_other_programs_are_read() -> None:
    batch = Detections.of([[0, 1, 2, 3]], [0.5], ["person"]).to_arrow()
    wide = pa.field("label", pa.large_list(pa.large_string()))
    schema = batch.schema.set(batch.schema.get_field_index("label"), wide)
    assert Detections.from_arrow(batch.cast(schema)).label == ("person",)


@pytest.mark.parametrize("axes", [(), (0,), ("N", -1)])
def test_shapes_without_sense_are_refused(axes: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"is no shape; give names and lengths"):
        Shape(*axes)


T = TypeVar("T", bound=np.generic)
Column = typing_extensions.TypeAliasType("Column", np.ndarray[tuple[int, ...], np.dtype[T]], type_params=(T,))
"""an alias as NumPy 2.5 makes of `NDArray` on Python 3.12"""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Aliased(Result):
    schema: ClassVar[str] = "tests.aliased/1"

    level: Annotated[Column[np.float32], Shape("N")]


def test_aliases_of_arrays_have_the_form_of_the_array() -> None:
    given = Aliased(level=np.array([1, 2], np.float32))
    assert Aliased.from_arrow(given.to_arrow()).level.tolist() == [1, 2]
    assert str(Aliased.arrow_schema().field("level").type).startswith("list<")
