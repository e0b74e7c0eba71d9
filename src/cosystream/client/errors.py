"""What a server refuses or breaks off, as the exceptions that it raised itself; and what only clients meet."""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from cosystream.errors import (
    Cancelled,
    CosystreamError,
    InvalidField,
    InvalidRequest,
    NotKept,
    NotReady,
    Overloaded,
    RateLimited,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    TextTooLong,
    TooManyVoices,
    TryLater,
    Unauthorized,
    UnknownRequest,
    UnknownVoice,
    UploadTooLarge,
    VoiceExists,
)
from cosystream.wire.native import Problem

DEFAULT_WAIT_SECONDS = 1.0
"""Before another try, where the server does not say."""
LONGEST_SHOWN = 200

_KINDS: Mapping[str, type[CosystreamError]] = {
    kind.type: kind
    for kind in (
        Cancelled,
        InvalidRequest,
        NotKept,
        NotReady,
        Overloaded,
        RateLimited,
        ShuttingDown,
        Stalled,
        SynthesisFailed,
        TextTooLong,
        TooManyVoices,
        Unauthorized,
        UnknownRequest,
        UnknownVoice,
        UploadTooLarge,
        VoiceExists,
    )
}
_BY_STATUS: Mapping[int, type[CosystreamError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: UnknownRequest,
    409: Cancelled,
    413: UploadTooLarge,
    422: InvalidField,
    429: RateLimited,
    502: NotReady,
    503: NotReady,
    504: Stalled,
}
"""What a status means where the body does not say: it is a proxy's, or of a kind that came after this client."""


class Unreachable(CosystreamError):
    """Nobody answers there, or somebody who is not cosystream."""

    type = "unreachable"


class BrokenOff(CosystreamError):
    """An answer that stopped, or went wrong, before its end."""

    type = "broken_off"


class ConnectionLost(BrokenOff):
    """One that stopped for no reason of its own: the same server may well have the rest."""


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> CosystreamError:
    """An answer that is no success."""
    problem = _problem(body)
    kind = _KINDS.get(problem.type) or _BY_STATUS.get(status) or (SynthesisFailed if status >= 500 else InvalidRequest)
    if kind is InvalidRequest and status == 422:
        kind = InvalidField
    message = problem.message or f"the answer is {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    return _made(kind, Problem(kind.type, message, problem.field), _seconds_to_wait(headers.get("retry-after")))


def failure(problem: Problem) -> CosystreamError:
    """What ended a stream, as its last event says it."""
    return _made(_KINDS.get(problem.type, SynthesisFailed), problem, DEFAULT_WAIT_SECONDS)


def _made(kind: type[CosystreamError], problem: Problem, retry_after_seconds: float) -> CosystreamError:
    """The exception whose words are ``problem``'s; those that name a field write it before their words."""
    words = problem.message.removeprefix(f"{problem.field}: ")
    if issubclass(kind, TryLater):
        return kind(problem.message, retry_after_seconds=retry_after_seconds)
    if kind is InvalidField and problem.field is not None:
        return InvalidField(problem.field, words)
    if kind in (InvalidField, InvalidRequest):
        return InvalidRequest(words, field=problem.field)
    return kind(problem.message)


def _problem(body: bytes) -> Problem:
    """What an error's body says: ours, the integration guide's (``detail``), or whatever a proxy writes."""
    try:
        read: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Problem("", "")
    match read:
        case {"error": {"type": str(type_), "message": str(message), **others}}:
            field = others.get("field")
            return Problem(type_, message, field if isinstance(field, str) else None)
        case {"detail": str(detail)}:
            return Problem("", detail)
    return Problem("", body[:LONGEST_SHOWN].decode(errors="replace"))


def _seconds_to_wait(retry_after: str | None) -> float:
    """``Retry-After``: seconds, or a date as proxies write it."""
    if retry_after is None:
        return DEFAULT_WAIT_SECONDS
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return DEFAULT_WAIT_SECONDS
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else DEFAULT_WAIT_SECONDS
