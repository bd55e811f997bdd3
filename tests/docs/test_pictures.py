"""The pictures of the documentation: each page of a plugin shows one, each is small, used and made by the script."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import pages
from tests.machine import REPOSITORY

PICTURES = REPOSITORY / "docs" / "pictures"
LARGEST = 120_000
ALL_TOGETHER = 2_000_000
"""bytes"""
WITHOUT = {
    "embed": "gives vectors; what they are for is seen on the page of remember",
    "vision-language": "what is seen are the sentences of somebody's model, and none comes with it",
}
"""pages of plugins that show no picture, and why"""
_IMAGE = re.compile(r"^!\[(?P<alt>[^\]]*)\]\((?P<target>[^)]+)\)\n(?P<below>.*)$", re.M)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture on a page."""

    page: Path
    alt: str
    target: Path
    below: str
    """the line under it"""


@cache
def shown() -> tuple[Shown, ...]:
    found = []
    for page in pages():
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        for image in _IMAGE.finditer(text):
            target = (REPOSITORY / page).parent / image["target"]
            found.append(Shown(page, image["alt"], target.resolve(), image["below"]))
    return tuple(found)


def test_every_picture_exists_with_a_description() -> None:
    assert shown()
    for one in shown():
        assert one.target.is_file(), f"{one.page} shows {one.target.name}, which isn't there"
        assert len(one.alt) > 15, f"{one.page} has no words for {one.target.name} for those who can't see it"


def test_plugin_pages_show_output_with_captions() -> None:
    with_caption = {one.page.stem for one in shown() if one.below.startswith("*") and one.below.endswith("*")}
    wanted = {page.stem for page in pages() if page.parent == Path("docs/plugins")}
    assert wanted - with_caption == set(WITHOUT)


def test_every_picture_is_used() -> None:
    files = {path.resolve() for path in PICTURES.iterdir()}
    assert files == {one.target for one in shown() if one.target.parent == PICTURES}


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
    assert sum(sizes.values()) < ALL_TOGETHER


@pytest.fixture(scope="module")
def script() -> Any:
    """scripts/pictures as a module with all its makers loaded."""
    main: Any = importlib.import_module("scripts.pictures.__main__")
    main.load()
    return main


def test_the_script_makes_every_picture_that_is_there(script: Any) -> None:
    assert set(script.MAKERS) == {path.name for path in PICTURES.iterdir()}
    assert script.LARGEST <= LARGEST


def test_script_refuses_unknown_names(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["motionn"]) == 1
    assert "no picture motionn" in capsys.readouterr().err


def test_what_does_not_fit_is_refused(script: Any, tmp_path: Path) -> None:
    import numpy as np

    board = np.full((40, 60, 3), 200, np.uint8)
    assert script.save(tmp_path / "a.png", board) == (tmp_path / "a.png").stat().st_size
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    with pytest.raises(SystemExit, match=r"takes .* bytes at least, at most 66,000"):
        script.save(tmp_path / "b.png", noise)
