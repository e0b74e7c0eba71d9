"""What MiniMax's clients may ask for, and what their codes for errors are."""

import inspect
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream import errors
from cosystream.errors import CallerError, CosystreamError, InvalidField, TextTooLong
from cosystream.wire.minimax import T2A, T2AFailure, base_resp_of, extra_info, parse_t2a
from cosystream.wire.minimax_task import TaskContinue, TaskFinish, TaskStart, parse_event
from cosystream.wire.native import Problem, problem_of

PIPECAT = {
    "stream": True,
    "voice_setting": {"voice_id": "anna", "speed": 1.0, "vol": 1.0, "pitch": 0},
    "audio_setting": {"bitrate": 128000, "format": "pcm", "channel": 1, "sample_rate": 24000},
    "model": "speech-2.8-turbo",
    "text": "hello",
    "language_boost": "English",
    "stream_options": {"exclude_aggregated_audio": True},
}


def parse(**fields: Any) -> T2A:
    return parse_t2a({"text": "hello", **fields}, max_text_chars=100)


def refusal(**fields: Any) -> str:
    with pytest.raises(CallerError) as caught:
        parse(**fields)
    return base_resp_of(problem_of(caught.value)).status_msg


def test_a_text_alone_is_spoken_as_minimax_would() -> None:
    asked = parse()
    assert (asked.format, asked.volume, asked.stream, asked.with_whole) == ("mp3", 1.0, False, True)
    assert asked.call.request.text == "hello"
    assert (asked.call.request.speaker, asked.call.request.instruction, asked.call.request.speed) == (None, None, 1.0)
    assert (asked.call.rendering.sample_rate, asked.call.rendering.bit_rate) == (32000, 128000)


def test_what_pipecat_sends_is_read() -> None:
    asked = parse(**PIPECAT)
    assert (asked.format, asked.stream, asked.with_whole) == ("pcm", True, False)
    assert (asked.call.request.speaker, asked.call.rendering.sample_rate) == ("anna", 24000)


def test_null_counts_as_left_out_and_what_is_unknown_is_ignored() -> None:
    nothing = {"voice_id": None, "emotion": None, "speed": None, "whatever": 1}
    asked = parse(model=None, voice_setting=nothing, audio_setting=None, stream_options=None, aigc_watermark=False)
    assert asked == parse()


@pytest.mark.parametrize(
    ("emotion", "instruction"), [("happy", "用开心的语气说这句话"), ("calm", None), ("neutral", None), ("fluent", None)]
)
def test_an_emotion_is_an_instruction_unless_there_is_none_in_it(emotion: str, instruction: str | None) -> None:
    assert parse(voice_setting={"emotion": emotion}).call.request.instruction == instruction


@pytest.mark.parametrize("spelling", ["timbre_weights", "timber_weights"])
def test_a_mixture_of_one_voice_is_that_voice(spelling: str) -> None:
    mixture = {spelling: [{"voice_id": "anna", "weight": 1}]}
    assert parse(voice_setting={"voice_id": ""}, **mixture).call.request.speaker == "anna"
    assert parse(voice_setting={"voice_id": "bob"}, **mixture).call.request.speaker == "bob"


@pytest.mark.parametrize(
    ("sample_rate", "bit_rate", "told"),
    [(32000, 256000, 256000), (24000, 256000, 160000), (8000, 128000, 64000), (44100, 32000, 32000)],
)
def test_the_bit_rate_is_one_that_mp3_has_at_the_sample_rate(sample_rate: int, bit_rate: int, told: int) -> None:
    asked = parse(audio_setting={"sample_rate": sample_rate, "bitrate": bit_rate})
    assert asked.call.rendering.bit_rate == told
    assert extra_info(asked, sample_rate, samples=1, size=1).bitrate == told


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"text": None}, "text: is missing"),
        ({"text": " "}, "text: is blank; send something to say"),
        ({"text": 5}, "text: expected str, got int"),
        ({"text": "a\x00"}, "text: holds the control character U+0000 at 1; take it out"),
        ({"text": "one <#1.5#> two"}, "text: holds <#1.5#>, but pauses are not made to measure; punctuation would do"),
        ({"voice_setting": {"speed": 3}}, "voice_setting.speed: expected float <= 2.0"),
        ({"voice_setting": {"vol": 0}}, "voice_setting.vol: expected float > 0.0"),
        (
            {"voice_setting": {"pitch": 2}},
            "voice_setting.pitch: is not 0, but the pitch cannot be shifted here; 0 would do",
        ),
        ({"voice_setting": {"emotion": "bored"}}, "voice_setting.emotion: invalid enum value 'bored'"),
        ({"voice_setting": "anna"}, "voice_setting: expected object, got str"),
        ({"audio_setting": {"sample_rate": 96000}}, "audio_setting.sample_rate: expected int <= 48000"),
        ({"audio_setting": {"format": "m4a"}}, "audio_setting.format: invalid enum value 'm4a'"),
        ({"audio_setting": {"bitrate": 100000}}, "audio_setting.bitrate: invalid enum value 100000"),
        ({"audio_setting": {"channel": 2}}, "audio_setting.channel: is 2, but the speech is mono; 1 would do"),
        ({"output_format": "url"}, "output_format: is url, but files are not kept here; hex would do"),
        ({"pronunciation_dict": {"tone": ["a/b"]}}, "pronunciation_dict: cannot be followed here; leave it out"),
        ({"voice_modify": {"timbre": 5}}, "voice_modify: cannot be followed here; leave it out"),
        ({"timbre_weights": [{"voice_id": "a"}] * 2}, "timbre_weights: expected array of length <= 1"),
    ],
)
def test_a_refusal_names_the_field_as_minimax_does(fields: dict[str, Any], problem: str) -> None:
    assert refusal(**fields) == problem


