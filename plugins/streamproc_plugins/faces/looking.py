"""A picture to faces with embeddings, for the plugin and the commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces
from streamproc.models import ModelStore
from streamproc_plugins.faces.alignment import align
from streamproc_plugins.faces.detectors import open_detector
from streamproc_plugins.faces.embedding import FaceEmbedder
from streamproc_plugins.faces.options import FacesOptions
from streamproc_plugins.faces.quality import eye_distance, frontalness, sharpness
from streamproc_plugins.faces.yunet import FoundFaces


class Looker:
    """Detects, judges, aligns and embeds; may be used from several threads.

    Raises `ModelError` or one of its kinds where a model can't be had or doesn't fit.
    """

    def __init__(
        self, models: ModelStore, options: FacesOptions, size: tuple[int, int], step: int | None = None
    ) -> None:
        """size: (width, height) of the pictures, where they have one. step: as `YuNet` has it."""
        self.options = options
        self._detect = open_detector(models, options, size, step)
        name = options.embedding
        self.embedder = None if name is None else FaceEmbedder(models, name, options.threads)

    def __call__(self, rgb: NDArray[np.uint8]) -> Faces:
        """Faces of a picture uint8 (h, w, 3), best first; embeddings are zeros for those of poor quality."""
        found = self._detect(rgb)
        size = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1, initial=np.inf)
        found = found.rows(np.flatnonzero(size >= self.options.min_size)[: self.options.max_items])
        plain = Faces(xyxy=found.xyxy, score=found.score, landmarks=found.landmarks)
        if self.embedder is None:
            return plain
        embeddings, refused = self._embed(rgb, found, self.embedder)
        spread = self.embedder.strangers
        return replace(plain, embeddings=embeddings, refused=tuple(refused), strangers=(spread.mean, spread.sd))

    def _embed(
        self, rgb: NDArray[np.uint8], found: FoundFaces, embedder: FaceEmbedder
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Embeddings (N, D), zeros for poor faces, and the reason for each of those."""
        refused = self.faults(found)
        good: dict[int, NDArray[np.uint8]] = {}
        for row in [row for row, fault in enumerate(refused) if not fault]:
            face = align(rgb, found.landmarks[row])
            refused[row] = _fault("blurred", sharpness(face), self.options.quality.min_sharpness)
            if not refused[row]:
                good[row] = face
        values = np.zeros((len(found), embedder.width), np.float32)
        if good:
            values[list(good)] = embedder(list(good.values()))
        return values, refused

    def faults(self, found: FoundFaces) -> list[str]:
        """Reason to refuse each face before alignment: too small, unsure or turned away; empty for good ones."""
        quality = self.options.quality
        measured = (
            ("too small, pixels between the eyes", eye_distance(found.landmarks), quality.min_eyes),
            ("an unsure detection, score", found.score, quality.min_score),
            ("turned away, frontalness", frontalness(found.landmarks), quality.min_frontal),
        )
        return [
            next((fault for name, got, least in measured if (fault := _fault(name, float(got[row]), least))), "")
            for row in range(len(found))
        ]


def _fault(name: str, got: float, least: float) -> str:
    return "" if got >= least else f"{name} {got:.2f} where {least:g} is wanted"
