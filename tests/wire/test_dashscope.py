"""What DashScope's clients say, and the events that tell them what they hear."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import orjson
import pytest

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
)
from cosystream.types import Voice
from cosystream.wire.dashscope import Instruction, Task, Written, parse_instruction, task_in, written_in
from cosystream.wire.dashscope_events import Narration, billed_characters, error_code, word_times
from cosystream.wire.dashscope_voices import speaker_for

VOICES = (
    Voice("中文女", ("zh", "en"), "female"),
    Voice("英文男", ("en", "zh"), "male"),
    Voice("中文男", ("zh", "en"), "male"),
)
BY_THE_CLIENT = {
    "voice": "longxiaochun_v2",
    "volume": 50,
    "text_type": "PlainText",
    "sample_rate": 24000,
    "rate": 1.0,
    "format": "pcm",
    "pitch": 1.0,
    "seed": 0,
    "type": 0,
    "enable_ssml": True,
}
"""What its ``call`` sends, whatever the text."""


def instruction(action: str = "run-task", *, streaming: str = "duplex", **payload: object) -> Instruction:
    header = {"action": action, "task_id": "t1", "streaming": streaming}
    return parse_instruction(orjson.dumps({"header": header, "payload": payload}))


def task(**parameters: object) -> Task:
    return task_in(instruction(parameters=parameters), VOICES, "中文女")


def written(**given: object) -> Written:
    return written_in(instruction("continue-task", input=given))


# Instructions


@pytest.mark.parametrize("action", ["run-task", "continue-task", "finish-task"])
def test_an_instruction_says_what_is_to_be_done_with_which_task(action: str) -> None:
    read = instruction(action, input={})
    assert (read.action, read.task_id, read.says_all, read.payload) == (action, "t1", False, {"input": {}})


@pytest.mark.parametrize(("streaming", "says_all"), [("duplex", False), ("in", False), ("out", True), ("none", True)])
def test_the_header_says_whether_more_will_follow(streaming: str, says_all: bool) -> None:
    assert instruction(streaming=streaming).says_all is says_all


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "{}",
        b"\xff\x00",
        '{"header": {"action": "run-task"}}',
        '{"header": {"action": "sing-task", "task_id": "t1"}}',
        '{"header": {"action": "run-task", "task_id": ""}}',
        '{"header": {"action": "run-task", "task_id": 7}}',
        '{"header": {"action": "run-task", "task_id": "t1"}, "payload": []}',
        '{"header": {"action": "continue-task", "task_id": "t1"}, "payload": {"input": {"text": "\\ud800"}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_instruction_is_refused(message: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"this is no instruction .*; send header.action run-task"):
        parse_instruction(message)


# The text


def test_an_instruction_brings_text_or_wants_it_flushed_or_cancelled() -> None:
    assert written(text="你好") == Written("你好", flush=False, cancel=False)
    assert written(flush=True) == Written("", flush=True, cancel=False)
    assert written(directive="cancel") == Written("", flush=False, cancel=True)
    assert written(text=None, flush=None) == Written("", flush=False, cancel=False)
    assert written_in(instruction("finish-task")) == Written("", flush=False, cancel=False)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"text": 7}, "text: is '7'; a string would do"),
        ({"flush": "perhaps"}, "flush: is 'perhaps'; true or false would do"),
        ({"directive": "stop"}, "directive: is 'stop'; cancel would do"),
        ({"text": "a\0b"}, "text: holds the control character U\\+0000; take it out"),
        ({"text": " <speak>hello</speak>"}, "text: is SSML, which is not read here; send plain text"),
    ],
)
def test_text_that_cannot_be_spoken_is_refused(given: Mapping[str, object], problem: str) -> None:
    with pytest.raises(InvalidField, match=problem):
        written(**given)


def test_a_payload_holds_objects() -> None:
    with pytest.raises(InvalidField, match="payload: holds input or parameters that are no object"):
        written_in(instruction("continue-task", input="hello"))
    with pytest.raises(InvalidField, match="payload: holds input or parameters that are no object"):
        task_in(instruction(parameters=[]), VOICES, "中文女")


# Parameters


def test_what_the_client_sends_is_read() -> None:
    read = task(**BY_THE_CLIENT)
    assert (read.request.text, read.request.speaker, read.request.speed) == ("", "中文女", 1.0)
    assert (read.request.seed, read.request.instruction) == (0, None)
    assert (read.rendering.format, read.rendering.sample_rate, read.rendering.bit_rate) == ("pcm", 24_000, None)
    assert (read.gain, read.pitch, read.word_times) == (1.0, 1.0, False)


def test_what_is_left_out_is_as_at_dashscope() -> None:
    read = task_in(instruction(), VOICES, "中文女")
    assert (read.request.speaker, read.request.seed) == ("中文女", None)
    assert (read.rendering.format, read.rendering.sample_rate, read.gain) == ("mp3", 22_050, 1.0)
    assert task(format="Default", sample_rate=0, voice=None, volume=None) == read


def test_parameters_are_followed() -> None:
    read = task(rate=1.5, volume=80, pitch=1.2, seed=7, instruction="用四川话说", word_timestamp_enabled=True)
    assert (read.request.speed, read.request.seed, read.request.instruction) == (1.5, 7, "用四川话说")
    assert (read.gain, read.pitch, read.word_times) == (1.6, 1.2, True)


@pytest.mark.parametrize("format_", ["pcm", "wav", "mp3", "opus", "MP3", "WAV"])
def test_formats_have_their_names_in_any_case(format_: str) -> None:
    assert task(format=format_).rendering.format == format_.lower()


def test_only_opus_has_a_bit_rate() -> None:
    assert task(format="opus").rendering.bit_rate == 32_000
    assert task(format="opus", bit_rate=64).rendering.bit_rate == 64_000
    assert task(format="mp3", bit_rate=128_000).rendering.bit_rate is None
    with pytest.raises(InvalidField, match="bit_rate: is '128000'; a whole number from 6 to 510 would do"):
        task(format="opus", bit_rate=128_000)


def test_numbers_may_be_strings() -> None:
    assert task(volume="80", rate="2.0", sample_rate="16000") == task(volume=80, rate=2, sample_rate=16_000)


def test_what_is_for_other_models_is_ignored() -> None:
    assert task(language_hints=["zh"], type=0, custom="anything", hot_fix={}, enable_markdown_filter=False) == task()


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        ({"volume": 101}, "volume: is '101'; a whole number from 0 to 100 would do"),
        ({"volume": -1}, "volume: is '-1'; a whole number from 0 to 100 would do"),
        ({"rate": 2.5}, "rate: is '2.5'; a number from 0.5 to 2.0 would do"),
        ({"rate": "fast"}, "rate: is 'fast'; a number from 0.5 to 2.0 would do"),
        ({"pitch": 0.1}, "pitch: is '0.1'; a number from 0.5 to 2.0 would do"),
        ({"format": "aiff"}, "format: is 'aiff'; pcm, wav, mp3 or opus would do"),
        ({"format": 3}, "format: is '3'; pcm, wav, mp3 or opus would do"),
        ({"sample_rate": 96_000}, "sample_rate: is '96000'; a whole number from 8000 to 48000 would do"),
        ({"seed": 2**63}, "seed: is '9223372036854775808'; a whole number of at most 64 bits would do"),
        ({"instruction": "x" * 501}, "instruction: is 'x+'; a string of at most 500 characters would do"),
        ({"voice": ["longwan"]}, "voice: is .*; a string would do"),
        ({"hot_fix": {"replace": [{"草地": "草弟"}]}}, "hot_fix: .* cannot be prescribed here; leave it out"),
        ({"phoneme_timestamp_enabled": True}, "phoneme_timestamp_enabled: phonemes are not timed here; leave it out"),
        ({"enable_markdown_filter": True}, "enable_markdown_filter: Markdown is not taken out here"),
        ({"enable_aigc_tag": True}, "enable_aigc_tag: no mark is hidden in the audio here; leave it out"),
    ],
)
def test_a_parameter_that_will_not_do_is_refused_by_name(parameter: Mapping[str, object], problem: str) -> None:
    with pytest.raises(InvalidField, match=problem):
        task(**parameter)


def test_other_tasks_than_speech_are_refused() -> None:
    with pytest.raises(InvalidField, match="task: is 'asr'; only tts is served here"):
        task_in(instruction(task="asr"), VOICES, "中文女")
    assert task_in(instruction(task="tts"), VOICES, "中文女") == task()


# Voices


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("", "中文女"),
        ("英文男", "英文男"),
        ("longxiaochun", "中文女"),
        ("longxiaochun_v2", "中文女"),
        ("longanhuan_v3.6", "中文女"),
        ("loongstella", "中文女"),
        ("longnobodyknows_v9", "中文女"),
        ("longanyang", "中文男"),
        ("longcheng_v2", "中文男"),
        ("loongjohn", "中文男"),
    ],
)
def test_dashscopes_voices_are_spoken_by_ours_of_their_gender(name: str, speaker: str) -> None:
    assert speaker_for(name, VOICES, "中文女") == speaker


@pytest.mark.parametrize("name", ["nobody", "long", "Cherry", "longxiaochun v2", "along", "cosyvoice-v2-mine-1234"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(
        UnknownVoice, match=f"no voice '{name}'; there are 中文女, 英文男, 中文男, and DashScope's names"
    ):
        speaker_for(name, VOICES, "中文女")


def test_a_voice_of_ours_keeps_its_name() -> None:
    ours = (*VOICES, Voice("longcheng", ("zh",), "female"))
    assert speaker_for("longcheng", ours, "中文女") == "longcheng"


def test_without_a_voice_of_the_gender_the_default_speaks() -> None:
    assert speaker_for("longcheng", VOICES[:1], "中文女") == "中文女"
    assert speaker_for("longwan", VOICES[1:], "中文男") == "中文男"
    assert speaker_for("longwan", (), "") == ""


def test_where_nobody_shares_the_mother_tongue_another_of_the_gender_speaks() -> None:
    assert speaker_for("longcheng", VOICES[:2], "中文女") == "英文男"


# Events


def read(event: str) -> Any:
    return orjson.loads(event)


def test_a_task_is_told_from_its_beginning_to_its_end() -> None:
    narration = Narration("t1", "r1")
    events = [
        narration.started(),
        *narration.begins("你好。", 0),
        narration.sounds(500),
        *narration.begins("Bye.", 900),
        narration.sounds(1200),
        *narration.ends(1300),
        narration.finished(9),
    ]
    assert [read(event)["header"] for event in events] == [
        {"task_id": "t1", "event": name, "attributes": {"request_uuid": "r1"}}
        for name in ("task-started", *["result-generated"] * 6, "task-finished")
    ]
    sentence = {"index": 0, "begin_time": 0, "words": []}
    next_sentence = {"index": 1, "begin_time": 900, "words": []}
    assert [read(event)["payload"] for event in events] == [
        {},
        {"output": {"type": "sentence-begin", "sentence": {**sentence, "end_time": 0}, "original_text": "你好。"}},
        {"output": {"type": "sentence-synthesis", "sentence": {**sentence, "end_time": 500}}},
        {
            "output": {"type": "sentence-end", "sentence": {**sentence, "end_time": 900}, "original_text": "你好。"},
            "usage": {"characters": 5},
        },
        {"output": {"type": "sentence-begin", "sentence": {**next_sentence, "end_time": 900}, "original_text": "Bye."}},
        {"output": {"type": "sentence-synthesis", "sentence": {**next_sentence, "end_time": 1200}}},
        {
            "output": {
                "type": "sentence-end",
                "sentence": {**next_sentence, "end_time": 1300},
                "original_text": "Bye.",
            },
            "usage": {"characters": 9},
        },
        {"output": {"sentence": {"words": []}}, "usage": {"characters": 9}},
    ]


def test_words_are_told_at_the_end_of_their_sentence_if_they_are_wanted() -> None:
    narration = Narration("t1", "r1", word_times=True)
    begin, end = *narration.begins("你 too", 1000), *narration.ends(3000)
    assert read(begin)["payload"]["output"]["sentence"]["words"] == []
    assert read(end)["payload"]["output"]["sentence"]["words"] == [
        {"text": "你", "begin_index": 0, "end_index": 1, "begin_time": 1000, "end_time": 2000},
        {"text": "too", "begin_index": 2, "end_index": 5, "begin_time": 2000, "end_time": 3000},
    ]


def test_a_task_that_said_all_ends_with_null() -> None:
    finished = read(Narration("t1", "r1", says_all=True).finished(2))
    assert finished["payload"] == {"output": None, "usage": {"characters": 2}}


def test_nothing_ends_that_has_not_begun() -> None:
    narration = Narration("t1", "r1")
    assert not narration.has_begun
    assert narration.ends(100) == []


def test_a_failure_has_a_code_and_a_message_in_the_header() -> None:
    failed = read(Narration("t1", "r1").failed(InvalidField("rate", "is 9")))
    assert failed["header"] == {
        "task_id": "t1",
        "event": "task-failed",
        "error_code": "InvalidParameter",
        "error_message": "rate: is 9",
        "attributes": {"request_uuid": "r1"},
    }
    assert failed["payload"] == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("x"), "InvalidParameter"),
        (UnknownVoice("x"), "InvalidParameter"),
        (TextTooLong("x"), "InvalidParameter"),
        (Overloaded("x", retry_after_seconds=1), "Throttling"),
        (NotReady("x", retry_after_seconds=1), "ServiceUnavailable"),
        (ShuttingDown("x", retry_after_seconds=1), "ServiceUnavailable"),
        (Stalled("x"), "GatewayTimeout"),
        (Cancelled("x"), "TaskCancelled"),
        (SynthesisFailed("x"), "InternalError"),
    ],
)
def test_errors_have_dashscopes_names(error: CosystreamError, code: str) -> None:
    assert error_code(error) == code


@pytest.mark.parametrize(
    "sentence", ["床前明月光，疑是地上霜。", "It's 7 o'clock, isn't it?", "GPT是什么？3 天", "。", ""]
)
def test_words_fill_their_sentence_in_order(sentence: str) -> None:
    words = word_times(sentence, 500, 2600)
    assert all(sentence[word.begin_index : word.end_index] == word.text for word in words)
    if words:
        times = [time for word in words for time in (word.begin_time, word.end_time)]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (500, 2600)
        assert all(before.end_time == after.begin_time for before, after in pairwise(words))


def test_words_are_what_is_between_signs_and_each_chinese_character() -> None:
    words = [word.text for word in word_times("It's 7 o'clock，床前 GPT四！", 0, 100)]
    assert words == ["It's", "7", "o'clock", "床", "前", "GPT", "四"]


@pytest.mark.parametrize(("text", "number"), [("你好", 4), ("中A文123", 8), ("中文。", 5), ("中 文。", 6), ("", 0)])
def test_characters_are_counted_as_dashscope_does(text: str, number: int) -> None:
    assert billed_characters(text) == number
