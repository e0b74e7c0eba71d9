"""What callers of OpenAI's speech API may send, and what they are told."""

import base64
from typing import Any

import orjson
import pytest

from cosystream.errors import InvalidRequest, TextTooLong, UnknownVoice
from cosystream.types import Prompt, SynthesisRequest
from cosystream.wire.fields import Rendering
from cosystream.wire.native import Problem, problem_of
from cosystream.wire.openai import FORMATS, OpenAIFailure, OpenAIProblem, SpeechCall, parse_speech, usage_of

HELLO: dict[str, object] = {"model": "tts-1", "input": "hello", "voice": "alloy"}


def parse(**fields: object) -> SpeechCall:
    return parse_speech(HELLO | fields, max_text_chars=100)


def refusal(**fields: object) -> OpenAIProblem:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return OpenAIProblem.of(problem_of(caught.value))


# Fields


def test_what_clients_send_by_default_asks_for_an_mp3_as_it_is_made() -> None:
    asked = parse()
    assert asked.call.request == SynthesisRequest("hello", "alloy")
    assert asked.call.rendering == Rendering(format="mp3", encoding="base64")
    assert (asked.format, asked.stream_format, asked.stream) == ("mp3", "audio", True)


def test_only_the_input_must_be_there() -> None:
    assert parse_speech({"input": "hello"}, max_text_chars=5).call.request == SynthesisRequest("hello")


def test_every_field_is_heard() -> None:
    asked = parse(
        voice={"id": "anna"},
        instructions="whisper",
        response_format="flac",
        speed=1.5,
        stream_format="sse",
        stream=False,
        seed=-3,
        sample_rate=16000,
        ref_audio=base64.b64encode(b"RIFF").decode(),
        ref_text="words",
    )
    assert asked.call.request == SynthesisRequest("hello", "anna", "whisper", Prompt(b"RIFF", "words"), 1.5, -3)
    assert asked.call.rendering == Rendering("flac", 16000, "base64")
    assert (asked.format, asked.stream_format, asked.stream) == ("flac", "sse", False)


def test_what_is_not_known_here_is_ignored() -> None:
    assert parse(user="u1", metadata={"a": [1]}, text="other", task_type="Base") == parse()


@pytest.mark.parametrize("empty", [None, ""])
def test_what_is_empty_counts_as_left_out(empty: str | None) -> None:
    names = ["model", "instructions", "response_format", "speed", "seed", "sample_rate", "ref_audio", "ref_text"]
    assert parse(**dict.fromkeys(names, empty)) == parse()
    assert parse(voice=empty).call.request.speaker is None


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_blank_instructions_are_none(blank: str) -> None:
    assert parse(instructions=blank).call.request.instruction is None


@pytest.mark.parametrize(
    ("speed", "by_engine", "besides"), [(0.25, 0.5, 0.5), (0.5, 0.5, 1), (1, 1, 1), (2, 2, 1), (3, 2, 1.5), (4.0, 2, 2)]
)
def test_beyond_what_engines_can_do_speech_is_stretched(speed: float, by_engine: float, besides: float) -> None:
    call = parse(speed=speed).call
    assert (call.request.speed, call.rendering.tempo) == (by_engine, besides)


@pytest.mark.parametrize("response_format", FORMATS)
def test_pcm_alone_has_a_rate_of_its_own(response_format: str) -> None:
    unsaid = 24000 if response_format == "pcm" else None
    assert parse(response_format=response_format).call.rendering.sample_rate == unsaid
    assert parse(response_format=response_format, sample_rate=8000).call.rendering.sample_rate == 8000


