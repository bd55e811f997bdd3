"""Faults of the camera, sample by sample, and their duration. Knows small grey pictures and media time only."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from streamproc_plugins.camera_health import measures
from streamproc_plugins.camera_health.measures import Array, Gray

WIDTH, HEIGHT = 160, 90
"""of the pictures that are looked at"""
_VIEW = (96, 54)
"""width, height in which the view is learned and pictures are compared"""
_LEARNED_FROM = 5
"""samples before a view and its sharpness count as known"""
FAULTS = ("frozen", "black", "covered", "blurred", "moved")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """Times in nanoseconds of media time, levels of 255, the rest parts of 1."""

    after_ns: int = 5_000_000_000
    frozen_ns: int = 10_000_000_000
    accept_ns: int = 60_000_000_000
    learn_ns: int = 60_000_000_000
    black: float = 12.0
    contrast: float = 2.0
    covered: float = 0.9
    sharpness: float = 0.6
    agreement: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """A fault that has begun, or is over."""

    fault: str
    begun: bool
    start_ns: int
    end_ns: int | None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _FaultRun:
    """Duration of a fault, or of its absence."""

    since_ns: int | None = None
    fine_ns: int | None = None
    emitted: bool = False

    def step(self, now_ns: int, wrong: bool | None, after_ns: int, began_ns: int) -> bool | None:
        """True: the fault begins now; False: it is over; None: no change.

        wrong: None if it can't be measured. after_ns: how long the fault, or its absence, must last.
        """
        if wrong is None:
            if not self.emitted:
                self.since_ns = None
            return None
        if wrong:
            self.fine_ns = None
            self.since_ns = began_ns if self.since_ns is None else self.since_ns
            if self.emitted or now_ns - self.since_ns < after_ns:
                return None
            self.emitted = True
            return True
        if not self.emitted:
            self.since_ns = None
            return None
        self.fine_ns = now_ns if self.fine_ns is None else self.fine_ns
        return False if now_ns - self.fine_ns >= after_ns else None


class HealthMonitor:
    """Give it a picture about once a second."""

    def __init__(self, settings: HealthSettings) -> None:
        self._set = settings
        self._runs = {fault: _FaultRun() for fault in FAULTS}
        self._before: tuple[int, Gray] | None = None
        self._forget()

    def _forget(self) -> None:
        self._view: Array | None = None
        self._sharp: float | None = None
        self._samples = 0
        self._learned_ns = 0

    def look(self, now_ns: int, gray: Gray) -> list[HealthChange]:
        """Changes of the faults; gray: uint8 (HEIGHT, WIDTH)."""
        import cv2

        small = np.asarray(cv2.resize(gray, _VIEW, interpolation=cv2.INTER_AREA), np.uint8)
        now = measures.detail(small)
        wrong, data = self._judge(gray, now)
        began_ns = now_ns
        if self._before is not None:
            wrong["frozen"] = measures.frozen(self._before[1], small)
            began_ns = self._before[0]
        self._before = (now_ns, small)
        changes = []
        for fault, run in self._runs.items():
            frozen = fault == "frozen"
            after_ns = self._set.frozen_ns if frozen and not run.emitted else self._set.after_ns
            emitted = run.step(now_ns, wrong.get(fault), after_ns, began_ns if frozen else now_ns)
            if emitted is not None:
                changes.append(self._change(fault, emitted, data.get(fault, {})))
        if not any(wrong.get(fault) for fault in FAULTS):
            self._learn(now_ns, gray, now)
        return changes + self._accept(now_ns)

    def _judge(self, gray: Gray, now: Array) -> tuple[dict[str, bool | None], dict[str, dict[str, Any]]]:
        """Fault by fault whether it is there, None where another one hides it; and numbers for the events."""
        level = float(gray.mean())
        flat = measures.flat_share(gray, self._set.contrast)
        black = level < self._set.black
        covered = None if black else flat > self._set.covered
        wrong: dict[str, bool | None] = {"black": black, "covered": covered}
        data: dict[str, dict[str, Any]] = {"black": {"level": level}, "covered": {"flat": flat}}
        if black or covered or self._view is None or self._samples < _LEARNED_FROM:
            return wrong, data
        agreed, sharp = measures.view_agreement(self._view, now), measures.sharpness(gray)
        if agreed is not None:
            wrong["moved"] = agreed < self._set.agreement
            moved = measures.shift(self._view, now) if wrong["moved"] else None
            data["moved"] = {"agreement": agreed, "shift": None if moved is None else list(moved)}
        if sharp is not None and self._sharp is not None and not wrong.get("moved"):
            part = sharp / self._sharp
            wrong["blurred"] = part < self._set.sharpness
            data["blurred"] = {"sharpness": part}
        return wrong, data

    def _change(self, fault: str, begun: bool, data: Mapping[str, Any]) -> HealthChange:
        run = self._runs[fault]
        assert run.since_ns is not None
        if begun:
            return HealthChange(fault=fault, begun=True, start_ns=run.since_ns, end_ns=None, data=data)
        self._runs[fault] = _FaultRun()
        return HealthChange(fault=fault, begun=False, start_ns=run.since_ns, end_ns=run.fine_ns)

    def _learn(self, now_ns: int, gray: Gray, now: Array) -> None:
        """The view and its sharpness follow slow changes; the first samples count alike."""
        elapsed_ns = now_ns - self._learned_ns
        self._samples, self._learned_ns = self._samples + 1, now_ns
        rate = max(1 / self._samples, min(elapsed_ns / self._set.learn_ns, 0.5))
        # stored in float16: a state of half the size that goes on exactly
        view = now if self._view is None else self._view + np.float32(rate) * (now - self._view)
        self._view = view.astype(np.float16).astype(np.float32)
        sharp = measures.sharpness(gray)
        if sharp is not None:
            self._sharp = sharp if self._sharp is None else self._sharp + rate * (sharp - self._sharp)

    def _accept(self, now_ns: int) -> list[HealthChange]:
        """A view that has been another one for long is the camera's view now; it is learned afresh."""
        run = self._runs["moved"]
        if not run.emitted or run.since_ns is None or now_ns - run.since_ns < self._set.accept_ns:
            return []
        start_ns, self._runs["moved"] = run.since_ns, _FaultRun()
        self._forget()
        return [HealthChange(fault="moved", begun=False, start_ns=start_ns, end_ns=now_ns, data={"accepted": True})]

    def end(self, now_ns: int) -> list[HealthChange]:
        """End the open faults with the stream, or at their last observation."""
        over = []
        for fault, run in self._runs.items():
            if run.emitted and run.since_ns is not None:
                end_ns = now_ns if run.fine_ns is None else run.fine_ns
                over.append(
                    HealthChange(fault=fault, begun=False, start_ns=run.since_ns, end_ns=max(end_ns, run.since_ns))
                )
                self._runs[fault] = _FaultRun()
        return over

    def lose(self, now_ns: int, patience_ns: int) -> list[HealthChange]:
        """End the open faults after too long without a picture, at their last observation."""
        if self._before is None or now_ns - self._before[0] <= patience_ns:
            return []
        over = self.end(self._before[0])
        self._runs = {fault: _FaultRun() for fault in FAULTS}
        self._before = None
        return over

    def state(self) -> dict[str, Any]:
        """Plain JSON values for `restore`; about 20 kB."""
        before = self._before
        return {
            "runs": {fault: asdict(run) for fault, run in self._runs.items()},
            "before": None if before is None else [before[0], _packed(before[1])],
            "view": None if self._view is None else _packed(self._view.astype(np.float16)),
            "learned": [self._sharp, self._samples, self._learned_ns],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._runs = {fault: _FaultRun(**state["runs"][fault]) for fault in FAULTS}
        shape = _VIEW[::-1]
        self._before = None
        if state["before"]:
            at_ns, text = state["before"]
            self._before = (at_ns, np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape))
        self._view = None
        if state["view"]:
            stored = np.frombuffer(base64.b64decode(state["view"]), np.float16)
            self._view = stored.reshape(shape).astype(np.float32)
        self._sharp, self._samples, self._learned_ns = state["learned"]


def _packed(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


__all__ = ["FAULTS", "HEIGHT", "WIDTH", "HealthChange", "HealthMonitor", "HealthSettings"]
