"""The reference in docs/configuration.md and the list of plugin pages are what scripts/reference.py writes."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from streamproc import Duration, Field, Options, seconds
from streamproc.cli.describe import describe
from tests.machine import REPOSITORY


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/reference.py as a module."""
    spec = importlib.util.spec_from_file_location("reference", REPOSITORY / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(script: Any) -> None:
    assert script.whole_page() == script.PAGE.read_text(), "out of date: run python scripts/reference.py"


def test_the_index_lists_every_plugin_page(script: Any) -> None:
    assert script.whole_index() == script.INDEX.read_text(), "out of date: run python scripts/reference.py"


class Corner(Options):
    x: float = Field(ge=0, le=1, description="across")


class Shape(Options):
    hold: Duration = Field(seconds(2.5), description="how long")
    corners: tuple[Corner, ...] = Field((), description="where")


class Example(Options):
    shapes: dict[str, Shape] = Field({}, description="by name")
    mode: str | None = Field(None, description="how")


def test_nested_options_are_described_in_place() -> None:
    rows = {row.key: (row.type, row.default) for row in describe(Example)}
    assert rows == {
        "shapes": ("mapping of names", ""),
        "shapes.NAME.hold": ("duration", "2.5s"),
        "shapes.NAME.corners": ("list of mapping", ""),
        "shapes.NAME.corners[].x": ("number >= 0 <= 1", "required"),
        "mode": ("text", ""),
    }
