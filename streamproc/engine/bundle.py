"""Repro bundles: the input of a failing call, in a zip file that `streamproc repro` runs again.

A bundle holds JSON, PNG, NPZ and Arrow, nothing that can run code. A decoder's picture is stored as its planes, so that
every form of it (`rgb`, `gray`, `reduced`) has the same pixels when the call runs again.
"""

from __future__ import annotations

import io
import json
import os
import platform
import threading
import zipfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from streamproc.config.plan import PluginPlan
from streamproc.engine.chain import Step
from streamproc.engine.guard import Outcome, call, hung, stack_of
from streamproc.engine.ticket import Ticket
from streamproc.errors import PluginError, StreamprocError, describe, redact_values
from streamproc.frames import ArrayPicture, Clip, Flow, Frame, Picture, PixelCache, StreamInfo
from streamproc.media.carried import pack_picture, unpack_picture
from streamproc.models import ModelStore
from streamproc.plugin import ClipPlugin, Output, PluginContext, Results, StreamPlugin
from streamproc.registry import Registry
from streamproc.results import Result
from streamproc.secrets import MASK

FORMAT = 2
"""how a bundle is written; 1 had tables of another form"""

_VERSIONS = ("streamproc", "numpy", "opencv-python", "av", "onnxruntime", "ai-edge-litert", "tensorflow")


def write_bundle(folder: Path, info: StreamInfo, step: Step, ticket: Ticket, outcome: Outcome) -> Path:
    """Keep what a failing call of `step` got; the path of the bundle, or whatever is raised when it can't be kept."""
    # failures of another kind, or of another plugin of this name, keep a bundle of their own
    made_by = f"{type(step.plugin).__module__}:{type(step.plugin).__qualname__}"
    kind = blake2b(f"{made_by}\0{outcome.error}".encode(), digest_size=4)
    name = f"{_safe(info.name)}-{_safe(step.name)}-{ticket.moment.frame_index}-{kind.hexdigest()}.zip"
    path = folder / name
    half = folder / f".{name}.{os.getpid()}.part"
    try:
        _fill(half, info, step, ticket, outcome)
        return half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed runs were writing into this folder; call it before this process writes there."""
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


def _fill(path: Path, info: StreamInfo, step: Step, ticket: Ticket, outcome: Outcome) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("bundle.json", json.dumps(redact_values(_facts(info, step, ticket, outcome)), indent=2))
        if ticket.frame is not None and not ticket.frame.pixels.busy:  # else a conversion hangs
            planes = pack_picture(ticket.frame.pixels.carried())
            if planes is None:
                bundle.writestr("frame.png", _png(ticket.frame))
            else:
                bundle.writestr("frame.npz", _npz(**planes))
        if step.index in ticket.due.clips and ticket.frame is not None:
            bundle.writestr("clip.npz", _clip(ticket.due.clips[step.index].build(ticket.frame)))
        for (giver, kind), result in ticket.found.items():
            if isinstance(result, Result):
                bundle.writestr(f"past/{giver}/{kind.__module__}:{kind.__qualname__}.arrow", _arrow(result))
            elif isinstance(result, Flow):
                bundle.writestr(
                    "flow.npz", _npz(uv=result.uv, dt_ns=np.int64(result.dt_ns), scale=np.float64(result.scale))
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What running a bundle again came to."""

    plugin: str
    then: str
    """the error that was kept"""
    now: str
    """the error of this time, empty if it went well"""
    trace: str
    notes: tuple[str, ...]
    """why the answer may differ"""

    @property
    def same(self) -> bool:
        """Whether the same error came again."""
        return bool(self.now) and self.now == self.then


