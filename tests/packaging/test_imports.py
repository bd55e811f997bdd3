"""What a command line pays for: listing and helping load none of the heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "keras", "cv2", "av", "onnxruntime", "ai_edge_litert", "openvino", "pyarrow", "scipy", "kafka",
         "annoy", "httpx")  # fmt: skip

PROGRAM = """
import json, sys
sys.argv = ["streamproc", *json.loads(sys.argv[1])]
code = None
try:
    from streamproc.cli import main
    main()
except SystemExit as leaving:
    code = leaving.code
sys.stderr.write(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def loaded_by(words: list[str], cwd: Path) -> set[str]:
    """The top-level modules that a process has loaded when `streamproc WORDS` is done."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=True)
    code, names = json.loads(done.stderr)
    assert code == 0
    return set(names)


def test_help_imports_no_plugin_and_not_even_numpy(tmp_path: Path) -> None:
    assert {"numpy", "pydantic"} & loaded_by(["--help"], tmp_path) == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["plugins"]])
def test_help_and_listing_load_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(words, tmp_path)
    assert "streamproc" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_every_public_name_loads_no_heavy_library(tmp_path: Path) -> None:
    program = (
        "import sys, json, streamproc\n"
        "for name in streamproc.__all__: getattr(streamproc, name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert [name for name in HEAVY if name in loaded] == []


def test_check_loads_no_net_runtime(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "version: 1\n"
        "streams: {a: {source: {type: synthetic}, chain: [people, tracks], sinks: [log]}}\n"
        "plugins: {people: {type: detection}, tracks: {type: tracking}}\n"
        "sinks: {log: {type: jsonl, options: {path: events.jsonl}}}\n"
    )
    loaded = loaded_by(["check", "job.yaml"], tmp_path)
    assert {"tensorflow", "onnxruntime", "ai_edge_litert", "kafka", "httpx"} & loaded == set()
