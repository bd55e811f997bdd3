"""One stream at work: frames go through pure stages on the pool and through ordered stages on the stream's own thread.

A frame's way: `Intake` (reader thread) makes a ticket -> lane -> `_run_pure` (worker) -> `_accept` (tail thread, in
order) -> ordered steps (tail thread) -> next pure stage (worker) ... -> `_finish` (tail thread, in order) -> sinks.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from streamproc.config.plan import StreamPlan
from streamproc.engine.admission import Credits
from streamproc.engine.bundle import write_bundle
from streamproc.engine.chain import Chain, Stage, Step
from streamproc.engine.flow import frame_flow
from streamproc.engine.guard import MISSING, OFF, Outcome, call
from streamproc.engine.ledger import Ledger
from streamproc.engine.pool import Abandoned, Call, Lane, Pool, Watch
from streamproc.engine.steps import FLOW, has_needs, process
from streamproc.engine.ticket import Ticket
from streamproc.errors import StreamprocError
from streamproc.events import Event, Moment
from streamproc.frames import Flow, StreamInfo
from streamproc.metrics import Histogram, Tally
from streamproc.plugin import Results, StreamPlugin

log = logging.getLogger(__name__)


class Outlet(Protocol):
    """Where finished frames and their events go."""

    def deliver(self, run: StreamRun, ticket: Ticket, events: tuple[Event, ...]) -> None:
        """Take what one ticket came to; the credit of a frame is given back through `run.release`."""
        ...

    def ended(self, run: StreamRun) -> None:
        """Nothing more comes from this stream."""
        ...

    def stop(self, reason: str) -> None:
        """A plugin asks for the whole run to end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What all streams of a run share."""

    pool: Pool
    watch: Watch
    outlet: Outlet
    frames_in_flight: int
    """most frames of one stream between reader and sinks"""
    events: Tally
    """events by (stream, type)"""
    bundles: Callable[[], Any] = field(repr=False)
    """the folder for repro bundles, made on first use"""


class StreamRun:
    """The chain of one stream at work."""

    def __init__(self, plan: StreamPlan, info: StreamInfo, chain: Chain, ledger: Ledger, services: Services) -> None:
        """A run that `start` sets going."""
        self.plan = plan
        self.info = info
        self.chain = chain
        self.ledger = ledger
        self.credits = Credits(plan.buffer_bytes, services.frames_in_flight)
        self.latency = Histogram()
        self.repeatable = True
        """false once a time-out struck"""
        self.last_pts_ns = 0
        self.processed = 0
        self.done = threading.Event()
        self.lane = Lane(self._run_pure)
        self._services = services
        self._mail: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._waiting: list[dict[int, Ticket]] = [{} for _ in chain.stages]
        self._next = [0 for _ in chain.stages]
        self._counts: dict[str, tuple[int, int]] = {}
        self._bundled: set[int] = set()
        self._generation = 0
        self._unfinished: tuple[Ticket, Stage] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the tail thread and let the pool take frames."""
        self._spawn_tail()
        self._services.pool.add_lane(self.lane)

    def put(self, ticket: Ticket) -> None:
        """Let a ticket wait for a worker."""
        self._services.pool.put(self.lane, ticket)

    def join(self) -> None:
        """Wait for the tail thread (the one that isn't stuck)."""
        self.done.wait()
        if self._thread is not None:
            self._thread.join()

    def release(self, ticket: Ticket) -> None:
        """A frame's pixels are no longer needed: give its credit back."""
        if ticket.frame is not None:
            self.credits.give_back(ticket.cost)

    def drop(self, ticket: Ticket, reason: str) -> None:
        """Give a waiting frame up."""
        self.ledger.settle("dropped", reason)
        self.credits.give_back(ticket.cost)

    def restore(self, states: Mapping[str, Any]) -> None:
        """Go on from what a snapshot brought home, before the first frame."""
        for step in self.chain.steps:
            kept = states.get(step.name)
            if kept is None or not isinstance(step.plugin, StreamPlugin):
                continue
            if kept["told"] is not None:
                self._counts[step.name] = (kept["told"][0], kept["told"][1])
            if kept["state"] is not None:
                step.plugin.restore(kept["state"])

    # --- pure stages, on the pool ---

    def _run_pure(self, ticket: Ticket) -> None:
        stage = self.chain.stages[ticket.stage]
        ticket.off = self.chain.health.off
        attempt: dict[int, Outcome] = {}
        found = dict(ticket.found)
        if ticket.stage == 0 and ticket.before is not None and ticket.frame is not None:
            found[FLOW, Flow] = frame_flow(self.plan.flow, ticket.before, ticket.frame)
            ticket.found[FLOW, Flow] = found[FLOW, Flow]
            ticket.before = None
        for step in stage.steps:
            if step.index not in ticket.due.steps:
                continue
            outcome = self._run_step(ticket, step, found, attempt)
            attempt[step.index] = outcome
            found.update({(step.name, type(result)): result for result in outcome.results})
        ticket.attempt = attempt
        self._mail.put(ticket)

    def _run_step(
        self, ticket: Ticket, step: Step, found: dict[tuple[str, type], Any], attempt: dict[int, Outcome]
    ) -> Outcome:
        """One pure step, under watch."""
        if step.index in ticket.off:
            return OFF
        if not has_needs(step, found):
            return MISSING
        told = {**ticket.events, **{index: outcome.events for index, outcome in attempt.items()}}
        events = tuple(event for index in sorted(told) for event in told[index])
        past = Results(found, step.plan.inputs, events)
        abandon = partial(self._pure_hung, ticket, step, threading.current_thread())
        self._enter(step, abandon)
        outcome = call(step.name, step.plugin, partial(process, ticket, step, past), partial(self._stamp, step, 0))
        self._leave()
        step.seconds.observe(outcome.seconds)
        return outcome

    def _stamp(self, step: Step, count: int, events: tuple[Event, ...]) -> tuple[Event, ...]:
        return tuple(event.stamped(self.info, step.name, count + n) for n, event in enumerate(events))

    def _enter(self, step: Step, abandon: Callable[[], None]) -> None:
        what = f"plugin {step.name} of stream {self.info.name}"
        self._services.watch.enter(Call(what, step.plan.timeout_ns / 1e9, abandon))

    def _leave(self) -> None:
        if not self._services.watch.leave():
            raise Abandoned

    def _pure_hung(self, ticket: Ticket, step: Step, thread: threading.Thread) -> None:
        """The watch gave up on a pure step: switch the plugin off and do the frame's stage again without it."""
        self._mark_hung(step)
        self._services.pool.forget(thread)
        self._services.pool.replace_worker()
        self._services.pool.submit(partial(self._run_pure, ticket))

    def _mark_hung(self, step: Step) -> None:
        self.repeatable = False
        step.verdicts.add("hung")
        reason = f"did not come back within {step.plan.timeout_ns / 1e9:g} s"
        self.chain.health.switch_off(step.index, reason, hung=True)
        if step.plan.on_error == "stop":
            self._services.outlet.stop(f"plugin {step.name} of stream {self.info.name} {reason}")

    # --- the tail, on the stream's own thread ---

    def _spawn_tail(self) -> None:
        self._generation += 1
        name = f"streamproc-tail-{self.info.name}"
        self._thread = threading.Thread(target=self._tail, args=(self._generation,), name=name, daemon=True)
        self._thread.start()

    def _tail(self, generation: int) -> None:
        try:
            if self._unfinished is not None:
                ticket, stage = self._unfinished
                self._run_ordered(ticket, stage)
                self._go_on(ticket)
                self._take_all()
            while self._generation == generation:
                arrived = self._mail.get()
                if arrived is None:
                    break
                self._waiting[arrived.stage][arrived.sequence] = arrived
                self._take_all()
        except Abandoned:
            return
        self.done.set()

    def _take_all(self) -> None:
        """Accept, in order, every ticket that is ready at any stage."""
        moved = True
        while moved:
            moved = False
            for stage, waiting in enumerate(self._waiting):
                ticket = waiting.pop(self._next[stage], None)
                if ticket is not None:
                    moved = self._accept(ticket, stage) or moved

    def _accept(self, ticket: Ticket, stage: int) -> bool:
        """Take the outcome of a pure stage in order; False if it must be done again as a plugin went off meanwhile."""
        if ticket.frame is not None and self.chain.health.off - ticket.off and self._touches(ticket, stage):
            self._services.pool.submit(partial(self._run_pure, ticket))
            return False
        self._next[stage] += 1
        for step in self.chain.stages[stage].steps:
            if step.index in ticket.attempt:
                self._book(ticket, step, ticket.attempt[step.index])
        ticket.attempt = {}
        ticket.stage = stage + 1
        self._go_on(ticket)
        return True

    def _touches(self, ticket: Ticket, stage: int) -> bool:
        late = self.chain.health.off - ticket.off
        return any(step.index in late and step.index in ticket.attempt for step in self.chain.stages[stage].steps)

    def _go_on(self, ticket: Ticket) -> None:
        """Run the ordered stages that are next, then hand over to the pool or finish."""
        while ticket.stage < len(self.chain.stages):
            stage = self.chain.stages[ticket.stage]
            if stage.pure:
                self._hand_over(ticket, stage)
                return
            self._run_ordered(ticket, stage)
        self._finish(ticket)

    def _hand_over(self, ticket: Ticket, stage: Stage) -> None:
        if any(step.index in ticket.due.steps for step in stage.steps):
            self._services.pool.submit(partial(self._run_pure, ticket))
        else:
            ticket.off = self.chain.health.off
            self._mail.put(ticket)

    def _run_ordered(self, ticket: Ticket, stage: Stage) -> None:
        self._unfinished = (ticket, stage)
        while ticket.position < len(stage.steps):
            step = stage.steps[ticket.position]
            ticket.position += 1
            if ticket.mark == "snapshot":
                self._keep_state(ticket, step)
            elif ticket.mark is not None or step.index in ticket.due.steps:
                self._book(ticket, step, self._run_ordered_step(ticket, step))
        ticket.position = 0
        ticket.stage += 1
        self._unfinished = None

    def _run_ordered_step(self, ticket: Ticket, step: Step) -> Outcome:
        if step.index in self.chain.health.off:
            return OFF
        if ticket.mark is None and not has_needs(step, ticket.found):
            return MISSING
        past = Results(ticket.found, step.plan.inputs, ticket.told())
        self._enter(step, partial(self._ordered_hung, step))
        stamp = partial(self._stamp_in_order, ticket.moment.frame_index, step)
        outcome = call(step.name, step.plugin, partial(process, ticket, step, past), stamp)
        self._leave()
        step.seconds.observe(outcome.seconds)
        # what a tracker gives outside a frame has no frame to belong to
        return outcome if ticket.mark is None else replace(outcome, results=())

    def _stamp_in_order(self, index: int, step: Step, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Number the events of a plugin at one frame through, over `process`, `on_time` and `flush`."""
        before, count = self._counts.get(step.name, (index, 0))
        count = count if before == index else 0
        stamped = self._stamp(step, count, events)
        if stamped:
            self._counts[step.name] = (index, count + len(stamped))
        return stamped

    def _ordered_hung(self, step: Step) -> None:
        """The watch gave up on an ordered step: another thread takes the tail over, behind that step."""
        self._mark_hung(step)
        self._spawn_tail()

    def _keep_state(self, ticket: Ticket, step: Step) -> None:
        if isinstance(step.plugin, StreamPlugin) and step.index not in self.chain.health.off:
            state = step.plugin.state()
            ticket.states[step.name] = {"state": state, "told": self._counts.get(step.name)}

    def _book(self, ticket: Ticket, step: Step, outcome: Outcome) -> None:
        """Take an outcome in order: results, events, failures."""
        ticket.outcomes[step.index] = outcome
        step.verdicts.add(outcome.verdict)
        if outcome.events:
            ticket.events[step.index] = (*ticket.events.get(step.index, ()), *outcome.events)
        if outcome.verdict == "failed":
            self._failed(ticket, step, outcome)
        reason = self.chain.health.record(step.index, outcome)
        if reason is not None:
            log.warning("plugin switched off stream=%s plugin=%s: it %s", self.info.name, step.name, reason)
        ticket.found.update({(step.name, type(result)): result for result in outcome.results})

    def _failed(self, ticket: Ticket, step: Step, outcome: Outcome) -> None:
        total = step.verdicts["failed"]
        if total in (1, 10, 100) or total % 1000 == 0:
            place = f"stream={self.info.name} plugin={step.name} frame={ticket.moment.frame_index} total={total}"
            log.warning("plugin failed %s: %s", place, outcome.error)
        if step.index not in self._bundled:
            self._bundled.add(step.index)
            try:
                path = write_bundle(self._services.bundles(), self.info, step, ticket, outcome)
                log.warning("what made it fail is kept in %s: streamproc repro shows it again", path)
            except (OSError, StreamprocError, ValueError) as error:
                log.warning("the failing input can't be kept: %s", error)
        if step.plan.on_error == "stop":
            where = f"plugin {step.name} of stream {self.info.name} failed at frame {ticket.moment.frame_index}"
            self._services.outlet.stop(f"{where}: {outcome.error}")

    def _finish(self, ticket: Ticket) -> None:
        """The ticket has passed the whole chain, in order."""
        if ticket.mark == "snapshot":
            if ticket.on_done is not None:
                ticket.on_done(ticket.states)
            return
        events = ticket.told()
        for event in events:
            self._services.events.add((self.info.name, event.type))
        if ticket.frame is not None:
            self.last_pts_ns = ticket.moment.pts_ns
            self._settle(ticket)
        self._services.outlet.deliver(self, ticket, events)
        if ticket.mark == "end":
            self.chain.close(log)
            self._services.outlet.ended(self)
            self._mail.put(None)

    def _settle(self, ticket: Ticket) -> None:
        verdicts = {outcome.verdict for outcome in ticket.outcomes.values()}
        if verdicts and "ok" not in verdicts and verdicts & {"failed", "off", "hung"}:
            culprits = [self.chain.steps[i].name for i, o in ticket.outcomes.items() if o.verdict != "missing"]
            self.ledger.settle("failed", ", ".join(culprits))
        else:
            self.ledger.settle("processed")
            self.processed += 1
        self.latency.observe(time.perf_counter() - ticket.admitted)


def end_ticket(moment: Moment, flush: bool) -> Ticket:
    """The mark behind a stream's last frame."""
    return Ticket(moment=moment, mark="end", flush=flush)
