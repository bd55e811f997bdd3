"""One stream at work: frames go through pure stages on the pool and through ordered stages on the stream's own thread.

A frame's way: `Intake` (reader thread) makes a ticket -> lane -> `_run_pure` (worker) -> `_accept` (tail thread, in
order) -> ordered steps (tail thread) -> next pure stage (worker) ... -> `_finish` (tail thread, in order) -> sinks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from streamproc.config.plan import StreamPlan
from streamproc.engine.admission import Credits
from streamproc.engine.chain import Chain, Stage, Step, close_step
from streamproc.engine.failures import Failures
from streamproc.engine.flow import frame_flow
from streamproc.engine.guard import MISSING, OFF, Outcome, call
from streamproc.engine.ledger import Ledger
from streamproc.engine.mailbox import GROUP, Mailbox
from streamproc.engine.pool import Abandoned, Call, Lane
from streamproc.engine.services import Services
from streamproc.engine.steps import FLOW, has_needs, kept_state, process, replace_picture, restore_state
from streamproc.engine.ticket import Ticket
from streamproc.errors import PluginError, describe
from streamproc.events import Event, Moment
from streamproc.frames import Flow, Frame, StreamInfo
from streamproc.metrics import Histogram
from streamproc.plugin import Results, StreamPlugin

log = logging.getLogger(__name__)


class StreamRun:
    """The chain of one stream at work."""

    def __init__(self, plan: StreamPlan, info: StreamInfo, chain: Chain, ledger: Ledger, services: Services) -> None:
        """A run that `start` sets going."""
        self.plan = plan
        self.info = info
        self.chain = chain
        self.ledger = ledger
        waiting = 0 if info.live else GROUP + 1  # with the tail, and with the reader; live frames would grow old there
        self.credits = Credits(plan.buffer_bytes, services.frames_in_flight + waiting)
        self.latency = Histogram()
        self.error = ""
        """why the engine gave this stream up: a bug of its own"""
        self.repeatable = True
        """false once a time-out struck"""
        self.last_pts_ns = 0
        self.processed = 0
        self.done = threading.Event()
        self.lane = Lane(self._run_pure)
        self._services = services
        self._mail = Mailbox()
        self._waiting: list[dict[int, Ticket]] = [{} for _ in chain.stages]
        self._next = [0 for _ in chain.stages]
        self._counts: dict[str, tuple[int, int]] = {}
        self._failures = Failures(info, services)
        self._generation = 0
        self._at: Ticket | None = None
        self._unfinished: tuple[Ticket, Stage] | None = None
        self._to_close: list[Step] | None = None
        self._flow_failed = False
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
        if ticket.frame is not None and not ticket.released:
            ticket.released = True
            self.credits.give_back(ticket.cost)

    def drop(self, ticket: Ticket, reason: str) -> None:
        """Give a waiting frame up."""
        self.ledger.settle("dropped", reason)
        self.release(ticket)

    def restore(self, states: Mapping[str, Any]) -> None:
        """Go on from what a snapshot brought home, before the first frame; `PluginError` when a plugin can't."""
        for step in self.chain.steps:
            kept = states.get(step.name, {})
            self.chain.health.resume(step.index, kept.get("failures", 0))
            if kept.get("told") is not None:
                self._counts[step.name] = (kept["told"][0], kept["told"][1])
            if kept.get("state") is not None and isinstance(step.plugin, StreamPlugin):
                try:
                    restore_state(step.plugin, kept["state"])
                except Exception as error:
                    raise PluginError(
                        f"plugin {step.name} can't go on from the state that it kept: {describe(error)}; run the "
                        "version that kept it, or remove checkpoints.sqlite in runtime.state to start afresh"
                    ) from error

    # --- pure stages, on the pool ---

    def _run_pure(self, ticket: Ticket) -> None:
        try:
            ticket.attempt = self._attempt(ticket)
        except Exception as error:  # noqa: BLE001 - the engine's own bug: the tail says so
            ticket.crash = error
        self._mail.put(ticket)
        if self.info.live or not self.lane.waiting:  # asked after `put`, so that the last one always hurries
            self._mail.hurry()

    def _attempt(self, ticket: Ticket) -> dict[int, Outcome]:
        """What a pure stage comes to; nothing of it counts before the tail takes it in order."""
        ticket.off = self.chain.health.off
        if ticket.before is not None and ticket.frame is not None:
            self._add_flow(ticket, ticket.before, ticket.frame)
        attempt: dict[int, Outcome] = {}
        found = dict(ticket.found)
        for step in self.chain.stages[ticket.stage].steps:
            if step.index not in ticket.due.steps:
                continue
            outcome = self._run_step(ticket, step, found, attempt)
            attempt[step.index] = outcome
            for result in outcome.results:
                found[step.name, type(result)] = result
        return attempt

    def _add_flow(self, ticket: Ticket, before: Frame, frame: Frame) -> None:
        """Flow from the frame before; where it can't be computed, what needs it goes without."""
        try:
            ticket.found[FLOW, Flow] = frame_flow(self.plan.flow, before, frame)
        except Exception as error:  # noqa: BLE001 - a picture that can't be converted
            if not self._flow_failed:
                log.warning("no flow stream=%s frame=%d: %s", self.info.name, frame.index, describe(error))
            self._flow_failed = True
        ticket.before = None

    def _run_step(
        self, ticket: Ticket, step: Step, found: dict[tuple[str, type], Any], attempt: dict[int, Outcome]
    ) -> Outcome:
        """One pure step, under watch."""
        if step.index in ticket.off:
            return OFF
        if not has_needs(step, found):
            return MISSING
        told = {**ticket.events, **{index: outcome.events for index, outcome in attempt.items() if outcome.events}}
        events = tuple(event for index in sorted(told) for event in told[index])
        past = Results(found, step.plan.inputs, events)
        abandon = partial(self._pure_hung, ticket, step, threading.current_thread())
        self._enter(step, abandon)
        stamp = partial(self._stamp, ticket.moment, step, 0)
        outcome = call(step.name, step.plugin, partial(process, ticket, step, past), stamp)
        self._leave()
        step.seconds.observe(outcome.seconds)
        return outcome

    def _stamp(self, moment: Moment, step: Step, count: int, events: tuple[Event, ...]) -> tuple[Event, ...]:
        return tuple(event.stamped(self.info, step.name, count + n, moment) for n, event in enumerate(events))

    def _enter(self, step: Step, abandon: Callable[[], None]) -> None:
        call = Call(f"plugin {step.name} of stream {self.info.name}", step.timeout_s, abandon)
        self._services.watch.enter(call)

    def _leave(self) -> None:
        if not self._services.watch.leave():
            raise Abandoned

    def _pure_hung(self, ticket: Ticket, step: Step, thread: threading.Thread) -> None:
        """The watch gave up on a pure step: switch the plugin off and do the frame's stage again without it."""
        ticket.hung |= {step.index}
        self._mark_hung(step)
        self._services.pool.forget(thread)
        self._services.pool.replace_worker()
        self._services.pool.submit(partial(self._run_pure, ticket))

    def _mark_hung(self, step: Step) -> None:
        self.repeatable = False
        self._failures.mark_hung(step, self.chain.health)

    # --- the tail, on the stream's own thread ---

    def _spawn_tail(self) -> None:
        self._generation += 1
        name = f"streamproc-tail-{self.info.name}"
        self._thread = threading.Thread(target=self._tail, args=(self._generation,), name=name, daemon=True)
        self._thread.start()

    def _tail(self, generation: int) -> None:
        try:
            self._take_over()
            while self._generation == generation and self._to_close is None:
                arrived = self._mail.get()
                self._waiting[arrived.stage][arrived.sequence] = arrived
                self._take_all()
            self._close_plugins()
        except Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - the engine's own bug must end this stream, not hang the run
            self._break_down(error)
        self.done.set()

    def _take_over(self) -> None:
        """Go on where the tail before this one got stuck: behind the plugin that hangs."""
        if self._unfinished is not None:
            ticket, stage = self._unfinished
            self._failures.note_hung(ticket, stage.steps[ticket.position - 1])
            self._run_ordered(ticket, stage)
            self._go_on(ticket)
            self._take_all()

    def _close_plugins(self) -> None:
        while self._to_close:
            step = self._to_close.pop(0)
            if self.chain.health.hung(step.index):
                continue
            self._enter(step, partial(self._ordered_hung, step))
            close_step(step, self.info.name, log)
            self._leave()

    def _break_down(self, error: Exception) -> None:
        """Give the stream up, but settle every frame that is still on its way."""
        self.error = f"streamproc itself failed: {describe(error)}; please report it"
        log.error("stream %s: %s", self.info.name, self.error, exc_info=error)
        left = [ticket for waiting in self._waiting for ticket in waiting.values()]
        left += [] if self._at is None else [self._at]
        ended = False
        while not ended or self.ledger.page().in_flight > 0:
            for ticket in left or [self._mail.get()]:
                ended = self._give_up(ticket) or ended
            left = []
        self._services.outlet.ended(self)
        self.chain.close(log)

    def _give_up(self, ticket: Ticket) -> bool:
        """Settle a ticket of a broken stream; whether it was the last one."""
        if ticket.frame is not None and not ticket.settled:
            ticket.settled = True
            self.ledger.settle("failed", "streamproc itself")
        self.release(ticket)
        if ticket.on_done is not None:
            ticket.on_done(None)
        return ticket.mark == "end"

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
        if (self.chain.health.off - ticket.off) & ticket.attempt.keys():
            self._services.pool.submit(partial(self._run_pure, ticket))
            return False
        self._at = ticket
        if ticket.crash is not None:
            raise ticket.crash
        self._next[stage] += 1
        for step in self.chain.stages[stage].steps:
            if ticket.mark == "snapshot":
                ticket.states[step.name] = {"failures": self.chain.health.in_a_row(step.index)}
            if step.index in ticket.attempt:
                self._book(ticket, step, ticket.attempt[step.index])
        ticket.attempt = {}
        ticket.stage = stage + 1
        self._go_on(ticket)
        return True

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
            self._mail.put(ticket, hurry=True)

    def _run_ordered(self, ticket: Ticket, stage: Stage) -> None:
        self._unfinished = (ticket, stage)
        while ticket.position < len(stage.steps):
            replace_picture(ticket, stage.steps[: ticket.position])  # the last one may have hung: it hides all the same
            step = stage.steps[ticket.position]
            ticket.position += 1
            if ticket.mark == "snapshot":
                self._keep_state(ticket, step)
            elif step.index in ticket.due.steps or (ticket.mark and step.index not in self.chain.health.off):
                self._book(ticket, step, self._run_ordered_step(ticket, step))
        replace_picture(ticket, stage.steps)
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
        stamp = partial(self._stamp_in_order, ticket.moment, step)
        outcome = call(step.name, step.plugin, partial(process, ticket, step, past), stamp)
        self._leave()
        step.seconds.observe(outcome.seconds)
        # what a tracker gives outside a frame has no frame to belong to
        return outcome if ticket.mark is None else replace(outcome, results=())

    def _stamp_in_order(self, moment: Moment, step: Step, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Number the events of a plugin at one frame through, over `process`, `on_time` and `flush`."""
        index = moment.frame_index
        before, count = self._counts.get(step.name, (index, 0))
        count = count if before == index else 0
        if events:
            self._counts[step.name] = (index, count + len(events))
        return self._stamp(moment, step, count, events)

    def _ordered_hung(self, step: Step) -> None:
        """The watch gave up on an ordered step: another thread takes the tail over, behind that step."""
        self._mark_hung(step)
        self._spawn_tail()

    def _keep_state(self, ticket: Ticket, step: Step) -> None:
        """Take a plugin's state now, as text: it may be the plugin's own object, which changes with the next frame."""
        if not isinstance(step.plugin, StreamPlugin) or step.index in self.chain.health.off:
            return
        failures = self.chain.health.in_a_row(step.index)
        self._enter(step, partial(self._ordered_hung, step))
        outcome, state = kept_state(step.plugin)
        self._leave()
        if outcome is not None:
            ticket.spoilt = True
            self._book(ticket, step, outcome)
            return
        ticket.states[step.name] = {"state": state, "told": self._counts.get(step.name), "failures": failures}

    def _book(self, ticket: Ticket, step: Step, outcome: Outcome) -> None:
        """Take an outcome in order: results, events, failures."""
        ticket.outcomes[step.index] = outcome
        step.count(outcome, ticket.mark is None, self.info.name)
        if outcome.events:
            ticket.events[step.index] = (*ticket.events.get(step.index, ()), *outcome.events)
        if outcome.verdict == "failed":
            self._failures.note(ticket, step, outcome)
        if step.index in ticket.hung:
            self._failures.note_hung(ticket, step)
        reason = self.chain.health.record(step.index, outcome, final=ticket.mark == "end")
        if reason is not None:
            log.warning("plugin switched off stream=%s plugin=%s: it %s", self.info.name, step.name, reason)
        ticket.found.update({(step.name, type(result)): result for result in outcome.results})

    def _finish(self, ticket: Ticket) -> None:
        """The ticket has passed the whole chain, in order."""
        if ticket.mark == "snapshot":
            if ticket.on_done is not None:
                ticket.on_done(None if ticket.spoilt else ticket.states)
            return
        events = ticket.told()
        for event in events:
            self._services.events.add((self.info.name, event.type))
        if ticket.frame is not None:
            self.last_pts_ns = ticket.moment.pts_ns
            self._settle(ticket)
            ticket.settled = True
        self._services.outlet.deliver(self, ticket, events)
        if ticket.mark == "end":
            self._services.outlet.ended(self)
            self._to_close = list(self.chain.steps)

    def _settle(self, ticket: Ticket) -> None:
        verdicts = {outcome.verdict for outcome in ticket.outcomes.values()}
        if verdicts and "ok" not in verdicts and verdicts & {"failed", "off", "hung"}:
            culprits = [self.chain.steps[i].name for i, o in ticket.outcomes.items() if o.verdict != "missing"]
            self.ledger.settle("failed", ", ".join(culprits))
        else:
            self.ledger.settle("processed")
            self.processed += 1
        self.latency.observe(time.perf_counter() - ticket.admitted)
