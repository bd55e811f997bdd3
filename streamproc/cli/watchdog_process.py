"""The process beside a run: see `watchdog`. A program of its own, which loads nothing of streamproc.

python watchdog_process.py PID SIGNAL LIMIT_S OPENING_LIMIT_S text|json SENTENCE
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

_STEP_S = 0.25
_AFTER_SIGNAL_S = 3.0
"""how long the run may take to react to SIGINT or SIGTERM"""
_OPENING_BEAT = 0x81
_FIRST_BEAT = 0x80


def main(arguments: list[str]) -> None:
    """Watch until the pipe on standard input is closed, or the run has to be ended."""
    pid, number = int(arguments[0]), int(arguments[1])
    limits = {False: float(arguments[2]), True: float(arguments[3])}
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    silent_s, opening, asked = 0.0, False, False
    while True:
        # time is added up step by step: what stops this process too (Ctrl-Z, a frozen container) doesn't count
        ready, _, _ = select.select([0], [], [], _STEP_S)
        if ready:
            data = os.read(0, 4096)
            if not data:
                return
            asked = asked or any(byte < _FIRST_BEAT for byte in data)
            if any(byte >= _FIRST_BEAT for byte in data):
                silent_s, asked = 0.0, any(byte < _FIRST_BEAT for byte in data[_last_beat(data) :])
                opening = data[_last_beat(data)] == _OPENING_BEAT
            continue
        silent_s += 0.0 if _is_stopped(pid) else _STEP_S
        limit_s = min(_AFTER_SIGNAL_S, limits[opening]) if asked else limits[opening]
        if silent_s > limit_s:
            _end(pid, number, silent_s, arguments[4] == "json", arguments[5])
            return


def _last_beat(data: bytes) -> int:
    return max(position for position, byte in enumerate(data) if byte >= _FIRST_BEAT)


def _is_stopped(pid: int) -> bool:
    """Return whether the run is stopped (SIGSTOP, a debugger)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def _end(pid: int, number: int, silent_s: float, as_json: bool, sentence: str) -> None:
    text = f"{sentence} (for {silent_s:.0f} s); where each thread stands follows, the plugin's call among them"
    if as_json:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps({"time": moment, "level": "error", "logger": "streamproc.watchdog", "message": text})
    else:
        text = f"error: {text}"
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
    os.kill(pid, number)


if __name__ == "__main__":
    main(sys.argv[1:])
