"""JSON objects as callers send them, of which no more is built than a request may hold."""

import orjson

from cosystream.errors import InvalidRequest, UploadTooLarge

MOST_MARKS = 64 * 1024
"""Commas and opening brackets, besides those of a text. So many are read in some ten milliseconds."""


def parse_object(json: bytes | str, *, what: str, like: str, max_text_chars: int) -> dict[str, object]:
    """Read ``what``, a body or a message. Raises InvalidRequest, which says what it should look ``like``.

    Raises UploadTooLarge, before anything is built, if there are far more values in it than in any request: millions of
    them would hold the event loop for seconds. A recording is one value, however long.
    """
    num_marks, most = _num_marks(json), max_text_chars + MOST_MARKS
    if num_marks > most:
        raise UploadTooLarge(
            f"the {what} holds {num_marks} commas and brackets; {most} are the most. "
            f"Send a recording in base64, and a text of at most {max_text_chars} characters"
        )
    try:
        read = orjson.loads(json)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the {what} is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise InvalidRequest(f"the {what} is JSON, but no object; send {like}")
    return read


def _num_marks(json: bytes | str) -> int:
    """No value but the outermost stands anywhere else than behind one of these."""
    if isinstance(json, str):
        return sum(json.count(mark) for mark in ",[{")
    return sum(json.count(mark) for mark in b",[{")
