"""How much one caller may ask for: so many an hour, whether at once or one by one."""

import ipaddress
import time
from collections.abc import Callable, Sequence

from starlette.requests import HTTPConnection

from cosystream.errors import RateLimited
from cosystream.web.keys import fitting_key

HOUR = 3600.0
ROUNDING_SECONDS = 1e-6
FEW = 1024
"""Callers that are remembered however long ago they came."""
IPV6_PREFIX = 64
"""Of an address: one caller may have all of those behind it."""


class HourlyLimit:
    """Who has taken ``most`` may take one more each ``HOUR / most``; who has rested for an hour, all of them."""

    def __init__(self, most: int, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._what = what
        self._clock = clock
        self._rested_at: dict[str, float] = {}

    def take(self, caller: str) -> None:
        """Raises RateLimited."""
        now, period = self._clock(), HOUR / self._most
        rested_at = max(now, self._rested_at.get(caller, now)) + period
        wait = rested_at - now - HOUR
        if wait > ROUNDING_SECONDS:
            raise RateLimited(
                f"{self._most} {self._what} an hour are the most for one caller", retry_after_seconds=wait
            )
        if len(self._rested_at) >= FEW:
            self._rested_at = {other: until for other, until in self._rested_at.items() if until > now}
        self._rested_at[caller] = rested_at


def caller_of(connection: HTTPConnection, keys: Sequence[str]) -> str:
    """Whom a limit counts for: the key that opens the door, or where there are none the address."""
    if (number := fitting_key(connection.headers, keys)) is not None:
        return f"key {number}"
    return _network(connection.client.host if connection.client is not None else "")


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
