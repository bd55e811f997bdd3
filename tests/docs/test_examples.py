"""What the documentation shows works: every code block is executed or checked, every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from streamproc import Registry
from streamproc.cli import app
from streamproc.config import load_text
from streamproc.errors import ConfigError, StreamprocError
from streamproc.media import VideoWriter
from streamproc.sources.synthetic import SyntheticOptions, SyntheticSource
from streamproc.testing import make_frame
from tests.docs.configs import environment, whole
from tests.docs.pages import Block, blocks, pages
from tests.machine import NO_SHARED, REPOSITORY, SHARED
from tests.videos import encode, read

NOT_HERE = "doesn't exist; give a model file"
"""what is told of a reader's own nets, whose folders pages name"""
KNOWN = {"python", "yaml", "console", "sh", "json", "toml", ""}


def names(blocks_of: Callable[[Path], list[Block]], *languages: str) -> list[Path]:
    return [page for page in pages() if any(block.language in languages for block in blocks_of(page))]


def page_id(page: Path) -> str:
    return str(page)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's own folder, from which its Python can import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def models_page() -> dict[str, Any]:
    """What the code on models takes as given: a frame, boxes, and the net's file."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"{NO_SHARED}: set STREAMPROC_SHARED to the folder that holds models/ and media/")
    os.environ["STREAMPROC_MODELS"] = str(SHARED / "models")
    return {
        "frame": make_frame(rgb=np.zeros((360, 640, 3), np.uint8)),
        "boxes_of_the_input": np.zeros((0, 4), np.float32),
    }


def sinks_page() -> dict[str, Any]:
    """The code on sinks searches a database that a run left."""
    config = """
version: 1
streams: {yard: {source: {type: synthetic, options: {duration: 1s}}, sinks: [store]}}
sinks: {store: {type: sqlite, options: {path: events.db}}}
"""
    Path("store.yaml").write_text(config)
    subprocess.run([sys.executable, "-m", "streamproc", "run", "store.yaml", "--quiet"], check=True, timeout=120)
    return {}


def sources_page() -> dict[str, Any]:
    """The code on sources copies a recording."""
    encode(Path("match.mp4"))
    return {}


GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "docs/models.md": models_page,
    "docs/sinks.md": sinks_page,
    "docs/sources.md": sources_page,
}
"""what a page's code takes as given, by page"""


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_no_block_escapes_its_test(page: Path) -> None:
    """Every fence is read, and is of a language that is executed or checked here."""
    fences = (REPOSITORY / page).read_text(encoding="utf-8").count("\n```")
    assert 2 * len(blocks(page)) in (fences, fences + 1)
    assert {block.language for block in blocks(page)} <= KNOWN


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", names(blocks, "python"), ids=page_id)
def test_python_runs_from_top_to_bottom(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROC_MODELS", "")
    before = set(sys.modules)
    given = GIVEN.get(str(page))
    scope: dict[str, Any] = {"__name__": "docs_page", **(given() if given else {})}
    # classes that look for their own module find one
    monkeypatch.setitem(sys.modules, "docs_page", type(sys)("docs_page"))
    try:
        for block in blocks(page):
            if block.file:
                (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.file).write_text(block.text)
            elif block.language == "python" and (block.mark != "net" or real_net(folder, monkeypatch)):
                source = "\n" * (block.line - 1) + block.text
                exec(compile(source, str(REPOSITORY / page), "exec", dont_inherit=True), scope)
    finally:
        files = {Path(block.file).stem for block in blocks(page) if block.file.endswith(".py")}
        for name in set(sys.modules) - before:
            if name.split(".")[0] in files:
                del sys.modules[name]


@pytest.mark.parametrize("page", names(blocks, "yaml"), ids=page_id)
def test_configurations_are_right(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
    wrong = []
    for block in blocks(page):
        if block.language != "yaml" or block.mark.startswith("file: .github"):
            continue
        try:
            text = whole(block.text, Registry())
            load_text(text, environment=environment(text))
        except ConfigError as error:
            told = [str(issue) for issue in error.issues if NOT_HERE not in issue.message]
            wrong += [f"{page}:{block.line}: {mistake}" for mistake in told]
        except (StreamprocError, TypeError) as error:
            wrong.append(f"{page}:{block.line}: {error}")
    for name in {Path(block.file).stem for block in blocks(page) if block.file.endswith(".py")}:
        sys.modules.pop(name, None)
    assert wrong == []


@pytest.mark.parametrize("page", names(blocks, "json", "toml"), ids=page_id)
def test_data_is_well_formed(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)


@pytest.mark.parametrize("page", names(blocks, "console", "sh"), ids=page_id)
def test_commands_that_are_shown_exist(page: Path) -> None:
    """Commands of `streamproc` with their options, and targets of `make`."""
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    for block in blocks(page):
        shown = block.text.splitlines() if block.language == "sh" else [command for command, _ in block.commands()]
        for command in shown:
            if block.language in ("console", "sh") and command.startswith("streamproc "):
                check_command(shlex.split(command, comments=True)[1:])
            elif command.startswith("make "):
                assert command.split()[1] in targets


def real_net(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the nets are here; then models come from there, and a clip `match.mp4` lies in the page's folder."""
    if not (SHARED / "models").is_dir():
        return False
    monkeypatch.setenv("STREAMPROC_MODELS", str(SHARED / "models"))
    writer = VideoWriter(folder / "match.mp4")
    options = SyntheticOptions.model_validate({"width": 320, "height": 180, "rate": 10, "duration": "2s"})
    for shown in read(SyntheticSource(options)).frames:
        writer.write(shown.picture.to_rgb(), shown.pts_ns or 0)
    writer.close()
    return True


def check_command(words: list[str]) -> None:
    """Fail unless the program has this command and its options."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        found = command.get_command(None, words[0])  # also what packages add
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
        if not words:
            break
    known = {
        "--help",
        *(option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)),
    }
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    assert given <= known


@pytest.mark.parametrize("page", [p for p in pages() if any(b.exit_code is not None for b in blocks(p))], ids=page_id)
def test_commands_that_are_run_do_what_is_shown(page: Path, folder: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STREAMPROC_")}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    for block in blocks(page):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        if block.exit_code is None:
            continue
        commands = list(block.commands())
        for n, (command, shown) in enumerate(commands):
            done = subprocess.run(
                command, shell=True, cwd=folder, env={**kept, "PATH": programs, "COLUMNS": "160"},
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            said = done.stdout + done.stderr
            assert done.returncode == (block.exit_code if n == len(commands) - 1 else 0), f"{command}\n{said}"
            check_shown(command, shown, said)


def check_shown(command: str, shown: list[str], said: str) -> None:
    """Fail unless the shown lines occur in what the command said, in this order."""
    rest = [" ".join(line.split()) for line in said.splitlines()]
    for line in shown:
        if line.strip() == "...":
            continue
        wanted = re.compile(".*".join(map(re.escape, " ".join(line.split()).split("..."))))
        place = next((place for place, said_line in enumerate(rest) if wanted.fullmatch(said_line)), None)
        assert place is not None, f"{command} doesn't say {line!r}, but:\n{said}"
        rest = rest[place + 1 :]


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for address in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text):
        if re.match(r"(https?|mailto):", address):
            continue
        path, _, anchor = address.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(address)
    assert broken == []


def test_the_index_names_every_page() -> None:
    text = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#\s]+)", text))
    there = {str(page.relative_to("docs")) for page in pages() if page.parts[0] == "docs"}
    assert there - {"index.md"} - linked == set()


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have on the usual hosts."""
    heads = re.findall(r"^#+ +(.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
