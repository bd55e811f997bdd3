"""The `detection` plugin: options to net, picture to `Detections`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Detections,
    Frame,
    FramePlugin,
    Mistake,
    ModelError,
    Output,
    PluginContext,
    PluginError,
    Results,
)
from streamproc.errors import nearest
from streamproc.geometry import clip_boxes
from streamproc.models import (
    Fit,
    InputSpec,
    ModelEntry,
    ModelStore,
    Net,
    fit_size,
    label_mistakes,
    model_mistakes,
    prepare,
    prepare_frame,
)
from streamproc_plugins.detection.decode import DECODERS, FoundBoxes, checked_decoder
from streamproc_plugins.detection.nms import suppress
from streamproc_plugins.detection.options import DetectionOptions
from streamproc_plugins.detection.tiling import clipped_by_tile, merge_tiles, windows

DETAIL = {"low": 0.5, "normal": 1.0, "high": 2.7}
"""input pixels as a multiple of the model's own size"""
MIN_SCORE = 0.4
"""for models that name none"""
_NEVER = 2.0


class Detection(FramePlugin[DetectionOptions]):
    """Finds labelled objects in each frame with a detection net (YOLOX, FastestDet, OpenVINO detectors).

    Boxes are in source pixels and inside the picture, best score first. The same picture gives the same boxes.
    """

    gives = (Detections,)

    @classmethod
    def check_options(cls, options: DetectionOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be a detector, and know the labels."""
        wrong = model_mistakes(models, options.model, fits=detector_input)
        named = ((("labels",), options.labels), (("scores",), options.scores))
        return wrong or label_mistakes(models.entry(options.model), named)

    @classmethod
    def labels_given(
        cls, options: DetectionOptions, models: ModelStore, before: Collection[str] | None
    ) -> Collection[str] | None:
        """The wanted labels, or all of the model."""
        return options.labels or models.entry(options.model).label_names

    def open(self, context: PluginContext) -> None:
        """Find and load the net for the stream's size.

        Raises `ModelError` or one of its kinds where the model can't be had or doesn't fit, `PluginError` for a label
        that it doesn't know.
        """
        self._store: ModelStore = context.models
        entry = self._store.entry(self.options.model)
        self._entry, self._spec = entry, detector_input(entry)
        self._floor = score_floor(self.options, entry)
        self._nets: dict[tuple[int, int], Net] = {}
        for width, height in self._part_sizes(context.stream.width, context.stream.height):
            self._net(input_hw(self.options, entry, width, height))

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Detections`."""
        found = self._look_closely(frame) if self.options.tiles else self._look_once(frame)
        if len(found) > self.options.max_items:
            found = found.rows(np.arange(self.options.max_items))
        labels = self._entry.label_names
        return [
            Detections(
                xyxy=found.xyxy,
                score=found.score,
                class_id=found.class_id,
                label=tuple(labels[i] for i in found.class_id),
                operating_score=operating_score(self._entry),
            )
        ]

    def close(self) -> None:
        """Release the nets; the model store holds them for other plugins."""
        self._nets = {}

    def _look_once(self, frame: Frame) -> FoundBoxes:
        found = self._look(frame)
        if DECODERS[self._entry.decode].suppressed and not self.options.nms_across_labels:
            return found.rows(np.argsort(-found.score, kind="stable"))
        return found.rows(suppress(found.xyxy, found.score, self._rivals(found), self.options.nms_iou))

    def _rivals(self, found: FoundBoxes) -> NDArray[np.int64]:
        """Numbers of groups within which boxes suppress each other: (N,)."""
        return np.zeros_like(found.class_id) if self.options.nms_across_labels else found.class_id

    def _look_closely(self, frame: Frame) -> FoundBoxes:
        tiles = self.options.tiles
        assert tiles is not None
        rgb, (width, height) = frame.rgb, frame.size
        looks = [self._look(frame)]
        clipped = [np.zeros(len(looks[0]), dtype=np.bool_)]
        for window in windows(width, height, tiles.columns, tiles.rows, tiles.overlap):
            left, top, right, bottom = window
            part = self._look_at_part(rgb[top:bottom, left:right])
            moved = part.xyxy + np.array([left, top, left, top], dtype=np.float32)
            looks.append(FoundBoxes(xyxy=moved, score=part.score, class_id=part.class_id))
            clipped.append(clipped_by_tile(moved, window, width, height))
        merged = merge_tiles(looks, clipped, self.options.nms_iou)
        if self.options.nms_across_labels:
            return merged.rows(suppress(merged.xyxy, merged.score, self._rivals(merged), self.options.nms_iou))
        return merged

    def _look(self, frame: Frame) -> FoundBoxes:
        """Boxes of a whole frame, in its own pixels, not yet suppressed."""
        hw = input_hw(self.options, self._entry, *frame.size)
        blob, fit = prepare_frame(frame, self._spec, hw)
        return self._read(blob, fit, hw, frame.size)

    def _look_at_part(self, rgb: NDArray[np.uint8]) -> FoundBoxes:
        """Boxes of a part of a picture, in its own pixels, not yet suppressed."""
        size = (rgb.shape[1], rgb.shape[0])
        hw = input_hw(self.options, self._entry, *size)
        blob, fit = prepare(rgb, self._spec, hw)
        return self._read(blob, fit, hw, size)

    def _read(self, blob: NDArray[Any], fit: Fit, hw: tuple[int, int], size: tuple[int, int]) -> FoundBoxes:
        found = DECODERS[self._entry.decode].read(self._net(hw)(blob), hw, self._floor)
        if not len(found):
            return found
        boxes = clip_boxes(fit.boxes_back(found.xyxy), *size)
        inside = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        return FoundBoxes(xyxy=boxes[inside], score=found.score[inside], class_id=found.class_id[inside])

    def _net(self, hw: tuple[int, int]) -> Net:
        if hw not in self._nets:
            size = None if hw == self._spec.hw else hw
            net = self._store.load(self.options.model, input_hw=size, threads=self.options.threads)
            checked_decoder(net, self._entry.decode, hw)
            self._nets[hw] = net
        return self._nets[hw]

    def _part_sizes(self, width: int, height: int) -> list[tuple[int, int]]:
        """(width, height) of everything that will be looked at in a picture of this size."""
        tiles = self.options.tiles
        parts = windows(width, height, tiles.columns, tiles.rows, tiles.overlap) if tiles else ()
        return [(width, height), *((right - left, bottom - top) for left, top, right, bottom in parts)]


def detector_input(entry: ModelEntry) -> InputSpec:
    """The input of a detector; `ModelError` where the model isn't one."""
    if entry.decode not in DECODERS or entry.input is None:
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}), not a model that `detection` can read; "
            f"expected one whose decode is {', '.join(DECODERS)}"
        )
    return entry.input


