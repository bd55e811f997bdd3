"""Ends a run whose interpreter is stuck: code that holds the interpreter lock stops every Python thread, signals too.

A small process beside the run gets a byte through a pipe twice a second, from a thread that needs the lock. When the
bytes stay away it says so, has the stack of every thread written by `faulthandler`, which needs no lock, and ends the
run: a signal whose handler is the C library's own `_exit`, so that the exit code is the number of the signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from streamproc.exits import EXIT_CODES, INTERPRETER_STUCK

log = logging.getLogger(__name__)

_BEAT_EVERY_S = 0.5
_OPENING_LIMIT_S = 300.0
"""while plugins open: some frameworks load a net under the lock"""
_END_LIMIT_S = 2.0
_PROGRAM = Path(__file__).with_name("watchdog_process.py")
_BEAT, _OPENING_BEAT = b"\x80", b"\x81"  # no numbers of signals


class Watchdog:
    """Watches over this process while it is entered; does nothing where the system can't.

    limit_s: for how long nothing may get the interpreter lock.
    as_json: whether log lines are JSON.
    """

    def __init__(self, limit_s: float, *, as_json: bool = False) -> None:
        self._limit_s = limit_s
        self._as_json = as_json
        self._opening = threading.Event()
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._wakeup = -1
        self._ready = False
        self._before: int | None = None
        self._thread = threading.Thread(target=self._beat, name="streamproc-heartbeat", daemon=True)

    def __enter__(self) -> Watchdog:
        try:
            self._start()
        except (OSError, AttributeError, ValueError) as error:
            log.info("the watchdog of the interpreter lock can't start: %s", error)
            self._stop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def opening(self, under_way: bool) -> None:
        """Report whether plugins are being opened, which may take longer."""
        if under_way != self._opening.is_set():
            (self._opening.set if under_way else self._opening.clear)()
            self._send()

    def _start(self) -> None:
        self._before = _handle(ctypes.cast(ctypes.CDLL(None)._exit, ctypes.c_void_p).value)
        faulthandler.register(INTERPRETER_STUCK, file=sys.__stderr__ or 2, all_threads=True, chain=True)
        self._ready = True
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        arguments = [
            str(os.getpid()), str(int(INTERPRETER_STUCK)), str(self._limit_s), str(_OPENING_LIMIT_S),
            "json" if self._as_json else "text", EXIT_CODES[INTERPRETER_STUCK],
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a program of our own
                [sys.executable, "-I", "-S", str(_PROGRAM), *arguments], stdin=reading, stdout=subprocess.DEVNULL
            )
        finally:
            os.close(reading)
        if threading.current_thread() is threading.main_thread():
            # the C part of Python's signal handling writes the signal's number there, lock or no lock
            self._wakeup = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        self._thread.start()

    def _stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._pipe >= 0:
            if threading.current_thread() is threading.main_thread():
                signal.set_wakeup_fd(self._wakeup)
            os.close(self._pipe)
            self._pipe = -1
        if self._process is not None:
            try:
                self._process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:  # a child of a plugin's own holds the pipe open
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._ready:
            faulthandler.unregister(INTERPRETER_STUCK)
            _handle(self._before)
            self._ready = False

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_EVERY_S):
            self._send()

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # the process beside has ended, or reads nothing: the run goes on without
            if self._pipe >= 0:
                os.write(self._pipe, _OPENING_BEAT if self._opening.is_set() else _BEAT)


def _handle(handler: int | None) -> int | None:
    """Have the C library's `handler` (an address; None: the default) called at the signal; the one before it."""
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes, set_handler.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    before = set_handler(INTERPRETER_STUCK, handler)
    return before if isinstance(before, int) else None


__all__ = ["Watchdog"]
