"""Server-sent events as bytes. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import orjson

PING = b": ping\n\n"
"""A comment, which clients ignore and proxies count as traffic."""


def frame(event: str, data: object, event_id: str | None = None) -> bytes:
    """One event. ``data`` is anything that orjson writes, a dataclass for instance; its JSON holds no line break."""
    head = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.encode(), orjson.dumps(data))
