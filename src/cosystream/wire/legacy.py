"""The answers of the routes that the integration guide promises. Times are in milliseconds."""

from dataclasses import dataclass
from typing import ClassVar

from cosystream.wire.native import Problem


@dataclass(frozen=True, slots=True)
class SpokenWhole:
    """``audio`` decodes to a complete file: a 16-bit mono WAV, unless another format was asked for."""

    audio: str
    sample_rate: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Speakers:
    speakers: list[str]
    default_speaker: str
    note: str = ""
    """Which voices are missing or stand in for others, and what would help."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    model_type: str
    model_dir: str
    """A folder's name, never a path."""
    speakers: list[str]
    default_speaker: str
    default_instruction: str
    usage: str
    endpoint: str = "/synthesize"
    can_instruct: bool = False
    """Whether it follows an ``instruction``."""
    can_clone: bool = False
    """Whether it speaks in the voice of a recording, ``prompt_wav``."""


@dataclass(frozen=True, slots=True)
class Health:
    model_type: str
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class LegacyFailure:
    """The body of an HTTP error."""

    detail: str

    status: ClassVar[int | None] = None
    id_header: ClassVar[str | None] = None

    @classmethod
    def of(cls, problem: Problem) -> "LegacyFailure":
        return cls(problem.message)
