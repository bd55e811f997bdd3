"""Results of one frame by class and plugin name: the lookup that `Results` and `Record` share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeVar

from streamproc.errors import MissingInput, PluginError
from streamproc.frames import Flow
from streamproc.results import Result

ResultT = TypeVar("ResultT", bound="Result | Flow")

Key = tuple[str, type]
"""plugin name and class of a result"""


class Lookup:
    """Lookup of a result by exactly its class; where several plugins give that class, `of` takes one by name."""

    __slots__ = ()
    _missing: ClassVar[str]
    """end of the message of `MissingInput`: what is missing, and what to do"""
    _several: ClassVar[str]
    """advice where several plugins give a class"""

    def _given(self) -> Mapping[Key, Any]:
        """Return every result, in the order of the chain."""
        raise NotImplementedError

    def _givers(self, kind: type) -> Collection[str]:
        """Return the names of the plugins whose result of this class may be wanted."""
        return [name for name, given in self._given() if given is kind]

    def __getitem__(self, kind: type[ResultT]) -> ResultT:
        found = self.get(kind)
        if found is None:
            raise MissingInput(f"no {self._missing.format(kind=kind.__name__)} if it may be absent")
        return found

    def get(self, kind: type[ResultT]) -> ResultT | None:
        """Return the result of exactly this class, or None."""
        givers = list(self._givers(kind))
        if len(givers) > 1:
            raise PluginError(f"{' and '.join(givers)} both gave {kind.__name__}; {self._several}")
        return self._given().get((givers[0], kind)) if givers else None

    def of(self, plugin: str, kind: type[ResultT]) -> ResultT:
        """Return the result of exactly this class that the plugin of this name gave."""
        found: ResultT | None = self._given().get((plugin, kind))
        if found is None:
            raise MissingInput(f"{plugin} gave no {kind.__name__} for this frame")
        return found

    def all(self, kind: type[ResultT]) -> dict[str, ResultT]:
        """Return all results of this class or derived from it, by plugin name, in the order of the chain."""
        return {name: found for (name, given), found in self._given().items() if issubclass(given, kind)}


__all__ = ["Key", "Lookup", "ResultT"]
