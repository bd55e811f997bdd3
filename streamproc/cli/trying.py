"""`streamproc try`: one plugin on a clip, without a configuration file."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from streamproc import api
from streamproc.cli.console import out, say, show, table
from streamproc.cli.contact import MOST_TILES, Tile, write_sheet
from streamproc.cli.front import Front, in_front
from streamproc.config.reading import read_text
from streamproc.engine import RunReport
from streamproc.errors import ConfigError, Issue, RunError, counted, writing
from streamproc.record import Record
from streamproc.registry import Registry
from streamproc.report.troubles import troubles

_ROWS = 10
_BRIEF = 60
"""characters of a result in the table"""
_DRAWER = "annotate"
_VIDEO = "drawn.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Names the plugin or chain to try, and the input to try it on."""

    plugin: str
    clip: str
    options: Sequence[str] = ()
    """texts `key=value`"""
    front: Sequence[str] = ()
    """plugins that the user wants in front"""
    rate: float | None = None
    frames: int = 300
    folder: Path = Path("out/try")


@dataclass(slots=True)
class _Found:
    """Holds the results of the plugin. name: of the plugin in the chain."""

    name: str
    tiles: list[Tile] = field(default_factory=list)
    """one for each frame"""
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    """of the table: time, frame, results, events"""
    results: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Note what a record says of the plugin."""
        given = [result for (name, _), result in record.results.items() if name == self.name]
        events = [event for event in record.events if event.plugin == self.name]
        for result in given:
            kind = type(result).__name__
            self.results[kind] += 1
            self.items[kind] += len(result) if hasattr(result, "__len__") else 0
        self.events.update(event.type for event in events)
        full = any(not hasattr(result, "__len__") or len(result) for result in given)
        texts = [brief(result) for result in given]
        types = [event.type if event.phase == "instant" else f"{event.type} ({event.phase})" for event in events]
        if full or events:
            where = str(record.index) if record.is_frame else record.reason
            self.rows.append((f"{record.time:.2f}", where, "; ".join(texts), ", ".join(types)))
        if record.is_frame:
            self.tiles.append(
                Tile(time_s=record.time, text=", ".join((*types, *texts)), weight=2 if events else int(full))
            )

    def shown(self) -> list[tuple[str, str, str, str]]:
        """Rows to show: the first events, and the first results beside them."""
        events = [number for number, row in enumerate(self.rows) if row[-1]][: _ROWS // 2]
        results = [number for number in range(len(self.rows)) if number not in events][: _ROWS - len(events)]
        return [self.rows[number] for number in sorted((*events, *results))]


def run_trial(trial: Trial) -> RunReport:
    """Run the plugin, show what it gives, and write a contact sheet."""
    registry = Registry()
    chain = in_front(registry, trial.plugin, trial.front)
    for line in _chain_lines(trial.plugin, chain):
        say(line)
    with writing(trial.folder), TemporaryDirectory() as temporary:
        trial.folder.mkdir(parents=True, exist_ok=True)
        found, report = _run(trial, [entry.name for entry in chain], Path(temporary))
        _show(found, report)
        if found.tiles and (video := Path(temporary) / _VIDEO).exists():
            sheet = trial.folder / f"{_file_name(trial.plugin)}.png"
            write_sheet(video, found.tiles, sheet)
            out(f"picture: {sheet} ({counted(min(len(found.tiles), MOST_TILES), 'frame')})")
    return report


def _chain_lines(plugin: str, chain: Sequence[Front]) -> Iterator[str]:
    for entry in chain:
        yield f"{entry.name} runs in front: {entry.why}"
    yield "chain: " + " -> ".join((*(entry.name for entry in chain), plugin))


def _run(trial: Trial, front: Sequence[str], temporary: Path) -> tuple[_Found, RunReport]:
    found = _Found(_free_name(trial.plugin, front))
    tried = {"type": trial.plugin, "name": found.name, "options": _options(trial.options), "on_error": "stop"}
    chain: list[Any] = [*front, tried, (_DRAWER, {"path": str(temporary / _VIDEO)})]
    try:
        run = api.run(trial.clip, chain, rate=trial.rate, state=temporary / "state")
    except ConfigError as error:
        issues = [_in_terms_of_the_command(issue, found.name, trial, front) for issue in error.issues]
        raise ConfigError(issues, of="the command") from None
    # a plugin or source that fails, and an impatient user, still get what there is; the report says the rest
    with suppress(RunError, KeyboardInterrupt):
        for record in run:
            found.add(record)
            if len(found.tiles) == trial.frames:
                break
    if len(found.tiles) == trial.frames:
        say(f"the run ends after {counted(trial.frames, 'frame')}; --frames N takes more")
    return found, run.report()


def _options(texts: Sequence[str]) -> dict[str, Any]:
    reading = read_text("{}", Path("--set"), overrides=texts)
    if reading.issues:
        raise ConfigError(reading.issues, of="the command")
    return reading.values


def _free_name(plugin: str, front: Sequence[str]) -> str:
    """The name of the plugin in the chain: that of its class, unless one in front has it."""
    name = _file_name(plugin.rpartition(":")[2]).lower()
    return f"{name}_tried" if name in (*front, _DRAWER) else name


def _in_terms_of_the_command(issue: Issue, name: str, trial: Trial, front: Sequence[str]) -> Issue:
    where, message = issue.where, issue.message.removeprefix(f"{name}: ")
    if where.startswith(here := f"chain[{len(front)}]"):
        option = where.removeprefix(here).removeprefix(".options").removeprefix(".")
        where = f"--set {option}" if option else trial.plugin
    elif where.startswith("source"):
        where = trial.clip
    elif where == "rate":
        where = "--rate"
    elif found := re.match(r"chain\[(\d+)\]", where):
        where = front[int(found[1])] if int(found[1]) < len(front) else _DRAWER
    return Issue(message=message, where=where)


def _show(found: _Found, report: RunReport) -> None:
    if found.rows:
        show(table("time s#", "frame#", "results", "events", rows=found.shown()), stdout=True)
        if len(found.rows) > _ROWS:
            out(f"... and {len(found.rows) - _ROWS} more")
    given = [f"{count} {kind}" + _items(found.items[kind]) for kind, count in found.results.items()]
    events = [f"{count} {kind}" for kind, count in found.events.items()]
    out(f"frames:  {len(found.tiles)}")
    out(f"results: {', '.join(given) or 'none'}")
    out(f"events:  {', '.join(events) or 'none'}")
    for stream in report.streams:
        for plugin in stream.plugins:
            if plugin.name == found.name and plugin.calls:
                times = f"{1000 * plugin.mean_s:.1f} ms on average, {1000 * plugin.p95_s:.1f} ms at the 95th percentile"
                out(f"calls:   {plugin.calls}, {times}")
    for line in troubles(report):
        say(line)


def _items(count: int) -> str:
    return f" with {counted(count, 'item')}" if count else ""


def brief(result: Any) -> str:
    """A result in a few words: its labels, or its fields."""
    label, ids = getattr(result, "label", None), getattr(result, "track_id", None)
    if isinstance(label, tuple):
        names = label if ids is None else [f"{name} {number}" for name, number in zip(label, ids.tolist(), strict=True)]
        text = f"{len(label)}: {', '.join(names)}" if label else "0"
    else:
        text = ", ".join(_fields(result)) or type(result).__name__
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 3]}..."


def _fields(result: Any) -> Iterator[str]:
    for each in dataclasses.fields(result):
        value = getattr(result, each.name)
        if isinstance(value, np.ndarray):
            yield f"{each.name} {value.dtype} {'x'.join(map(str, value.shape))}"
        elif isinstance(value, float):
            yield f"{each.name} {value:.4g}"
        elif value is not None:
            yield f"{each.name} {value}"


def _file_name(plugin: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plugin).strip("_") or "plugin"


__all__ = ["Trial", "brief", "run_trial"]
