"""An exception that goes through a server and its client comes out as it went in."""

import email.utils
import time
from collections.abc import Iterator

import orjson
import pytest

from cosystream import errors
from cosystream.client.errors import failure, refusal
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
from cosystream.wire.native import Failure, problem_of

RAISED: list[tuple[CosystreamError, int]] = [
    (InvalidRequest("no"), 400),
    (InvalidRequest("holds half a character", field="speaker"), 400),
    (InvalidField("text", "is blank"), 422),
    (Unauthorized("no"), 401),
    (UnknownVoice("no voice 'bob'; there are anna"), 404),
    (UnknownRequest("no"), 404),
    (VoiceExists("no"), 409),
    (TooManyVoices("no"), 409),
    (NotKept("no"), 500),
    (RateLimited("no", retry_after_seconds=2.0), 429),
    (TextTooLong("no"), 413),
    (UploadTooLarge("no"), 413),
    (Overloaded("no", retry_after_seconds=2.0), 503),
    (NotReady("no", retry_after_seconds=2.0), 503),
    (ShuttingDown("no", retry_after_seconds=2.0), 503),
    (SynthesisFailed("no"), 500),
    (Stalled("no"), 504),
    (Cancelled("no"), 409),
]


def leaves(kind: type[CosystreamError]) -> Iterator[type[CosystreamError]]:
    below = [one for one in vars(errors).values() if isinstance(one, type) and one.__base__ is kind]
    if not below:
        yield kind
    for one in below:
        yield from leaves(one)


def test_whatever_a_request_can_meet_is_known_here() -> None:
    assert {type(raised) for raised, _ in RAISED} == {
        kind for kind in leaves(CosystreamError) if not issubclass(kind, errors.ConfigError)
    }


@pytest.mark.parametrize(("raised", "status"), RAISED)
def test_what_a_server_refuses_is_raised_as_it_was_there(raised: CosystreamError, status: int) -> None:
    met = refusal(status, {"retry-after": "2"}, orjson.dumps(Failure(problem_of(raised))))
    assert type(met) is type(raised)
    assert str(met) == str(raised)
    assert vars(met) == vars(raised)


@pytest.mark.parametrize("raised", [raised for raised, _ in RAISED if type(raised) is not InvalidField])
def test_what_breaks_off_in_a_stream_is_raised_as_it_was_there(raised: CosystreamError) -> None:
    met = failure(problem_of(raised))
    assert type(met) is type(raised)
    assert str(met) == str(raised)


def test_a_kind_of_error_that_came_after_this_client_is_known_by_its_status() -> None:
    body = b'{"error":{"type":"too_poor","message":"60 an hour","field":null,"more":1}}'
    met = refusal(429, {"retry-after": "7"}, body)
    assert isinstance(met, TryLater)
    assert (met.retry_after_seconds, str(met)) == (7.0, "60 an hour")
    assert type(refusal(418, {}, body)) is InvalidRequest
    assert type(refusal(599, {}, body)) is SynthesisFailed


def test_the_integration_guides_errors_are_understood() -> None:
    met = refusal(503, {}, b'{"detail":"the engine is loading"}')
    assert type(met) is NotReady
    assert str(met) == "the engine is loading"


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"error":"no"}', b"\xff"])
def test_what_a_proxy_writes_is_an_error_in_words(body: bytes) -> None:
    met = refusal(502, {}, body)
    assert type(met) is NotReady
    assert str(met)


@pytest.mark.parametrize("written", ["soon", "", "Mon, 30 Feb", "1 2 3"])
def test_a_time_to_come_back_that_nobody_understands_is_a_second(written: str) -> None:
    met = refusal(503, {"retry-after": written}, b"")
    assert isinstance(met, TryLater)
    assert met.retry_after_seconds == 1.0


def test_a_time_to_come_back_may_be_a_date() -> None:
    soon = refusal(503, {"retry-after": email.utils.formatdate(time.time() + 100, usegmt=True)}, b"")
    past = refusal(503, {"retry-after": email.utils.formatdate(time.time() - 100, usegmt=True)}, b"")
    assert isinstance(soon, TryLater)
    assert isinstance(past, TryLater)
    assert 60 < soon.retry_after_seconds <= 100
    assert past.retry_after_seconds == 0.0
