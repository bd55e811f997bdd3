"""When a label is there and when it has gone: a state machine over smoothed scores and media time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc_plugins.labels.smoothing import Method, smoothed, votes, weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How sure and steady a label must be; times in nanoseconds of media time."""

    method: Method
    window_ns: int
    enter: float
    leave: float
    least_ns: int
    merge_ns: int
    lost_ns: int
    update_ns: int


@dataclass(slots=True, kw_only=True)
class Episode:
    """A label that is there, or may be."""

    label: str
    start_ns: int
    """first moment at which the label itself had the score to enter"""
    seen_ns: int
    """last moment at which the label itself had the score to stay"""
    score: float
    """smoothed, now"""
    peak: float
    """highest smoothed score"""
    active: bool = True
    """False once the smoothed score fell below `leave`, or below `enter` before it was told"""
    key: str = ""
    """names the episode in events; empty until it was told"""
    told_ns: int = 0
    """when it was told of last"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What there is to tell of an episode."""

    phase: Literal["start", "update", "end"]
    label: str
    key: str
    start_ns: int
    seen_ns: int
    score: float
    """smoothed; of an end: the highest that there was"""


class Episodes:
    """All labels of one stream. A label without a score in a sample has the score 0 there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._samples: deque[tuple[int, dict[str, float]]] = deque()
        self._before_ns: int | None = None
        self._open: dict[str, Episode] = {}
        self._ended_ns: dict[str, int] = {}

    def see(self, now_ns: int, scores: Mapping[str, float], index: int) -> list[Notice]:
        """The scores of one moment, later than all before. index: of the frame, to name episodes by."""
        out = list(self.lose(now_ns))
        self._add(now_ns, dict(scores))
        labels = sorted({label for _, sample in self._samples for label in sample} | set(self._open))
        raw, level = self._levels(labels)
        for column, label in enumerate(labels):
            self._step(now_ns, label, raw[:, column], float(level[column]))
            out += self._told(now_ns, label, index)
        return out

    def lose(self, now_ns: int) -> list[Notice]:
        """Time goes on without a result: after too long everything ends where it was last seen."""
        if self._samples and now_ns - self._samples[-1][0] > self._settings.lost_ns:
            return self.finish()
        return []

    def finish(self) -> list[Notice]:
        """Everything ends where it was last seen, and nothing of it counts for what comes."""
        out = [_notice(episode, "end") for _, episode in sorted(self._open.items()) if episode.key]
        self._samples.clear()
        self._open, self._ended_ns, self._before_ns = {}, {}, None
        return out

    def _add(self, now_ns: int, scores: dict[str, float]) -> None:
        self._samples.append((now_ns, scores))
        start_ns = now_ns - self._settings.window_ns
        while len(self._samples) > 1 and self._samples[0][0] <= start_ns:
            self._before_ns = self._samples.popleft()[0]
        self._ended_ns = {label: at for label, at in self._ended_ns.items() if at > start_ns}

    def _levels(self, labels: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores (T, L) of the window's samples, and smoothed (L,)."""
        raw = np.zeros((len(self._samples), len(labels)))
        place = {label: column for column, label in enumerate(labels)}
        for row, (_, sample) in enumerate(self._samples):
            for label, score in sample.items():
                raw[row, place[label]] = score
        if self._settings.method == "vote":
            raw = votes(raw)
        times = np.array([time for time, _ in self._samples], np.int64)
        weight = weights(times, self._before_ns, self._settings.window_ns)
        return raw, smoothed(raw, weight, self._settings.method)

    def _step(self, now_ns: int, label: str, raw: NDArray[np.float64], level: float) -> None:
        episode, settings = self._open.get(label), self._settings
        if episode is None:
            if level < settings.enter:
                return
            episode = Episode(label=label, start_ns=self._first(label, raw), seen_ns=now_ns, score=level, peak=level)
            self._open[label] = episode
        if raw[-1] >= settings.leave:
            episode.seen_ns = now_ns
        episode.score, episode.peak = level, max(episode.peak, level)
        # until it is told it must keep the higher score, or one wrong answer at the beginning would linger
        episode.active = level >= (settings.leave if episode.active and episode.key else settings.enter)

    def _first(self, label: str, raw: NDArray[np.float64]) -> int:
        """The first moment in the window at which the label had the score to enter, behind its last episode."""
        after_ns = self._ended_ns.get(label, -1)
        times = [time for time, _ in self._samples]
        for time, score in zip(times, raw.tolist(), strict=True):
            if score >= self._settings.enter and time > after_ns:
                return time
        return times[-1]

    def _told(self, now_ns: int, label: str, index: int) -> Iterator[Notice]:
        episode, settings = self._open.get(label), self._settings
        if episode is None:
            return
        if episode.active and not episode.key and episode.seen_ns - episode.start_ns >= settings.least_ns:
            episode.key, episode.told_ns = f"{label}/{index}", now_ns
            yield _notice(episode, "start")
        elif episode.active and episode.key and settings.update_ns and now_ns - episode.told_ns >= settings.update_ns:
            episode.told_ns = now_ns
            yield _notice(episode, "update")
        # what wasn't told yet doesn't wait: short flickers with gaps between them are no label
        if not episode.active and (not episode.key or now_ns - episode.seen_ns > settings.merge_ns):
            del self._open[label]
            self._ended_ns[label] = episode.seen_ns
            if episode.key:
                yield _notice(episode, "end")

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "samples": [[time, sample] for time, sample in self._samples],
            "before_ns": self._before_ns,
            "open": [asdict(episode) for episode in self._open.values()],
            "ended_ns": dict(self._ended_ns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._samples = deque((time, dict(sample)) for time, sample in state["samples"])
        self._before_ns = state["before_ns"]
        self._open = {episode["label"]: Episode(**episode) for episode in state["open"]}
        self._ended_ns = dict(state["ended_ns"])


def _notice(episode: Episode, phase: Literal["start", "update", "end"]) -> Notice:
    return Notice(
        phase=phase,
        label=episode.label,
        key=episode.key,
        start_ns=episode.start_ns,
        seen_ns=episode.seen_ns,
        score=episode.peak if phase == "end" else episode.score,
    )
