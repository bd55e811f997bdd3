"""Sampling for a chain: decides which steps run at each source frame, and takes clips from all frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamproc.chain.clips import Buildable, CutClip
from streamproc.chain.sampling import Beat
from streamproc.chain.step import Due, Step
from streamproc.frames import Frame


class Sampler:
    """Decides for every source frame of one stream, in order, which steps run at it.

    beat: frames that the stream's own rate takes; None: all. warn: called with sentences about clips.
    """

    def __init__(self, steps: Sequence[Step], beat: Beat | None, warn: Callable[[str], None]) -> None:
        self._steps = tuple(steps)
        self._beat = beat
        self._warn = warn

    def due(self, frame: Frame) -> Due:
        """Return what runs at this frame; passes on the exception of a picture that can't be converted for a clip."""
        on_rate = self._beat is None or self._beat.takes(frame.pts_ns)
        steps: set[int] = set()
        clips: dict[int, Buildable] = {}
        for step in self._steps:
            if step.cutter is not None:
                clip = self._cut(step, frame, on_rate)
                if clip is None:
                    continue
                clips[step.index] = clip
            if not on_rate or not all(needed in steps for needed in step.required):
                continue
            if step.beat is None or step.beat.takes(frame.pts_ns):
                steps.add(step.index)
        return Due(frozenset(steps), clips)

    def _cut(self, step: Step, frame: Frame, on_rate: bool) -> CutClip | None:
        """Sample a frame for a clip plugin; return the clip that ends here, if one is due."""
        assert step.cutter is not None
        slow = step.cutter.pace.slow
        clip = step.cutter.add(frame, on_rate)
        if not slow and step.cutter.pace.slow:
            self._warn(f"clips of plugin {step.name} stream={frame.stream.name}: {step.cutter.pace.warning}")
        return clip

    def state(self) -> dict[str, Any]:
        """Return the places of all beats and the pictures that the next clips need, as plain JSON values."""
        return {
            "rate_due_ns": None if self._beat is None else self._beat.due_ns,
            "steps": {
                step.name: {
                    "due_ns": None if step.beat is None else step.beat.due_ns,
                    "clip": None if step.cutter is None else step.cutter.state(),
                }
                for step in self._steps
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a stored `state`; a step that it doesn't hold starts afresh."""
        if self._beat is not None:
            self._beat.due_ns = state["rate_due_ns"]
        for step in self._steps:
            stored = state["steps"].get(step.name, {})
            if step.beat is not None:
                step.beat.due_ns = stored.get("due_ns")
            if step.cutter is not None and stored.get("clip") is not None:
                step.cutter.restore(stored["clip"])


__all__ = ["Sampler"]
