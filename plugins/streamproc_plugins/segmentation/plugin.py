"""The `segmentation` plugin: options to net, picture to `Segmentation`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Frame, FramePlugin, Mistake, ModelError, Output, PluginContext, Result, Results, Segmentation
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, label_mistakes, model_mistakes, prepare
from streamproc_plugins.segmentation.classes import (
    BACKGROUND,
    DECODES,
    ONE_LABEL,
    Classes,
    check_labels,
    class_ids,
    class_map,
    inner,
    reading_of,
    without_small,
)
from streamproc_plugins.segmentation.options import SegmentationOptions


class SegmentationPlugin(FramePlugin[SegmentationOptions]):
    """Classifies every pixel, with any semantic segmentation net (DeepLab, a person mask, your own).

    Gives `Segmentation` on the net's own grid over the whole picture; its first label is always the background, which
    also takes unwanted labels.
    """

    gives: ClassVar[tuple[type[Result], ...]] = (Segmentation,)

    @classmethod
    def check_options(cls, options: SegmentationOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one for semantic segmentation, and know the labels."""
        if wrong := model_mistakes(models, options.model, fits=whole_picture):
            return wrong
        entry = models.entry(options.model)
        more = (BACKGROUND,) if entry.decode in ONE_LABEL else ()
        return label_mistakes(entry, [(("labels",), options.labels)], more=more)

    def open(self, context: PluginContext) -> None:
        """Load the net and check that it and the labels fit.

        Raises `ModelError` or one of its kinds where the model can't be had or doesn't fit, `PluginError` for a label
        that it doesn't know.
        """
        options = self.options
        entry = context.models.entry(options.model)
        self._spec = whole_picture(entry)
        self._net: Net = context.models.load(options.model, threads=options.threads)
        self._net.expect_picture(self._spec)
        check_labels(self._net, entry.label_names)
        self._reading = reading_of(self._net, entry.label_names)
        known = entry.label_names
        if self._reading.form == "probability":
            known = (BACKGROUND, *known)
        self._classes = Classes.of(known, options.labels)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Segmentation`."""
        found = class_map(self._ids(frame), self._classes.table)
        least = self.options.min_area * found.size
        if least > 1:
            found = without_small(found, round(least))
        return [Segmentation(class_map=np.ascontiguousarray(found), labels=self._classes.labels)]

    def _ids(self, frame: Frame) -> NDArray[np.generic]:
        tensor, fit = prepare(frame.rgb, self._spec)
        ids = class_ids(self._net, self._net(tensor)[0], self._reading, self.options.threshold)
        if self._spec.resize == "letterbox":
            ids = inner(ids, self._spec.hw, (round(frame.height * fit.scale_y), round(frame.width * fit.scale_x)))
        return ids


def whole_picture(entry: ModelEntry) -> InputSpec:
    """The input of a segmentation net of single whole pictures; `ModelError` where the model isn't one."""
    spec = entry.input
    if entry.decode not in DECODES or spec is None or spec.layout == "NDHWC":
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}), not a model for semantic segmentation; "
            f"expected one of pictures whose decode is {', '.join(DECODES)}, such as deeplab-voc"
        )
    if spec.resize == "crop":
        raise ModelError(
            f"{entry.name} looks at the middle of the picture only (resize crop), but a segmentation covers all of it; "
            "say stretch or letterbox in its manifest"
        )
    if not entry.label_names:
        raise ModelError(f"{entry.name} has no labels; name them in its manifest")
    return spec


__all__ = ["SegmentationPlugin", "whole_picture"]
