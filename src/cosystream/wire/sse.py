"""Server-sent events as bytes. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import orjson

PING = b": ping\n"
"""A comment, which clients ignore and proxies count as traffic.

No empty line follows: to clients that remember the last id, httpx-sse for one, that would be an event without data.
"""

_LINE_BREAKS = {b"\xc2\x85": rb"\u0085", b"\xe2\x80\xa8": rb"\u2028", b"\xe2\x80\xa9": rb"\u2029"}
"""What Python's ``splitlines``, and with it many a client, takes for the end of a line; JSON may escape it."""


def frame(event: str | None, data: object, event_id: str | None = None) -> bytes:
    """One event, with a name or, as some protocols have it, without one.

    ``data`` is anything that orjson writes, a dataclass for instance; its JSON holds no line break.
    """
    head = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    json = orjson.dumps(data)
    if not json.isascii():
        for line_break, escaped in _LINE_BREAKS.items():
            json = json.replace(line_break, escaped)
    name = b"" if event is None else b"event: %b\n" % event.encode()
    return b"%b%bdata: %b\n\n" % (head, name, json)
