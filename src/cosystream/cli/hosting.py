"""What everything has in common that keeps an engine for many listeners: a server, and a benchmark without one."""

from cosystream.config import Settings
from cosystream.runtime.admission import Limits

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a Python thread may keep the others waiting: at Python's 5 ms a busy worker makes the event loop late."""


def limits_of(settings: Settings) -> Limits:
    return Limits(
        max_streams=settings.max_streams,
        max_queue=settings.max_queue,
        max_wait_seconds=settings.max_wait_ms / 1000,
        buffer_seconds=settings.buffer_seconds,
        stall_seconds=settings.stall_timeout_ms / 1000,
    )
