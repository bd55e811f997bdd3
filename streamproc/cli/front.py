"""Chooses the plugins that a plugin needs in front of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamproc.errors import PluginError, StreamprocError
from streamproc.frames import Flow
from streamproc.registry import Registry


@dataclass(frozen=True, slots=True)
class Front:
    """A plugin that runs in front of another one, and why."""

    name: str
    why: str


def in_front(registry: Registry, plugin: str, wanted: Sequence[str]) -> list[Front]:
    """The plugins in front of `plugin`, in order: those that the user wants, and those that are needed beside them.

    A class that one plugin gives comes from that one; where several do, from the one of the same name (`Detections`
    from `detection`). `StreamprocError` where that leaves a choice.
    """
    chosen: list[Front] = []
    for name in wanted:
        _put(registry, name, "--with", chosen)
    _put(registry, plugin, "", chosen)
    return chosen[:-1]


def _put(registry: Registry, name: str, why: str, chosen: list[Front]) -> None:
    """Append a plugin behind those that give what it needs."""
    cls = registry.plugin(name)
    for kind in cls.needs:
        given = [given for entry in chosen for given in registry.plugin(entry.name).gives]
        if kind is not Flow and kind not in given:
            giver = _giver(registry, name, kind)
            _put(registry, giver, f"{name} needs {kind.__name__}", chosen)
    chosen.append(Front(name, why))


def _giver(registry: Registry, plugin: str, kind: type) -> str:
    givers = [name for name in registry.names("plugin") if _makes(registry, name, kind)]
    word = kind.__name__.lower()
    same = [name for name in givers if name in (word, word.removesuffix("s"))]
    match givers, same:
        case ([only], _) | (_, [only]):
            return only
        case [], _:
            raise StreamprocError(
                f"{plugin} needs {kind.__name__}, which no installed plugin gives; name one that does with "
                "--with module:Class"
            )
    raise StreamprocError(
        f"{plugin} needs {kind.__name__}, which {', '.join(givers)} give; choose one: --with {givers[0]}"
    )


def _makes(registry: Registry, name: str, kind: type) -> bool:
    """Return whether a plugin gives this class without taking it, as one that smooths it does."""
    try:
        cls: Any = registry.plugin(name)
    except PluginError:
        return False  # a package that can't be imported stops nobody else
    return kind in cls.gives and kind not in (*cls.needs, *cls.uses)


__all__ = ["Front", "in_front"]
