"""When to speak, and how many tokens at once: few at first, for latency, then more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HopSchedule:
    """The ladder that each stream climbs from its foot."""

    block: int = 25
    """Tokens in a block of the flow's attention: what is committed, prompt included, ends with a block."""
    rungs: tuple[int, ...] = (25, 50, 100)
    """Tokens of a hop, whole blocks each."""
    provisional: int = 8
    """Tokens of a first hop that is solved again, with what its block lacks, once that is there; 0 is none."""
    lookahead: int = 3
    slack: int = 3
    """By how much a hop may fall short of its rung to end with a block, where a prompt has begun one.

    With 0 it never does, as in the reference implementation.
    """

    def length(self, rung: int, num_before: int) -> int:
        """Tokens of a hop behind ``num_before``, prompt included: the fewest that end with a block."""
        least = self.rungs[rung] - self.slack
        return least + -(num_before + least) % self.block


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sequence has come, in tokens; but for ``num_prompt``, the generated ones."""

    num_prompt: int
    num_tokens: int
    """Those there are."""
    ended: bool
    """Whether these are all."""
    committed: int
    heard: int
    """More than ``committed`` after a provisional hop, and where what was committed has been lost."""


@dataclass(frozen=True, slots=True)
class Hop:
    """What to speak next: ``num_tokens`` behind the committed ones."""

    num_tokens: int
    next_rung: int
    """The highest that the hop after this one may take."""
    commit: bool = True
    final: bool = False
    """Whether nothing follows. Otherwise the schedule's ``lookahead`` is there to be looked at."""


def next_hop(progress: Progress, schedule: HopSchedule, *, rung: int, lead_tokens: float) -> Hop | None:
    """The hop that can be spoken now; None if it needs tokens that are not there yet, or if all is spoken.

    ``rung`` is the highest it may take; it takes one that lasts no longer than ``lead_tokens``, the speech that its
    listener still has to hear, so that he does not wait for it. What was heard already is committed without waiting.
    """
    num_left = progress.num_tokens - progress.committed
    if num_left <= 0:
        return None
    lost = _lost(progress, schedule)
    if lost > 0:
        return Hop(lost, rung)
    while rung and schedule.rungs[rung] > lead_tokens:
        rung -= 1
    length = schedule.length(rung, progress.num_prompt + progress.committed)
    if num_left >= length + schedule.lookahead:
        return Hop(length, min(rung + 1, len(schedule.rungs) - 1))
    if progress.ended:
        return Hop(num_left, rung, final=True)
    if not progress.heard and lead_tokens < schedule.provisional <= num_left - schedule.lookahead:
        return Hop(schedule.provisional, rung, commit=False)
    return None


def _lost(progress: Progress, schedule: HopSchedule) -> int:
    """Tokens in blocks that were heard to their end and are to be committed again; at most a longest hop of them."""
    num_prompt, committed = progress.num_prompt, progress.committed
    end = num_prompt + min(progress.heard, committed + schedule.rungs[-1])
    return end - end % schedule.block - num_prompt - committed
