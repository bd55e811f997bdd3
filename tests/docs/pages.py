"""Reads the code blocks of a Markdown page, each with the marks that stand before it.

A mark is an HTML comment on the line before the block:

- `<!-- file: NAME -->` the block is the content of this file, in the page's own folder
- `<!-- run -->` the lines that begin with `$ ` are run in that folder and must succeed; `<!-- run: 4 -->` says which
  exit code the last one has. Lines below a command must occur in its output, in this order; `...` stands for anything.
- `<!-- net -->` Python that needs a net and a clip `match.mp4`: it runs where the nets are
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.machine import REPOSITORY

_BLOCK = re.compile(
    r"^(?:<!-- *(?P<mark>(?:file|run|net)\b[^>]*?) *-->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    mark: str
    line: int
    """1-based, of the first line inside"""

    @property
    def file(self) -> str:
        """The name of the file whose content it is, else empty."""
        return self.mark.removeprefix("file:").strip() if self.mark.startswith("file:") else ""

    @property
    def exit_code(self) -> int | None:
        """What its last command ends with, or None where nothing is to be run."""
        if not self.mark.startswith("run"):
            return None
        return int(self.mark.partition(":")[2] or 0)

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command and the lines that are shown below it."""
        lines = self.text.splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
            shown = [line.rstrip() for line in lines[start + 1 : end] if line.strip()]
            yield lines[start][2:].split("  #")[0].strip(), shown


@cache
def pages() -> tuple[Path, ...]:
    """Every page that is checked, relative to the repository."""
    others = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md", "plugins/example/README.md")
    found = [*REPOSITORY.glob("docs/**/*.md"), *(REPOSITORY / name for name in others)]
    return tuple(sorted(path.relative_to(REPOSITORY) for path in found))


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page in order."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [
        Block(
            language=found["language"],
            text=found["text"],
            mark=found["mark"] or "",
            line=text[: found.start("text")].count("\n") + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


__all__ = ["Block", "blocks", "pages"]