def input_hw(options: DetectionOptions, entry: ModelEntry, width: int, height: int) -> tuple[int, int]:
    """Input (height, width) for a picture of this size.

    Raises `ModelError` where the model has one size only and `detail` asks for another.
    """
    spec = entry.input
    assert spec is not None
    if isinstance(options.input_size, tuple):
        return options.input_size
    if spec.multiple is None:
        if options.detail != "normal":
            raise ModelError(f"{entry.name} has the input size {_side(spec)} only; leave `detail` out or use `tiles`")
        return spec.hw
    return fit_size(width, height, round(spec.height * spec.width * DETAIL[options.detail]), spec.multiple)


def operating_score(entry: ModelEntry) -> float:
    """The score at which the model is meant to be used, on its own scale, between 0 and 1."""
    return min(max(MIN_SCORE if entry.min_score is None else entry.min_score, 0.01), 0.99)


def score_floor(options: DetectionOptions, entry: ModelEntry) -> NDArray[np.float32]:
    """Lowest score by class, float32 (C,); above 1 for labels that aren't wanted.

    Raises `PluginError` naming each label that the model doesn't have and the nearest that it has.
    """
    known = entry.label_names
    unknown = [label for label in dict.fromkeys((*options.labels, *options.scores)) if label not in known]
    if unknown:
        names = ", ".join(f"{label!r}{nearest(label, known)}" for label in unknown)
        raise PluginError(f"{entry.name} has no label {names}; it knows {_listed(known)}")
    default = options.min_score if options.min_score is not None else entry.min_score
    floor = np.full(len(known), MIN_SCORE if default is None else default, dtype=np.float32)
    for label, score in options.scores.items():
        floor[known.index(label)] = score
    if options.labels:
        floor[[i for i, label in enumerate(known) if label not in options.labels]] = _NEVER
    return floor


def _listed(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:12])
    return shown if len(labels) <= 12 else f"{shown} and {len(labels) - 12} more"


def _side(spec: InputSpec) -> str:
    return f"{spec.height}x{spec.width}"
