"""Commands that installed packages add: entry points of the group `streamproc.commands`.

The entry point's name is the command (`faces`), or a command of a group (`eval.faces`); it names a Typer app, or a
function, whose docstring is its help. The module is imported to write `--help`, so it must be light: heavy libraries
belong inside the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from streamproc.errors import PluginError

GROUP = "streamproc.commands"


class OpenGroup(TyperGroup):
    """A group of commands that other packages may add to; the built-in ones can't be replaced."""

    prefix = ""

    def list_commands(self, ctx: Any) -> list[str]:
        """The built-in commands, then those of packages by the alphabet."""
        own = super().list_commands(ctx)
        return own + sorted(name for name in _found(self.prefix) if name not in own)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; one that can't be imported says so when it is called."""
        own = super().get_command(ctx, cmd_name)
        point = _found(self.prefix).get(cmd_name)
        return own if own is not None or point is None else _load(point)


class EvalGroup(OpenGroup):
    """`streamproc eval ...`."""

    prefix = "eval."


class TrainGroup(OpenGroup):
    """`streamproc train ...`."""

    prefix = "train."


class ModelsGroup(OpenGroup):
    """`streamproc models ...`."""

    prefix = "models."


@cache
def _found(prefix: str) -> dict[str, EntryPoint]:
    points = {point.name: point for point in entry_points(group=GROUP)}
    names = {name: name.removeprefix(prefix) for name in points if name.startswith(prefix)}
    return {short: points[name] for name, short in names.items() if "." not in short}


@cache
def _load(point: EntryPoint) -> Any:
    try:
        command = _command(point.load())
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises must not stop the others
        command = _command(_refusal(f"the command {point.name!r} ({point.value}) can't be imported: {error!r}"))
    command.name = point.name.rpartition(".")[2]
    return command


def _command(loaded: Any) -> Any:
    app = loaded
    if not isinstance(loaded, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command(context_settings=getattr(loaded, "context_settings", None))(loaded)
    return typer.main.get_command(app)


def _refusal(reason: str) -> Callable[[], None]:
    def refuse() -> None:
        raise PluginError(reason)

    refuse.__doc__ = f"Not to be had: {reason}"
    refuse.context_settings = {"ignore_unknown_options": True, "allow_extra_args": True}  # type: ignore[attr-defined]
    return refuse


__all__ = ["GROUP", "EvalGroup", "ModelsGroup", "OpenGroup", "TrainGroup"]
