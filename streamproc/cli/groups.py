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
from streamproc.registry import package_of

GROUP = "streamproc.commands"


class OpenGroup(TyperGroup):
    """A group of commands that other packages may add to; the built-in ones can't be replaced."""

    prefix = ""

    def list_commands(self, ctx: Any) -> list[str]:
        """The built-in commands, then those of packages in alphabetical order."""
        own = super().list_commands(ctx)
        return own + sorted(name for name in _found(self.prefix) if name not in own)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; one that can't be imported, or has two owners, says so when it is called."""
        own = super().get_command(ctx, cmd_name)
        points = _found(self.prefix).get(cmd_name)
        return own if own is not None or points is None else _load(points)


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
def _found(prefix: str) -> dict[str, tuple[EntryPoint, ...]]:
    """By command: who adds it, more than one where packages disagree."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        short = point.name.removeprefix(prefix)
        others = found.get(short, ())
        if point.name.startswith(prefix) and "." not in short and all(point.value != one.value for one in others):
            found[short] = (*others, point)
    return found


@cache
def _load(points: tuple[EntryPoint, ...]) -> Any:
    point, *others = points
    try:
        command = _command(_claimed_twice(points) if others else point.load())
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises must not stop the others
        command = _command(_refusal(f"the command {point.name!r} ({point.value}) can't be imported: {error!r}"))
    command.name = point.name.rpartition(".")[2]
    return command


def _claimed_twice(points: tuple[EntryPoint, ...]) -> Callable[[], None]:
    owners = ", ".join(f"{point.value} of {package_of(point)}" for point in points)
    return _refusal(f"the command {points[0].name!r} is claimed twice: {owners}; uninstall one")


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
