"""The streams of one source, by name: bounded in number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from streamproc.chain.ledger import Ledger
from streamproc.engine.intake import Hall, Intake
from streamproc.engine.stream import StreamRun
from streamproc.metrics import worth_logging
from streamproc.source import DecodedFrame

log = logging.getLogger(__name__)

_MOST_ENDING = 8
"""streams of one source that may be on their way out before the reader waits for them"""
_LOOK_EVERY_S = 0.05


class Roster:
    """The streams that a source has announced; touched by its reader thread, read by reports.

    most: streams at one time; where there are more, the one that was observed least recently has to end.
    """

    def __init__(self, source: str, most: int, folded: Callable[[StreamRun], None]) -> None:
        """`folded` is called with a stream that has ended to make room, and is forgotten then."""
        self.most = most
        self._source = source
        self.runs: dict[str, StreamRun] = {}
        self.intakes: dict[str, Intake] = {}
        """those that take pictures"""
        self.ended = 0
        """streams that ended to make room for others"""
        self._folded = folded
        self._last: dict[str, int] = {}
        self._count = 0
        self._ending: list[StreamRun] = []

    def add(self, name: str, run: StreamRun, intake: Intake) -> None:
        """A stream begins."""
        self.intakes[name] = intake
        self.runs[name] = run
        self.note(name)

    def note(self, name: str) -> None:
        """A picture of this stream was read."""
        self._count += 1
        self._last[name] = self._count

    def by_silence(self) -> list[str]:
        """The streams that take pictures, the one that was observed least recently first."""
        return sorted(self.intakes, key=lambda name: self._last[name])

    def retire(self, name: str, stopping: Callable[[], bool]) -> None:
        """End a stream, and what is open in it, to make room for another."""
        self.intakes.pop(name).end(flush=True)
        del self._last[name]
        self.ended += 1
        self._ending.append(self.runs[name])
        if worth_logging(self.ended):
            log.warning(
                "stream %s: more than %d streams at a time, so %s ends, which was silent for longest (%d ended so "
                "far); raise max_streams if all of them are meant", self._source, self.most, name, self.ended,
            )  # fmt: skip
        self.settle(_MOST_ENDING, stopping)

    def settle(self, most: int, stopping: Callable[[], bool]) -> bool:
        """Forget the streams that have ended; wait until at most so many are still on their way, or for the stop."""
        while True:
            for run in [run for run in self._ending if run.done.is_set()]:
                run.join()
                self._ending.remove(run)
                self.runs.pop(run.info.name, None)
                self._folded(run)
            if len(self._ending) <= most:
                return True
            if stopping():
                return False
            self._ending[0].done.wait(_LOOK_EVERY_S)

    def wait_for(self, name: str, stopping: Callable[[], bool]) -> None:
        """Return once a stream of this name, which shall begin again, has ended."""
        if any(run.info.name == name for run in self._ending):
            self.settle(0, stopping)


def fold(hall: Hall, ledger: Ledger, source: str, run: StreamRun) -> None:
    """Forget a stream that has ended to make room; what it counted is its source's now."""
    name = run.info.name
    hall.services.pool.remove_lane(run.lane)
    if run.ledger is ledger:
        return
    ledger.absorb(run.ledger.page())
    hall.names.release(name)
    for key in hall.services.events.snapshot():
        if isinstance(key, tuple) and key[0] == name:
            hall.services.events.move(key, (source, key[1]))


def session_of(decoded: DecodedFrame, live: bool) -> str:
    """What distinguishes this beginning of a stream: the position where it begins, unless that is 0, or the time.

    A recording has one beginning and needs no mark: empty.
    """
    if decoded.position is not None:
        return str(decoded.position.offset) if decoded.position.offset else ""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ") if live else ""


def looking_ahead(pictures: Iterator[DecodedFrame | None]) -> Iterator[tuple[DecodedFrame | None, int | None]]:
    """Each picture with the time stamp of the one after it, None where there is none."""
    held: DecodedFrame | None = None
    try:
        for decoded in pictures:
            if held is not None:
                yield held, None if decoded is None else decoded.pts_ns
            held = decoded
    except Exception:
        if held is not None:
            yield held, None
        raise
    if held is not None:
        yield held, None


__all__ = ["Roster", "fold", "looking_ahead", "session_of"]
