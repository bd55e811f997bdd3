"""Loading of configurations: from a file to a checked plan, or to all mistakes with places and suggestions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from streamproc.classes import construct, optionless
from streamproc.config.document import ChainEntry, Document, StreamDefaults, StreamSection, Used
from streamproc.config.doubts import doubts
from streamproc.config.labels import label_mistakes
from streamproc.config.plan import FlowPlan, Plan, PluginPlan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.reading import Keys, Reading, read, read_text
from streamproc.config.validating import Place, plugin_options, remove, validate
from streamproc.config.wiring import wire
from streamproc.errors import ConfigError, Issue, PluginError, UnknownNameError, nearest, redact_values
from streamproc.media.stills import PICTURE_SUFFIXES
from streamproc.models import ModelStore
from streamproc.options import Options
from streamproc.registry import Registry
from streamproc.secrets import remember

_ADDRESSES = ("rtsp://", "rtsps://")


def load(
    file: Path,
    *,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    registry: Registry | None = None,
    models: ModelStore | None = None,
) -> Plan:
    """Return the plan of a configuration file; `ConfigError` lists every mistake. Opens no source, sink or model.

    models: the store that the run will use, where it isn't the usual one; its names are the ones that are right.
    """
    return _resolve(read(file, overrides, environment), registry or Registry(file.parent), models)


def load_text(
    text: str,
    *,
    registry: Registry | None = None,
    environment: Mapping[str, str] | None = None,
    models: ModelStore | None = None,
) -> Plan:
    """Return the plan of a configuration given as text."""
    return _resolve(read_text(text, Path("config"), (), environment), registry or Registry(), models)


def load_values(values: Mapping[str, Any], *, registry: Registry, models: ModelStore | None = None) -> Plan:
    """Return the plan of a configuration given as plain values, as in YAML; its mistakes have no lines."""
    reading = Reading(file=Path(), values=dict(values), written=dict(values))
    remember(reading.values)
    return _resolve(reading, registry, models)


def guess_source(text: str) -> dict[str, Any]:
    """Return the source section for a path, folder, glob, camera index, device or address."""
    if text.startswith(_ADDRESSES):
        return {"type": "rtsp", "options": {"url": text}}
    if text.isdigit() or text.startswith("/dev/video"):
        return {"type": "camera", "options": {"device": text}}
    path = Path(text)
    # the name of a missing video may have brackets: that is no pattern of pictures
    pictures = any(c in text for c in "*?[") and (not path.suffix or _is_wild(path.suffix))
    if "://" not in text and (path.is_dir() or (pictures and not path.exists())):
        return {"type": "images", "options": {"path": text}}
    return {"type": "file", "options": {"path": text}}


def _is_wild(suffix: str) -> bool:
    """Return whether the suffix of a pattern may be that of a picture."""
    return any(c in suffix for c in "*?[") or suffix.lower() in PICTURE_SUFFIXES


def _resolve(reading: Reading, registry: Registry, models: ModelStore | None) -> Plan:
    values = _short_forms(reading.values)
    document = validate(Document, values, Place(()), reading) or _what_is_right(values)
    if document is None:
        raise ConfigError(_sorted(reading.mistakes()))
    plan = _Resolver(document, reading, registry, models or ModelStore()).plan()
    if reading.issues:
        raise ConfigError(_sorted(reading.mistakes()))
    return plan


def _what_is_right(values: dict[str, Any]) -> Document | None:
    """Return the document without its wrong parts, so that one pass also checks names and options."""
    values = copy.deepcopy(values)
    for _ in range(1000):
        try:
            return Document.model_validate(values)
        except ValidationError as error:
            wrong = [mistake["loc"][: -1 if mistake["type"] == "missing" else None] for mistake in error.errors()]
            removed = [remove(values, tuple(loc)) for loc in sorted(wrong, key=str, reverse=True)]
            if not any(removed):
                return None
    return None


def _sorted(issues: Sequence[Issue]) -> list[Issue]:
    return sorted(dict.fromkeys(issues), key=lambda issue: (issue.line or 0, issue.column or 0, issue.where))


def _short_forms(values: dict[str, Any]) -> dict[str, Any]:
    """Expand `source: PATH` and chain entries that are only names to their long forms."""

    def stream(section: Any) -> Any:
        if not isinstance(section, dict):
            return section
        section = dict(section)
        source = section.get("source")
        if isinstance(source, str | int) and not isinstance(source, bool):
            section["source"] = guess_source(str(source))
        if isinstance(section.get("chain"), list):
            section["chain"] = [{"use": entry} if isinstance(entry, str) else entry for entry in section["chain"]]
        return section

    out = dict(values)
    if isinstance(out.get("streams"), dict):
        out["streams"] = {name: stream(section) for name, section in out["streams"].items()}
    if "defaults" in out:
        out["defaults"] = stream(out["defaults"])
    return out


class _Resolver:
    """Resolver of names and options; mistakes go to `reading.issues`."""

    def __init__(self, document: Document, reading: Reading, registry: Registry, models: ModelStore) -> None:
        self._document = document
        self._reading = reading
        self._registry = registry
        self._models = models
        self._classes: dict[tuple[str, str], Any] = {}

    def plan(self) -> Plan:
        sinks = [self._sink(name, used) for name, used in self._document.sinks.items()]
        self._check_unused_plugins()
        streams = [self._stream(name, section) for name, section in self._document.streams.items()]
        self._check_shared_paths(sinks, streams)
        self._warn_of_what_leads_nowhere(streams)
        runtime = self._document.runtime
        settings: dict[str, Any] = {} if runtime.workers is None else {"workers": runtime.workers}
        return Plan(
            streams=tuple(stream for stream in streams if stream is not None),
            sinks=tuple(sink for sink in sinks if sink is not None),
            runtime=RuntimePlan(
                state=runtime.state,
                commit_ns=runtime.commit,
                drain_ns=runtime.drain,
                call_limit_ns=runtime.call_limit,
                open_limit_ns=runtime.open_limit,
                **settings,
            ),
            source=redact_values(self._reading.written),
            warnings=tuple(map(str, _sorted(self._reading.warnings))),
        )

    def _problem(self, keys: Keys, message: str) -> None:
        self._reading.issues.append(self._reading.issue(keys, message))

    def _warn(self, keys: Keys, message: str) -> None:
        self._reading.warnings.append(self._reading.issue(keys, message))

    def _class(self, kind: str, keys: Keys, name: str) -> Any:
        if (kind, name) not in self._classes:
            try:
                self._classes[kind, name] = getattr(self._registry, kind)(name)
            except (UnknownNameError, PluginError) as error:
                self._classes[kind, name] = None
                self._problem((*keys, "type"), str(error))
        return self._classes[kind, name]

    def _options(self, cls: Any, keys: Keys, values: dict[str, Any]) -> Options | None:
        if sentence := optionless(cls, values):
            self._problem(keys, sentence)
            return None
        options = validate(cls.options_type, values, Place(keys), self._reading)
        assert options is None or isinstance(options, Options)
        return options if options is None or self._constructs(cls, (*keys[:-1], "type"), options) else None

    def _constructs(self, cls: Any, keys: Keys, options: Options) -> bool:
        try:
            construct(cls, options)
        except PluginError as error:
            self._problem(keys, str(error))
            return False
        return True

    def _sink(self, name: str, used: Used) -> SinkPlan | None:
        keys: Keys = ("sinks", name)
        cls = self._class("sink", keys, used.type)
        options = self._options(cls, (*keys, "options"), used.options) if cls else None
        return None if options is None else SinkPlan(name=name, cls=cls, options=options)

    def _stream(self, name: str, section: StreamSection) -> StreamPlan | None:
        keys: Keys = ("streams", name)
        cls = self._class("source", (*keys, "source"), section.source.type)
        options = self._options(cls, (*keys, "source", "options"), section.source.options) if cls else None
        merged = {key: getattr(self._setting(section, key), key) for key in StreamDefaults.model_fields}
        chain_keys = (*keys, "chain") if "chain" in section.model_fields_set else ("defaults", "chain")
        chain = self._chain(chain_keys, merged["chain"])
        self._check_sinks((*keys, "sinks"), merged["sinks"])
        flow = merged["flow"]
        if options is None or chain is None:
            return None
        return StreamPlan(
            name=name,
            source=cls,
            source_options=options,
            chain=chain,
            sinks=merged["sinks"],
            rate=merged["rate"],
            identity=section.identity,
            buffer_bytes=merged["buffer"],
            flow=FlowPlan(method=flow.method, preset=flow.preset, width=flow.width),
            reconnect_ns=merged["reconnect"],
            reconnect_max_ns=merged["reconnect_max"],
        )

    def _setting(self, section: StreamSection, key: str) -> StreamDefaults:
        return section if key in section.model_fields_set else self._document.defaults

    def _chain(self, keys: Keys, entries: Sequence[ChainEntry]) -> tuple[PluginPlan, ...] | None:
        plans: list[PluginPlan] = []
        chosen: list[dict[str, str]] = []
        places: dict[str, Keys] = {}
        for index, entry in enumerate(entries):
            here = (*keys, index)
            plan = self._plugin(here, entry)
            if entry.use in places:
                self._problem(here, f"{entry.use!r} stands twice in this chain; give it a second name under plugins")
            elif plan is not None:
                plans.append(plan)
                chosen.append(dict(self._document.plugins[entry.use].inputs))
            places.setdefault(entry.use, here)
        if len(plans) < len(entries):
            return None
        wired, issues = wire(plans, chosen)
        for issue in issues:
            self._problem(places[issue.plugin], f"{issue.plugin}: {issue.message}")
        for plan, mistake in label_mistakes(wired, self._models):
            entry = entries[cast(int, places[plan.name][-1])]
            place = _place_of_options(places[plan.name], entry)
            self._problem(place.of(mistake.option), mistake.message)
        for plan, mistake in doubts(wired):
            entry = entries[cast(int, places[plan.name][-1])]
            self._warn(_place_of_options(places[plan.name], entry).of(mistake.option), mistake.message)
        return None if issues else wired

    def _plugin(self, here: Keys, entry: ChainEntry) -> PluginPlan | None:
        section = self._document.plugins.get(entry.use)
        if section is None:
            known = ", ".join(self._document.plugins) or "none"
            message = f"no plugin {entry.use!r}{nearest(entry.use, self._document.plugins)} (under plugins: {known})"
            self._problem(here, message)
            return None
        keys: Keys = ("plugins", entry.use)
        cls = self._class("plugin", keys, section.type)
        if cls is None:
            return None
        values = {**section.options, **entry.options}
        if sentence := optionless(cls, values):
            self._problem((*keys, "options"), sentence)
            return None
        options = plugin_options(cls, values, _place_of_options(here, entry), self._reading, self._models)
        if options is None or not self._constructs(cls, (*keys, "type"), options):
            return None
        return PluginPlan(
            name=entry.use,
            cls=cls,
            options=options,
            rate=entry.rate if entry.rate is not None else section.rate,
            on_error=section.on_error,
            max_failures=section.max_failures,
            timeout_ns=section.timeout,
        )

    def _check_shared_paths(self, sinks: Sequence[SinkPlan | None], streams: Sequence[StreamPlan | None]) -> None:
        """Refuse two plugins or sinks that write the same file."""
        owners: dict[Path, str] = {}
        for keys, owner, path in (*_sink_paths(sinks), *self._plugin_paths(streams)):
            other = owners.setdefault(path.resolve(), owner)
            if other != owner:
                self._problem(keys, f"{owner} writes {path}, and so does {other}; give each a path of its own")

    def _plugin_paths(self, streams: Sequence[StreamPlan | None]) -> Iterator[tuple[Keys, str, Path]]:
        for stream in filter(None, streams):
            keys: Keys = ("streams", stream.name, "chain")
            for entry in stream.chain:
                owner = f"{entry.name} of stream {stream.name}"
                for path in _paths(getattr(entry.options, option, None) for option in entry.cls.writes):
                    if stream.source.several and "{stream}" not in path:
                        message = f"the source carries several streams, and {entry.name} would write {path} for each"
                        self._problem(keys, f"{message}; put {{stream}} into the path")
                    yield keys, owner, Path(path.replace("{stream}", stream.name))

    def _warn_of_what_leads_nowhere(self, streams: Sequence[StreamPlan | None]) -> None:
        """Warn of streams without a sink and sinks without a stream."""
        for stream in filter(None, streams):
            if not stream.sinks and not any(entry.cls.writes for entry in stream.chain):
                self._warn(("streams", stream.name), "has no sinks: only a report (--report) gets its events")
        used = {name for stream in filter(None, streams) for name in stream.sinks}
        for name in self._document.sinks.keys() - used if None not in streams else ():
            self._warn(("sinks", name), "no stream names this sink, so it gets nothing")

    def _check_unused_plugins(self) -> None:
        """Check plugins that no chain uses."""
        used = {e.use for s in (*self._document.streams.values(), self._document.defaults) for e in s.chain}
        for name, section in self._document.plugins.items():
            if name not in used and (cls := self._class("plugin", ("plugins", name), section.type)):
                place = Place(("plugins", name, "options"))
                plugin_options(cls, section.options, place, self._reading, self._models)

    def _check_sinks(self, keys: Keys, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if name not in self._document.sinks:
                known = ", ".join(self._document.sinks) or "none"
                close = nearest(name, self._document.sinks)
                self._problem((*keys, index), f"no sink {name!r}{close} (under sinks: {known})")


def _place_of_options(here: Keys, entry: ChainEntry) -> Place:
    """Return the place of a chain entry's options: under `plugins`, or in the entry for its own ones."""
    return Place(("plugins", entry.use, "options"), ((*here, "options"), frozenset(entry.options)))


def _sink_paths(sinks: Sequence[SinkPlan | None]) -> Iterator[tuple[Keys, str, Path]]:
    for sink in filter(None, sinks):
        for path in _paths([getattr(sink.options, "path", None)]):
            yield ("sinks", sink.name), f"sink {sink.name}", Path(path)


def _paths(values: Iterable[Any]) -> Iterator[str]:
    """Yield the option values that name a file."""
    return (str(value) for value in values if isinstance(value, str | Path))


__all__ = ["guess_source", "load", "load_text", "load_values"]