def replay_bundle(path: Path, registry: Registry, models: ModelStore, modules: Collection[str] = ()) -> Replay:
    """Run the failing call of a bundle again; `PluginError` says what is wrong with the bundle or the plugin.

    modules: those that the bundle may name beside the installed packages with entry points. A bundle is somebody
        else's file: nothing that it names is imported unless the user has it installed or named.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            files = {name: bundle.read(name) for name in bundle.namelist()}
        facts = json.loads(files["bundle.json"])
        _check_format(path, facts)
        _check_modules(path, facts, files, registry, modules)
        cls = registry.plugin(facts["plugin"]["class"])
        call = _bundled_call(facts, files, cls)
    except StreamprocError:
        raise
    except Exception as error:
        raise PluginError(f"{path} is not a whole repro bundle ({describe(error)}); take another copy of it") from error
    return _replay(call, facts, models)


def _check_format(path: Path, facts: Mapping[str, Any]) -> None:
    if facts["bundle"] != FORMAT:
        raise PluginError(
            f"{path} is a repro bundle of format {facts['bundle']}, and this streamproc reads format {FORMAT}; run it "
            f"with the version that wrote it ({facts['versions']['streamproc']}), or let the failure happen again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundled:
    """The call in a bundle."""

    cls: Any
    plan: PluginPlan
    frame: Frame
    clip: Clip | None
    past: Results
    notes: tuple[str, ...]


def _bundled_call(facts: Mapping[str, Any], files: Mapping[str, bytes], cls: Any) -> _Bundled:
    notes = [
        f"{name} was {was}, is {_version(name)}" for name, was in facts["versions"].items() if was != _version(name)
    ]
    options = _options(cls, facts["plugin"]["options"], notes)
    frame = _frame(_info(facts), facts, files)
    return _Bundled(
        cls=cls,
        plan=PluginPlan(name=facts["plugin"]["name"], cls=cls, options=options),
        frame=frame,
        clip=_read_clip(frame, files["clip.npz"]) if issubclass(cls, ClipPlugin) else None,
        past=Results(_past(files), {_kind(k): v for k, v in facts["inputs"].items()}),
        notes=tuple(notes),
    )


def _check_modules(
    path: Path, facts: Mapping[str, Any], files: Mapping[str, bytes], registry: Registry, named: Collection[str]
) -> None:
    """Raise `PluginError` where the bundle names a module that may not be imported for it."""
    kinds = [name.removesuffix(".arrow").split("/", 2)[2] for name in files if name.startswith("past/")]
    for name in (facts["plugin"]["class"], *facts["inputs"], *kinds):
        module = str(name).partition(":")[0]
        if not registry.trusts(module, named):
            raise PluginError(
                f"{path} names the module {module!r}, which belongs to no installed package with plugins; "
                f"if you know it, name it: streamproc repro {path} --module {module}"
            )


def _replay(call: _Bundled, facts: Mapping[str, Any], models: ModelStore) -> Replay:
    plugin: Any = call.cls(call.plan.options)
    notes = [*call.notes]
    if isinstance(plugin, StreamPlugin):
        notes.append("the plugin keeps state: what it had seen before isn't in the bundle")
    context = PluginContext(name=call.plan.name, stream=call.frame.stream, models=models, log=_log())
    try:
        plugin.open(context)
        outcome = _call_again(facts, plugin, lambda: plugin.process(call.clip or call.frame, call.past))
    except BaseException:
        plugin.close()
        raise
    if outcome.verdict != "hung":  # else it isn't free to be closed
        plugin.close()
    return Replay(
        plugin=call.plan.name, then=facts["error"], now=outcome.error, trace=outcome.trace, notes=tuple(notes)
    )


def _options(cls: Any, values: Mapping[str, Any], notes: list[str]) -> Any:
    """The plugin's options; a secret that the bundle masks stays masked, or has its default where that is no value."""
    masked = sorted(key for key, value in values.items() if MASK in json.dumps(value))
    if masked:
        notes.append(f"the bundle holds no secrets: {', '.join(masked)} had another value")
    for left_out in ((), masked):
        try:
            return cls.options_type.model_validate({k: v for k, v in values.items() if k not in left_out})
        except ValidationError as error:
            wrong = error
    raise PluginError(f"the bundle's options don't fit {cls.__qualname__} any more: {wrong}") from wrong


