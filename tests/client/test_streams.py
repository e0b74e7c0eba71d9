"""Streams that end as they should and streams that do not, read by both clients."""

import json
import math
import socket

import pytest

from cosystream.client import BrokenOff, Chunk, Done, Prompt, Sentence, Start, Unreachable
from cosystream.errors import (
    Cancelled,
    ConfigError,
    InvalidField,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    UnknownVoice,
)
from tests.client.conftest import Hear
from tests.client.scripted import (
    AUDIO,
    DONE,
    EVENTS,
    GONE,
    PCM,
    RESET,
    START,
    Gate,
    Step,
    piece,
    refused,
    scripted_server,
    whole,
)

QUEUED = b'event: queued\ndata: {"request_id":"r1","position":1,"eta_ms":5}\n\n'
SECOND = b'id: r1:1\nevent: audio\ndata: {"index":1,"audio":"AwA=","samples":1,"offset_ms":0}\n\n'
OVERLOADED = b'{"error":{"type":"overloaded","message":"the queue is full","field":null}}'


def failed(type_: str) -> bytes:
    return b'event: error\ndata: {"error":{"type":"%b","message":"no","field":null},"partial_audio":true}\n\n' % (
        type_.encode()
    )


def test_a_whole_stream_is_its_events_in_order(hear: Hear) -> None:
    sentence = 'event: sentence\ndata: {"index":0,"text":"你好","begin_ms":0}\n\n'.encode()
    with scripted_server(whole(b": ping\n", START, sentence, AUDIO, DONE)) as server:
        start, said, chunk, done = hear(server.url)
    assert isinstance(start, Start)
    assert said == Sentence(0, "你好", 0)
    assert chunk == Chunk(PCM, 24000, 0, 0)
    assert isinstance(done, Done)
    assert (done.samples, done.rtf) == (2, 0.5)


def test_what_a_later_server_adds_is_skipped(hear: Hear) -> None:
    start = START.replace(b'"seed"', b'"mood":"calm","seed"')
    with scripted_server(whole(start, b"event: applause\ndata: {}\n\n", AUDIO, DONE)) as server:
        assert [type(event) for event in hear(server.url)] == [Start, Chunk, Done]


def test_audio_is_read_as_the_start_says(hear: Hear) -> None:
    start, audio = START.replace(b"base64", b"hex"), AUDIO.replace(b"AQACAA==", b"01000200")
    with scripted_server(whole(start, audio, DONE)) as server:
        assert Chunk(PCM, 24000, 0, 0) in hear(server.url)


def test_the_fields_are_sent_as_they_were_given(hear: Hear) -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server:
        hear(server.url, "你好", speaker="anna", speed=1.5, seed=3, sample_rate=8000, prompt=Prompt(b"RIFF", "words"))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /synthesize/stream HTTP/1.1")
    assert json.loads(body) == {
        "text": "你好",
        "encoding": "base64",
        "speaker": "anna",
        "speed": 1.5,
        "seed": 3,
        "sample_rate": 8000,
        "prompt_wav": "UklGRg==",
        "prompt_text": "words",
    }


@pytest.mark.parametrize(
    "script",
    [
        whole(START, AUDIO),
        whole(START),
        whole(),
        whole(START, AUDIO, DONE[:-1]),
        [EVENTS, piece(START), piece(AUDIO)],
        [EVENTS, piece(START), piece(AUDIO), RESET],
        [EVENTS],
        [b""],
        [RESET],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
    ],
    ids=[
        "no done",
        "no audio",
        "nothing",
        "half a done",
        "no last chunk",
        "a reset",
        "head only",
        "no answer",
        "a reset at once",
        "not HTTP",
    ],
)
def test_a_stream_that_merely_stops_raises(hear: Hear, script: list[Step]) -> None:
    with scripted_server(script) as server, pytest.raises(BrokenOff):
        hear(server.url)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([AUDIO, DONE], "audio came before the start"),
        ([START, AUDIO.replace(b'"index":0', b'"index":1')], "chunk 1 came in place of chunk 0"),
        ([START, AUDIO, AUDIO], "chunk 0 came in place of chunk 1"),
        ([START, DONE], "0 samples arrived, and 2 were sent"),
        ([START, AUDIO.replace(b"AQACAA==", b"AQACAA=")], "chunk 0 is not base64"),
        ([START, b"event: audio\ndata: {}\n\n"], "what should be Audio is not"),
        ([START, b"event: audio\ndata: \xff\n\n"], "what should be Audio is not"),
    ],
)
def test_a_stream_that_goes_wrong_raises(hear: Hear, events: list[bytes], words: str) -> None:
    with scripted_server(whole(*events)) as server, pytest.raises(BrokenOff, match=words):
        hear(server.url)


