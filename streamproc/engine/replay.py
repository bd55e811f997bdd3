"""Replay of repro bundles: repeats the failing call of a bundle."""

from __future__ import annotations

import importlib
import io
import json
import threading
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from streamproc.chain.clips import ReadyClip
from streamproc.chain.guard import Outcome, hung
from streamproc.chain.item import FrameItem
from streamproc.chain.step import Due
from streamproc.config.plan import ChainPlan, PluginPlan
from streamproc.engine.bundle import FORMAT, version_of
from streamproc.engine.inline import InlineStream
from streamproc.errors import PluginError, StreamprocError, describe
from streamproc.events import Moment
from streamproc.frames import ArrayPicture, Clip, Flow, Frame, Picture, PixelCache, StreamInfo
from streamproc.media.carried import unpack_picture
from streamproc.models import ModelStore
from streamproc.plugin import ClipPlugin, StreamPlugin
from streamproc.registry import Registry
from streamproc.results import Result
from streamproc.secrets import MASK
from streamproc.watch import stack_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Result of repeating the call of a bundle."""

    plugin: str
    then: str
    """the error in the bundle"""
    now: str
    """the error of this time, empty if the call worked"""
    trace: str
    notes: tuple[str, ...]
    """reasons for which the result may differ"""

    @property
    def same(self) -> bool:
        """Whether the same error occurred again."""
        return bool(self.now) and self.now == self.then


def replay_bundle(path: Path, registry: Registry, models: ModelStore, modules: Collection[str] = ()) -> Replay:
    """Repeat the failing call of a bundle; a `PluginError` says what is wrong with the bundle or the plugin.

    modules: modules that the bundle may name beside installed packages with entry points. A bundle is foreign input:
        nothing that it names is imported unless the user has installed or named it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundled:
    """The call in a bundle."""

    cls: Any
    plan: PluginPlan
    frame: Frame
    item: FrameItem
    notes: tuple[str, ...]


def _bundled_call(facts: Mapping[str, Any], files: Mapping[str, bytes], cls: Any) -> _Bundled:
    notes = [
        f"{name} was {was}, is {version_of(name)}" for name, was in facts["versions"].items() if was != version_of(name)
    ]
    options = _options(cls, facts["plugin"]["options"], notes)
    frame = _frame(_info(facts), facts, files)
    clips = {0: ReadyClip(_read_clip(frame, files["clip.npz"]))} if issubclass(cls, ClipPlugin) else {}
    due = Due(frozenset({0}), {**clips})
    inputs = {_kind(name): giver for name, giver in facts["inputs"].items()}
    return _Bundled(
        cls=cls,
        plan=PluginPlan(name=facts["plugin"]["name"], cls=cls, options=options, inputs=inputs),
        frame=frame,
        item=FrameItem(moment=Moment.of(frame), frame=frame, due=due, results=_past(files)),
        notes=tuple(notes),
    )


def _check_format(path: Path, facts: Mapping[str, Any]) -> None:
    if facts["bundle"] != FORMAT:
        raise PluginError(
            f"{path} is a repro bundle of format {facts['bundle']}, and this streamproc reads format {FORMAT}; run it "
            f"with the version that wrote it ({facts['versions']['streamproc']}), or let the failure happen again"
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
    notes = [*call.notes]
    if issubclass(call.cls, StreamPlugin):
        notes.append("the plugin has state: its earlier frames aren't in the bundle")
    outcomes: list[Outcome] = []
    stream = InlineStream(
        ChainPlan(chain=(call.plan,)), call.frame.stream, models, lambda _, outcome: outcomes.append(outcome)
    )
    outcome = _call_again(facts, stream, call.item, outcomes)
    if outcome.verdict != "hung":  # else it isn't free to be closed
        stream.close()
    return Replay(
        plugin=call.plan.name, then=facts["error"], now=outcome.error, trace=outcome.trace, notes=tuple(notes)
    )


def _call_again(facts: Mapping[str, Any], stream: InlineStream, item: FrameItem, outcomes: list[Outcome]) -> Outcome:
    """Make the call; a call that had hung runs on a thread of its own, and is abandoned after the same time."""

    def work() -> None:
        for _ in stream.process(item):
            pass

    if facts.get("verdict") != "hung":
        work()  # on this thread, which is easier on a debugger
        return outcomes[0] if outcomes else Outcome("ok")
    thread = threading.Thread(target=work, name="streamproc-repro", daemon=True)
    thread.start()
    thread.join(facts["timeout_s"])
    if thread.is_alive():
        return replace(hung(facts["timeout_s"]), trace=stack_of(thread.ident))
    return outcomes[0] if outcomes else Outcome("ok")


def _options(cls: Any, values: Mapping[str, Any], notes: list[str]) -> Any:
    """Return the plugin's options; a masked secret stays masked, or has its default where the mask is no value."""
    masked = sorted(key for key, value in values.items() if MASK in json.dumps(value))
    if masked:
        notes.append(f"the bundle holds no secrets: {', '.join(masked)} had another value")
    for left_out in ((), masked):
        try:
            return cls.options_type.model_validate({k: v for k, v in values.items() if k not in left_out})
        except ValidationError as error:
            wrong = error
    raise PluginError(f"the bundle's options don't fit {cls.__qualname__} any more: {wrong}") from wrong


def _read_clip(last: Frame, data: bytes) -> Clip:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        flow = arrays.get("flow")
        return Clip(stream=last.stream, rgb=arrays["rgb"], pts_ns=arrays["pts_ns"], last=last, flow=flow)


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
    module, _, attribute = name.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    if not (isinstance(kind, type) and issubclass(kind, Result)):
        raise PluginError(f"the bundle names {name} as a result class, which it isn't")
    return kind


__all__ = ["Replay", "replay_bundle"]
