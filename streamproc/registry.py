"""Finds sources, sinks and plugins: by entry point, or as `module:Class` for code that isn't packaged yet.

Nothing is imported before it is asked for, and one that can't be imported doesn't stop the others.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from streamproc.errors import PluginError, UnknownNameError, describe, nearest

if TYPE_CHECKING:
    from streamproc.plugin import AnyPlugin
    from streamproc.sink import AnySink
    from streamproc.source import AnySource

log = logging.getLogger(__name__)

_SLOW_S = 10
_SLOW = "%s %r: importing %s has taken %d s and goes on; a module should do nothing at its import"

Kind = Literal["source", "sink", "plugin"]
ClassT = TypeVar("ClassT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An installed source, sink or plugin, from the metadata of its package; nothing is imported."""

    kind: Kind
    name: str
    target: str
    """`module:Class`"""
    package: str
    """distribution and version, such as `streamproc 0.1.0`"""


class Registry:
    """Installed sources, sinks and plugins by name. Two packages with one name are an error that names both.

    beside: a folder in which `module:Class` is looked for, before the current one.
    """

    def __init__(self, beside: Path | None = None) -> None:
        self._beside = beside
        self._own: dict[tuple[Kind, str], type] = {}
        self._points: dict[Kind, Mapping[str, tuple[EntryPoint, ...]]] = {}

    def add(self, kind: Kind, name: str, cls: type) -> None:
        """Register a class that isn't installed under this name."""
        self._own[kind, name] = cls

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return the sorted names of this kind."""
        return tuple(sorted(self._found(kind)))

    def listings(self, kind: Kind) -> tuple[Listing, ...]:
        """Return the installed classes of this kind, without importing them."""
        return tuple(
            Listing(kind=kind, name=name, target=point.value, package=package_of(point))
            for name, points in sorted(self._found(kind).items())
            for point in points
        )

    def source(self, name: str) -> type[AnySource]:
        """Return the source class of this name; raises `UnknownNameError` or `PluginError`."""
        return check_source(self._load("source", name))

    def sink(self, name: str) -> type[AnySink]:
        """Return the sink class of this name; raises `UnknownNameError` or `PluginError`."""
        return check_sink(self._load("sink", name))

    def plugin(self, name: str) -> type[AnyPlugin]:
        """Return the plugin class of this name; raises `UnknownNameError` or `PluginError`."""
        from streamproc.plugin import check_plugin

        return check_plugin(self._load("plugin", name))

    def trusts(self, module: str, named: Collection[str] = ()) -> bool:
        """Return whether a name from a file may cause this module's import.

        True for streamproc itself, for the packages of entry points, and for modules that the user has `named`.
        """
        kinds: tuple[Kind, ...] = ("plugin", "source", "sink")
        points = [point.module for kind in kinds for points in self._found(kind).values() for point in points]
        packages = {"streamproc", *(point.partition(".")[0] for point in points)}
        return module in named or module.partition(".")[0] in packages

    def _found(self, kind: Kind) -> Mapping[str, tuple[EntryPoint, ...]]:
        if kind not in self._points:
            found: dict[str, tuple[EntryPoint, ...]] = {}
            for point in entry_points(group=f"streamproc.{kind}s"):
                others = found.get(point.name, ())
                if all(point.value != other.value for other in others):
                    found[point.name] = (*others, point)
            self._points[kind] = found
        return self._points[kind]

    def _load(self, kind: Kind, name: str) -> type:
        if (kind, name) in self._own:
            return self._own[kind, name]
        if ":" in name:
            return self._import(kind, name, name)
        found = self._found(kind)
        if name not in found:
            raise UnknownNameError(
                f"no {kind} is called {name!r}{nearest(name, found)} "
                f"(installed: {', '.join(sorted(found)) or 'none'}; code not yet packaged: module:Class)"
            )
        if len(found[name]) > 1:
            owners = ", ".join(f"{point.value} of {package_of(point)}" for point in found[name])
            raise PluginError(f"{kind} {name!r} is claimed twice: {owners}; uninstall one, or name it as module:Class")
        return self._import(kind, name, found[name][0].value)

    def _import(self, kind: Kind, name: str, target: str) -> type:
        module_name, _, attribute = target.partition(":")
        folders = [str(folder.resolve()) for folder in (self._beside, Path()) if folder is not None]
        added = [folder for folder in dict.fromkeys(folders) if ":" in name and folder not in sys.path]
        sys.path[:0] = added
        slow = threading.Timer(_SLOW_S, log.warning, (_SLOW, kind, name, module_name, _SLOW_S))
        slow.daemon = True
        slow.start()
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises must not stop the others
            raise PluginError(f"{kind} {name!r}: importing {module_name} failed: {describe(error)}") from error
        finally:
            slow.cancel()
            for folder in added:
                sys.path.remove(folder)
        loaded = getattr(module, attribute, None)
        if not isinstance(loaded, type):
            classes = [key for key, value in vars(module).items() if isinstance(value, type)]
            raise PluginError(f"{kind} {name!r}: {module_name} has no class {attribute!r}{nearest(attribute, classes)}")
        return loaded


def package_of(point: EntryPoint) -> str:
    """Return distribution and version of its package, such as `streamproc 0.1.0`."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"


def check_source(cls: type) -> type[AnySource]:
    """Return `cls` if it is a complete source; else raise `PluginError` with the reason."""
    from streamproc.classes import class_name
    from streamproc.source import PictureSource, VideoSource

    if not issubclass(cls, VideoSource | PictureSource):
        raise PluginError(f"{class_name(cls)} is not a source: derive it from VideoSource or PictureSource")
    return _complete(cls, ("open", "packets", "frames", "seek", "commit", "close"))


def check_sink(cls: type) -> type[AnySink]:
    """Return `cls` if it is a complete sink; else raise `PluginError` with the reason."""
    from streamproc.classes import class_name
    from streamproc.sink import EventSink, FrameSink, RecordSink

    if not issubclass(cls, EventSink | FrameSink | RecordSink):
        raise PluginError(f"{class_name(cls)} is not a sink: derive it from EventSink, FrameSink or RecordSink")
    return _complete(cls, ("open", "write", "flush", "close"))


def _complete(cls: type[ClassT], methods: Iterable[str]) -> type[ClassT]:
    from streamproc.classes import check_members, class_name  # they load pydantic, which --help does without

    if inspect.isabstract(cls):
        missing = ", ".join(
            name for name, value in inspect.getmembers(cls) if getattr(value, "__isabstractmethod__", False)
        )
        raise PluginError(f"{class_name(cls)} lacks {missing}: write it to make it complete")
    check_members(cls, methods)
    return cls


__all__ = ["Kind", "Listing", "Registry", "check_sink", "check_source", "package_of"]
