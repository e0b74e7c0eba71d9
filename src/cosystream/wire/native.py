"""Our own protocol: the data of each event, and of an error. Times are in milliseconds."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from cosystream.errors import CosystreamError, InvalidField, InvalidRequest, TextTooLong, UnknownVoice
from cosystream.wire.fields import Encoding


@dataclass(frozen=True, slots=True)
class Queued:
    """event: queued. The request waits; sent whenever its place changes."""

    request_id: str
    position: int
    eta_ms: int


@dataclass(frozen=True, slots=True)
class Start:
    """event: start. The engine has begun; how to read what follows."""

    request_id: str
    sample_rate: int
    engine: str
    speaker: str
    seed: int
    encoding: Encoding
    channels: int = 1
    format: str = "pcm_s16le"


@dataclass(frozen=True, slots=True)
class Audio:
    """event: audio. All of them in order, decoded, are the PCM of the whole utterance."""

    index: int
    audio: str
    samples: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """event: sentence. It begins to sound at ``begin_ms``."""

    index: int
    text: str
    begin_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """event: done. The last one, after all of the audio."""

    request_id: str
    chunks: int
    samples: int
    duration_ms: int
    first_audio_ms: int
    queue_ms: int
    rtf: float
    underruns: int
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: ``type`` for programs, ``message`` for people, ``field`` if one field is to blame."""

    type: str
    message: str
    field: str | None = None


class FailureBody(Protocol):
    """What a route answers to what it cannot do, in its own way."""

    status: ClassVar[int | None]
    """Instead of the error's own, where clients of the protocol expect one status for all errors."""
    id_header: ClassVar[str | None]
    """In which the protocol repeats the ``X-Request-Id``, if it does."""

    @classmethod
    def of(cls, problem: Problem) -> "FailureBody": ...


@dataclass(frozen=True, slots=True)
class Failure:
    """The body of an HTTP error."""

    error: Problem

    status: ClassVar[int | None] = None
    id_header: ClassVar[str | None] = None

    @classmethod
    def of(cls, problem: Problem) -> "Failure":
        return cls(problem)


@dataclass(frozen=True, slots=True)
class FailureEvent:
    """event: error. The last one, instead of ``done``."""

    error: Problem
    partial_audio: bool


def milliseconds(seconds: float | None) -> int:
    """As everything here tells times; none is 0."""
    return round((seconds or 0.0) * 1000)


def problem_of(error: CosystreamError) -> Problem:
    return Problem(error.type, str(error), _field_to_blame(error))


def _field_to_blame(error: CosystreamError) -> str | None:
    match error:
        case InvalidField() | InvalidRequest():
            return error.field
        case UnknownVoice():
            return "speaker"
        case TextTooLong():
            return "text"
    return None