def test_an_answer_that_is_no_stream_of_events_is_told(hear: Hear) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    with scripted_server([answer]) as server, pytest.raises(BrokenOff, match="text/html, not a stream of events"):
        hear(server.url)


@pytest.mark.parametrize(
    ("type_", "kind"), [("synthesis_failed", SynthesisFailed), ("timeout", Stalled), ("cancelled", Cancelled)]
)
def test_an_error_in_the_stream_is_raised(hear: Hear, type_: str, kind: type[Exception]) -> None:
    with scripted_server(whole(START, AUDIO, failed(type_))) as server, pytest.raises(kind, match="no"):
        hear(server.url, retries=3)


def test_silence_for_too_long_is_told(hear: Hear) -> None:
    never = Gate()
    with scripted_server([EVENTS, piece(START), never]) as server:
        with pytest.raises(Stalled, match=r"not a byte in 0\.2 s"):
            hear(server.url, timeout=0.2)
        assert server.left.wait(10)


def test_where_nobody_listens_the_words_say_what_to_do(hear: Hear) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(
        Unreachable, match=rf"http://127.0.0.1:{port}: nobody answers .* cosystream serve starts a server"
    ):
        hear(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["ftp://localhost", "http://", "http://localhost:many", "http://[::1"])
def test_an_address_that_is_none_is_told_at_once(hear: Hear, url: str) -> None:
    with pytest.raises(ConfigError, match="http://localhost:50000 would do"):
        hear(url)


def test_a_password_in_an_address_is_refused_without_being_shown(hear: Hear) -> None:
    with pytest.raises(ConfigError) as caught:
        hear("http://anna:s3cret@localhost")
    assert "s3cret" not in str(caught.value)


def test_an_address_may_lack_its_scheme_and_have_a_path(hear: Hear) -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server:
        hear(server.url.removeprefix("http://") + "/speech/")
    assert server.requests[0].startswith(b"POST /speech/synthesize/stream ")


def test_half_a_character_is_refused_before_anything_is_sent(hear: Hear) -> None:
    with pytest.raises(InvalidRequest, match="lone surrogate"):
        hear("http://localhost:1", "\ud83d")


