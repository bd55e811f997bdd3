"""Runs that share a state folder: each delivers its own events, and those of runs that have ended."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamproc import Event
from streamproc.config.plan import Plan
from streamproc.delivery.outbox import Outbox, outbox_key, pack
from streamproc.engine import Engine
from streamproc.engine.statelock import sharing
from streamproc.errors import StreamprocError
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import Tell
from tests.engine.running import with_stream
from tests.engine.sinks import notes, sink
from tests.engine.test_restart import Tape, TapeOptions, TapeSource

Program = subprocess.Popen[str]


class Shared:
    """A state folder, and the programs that share it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.gate = folder / "gate"
        self.gate.touch()
        self._got = folder / "got.txt"

    @contextmanager
    def program(self, name: str, count: int, *, gated: bool) -> Iterator[Program]:
        """A run that has emitted its events; it is killed at the end if it still works."""
        gate = self.gate if gated else self.gate.with_name("open")
        environment = {**os.environ, "GATE": str(gate), "GOT": str(self._got)}
        command = [sys.executable, "-m", "tests.engine.shared_run", str(self.state), name, str(count)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == "ready\n"
                yield program
            finally:
                program.kill()

    def got(self) -> list[str]:
        """Streams of the events delivered so far."""
        lines = self._got.read_text().splitlines() if self._got.exists() else []
        assert len(set(lines)) == len(lines)
        return [line.split()[0] for line in lines]

    def rows(self) -> int:
        """Events that wait, whoever's they are."""
        with sqlite3.connect(self.state / "outbox.sqlite") as db:
            (count,) = db.execute("SELECT count(*) FROM outbox").fetchone()
        db.close()
        return int(count)


def end(program: Program) -> list[int]:
    """End a program in an orderly way: how many events it delivered, left, and found for others."""
    output, _ = program.communicate()
    assert program.returncode == 0
    return [int(number) for number in output.split()]


def test_a_run_leaves_a_living_runs_events_alone(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    with shared.program("a", 3, gated=True) as first:
        with shared.program("b", 4, gated=False) as second:
            assert end(second) == [4, 0, 0]
        assert shared.got() == ["b"] * 4
        assert shared.rows() == 3
        shared.gate.unlink()
        assert end(first) == [3, 0, 0]
    assert shared.got() == ["b"] * 4 + ["a"] * 3
    assert shared.rows() == 0


def test_run_delivers_events_of_a_killed_run(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    with shared.program("a", 3, gated=True) as first, shared.program("b", 4, gated=False) as second:
        first.kill()
        first.wait()
        assert end(second) == [7, 0, 0]
    assert shared.got() == ["b"] * 4 + ["a"] * 3
    assert shared.rows() == 0


def test_later_run_delivers_events_of_killed_runs(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    with shared.program("a", 3, gated=True), shared.program("b", 4, gated=True):
        assert shared.rows() == 7
    with shared.program("c", 0, gated=False) as later:
        assert end(later) == [7, 0, 0]
    assert sorted(shared.got()) == ["a"] * 3 + ["b"] * 4
    assert shared.rows() == 0
    assert not (shared.state / "runs").exists()


def test_runs_with_checkpoints_of_one_source_are_refused(tmp_path: Path) -> None:
    def engine(name: str) -> Engine:
        plan = make_plan([plugin_plan(Tell)], make_frames(3), state=tmp_path)
        tape = TapeOptions(tape=Tape(4))
        return Engine(with_stream(plan, name=name, source=TapeSource, source_options=tape))

    with sharing(tmp_path, ["tape"]):
        with pytest.raises(StreamprocError, match=f"{tmp_path} is in use by another run that reads source 'tape'"):
            engine("tape").run()
        assert engine("other").run().exit_code == 0
    assert engine("tape").run().exit_code == 0
    assert not (tmp_path / "sources").exists()


def test_runs_without_checkpoints_share_a_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    plan = make_plan([plugin_plan(Tell)], make_frames(3), state=state)
    with sharing(state, ["test"]):
        assert Engine(plan).run().exit_code == 0
    assert Engine(plan).run().exit_code == 0
    assert not state.exists()  # nothing needed it


def test_a_source_lock_dies_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from streamproc.engine.statelock import sharing\n"
        "with sharing(Path(sys.argv[1]), ['cam']): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StreamprocError, match="in use by another run"), sharing(tmp_path, ["cam"]):
            pass
        with sharing(tmp_path, ["other"]):
            pass
        holder.kill()
        holder.wait()
        with sharing(tmp_path, ["cam"]):
            pass


def test_an_outbox_of_an_earlier_version_is_delivered(tmp_path: Path) -> None:
    net = sink("net", network=True)
    (frame,) = make_frames(1)
    old = Event.instant(frame, "image.dark")
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        db.execute(
            "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL,"
            " serial INTEGER NOT NULL, body TEXT NOT NULL)"
        )
        db.execute("INSERT INTO outbox (sink, serial, body) VALUES (?, 7, ?)", (outbox_key(net), pack(old)))
    db.close()
    plan = make_plan([plugin_plan(Tell)], make_frames(3), state=tmp_path)
    streams = with_stream(plan, sinks=("net",)).streams
    report = Engine(Plan(streams=streams, sinks=(net,), runtime=plan.runtime)).run()
    assert notes(net).got[0] == old.id
    assert len(notes(net).got) == 5
    assert report.sinks[0].undelivered == 0


def test_an_outbox_that_ends_frees_its_events(tmp_path: Path) -> None:
    (frame,) = make_frames(1)
    first, second = Outbox(tmp_path / "outbox.sqlite"), Outbox(tmp_path / "outbox.sqlite")
    first.add("net", [(1, Event.instant(frame, "image.dark"))])
    assert (second.adopt("net"), second.count("net"), second.head("net", 9)) == (0, 0, [])
    first.close()
    assert (second.count("net"), second.head("net", 9)) == (1, [])
    assert second.adopt("net") == 1
    (waiting,) = second.head("net", 9)
    assert waiting.serial == 0
    second.close()
