"""Opens and closes the plugins of a stream; errors name the plugin that fails or hangs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

from streamproc.chain.clips import ClipCutter
from streamproc.chain.sampling import Beat
from streamproc.chain.step import Step
from streamproc.config.plan import ChainPlan, PluginPlan
from streamproc.errors import ModelError, PluginError, describe, redact
from streamproc.frames import Flow, StreamInfo
from streamproc.models import ModelStore
from streamproc.plugin import AnyPlugin, ClipPlugin, ClipSpec, PluginContext
from streamproc.waiting import closed, finished, opened

T = TypeVar("T")

log = logging.getLogger(__name__)


def close_plugin(name: str, plugin: AnyPlugin) -> None:
    """Close a plugin; a failure is only logged."""
    try:
        finished(plugin.close())
    except BaseException as error:
        log.warning("closing plugin %s failed: %s", name, describe(error))
        log.debug("closing plugin %s failed", name, exc_info=error)
    closed(plugin)


def close_step(step: Step, stream: str, doubt: str) -> tuple[str, ...]:
    """Close a plugin at the end of its stream; return its remarks and the engine's about the whole run."""
    remarks = _remarks_of(step, stream, doubt)
    close_plugin(step.name, step.plugin)
    return remarks


def _remarks_of(step: Step, stream: str, doubt: str) -> tuple[str, ...]:
    clips = step.cutter.warning if step.cutter is not None else ""
    own: list[str] = []
    try:
        own = [redact(str(remark)) for remark in step.plugin.remarks()]
    except BaseException as error:  # noqa: BLE001 - a plugin's own fault, as in `call`
        log.warning("plugin %s failed in remarks: %s", step.name, describe(error))
    remarks = (*own, *filter(None, (clips, doubt)))
    for remark in remarks:
        if remark != doubt:  # logged at once when it came up
            log.warning("plugin %s of %s: %s", step.name, stream, remark)
    return remarks


class Opener(Protocol):
    """Calls a plugin's `open` under the watch, so that a hanging plugin doesn't hang the run."""

    def __call__(self, what: str, function: Callable[[], T], /) -> T:
        """Call `function`; `what` names it where it takes too long."""
        ...


def open_steps(plan: ChainPlan, info: StreamInfo, models: ModelStore, opener: Opener) -> tuple[Step, ...]:
    """Make and open the plugins of a stream; if one fails, close them all and raise `PluginError`."""
    made: list[tuple[str, AnyPlugin]] = []
    try:
        return tuple(_opened(plan, info, models, opener, made))
    except BaseException:
        for name, plugin in made:
            close_plugin(name, plugin)
        raise


def _opened(
    plan: ChainPlan, info: StreamInfo, models: ModelStore, opener: Opener, made: list[tuple[str, AnyPlugin]]
) -> Iterator[Step]:
    places = {entry.name: index for index, entry in enumerate(plan.chain)}
    for index, entry in enumerate(plan.chain):
        what = f"plugin {entry.name} of stream {info.name}, asked to open,"
        plugin, clip = opener(what, partial(_open_plugin, entry, info, models, made))
        givers = [entry.inputs[kind] for kind in entry.cls.needs if kind is not Flow]
        required = tuple(places[giver] for giver in givers if giver in places)
        rate = None if isinstance(plugin, ClipPlugin) else entry.rate
        yield Step(
            index=index,
            plan=entry,
            plugin=plugin,
            beat=Beat.of(rate, info.nominal_ns),
            cutter=None if clip is None else ClipCutter(clip, plan.flow, info.nominal_ns),
            required=required,
            wants_flow=Flow in (*entry.cls.needs, *entry.cls.uses),
        )


def _open_plugin(
    entry: PluginPlan, info: StreamInfo, models: ModelStore, made: list[tuple[str, AnyPlugin]]
) -> tuple[AnyPlugin, ClipSpec | None]:
    """Return the opened plugin and the clip that it wants, if it is a clip plugin."""
    log = logging.getLogger(f"streamproc.plugin.{entry.name}")
    try:
        plugin: Any = entry.cls(entry.options)
        opened(plugin)
        made.append((entry.name, plugin))
        package = entry.cls.__module__.partition(".")[0]
        context = PluginContext(name=entry.name, stream=info, models=models, log=log, package=package)
        finished(plugin.open(context))
        return plugin, plugin.clip() if isinstance(plugin, ClipPlugin) else None
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        plain = isinstance(error, PluginError | ModelError)  # a sentence already
        what = redact(str(error)) if plain else describe(error)
        log.debug("opening failed", exc_info=error)
        raise PluginError(f"plugin {entry.name} can't be opened for stream {info.name}: {what}") from error


__all__ = ["Opener", "close_plugin", "close_step", "open_steps"]
