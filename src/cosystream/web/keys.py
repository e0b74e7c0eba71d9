"""Which of the configured API keys a request carries."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers


def fitting_key(headers: Headers, keys: Sequence[str]) -> int | None:
    """The number of the first of ``keys`` that ``headers`` hold; None if there is none. In constant time."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    given = [headers.get("x-api-key", ""), credentials.strip() if scheme.lower() == "bearer" else ""]
    fits = [
        number
        for number, key in enumerate(keys)
        for one in given
        if hmac.compare_digest(one.encode("latin-1"), key.encode())
    ]
    return fits[0] if fits else None
