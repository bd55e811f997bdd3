"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import os
import sys

from streamproc.cli.app import app
from streamproc.errors import ConfigError, StreamprocError, redact


def main() -> None:
    """Entry point of `streamproc`: errors become a sentence on stderr and an exit code, never a bare traceback."""
    from streamproc.cli.console import say, say_error
    from streamproc.exits import BAD_CONFIG, INTERRUPTED, UNEXPECTED

    try:
        code = app(standalone_mode=False)
    except (ConfigError, StreamprocError) as error:
        say_error(redact(str(error)))
        code = BAD_CONFIG
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("STREAMPROC_DEBUG"):
            raise
        name = type(error).__name__
        if hasattr(error, "format_message"):  # click's own: wrong usage
            sentence = redact(error.format_message().replace("Value error, ", ""))  # pydantic's words
            (say if name == "NoArgsIsHelpError" else say_error)(sentence)
            code = getattr(error, "exit_code", BAD_CONFIG)
        else:
            say_error(f"streamproc itself failed: {name}: {redact(str(error))}; STREAMPROC_DEBUG=1 shows where")
            code = UNEXPECTED
    sys.exit(code if isinstance(code, int) else 0)


__all__ = ["app", "main"]
