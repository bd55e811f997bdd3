"""Face detectors: a picture to faces in its own pixels, by YuNet or by MTCNN."""

from __future__ import annotations

import threading
from math import lcm, prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamproc import ModelError
from streamproc.geometry import clip_boxes
from streamproc.models import InputSpec, ModelEntry, ModelStore, Net, fit_size, prepare
from streamproc_plugins.detection.nms import suppress
from streamproc_plugins.faces.options import FacesOptions
from streamproc_plugins.faces.yunet import FoundFaces, decode_faces, nothing, output_shapes

DETAIL = {"low": 0.5, "normal": 1.0, "high": 3.8}
"""input pixels as a multiple of the model's own size"""
MIN_SCORE = 0.6
"""for models that name none"""
MTCNN = "mtcnn"


class Detector(Protocol):
    """Finds faces; may be called from several threads."""

    def __call__(self, rgb: NDArray[np.uint8]) -> FoundFaces:
        """Faces of a picture uint8 (h, w, 3) in its own pixels, boxes inside it, best first."""
        ...


class YuNet:
    """YuNet at an input size chosen from the picture's shape.

    step: sizes are multiples of this many pixels. Each size is a net of its own in memory: pictures of any size need a
    coarse one, so that there are a few dozen at most.
    Raises `ModelError` where the model isn't for faces or its outputs aren't YuNet's.
    """

    def __init__(
        self, models: ModelStore, options: FacesOptions, size: tuple[int, int], step: int | None = None
    ) -> None:
        entry = models.entry(options.model)
        self._models, self._options, self._entry, self._spec = models, options, entry, face_detector_input(entry)
        default = MIN_SCORE if entry.min_score is None else entry.min_score
        self._floor = default if options.min_score is None else options.min_score
        self._nets: dict[tuple[int, int], Net] = {}
        self._step = step
        self._net(face_input_hw(options, entry, size, step))

    def __call__(self, rgb: NDArray[np.uint8]) -> FoundFaces:
        height, width = rgb.shape[:2]
        hw = face_input_hw(self._options, self._entry, (width, height), self._step)
        net = self._net(hw)
        blob, fit = prepare(rgb, self._spec, hw)
        found = decode_faces(net.run({net.inputs[0].name: blob}), hw, self._floor)
        retained = suppress(found.xyxy, found.score, np.zeros(len(found), np.int64), self._options.nms_iou)
        found = found.rows(retained)
        boxes = fit.boxes_back(found.xyxy)
        placed = FoundFaces(xyxy=boxes, score=found.score, landmarks=fit.points_back(found.landmarks))
        return clipped_faces(placed, width, height)

    def _net(self, hw: tuple[int, int]) -> Net:
        if hw not in self._nets:
            size = None if hw == self._spec.hw else hw
            net = self._models.load(self._options.model, input_hw=size, threads=self._options.threads)
            net.expect(self._entry.decode, output_shapes(hw))
            self._nets[hw] = net
        return self._nets[hw]


def face_detector_input(entry: ModelEntry) -> InputSpec:
    """The input of YuNet; `ModelError` for any other model."""
    if entry.decode != "yunet" or entry.input is None:
        raise ModelError(
            f"{entry.name} is for {entry.task} (decode {entry.decode!r}), expected a face detector whose decode is "
            "'yunet', such as yunet or yunet-320, or mtcnn"
        )
    return entry.input


def face_input_hw(
    options: FacesOptions, entry: ModelEntry, size: tuple[int, int], step: int | None = None
) -> tuple[int, int]:
    """Input (height, width) for a picture of this size (width, height), in steps of the model's own or of larger ones.

    Raises `ModelError` where the model has one size only and `detail` asks for another.
    """
    spec = entry.input
    assert spec is not None
    if isinstance(options.input_size, tuple):
        return options.input_size
    if spec.multiple is None:
        if options.detail != "normal":
            raise ModelError(f"{entry.name} has the input size {spec.height}x{spec.width} only; leave `detail` out")
        return spec.hw
    # a picture that is enlarged shows no more, and its landmarks come out worse
    multiple = lcm(spec.multiple, step or 1)
    own = (-(-side // multiple) * multiple for side in size)
    pixels = min(round(spec.height * spec.width * DETAIL[options.detail]), prod(own))
    return fit_size(*size, pixels, multiple)


def clipped_faces(found: FoundFaces, width: int, height: int) -> FoundFaces:
    """Boxes cut to the picture, those outside it left out; landmarks may lie a little outside."""
    boxes = clip_boxes(found.xyxy, width, height)
    rows = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    return FoundFaces(xyxy=boxes[rows], score=found.score[rows], landmarks=found.landmarks[rows])


class Mtcnn:
    """MTCNN (Zhang et al., Joint Face Detection and Alignment, SPL 2016) from the package `mtcnn` (extra `mtcnn`).

    Least face 20 pixels, thresholds 0.6, 0.7 and 0.7, pyramid factor 0.709. One call at a time: its Keras nets are
    shared. Raises `ModelError` where the package isn't installed.
    """

    def __init__(self, options: FacesOptions) -> None:
        try:
            import mtcnn
        except ImportError as error:
            raise ModelError(
                f"the detector mtcnn needs a package that isn't installed ({error}); "
                "run `pip install 'streamproc[mtcnn]'`, or use the model yunet"
            ) from None
        self._lock = threading.Lock()
        self._net: Any = mtcnn.MTCNN(device="CPU:0")
        self._floor = options.min_score or 0.0

    def __call__(self, rgb: NDArray[np.uint8]) -> FoundFaces:
        height, width = rgb.shape[:2]
        with self._lock:
            answers = self._net.detect_faces(
                rgb, min_face_size=20, threshold_pnet=0.6, threshold_rnet=0.7, threshold_onet=0.7, scale_factor=0.709
            )
        return clipped_faces(_read_mtcnn(answers or [], self._floor), width, height)


def _read_mtcnn(answers: list[dict[str, Any]], floor: float) -> FoundFaces:
    """Faces from the package's records; its left eye is the one on the left of the picture, the person's right."""
    retained = sorted((a for a in answers if a["confidence"] >= floor), key=lambda a: -float(a["confidence"]))
    if not retained:
        return nothing()
    boxes = np.array([answer["box"] for answer in retained], np.float32)
    boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 0)
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    points = [[answer["keypoints"][name] for name in names] for answer in retained]
    scores = np.clip(np.array([answer["confidence"] for answer in retained], np.float32), 0, 1)
    return FoundFaces(xyxy=boxes, score=scores, landmarks=np.array(points, np.float32))


def open_detector(
    models: ModelStore, options: FacesOptions, size: tuple[int, int], step: int | None = None
) -> Detector:
    """The detector that the options name, ready for pictures of this size (width, height)."""
    return Mtcnn(options) if options.model == MTCNN else YuNet(models, options, size, step)
