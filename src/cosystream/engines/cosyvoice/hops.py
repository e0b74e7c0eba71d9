"""When to speak, and how many tokens at once: few at first, for latency, then more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HopSchedule:
    """The reference implementation's ladder, which each sequence climbs from its foot."""

    block: int = 25
    """Tokens in a block of the streaming attention mask: what has been spoken, prompt included, ends with a block."""
    first: int = 25
    growth: int = 2
    limit: int = 100
    lookahead: int = 3


class Hops:
    """How far one sequence has been spoken, in tokens, and how long its next hop is."""

    def __init__(self, num_prompt: int, schedule: HopSchedule) -> None:
        self._schedule = schedule
        self._hop = schedule.first
        self._pad = -num_prompt % schedule.block
        self.spoken = 0

    def ready(self, num_tokens: int, *, ended: bool) -> bool:
        """Whether there is something to speak, of ``num_tokens`` that will be all if ``ended``."""
        return ended or num_tokens - self.spoken >= self._hop + self._pad + self._schedule.lookahead

    def take(self, num_tokens: int) -> int:
        """How many of ``num_tokens`` to speak next, behind those spoken; all the rest once they do not fill a hop.

        Where it is not the rest, ``lookahead`` tokens more are there to be looked at.
        """
        hop = self._hop + self._pad
        if num_tokens - self.spoken < hop + self._schedule.lookahead:
            hop = num_tokens - self.spoken
        self._pad = 0
        self._hop = min(self._schedule.limit, self._hop * self._schedule.growth)
        self.spoken += hop
        return hop