def _call_again(facts: Mapping[str, Any], plugin: Any, function: Callable[[], Output | None]) -> Outcome:
    """The guarded call; for what had hung on a thread of its own, given up after the same time, with its stack told."""
    done: list[Outcome] = []

    def work() -> None:
        done.append(call(facts["plugin"]["name"], plugin, function, lambda events: events))

    if facts.get("verdict") != "hung":
        work()  # on this thread, which is easier on a debugger
        return done[0]
    thread = threading.Thread(target=work, name="streamproc-repro", daemon=True)
    thread.start()
    thread.join(facts["timeout_s"])
    return done[0] if done else replace(hung(facts["timeout_s"]), trace=stack_of(thread.ident))


def _read_clip(last: Frame, data: bytes) -> Clip:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        flow = arrays.get("flow")
        return Clip(stream=last.stream, rgb=arrays["rgb"], pts_ns=arrays["pts_ns"], last=last, flow=flow)


def _facts(info: StreamInfo, step: Step, ticket: Ticket, outcome: Outcome) -> dict[str, Any]:
    cls = step.plan.cls
    return {
        "bundle": FORMAT,
        "stream": info.name,
        "identity": info.identity,
        "width": info.width,
        "height": info.height,
        "rate": None if info.rate is None else str(info.rate),
        "live": info.live,
        "frame": ticket.moment.frame_index,
        "captured_ns": ticket.moment.captured_ns,
        "keyframe": ticket.frame is not None and ticket.frame.keyframe,
        "pts_ns": ticket.moment.pts_ns,
        "mark": ticket.mark,
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
        "versions": {name: _version(name) for name in _VERSIONS},
    }


def _info(facts: Mapping[str, Any]) -> StreamInfo:
    rate = facts.get("rate")
    return StreamInfo(
        name=facts["stream"],
        identity=facts["identity"],
        width=facts["width"],
        height=facts["height"],
        rate=None if rate is None else Fraction(rate),
        live=facts.get("live", False),
    )


def _frame(info: StreamInfo, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> Frame:
    return Frame(
        stream=info,
        index=facts["frame"],
        pts_ns=facts["pts_ns"],
        pixels=PixelCache(_picture(info, files)),
        captured_ns=facts.get("captured_ns"),
        keyframe=facts.get("keyframe", False),
    )


def _picture(info: StreamInfo, files: Mapping[str, bytes]) -> Picture:
    import cv2

    if "frame.npz" in files:
        with np.load(io.BytesIO(files["frame.npz"]), allow_pickle=False) as arrays:
            return unpack_picture(dict(arrays))
    if "frame.png" in files:
        bgr = cv2.imdecode(np.frombuffer(files["frame.png"], np.uint8), cv2.IMREAD_COLOR)
        rgb = np.ascontiguousarray(np.asarray(bgr, np.uint8)[..., ::-1])
    else:
        rgb = np.zeros((info.height, info.width, 3), np.uint8)
    return ArrayPicture(rgb)


def _past(files: Mapping[str, bytes]) -> dict[tuple[str, type], Any]:
    import pyarrow as pa

    found: dict[tuple[str, type], Any] = {}
    for name, data in files.items():
        if name.startswith("past/"):
            _, giver, kind_name = name.removesuffix(".arrow").split("/", 2)
            kind = _kind(kind_name)
            with pa.ipc.open_stream(data) as reader:
                found[giver, kind] = kind.from_arrow(reader.read_next_batch())
    if "flow.npz" in files:
        with np.load(io.BytesIO(files["flow.npz"]), allow_pickle=False) as arrays:
            found["flow", Flow] = Flow(uv=arrays["uv"], dt_ns=int(arrays["dt_ns"]), scale=float(arrays["scale"]))
    return found


def _kind(name: str) -> type[Result]:
    import importlib

    module, _, attribute = name.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    if not (isinstance(kind, type) and issubclass(kind, Result)):
        raise PluginError(f"the bundle names {name} as a result class, which it isn't")
    return kind


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


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "absent"


def _log() -> Any:
    import logging

    return logging.getLogger("streamproc.repro")


__all__ = ["Replay", "remove_unfinished", "replay_bundle", "write_bundle"]
