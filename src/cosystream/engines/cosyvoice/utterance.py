"""A request made ready for the models: what to say in token ids, and in whose voice."""

from dataclasses import dataclass

from cosystream.models.cosyvoice.flow import FlowPrompt
from cosystream.models.cosyvoice.speech_lm import Piece, SpeechLength, prompt_pieces


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence-sized piece of the text."""

    written: str
    """In the caller's words."""
    text_tokens: tuple[int, ...]
    length: SpeechLength
    """How many speech tokens it may have."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the models are told before the text: how to speak, and how the voice sounds."""

    prompt_text: tuple[int, ...]
    """Text tokens."""
    prompt_speech: tuple[int, ...]
    """Speech tokens that say what ``prompt_text`` ends with; none where that is an instruction."""
    flow: FlowPrompt
    voice_key: str
    """The same for the same ``flow``, and for no other, whatever the voice is called and whatever its words are."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """All that is to be said for one request."""

    segments: tuple[Segment, ...]
    conditions: Conditions
    speed: float
    seed: int


def prompt_of(segment: Segment, conditions: Conditions) -> tuple[Piece, ...]:
    """What the language model reads before the first speech token of ``segment``."""
    return prompt_pieces(conditions.prompt_text, segment.text_tokens, conditions.prompt_speech)
