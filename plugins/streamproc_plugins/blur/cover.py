"""Regions to cover at a frame, and whether all inputs for them are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamproc import Detections, Faces, PluginError, Results, Segmentation
from streamproc.errors import nearest
from streamproc.geometry import iou
from streamproc_plugins.blur.anonymise import grown, swollen
from streamproc_plugins.blur.options import BlurOptions

_SAME = 0.2
"""IoU from which a box replaces one that was held"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Regions to cover in a picture."""

    boxes: NDArray[np.float64]
    """(N, 4), grown"""
    masks: tuple[NDArray[np.bool_], ...] = ()


class Cover:
    """Gathers the regions to cover, and holds those of a moment ago.

    It knows which plugins have given results; one that gave some and gives none now has failed.
    """

    def __init__(self, options: BlurOptions) -> None:
        self._options = options
        self._held: list[tuple[int, list[float]]] = []
        self._givers: set[str] = set()

    def find(self, now_ns: int, past: Results) -> Parts | None:
        """Regions to cover now; None: a required result is missing, so everything has to be.

        Raises `PluginError` for a label that can't be found.
        """
        options = self._options
        given: dict[str, Any] = {}
        if options.faces:
            given |= {f"faces {name}": found for name, found in past.all(Faces).items()}
        if options.labels:
            given |= {f"objects {name}": found for name, found in past.all(Detections).items()}
            given |= {f"map {name}": found for name, found in past.all(Segmentation).items()}
        missing = self._givers - given.keys()
        self._givers |= given.keys()
        kinds = {key.partition(" ")[0] for key in given}
        if missing or (options.faces and "faces" not in kinds) or (options.labels and not kinds & {"objects", "map"}):
            return None
        if options.labels and "objects" not in kinds:
            self._check_labels([found for found in given.values() if isinstance(found, Segmentation)])
        boxes, masks = self._parts(list(given.values()))
        return Parts(boxes=grown(self._with_held(now_ns, boxes), options.margin), masks=tuple(masks))

    def _check_labels(self, maps: Sequence[Segmentation]) -> None:
        """Raise `PluginError` for a label that no map has, as its regions would stay visible."""
        known = [label for found in maps for label in found.labels]
        if unknown := [label for label in self._options.labels if label not in known]:
            raise PluginError(
                f"no segmentation has the label {unknown[0]!r}{nearest(unknown[0], known)}; it has "
                f"{', '.join(dict.fromkeys(known))}; mend `labels` of blur"
            )

    def _parts(self, given: Sequence[Any]) -> tuple[NDArray[np.float32], list[NDArray[np.bool_]]]:
        boxes, masks = [np.zeros((0, 4), np.float32)], []
        for found in given:
            if isinstance(found, Faces):
                boxes.append(found.xyxy)
            elif isinstance(found, Detections):
                rows = np.array([label in self._options.labels for label in found.label], np.bool_)
                # a box covers its mask; hair and hands that a mask leaves out are in the box
                boxes.append(found.xyxy[rows] if len(rows) else found.xyxy)
            else:
                masks += self._mapped(found)
        return np.concatenate(boxes), masks

    def _mapped(self, found: Segmentation) -> list[NDArray[np.bool_]]:
        wanted = [index for index, label in enumerate(found.labels) if label in self._options.labels]
        mask = np.isin(found.class_map, wanted)
        return [mask] if mask.any() else []

    def _with_held(self, now_ns: int, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
        """The boxes, and those of a moment ago that none of them stands for."""
        retained = [(at, box) for at, box in self._held if now_ns - at <= self._options.hold]
        if retained and len(boxes):
            overlap = iou(np.array([box for _, box in retained], np.float32), boxes).max(axis=1)
            retained = [item for item, share in zip(retained, overlap.tolist(), strict=True) if share < _SAME]
        self._held = [*retained, *((now_ns, box) for box in boxes.astype(np.float64).tolist())]
        return np.array([box for _, box in self._held], np.float64).reshape(-1, 4)

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {"held": [[at, box] for at, box in self._held], "givers": sorted(self._givers)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._held = [(at, box) for at, box in state["held"]]
        self._givers = set(state["givers"])


def fitted_mask(mask: NDArray[np.bool_], width: int, height: int, margin: float) -> NDArray[np.bool_]:
    """A mask of any grid as one of the picture (height, width), larger by `margin`."""
    import cv2

    wide = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return swollen(np.asarray(wide), margin)
