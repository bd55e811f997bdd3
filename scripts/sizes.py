"""List functions, modules and classes that are too large: `sizes.py FOLDER ...`; exit status 1 if there are any."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

BODY_LINES = 40
"""most lines of a function's body, its docstring left out"""
MODULE_LINES = 400
FIELDS = 10
"""most attributes that a class in `FIELDS_IN` sets on itself; plain data, a dataclass, may have more"""
FIELDS_IN = ("chain", "delivery", "engine")


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def too_large(path: Path) -> Iterator[str]:
    """One sentence for each thing in this file that is over a limit."""
    text = path.read_text(encoding="utf-8")
    count = text.count("\n")
    if count > MODULE_LINES:
        yield f"{path}:1: module of {count} lines, at most {MODULE_LINES}; split it by what its parts are about"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > BODY_LINES:
            yield f"{path}:{node.lineno}: {node.name} has a body of {body_lines(node)} lines, at most {BODY_LINES}"


def fields_of(cls: ast.ClassDef) -> set[str]:
    """Attributes that the methods of a class set on `self`."""
    return {
        node.attr
        for node in ast.walk(cls)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def crowded(path: Path) -> Iterator[str]:
    """One sentence for each class in this file that has too many fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and len(fields_of(node)) > FIELDS:
            count = len(fields_of(node))
            yield f"{path}:{node.lineno}: class {node.name} has {count} fields, at most {FIELDS}; split it"


def main(folders: list[str]) -> int:
    """Print what is too large."""
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    found = [line for path in paths for line in too_large(path)]
    found += [line for path in paths if path.parent.name in FIELDS_IN for line in crowded(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
