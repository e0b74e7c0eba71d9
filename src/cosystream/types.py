"""The plain values that every part of the service speaks about: what is asked for, and what comes back."""

from dataclasses import dataclass, field
from typing import Literal, NewType

JobId = NewType("JobId", int)
"""A request in flight, numbered from 1 in the order of arrival."""

VoiceKind = Literal["preset", "cloned", "checkpoint"]
"""Where a voice comes from: the engine brings it, it is learnt from a recording, or it is saved with the checkpoint."""

PROMPTED = "prompt_wav"
"""The speaker of a request that brings a recording, whoever else it names. No voice has this name."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recording whose voice is to be imitated, and what is said in it."""

    audio: bytes = field(repr=False)
    """An audio file as it was uploaded."""
    text: str | None = None
    """Its transcript; without one the voice is carried into another language (cross-lingual)."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker that can be asked for by name."""

    name: str
    languages: tuple[str, ...]
    """BCP 47 tags, the mother tongue first."""
    gender: str
    kind: VoiceKind = "preset"
    conditions: object = field(default=None, repr=False, compare=False)
    """What its engine speaks it with, where voices come and go; nobody else looks inside."""


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """What to say, and how. ``None`` leaves a choice to the engine."""

    text: str
    speaker: str | None = None
    instruction: str | None = None
    prompt: Prompt | None = None
    speed: float = 1.0
    seed: int | None = None
    normalize: bool = True
    voice: Voice | None = None
    """Whom the engine found by the name of ``speaker``: a request that brings it needs nobody of that name any more."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of speech on its way to a listener."""

    pcm: bytes
    """Mono samples, signed 16-bit little-endian, at the engine's rate."""
    sentence: str | None = None
    """The sentence that begins to sound with this chunk, if one does."""

    @property
    def num_samples(self) -> int:
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and can do. Only its voices change while it lives: then it has another of these."""

    name: str
    model: str
    """The model's published name, or its folder's name: never a path."""
    sample_rate: int
    voices: tuple[Voice, ...]
    default_speaker: str
    sentence_pause_seconds: float = 0.0
    """Silence between two sentences of a request, where the engine adds it: it belongs between two requests too that
    are heard as one."""
    can_instruct: bool = False
    can_clone: bool = False
    voices_note: str = ""
    """What there is to know about the voices: which are missing, which stand in for others, and what would help."""

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(voice.name for voice in self.voices)
