"""`streamproc plugins new NAME`: a plugin package with its test, from a template."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from streamproc.cli.console import out
from streamproc.errors import StreamprocError, writing
from streamproc.registry import Registry

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "example.yaml": "example.yaml",
    "plugin.py": "src/$package/__init__.py",
    "test_plugin.py": "tests/test_$package.py",
}


def make_package(name: str, into: Path | None) -> Path:
    """Make the package in `into` (default: a new folder of that name here); refuses to write over anything."""
    if not _NAME.fullmatch(name):
        raise StreamprocError(f"{name!r} can't name a plugin: use lower-case words and dashes, such as dark-picture")
    words = re.split("[-_]", name)
    package = "_".join(words)
    if keyword.iskeyword(package) or package in Registry().names("plugin") or find_spec(package) is not None:
        raise StreamprocError(
            f"{name!r} is taken: by Python, an installed package or an installed plugin; choose another"
        )
    cls = "".join(word.capitalize() for word in words)
    values = {"dist": "-".join(words), "plugin": package, "package": package, "cls": cls}
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
        text = (files(__package__) / "template" / f"{template}.tmpl").read_text(encoding="utf-8")
        path = root / Template(target).substitute(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(values), encoding="utf-8")
    (root / "src" / values["package"] / "py.typed").touch()


__all__ = ["make_package"]
