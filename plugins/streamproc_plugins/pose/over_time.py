"""The plugins `pose_smoothing` and `pose_pooling`: poses of one frame to poses that earlier frames have a say in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamproc import (
    Duration,
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
from streamproc.options import OptionsT
from streamproc_plugins.pose.identity import Identities
from streamproc_plugins.pose.matching import areas
from streamproc_plugins.pose.pooling import carry, pool_points
from streamproc_plugins.pose.smoothing import Filtered, PointFilter, smooth

F32 = NDArray[np.float32]


class PoseSmoothingOptions(Options):
    """Strength and speed of the filter."""

    min_cutoff: float = Field(
        1.0, gt=0, le=100, description="cutoff of a point at rest in Hz: lower trembles less and lags more"
    )
    beta: float = Field(
        2.0, ge=0, le=1000, description="Hz by which the cutoff rises for each body size per second: higher lags less"
    )
    min_point: float = Field(0.2, ge=0, le=1, description="keypoints less sure pass as they are")
    lost_after: Duration = Field(
        seconds(1), gt=0, description="a person or keypoint starts afresh after so long without a detection"
    )


class PosePoolingOptions(Options):
    """Earlier frames that count."""

    window: Duration = Field(
        seconds(0.5), gt=0, le=seconds(10), description="media time whose frames count, older ones less"
    )
    min_point: float = Field(0.2, ge=0, le=1, description="keypoints less sure have no say in where a point is")


class _OverTime(StreamPlugin[OptionsT]):
    """Identifies people from frame to frame and has a memory of each; the memory ends at a cut."""

    state_version = 2
    needs: ClassVar[tuple[type[Result | Flow], ...]] = (Poses,)
    gives: ClassVar[tuple[type[Result], ...]] = (Poses,)

    def open(self, context: PluginContext) -> None:
        """Begin with no known people."""
        self._identities = Identities(self._lost_ns())
        self._forget()

    def process(self, frame: Frame, past: Results) -> Output:
        """One `Poses`, with the rows of the input."""
        poses = past[Poses]
        keys = self._identities.observe(frame.pts_ns, poses)
        points = self._together(frame, past.get(Flow), poses.keypoints, keys)
        ids = poses.track_id
        if ids is None:
            ids = np.array([int(key.removeprefix("p")) for key in keys], np.int64)
        return [Poses(keypoints=points, score=poses.score, track_id=ids)]

    def on_time(self, moment: Moment, reason: TimeReason) -> Output | None:
        """Forget all people at a cut."""
        if reason == "cut":
            self._identities.forget()
            self._forget()
        return None

    def state(self) -> dict[str, Any]:
        """People and the memory of each, as JSON values."""
        return {"identities": self._identities.state(), "people": self._remembered()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._identities.restore(state["identities"])
        self._remember(state["people"])

    @abstractmethod
    def _lost_ns(self) -> int: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _together(self, frame: Frame, flow: Flow | None, points: F32, keys: list[str]) -> F32:
        """The memory and this frame's points (N, 17, 3) combined."""

    @abstractmethod
    def _remembered(self) -> Any: ...

    @abstractmethod
    def _remember(self, people: Any) -> None: ...


class PoseSmoothing(_OverTime[PoseSmoothingOptions]):
    """Steadies keypoints with the one-euro filter (Casiez et al., CHI 2012), each person and keypoint for itself.

    Gives `Poses` with the same rows; people without a track are known again by likeness and numbered. Needs no pixels.
    """

    def _lost_ns(self) -> int:
        return self.options.lost_after

    def _forget(self) -> None:
        options = self.options
        self._people: dict[str, Filtered] = {}
        self._filter = PointFilter(
            min_cutoff_hz=options.min_cutoff, beta=options.beta, lost_ns=options.lost_after, sure=options.min_point
        )

    def _together(self, frame: Frame, flow: Flow | None, points: F32, keys: list[str]) -> F32:
        now_ns = frame.pts_ns
        oldest_ns = now_ns - self.options.lost_after
        self._people = {key: person for key, person in self._people.items() if int(person.at_ns.max()) >= oldest_ns}
        sizes = np.sqrt(areas(points))
        out = points.copy()
        for row, key in enumerate(keys):
            before = self._people.get(key) or Filtered.none()
            self._people[key], out[row] = smooth(before, now_ns, points[row], float(sizes[row]), self._filter)
        return out

    def _remembered(self) -> Any:
        return {key: person.plain() for key, person in self._people.items()}

    def _remember(self, people: Any) -> None:
        self._people = {key: Filtered.read(plain) for key, plain in people.items()}


class PosePooling(_OverTime[PosePoolingOptions]):
    """Lets the frames before have a say: their keypoints are carried along optical flow to this frame and averaged.

    After Pfister et al., ICCV 2015, with a neighbourhood that reaches back only, so that a live stream needn't wait.
    Fills keypoints that single frames miss. Gives `Poses` with the same rows; people without a track are known again by
    likeness and numbered.
    """

    uses: ClassVar[tuple[type[Result | Flow], ...]] = (Flow,)

    def _lost_ns(self) -> int:
        return self.options.window

    def _forget(self) -> None:
        self._before_ns: int | None = None
        self._people: dict[str, list[tuple[int, F32]]] = {}

    def _together(self, frame: Frame, flow: Flow | None, points: F32, keys: list[str]) -> F32:
        now_ns = frame.pts_ns
        self._carry_all(now_ns, flow)
        out = points.copy()
        for row, key in enumerate(keys):
            history = self._people.setdefault(key, [])
            history.append((now_ns, points[row]))
            ages = np.array([now_ns - at_ns for at_ns, _ in history])
            neighbours = np.stack([shape for _, shape in history])
            out[row] = pool_points(neighbours, 1 - ages / self.options.window, self.options.min_point)
        self._before_ns = now_ns
        return out

    def _carry_all(self, now_ns: int, flow: Flow | None) -> None:
        """Carry the memory of earlier frames to this one; without flow it can't be carried."""
        if flow is None or self._before_ns is None:
            self._people = {}
            return
        oldest_ns = now_ns - self.options.window
        retained = [
            (key, at_ns, p) for key, history in self._people.items() for at_ns, p in history if at_ns > oldest_ns
        ]
        self._people = {}
        if not retained:
            return
        times = (now_ns - self._before_ns) / flow.dt_ns
        carried = carry(np.stack([points for _, _, points in retained]), flow.uv, flow.scale, times)
        for (key, at_ns, _), points in zip(retained, carried, strict=True):
            self._people.setdefault(key, []).append((at_ns, points))

    def _remembered(self) -> Any:
        history = {key: [[at_ns, points.tolist()] for at_ns, points in rows] for key, rows in self._people.items()}
        return {"before_ns": self._before_ns, "history": history}

    def _remember(self, people: Any) -> None:
        self._before_ns = people["before_ns"]
        self._people = {
            key: [(at_ns, np.array(points, np.float32)) for at_ns, points in rows]
            for key, rows in people["history"].items()
        }


__all__ = ["PosePooling", "PosePoolingOptions", "PoseSmoothing", "PoseSmoothingOptions"]
