"""Repro bundles: the input of a failing call, in a zip file that `streamproc repro` runs again.

A bundle holds JSON, PNG, NPZ and Arrow, nothing that can run code. A decoder's picture is stored as its planes, so that
every form of it (`rgb`, `gray`, `reduced`) has the same pixels when the call runs again.
"""

from __future__ import annotations

import io
import json
import os
import platform
import zipfile
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from streamproc.chain.item import Failure
from streamproc.errors import redact_values
from streamproc.frames import Clip, Flow, Frame, StreamInfo
from streamproc.media.carried import pack_picture
from streamproc.results import Result

FORMAT = 2
"""format of a bundle; 1 had tables of another form"""

_VERSIONS = ("streamproc", "numpy", "opencv-python", "av", "onnxruntime", "ai-edge-litert", "tensorflow")


def write_bundle(folder: Path, info: StreamInfo, failure: Failure) -> Path:
    """Save the input of a failed call and return the bundle's path; raises any exception if it can't be saved."""
    step, outcome = failure.step, failure.outcome
    # failures of another kind, or of another plugin of this name, get a bundle of their own
    made_by = f"{type(step.plugin).__module__}:{type(step.plugin).__qualname__}"
    kind = blake2b(f"{made_by}\0{outcome.error}".encode(), digest_size=4)
    name = f"{_safe(info.name)}-{_safe(step.name)}-{failure.given.moment.frame_index}-{kind.hexdigest()}.zip"
    path = folder / name
    half = folder / f".{name}.{os.getpid()}.part"
    try:
        _fill(half, info, failure)
        return half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove unfinished bundles of killed runs from this folder; call it before this process writes there."""
    for half in folder.glob("*.part") if folder.is_dir() else ():
        pid = half.name.removesuffix(".part").rpartition(".")[2]
        if not (half.name.startswith(".") and pid.isdigit() and int(pid) != os.getpid() and _is_alive(int(pid))):
            with suppress(OSError):
                half.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's process
        return True
    return True


def _fill(path: Path, info: StreamInfo, failure: Failure) -> None:
    given = failure.given
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("bundle.json", json.dumps(redact_values(_facts(info, failure)), indent=2))
        if given.frame is not None and not given.frame.pixels.busy:  # else a conversion hangs
            planes = pack_picture(given.frame.pixels.carried())
            if planes is None:
                bundle.writestr("frame.png", _png(given.frame))
            else:
                bundle.writestr("frame.npz", _npz(**planes))
        if given.clip is not None and given.frame is not None:
            bundle.writestr("clip.npz", _clip(given.clip.build(given.frame)))
        for (giver, kind), result in given.results.items():
            if isinstance(result, Result):
                bundle.writestr(f"past/{giver}/{kind.__module__}:{kind.__qualname__}.arrow", _arrow(result))
            elif isinstance(result, Flow):
                bundle.writestr(
                    "flow.npz", _npz(uv=result.uv, dt_ns=np.int64(result.dt_ns), scale=np.float64(result.scale))
                )


def _facts(info: StreamInfo, failure: Failure) -> dict[str, Any]:
    step, outcome, given = failure.step, failure.outcome, failure.given
    cls = step.plan.cls
    return {
        "bundle": FORMAT,
        "stream": info.name,
        "identity": info.identity,
        "width": info.width,
        "height": info.height,
        "rate": None if info.rate is None else str(info.rate),
        "live": info.live,
        "frame": given.moment.frame_index,
        "captured_ns": given.moment.captured_ns,
        "keyframe": given.frame is not None and given.frame.keyframe,
        "pts_ns": given.moment.pts_ns,
        "reason": given.reason,
        "plugin": {
            "name": step.name,
            "class": f"{cls.__module__}:{cls.__qualname__}",
            "options": json.loads(step.plan.options.model_dump_json()),
        },
        "inputs": {f"{kind.__module__}:{kind.__qualname__}": giver for kind, giver in step.plan.inputs.items()},
        "verdict": outcome.verdict,
        "timeout_s": step.timeout_s,
        "error": outcome.error,
        "trace": outcome.trace,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version_of(name) for name in _VERSIONS},
    }


def _arrow(result: Result) -> bytes:
    import pyarrow as pa

    batch = result.to_arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _png(frame: Frame) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", frame.bgr)
    if not done:
        raise ValueError("the frame can't be written as PNG")
    return data.tobytes()


def _clip(clip: Clip) -> bytes:
    arrays: dict[str, Any] = {"rgb": clip.rgb, "pts_ns": clip.pts_ns}
    return _npz(**(arrays if clip.flow is None else {**arrays, "flow": clip.flow}))


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text)


def version_of(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "absent"


__all__ = ["FORMAT", "remove_unfinished", "version_of", "write_bundle"]
