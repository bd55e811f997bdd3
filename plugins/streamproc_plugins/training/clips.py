"""`streamproc train action`: from clips with labels to a model that `action` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from streamproc.models import InputSpec
from streamproc_plugins.training.course import (
    CourseSettings,
    TrainingOutcome,
    TrainingProgress,
    check_width,
    make_feed,
    prepare_split,
    start_random,
    train,
)
from streamproc_plugins.training.data import (
    CLIP_SUFFIXES,
    Dataset,
    Grouping,
    TrainingError,
    read_folder,
    read_segments,
)
from streamproc_plugins.training.export import ExportTarget, prepare_folder
from streamproc_plugins.training.lists import read_lists
from streamproc_plugins.training.loading import clip_loader

Build = Callable[..., Any]

NETS = "streamproc_plugins.action.nets"
_WINDOWS = 4
"""of a long segment so many clips' length is read, from its middle"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSettings:
    """Settings particular to clips."""

    out: Path
    name: str
    net: str
    frames: int = 16
    """pictures in a clip"""
    rate: float = 8.0
    """pictures a second of media time"""
    size: tuple[int, int] = (112, 112)
    """(width, height)"""
    width: float = 1.0
    """factor of the net's channels"""
    flow: bool = False
    """a second stream over optical flow"""
    options: Mapping[str, Any] = field(default_factory=dict)
    """the net's own"""
    course: CourseSettings = field(default_factory=CourseSettings)

    def check(self) -> None:
        """Raise `TrainingError` for invalid settings."""
        if self.frames < 1 or not self.rate > 0 or min(self.size) < 8:
            raise TrainingError("--frames and --rate must be positive, --size at least 8")
        check_width(self.width)


def read_clips(path: Path, lists: Path | None = None, number: int = 1, grouping: Grouping = "auto") -> Dataset:
    """A folder with a subfolder per class, with list files of UCF101 or HMDB-51 where given; or a CSV of segments."""
    if lists is not None:
        return read_lists(path, lists, number)
    return read_segments(path) if path.suffix.lower() == ".csv" else read_folder(path, CLIP_SUFFIXES, grouping)


def train_clips(
    data: Dataset, settings: ClipSettings, progress: TrainingProgress, build: Build | None = None
) -> TrainingOutcome:
    """Train and write the model folder.

    build: `build(kind, *, frames, size, classes, width, flow, **options)` gives a Keras model from float32 (N, T, h, w,
    3) with pixels 0..255 RGB to logits (N, C); by default the nets of `action`. Raises `TrainingError` where something
    is in the way.
    """
    settings.check()
    prepare_folder(settings.out)
    made = prepare_split(data, settings.course, progress)
    start_random(settings.course)
    model = (build or action_net)(
        settings.net, frames=settings.frames, size=settings.size, classes=len(data.labels), width=settings.width,
        flow=settings.flow, **settings.options,
    )  # fmt: skip
    _check_net(model, settings, len(data.labels))
    spec = InputSpec(
        width=settings.size[0], height=settings.size[1], layout="NDHWC", colour="rgb", frames=settings.frames
    )
    target = ExportTarget(
        folder=settings.out,
        name=settings.name,
        task="action",
        labels=data.labels,
        input=spec,
        decode="logits",
        note=f"{settings.net}, clips of {settings.frames} pictures at {settings.rate:g} a second",
    )
    load = clip_loader(settings.size, settings.rate, _WINDOWS * settings.frames)
    feed = replace(make_feed(data, made, load, settings.course), frames=settings.frames, flow=len(model.inputs) == 2)
    return train(model, feed, target, settings.course, progress)


def action_net(kind: str, **options: Any) -> Any:
    """A net of the plugin `action`; `TrainingError` where it has none of that name, or the options don't fit it."""
    try:
        nets = import_module(NETS)
    except ImportError as error:
        raise TrainingError(f"the nets for clips can't be loaded: {error}") from None
    if kind not in nets.KINDS:
        raise TrainingError(f"there is no net {kind!r} for clips, expected one of {', '.join(nets.KINDS)}")
    try:
        return nets.build(kind, **options)
    except (ValueError, TypeError) as error:
        raise TrainingError(f"the net {kind} can't be built so: {error}") from None


def _check_net(model: Any, settings: ClipSettings, classes: int) -> None:
    clip = (None, settings.frames, settings.size[1], settings.size[0])
    inputs, outputs = [tuple(t.shape) for t in model.inputs], [tuple(t.shape) for t in model.outputs]
    if inputs not in ([(*clip, 3)], [(*clip, 3), (*clip, 2)]) or outputs != [(None, classes)]:
        raise TrainingError(
            f"the net {settings.net} takes {inputs} and gives {outputs}, expected {(*clip, 3)}, then perhaps flow "
            f"{(*clip, 2)}, and {(None, classes)}"
        )


__all__ = ["ClipSettings", "action_net", "read_clips", "train_clips"]
