"""Guarded calls of sinks: every exception becomes a `SinkError`, and a call that hangs is abandoned."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from streamproc.errors import SinkBusy, SinkError, describe, redact
from streamproc.sink import AnySink, SinkContext
from streamproc.watch import Call, Watch

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.2
_SHORTEST_WAIT_S = 0.01
_LONGEST_WAIT_S = 30.0


@dataclass(slots=True)
class Retry:
    """Time of the next try, and number of failed ones."""

    tries: int = 0
    at: float = 0.0
    last_error: str = ""

    def failed(self, error: SinkError) -> None:
        """Delay the next try: as long as the sink asks, else twice as long each time."""
        self.tries += 1
        self.last_error = redact(str(error))
        wait = error.retry_after_s if isinstance(error, SinkBusy) else _FIRST_WAIT_S * 2 ** min(self.tries - 1, 10)
        self.at = time.monotonic() + max(_SHORTEST_WAIT_S, min(wait, _LONGEST_WAIT_S))

    @property
    def left_s(self) -> float:
        """Time left to wait."""
        return max(0.0, self.at - time.monotonic())


class GuardedSink:
    """One sink, used by its writer's thread alone; every call may raise `SinkError` or `Abandoned`.

    call: registers its calls with the watch; a sink with an abandoned call must not be called again.
    """

    def __init__(
        self, name: str, sink: AnySink, watch: Watch, call: Call, note: Callable[[str], None] = lambda _: None
    ) -> None:
        """Open nothing yet; `note` gets the remarks that the sink makes when it opens."""
        self._name = name
        self._sink: Any = sink
        self._watch = watch
        self._call = call
        self._note = note
        self._touched = False
        self.is_open = False
        self.method = ""
        """the method called last"""

    def open(self) -> None:
        """Open it if it isn't open; a failed try is closed before the next one."""
        if self.is_open:
            return
        if self._touched:
            self.close()
        self._touched = True
        context = SinkContext(name=self._name, log=logging.getLogger(f"streamproc.sink.{self._name}"), note=self._note)
        self._run("open", lambda: self._sink.open(context))
        self.is_open = True

    def write(self, items: Sequence[Any]) -> None:
        """Write items."""
        self._run("write", lambda: self._sink.write(items))

    def flush(self) -> None:
        """Make everything written durable."""
        self._run("flush", self._sink.flush)

    def close(self) -> str:
        """Close it if it was ever opened; return the error, or an empty text."""
        if not self._touched:
            return ""
        self._touched = self.is_open = False
        try:
            self._run("close", self._sink.close)
        except SinkError as error:
            trouble = f"closing it failed: {redact(str(error))}"
            log.warning("sink %s: %s", self._name, trouble)
            return trouble
        return ""

    def _run(self, method: str, function: Callable[[], Any]) -> None:
        self.method = method
        try:
            self._watch.run(self._call, function)
        except SinkError:
            raise
        except Exception as error:
            log.debug("a call of the sink failed", exc_info=error)
            raise SinkError(describe(error)) from error
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise SinkError(describe(error)) from error


__all__ = ["GuardedSink", "Retry"]
