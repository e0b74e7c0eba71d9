"""What a route takes and gives, said beside its endpoint: the error table and ``/openapi.json`` read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.errors import (
    Cancelled,
    CosystreamError,
    InvalidField,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    TextTooLong,
    UnknownVoice,
    UploadTooLarge,
)
from cosystream.wire.fields import RequestFields
from cosystream.wire.native import Failure, FailureBody

E = TypeVar("E", bound=Callable[..., object])

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
EVENTS = "text/event-stream"
WAV = MEDIA_TYPES["wav"]
PCM = MEDIA_TYPES["pcm"]

SPEAKING: tuple[type[CosystreamError], ...] = (
    InvalidRequest,
    InvalidField,
    UnknownVoice,
    TextTooLong,
    UploadTooLarge,
    Overloaded,
    NotReady,
    ShuttingDown,
    SynthesisFailed,
    Stalled,
    Cancelled,
)
"""What a route that synthesises may raise."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, for people and programs that want to call it."""

    summary: str
    answers: Mapping[str, type | None]
    """By media type, the type of its JSON, or None where it is something else."""
    takes: tuple[str, ...] = ()
    """The media types of its body."""
    fields: type = RequestFields
    """What that holds, a msgspec.Struct; in forms, its ``bytes`` are uploads."""
    in_query: bool = False
    """Whether those fields stand in the query instead."""
    status: int = 200
    """When all went well."""
    resumable: bool = False
    """Whether a Last-Event-ID asks for the rest."""
    raises: tuple[type[CosystreamError], ...] = ()
    failure: type[FailureBody] = Failure
    """What its errors look like."""
    open: bool = False
    """Whether it needs no API key."""
    description: str = field(default="")


def operation(described: Operation) -> Callable[[E], E]:
    """Say what an endpoint does."""

    def describe(endpoint: E) -> E:
        endpoint.operation = described  # type: ignore[attr-defined]
        return endpoint

    return describe


def operation_of(endpoint: object) -> Operation | None:
    described = getattr(endpoint, "operation", None)
    assert described is None or isinstance(described, Operation)
    return described