@pytest.mark.parametrize("written", ["UklGRg==", "UklGRg", "data:audio/wav;base64,UklGRg=="])
def test_a_recording_comes_in_base64_or_as_a_url(written: str) -> None:
    assert parse(ref_audio=written).call.request.prompt == Prompt(b"RIFF")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input", None, "input: is missing"),
        ("input", "", "input: is ''; a string that is not empty would do"),
        ("input", " \n", "input: is blank; send something to say"),
        ("input", ["hello"], "input: is an array; a string that is not empty would do"),
        ("input", "a\x00b", "input: holds the control character U+0000 at 1; take it out"),
        ("model", 1, "model: is 1; any string would do"),
        ("voice", 7, 'voice: is 7; a string or {"id": "…"} would do'),
        ("voice", {}, 'voice: is an object; a string or {"id": "…"} would do'),
        ("voice", {"id": 7}, 'voice: is an object; a string or {"id": "…"} would do'),
        ("response_format", "ogg", "response_format: is 'ogg'; mp3 or opus or aac or flac or wav or pcm would do"),
        ("response_format", "mulaw", "response_format: is 'mulaw'; mp3 or opus or aac or flac or wav or pcm would do"),
        ("speed", 4.5, "speed: is 4.5; a number from 0.25 to 4.0 would do"),
        ("speed", 0, "speed: is 0; a number from 0.25 to 4.0 would do"),
        ("speed", True, "speed: is true; a number from 0.25 to 4.0 would do"),
        ("speed", "2", "speed: is '2'; a number from 0.25 to 4.0 would do"),
        ("stream_format", "events", "stream_format: is 'events'; audio or sse would do"),
        ("stream", 1, "stream: is 1; true or false would do"),
        ("seed", 0.5, "seed: is 0.5; a whole number of at most 64 bits would do"),
        ("sample_rate", 96000, "sample_rate: is 96000; a whole number from 8000 to 48000 would do"),
        (
            "instructions",
            "x" * 501,
            "instructions: is 501 characters long; a string of at most 500 characters would do",
        ),
        ("ref_audio", "no base64!", "ref_audio: is not base64, or not all of it; encode the whole file, or upload it"),
        ("ref_text", "words", "ref_text: is the transcript of ref_audio, which is missing"),
    ],
)
def test_what_will_not_do_is_refused_by_its_name(name: str, value: object, message: str) -> None:
    problem = refusal(**{name: value})
    assert problem.message.startswith(message)
    assert (problem.type, problem.param) == ("invalid_request", name)


def test_a_value_that_looks_like_a_path_blames_nobody_else() -> None:
    assert refusal(response_format="x` - at `$.speed").param == "response_format"


def test_a_text_may_be_as_long_as_it_may_be() -> None:
    assert len(parse(input="x" * 100).call.request.text) == 100
    with pytest.raises(TextTooLong) as caught:
        parse(input="x" * 101)
    problem = OpenAIProblem.of(problem_of(caught.value))
    assert problem.message == "input: has 101 characters; 100 are the most for one request"
    assert (problem.type, problem.param, problem.code) == ("text_too_long", "input", "string_above_max_length")


# What they are told


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem("overloaded", "come back"), {"message": "come back", "param": None, "code": "overloaded"}),
        (Problem("unauthorized", "no key"), {"message": "no key", "param": None, "code": "invalid_api_key"}),
        (
            problem_of(UnknownVoice("no voice 'bob'; there are anna")),
            {"message": "no voice 'bob'; there are anna", "param": "voice", "code": "unknown_voice"},
        ),
        (
            problem_of(InvalidRequest("holds no sound", field="prompt_wav")),
            {"message": "ref_audio: holds no sound", "param": "ref_audio", "code": "invalid_request"},
        ),
    ],
)
def test_problems_are_told_in_openais_words(problem: Problem, said: dict[str, Any]) -> None:
    assert orjson.loads(orjson.dumps(OpenAIFailure.of(problem))) == {"error": {"type": problem.type} | said}


def test_usage_counts_characters_and_seconds() -> None:
    usage = usage_of("你好，世界。", 4.04)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (6, 101, 107)
    assert usage_of("a", 0.28).output_tokens == 7
