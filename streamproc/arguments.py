"""Turns the arguments of `streamproc.run` into a checked plan, with every mistake in them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from streamproc.config import Plan, load_values
from streamproc.errors import ConfigError, Issue, nearest
from streamproc.models import ModelStore
from streamproc.registry import Kind, Registry

Source = str | Path | int | Mapping[str, Any] | type | tuple[type | str, Mapping[str, Any]]
"""A path, folder, pattern, camera index or address; a class of your own; a name or class with options; or a mapping
`{"type": NAME, "options": {...}}` as in YAML."""

Entry = str | type | tuple[str | type, Mapping[str, Any]] | Mapping[str, Any]
"""A plugin by name, `module:Class` or class, alone or with its options; or a mapping with the keys that a plugin has
in YAML (`type`, `options`, `rate`, `inputs`, `on_error`, ...) and `name`."""

_SOURCES = (
    "a path, address or camera index, a class, (name or class, options), a mapping with `type`, or a mapping of stream "
    "names to these"
)
_ENTRIES = "a plugin's name or class, (name or class, options), or a mapping with `type`"


class Settings(TypedDict, total=False):
    """Settings of `run` beside its source and chain."""

    rate: float | None
    """processed frames per second of media time; every frame by default"""
    flow: Mapping[str, Any] | None
    """how optical flow is computed, with the keys of `flow` in YAML"""
    workers: int | None
    """threads for plugins; as many as there are cores by default"""
    models: ModelStore | None
    """where models come from"""
    state: str | Path | None
    """folder for checkpoints, the outbox and repro bundles; a temporary one by default, or that of a loaded plan"""
    keep_frames: bool
    """whether pixels stay with the records; by default they are freed when the loop goes on"""


_OF_A_CHAIN = ("rate", "flow")
"""settings that a loaded plan has already"""
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "models": ((ModelStore,), "a ModelStore"),
    "state": ((str, Path), "a path"),
    "keep_frames": ((bool,), "True or False"),
}


def plan_of(source: Any, chain: Any, settings: Settings) -> Plan:
    """The plan that these arguments describe; `ConfigError` with every mistake in them."""
    issues = list(_setting_issues(settings))
    plan: Plan | None
    if isinstance(source, Plan):
        issues += _issues_beside_a_plan(chain, settings)
        plan = _given_workers(source, settings, issues)
    else:
        plan = _Arguments(source, chain, settings, issues).plan()
    if issues or plan is None:
        raise ConfigError(issues, of="the arguments")
    state = settings.get("state")
    return plan if state is None else replace(plan, runtime=replace(plan.runtime, state=Path(state)))


def _setting_issues(settings: Mapping[str, Any]) -> Iterator[Issue]:
    known = tuple(Settings.__annotations__)
    for name, value in settings.items():
        if name not in known:
            message = f"unknown argument{nearest(name, known)} (known: source, chain, {', '.join(known)})"
            yield Issue(where=name, message=message)
        elif name in _KINDS and value is not None and not isinstance(value, _KINDS[name][0]):
            yield Issue(where=name, message=f"expected {_KINDS[name][1]}, got {value!r}")


def _issues_beside_a_plan(chain: Any, settings: Mapping[str, Any]) -> Iterator[Issue]:
    if chain:
        yield Issue(where="chain", message="the loaded plan has its own chains; leave this argument out")
    for name in _OF_A_CHAIN:
        if settings.get(name) is not None:
            yield Issue(where=name, message="the loaded plan sets this by stream; set it in its file")


def _given_workers(plan: Plan, settings: Settings, issues: list[Issue]) -> Plan:
    workers = settings.get("workers")
    if workers is None:
        return plan
    if not isinstance(workers, int) or workers < 1:
        issues.append(Issue(where="workers", message=f"expected a whole number of at least 1, got {workers!r}"))
        return plan
    return replace(plan, runtime=replace(plan.runtime, workers=workers))


@dataclass(slots=True)
class _Arguments:
    """Source, chain and settings on their way into the form of a configuration file."""

    source: Any
    chain: Any
    settings: Settings
    issues: list[Issue]
    registry: Registry = field(default_factory=Registry)
    own: dict[tuple[Kind, str], type] = field(default_factory=dict)
    """classes of the caller's own, by the name that they have in the registry"""
    names: list[str] = field(default_factory=list)
    """of the plugins, in the order of the chain"""
    wrong: set[int] = field(default_factory=set)
    """places in the chain of what is no entry at all"""

    def plan(self) -> Plan | None:
        """The plan, or None where something is wrong: then it stands in `issues`."""
        values = self._values()
        try:
            return load_values(values, registry=self.registry, models=self._models())
        except ConfigError as error:
            self.issues += self._in_terms_of_arguments(error.issues)
            return None

    def _models(self) -> ModelStore | None:
        models = self.settings.get("models")
        return models if isinstance(models, ModelStore) else None

    def _values(self) -> dict[str, Any]:
        sources = self._sources()
        plugins = [self._plugin(entry, place) for place, entry in enumerate(self._entries())]
        wanted = [(plugin.pop("name", None), _short(plugin["type"])) for plugin in plugins]
        self.names = _names(wanted)
        defaults = {key: value for key in _OF_A_CHAIN if (value := self.settings.get(key)) is not None}
        values: dict[str, Any] = {
            "version": 1,
            "defaults": {**defaults, "chain": self.names},
            "streams": {name: {"source": source} for name, source in sources.items()},
            "plugins": dict(zip(self.names, plugins, strict=True)),
        }
        if (workers := self.settings.get("workers")) is not None:
            values["runtime"] = {"workers": workers}
        return values

    def _several(self) -> bool:
        return isinstance(self.source, Mapping) and "type" not in self.source

    def _sources(self) -> dict[str, Any]:
        if not self.source and isinstance(self.source, Mapping):
            self.source = None
        if not self._several():
            return {_stream_name(self.source): self._source(self.source, "source")}
        return {str(name): self._source(each, f"source[{name!r}]") for name, each in self.source.items()}

    def _source(self, source: Any, where: str) -> Any:
        match source:
            case type():
                return {"type": self._named("source", source)}
            case (str() | type() as named, Mapping() as options):
                return {"type": self._named("source", named), "options": dict(options)}
            case Mapping():
                return {**source, "type": self._named("source", source["type"])} if "type" in source else dict(source)
            case str() | Path():
                return str(source)
            case int() if not isinstance(source, bool):
                return str(source)
        self.issues.append(Issue(where=where, message=f"expected {_SOURCES}, got {_shown(source)}"))
        return {"type": "synthetic"}  # right, so that nothing else is reported of it

    def _entries(self) -> Sequence[Any]:
        if isinstance(self.chain, Sequence) and not isinstance(self.chain, str):
            return self.chain
        message = f"expected a list of plugins, got {self.chain!r}"
        self.issues.append(Issue(where="chain", message=f"{message}; write [{self.chain!r}] for one plugin"))
        return ()

    def _plugin(self, entry: Any, place: int) -> dict[str, Any]:
        match entry:
            case str() | type():
                return {"type": self._named("plugin", entry)}
            case (str() | type() as named, Mapping() as options):
                return {"type": self._named("plugin", named), "options": dict(options)}
            case {"type": str() | type() as named}:
                return {**entry, "type": self._named("plugin", named)}
        self.wrong.add(place)
        self.issues.append(Issue(where=f"chain[{place}]", message=f"expected {_ENTRIES}, got {entry!r}"))
        return {"type": f"chain_{place}"}

    def _named(self, kind: Kind, named: Any) -> str:
        """The name of a class in the plan: your own classes are added to the registry, each under a name of its own."""
        if not isinstance(named, type):
            return str(named)
        first = name = f"{named.__module__}.{named.__qualname__}"
        count = 1
        while self.own.setdefault((kind, name), named) is not named:
            count += 1
            name = f"{first}_{count}"
        self.registry.add(kind, name, named)
        return name

    def _in_terms_of_arguments(self, issues: Sequence[Issue]) -> Iterator[Issue]:
        for issue in issues:
            wheres = self._wheres()
            begin = next((begin for begin in wheres if f"{issue.where}.".startswith(f"{begin}.")), "")
            if not begin:
                yield issue
                continue
            place = wheres[begin]
            rest = issue.where[len(begin) :].removesuffix(".type")
            if place not in {f"chain[{wrong}]" for wrong in self.wrong}:
                yield Issue(where=(place + rest).lstrip("."), message=issue.message)

    def _wheres(self) -> dict[str, str]:
        """By key in the configuration: the argument that it comes from; the longest keys first."""
        found = {"runtime": "", "defaults": "", "plugins": "chain", "streams": "source"}
        for place, name in enumerate(self.names):
            found |= {f"defaults.chain.{place}": f"chain[{place}]", f"plugins.{name}": f"chain[{place}]"}
        if isinstance(self.source, Mapping) and self._several():
            for name in self.source:
                found |= dict.fromkeys((f"streams.{name}", f"streams.{name}.source"), f"source[{name!r}]")
        else:
            name = _stream_name(self.source)
            found |= dict.fromkeys((f"streams.{name}", f"streams.{name}.source"), "source")
        return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _stream_name(source: Any) -> str:
    """The name of a recording's file, `stream` of anything else."""
    if not isinstance(source, str | Path) or "://" in str(source):
        return "stream"
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in Path(source).stem).strip("_-")
    return stem if stem and not stem.isdigit() else "stream"


def _short(named: str) -> str:
    """The name of a plugin in the results, from its type: `detection`, or `dark` of `mine:Dark`."""
    last = named.rpartition(":")[2].rpartition(".")[2]
    return (
        "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in last).strip("_-").lower() or "plugin"
    )


def _names(wanted: Sequence[tuple[str | None, str]]) -> list[str]:
    """Names that the caller gave as they are; the others with a number behind those that are taken."""
    given = {name for name, _ in wanted if name is not None}
    names: list[str] = []
    for name, short in wanted:
        chosen, count = name or short, 1
        while name is None and chosen in (given | set(names)):
            count += 1
            chosen = f"{short}_{count}"
        names.append(chosen)
    return names


__all__ = ["Entry", "Settings", "Source", "plan_of"]
