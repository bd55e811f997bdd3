"""Model entries: the built-in list and `model.json` manifests, both in one form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from streamproc.errors import ModelError, nearest
from streamproc.wording import got_in_words, in_words

MANIFEST = "model.json"

Runtime = Literal["onnx", "litert", "openvino", "keras", "savedmodel", "arrays"]
Layout = Literal["NCHW", "NHWC", "NDHWC"]
Resize = Literal["letterbox", "stretch", "crop"]
Edit = Literal[
    "onnx_input_size", "onnx_mvn_epsilon", "onnx_focus_conv", "onnx_pool_chain", "onnx_columns", "litert_strip_custom"
]

_HERE = Path(__file__).parent


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFile(_Part):
    """One file of a model."""

    name: str = Field(description="file name in a mirror, the cache or the model's own folder")
    url: str | None = Field(default=None, description="where it can be downloaded; null: only from a mirror")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="checksum of the content")
    bytes: int | None = Field(default=None, ge=1, description="size")

    @field_validator("name")
    @classmethod
    def _inside(cls, name: str) -> str:
        # a manifest from elsewhere must not reach outside its own folder
        if "\\" in name or "\0" in name or any(part in {"", ".", ".."} for part in name.split("/")):
            raise ValueError(f"{name!r} leads out of the model's folder; give a file name")
        return name


class InputSpec(_Part):
    """Conversion of a picture to the net's input: each value is `(pixel - mean) * scale`, pixels 0..255."""

    height: int = Field(ge=1, description="rows in pixels")
    width: int = Field(ge=1, description="columns in pixels")
    layout: Layout = Field(description="order of the axes; N is 1")
    colour: Literal["rgb", "bgr"] = Field(description="order of the channels")
    dtype: Literal["float32", "uint8"] = "float32"
    resize: Resize = Field(default="stretch", description="how another aspect ratio is fitted")
    pad: int = Field(default=114, ge=0, le=255, description="grey level round a letterboxed picture")
    multiple: int | None = Field(
        default=None, ge=1, description="other sizes are allowed in steps of this; null: only this one"
    )
    frames: int | None = Field(default=None, ge=1, description="pictures in a clip, for nets over time")
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.height, self.width)

    @property
    def plain(self) -> bool:
        """True where pixels go in as they are, without mean and scale."""
        return self.mean == (0.0, 0.0, 0.0) and self.scale == (1.0, 1.0, 1.0)


class ScoreSpread(_Part):
    """Cosines between pictures of two different people, taken for normally distributed."""

    mean: float = Field(gt=-1, lt=1, description="of the cosines")
    sd: float = Field(gt=0, lt=1, description="their standard deviation")


class ModelEntry(_Part):
    """A model: its files, input, output and licence."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="what users type; lower case, digits, . _ -")
    task: str = Field(description="such as detection, classification, pose")
    runtime: Runtime
    note: str = Field(default="", description="one line for the list of models")
    decode: str = Field(default="", description="name of the decoder that understands the outputs, such as yolox")
    input: InputSpec | None = None
    labels: str | tuple[str, ...] = Field(
        default=(), description="names by class id, or the name of a list of the package"
    )
    min_score: float | None = Field(
        default=None, ge=0, le=1, description="score below which its answers are mostly wrong"
    )
    strangers: ScoreSpread | None = Field(
        default=None, description="of embeddings: how alike pictures of two different people are"
    )
    edits: tuple[Edit, ...] = Field(default=(), description="changes made in memory when the model is loaded")
    licence: str = "unknown"
    source: str = ""
    files: tuple[ModelFile, ...] = Field(min_length=1, description="the file to load comes first")

    @field_validator("labels")
    @classmethod
    def _known_list(cls, labels: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(labels, str) and labels not in label_lists():
            raise ValueError(f"no label list {labels!r}, expected one of {', '.join(label_lists())}, or the labels")
        return labels

    @property
    def label_names(self) -> tuple[str, ...]:
        """Labels by class id; empty for models without classes."""
        return label_list(self.labels) if isinstance(self.labels, str) else self.labels

    @property
    def total_bytes(self) -> int:
        """Size of all files as far as it is stated."""
        return sum(file.bytes or 0 for file in self.files)


@cache
def label_lists() -> tuple[str, ...]:
    """Names of the label lists that come with the package."""
    return tuple(sorted(path.stem for path in (_HERE / "labels").glob("*.txt")))


@cache
def label_list(name: str) -> tuple[str, ...]:
    """The labels of one list, by class id."""
    return tuple((_HERE / "labels" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def label_ids(label: str, known: Sequence[str]) -> list[int]:
    """Class ids called so: the whole label or one of its synonyms ("tench" of "tench, Tinca tinca").

    A synonym counts only where no class has it as its whole label.
    """
    whole = [i for i, name in enumerate(known) if name == label]
    return whole or [i for i, name in enumerate(known) if label in name.split(", ")]


@cache
def builtin() -> dict[str, ModelEntry]:
    """The built-in list, by name, in the order of the file."""
    listed = json.loads((_HERE / "builtin.json").read_text(encoding="utf-8"))["models"]
    return {entry["name"]: ModelEntry.model_validate(entry) for entry in listed}


def _in_words(mistake: Any) -> str:
    if mistake["type"] == "extra_forbidden":
        return f"unknown key{nearest(str(mistake['loc'][-1]), [*ModelEntry.model_fields, *InputSpec.model_fields])}"
    if mistake["type"] == "missing":
        return "is missing"
    text, got = in_words(mistake), got_in_words(mistake["input"])
    return text + (f", got {got}" if got and "got" not in text else "")


def read_manifest(folder: Path) -> ModelEntry:
    """The entry in `folder`/model.json.

    Raises `ModelError` naming the file and every key that is wrong.
    """
    path = folder / MANIFEST
    try:
        return ModelEntry.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); a model folder needs a {MANIFEST}") from None
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {_in_words(e)}" for e in error.errors(include_url=False)
        )
        raise ModelError(f"{path} is not a model manifest: {mistakes}") from None
