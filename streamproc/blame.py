"""Blame: finds the author's line that failed, and a hint, for log lines of exceptions in plugins, sources and sinks."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from traceback import FrameSummary

_CORE = Path(__file__).parent
_CALLERS = ("chain", "delivery", "engine", "testing", "config", "cli", "registry.py")
"""parts of the core that call authors' code"""

_HINTS = (
    (("read-only", "readonly"), "pixels are shared and can't be written to; copy them first: frame.rgb.copy()"),
    (("Instance is frozen", "frozen_instance"), "options can't be changed; store changing values in the plugin itself"),
)


def author_frame(error: BaseException) -> str:
    """Return file, line and function of the author's frame, such as `dark.py:12 in process`; empty if there is none.

    It is the innermost frame in the folder of the code that the engine called. A `StopIteration` that leaves a
    generator becomes a `RuntimeError` that shows none: there it is the cause's.
    """
    return _place(error.__cause__ if isinstance(error.__cause__, StopIteration) else error)


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _imports(frame.filename)]
    first = next((n for n, frame in enumerate(frames) if not Path(frame.filename).is_relative_to(_CORE)), None)
    if first is None or (first and not _calls_authors(frames[first - 1])):
        return ""
    home = Path(frames[first].filename).parent
    own = [frame for frame in frames[first:] if Path(frame.filename).is_relative_to(home)][-1]
    function = "" if own.name == "<module>" else f" in {own.name}"
    return f"{Path(own.filename).name}:{own.lineno}{function}"


def hint(error: BaseException) -> str:
    """Return advice on an exception that authors often meet; empty for others."""
    text = str(error)
    return next((sentence for words, sentence in _HINTS if any(word in text for word in words)), "")


def _imports(filename: str) -> bool:
    """Return whether it is the interpreter's own code between an import and the imported module."""
    return filename.startswith("<frozen importlib") or filename == importlib.__file__


def _calls_authors(frame: FrameSummary) -> bool:
    path = Path(frame.filename)
    return path.is_relative_to(_CORE) and path.relative_to(_CORE).parts[0] in _CALLERS


__all__ = ["author_frame", "hint"]
