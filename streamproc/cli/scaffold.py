"""`streamproc plugins new NAME`: a package of a plugin, source or sink with its test, from a template."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from streamproc.cli.console import out
from streamproc.errors import StreamprocError, writing
from streamproc.registry import Kind, Registry

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    "workflow.yml": ".github/workflows/test.yml",
    "$kind/example.yaml": "example.yaml",
    "$kind/plugin.py": "src/$package/__init__.py",
    "$kind/test_plugin.py": "tests/test_$package.py",
}


class PackageKind(StrEnum):
    """Kinds of packages that can be made."""

    frame = "frame"
    clip = "clip"
    stream = "stream"
    source = "source"
    sink = "sink"


_GROUPS: Mapping[PackageKind, Kind] = {PackageKind.source: "source", PackageKind.sink: "sink"}

_WORDS: Mapping[PackageKind, Mapping[str, str]] = {
    PackageKind.frame: {
        "what": "plugin",
        "does": "emits `$plugin.seen` for every frame that is darker than `limit`.",
        "options": "| `limit` | 40 | mean grey level (0-255) below which a frame is dark |",
    },
    PackageKind.clip: {
        "what": "plugin",
        "does": "emits `$plugin.seen` for every clip whose brightness changes by more than `depth`.",
        "options": "| `depth` | 20 | grey levels between the brightest and the darkest picture of a clip |\n"
        "| `stride` | 1s | media time between the ends of two clips |",
    },
    PackageKind.stream: {
        "what": "plugin",
        "does": "emits `$plugin.seen` when `every` more tracks have appeared.",
        "options": "| `every` | 1 | emit an event for every so many tracks |",
    },
    PackageKind.source: {
        "what": "source",
        "does": "gives pictures that grow brighter.",
        "options": "| `pictures` | 100 | how many pictures there are |\n"
        "| `rate` | 10 | pictures per second of media time |",
    },
    PackageKind.sink: {
        "what": "sink",
        "does": "appends a line for each event to a file.",
        "options": "| `path` | | the file; lines are appended to it |",
    },
}


def make_package(name: str, into: Path | None, kind: PackageKind = PackageKind.frame) -> Path:
    """Make the package in `into` (default: a new folder of that name here); refuses to write over anything."""
    if not _NAME.fullmatch(name):
        raise StreamprocError(f"{name!r} can't name a plugin: use lower-case words and dashes, such as dark-picture")
    words = re.split("[-_]", name)
    package = "_".join(words)
    group = _GROUPS.get(kind, "plugin")
    if keyword.iskeyword(package) or package in Registry().names(group) or find_spec(package) is not None:
        raise StreamprocError(
            f"{name!r} is taken: by Python, an installed package or an installed plugin; choose another"
        )
    cls = "".join(word.capitalize() for word in words)
    values = {"dist": "-".join(words), "plugin": package, "package": package, "cls": cls, "kind": kind.value}
    values |= {key: Template(text).substitute(values) for key, text in _WORDS[kind].items()} | {"group": f"{group}s"}
    root = into or Path(values["dist"])
    with writing(root):
        if root.exists() and any(root.iterdir()):
            raise StreamprocError(f"{root} isn't empty; choose another folder with --into")
        _fill(root, values)
    out(f"made {root}; now: pip install -e '{root}[test]' && pytest {root}")
    return root


def _fill(root: Path, values: Mapping[str, str]) -> None:
    """Write the templates with these words in them."""
    for template, target in _FILES.items():
        name = Template(template).substitute(values)
        text = (files(__package__) / "template" / f"{name}.tmpl").read_text(encoding="utf-8")
        path = root / Template(target).substitute(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(values), encoding="utf-8")
    (root / "src" / values["package"] / "py.typed").touch()


__all__ = ["PackageKind", "make_package"]
