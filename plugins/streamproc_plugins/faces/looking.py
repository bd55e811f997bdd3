"""A picture to faces with embeddings: what the plugin and the commands share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces
from streamproc.models import ModelStore
from streamproc_plugins.faces.alignment import align
from streamproc_plugins.faces.detectors import open_detector
from streamproc_plugins.faces.embedding import Embedder
from streamproc_plugins.faces.options import FacesOptions
from streamproc_plugins.faces.quality import eye_distance, frontalness, sharpness
from streamproc_plugins.faces.yunet import Found


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
        self.embedder = None if name is None else Embedder(models, name, options.threads)

    def __call__(self, rgb: NDArray[np.uint8]) -> Faces:
        """Faces of a picture uint8 (h, w, 3), best first; embeddings are zeros for those of poor quality."""
        found = self._detect(rgb)
        size = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1, initial=np.inf)
        found = found.rows(np.flatnonzero(size >= self.options.min_size)[: self.options.max_items])
        return Faces(xyxy=found.xyxy, score=found.score, landmarks=found.landmarks, embeddings=self._embed(rgb, found))

    def _embed(self, rgb: NDArray[np.uint8], found: Found) -> NDArray[np.float32] | None:
        if self.embedder is None:
            return None
        values = np.zeros((len(found), self.embedder.width), np.float32)
        rows = np.flatnonzero(self.good(found))
        faces = [align(rgb, found.landmarks[row]) for row in rows]
        sharp = np.array([sharpness(face) >= self.options.quality.min_sharpness for face in faces], np.bool_)
        if sharp.any():
            values[rows[sharp]] = self.embedder([face for face, is_sharp in zip(faces, sharp, strict=True) if is_sharp])
        return values

    def good(self, found: Found) -> NDArray[np.bool_]:
        """Which faces are large, sure and frontal enough, bool (N,)."""
        quality = self.options.quality
        good = (eye_distance(found.landmarks) >= quality.min_eyes) & (found.score >= quality.min_score)
        return np.asarray(good & (frontalness(found.landmarks) >= quality.min_frontal))
