from collections.abc import Callable
from typing import Any

import orjson
import pytest

from cosystream.errors import CosystreamError, InvalidField, InvalidRequest, UploadTooLarge
from cosystream.types import Prompt, SynthesisRequest
from cosystream.wire.contexts import (
    MESSAGE_TYPES,
    Audio,
    ContextFailure,
    Message,
    Refusal,
    Sentence,
    call_of,
    parse_message,
    text_of,
)
from cosystream.wire.fields import Rendering
from cosystream.wire.native import Problem


def message(type_: str = "start", **fields: object) -> Message:
    return parse_message(orjson.dumps({"type": type_, "context": "c1", **fields}).decode(), max_text_chars=4096)


def problem(read: Callable[[], object]) -> str:
    with pytest.raises(CosystreamError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("type_", MESSAGE_TYPES)
def test_a_message_says_what_it_is_and_of_which_context(type_: str) -> None:
    assert message(type_) == Message(type_, "c1", {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("json", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no object"),
        ('"start"', "no object"),
        ('{"type":"text","context":"c1","text":"\\ud800"}', "not JSON"),
    ],
)
def test_what_is_no_message_is_refused(json: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_message(json, max_text_chars=4096)


def test_a_message_of_far_too_many_values_is_refused() -> None:
    json = '{"type":"start","context":"c1","text":[' + "[]," * 100_000 + "0]}"
    with pytest.raises(UploadTooLarge, match=r"^the message holds 200004 commas and brackets; 69632 are the most"):
        parse_message(json, max_text_chars=4096)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "type"),
        ({"type": None}, "type"),
        ({"type": ["start"]}, "type"),
        ({"type": "begin", "context": "c1"}, "type"),
        ({"type": "start"}, "context"),
        ({"type": "start", "context": None}, "context"),
        ({"type": "start", "context": 1}, "context"),
        ({"type": "start", "context": ""}, "context"),
        ({"type": "start", "context": "c" * 65}, "context"),
        ({"type": "flush", "context": "c1", "text": "hello"}, "text"),
        ({"type": "end", "context": "c1", "x" * 100: 1}, "x" * 64),
    ],
)
def test_a_message_of_no_type_or_no_context_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_message(orjson.dumps(fields).decode(), max_text_chars=4096)
    assert caught.value.field == field


def test_a_start_takes_the_fields_of_a_request() -> None:
    call = call_of(
        message(voice="anna", instruct="whisper", speed=1.5, seed=3, normalize=False, sample_rate=16000, format="pcm")
    )
    assert call.request == SynthesisRequest(call.request.text, "anna", "whisper", None, 1.5, 3, normalize=False)
    assert call.rendering == Rendering("pcm", 16000)
    prompted = call_of(message(prompt_wav="UklGRg==", prompt_text="hello"))
    assert prompted.request.prompt == Prompt(b"RIFF", "hello")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": "hello"}, "text: follows in messages"),
        ({"encoding": "hex"}, "encoding: .*binary"),
        ({"format": "mp3"}, "format: is always pcm"),
        ({"format": "tape"}, "format: is 'tape'"),
        ({"speed": 3}, "speed: is 3"),
        ({"speed": "1"}, "speed: is '1'"),
        ({"volume": 3}, "volume: there is no such field"),
        ({"prompt_text": "hello"}, "prompt_text: is the transcript"),
    ],
)
def test_a_field_that_will_not_do_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        call_of(message(**fields))


@pytest.mark.parametrize("text", ["hello", "你", " ", "", "\n", "。"])
def test_text_may_be_any_piece_of_it(text: str) -> None:
    assert text_of(message("text", text=text)) == text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "text: is missing"),
        ({"text": 3}, "text: a string would do"),
        ({"text": "a\x00b"}, "control character"),
        ({"text": "a", "speed": 1}, "speed: there is no such field"),
    ],
)
def test_what_is_no_text_is_refused(fields: dict[str, Any], words: str) -> None:
    assert words in problem(lambda: text_of(message("text", **fields)))


def test_every_answer_says_first_what_it_is() -> None:
    answers = [
        Audio("c1", 0, 2400, 0),
        Sentence("c1", 0, "Hello.", 0),
        ContextFailure("c1", Problem("timeout", "late"), partial_audio=True),
        Refusal(Problem("invalid_request", "what?", "type")),
    ]
    assert [orjson.dumps(answer).partition(b",")[0] for answer in answers] == [
        b'{"type":"audio"',
        b'{"type":"sentence"',
        b'{"type":"error"',
        b'{"type":"error"',
    ]
    assert b'"context"' not in orjson.dumps(answers[-1])
