"""The three kinds of plugin. The kind decides what the engine may do with a plugin.

`FramePlugin`   one frame and its earlier results: a pure function, run on any thread in any order
`ClipPlugin`    one clip, sampled by time: a pure function too
`StreamPlugin`  the results of every processed frame of one stream, in order: one object a stream, on one thread
"""

from __future__ import annotations

import inspect
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from streamproc.arrow import columns_of
from streamproc.classes import check_members, class_name
from streamproc.errors import PluginError
from streamproc.events import Event, Moment
from streamproc.frames import Clip, Flow, Frame, StreamInfo
from streamproc.lookup import Lookup
from streamproc.options import Configurable, Mistake, Options, OptionsT
from streamproc.replacement import Replacement
from streamproc.results import Result
from streamproc.shared import SHARED

if TYPE_CHECKING:
    from streamproc.models import ModelStore

API = 1
"""the protocol that this version of streamproc speaks"""

_LEAST_STRIDE_NS = 1_000_000

T = TypeVar("T")

Output = Iterable[Result | Event]
"""Output of `process`: results and events, exhausted by the engine inside the guarded call; None means nothing."""

Answer = Output | None | Awaitable[Output | None] | AsyncIterator[Result | Event]
"""Return value of a call; that of an `async def` is awaited."""

