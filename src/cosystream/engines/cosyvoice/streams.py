"""A job as the scheduler sees it: how far it is in each of the models, and how long its listener can wait."""

from dataclasses import dataclass, field

from cosystream.engines.cosyvoice.hops import Hop, HopSchedule, Progress, next_hop
from cosystream.engines.cosyvoice.prompt_cache import HeldPrompt
from cosystream.engines.cosyvoice.ticks import Limits, Work
from cosystream.types import JobId

Urgency = tuple[int, float, int]
"""Least is first."""


@dataclass(slots=True, eq=False)
class Stream:
    """One segment after the other."""

    job: JobId
    arrival: int
    """Numbered in the order of arrival."""
    work: Work
    slot: int | None = None
    """From its admission on."""
    prompt: HeldPrompt | None = None

    num_read: int = 0
    """Positions of the segment that the language model has read, and how many times it was then told to draw."""
    num_draws: int = 0
    num_tokens: int = 0
    """Those that came of it, as far as told."""
    ended: bool = False

    has_state: bool = False
    """Whether the flow has a state of the sequence."""
    shared_pages: tuple[int, ...] = ()
    """The prompt's."""
    pages: list[int] = field(default_factory=list)
    committed: int = 0
    heard: int = 0
    """In tokens, as ``num_tokens`` counts."""
    is_spoken: bool = False

    rung: int = 0
    """The highest of the ladder that its next hop may take; kept from segment to segment."""
    runs_dry: float | None = None
    """When its listener will have heard all; None before the first audio."""
    paused_at: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was admitted and has something to do."""
        return self.slot is not None and self.paused_at is None and not self.is_spoken

    @property
    def num_unread(self) -> int:
        return self.work.num_positions - self.num_read

    @property
    def may_draw(self) -> bool:
        return not self.num_unread and not self.ended and self.num_draws < self.work.max_tokens

    def urgency(self, now: float, safe_lead_seconds: float, *, oldest_first: bool) -> Urgency:
        """Nobody runs dry, then first audio comes first; then comes who is closest to running dry, or the oldest."""
        if self.runs_dry is None:
            return 1, 0.0, self.arrival
        if self.runs_dry < now + safe_lead_seconds:
            return 0, self.runs_dry, self.arrival
        return 2, 0.0 if oldest_first else self.runs_dry, self.arrival

    def sounded(self, seconds: float, now: float) -> None:
        self.runs_dry = max(now, now if self.runs_dry is None else self.runs_dry) + seconds

    def pause(self, now: float) -> None:
        if self.paused_at is None:
            self.paused_at = now

    def resume(self, now: float) -> None:
        if self.paused_at is not None and self.runs_dry is not None:
            self.runs_dry += now - self.paused_at  # else it would seem the most urgent, with all that is unheard
        self.paused_at = None

    def follow(self, work: Work) -> None:
        """Begin with the next segment."""
        self.work = work
        self.num_read = self.num_draws = self.num_tokens = self.committed = self.heard = 0
        self.ended = self.is_spoken = False

    def next_hop(self, now: float, limits: Limits) -> Hop | None:
        """What can be spoken now."""
        lead_seconds = 0.0 if self.runs_dry is None else max(0.0, self.runs_dry - now)
        return next_hop(
            Progress(self.work.num_prompt_tokens, self.num_tokens, self.ended, self.committed, self.heard),
            limits.hops,
            rung=self.rung,
            lead_tokens=lead_seconds * self.work.speed * limits.token_rate,
        )

    def num_pages_due(self, schedule: HopSchedule) -> int:
        """How many more pages it is likely to need, all in all."""
        num_tokens = self.num_tokens if self.ended else max(self.num_tokens, self.work.expected_tokens)
        return max(0, own_pages(self.work, num_tokens, schedule) - len(self.pages))


def prompt_tokens(work: Work, schedule: HopSchedule) -> int:
    """How many of the prompt's tokens can be solved apart: whole blocks with those to be looked at behind them."""
    num_tokens = max(0, work.num_prompt_tokens - schedule.lookahead)
    return num_tokens - num_tokens % schedule.block


def own_pages(work: Work, num_tokens: int, schedule: HopSchedule) -> int:
    """How many pages so many tokens behind the prompt take, beside those that the prompt takes apart."""
    num_behind = work.num_prompt_tokens - prompt_tokens(work, schedule) + num_tokens
    return -(-num_behind // schedule.block)
