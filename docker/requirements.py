"""Print the dependencies of pyproject.toml, one a line: `requirements.py NAME=OTHER ...` swaps distributions."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def swapped(requirement: str, names: dict[str, str]) -> str:
    """`requirement` with its distribution's name replaced where `names` says so, versions kept."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    if name is None:
        raise ValueError(f"{requirement!r} doesn't start with the name of a distribution")
    return names.get(name[0], name[0]) + requirement[name.end() :]


def main(pairs: list[str]) -> None:
    """Write to standard output."""
    names = dict(pair.split("=", 1) for pair in pairs)
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.writelines(swapped(requirement, names) + "\n" for requirement in project["dependencies"])


if __name__ == "__main__":
    main(sys.argv[1:])
