"""`appearance`: an embedding of each detected person, from a re-identification net."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import Detections, Flow, Frame, FramePlugin, Mistake, Output, PluginContext, Result, Results
from streamproc.errors import ModelError
from streamproc.models import InputSpec, ModelEntry, ModelStore, model_mistakes, prepare
from streamproc_plugins.tracking.options import AppearanceOptions
from streamproc_plugins.tracking.results import Embeddings


class Appearance(FramePlugin[AppearanceOptions]):
    """Gives `Embeddings`, a unit vector for each detection worth looking at."""

    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Detections,)
    gives: ClassVar[tuple[type[Result], ...]] = (Embeddings,)

    @classmethod
    def check_options(cls, options: AppearanceOptions, models: ModelStore) -> Iterable[Mistake]:
        """The model must be one for re-identification."""
        return model_mistakes(models, options.model, fits=person_input)

    @classmethod
    def labels_named(cls, options: AppearanceOptions) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The labels of boxes to look at, where the user names them."""
        named = options.labels if "labels" in options.model_fields_set else ()
        return ((("labels", index), label) for index, label in enumerate(named))

    def open(self, context: PluginContext) -> None:
        """Load the net."""
        self._net = context.models.load(self.options.model)
        self._spec = person_input(self._net.entry)
        self._strangers = None if self._net.entry.strangers is None else self._net.entry.strangers.mean

    def process(self, frame: Frame, past: Results) -> Output:
        """One embedding a detection, zeros for those that are not looked at."""
        found = past[Detections]
        rows = self._worth(found)
        made = [self._embed(crop(frame.rgb, found.xyxy[row])) for row in rows]
        width = made[0].size if made else self._width_of_net()
        values = np.zeros((len(found), width), np.float32)
        if made:
            values[rows] = np.stack(made)
        return [Embeddings(values=values, strangers=self._strangers)]

    def _worth(self, found: Detections) -> NDArray[np.int64]:
        options = self.options
        least = (found.operating_score or 0.5) if options.min_score is None else options.min_score
        good = (found.score >= least) & (found.xyxy[:, 3] - found.xyxy[:, 1] >= options.min_height)
        good &= found.xyxy[:, 2] - found.xyxy[:, 0] >= 2
        if options.labels:
            good &= np.array([label in options.labels for label in found.label], np.bool_)
        rows = np.flatnonzero(good)
        best = np.argsort(-found.score[rows], kind="stable")[: options.max_items]
        return np.sort(rows[best]).astype(np.int64)

    def _embed(self, person: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensor, _ = prepare(person, self._spec)
        out = np.asarray(self._net(tensor)[0], np.float32).ravel()
        return np.asarray(out / max(float(np.linalg.norm(out)), 1e-9), np.float32)

    def _width_of_net(self) -> int:
        width = self._net.outputs[0].shape[-1]
        return 0 if width is None else int(width)


def person_input(entry: ModelEntry) -> InputSpec:
    """The input of a net for re-identification; `ModelError` where the model isn't one."""
    if entry.input is None or entry.task != "re-identification":
        raise ModelError(
            f"{entry.name} is for {entry.task}, expected a net for re-identification; "
            "`streamproc models list` names them"
        )
    return entry.input


def crop(rgb: NDArray[np.uint8], xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of `rgb` (h, w, 3) within a box, at least one pixel each way."""
    height, width = rgb.shape[:2]
    left, top = (int(min(max(v, 0), limit - 1)) for v, limit in zip(xyxy[:2], (width, height), strict=True))
    right = int(np.clip(np.ceil(xyxy[2]), left + 1, width))
    bottom = int(np.clip(np.ceil(xyxy[3]), top + 1, height))
    return np.ascontiguousarray(rgb[top:bottom, left:right])