def test_what_changes_nothing_is_taken() -> None:
    asked = parse(pronunciation_dict={"tone": []}, voice_modify={"pitch": 0, "sound_effects": None})
    assert asked == parse()
    assert parse(stream=True, output_format="url").stream  # which MiniMax ignores there, too


def test_the_text_has_a_limit() -> None:
    with pytest.raises(TextTooLong):
        parse(text="x" * 101)
    with pytest.raises(TextTooLong):  # and is not searched
        parse(text="<#1#>" * 101)


def test_our_names_are_told_as_theirs() -> None:
    problem = Problem("invalid_request", "instruction: the engine 'tone' follows none", "instruction")
    assert T2AFailure.of(problem).base_resp.status_msg == "voice_setting.emotion: the engine 'tone' follows none"


def test_every_error_has_one_of_minimaxs_codes() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CosystreamError)]
    codes = {kind.type: base_resp_of(Problem(kind.type, "")).status_code for kind in kinds if hasattr(kind, "type")}
    assert {name for name, code in codes.items() if code == 1000} == {"synthesis_failed", "cancelled"}
    assert {name for name, code in codes.items() if code == 1001} == {"timeout"}
    limits = {"overloaded", "not_ready", "shutting_down"}
    assert limits <= {name for name, code in codes.items() if code == 1002} <= limits | {"rate_limited"}
    assert codes["unauthorized"] == 1004
    assert {codes[name] for name in ("invalid_request", "unknown_voice", "text_too_long", "upload_too_large")} == {2013}


def test_extra_info_is_true() -> None:
    asked = parse(text="你好, 42!", audio_setting={"format": "flac", "sample_rate": 16000})
    info = extra_info(asked, 16000, samples=24000, size=30000)
    assert (info.audio_length, info.audio_sample_rate, info.audio_size) == (1500, 16000, 30000)
    assert (info.bitrate, info.audio_format, info.audio_channel) == (160_000, "flac", 1)
    assert (info.word_count, info.usage_characters) == (4, 7)
    assert extra_info(parse(audio_setting={"format": "pcm"}), 24000, 0, 0).bitrate == 384_000


# Over a WebSocket


def test_the_events_of_a_task_are_read() -> None:
    start = parse_event(orjson.dumps({"event": "task_start", **PIPECAT}))
    assert isinstance(start, TaskStart)
    assert start.settings.voice_setting.voice_id == "anna"
    assert parse_event('{"event": "task_continue", "text": "hello"}') == TaskContinue("hello")
    assert parse_event(b'{"event": "task_finish"}') == TaskFinish()


@pytest.mark.parametrize(
    ("message", "code", "problem"),
    [
        ("", 2013, "the message is not JSON: "),
        ("[]", 2202, "event: is none of task_start, task_continue and task_finish"),
        ('{"event": "task_cancel"}', 2202, "event: is none of task_start, task_continue and task_finish"),
        ('{"event": ["task_start"]}', 2202, "event: is none of task_start, task_continue and task_finish"),
        ('{"event": "task_continue"}', 2013, "text: is missing or no string"),
        ('{"event": "task_continue", "text": 1}', 2013, "text: is missing or no string"),
        ('{"event": "task_start", "voice_setting": {"speed": 0}}', 2013, "voice_setting.speed: expected float >= 0.5"),
    ],
)
def test_what_is_no_event_is_refused(message: str, code: int, problem: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_event(message)
    told = base_resp_of(problem_of(caught.value))
    assert told.status_code == code
    assert told.status_msg.startswith(problem)


# Whatever comes

names = st.sampled_from(["text", "stream", "voice_setting", "audio_setting", "timbre_weights", "voice_modify", "pitch"])
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names | st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(names, values))
def test_whatever_comes_is_speech_within_limits_or_the_callers_fault(fields: dict[str, Any]) -> None:
    try:
        asked = parse_t2a(fields, max_text_chars=100)
    except CallerError as error:
        orjson.dumps(T2AFailure.of(problem_of(error)))  # it can be sent
        return
    assert 0.5 <= asked.call.request.speed <= 2.0
    assert 0 < asked.volume <= 10
    assert 8000 <= (asked.call.rendering.sample_rate or 0) <= 48000


def test_depth_is_no_way_to_break_it() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"voice_setting": deep}
    with pytest.raises(InvalidField):
        parse(text=deep)
    with pytest.raises(InvalidField):
        parse(voice_modify={"a": deep})
    assert parse(unknown=deep) == parse()