@pytest.mark.parametrize("speed", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused_before_anything_is_sent(hear: Hear, speed: float) -> None:
    with pytest.raises(InvalidField, match=r"speed: is -?(nan|inf); a finite number would do"):
        hear("http://localhost:1", speed=speed)


# Coming back


def test_who_is_told_to_come_back_comes_back(hear: Hear) -> None:
    refusal = refused(503, OVERLOADED, b"Retry-After: 0")
    with scripted_server(refusal, refusal, whole(START, AUDIO, DONE)) as server:
        events = hear(server.url, retries=2)
    assert [type(event) for event in events] == [Start, Chunk, Done]
    assert len(server.requests) == 3
    assert len(set(server.requests)) == 1


def test_who_has_come_back_often_enough_gives_up(hear: Hear) -> None:
    refusal = refused(503, OVERLOADED, b"Retry-After: 0")
    with (
        scripted_server(refusal, refusal) as server,
        pytest.raises(Overloaded, match="the queue is full") as caught,
    ):
        hear(server.url, retries=1)
    assert caught.value.retry_after_seconds == 0.0


def test_a_wait_longer_than_the_timeout_is_left_to_the_caller(hear: Hear) -> None:
    with (
        scripted_server(refused(429, OVERLOADED, b"Retry-After: 60")) as server,
        pytest.raises(Overloaded) as caught,
    ):
        hear(server.url, retries=5)
    assert caught.value.retry_after_seconds == 60.0


def test_who_was_in_the_queue_comes_back_when_the_engine_has_died(hear: Hear) -> None:
    with scripted_server(whole(QUEUED, failed("not_ready")), whole(START, AUDIO, DONE)) as server:
        assert [type(event) for event in hear(server.url, retries=1)][1:] == [Start, Chunk, Done]


@pytest.mark.parametrize(
    "broken",
    [
        [EVENTS, piece(START + AUDIO), RESET],
        [EVENTS, piece(START + AUDIO + SECOND[:-1])],
        whole(START, AUDIO),
        whole(START, AUDIO, failed("not_ready")),
    ],
    ids=["a reset", "half a chunk", "no done", "an engine that died"],
)
def test_who_has_heard_something_asks_for_the_rest(hear: Hear, broken: list[Step]) -> None:
    rest = whole(QUEUED, START, SECOND, DONE.replace(b'"samples":2', b'"samples":3'))
    with scripted_server(broken, refused(503, OVERLOADED, b"Retry-After: 0"), rest) as server:
        events = hear(server.url, retries=2)
    chunks = [event for event in events if isinstance(event, Chunk)]
    assert [(chunk.index, chunk.pcm) for chunk in chunks] == [(0, PCM), (1, b"\x03\x00")]
    assert isinstance(events[-1], Done)
    whole_body, *rest_bodies = [request.partition(b"\r\n\r\n") for request in server.requests]
    assert b"last-event-id" not in whole_body[0].lower()
    for head, _, body in rest_bodies:
        assert b"last-event-id: r1:0" in head.lower()
        assert body == whole_body[2]


def test_where_the_rest_is_forgotten_what_cut_it_off_is_raised(hear: Hear) -> None:
    forgotten: list[Step] = [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]
    with (
        scripted_server(whole(START, AUDIO), forgotten) as server,
        pytest.raises(BrokenOff, match="stopped after 1 chunks"),
    ):
        hear(server.url, retries=5)
    with scripted_server(whole(START, AUDIO, failed("not_ready")), forgotten) as server, pytest.raises(NotReady):
        hear(server.url, retries=5)


@pytest.mark.parametrize("last", [whole(START, AUDIO, failed("shutting_down")), refused(503, b"{}", b"Retry-After: 0")])
def test_where_nobody_answers_any_more_what_the_server_said_before_is_raised(hear: Hear, last: list[Step]) -> None:
    kind = NotReady if last[0] is not EVENTS else ShuttingDown
    with scripted_server([GONE, *last]) as server, pytest.raises(kind):
        hear(server.url, retries=5)


def test_where_nobody_answers_any_more_and_nothing_was_said_that_is_told(hear: Hear) -> None:
    with scripted_server([GONE, *whole(START, AUDIO)]) as server, pytest.raises(Unreachable):
        hear(server.url, retries=5)


def test_a_connection_that_is_lost_before_there_is_anything_is_made_again(hear: Hear) -> None:
    with scripted_server([b""], [RESET], whole(START, AUDIO, DONE)) as server:
        assert [type(event) for event in hear(server.url, retries=2)] == [Start, Chunk, Done]


@pytest.mark.parametrize("end", [b"", RESET], ids=["closed", "reset"])
def test_who_has_heard_it_all_does_not_mind_how_the_connection_ends(hear: Hear, end: Step) -> None:
    with scripted_server([EVENTS, piece(START + AUDIO + DONE), end]) as server:
        assert [type(event) for event in hear(server.url, retries=5)] == [Start, Chunk, Done]
    assert len(server.requests) == 1


def test_a_stream_that_goes_wrong_is_not_tried_again(hear: Hear) -> None:
    with scripted_server(whole(START, AUDIO, AUDIO)) as server, pytest.raises(BrokenOff, match="chunk 0 came"):
        hear(server.url, retries=5)
    assert len(server.requests) == 1


def test_the_callers_own_fault_is_not_tried_again(hear: Hear) -> None:
    unknown = b'{"error":{"type":"unknown_voice","message":"no voice bob","field":"speaker"}}'
    with scripted_server(refused(404, unknown)) as server, pytest.raises(UnknownVoice, match="no voice bob"):
        hear(server.url, retries=5)