TimeReason = Literal["idle", "gap", "cut", "lost", "back"]
"""Reason for a call of `on_time`.

`idle`: no frames for a while; `gap`: a gap in time before the next frame; `cut`: a camera cut, `moment.pts_ns` is the
time of the first picture behind it; `lost`: the source is lost; `back`: it is back.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """Services for an opened plugin."""

    name: str
    """the plugin's name in the configuration"""
    stream: StreamInfo
    models: ModelStore
    log: logging.Logger
    package: str = ""
    """the package of the plugin's class, whose objects `shared` returns"""

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return an object that all plugins of one package share in this process, such as weights; `make` runs once.

        Several threads may use it at once. It lives as long as a plugin holds it.
        """
        return SHARED.get((self.package, key), make)


class Results(Lookup):
    """Results of the earlier plugins of the chain for this frame.

    `past[Detections]` is the one result of that class (where two plugins give it, the one that the configuration names
    under `inputs`), `past.get(Detections)` the same or None, `past.of("people", Detections)` that of a named plugin.
    """

    __slots__ = ("_found", "_inputs", "events")
    _missing = "earlier plugin gave {kind} for this frame; use past.get()"
    _several = "name one under `inputs`, or use past.of()"

    def __init__(
        self,
        found: Mapping[tuple[str, type], Any] | None = None,
        inputs: Mapping[type, str] | None = None,
        events: tuple[Event, ...] = (),
    ) -> None:
        self._found = dict(found or {})
        self._inputs = dict(inputs or {})
        self.events = events
        """events that earlier plugins of the chain emitted at this frame, stamped"""

    def has_giver(self, kind: type[Result | Flow]) -> bool:
        """Return whether an earlier plugin gives results of exactly this class, perhaps not for this frame."""
        return kind in self._inputs or any(given is kind for _, given in self._found)

    def _given(self) -> Mapping[tuple[str, type], Any]:
        return self._found

    def _givers(self, kind: type) -> Collection[str]:
        chosen = self._inputs.get(kind)
        return super()._givers(kind) if chosen is None else [chosen]


class Plugin(Configurable[OptionsT], ABC):
    """Base of the three kinds. Only `process` has to be written."""

    api: ClassVar[int] = API
    needs: ClassVar[tuple[type[Result | Flow], ...]] = ()
    """result classes without which `process` isn't called for a frame"""
    uses: ClassVar[tuple[type[Result | Flow], ...]] = ()
    """result classes that it takes where they are there"""
    gives: ClassVar[tuple[type[Result], ...]] = ()
    waits: ClassVar[bool] = False
    """whether its calls wait for others (a service, a disk) rather than compute: they then run off the workers; a
    plugin whose `process` is `async def` waits in any case"""
    writes: ClassVar[tuple[str, ...]] = ()
    """options that name a file it writes: no two streams may share a file (put `{stream}` in the name)"""

    @classmethod
    def labels_given(
        cls, options: OptionsT, models: ModelStore, before: Collection[str] | None
    ) -> Collection[str] | None:
        """Return the labels that its detections can have, None where unknown; for the check of a configuration.

        before: labels of the detections that it takes, None where they aren't known. Nothing may be loaded here.
        """
        return None

    @classmethod
    def labels_named(cls, options: OptionsT) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Return the labels that its options expect of its input detections, each with its place in the options.

        A label that no earlier plugin can give is a mistake of the configuration.
        """
        return ()

    @classmethod
    def check_options(cls, options: OptionsT, models: ModelStore) -> Iterable[Mistake]:
        """Return mistakes in options whose form is right; they are reported with their place before anything opens.

        Load and download nothing here: use only `find` and `entry` of the store.
        """
        return ()

    @classmethod
    def doubts(cls, options: OptionsT, givers: Mapping[type, Options]) -> Iterable[Mistake]:
        """Return doubts about its options, given those of earlier plugins; `check` shows them as warnings.

        givers: options of the plugin whose result it takes, by class, for each class in `needs` and `uses` that an
        earlier plugin gives.
        """
        return ()

    def open(self, context: PluginContext) -> None:
        """Load weights, import heavy libraries; raise to refuse, with a message that says what to do."""

    def remarks(self) -> Iterable[str]:
        """Return sentences about the whole run that a user should read, such as "it found nothing to do: ...".

        Called once, after the last frame and before `close`. The sentences are logged as warnings and shown in the
        summary and the report, each after the names of the plugin and the stream.
        """
        return ()

    def close(self) -> None:
        """Release everything; called once, also after a failure."""


class FramePlugin(Plugin[OptionsT]):
    """A pure function of one frame and its earlier results; `process` may run on several threads at once."""

    @abstractmethod
    def process(self, frame: Frame, past: Results) -> Answer:
        """Return or yield results and events of this frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """The clip that a `ClipPlugin` wants, in media time."""

    frames: int
    """T, the number of pictures"""
    rate: float
    """pictures per second of media time"""
    stride_ns: int
    """media time between the ends of two clips"""
    size: tuple[int, int]
    """(width, height) of the pictures; the aspect ratio may change"""
    flow: bool = False
    """with optical flow between the sampled pictures"""
    region: tuple[float, float, float, float] | None = None
    """the part of the picture that is wanted: left, top, right, bottom in fractions 0..1; None: all of it"""

    def __post_init__(self) -> None:
        stride_ns: Any = self.stride_ns  # whatever an author wrote
        rate: Any = self.rate
        size: Any = self.size
        if not _whole(stride_ns) or 0 < stride_ns < _LEAST_STRIDE_NS:
            spoken = f"; {stride_ns:g} seconds are seconds({stride_ns:g})" if isinstance(stride_ns, Real) else ""
            raise ValueError(
                f"stride_ns is {stride_ns!r}, expected a whole number of nanoseconds, at least a millisecond"
                f"{spoken or ': seconds(1.5)'}"
            )
        if not _whole(self.frames):
            raise ValueError(f"frames is {self.frames!r}, expected a whole number of pictures")
        if not isinstance(rate, Real) or not math.isfinite(rate):
            raise ValueError(f"rate is {self.rate!r}, expected pictures per second, such as 10")
        if not isinstance(size, tuple | list) or len(size) != 2 or not all(map(_whole, size)):
            raise ValueError(f"size is {size!r}, expected whole numbers (width, height), such as (224, 224)")
        if self.frames < 1 or self.rate <= 0 or stride_ns <= 0 or min(size) < 1:
            raise ValueError(f"{self} can't be sampled: frames, rate, stride and size must be positive")
        region = self.region or (0.0, 0.0, 1.0, 1.0)
        if len(region) != 4 or not (0 <= region[0] < region[2] <= 1 and 0 <= region[1] < region[3] <= 1):
            raise ValueError(f"the region {self.region} is no part of a picture; give left, top, right, bottom in 0..1")


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


class ClipPlugin(Plugin[OptionsT]):
    """A pure function of one clip; `process` may run on several threads at once."""

    @abstractmethod
    def clip(self) -> ClipSpec:
        """Return the clip that it wants; called once, after `open`."""

    @abstractmethod
    def process(self, clip: Clip, past: Results) -> Answer:
        """Return or yield results and events of this clip; they belong to its last frame, as does `past`."""


