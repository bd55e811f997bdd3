"""Output of the command line: log lines, progress, tables. Everything for people goes to stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streamproc.errors import redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class LogFormat(StrEnum):
    """Formats of log lines."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """Lowest level of the log lines that are written."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def console() -> Console:
    """Return a console on stderr, made anew so that it writes to the stream of the moment."""
    from rich.console import Console

    # emoji: rich would make a picture of `:-1:` in the text of an error
    width = None if sys.stderr.isatty() else 160
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, width=width)


def say(text: str) -> None:
    """Print a line for people."""
    console().print(redact(text), markup=False)


def logs_json() -> bool:
    """Return whether log lines are JSON."""
    handlers = logging.getLogger("streamproc").handlers
    return any(isinstance(handler.formatter, _JsonLines) for handler in handlers)


def say_error(text: str) -> None:
    """Print a line that says what went wrong; where log lines are JSON, write it as a log record for their readers."""
    text = redact(text)
    if logs_json():
        logging.getLogger("streamproc").error(text)
        return
    console().print(f"error: {text}", markup=False, style="red")


def out(text: str) -> None:
    """Print a line of the command's own output on stdout."""
    sys.stdout.write(text + "\n")


class _Redacting(logging.Filter):
    """Removes passwords from log lines, also from those of other packages."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


class _TextLines(logging.Formatter):
    """Time, level and message; secrets are removed from exceptions and stacks, too."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact(record.stack_info)
        return json.dumps(line)


def set_up_logging(form: LogFormat, level: LogLevel) -> None:
    """Send the program's log to stderr."""
    logger = logging.getLogger("streamproc")
    logger.handlers.clear()
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    if form is LogFormat.json:
        handler.setFormatter(_JsonLines())
    else:
        handler.setFormatter(_TextLines("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    handler.addFilter(_Redacting())
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    if logging.lastResort is not None:  # what other loggers, such as a plugin's own, say at WARNING and above
        logging.lastResort.setFormatter(_TextLines("%(message)s"))
    threading.excepthook = _thread_failed
    # OpenCV writes to stderr, between the lines, what streamproc says of a broken picture; it asks when it is loaded
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # kafka-python logs every lost connection as an error; streamproc says itself what that means
    logging.getLogger("kafka").addHandler(logging.NullHandler())
    logging.getLogger("kafka").propagate = False


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Log the exception that ended a thread of a plugin or a library: the interpreter would print it as it is."""
    if failure.exc_type is not SystemExit:
        name = failure.thread.name if failure.thread else "a thread"
        what = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger("streamproc").error("%s ended by an exception", name, exc_info=what)  # type: ignore[arg-type]


def table(*columns: str, rows: Sequence[Sequence[Any]]) -> Table:
    """A plain table; columns whose name ends in `#` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name.removesuffix("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(redact(str(cell))) for cell in row))
    return made


def show(made: Table, *, stdout: bool = False) -> None:
    """Print a table for people, or as the command's output."""
    from rich.console import Console

    if stdout:
        Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160).print(made)
    else:
        console().print(made)


__all__ = [
    "LogFormat",
    "LogLevel",
    "console",
    "logs_json",
    "out",
    "say",
    "say_error",
    "set_up_logging",
    "show",
    "table",
]
