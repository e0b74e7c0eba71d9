"""Server-sent events out of a body that arrives in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: bytes


class EventReader:
    """Reads what our server writes: one ``data`` line an event, line feeds only. Comments are skipped."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, body: bytes) -> Iterator[Event]:
        """The events that ``body`` completes."""
        *complete, self._pending = (self._pending + body).split(b"\n\n")
        for block in complete:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
            if fields:
                yield Event(fields[b"event"].decode(), fields[b"data"])
