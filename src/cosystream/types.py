"""The plain values that every part of the service speaks about: what is asked for, and what comes back."""

from dataclasses import dataclass
from typing import NewType

JobId = NewType("JobId", int)
"""A request in flight, numbered from 1 in the order of arrival."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recording whose voice is to be imitated, and what is said in it."""

    audio: bytes
    """An audio file as it was uploaded."""
    text: str | None = None
    """Its transcript; without one the voice is carried into another language (cross-lingual)."""


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
class Voice:
    """A speaker that can be asked for by name."""

    name: str
    languages: tuple[str, ...]
    """BCP 47 tags, the mother tongue first."""
    gender: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and can do, fixed while it lives."""

    name: str
    model: str
    """The model's published name, or its folder's name: never a path."""
    sample_rate: int
    voices: tuple[Voice, ...]
    default_speaker: str
    can_instruct: bool = False
    can_clone: bool = False
    voices_note: str = ""
    """What there is to know about the voices: which are missing, which stand in for others, and what would help."""

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(voice.name for voice in self.voices)
