"""Tell functions and modules that have grown too large: `sizes.py FOLDER ...`; exit status 1 if there are any."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

BODY_LINES = 40
"""most lines of a function's body, its docstring left out"""
MODULE_LINES = 400


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


def main(folders: list[str]) -> int:
    """Print what is too large."""
    found = [line for folder in folders for path in sorted(Path(folder).rglob("*.py")) for line in too_large(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
