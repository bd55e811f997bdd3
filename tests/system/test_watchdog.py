"""A plugin that holds the interpreter lock: the run ends with a sentence and an exit code of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamproc.exits import INTERPRETER_STUCK

HANG = "__import__('re').match('(a+)+$', 'a' * 60 + 'b')"
"""an expression that takes years, in C and under the lock"""

PLUGIN = f"""
from pathlib import Path
from streamproc import Event, FramePlugin, Options

class Stuck(FramePlugin[Options]):
    def process(self, frame, past):
        if frame.index == 3:
            Path("stuck.txt").touch()
            {HANG}
        yield Event.instant(frame, "stuck.seen")
"""

JOB = {
    "version": 1,
    "streams": {
        "a": {
            "source": {"type": "synthetic", "options": {"duration": "5s", "width": 64, "height": 48, "rate": 10}},
            "chain": ["stuck"],
            "sinks": ["log"],
        }
    },
    "plugins": {"stuck": {"type": "plug:Stuck"}},
    "sinks": {"log": {"type": "jsonl", "options": {"path": "events.jsonl"}}},
}


@pytest.mark.parametrize("form", ["text", "json"])
def test_interrupt_ends_a_plugin_holding_the_interpreter(tmp_path: Path, form: str) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    command = [sys.executable, "-m", "streamproc", "run", "job.yaml", "--log-format", form]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        while not (tmp_path / "stuck.txt").exists() and run.poll() is None:
            threading.Event().wait(0.02)
        run.send_signal(signal.SIGINT)
        _, text = run.communicate(timeout=60)
    assert run.returncode == INTERPRETER_STUCK
    (sentence,) = [line for line in text.splitlines() if "held the interpreter lock" in line]
    if form == "json":
        assert json.loads(sentence)["level"] == "error"
    assert 'plug.py", line 9 in process' in text


def watched(body: str, limit_s: float) -> subprocess.CompletedProcess[str]:
    program = (
        f"import sys\nfrom streamproc.cli.watchdog import Watchdog\nwith Watchdog({limit_s}) as dog:\n    {body}\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


def test_held_interpreter_lock_ends_the_process() -> None:
    ended = watched(HANG, 1.0)
    assert ended.returncode == INTERPRETER_STUCK
    assert "held the interpreter lock" in ended.stderr


def test_work_that_lets_others_run_is_left_alone() -> None:
    busy = (
        "import time; end = time.monotonic() + 1.5\n    while time.monotonic() < end: sum(range(1000))\n    sys.exit(7)"
    )
    ended = watched(busy, 1.0)
    assert (ended.returncode, ended.stderr) == (7, "")


def test_stopped_process_does_not_count_as_stuck() -> None:
    stop = "kill -STOP $PPID; sleep 2; kill -CONT $PPID"
    body = f"import subprocess; subprocess.run(['sh', '-c', {stop!r}])\n    sys.exit(7)"
    ended = watched(body, 0.9)
    assert (ended.returncode, ended.stderr) == (7, "")
