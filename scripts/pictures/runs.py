"""Chains of plugins run in the real engine over pictures made here: all that they gave, and what `annotate` drew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Detections, Event, Frame, FramePlugin, Output, PluginContext, Result, Results
from streamproc.frames import SECOND_NS
from streamproc.models import ModelStore
from streamproc.scene.scene import Scene, SceneSpec
from streamproc.testing import make_frame, make_info, plugin_plan, run_chain
from streamproc_plugins.annotate import Annotate

Rgb = NDArray[np.uint8]
ResultT = TypeVar("ResultT", bound=Result)


@dataclass
class Seen:
    """What a run came to, frame by frame."""

    times_s: list[float] = field(default_factory=list)
    past: list[Results] = field(default_factory=list)
    drawn: list[Rgb] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def of(self, plugin: str, kind: type[ResultT]) -> list[tuple[float, ResultT]]:
        """What a plugin gave, with the seconds at which it did."""
        found = [(at, past.all(kind).get(plugin)) for at, past in zip(self.times_s, self.past, strict=True)]
        return [(at, result) for at, result in found if result is not None]

    def told(self, kind: str, phase: str = "") -> list[Event]:
        """The events of a type, and of a phase if one is named."""
        return [event for event in self.events if event.type == kind and phase in ("", event.phase)]

    def spans(self, kind: str, key: str = "") -> list[tuple[str, float, float]]:
        """What lasted from when to when: (a value of its data, start, end) of each episode that ended."""
        ended = [event for event in self.events if event.type == kind and event.phase in ("end", "instant")]
        return [(str(event.data.get(key, "")), *span(event)) for event in ended]

    def near(self, at_s: float) -> int:
        """Index of the frame nearest to a time."""
        return int(np.abs(np.array(self.times_s) - at_s).argmin())


def span(event: Event) -> tuple[float, float]:
    """From when to when, seconds."""
    end_ns = event.start_ns if event.end_ns is None else event.end_ns
    return event.start_ns / SECOND_NS, end_ns / SECOND_NS


def frames_of(pictures: Sequence[Rgb], rate: float, name: str = "yard") -> list[Frame]:
    """A recorded stream of these pictures (uint8 (h, w, 3) each) at an even rate."""
    height, width = pictures[0].shape[:2]
    info = make_info(name, width=width, height=height, rate=rate)
    return [make_frame(rgb=rgb, index=n, info=info) for n, rgb in enumerate(pictures)]


def run(
    frames: Sequence[Frame], chain: Sequence[Any], *, draw: Sequence[str] | None = None,
    models: ModelStore | None = None, **annotate: Any,
) -> Seen:  # fmt: skip
    """Run plugins (made by `use` and `given`) and keep everything. draw: layers of `annotate`; None: all."""
    seen = Seen()

    class Kept(Annotate):
        def open(self, context: PluginContext) -> None:
            super().open(context)
            self._name = frames[0].stream.name

        def process(self, frame: Frame, past: Results) -> Output:
            seen.times_s.append(frame.pts_ns / SECOND_NS)
            seen.past.append(past)
            seen.drawn.append(self.picture(frame, past))
            return ()

    options: dict[str, Any] = annotate if draw is None else {"draw": tuple(draw), **annotate}
    found = run_chain([*chain, plugin_plan(Kept, name="kept", **options)], list(frames), models=models)
    for stream in found.report.streams:
        if stream.error:
            raise SystemExit(stream.error)
        wrong = {plugin.name: dict(plugin.verdicts) for plugin in stream.plugins if plugin.verdicts.get("failed")}
        if wrong:
            raise SystemExit(f"plugins failed, see the log: {wrong}")
    seen.events = found.events
    return seen


def use(name: str, plugin: type[Any], *, settings: dict[str, Any] | None = None, **options: Any) -> Any:
    """An entry of a chain."""
    return plugin_plan(plugin, name=name, settings=settings, **options)


def given(name: str, tell: Callable[[int], Iterable[Result]], *kinds: type[Result]) -> Any:
    """An entry of a chain that gives what is known of each frame, by its number."""

    class Given(FramePlugin[Any]):
        gives = kinds

        def process(self, frame: Frame, past: Results) -> Output:
            del past
            return list(tell(frame.index))

    return plugin_plan(Given, name=name)


def scene(**spec: Any) -> Scene:
    """The synthetic scene; `seconds` and `rate` may be plain numbers."""
    seconds = spec.pop("seconds")
    rate = Fraction(spec.pop("rate", 10))
    return Scene(SceneSpec(duration_ns=round(seconds * SECOND_NS), rate=rate, **spec))


def rendered(made: Scene) -> list[Rgb]:
    """All pictures of a scene."""
    return [made.render(index) for index in range(len(made))]


def truth(made: Scene, *, shake: float = 0, seed: int = 0) -> Callable[[int], list[Detections]]:
    """What is in each picture as `Detections`; boxes shaken by so many pixels (standard deviation)."""

    def tell(index: int) -> list[Detections]:
        rng = np.random.default_rng((seed, index))
        seen = [one for one in made.truth(index) if one.share > 0.3]
        boxes = np.array([one.box for one in seen], np.float32).reshape(-1, 4)
        moved = boxes + rng.normal(0, shake, boxes.shape) if shake else boxes
        score = rng.uniform(0.7, 0.95, len(seen))
        return [Detections.of(moved, score, [one.label for one in seen])]

    return tell


__all__ = ["Seen", "frames_of", "given", "rendered", "run", "scene", "span", "truth", "use"]
