"""Server-sent events out of a body that arrives in pieces, cut anywhere.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Whatever stands in between may write what our
server does not: any of three line ends, data in several lines, a byte order mark.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    name: str
    data: bytes


class EventReader:
    """Fed with bytes, it gives the events that they complete; one that is cut off by the end of all is none."""

    def __init__(self) -> None:
        self._pending = b""
        self._ended_in_return = False
        self._is_first_line = True
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, body: bytes) -> Iterator[ServerSentEvent]:
        for line in self._lines(body):
            if line:
                self._field(line)
                continue
            if self._data:
                yield ServerSentEvent(self._name.decode(errors="replace") or "message", b"\n".join(self._data))
            self._name, self._data = b"", []

    def _lines(self, body: bytes) -> list[bytes]:
        """The lines that ``body`` completes. A line feed after a carriage return is part of the same line end."""
        if self._ended_in_return and body:
            body = body.removeprefix(b"\n")
            self._ended_in_return = False
        if b"\r" in body:
            self._ended_in_return = body.endswith(b"\r")
            body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._pending = (self._pending + body).split(b"\n")
        if lines and self._is_first_line:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._is_first_line = False
        return lines

    def _field(self, line: bytes) -> None:
        """Comments, which begin with a colon, are fields without a name; ids are for who resumes."""
        name, _, value = line.partition(b":")
        match name:
            case b"event":
                self._name = value.removeprefix(b" ")
            case b"data":
                self._data.append(value.removeprefix(b" "))
