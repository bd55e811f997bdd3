"""The `face_attributes` plugin: age group, gender or any other answer of a classifier of aligned faces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces, Field, Frame, FramePlugin, Mistake, ModelError, Options, Output, PluginContext, Results
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, model_mistakes, to_input
from streamproc_plugins.action.scores import Activation, scores_of
from streamproc_plugins.classification.scores import activation_for
from streamproc_plugins.faces.alignment import align
from streamproc_plugins.faces.quality import eye_distance
from streamproc_plugins.faces.results import FaceAttributes


class FaceAttributesOptions(Options):
    """The classifiers of the faces."""

    heads: dict[str, str] = Field(
        min_length=1,
        description="by the attribute, such as {age: NAME, gender: NAME}: classifiers of the model list, or paths of "
        "model folders, for square pictures of upright faces",
    )
    min_eyes: float = Field(15, ge=0, le=1000, description="faces with fewer pixels between the eyes aren't looked at")
    min_score: float = Field(0.5, ge=0, le=1, description="labels below are left empty")
    threads: int = Field(1, ge=1, le=64, description="threads that one call of a net may use")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Head:
    net: Net
    spec: InputSpec
    activation: Activation

    def __call__(self, face: NDArray[np.uint8]) -> tuple[str, float]:
        (output, *_) = self.net(to_input(face, self.spec))
        scores = scores_of(self.net, output, self.activation)
        best = int(scores.argmax())
        return self.net.labels[best], float(scores[best])


class FaceAttributesPlugin(FramePlugin[FaceAttributesOptions]):
    """Gives `FaceAttributes`: for each face and each classifier the best label.

    No such model comes with streamproc. A net's answer for age or gender is a guess with a bias of its training set.
    """

    needs = (Faces,)
    gives = (FaceAttributes,)

    @classmethod
    def check_options(cls, options: FaceAttributesOptions, models: ModelStore) -> Iterable[Mistake]:
        """The models must be classifiers of square pictures."""
        for head, name in options.heads.items():
            yield from model_mistakes(models, name, option=("heads", head), fits=_head_input)

    def open(self, context: PluginContext) -> None:
        """Load the classifiers. Raises `ModelError` or one of its kinds where one can't be had or doesn't fit."""
        self._heads = {
            head: _open(context.models, name, self.options.threads) for head, name in sorted(self.options.heads.items())
        }

    def process(self, frame: Frame, past: Results) -> Output:
        """One `FaceAttributes`, the rows in the order of the `Faces`."""
        faces = past[Faces]
        count, heads = len(faces.xyxy), tuple(self._heads)
        labels = [[""] * count for _ in heads]
        scores = np.zeros((count, len(heads)), np.float32)
        for row in np.flatnonzero(eye_distance(faces.landmarks) >= self.options.min_eyes):
            for column, head in enumerate(self._heads.values()):
                face = align(frame.rgb, faces.landmarks[row], head.spec.height)
                label, score = head(face)
                scores[row, column] = score
                labels[column][row] = label if score >= self.options.min_score else ""
        return [FaceAttributes(heads=heads, labels=tuple("\n".join(column) for column in labels), score=scores)]

    def close(self) -> None:
        """Release the nets; the model store holds them for other plugins."""
        self._heads = {}


def _head_input(entry: ModelEntry) -> InputSpec:
    spec = entry.input
    if spec is None or spec.height != spec.width or not entry.label_names or spec.frames is not None:
        raise ModelError(
            f"{entry.name} is for {entry.task}, expected a classifier with labels and a square input for faces"
        )
    return spec


def _open(models: ModelStore, name: str, threads: int) -> _Head:
    entry = models.entry(name)
    spec = _head_input(entry)
    activation = activation_for("auto", entry.decode, entry.name)
    net = models.load(name, threads=threads)
    net.expect(entry.decode, {"#0": (1, len(entry.label_names))})
    return _Head(net=net, spec=spec, activation=activation)
