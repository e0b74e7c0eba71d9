"""What a route takes and gives, said beside its endpoint: the error table and ``/openapi.json`` read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cosystream.errors import (
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

E = TypeVar("E", bound=Callable[..., object])

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
EVENTS = "text/event-stream"
WAV = "audio/wav"
PCM = "audio/pcm"

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
)
"""What a route that synthesises may raise."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, for people and programs that want to call it."""

    summary: str
    answers: Mapping[str, type | None]
    """By media type, the type of its JSON, or None where it is something else."""
    takes: tuple[str, ...] = ()
    """The media types of the body with a synthesis request's fields."""
    in_query: bool = False
    """Whether those fields stand in the query instead."""
    raises: tuple[type[CosystreamError], ...] = ()
    legacy: bool = False
    """Whether its errors are ``{"detail": …}``."""
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
