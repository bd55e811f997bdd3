"""Models: the list, where their files are, nets that run in ONNX Runtime, LiteRT, OpenVINO or TensorFlow.

>>> from streamproc.models import ModelStore
>>> net = ModelStore().load("yolox-nano", input_hw=(384, 640))  # doctest: +SKIP
>>> (predictions,) = net(blob)  # doctest: +SKIP

Importing this loads none of those libraries.
"""

from streamproc.models.checks import label_mistakes, model_mistakes
from streamproc.models.download import DownloadProgress, no_progress
from streamproc.models.entries import (
    InputSpec,
    ModelEntry,
    ModelFile,
    ScoreSpread,
    builtin,
    label_ids,
    label_list,
    label_lists,
)
from streamproc.models.files import cache_folder, mirror_folders
from streamproc.models.manage import ModelStatus, Verdict, add, list_models, pull, verify
from streamproc.models.net import Net, Tensor
from streamproc.models.prepare import (
    Fit,
    centre_crop,
    fit_size,
    letterbox,
    prepare,
    prepare_frame,
    stretch,
    to_input,
)
from streamproc.models.store import Model, ModelStore

__all__ = [
    "DownloadProgress",
    "Fit",
    "InputSpec",
    "Model",
    "ModelEntry",
    "ModelFile",
    "ModelStatus",
    "ModelStore",
    "Net",
    "ScoreSpread",
    "Tensor",
    "Verdict",
    "add",
    "builtin",
    "cache_folder",
    "centre_crop",
    "fit_size",
    "label_ids",
    "label_list",
    "label_lists",
    "label_mistakes",
    "letterbox",
    "list_models",
    "mirror_folders",
    "model_mistakes",
    "no_progress",
    "prepare",
    "prepare_frame",
    "pull",
    "stretch",
    "to_input",
    "verify",
]
