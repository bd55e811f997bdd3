"""What users install: the built wheel in an empty environment, run from another folder."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.machine import REPOSITORY

pytestmark = pytest.mark.timeout(1200)  # TensorFlow alone is half a gigabyte to fetch and unpack


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints; the test fails with it if the program does."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, REPOSITORY, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs folder of an environment with nothing but the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("empty") / "env"
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-compile", wheel, cwd=folder)
    return folder / "bin"


def test_wheel_holds_both_packages_and_their_data(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "ls-files", "streamproc", "plugins/streamproc_plugins", cwd=REPOSITORY).splitlines()
    wanted = {name.removeprefix("plugins/") for name in tracked}
    assert wanted - inside == set()
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == {"streamproc", "streamproc_plugins"}
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_the_program_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    assert "Usage" in run(installed / "streamproc", "--help", cwd=tmp_path)
    listed = run(installed / "streamproc", "plugins", cwd=tmp_path)
    for name in ("detection", "motion", "tracking", "rules", "annotate"):
        assert name in listed


JOB = """
version: 1
streams: {yard: {source: {type: synthetic, options: {duration: 2s}}, rate: 5, chain: [dark], sinks: [log]}}
plugins: {dark: {type: "dark:DarkPicture", options: {limit: 255}}}
sinks: {log: {type: jsonl, options: {path: events.jsonl}}}
"""


def test_job_runs_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "dark.py").write_text((REPOSITORY / "plugins/example/src/dark_picture/__init__.py").read_text())
    (tmp_path / "job.yaml").write_text(JOB)
    run(installed / "streamproc", "check", "job.yaml", cwd=tmp_path)
    run(installed / "streamproc", "run", "job.yaml", "--report", "report.html", cwd=tmp_path)
    assert (tmp_path / "events.jsonl").read_text().count("dark_picture.seen") == 10
    assert "dark_picture.seen" in (tmp_path / "report.html").read_text()
    assert '"title": "streamproc event"' in run(installed / "streamproc", "schema", "event", cwd=tmp_path)
    assert "yolox-nano" in run(installed / "streamproc", "models", "list", cwd=tmp_path)
    run(installed / "streamproc", "plugins", "new", "my-own", cwd=tmp_path)


@pytest.fixture(scope="module")
def packages(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new package of each kind, made by the installed program, and pytest, which their tests want."""
    root = tmp_path_factory.mktemp("packages")
    run(installed / "python", "-m", "pip", "install", "-q", "pytest", cwd=root)
    for kind in ("frame", "clip", "stream", "source", "sink"):
        run(installed / "streamproc", "plugins", "new", f"my-{kind}-thing", "--kind", kind, cwd=root)
    return root


def test_mypy_accepts_a_new_package(installed: Path, packages: Path) -> None:
    for package in sorted(packages.glob("my-*")):
        where = ["--python-executable", str(installed / "python"), "--cache-dir", str(packages / ".mypy")]
        run(sys.executable, "-m", "mypy", "--strict", *where, "src", "tests", cwd=package)


def test_pyright_finds_nothing_in_a_new_package(installed: Path, packages: Path) -> None:
    names = sorted(package.name for package in packages.glob("my-*"))
    places = [{"root": name, "extraPaths": [f"{name}/src"]} for name in names]
    settings = {"include": names, "executionEnvironments": places}
    (packages / "pyrightconfig.json").write_text(json.dumps(settings))
    found = run(sys.executable, "-m", "pyright", "--pythonpath", installed / "python", cwd=packages)
    assert "0 errors" in found


def test_all_that_is_installed_fits_together(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-m", "pip", "check", cwd=tmp_path)
