"""Listeners whose connection broke off, and who come back for the rest of the same synthesis."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cosystream.wire.fields import Call

KEPT_SECONDS = 30.0
MOST_KEPT = 1024
"""Each is a text and a few numbers. Of more, the oldest are forgotten."""


@dataclass(slots=True)
class Told:
    """What a request's listener was sent as events.

    No audio is kept: the same call with the same seed makes it again, and what was heard of it is left out. So a
    listener who never comes back has held nothing.
    """

    request_id: str
    call: Call
    """With speaker, voice and seed as the engine chose them."""
    ends: list[int] = field(default_factory=list)
    """Samples up to the end of each audio event."""
    is_complete: bool = False
    expires_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Rest:
    """Where to go on."""

    told: Told
    num_heard: int
    """Audio events that arrived."""

    @property
    def num_samples(self) -> int:
        """Heard already."""
        return self.told.ends[self.num_heard - 1]


class Resumable:
    """The streams of events that can be gone on with: those being sent, and for a while those that broke off."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, Told] = {}

    def begin(self, told: Told) -> None:
        """A recording would be too much to keep: what was asked for with one cannot be gone on with."""
        if told.call.request.prompt is not None:
            return
        self._told.pop(told.request_id, None)
        self._told[told.request_id] = told
        told.expires_at = float("inf")
        self._forget()

    def end(self, told: Told) -> None:
        """Its connection is closed, whether all was told or not."""
        told.expires_at = self._clock() + KEPT_SECONDS

    def find(self, last_event_id: str) -> Rest | None:
        """What follows the event of this id; None if nothing does, or nobody knows any more."""
        self._forget()
        match = re.fullmatch(r"([\w.-]{1,64}):(\d{1,9})", last_event_id, re.ASCII)
        told = self._told.get(match[1]) if match else None
        if match is None or told is None:
            return None
        num_heard = int(match[2]) + 1
        is_all = told.is_complete and num_heard == len(told.ends)
        return None if num_heard > len(told.ends) or is_all else Rest(told, num_heard)

    def _forget(self) -> None:
        now = self._clock()
        expired = [told for told in self._told.values() if told.expires_at <= now]
        for told in [*expired, *list(self._told.values())[:-MOST_KEPT]]:
            self._told.pop(told.request_id, None)
