"""One of two runs that share a state folder, as a program: `shared_run.py STATE NAME COUNT`.

It emits COUNT events of stream NAME, prints `ready` once they wait in the outbox or were written to GOT, goes on until
its input ends, then ends in an orderly way. Its sink takes nothing while the file GATE exists.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from streamproc import Event, Options
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.errors import SinkBusy
from streamproc.sink import EventSink, SinkContext
from tests.engine.live import live_plan


class Gated(EventSink[Options]):
    """A network sink behind a gate. The environment sets both files: the options of two runs are equal."""

    network: ClassVar[bool] = True

    def open(self, context: SinkContext) -> None:
        self._got = Path(os.environ["GOT"])

    def write(self, events: Sequence[Event]) -> None:
        if Path(os.environ["GATE"]).exists():
            raise SinkBusy("the gate is closed", retry_after_s=0.01)
        with self._got.open("a") as file:
            file.writelines(f"{event.stream} {event.id}\n" for event in events)

    def flush(self) -> None:
        """Nothing to do."""


NET = SinkPlan(name="net", cls=Gated, options=Options())


def main(state: str, name: str, count: str) -> None:
    """Run."""
    cues: queue.Queue[int | None] = queue.Queue()
    engine = Engine(live_plan(cues, Path(state), ("net",), (NET,), name=name, drain_ns=60 * 10**9))

    def control() -> None:
        for number in range(1, int(count) + 1):
            cues.put(1)
            while sum(sink.delivered + sink.stored for sink in engine.report().sinks) < number:
                threading.Event().wait(0.005)
        print("ready", flush=True)
        sys.stdin.read()
        engine.stop()

    threading.Thread(target=control, daemon=True).start()
    report = engine.run()
    print(report.sinks[0].delivered, report.sinks[0].undelivered, sum(report.stranded.values()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
