"""What the scheduler is told, and what it answers: plain numbers, in and out."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from cosystream.engines.cosyvoice.hops import HopSchedule
from cosystream.types import JobId


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is to share out, and how much of it one tick may use."""

    num_pages: int
    """Of the flow's memory, one for each block of a sequence or prompt."""
    num_jobs: int
    """Slots of jobs, from 0 on; the same number is the job's in the language model and in the flow's memory."""
    num_prompts: int
    """Slots of prompts behind those, in the flow's memory alone. Not fewer than ``num_jobs``."""
    slot_positions: int
    """Positions that a slot of the language model can hold."""
    decode_batch: int = 64
    """Most sequences that draw a token side by side."""
    flow_frames: int = 50
    """Most mel frames that take an Euler step side by side; a single piece may have more."""
    prefill_positions: int = 256
    """Most positions read at once, padding included."""
    num_steps: int = 10
    """Euler steps of a piece."""
    hops: HopSchedule = field(default_factory=HopSchedule)
    prompt_blocks: int = 4
    """Most blocks of a prompt that are solved at once."""
    token_rate: int = 25
    frames_per_token: int = 2
    safe_lead_seconds: float = 0.8
    """Of audio that a listener still has to hear, while others get their first audio."""
    final_whole: bool = False
    """Whether the last hop is solved with all of its sequence seeing all, as the reference does."""


@dataclass(frozen=True, slots=True)
class PromptKey:
    """Names the prompt that the flow speaks behind: equal keys are equal prompts."""

    key: Hashable


Owner = JobId | PromptKey
"""What has frames behind it in the flow: the sequence of a job, or a prompt that sequences start behind."""


@dataclass(frozen=True, slots=True)
class Work:
    """A segment, in numbers."""

    num_positions: int
    """What the language model reads before it draws."""
    max_tokens: int
    """Most tokens it may draw; told to have ended once it has drawn so many."""
    expected_tokens: int
    prompt: PromptKey
    num_prompt_tokens: int
    """Speech tokens of the flow's prompt."""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Positions [first, first + num_positions) of a segment, to be read; with position 0 the slot starts anew."""

    job: JobId
    slot: int
    first: int
    num_positions: int


@dataclass(frozen=True, slots=True)
class Prefill:
    """Read, in one batch; the first is the longest."""

    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Decode:
    """Draw a token of each, side by side."""

    jobs: tuple[JobId, ...]
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that the flow is to make mel frames of.

    They stand behind ``first`` committed ones, and the schedule's ``lookahead`` of tokens is there behind them, unless
    the piece is ``final``. Tokens count from the first generated one; those of a prompt's piece, from the prompt's.
    """

    owner: Owner
    slot: int
    begins: bool
    """Whether the owner has no state in the flow, and is to be given one in the slot first."""
    prompt: PromptKey | None
    """The prompt whose state that one is to be forked from; None if it begins with nothing behind it."""
    pages: tuple[int, ...]
    """To be added to the owner's, before the piece is started; those of a prompt come with its state."""
    first: int
    num_tokens: int
    num_silent: int
    """How many of its tokens were heard already: their frames are not to be handed out again."""
    num_frames: int
    """With those of what is left of the prompt at its head."""
    commit: bool
    """Otherwise it is provisional: finished, it leaves the owner's state as it was."""
    final: bool
    """Whether the segment ends with it."""
    whole: bool = False
    """Whether to solve it apart from the owner's state and pages, from the prompt's start on, all frames seeing all."""


@dataclass(frozen=True, slots=True)
class Solve:
    """One Euler step, in one batch. All of its pieces have equally many frames."""

    begins: tuple[Piece, ...]
    """To be started before the step."""
    owners: tuple[Owner, ...]
    """All whose pieces take the step."""
    ends: tuple[Piece, ...]
    """Those for which it is the last: to be finished, and of jobs to be made audio of."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing to do, for all whom it serves."""

    dropped: tuple[Owner, ...]
    """Before anything else, forget what the flow has of these, and the pieces on their way; tokens and audio stay."""
    work: Prefill | Decode | Solve
