"""The real nets, pictures and clips of the shared folder, and runs over them."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Event, Result
from streamproc.config import load_text
from streamproc.config.plan import PluginPlan, SinkPlan, StreamPlan
from streamproc.engine import Engine
from streamproc.models import ModelStore
from streamproc.testing import ListSink
from streamproc.testing.fakes import ListSinkOptions

Image = NDArray[np.uint8]

SHARED = Path(os.environ.get("STREAMPROC_SHARED") or Path(__file__).resolve().parents[2] / "shared")
"""real nets, footage and data; not part of the repository"""


def check_shared() -> None:
    """End the program with a sentence where the folder isn't there."""
    if not (SHARED / "models").is_dir():
        raise SystemExit(
            f"the folder with real nets and footage is not there ({SHARED}): "
            "set STREAMPROC_SHARED to the one that holds models/, media/ and data/"
        )


@cache
def store() -> ModelStore:
    """The nets of the shared folder, loaded once; nothing is downloaded."""
    scratch = Path(tempfile.mkdtemp(prefix="streamproc-bench-"))
    return ModelStore(mirrors=[SHARED / "models"], cache=scratch, download=False)


@cache
def truth(clip: str) -> dict[str, Any]:
    """What a person sees in a clip."""
    told: dict[str, Any] = json.loads((SHARED / "media" / "truth.json").read_text())[clip]
    return told


def picture(name: str) -> Image:
    """A photo of the shared folder, uint8 RGB."""
    import cv2

    bgr = cv2.imread(str(SHARED / "models" / "pictures" / name))
    if bgr is None:
        raise SystemExit(f"{SHARED / 'models' / 'pictures' / name} is not there, or no picture")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def class_map(name: str) -> Image:
    """A ground-truth mask of the shared folder, uint8 (h, w): class numbers."""
    import cv2

    mask = cv2.imread(str(SHARED / "models" / "pictures" / name), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise SystemExit(f"{SHARED / 'models' / 'pictures' / name} is not there, or no picture")
    return np.asarray(mask, np.uint8)


def pictures(clip: str) -> Iterator[Image]:
    """The frames of a clip in order, uint8 RGB."""
    import av

    with av.open(str(SHARED / "media" / clip)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


@dataclass(frozen=True, slots=True)
class JobRun:
    """What a configuration came to."""

    events: list[Event]
    spent_ms: dict[str, float]
    """CPU-ms a call of each plugin's `process`, on the thread that called it"""

    def of(self, type_: str, *phases: str) -> list[Event]:
        """The events of one type, in these phases (none: all)."""
        return [e for e in self.events if e.type == type_ and (not phases or e.phase in phases)]


def run_job(text: str) -> JobRun:
    """Run a configuration without sinks in the engine; its streams and plugins must not fail."""
    spent: dict[str, list[float]] = {}
    plan = load_text(text)
    sink = ListSink()
    extra = [(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]
    with tempfile.TemporaryDirectory() as folder:
        plan = replace(
            plan,
            streams=tuple(_timed_stream(stream, spent) for stream in plan.streams),
            runtime=replace(plan.runtime, state=Path(folder)),
        )
        report = Engine(plan, models=store(), extra=extra).run()
    failed = [stream.error for stream in report.streams if stream.error]
    failed += [f"{p.name}: {p.verdicts}" for s in report.streams for p in s.plugins if p.verdicts.get("failed")]
    if failed:
        raise SystemExit(f"the run failed: {'; '.join(failed)}")
    return JobRun(sink.events, {name: 1e3 * sum(times) / len(times) for name, times in spent.items()})


def _timed_stream(stream: StreamPlan, spent: dict[str, list[float]]) -> StreamPlan:
    return replace(stream, chain=tuple(_timed(entry, spent.setdefault(entry.name, [])) for entry in stream.chain))


def _timed(entry: PluginPlan, spent: list[float]) -> PluginPlan:
    """The same plugin, but the CPU time of each call is kept; what it yields is made inside the call."""
    base: Any = entry.cls

    def process(self: Any, subject: Any, past: Any) -> list[Result | Event]:
        start = time.thread_time()
        items = list(base.process(self, subject, past) or ())
        spent.append(time.thread_time() - start)
        return items

    return replace(entry, cls=type(base.__name__, (base,), {"process": process, "__module__": base.__module__}))
