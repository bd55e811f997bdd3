"""Episodes of labels: a state machine over smoothed scores and media time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamproc import Episode, Event
from streamproc_plugins.labels.smoothing import Method, smoothed, votes, weights


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSettings:
    """Limits of a label's score and duration; times in nanoseconds of media time."""

    method: Method
    window_ns: int
    enter: float
    leave: float
    least_ns: int
    merge_ns: int
    lost_ns: int
    update_ns: int


@dataclass(slots=True, kw_only=True)
class _Presence:
    """A label that is there, or may be."""

    label: str
    start_ns: int
    """first moment at which the label itself had the score to enter"""
    observed_ns: int
    """last moment at which the label itself had the score to stay"""
    score: float
    """smoothed, now"""
    peak: float
    """highest smoothed score"""
    active: bool = True
    """False once the smoothed score fell below `leave`, or below `enter` before the episode began"""
    episode: Episode | None = None
    """once it is sure"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """An episode of a label that begins, goes on or ends."""

    phase: Literal["start", "update", "end"]
    label: str
    episode: Episode
    now_ns: int
    observed_ns: int
    score: float
    """smoothed; of an end: the highest that there was"""

    def event(self, *, score: float | None = None, **data: Any) -> Event:
        """The event that says so; that of an end has `duration_s`."""
        if self.phase == "start":
            return self.episode.start(self.now_ns, score=score, **data)
        if self.phase == "update":
            return self.episode.update(self.now_ns, score=score, **data)
        return self.episode.end(
            self.observed_ns, score=score, **data, duration_s=self.episode.lasted_s(self.observed_ns)
        )


class Episodes:
    """All labels of one stream, or of one thing in it. A label without a score in a sample has the score 0 there."""

    def __init__(self, settings: EpisodeSettings, type_: str, *, prefix: str = "", **data: Any) -> None:
        """type_, prefix, data: type of the episodes, prefix of their keys, additional data of their events."""
        self._settings = settings
        self._type, self._prefix, self._data = type_, prefix, data
        self._samples: deque[tuple[int, dict[str, float]]] = deque()
        self._before_ns: int | None = None
        self._open: dict[str, _Presence] = {}
        self._ended_ns: dict[str, int] = {}

    def observe(self, now_ns: int, scores: Mapping[str, float], index: int) -> list[LabelChange]:
        """The scores of one moment, later than all before. index: of the frame, to name episodes by."""
        out = list(self.lose(now_ns))
        self._add(now_ns, dict(scores))
        labels = sorted({label for _, sample in self._samples for label in sample} | set(self._open))
        raw, level = self._levels(labels)
        for column, label in enumerate(labels):
            self._step(now_ns, label, raw[:, column], float(level[column]))
            out += self._changes(now_ns, label, index)
        return out

    def lose(self, now_ns: int) -> list[LabelChange]:
        """End all labels after too long without a result, at their last observation."""
        if self._samples and now_ns - self._samples[-1][0] > self._settings.lost_ns:
            return self.finish()
        return []

    def finish(self) -> list[LabelChange]:
        """End all labels at their last observation and forget the window."""
        ended = [presence for _, presence in sorted(self._open.items())]
        out = [_change("end", one, one.episode, one.observed_ns) for one in ended if one.episode is not None]
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
        presence, settings = self._open.get(label), self._settings
        if presence is None:
            if level < settings.enter:
                return
            presence = _Presence(
                label=label, start_ns=self._first(label, raw), observed_ns=now_ns, score=level, peak=level
            )
            self._open[label] = presence
        if raw[-1] >= settings.leave:
            presence.observed_ns = now_ns
        presence.score, presence.peak = level, max(presence.peak, level)
        # until its episode begins it needs the higher score, or one wrong answer at the beginning would linger
        begun = presence.episode is not None
        presence.active = level >= (settings.leave if presence.active and begun else settings.enter)

    def _first(self, label: str, raw: NDArray[np.float64]) -> int:
        """The first moment in the window at which the label had the score to enter, behind its last episode."""
        after_ns = self._ended_ns.get(label, -1)
        times = [time for time, _ in self._samples]
        for time, score in zip(times, raw.tolist(), strict=True):
            if score >= self._settings.enter and time > after_ns:
                return time
        return times[-1]

    def _changes(self, now_ns: int, label: str, index: int) -> Iterator[LabelChange]:
        presence, settings = self._open.get(label), self._settings
        if presence is None:
            return
        episode = presence.episode
        if presence.active and episode is None and presence.observed_ns - presence.start_ns >= settings.least_ns:
            presence.episode = episode = self._episode(presence, index)
            yield _change("start", presence, episode, now_ns)
        elif presence.active and episode is not None and episode.due(now_ns, settings.update_ns):
            yield _change("update", presence, episode, now_ns)
        # an unsure label doesn't wait: short flickers with gaps between them are no label
        if not presence.active and (episode is None or now_ns - presence.observed_ns > settings.merge_ns):
            del self._open[label]
            self._ended_ns[label] = presence.observed_ns
            if episode is not None:
                yield _change("end", presence, episode, now_ns)

    def _episode(self, presence: _Presence, index: int) -> Episode:
        label = presence.label
        key = f"{self._prefix}{label}/{index}"
        return Episode(type=self._type, key=key, start_ns=presence.start_ns, data={"label": label, **self._data})

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {
            "samples": [[time, sample] for time, sample in self._samples],
            "before_ns": self._before_ns,
            "open": [asdict(presence) for presence in self._open.values()],
            "ended_ns": dict(self._ended_ns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._samples = deque((time, dict(sample)) for time, sample in state["samples"])
        self._before_ns = state["before_ns"]
        self._open = {
            stored["label"]: _Presence(**{**stored, "episode": Episode.restored(stored["episode"])})
            for stored in state["open"]
        }
        self._ended_ns = dict(state["ended_ns"])


def _change(
    phase: Literal["start", "update", "end"], presence: _Presence, episode: Episode, now_ns: int
) -> LabelChange:
    return LabelChange(
        phase=phase,
        label=presence.label,
        episode=episode,
        now_ns=now_ns,
        observed_ns=presence.observed_ns,
        score=presence.peak if phase == "end" else presence.score,
    )


__all__ = ["EpisodeSettings", "Episodes", "LabelChange"]
