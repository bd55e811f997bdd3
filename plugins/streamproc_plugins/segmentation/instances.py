"""The `instances` plugin: options to net, picture (and boxes) to `Detections` with masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Detections,
    Flow,
    Frame,
    FramePlugin,
    MissingInput,
    Mistake,
    Output,
    PluginContext,
    Result,
    Results,
    Tracks,
)
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, model_mistakes, prepare
from streamproc_plugins.pose.bottom_up import check_heads, decode_poses, real_maps
from streamproc_plugins.pose.plugin import decoded_input
from streamproc_plugins.pose.top_down import worth_a_look
from streamproc_plugins.segmentation.classes import check_labels, inner, probability, reading_of
from streamproc_plugins.segmentation.crops import Grid, crop_masks, window
from streamproc_plugins.segmentation.options import MODELS, InstancesOptions
from streamproc_plugins.segmentation.people import SEGMENT_HEADS, MaskGrid, boxes_of, people_masks, segment_heads

DECODERS = {"people": ("bodypix",), "crops": ("probability",)}
"""decode of a model, by mode"""
PERSON = "person"

Found = tuple[NDArray[np.bool_], NDArray[np.float32], tuple[str, ...]]
"""masks (N, h, w), scores (N,), labels"""


class Instances(FramePlugin[InstancesOptions]):
    """Finds people with a mask for each: all in one look (PersonLab, ECCV 2018), or one look at each box found before.

    Gives `Detections` with `masks` and the boxes round them, best first; no pixel belongs to two people.
    """

    uses: ClassVar[tuple[type[Result | Flow], ...]] = (Detections, Tracks)
    gives: ClassVar[tuple[type[Result], ...]] = (Detections,)

    @classmethod
    def check_options(cls, options: InstancesOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one for the mode."""
        return model_mistakes(models, options.model_name, fits=lambda entry: instances_input(entry, options.mode))

    @classmethod
    def labels_named(cls, options: InstancesOptions) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The labels of boxes to look at, where the user names them."""
        named = options.labels if "labels" in options.model_fields_set else ()
        return ((("labels", index), label) for index, label in enumerate(named))

    def open(self, context: PluginContext) -> None:
        """Load the net.

        Raises `ModelError` or one of its kinds where the model can't be had or doesn't fit the mode.
        """
        options = self.options
        entry = context.models.entry(options.model_name)
        self._spec = instances_input(entry, options.mode)
        self._net: Net = context.models.load(options.model_name, threads=options.threads)
        self._net.expect_picture(self._spec)
        if options.mode == "people":
            self._stride = check_heads(self._net, entry.decode, SEGMENT_HEADS)
        else:
            check_labels(self._net, entry.label_names)
            self._reading = reading_of(self._net, entry.label_names)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Detections`."""
        side = max(frame.size)
        shrink = min(self.options.mask_side / side, 1) if self.options.mask_side else 1
        width, height = (max(round(length * shrink), 1) for length in frame.size)
        if self.options.mode == "people":
            masks, score, label = self._all(frame, width, height)
        else:
            masks, score, label = self._each(frame, past, width, height)
        boxes = boxes_of(masks) * np.array([frame.width / width, frame.height / height] * 2, np.float32)
        pixels = np.array([np.count_nonzero(mask) for mask in masks], np.int64)
        rows = np.flatnonzero(pixels >= max(self.options.min_area * width * height, 1))
        found = Detections(
            xyxy=boxes[rows],
            score=np.asarray(score[rows], np.float32),
            class_id=np.zeros(len(rows), np.int64),
            label=tuple(label[row] for row in rows),
            masks=masks if len(rows) == len(masks) else masks[rows],
        )
        return [found]

    def _all(self, frame: Frame, width: int, height: int) -> Found:
        """All people in one look."""
        tensor, fit = prepare(frame.rgb, self._spec)
        heads = segment_heads(real_maps(self._net, self._net(tensor), tuple(SEGMENT_HEADS)), self._stride)
        people, score = decode_poses(heads.poses, self.options.settings())
        target = MaskGrid(
            width=width,
            height=height,
            scale_x=fit.scale_x * frame.width / width / self._stride,
            scale_y=fit.scale_y * frame.height / height / self._stride,
        )
        masks = people_masks(heads, people, target, self.options.threshold, self.options.max_distance)
        return masks, score, (PERSON,) * len(people)

    def _each(self, frame: Frame, past: Results, width: int, height: int) -> Found:
        """One look at each box."""
        tracks, options = past.get(Tracks), self.options
        found = tracks if tracks is not None else past.get(Detections)
        if found is None:
            raise MissingInput(
                "instances in the mode crops looks at boxes, but no earlier plugin gave Detections or Tracks for this "
                "frame; put one in front, or set mode: people"
            )
        sure, least, most = options.min_box_score, options.min_height, options.max_items
        found = found[worth_a_look(found, options.labels, sure, least, most)]
        windows = [window(box, options.margin, *frame.size) for box in found.xyxy]
        answers = []
        for left, top, right, bottom in windows:
            tensor, fit = prepare(frame.rgb[top:bottom, left:right], self._spec)
            answer = probability(self._net, self._net(tensor)[0], self._reading)
            if self._spec.resize == "letterbox":
                shown = (round((bottom - top) * fit.scale_y), round((right - left) * fit.scale_x))
                answer = inner(answer, self._spec.hw, shown)
            answers.append(answer)
        grid = Grid(width=width, height=height, scale_x=width / frame.width, scale_y=height / frame.height)
        return crop_masks(answers, windows, found.xyxy, grid, options.threshold), found.score, found.label


def instances_input(entry: ModelEntry, mode: Literal["people", "crops"]) -> InputSpec:
    """The input of a model for the mode; `ModelError` where it is for something else."""
    return decoded_input(entry, DECODERS[mode], f"instances in the mode {mode}", MODELS[mode])


__all__ = ["DECODERS", "Instances"]
