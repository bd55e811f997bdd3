"""Faces, embeddings and nets with known answers, for the tests of the face plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamproc import Faces
from streamproc_plugins.faces.alignment import TEMPLATE
from streamproc_plugins.faces.results import FaceTracks
from streamproc_plugins.faces.yunet import STRIDES
from tests.nets import _finish, answering_net, model_folder

DIM = 8


def person(number: int, noise: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """A unit vector for one of `DIM` people at right angles to each other, a little turned."""
    vector = np.eye(DIM)[number] + noise * np.random.default_rng(seed).normal(size=DIM)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def make_faces(*boxes: Any, embeddings: Any = None, score: float = 0.9) -> Faces:
    """Faces whose landmarks lie in their boxes as in the template."""
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    size = (xyxy[:, 2:] - xyxy[:, :2])[:, None] / 112
    return Faces(
        xyxy=xyxy,
        score=np.full(len(xyxy), score, np.float32),
        landmarks=np.asarray(xyxy[:, None, :2] + TEMPLATE[None] * size, np.float32),
        embeddings=None if embeddings is None else np.array(embeddings, np.float32).reshape(len(xyxy), -1),
    )


def make_face_tracks(
    boxes: dict[int, Any], templates: Any = None, *, looks: int = 5, age_s: float = 5, unsure_s: float = 0
) -> FaceTracks:
    """Tracked faces by id, all of good quality."""
    faces = make_faces(*boxes.values(), embeddings=templates)
    count = len(boxes)
    return FaceTracks(
        xyxy=faces.xyxy,
        score=faces.score,
        landmarks=faces.landmarks,
        embeddings=faces.embeddings,
        track_id=np.array(list(boxes), np.int64),
        age_ns=np.full(count, round(age_s * 1e9), np.int64),
        looks=np.full(count, looks, np.int64),
        unsure_ns=np.full(count, round(unsure_s * 1e9), np.int64),
        templates=faces.embeddings,
    )


def yunet_answers(height: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Outputs of a YuNet without any face, to be filled."""
    out = {}
    for stride in STRIDES:
        cells = (height // stride) * (width // stride)
        for name, wide in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            out[f"{name}_{stride}"] = np.zeros((1, cells, wide), np.float32)
    return out


def set_face(answers: dict[str, NDArray[np.float32]], width: int, cell: tuple[int, int], score: float = 0.9) -> None:
    """A face of 32 pixels in the middle of a cell (column, row) of stride 8, its landmarks as in the template."""
    row = cell[1] * (width // 8) + cell[0]
    answers["cls_8"][0, row] = answers["obj_8"][0, row] = score
    answers["bbox_8"][0, row] = [0.5, 0.5, np.log(4), np.log(4)]
    # 32 pixels are 4 cells; the face's corner lies 1.5 cells before the cell's own
    answers["kps_8"][0, row] = (TEMPLATE / 112 * 4 - 1.5).ravel()


def detector(folder: Path, height: int = 64, width: int = 96, *cells: tuple[int, int]) -> str:
    """A model folder: a YuNet that finds a face in these cells of every picture."""
    answers = yunet_answers(height, width)
    for number, cell in enumerate(cells):
        set_face(answers, width, cell, 0.95 - 0.05 * number)
    spec = {"height": height, "width": width, "layout": "NCHW", "colour": "bgr", "resize": "letterbox", "pad": 0}
    net = answering_net(answers, (1, 3, height, width))
    return str(model_folder(folder / "yunet", net, task="face-detection", decode="yunet", labels=["face"], input=spec))


def embedder(folder: Path) -> str:
    """A model folder: (1, 3, 112, 112) to the mean of each colour, 3 values."""
    picture = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 112, 112])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Add", ["flat", "little"], ["embedding"]),
    ]
    little = numpy_helper.from_array(np.full(3, 1e-3, np.float32), "little")
    spec = {"height": 112, "width": 112, "layout": "NCHW", "colour": "rgb", "resize": "stretch"}
    net = _finish(nodes, [picture], [out], [little])
    return str(model_folder(folder / "colours", net, task="face-embedding", decode="embedding", input=spec))
