"""One photo to the embeddings by which a person will be known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import Faces, PluginError
from streamproc.media.stills import read_picture
from streamproc.models import ModelStore
from streamproc_plugins.faces.alignment import SIDE, align
from streamproc_plugins.faces.looking import Looker
from streamproc_plugins.faces.options import FacesOptions, QualityOptions
from streamproc_plugins.faces.quality import eye_distance, frontalness, sharpness

F32 = NDArray[np.float32]
Image = NDArray[np.uint8]

DETECTOR = "yunet"
_STEP = 256
"""photos have all sizes: inputs of the detector come in steps of so many pixels"""
COARSER = (56, 36)
"""sides in pixels that an aligned face is shrunk to and enlarged from again, for further embeddings of the photo: a
sharp photo is little like a face that is 12 pixels wide between the eyes, its own coarse copy is"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Requirements for a photo to be enrolled."""

    min_eyes: float = 20
    """pixels between the eyes"""
    min_frontal: float = 0.3
    min_sharpness: float = 20
    """squared grey levels"""
    one_face: bool = True
    """False: the largest face is taken where there are several"""


NO_DEMANDS = Demands(min_eyes=0, min_frontal=0, min_sharpness=0, one_face=False)


def read_photo(path: Path) -> Image:
    """A picture file as RGB uint8 (h, w, 3). Raises `PluginError` where it can't be read."""
    rgb = read_picture(path)
    if rgb is None:
        reason = "isn't a picture that can be read" if path.is_file() else "can't be read (no such file)"
        raise PluginError(f"{path} {reason}; give a JPEG, PNG, WebP or BMP file")
    return rgb


class Photographer:
    """Looks at photos of people; raises `ModelError` where a net can't be had."""

    def __init__(self, models: ModelStore, embedding: str) -> None:
        every = QualityOptions(min_eyes=0, min_score=0, min_frontal=0, min_sharpness=0)
        spec = models.entry(DETECTOR).input
        detail: Literal["normal", "high"] = "high" if spec is not None and spec.multiple else "normal"
        self._options = FacesOptions(model=DETECTOR, detail=detail, embedding=embedding, quality=every)
        self._look = Looker(models, self._options, (_STEP, _STEP), _STEP)
        assert self._look.embedder is not None
        self.embed = self._look.embedder

    @property
    def model(self) -> str:
        """The net that the embeddings come from."""
        return self.embed.model

    def faces(self, rgb: Image) -> Faces:
        """All faces of a photo, with embeddings."""
        return self._look(rgb)

    def portrait(self, rgb: Image, demands: Demands, photo: str) -> Image:
        """The aligned face of a photo, uint8 (112, 112, 3).

        Raises `PluginError` with the reason and the numbers: no face, several, or a face that is too small, turned away
        or blurred.
        """
        faces = self.faces(rgb)
        if not len(faces.xyxy):
            raise PluginError(f"{photo} shows no face; give a photo that shows the face from the front")
        if len(faces.xyxy) > 1 and demands.one_face:
            raise PluginError(f"{photo} shows {len(faces.xyxy)} faces; cut it to one, or take the largest (--largest)")
        sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
        row = int(np.argmax(sides[:, 0] * sides[:, 1]))
        face = align(rgb, faces.landmarks[row])
        self._check(faces.landmarks[row : row + 1], face, demands, photo)
        return face

    @staticmethod
    def _check(landmarks: F32, face: Image, demands: Demands, photo: str) -> None:
        measured = {
            "small (pixels between the eyes)": (float(eye_distance(landmarks)[0]), demands.min_eyes),
            "turned away (1 straight, 0 profile)": (float(frontalness(landmarks)[0]), demands.min_frontal),
            "blurred (variance of the Laplacian)": (sharpness(face), demands.min_sharpness),
        }
        for fault, (got, least) in measured.items():
            if got < least:
                raise PluginError(
                    f"the face in {photo} is too {fault}: {got:.2f}, expected at least {least:g}; "
                    "give a better photo, or take it all the same (--any-quality)"
                )

    def enrol(self, rgb: Image, demands: Demands, photo: str) -> F32:
        """Embeddings (3, D) of a photo: as it is and in two coarser copies. Raises as `portrait` does."""
        face = self.portrait(rgb, demands, photo)
        return self.embed([face, *(coarser(face, side) for side in COARSER)])


def coarser(face: Image, side: int) -> Image:
    """An aligned face as if it had been `side` pixels large: uint8 (112, 112, 3)."""
    import cv2

    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
