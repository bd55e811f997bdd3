"""Options of `labels`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from streamproc import Duration, Field, Options, seconds
from streamproc_plugins.labels.episodes import EpisodeSettings


class LabelsOptions(Options):
    """Limits of a label's score and duration; all times are media time."""

    method: Literal["mean", "max", "vote"] = Field(
        "mean",
        description="how the scores of a window become one: their mean over time, the highest, or the part of the "
        "time for which the label was the best",
    )
    window: Duration = Field(
        seconds(1), ge=0, le=seconds(60), description="time that is smoothed over; 0s: each result for itself"
    )
    enter: float = Field(0.5, gt=0, le=1, description="a label is there from this smoothed score on")
    leave: float = Field(0.3, gt=0, le=1, description="and until its smoothed score falls below this one")
    min_duration: Duration = Field(seconds(0.5), ge=0, description="a label that lasts for less gives no event")
    merge_gap: Duration = Field(
        seconds(1), ge=0, description="a label that is away no longer than this goes on in the same event"
    )
    lost_after: Duration = Field(
        seconds(3),
        gt=0,
        description="all labels end after so long without a result; more than the time between two results",
    )
    update_every: Duration = Field(seconds(10), ge=0, description="time between two updates; 0s: none")
    labels: tuple[str, ...] = Field((), description="labels that give events; empty: all")
    ignore: tuple[str, ...] = Field((), description="labels that give no event, such as background or 'No gesture'")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.leave > self.enter:
            raise ValueError(f"`leave` is {self.leave}, above `enter` ({self.enter}); give the lower one to `leave`")
        if both := sorted(set(self.labels) & set(self.ignore)):
            raise ValueError(f"{both} stand under `labels` and under `ignore`; take them out of one")
        return self

    def settings(self) -> EpisodeSettings:
        """The same for the state machine."""
        return EpisodeSettings(
            method=self.method,
            window_ns=self.window,
            enter=self.enter,
            leave=self.leave,
            least_ns=self.min_duration,
            merge_ns=self.merge_gap,
            lost_ns=self.lost_after,
            update_ns=self.update_every,
        )
