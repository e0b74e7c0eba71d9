"""The command ``cosystream``, however it ends: with a status, and in a sentence rather than a traceback."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 2 for settings that will not do and 1 for whatever else failed.

    ``arguments`` are those of the process, unless they are given: then another program has called, and it goes on.
    """
    try:
        status = _run(arguments)
    except KeyboardInterrupt:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only interrupt the end
        status = 130
    if arguments is not None:
        return status
    from cosystream.cli.leaving import leave

    return leave(status)


def _run(arguments: Sequence[str] | None) -> int:
    """The exit status. Modules are imported here, because that takes long enough for a Ctrl-C to come meanwhile."""
    from cosystream.cli.commands import run
    from cosystream.errors import ConfigError, CosystreamError

    _write_any_character()
    try:
        try:
            return run(arguments)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ConfigError as error:
        print(f"cosystream: {error}", file=sys.stderr)
        return 2
    except CosystreamError as error:
        print(f"cosystream: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read has seen enough
        _write_no_more()
        return 1
    except OSError as error:
        _write_no_more()
        words = error.strerror or str(error)
        print(f"cosystream: {words if error.filename is None else f'{error.filename}: {words}'}", file=sys.stderr)
        return 1


def _write_any_character() -> None:
    """Escape what the encoding of standard output lacks, as Python does on standard error."""
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _write_no_more() -> None:
    """Drop what standard output still holds: Python tries once more to write it when it ends, and complains."""
    import contextlib

    with contextlib.suppress(AttributeError, OSError):  # there is none, or it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
