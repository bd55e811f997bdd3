"""Format of an index, the row at which each of its Annoy files is first used, and the writer's lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamproc import PluginError
from streamproc_plugins.storage import write_private

VERSION = 1
FILE = "index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlan:
    """The Annoy file of a segment, and the row from which on it is used."""

    dim: int
    segment: int
    trees: int
    changed: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """generation and row by segment, where they aren't 0 and half a segment behind its end"""

    def generation(self, number: int) -> int:
        """Number of removals from the segment after it was full."""
        return self.changed.get(number, (0, 0))[0]

    def due(self, number: int) -> int:
        """The row count from which on the segment is searched by its Annoy file."""
        usual = (number + 1) * self.segment + self.segment // 2
        return self.changed[number][1] if number in self.changed else usual

    def with_due(self, number: int, due: int) -> IndexPlan:
        """The same with another row for a segment."""
        return replace(self, changed={**self.changed, number: (self.generation(number), due)})

    def next_generation(self, number: int, due: int) -> IndexPlan:
        """The same with a new file for a segment."""
        return replace(self, changed={**self.changed, number: (self.generation(number) + 1, due)})


class Manifest:
    """`index.json` of a folder, written in one step."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def load(self, wanted: IndexPlan, *, write: bool) -> IndexPlan:
        """The folder's plan, or `wanted` for a new one. Raises `PluginError` for another version or vector length."""
        if not self._path.is_file():
            if write:
                self.save(wanted)
            return wanted
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            changed = {int(number): (int(g), int(due)) for number, (g, due) in stored["changed"].items()}
            version, dim = stored["version"], int(stored["dim"])
            plan = IndexPlan(dim=dim, segment=int(stored["segment"]), trees=int(stored["trees"]), changed=changed)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PluginError(f"{self._path} can't be read; it isn't an index's, or was damaged") from None
        if version != VERSION or plan.dim != wanted.dim:
            raise PluginError(
                f"{self._path.parent} holds an index of version {version} for vectors of {plan.dim} values, expected "
                f"{VERSION} and {wanted.dim}: embeddings of another net need a folder of their own"
            )
        return plan

    def save(self, plan: IndexPlan) -> None:
        """Write it; a crash leaves the old one."""
        content = {
            "version": VERSION,
            "dim": plan.dim,
            "segment": plan.segment,
            "trees": plan.trees,
            "changed": {str(number): list(pair) for number, pair in sorted(plan.changed.items())},
        }
        write_private(self._path, json.dumps(content).encode())


class Lock:
    """The right to write into a folder; the system takes it back when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Raises `PluginError` where another process has it."""
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise PluginError(
                f"{folder} is being written by another run or stream; give each a folder of its own, or open it to read"
            ) from None

    def release(self) -> None:
        """Let others write."""
        os.close(self._file)
