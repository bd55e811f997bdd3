"""Sample footage: a list with addresses, checksums and licences, found and fetched as models are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from streamproc.errors import DownloadError, ModelError
from streamproc.models import DownloadProgress, ModelEntry, cache_folder, no_progress
from streamproc.models.download import fetch
from streamproc.models.files import sha256_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One clip that anybody may use."""

    name: str
    file: str
    url: str
    sha256: str
    bytes: int
    licence: str
    credit: str
    source: str
    note: str


def samples() -> dict[str, Sample]:
    """The list, by name."""
    listed: list[dict[str, Any]] = json.loads((files(__package__) / "samples.json").read_text("utf-8"))["samples"]
    return {entry["name"]: Sample(**entry) for entry in listed}


def find_sample(sample: Sample, progress: DownloadProgress = no_progress) -> Path:
    """The clip's file: from a folder of `STREAMPROC_SAMPLES`, the cache, or its address.

    Raises `ModelError` (checksum, no network within seconds) as a model's download does.
    """
    for folder in filter(None, os.environ.get("STREAMPROC_SAMPLES", "").split(os.pathsep)):
        path = Path(folder) / sample.file
        if path.is_file() and path.stat().st_size == sample.bytes and sha256_of(path) == sample.sha256:
            return path
    target = cache_folder() / "samples" / sample.file
    if target.is_file() and sha256_of(target) == sample.sha256:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"{target.parent} can't be made: {error.strerror}; set STREAMPROC_CACHE to a writable folder"
        ) from error
    # a sample is fetched as a model's file is: resumed, checked, by one process at a time
    entry = ModelEntry.model_validate({
        "name": sample.name, "task": "sample", "runtime": "arrays", "licence": sample.licence,
        "files": [{"name": sample.file, "url": sample.url, "sha256": sample.sha256, "bytes": sample.bytes}],
    })  # fmt: skip
    try:
        return fetch(entry, entry.files[0], target, progress)
    except ModelError as error:
        sentence = str(error).replace("the model ", "the clip ").replace("STREAMPROC_MODELS", "STREAMPROC_SAMPLES")
        raise type(error)(sentence) from error


__all__ = ["Sample", "find_sample", "samples"]
