"""Detections of a run that begin no track, for its remarks."""

from __future__ import annotations

from collections.abc import Iterator

from streamproc import Detections

_LEAST = 3
"""fewer detections of a label are nothing to speak of"""


class Missed:
    """Counts detections by label, and notes whether any track was shown."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._best: dict[str, float] = {}
        self._shown = False

    def add(self, found: Detections, shown: bool) -> None:
        """Take the detections of a frame, and whether a track was shown at it."""
        self._shown = self._shown or shown
        # a detection that the detector itself rates as mostly wrong isn't missed
        least = found.operating_score or 0.0
        for label, score in zip(found.label, found.score.tolist(), strict=True):
            if score >= least:
                self._count[label] = self._count.get(label, 0) + 1
                self._best[label] = max(self._best.get(label, 0.0), score)

    def remarks(self, labels: tuple[str, ...], new_score: float) -> Iterator[str]:
        """One sentence for each way in which detections begin no track.

        labels: those that are followed, empty for all. new_score: the score that begins a track.
        """
        if absent := [label for label in labels if label not in self._count]:
            names = ", ".join(sorted(self._count)) or "none"
            yield f"no detection has the label {' or '.join(absent)}, which `labels` names; labels found: {names}"
        followed = [label for label in self._count if not labels or label in labels]
        many = [label for label in followed if self._count[label] >= _LEAST]
        low = [label for label in many if self._best[label] < new_score]
        for label in low:
            yield (
                f"{self._count[label]} detections of {label} began no track: their best score is "
                f"{self._best[label]:.2f}, and a track begins at {new_score:.2f}; set `new_score` and `high_score` to "
                "values that suit the detector"
            )
        if many and not self._shown and len(low) < len(many):
            yield (
                f"{sum(self._count[label] for label in many)} detections confirmed no track: too few "
                "were found again near where they were; process more frames a second, or lower `confirm_hits`, "
                "`confirm_for` or `new_score`"
            )
