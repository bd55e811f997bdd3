"""The `pose` plugin: options to net, picture (and boxes) to `Poses`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    ModelError,
    Output,
    PluginContext,
    Poses,
    Result,
    Results,
    Tracks,
)
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, model_mistakes, prepare
from streamproc_plugins.pose.bottom_up import HEADS, check_finite, check_heads, decode_poses, pose_heads, real_maps
from streamproc_plugins.pose.matching import pose_owners
from streamproc_plugins.pose.options import MODELS, PoseOptions
from streamproc_plugins.pose.top_down import inside_picture, keypoints_back, square, worth_a_look

F32 = NDArray[np.float32]

DECODERS = {"top-down": ("movenet",), "bottom-up": ("posenet", "bodypix")}
"""decode of a model, by mode"""
NOBODY = 0
"""track id of a pose that no track has"""


class Pose(FramePlugin[PoseOptions]):
    """Finds the 17 COCO keypoints of people: of each detected box (top-down), or of all in one look
    (bottom-up).

    Gives `Poses` in source pixels, with `track_id` where `Tracks` stand before. The same picture gives the same poses.
    """

    uses: ClassVar[tuple[type[Result | Flow], ...]] = (Detections, Tracks)
    gives: ClassVar[tuple[type[Result], ...]] = (Poses,)

    @classmethod
    def check_options(cls, options: PoseOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one for the mode."""
        return model_mistakes(models, options.model_name, fits=lambda entry: pose_input(entry, options.mode))

    @classmethod
    def labels_named(cls, options: PoseOptions) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The labels of boxes to look at, where the user names them."""
        named = options.labels if "labels" in options.model_fields_set else ()
        return ((("labels", index), label) for index, label in enumerate(named))

    def open(self, context: PluginContext) -> None:
        """Load the net.

        Raises `ModelError` or one of its kinds where the model can't be had or doesn't fit the mode.
        """
        options = self.options
        entry = context.models.entry(options.model_name)
        self._spec = pose_input(entry, options.mode)
        self._net: Net = context.models.load(options.model_name, threads=options.threads)
        self._stride = check_pose_net(self._net, self._spec, entry.decode)

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Poses`, best first; nothing where boxes are looked for at another rate and weren't in this frame."""
        tracks = past.get(Tracks)
        found = tracks if tracks is not None else past.get(Detections)
        if self.options.mode == "bottom-up":
            points, score = self._all(frame)
            ids = None if tracks is None else pose_owners(points, tracks, self.options.labels)
        elif found is None:
            if past.has_giver(Detections) or past.has_giver(Tracks):
                return []
            raise MissingInput(
                "pose in top-down mode looks at boxes, but no earlier plugin gives Detections or Tracks; put one in "
                "front, or set mode: bottom-up"
            )
        else:
            options = self.options
            sure, least, most = options.min_box_score, options.min_height, options.max_items
            rows = worth_a_look(found, options.labels, sure, least, most)
            points = self._each(frame, found.xyxy[rows])
            score = points[:, :, 2].mean(axis=1, dtype=np.float32)
            ids = None if tracks is None else tracks.track_id[rows]
        best = np.argsort(-score, kind="stable")
        best = best[score[best] >= self.options.min_score]
        return [Poses(keypoints=points[best], score=score[best], track_id=None if ids is None else ids[best])]

    def _each(self, frame: Frame, boxes: F32) -> F32:
        people = np.zeros((len(boxes), 17, 3), np.float32)
        for row, xyxy in enumerate(boxes):
            crop, corner = square(frame.rgb, xyxy, self.options.margin)
            tensor, fit = prepare(crop, self._spec)
            answer = self._net.outputs[0].dequantise(self._net(tensor)[0])
            check_finite(self._net, answer)
            people[row] = keypoints_back(answer, self._spec.hw, fit, corner)
        return inside_picture(people, frame.width, frame.height)

    def _all(self, frame: Frame) -> tuple[F32, F32]:
        tensor, fit = prepare(frame.rgb, self._spec)
        maps = real_maps(self._net, self._net(tensor), tuple(HEADS))
        people, score = decode_poses(pose_heads(maps, self._stride), self.options.settings())
        points = np.concatenate([fit.points_back(people[..., :2]), people[..., 2:]], axis=-1)
        return inside_picture(points, frame.width, frame.height), score


def decoded_input(entry: ModelEntry, decodes: Sequence[str], purpose: str, usual: str) -> InputSpec:
    """The input of a model whose decode is one of these; `ModelError` that names a usual one for the purpose."""
    if entry.decode not in decodes or entry.input is None:
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}), not a model for {purpose}; expected one "
            f"whose decode is {' or '.join(decodes)}, such as {usual}"
        )
    return entry.input


def pose_input(entry: ModelEntry, mode: Literal["top-down", "bottom-up"]) -> InputSpec:
    """The input of a pose net for the mode; `ModelError` where it is for something else."""
    return decoded_input(entry, DECODERS[mode], f"{mode} pose", MODELS[mode])


def check_pose_net(net: Net, spec: InputSpec, decode: str) -> float:
    """The stride of the maps, 0 for a net of one person; `ModelError` naming both shapes where the net doesn't fit."""
    net.expect_picture(spec)
    if decode == "movenet":
        net.expect(decode, {"#0": (1, 1, 17, 3)})
        return 0.0
    return check_heads(net, decode)


__all__ = ["DECODERS", "NOBODY", "Pose", "check_pose_net", "decoded_input"]
