"""The end of a process whose engine may still be at work."""

import contextlib
import os
import sys
import threading

CLOSING_SECONDS = 0.2
"""For an engine that nobody will listen to any more to end by itself; then it is left behind."""


def leave(status: int) -> int:
    """``status``, for the process to end with; but where a thread is left behind, the process ends here.

    Python unwinds such a thread as soon as it comes back from native code, which may not let itself be unwound: torch
    then aborts the whole process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a reader that has left, a stream that is closed
                stream.flush()
        os._exit(status)
    return status
