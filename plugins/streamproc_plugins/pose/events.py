"""The `pose_events` plugin: poses to events of falls, lying and raised hands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from streamproc import (
    Duration,
    Event,
    Field,
    Flow,
    Frame,
    Moment,
    Options,
    Output,
    PluginContext,
    Poses,
    Result,
    Results,
    StreamPlugin,
    TimeReason,
    seconds,
)
from streamproc_plugins.pose.bodies import Body, BodyObservation, BodySettings
from streamproc_plugins.pose.identity import Identities
from streamproc_plugins.pose.matching import point_boxes
from streamproc_plugins.rules.presence import Timing
from streamproc_plugins.shots.following import ended_at_cut


class PoseEventsOptions(Options):
    """Events to emit, and how sure and steady they must be; all times are media time."""

    events: tuple[Literal["fall", "lying", "raised_hands"], ...] = Field(
        ("fall", "lying", "raised_hands"), min_length=1, description="which events to emit"
    )
    min_point: float = Field(0.3, ge=0, le=1, description="keypoints less sure don't count")
    lying_angle: float = Field(
        55, gt=0, le=85, description="a body that leans this far from upright lies, degrees in the picture"
    )
    upright_angle: float = Field(35, gt=0, le=85, description="below this lean it is upright, degrees")
    lying_for: Duration = Field(seconds(1), ge=0, description="lying for less is not reported")
    fall_speed: float = Field(
        0.5, gt=0, le=20, description="descent from which going down is a fall, body lengths per second"
    )
    fall_within: Duration = Field(seconds(2), gt=0, description="most time from upright to lying in a fall")
    fall_confirm: Duration = Field(seconds(0.5), ge=0, description="time lying before a fall is reported")
    hands: Literal["any", "both"] = Field("any", description="how many hands must be up")
    hands_above: float = Field(
        0, ge=-1, le=2, description="how far above the nose hands count as raised, in torso lengths"
    )
    hands_for: Duration = Field(seconds(0.15), ge=0, description="hands up for less are not reported")
    leave_after: Duration = Field(seconds(0.5), ge=0, description="it ends when it has been over for this long")
    lost_after: Duration = Field(
        seconds(2), gt=0, description="it also ends after so long without the person or the keypoints"
    )
    update_every: Duration = Field(seconds(10), ge=0, description="time between two updates; 0s: none")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.upright_angle > self.lying_angle:
            raise ValueError(
                f"`upright_angle` is {self.upright_angle}, above `lying_angle` ({self.lying_angle}); "
                "give the smaller one to `upright_angle`"
            )
        return self

    def settings(self) -> BodySettings:
        """The same for the state machines."""

        def timing(enter_ns: int) -> Timing:
            whole = Timing(
                enter_ns=enter_ns, leave_ns=self.leave_after, lost_ns=self.lost_after, update_ns=self.update_every
            )
            return whole.beginning(enter_ns)

        return BodySettings(
            types=frozenset(f"pose.{name}" for name in self.events),
            sure=self.min_point,
            lying_deg=self.lying_angle,
            upright_deg=self.upright_angle,
            lying=timing(self.lying_for),
            down=timing(self.fall_confirm),
            fall_speed=self.fall_speed,
            fall_within_ns=self.fall_within,
            hands=timing(self.hands_for),
            hands_above=self.hands_above,
            both_hands=self.hands == "both",
        )


class PoseEvents(StreamPlugin[PoseEventsOptions]):
    """Emits falls (`pose.fall`), people who lie (`pose.lying`) and raised hands (`pose.raised_hands`).

    People are identified by track id, or by likeness without tracks. Where `shots` stands before, all ends at a
    cut. Needs no pixels.
    """

    state_version = 2
    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Poses,)

    def open(self, context: PluginContext) -> None:
        """Begin with no known people."""
        self._settings = self.options.settings()
        self._identities = Identities(self.options.lost_after)
        self._bodies: dict[str, Body] = {}

    def process(self, frame: Frame, past: Results) -> Output:
        """The events of this frame."""
        now_ns, poses = frame.pts_ns, past[Poses]
        boxes = point_boxes(poses.keypoints, self.options.min_point)
        keys = self._identities.observe(now_ns, poses)
        events: list[Event] = []
        for row, key in enumerate(keys):
            body = self._bodies.setdefault(key, Body(key, self._settings))
            events.extend(body.observe(now_ns, _observation(poses, row, boxes[row]), frame.index))
        return [*events, *self._expired(now_ns, set(keys))]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output:
        """End episodes without a pose for too long; a cut ends all, as no person is followed over it."""
        if reason == "cut":
            return ended_at_cut(self.flush(moment), moment.pts_ns)
        return self._expired(moment.pts_ns, set())

    def flush(self, moment: Moment) -> list[Event]:
        """End open episodes at the last pose."""
        events = [event for body in self._bodies.values() for event in body.finish()]
        self._bodies = {}
        self._identities.forget()
        return events

    def state(self) -> dict[str, Any]:
        """People and open episodes as JSON values."""
        bodies = {key: body.state() for key, body in self._bodies.items()}
        return {"identities": self._identities.state(), "bodies": bodies}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._identities.restore(state["identities"])
        self._bodies = {key: Body(key, self._settings) for key in state["bodies"]}
        for key, body in self._bodies.items():
            body.restore(state["bodies"][key])

    def _expired(self, now_ns: int, here: set[str]) -> list[Event]:
        events: list[Event] = []
        for key, body in list(self._bodies.items()):
            if key not in here:
                events.extend(body.expire(now_ns))
                if now_ns - body.observed_ns > self.options.lost_after:
                    del self._bodies[key]
        return events


def _observation(poses: Poses, row: int, box: NDArray[np.float32]) -> BodyObservation:
    track_id = 0 if poses.track_id is None else int(poses.track_id[row])
    about = {"label": "person", **({"track_id": track_id} if track_id > 0 else {}), "box": box.tolist()}
    return BodyObservation(points=poses.keypoints[row], score=float(poses.score[row]), about=about)


__all__ = ["PoseEvents", "PoseEventsOptions"]
