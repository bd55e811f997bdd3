"""Exit codes of the program."""

from __future__ import annotations

from collections.abc import Mapping

OK = 0
UNEXPECTED = 1
BAD_CONFIG = 2
STREAM_FAILED = 3
PLUGIN_FAILED = 4
UNDELIVERED = 5
OUTBOX_FAILED = 6
INTERPRETER_STUCK = 26
"""the number of SIGVTALRM, the signal that ends a run whose interpreter is stuck"""
INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    OK: "all that could be read was processed and delivered",
    UNEXPECTED: "streamproc itself failed: report it with the log",
    BAD_CONFIG: "the command line or the configuration is wrong; nothing was opened",
    STREAM_FAILED: "at least one stream could not be opened or read to its end; the others were completed",
    PLUGIN_FAILED: "a plugin was switched off, hung or gave nothing, or on_error: stop ended the run",
    UNDELIVERED: "a sink did not take all its events; they wait in the outbox, or stand in dead_letters.jsonl",
    OUTBOX_FAILED: "the outbox could not be written, so the run was ended",
    INTERPRETER_STUCK: (
        "a plugin held the interpreter lock and nothing else could run, so the run was ended; what was not delivered "
        "by then may be missing"
    ),
    INTERRUPTED: "stopped by SIGINT, SIGTERM or SIGHUP; what was found until then is delivered",
}
"""exit codes of `streamproc run`; where several apply, the highest of 2 to 6 counts, then 130"""
