"""Segments of a long video from labels of snippets: a state machine over media time.

A snippet's label counts for the middle of the time that it covers. Where two neighbours differ, the border lies
between their middles, or at the cut if there is one between them; neighbours with equal labels are merged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One classified snippet."""

    middle_ns: int
    label: str
    """empty: nothing that counts"""
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSegment:
    """A stretch of media time with one label."""

    start_ns: int
    end_ns: int
    label: str
    score: float
    """mean of its snippets"""
    snippets: int
    shot: int
    """number of the shot that it lies in, 0 where shots aren't known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterSettings:
    """Times in nanoseconds of media time."""

    covers_ns: int
    hold_ns: int
    least_ns: int
    lost_ns: int


@dataclass(slots=True, kw_only=True)
class _LabelRun:
    """Snippets with one label, going on."""

    start_ns: int
    last_ns: int
    label: str
    total: float
    count: int
    shot: int


class Segmenter:
    """All segments of one stream; each is given once it can't change any more.

    Snippets wait for `hold_ns`, because a cut is known only some time after it.
    """

    def __init__(self, settings: SegmenterSettings) -> None:
        self._settings = settings
        self._waiting: deque[Snippet] = deque()
        self._cuts: deque[tuple[int, int]] = deque()
        self._shot = 0
        self._run: _LabelRun | None = None
        self._done: ActionSegment | None = None

    def cut(self, at_ns: int, number: int) -> None:
        """Note a cut: shot `number` begins at `at_ns`."""
        self._cuts.append((at_ns, number))

    def add(self, end_ns: int, label: str, score: float) -> None:
        """Add a snippet that ends at `end_ns`, later than all before."""
        middle = max(end_ns - self._settings.covers_ns // 2, 0)
        self._waiting.append(Snippet(middle_ns=middle, label=label, score=score))

    def pass_to(self, now_ns: int) -> Iterator[ActionSegment]:
        """Segments that are finished at media time `now_ns`."""
        while self._waiting and self._waiting[0].middle_ns <= now_ns - self._settings.hold_ns:
            yield from self._take(self._waiting.popleft())
        run = self._run
        if (
            run is not None
            and not self._waiting
            and now_ns - run.last_ns > self._settings.lost_ns + self._coverage_end()
        ):
            yield from self._close(run.last_ns + self._settings.covers_ns // 2)
            yield from self._emit()

    def finish(self, now_ns: int) -> Iterator[ActionSegment]:
        """The last segments of a stream that ends at `now_ns`."""
        while self._waiting:
            yield from self._take(self._waiting.popleft())
        if self._run is not None:
            near = now_ns - self._run.last_ns <= self._settings.lost_ns + self._settings.covers_ns
            yield from self._close(now_ns if near else self._run.last_ns + self._settings.covers_ns // 2)
        yield from self._emit()
        self._cuts.clear()

    def _coverage_end(self) -> int:
        return self._settings.hold_ns + self._settings.covers_ns

    def _take(self, snippet: Snippet) -> Iterator[ActionSegment]:
        at, run = snippet.middle_ns, self._run
        passed = []
        while self._cuts and self._cuts[0][0] <= at:
            passed.append(self._cuts.popleft())
        if run is None:
            self._shot = passed[-1][1] if passed else self._shot
            self._begin(passed[-1][0] if passed else max(at - self._settings.covers_ns // 2, 0), snippet)
            return
        inside = [cut for cut in passed if cut[0] > run.last_ns]
        if inside:
            yield from self._close(inside[0][0])
            yield from self._emit()
            self._shot = inside[-1][1]
            self._begin(inside[-1][0], snippet)
        elif at - run.last_ns > self._settings.lost_ns:
            half = self._settings.covers_ns // 2
            yield from self._close(run.last_ns + half)
            yield from self._emit()
            self._begin(max(at - half, run.last_ns + half), snippet)
        elif snippet.label == run.label:
            run.last_ns, run.total, run.count = at, run.total + snippet.score, run.count + 1
        else:
            border = (run.last_ns + at) // 2
            yield from self._close(border)
            self._begin(border, snippet)

    def _begin(self, start_ns: int, snippet: Snippet) -> None:
        self._run = _LabelRun(
            start_ns=start_ns,
            last_ns=snippet.middle_ns,
            label=snippet.label,
            total=snippet.score,
            count=1,
            shot=self._shot,
        )

    def _close(self, end_ns: int) -> Iterator[ActionSegment]:
        """End the run: an equal or too short one joins the segment before, any other follows it."""
        run, self._run = self._run, None
        assert run is not None
        found = ActionSegment(
            start_ns=run.start_ns,
            end_ns=max(end_ns, run.start_ns),
            label=run.label,
            score=run.total / run.count,
            snippets=run.count,
            shot=run.shot,
        )
        before = self._done
        if before is None or before.shot != found.shot or before.end_ns != found.start_ns:
            yield from self._emit()
            self._done = found
        elif before.label == found.label:
            self._done = _joined(before, found)
        elif found.end_ns - found.start_ns < self._settings.least_ns:
            self._done = replace(before, end_ns=found.end_ns)
        elif before.end_ns - before.start_ns < self._settings.least_ns:
            self._done = replace(found, start_ns=before.start_ns)
        else:
            yield from self._emit()
            self._done = found

    def _emit(self) -> Iterator[ActionSegment]:
        done, self._done = self._done, None
        if done is not None and done.label:
            yield done

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "waiting": [asdict(snippet) for snippet in self._waiting],
            "cuts": [list(cut) for cut in self._cuts],
            "shot": self._shot,
            "run": None if self._run is None else asdict(self._run),
            "done": None if self._done is None else asdict(self._done),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._waiting = deque(Snippet(**snippet) for snippet in state["waiting"])
        self._cuts = deque((at, number) for at, number in state["cuts"])
        self._shot = state["shot"]
        self._run = None if state["run"] is None else _LabelRun(**state["run"])
        self._done = None if state["done"] is None else ActionSegment(**state["done"])


def _joined(a: ActionSegment, b: ActionSegment) -> ActionSegment:
    count = a.snippets + b.snippets
    score = (a.score * a.snippets + b.score * b.snippets) / count
    return replace(a, end_ns=b.end_ns, score=score, snippets=count)


__all__ = ["ActionSegment", "Segmenter", "SegmenterSettings", "Snippet"]
