"""`streamproc models ...`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamproc.cli.console import console, out, say, show, table
from streamproc.errors import counted
from streamproc.models import DownloadProgress, ModelStore, add, list_models, pull, verify

if TYPE_CHECKING:
    from collections.abc import Iterator


def list_all(task: str) -> None:
    """Every model of the list and of one's own."""
    rows = []
    for status in list_models(ModelStore()):
        entry = status.entry
        if task and entry.task != task:
            continue
        size = f"{entry.total_bytes / 1e6:.1f}" if entry.total_bytes else ""
        place = str(status.place) if status.place else ("to download" if status.available else "not to be had")
        rows.append((entry.name, entry.task, entry.runtime, size, place, entry.licence, entry.note))
    show(table("name", "task", "runtime", "MB#", "where", "licence", "note", rows=rows), stdout=True)


@contextmanager
def download_bar() -> Iterator[DownloadProgress]:
    """A progress bar over downloads."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console(), transient=True) as bars:
        tasks: dict[str, int] = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total or None)
            bars.update(tasks[name], completed=done, total=total or None)  # type: ignore[arg-type]

        yield progress


def pull_all(names: Sequence[str]) -> None:
    """Fetch what isn't here yet."""
    with download_bar() as progress:
        found = pull(ModelStore(), names, progress)
    for name, paths in found.items():
        out(f"{name}: {', '.join(map(str, paths))}")


def add_one(folder: Path) -> None:
    """Take a model folder into the store."""
    entry = add(ModelStore(), folder)
    out(f"{entry.name} can now be used by its name")


def verify_all(names: Sequence[str]) -> int:
    """Compare checksums; the exit code."""
    verdicts = verify(ModelStore(), names)
    for verdict in verdicts:
        out(f"{verdict.model}: {verdict.path.name}: {verdict.fault or 'right'}")
    wrong = sum(verdict.fault is not None for verdict in verdicts)
    say(f"{counted(len(verdicts) - wrong, 'file')} right, {wrong} wrong")
    return 1 if wrong else 0


__all__ = ["add_one", "download_bar", "list_all", "pull_all", "verify_all"]