class StreamPlugin(Plugin[OptionsT]):
    """Gets every processed frame of one stream in order, and may hold state; one object per stream, one thread."""

    pixels: ClassVar[bool] = False
    """whether `process` looks at pixels; without them the plugin can run again over stored results"""
    state_version: ClassVar[int] = 1
    """version of the form of `state`; raise it when the form changes, and the engine restores no older state"""
    current_shot: int = 0
    """number of the shot at its last call, 0 where none is known; set and stored by the engine"""

    @abstractmethod
    def process(self, frame: Frame, past: Results) -> Answer:
        """Return or yield results and events of this frame."""

    def on_time(self, moment: Moment, reason: TimeReason) -> Answer:
        """Advance media time to `moment` without a frame: let dwells end and tracks age.

        A `cut` comes just before `process` of the frame at which it is known. Cuts are known a moment late, so
        `moment` can lie before frames that were processed already.
        """
        return None

    def flush(self, moment: Moment) -> Answer:
        """End everything that is still open: the stream has ended at `moment`."""
        return None

    def state(self) -> Mapping[str, Any] | None:
        """Return JSON values from which `restore` continues exactly; None: the plugin starts afresh after a restart."""
        return None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a stored `state` of the same `state_version`; raise `ValueError` if it can't be read."""
        raise PluginError(f"{type(self).__name__} gave no state and can't restore one")


def _is_derived(kind: type[Result]) -> bool:
    """Return whether the class leaves its form as a table to `Result`."""
    return kind.to_arrow is Result.to_arrow


AnyPlugin = FramePlugin[Any] | ClipPlugin[Any] | StreamPlugin[Any]


def check_plugin(cls: type) -> type[AnyPlugin]:
    """Return `cls` if it is a plugin that this version can run; else raise `PluginError` with the reason."""
    name = class_name(cls) if isinstance(cls, type) else repr(cls)
    if not isinstance(cls, type) or not issubclass(cls, FramePlugin | ClipPlugin | StreamPlugin):
        raise PluginError(f"{name} is not a plugin: derive it from FramePlugin, ClipPlugin or StreamPlugin")
    if cls.api != API:
        raise PluginError(
            f"{name} speaks plugin protocol {cls.api}, this streamproc speaks {API}; update the older one"
        )
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise PluginError(f"{name} lacks {missing}: write it to make the plugin complete")
    parameters = [p for p in inspect.signature(cls.process).parameters.values() if p.default is p.empty]
    if len(parameters) != 3:
        taken = ", ".join(parameter.name for parameter in parameters[1:])
        raise PluginError(f"{name}.process takes ({taken}), expected (frame, past) or (clip, past)")
    check_members(cls, ("clip", "state", "restore", "remarks"))  # the others may be `async def`
    for role in ("needs", "uses", "gives"):
        if not isinstance(getattr(cls, role), tuple):
            raise PluginError(f"{name}.{role} is {getattr(cls, role)!r}, expected a tuple: {role} = (Detections,)")
        for kind in getattr(cls, role):
            allowed = (Result, Flow) if role != "gives" else (Result,)
            if not (isinstance(kind, type) and issubclass(kind, allowed)):
                raise PluginError(f"{name}.{role} holds {kind!r}, expected result classes")
            if "__init__" in vars(kind) and "__dataclass_fields__" not in vars(kind):
                raise PluginError(
                    f"{class_name(kind)} is a result without a declaration of its fields; write "
                    "@dataclass(frozen=True, kw_only=True, eq=False) above it and fields in place of __init__"
                )
            if issubclass(kind, Result) and _is_derived(kind):
                columns_of(kind)  # raises where a field has no form in a table
    if issubclass(cls, StreamPlugin) and not _whole(cls.state_version):
        raise PluginError(f"{name}.state_version is {cls.state_version!r}, expected a whole number: state_version = 2")
    if Replacement in cls.gives and not issubclass(cls, StreamPlugin):
        raise PluginError(f"{name} gives Replacement, which only a StreamPlugin may; derive it from that")
    return cls


__all__ = [
    "API",
    "Answer",
    "AnyPlugin",
    "ClipPlugin",
    "ClipSpec",
    "FramePlugin",
    "Output",
    "Plugin",
    "PluginContext",
    "Results",
    "StreamPlugin",
    "TimeReason",
    "check_plugin",
]
