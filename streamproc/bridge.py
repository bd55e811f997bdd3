"""Boxes and tracks to and from the classes of other packages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

_TRACK_DATA = ("state", "velocity", "age_ns")
_EMBEDDINGS = "embeddings"
"""key in `data`"""
_OPERATING_SCORE = "operating_score"
"""key in `metadata`: one number for the whole frame"""


def to_supervision(boxes: Any) -> Any:
    """`Detections` or `Tracks` as `supervision.Detections`.

    Ids of tracks become `tracker_id`; labels, embeddings and the rest of a track stand in `data`, the operating score
    in `metadata`.
    """
    import supervision  # type: ignore[import-not-found,unused-ignore]

    tracker_id = getattr(boxes, "track_id", None)
    data: dict[str, Any] = {"class_name": np.array(boxes.label, dtype=np.str_)}
    if tracker_id is not None:
        data |= {name: np.array(getattr(boxes, name)) for name in _TRACK_DATA}
    if boxes.embeddings is not None:
        data[_EMBEDDINGS] = boxes.embeddings.copy()
    return supervision.Detections(
        xyxy=boxes.xyxy.copy(),
        confidence=boxes.score.copy(),
        class_id=boxes.class_id.copy(),
        mask=None if boxes.masks is None else boxes.masks.copy(),
        tracker_id=None if tracker_id is None else tracker_id.copy(),
        data=data,
        **_metadata(supervision.Detections, boxes),
    )


def _metadata(kind: Any, boxes: Any) -> dict[str, Any]:
    """The operating score, for versions of supervision that have metadata (0.26 and later)."""
    if boxes.operating_score is None or "metadata" not in kind.__dataclass_fields__:
        return {}
    return {"metadata": {_OPERATING_SCORE: boxes.operating_score}}


def from_supervision(kind: Any, found: Any) -> Any:
    """Boxes of class `kind` from `supervision.Detections`; see `Detections.from_supervision`."""
    count = len(found.xyxy)
    ids = np.zeros(count, np.int64) if found.class_id is None else np.array(found.class_id, np.int64)
    names = found.data.get("class_name", ids)
    score = np.ones(count) if found.confidence is None else found.confidence
    columns: dict[str, Any] = {
        "xyxy": np.array(found.xyxy, np.float32).reshape(-1, 4),
        "score": np.array(score, np.float32),
        "class_id": ids,
        "label": tuple(str(name) for name in names),
    }
    if "track_id" in kind.__dataclass_fields__:
        if found.tracker_id is None and count:
            raise ValueError("the detections have no tracker_id; give them to a tracker first, or make `Detections`")
        columns |= {
            "track_id": np.array([] if found.tracker_id is None else found.tracker_id, np.int64),
            "state": tuple(str(state) for state in found.data.get("state", ["confirmed"] * count)),
            "velocity": np.array(found.data.get("velocity", np.zeros((count, 2))), np.float32).reshape(-1, 2),
            "age_ns": np.array(found.data.get("age_ns", np.zeros(count)), np.int64),
        }
    return replace(kind(**columns), **_extras(found))


def _extras(found: Any) -> dict[str, Any]:
    """Masks, embeddings and operating score, where there are any."""
    extras: dict[str, Any] = {}
    if found.mask is not None:
        extras["masks"] = np.array(found.mask, np.bool_)
    if (embeddings := found.data.get(_EMBEDDINGS)) is not None:
        extras[_EMBEDDINGS] = np.array(embeddings, np.float32)
    if (score := getattr(found, "metadata", {}).get(_OPERATING_SCORE)) is not None:
        extras[_OPERATING_SCORE] = float(score)
    return extras
