"""OpenAI's own client, with nothing but its base URL changed, against the server as a process."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.wire.openai import FORMATS, SpeechFormat
from tests.support.decoding import decoded
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

HELLO = "你好，我是通义生成式语音大模型。"
HELLO_SECONDS = 14 * 0.2
LONG = "一 " * 2000
"""400 s of tones: more than is computed ahead, and more than fits into the buffers of a connection."""


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


@pytest.fixture(name="client")
def _client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none is wanted", max_retries=0) as client:
        yield client


def events_of(client: openai.OpenAI, **fields: Any) -> openai.Stream[Any]:
    """The speech as typed events, which ``create`` itself does not offer."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": HELLO, "stream_format": "sse"} | fields
    return client.post("/audio/speech", body=body, cast_to=object, stream=True, stream_cls=openai.Stream[object])


# Speech


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_streams_and_plays(client: openai.OpenAI, format_: SpeechFormat) -> None:
    speaking = client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=HELLO, response_format=format_
    )
    with speaking as response:
        audio = b"".join(response.iter_bytes())
        assert response.headers["content-type"] == MEDIA_TYPES[format_]
    assert decoded(audio, format_, 24_000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_format_streams_to_the_asynchronous_client(server: ServerProcess, format_: SpeechFormat) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none is wanted") as client:
        speaking = client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=HELLO, response_format=format_
        )
        async with speaking as response:
            audio = b"".join([chunk async for chunk in response.iter_bytes()])
    assert decoded(audio, format_, 24_000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)


def test_a_file_is_written_as_in_openais_guide(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="coral", input=HELLO) as response:
        response.stream_to_file(path)
    assert decoded(path.read_bytes(), "mp3", 24_000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)
    whole = client.audio.speech.create(model="tts-1", voice="coral", input=HELLO, response_format="pcm", speed=4.0)
    assert len(whole.content) / 2 / 24_000 == pytest.approx(HELLO_SECONDS / 4, abs=0.05)


def test_the_first_chunk_arrives_before_the_whole_is_made(client: openai.OpenAI, server: ServerProcess) -> None:
    speaking = client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=LONG, response_format="pcm"
    )
    with speaking as response:
        chunks = response.iter_bytes()
        first = next(chunks)
        figures = httpx.get(f"{server.url}/metrics").text
    assert len(first) > 0
    assert "cosystream_streams 1.0" in figures, "the end had not come yet"


def test_extensions_go_into_the_extra_body(client: openai.OpenAI) -> None:
    def speak(**extra_body: object) -> bytes:
        answer = client.audio.speech.create(
            model="tts-1", voice="alloy", input=HELLO, response_format="wav", extra_body=extra_body
        )
        return answer.content

    assert len(speak(sample_rate=8000)) == 44 + round(2 * 8000 * HELLO_SECONDS)
    assert speak(seed=7, stream=False)[40:44] != b"\xff\xff\xff\xff"


# Events


@pytest.mark.parametrize("format_", FORMATS)
def test_events_are_typed_and_are_one_file(client: openai.OpenAI, format_: SpeechFormat) -> None:
    *deltas, done = events_of(client, response_format=format_)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(delta["audio"], validate=True) for delta in deltas)
    assert decoded(audio, format_, 24_000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 16, "output_tokens": 70, "total_tokens": 86},
    }


async def test_events_reach_the_asynchronous_client(server: ServerProcess) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": HELLO, "stream_format": "sse"}
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none is wanted") as client:
        stream = await client.post(
            "/audio/speech", body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[Any]
        )
        kinds = [event["type"] async for event in stream]
    assert len(kinds) > 2
    assert kinds == ["speech.audio.delta"] * (len(kinds) - 1) + ["speech.audio.done"]


def test_what_ends_speech_half_way_is_raised_by_the_client(client: openai.OpenAI, server: ServerProcess) -> None:
    with events_of(client, input=LONG, response_format="pcm") as events:
        assert next(events)["type"] == "speech.audio.delta"
        request_id = events.response.headers["x-request-id"]
        assert httpx.delete(f"{server.url}/requests/{request_id}").status_code == 204
        with pytest.raises(openai.APIError) as caught:
            list(events)
    assert (caught.value.type, caught.value.code) == ("cancelled", "cancelled")


# What is served


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [(model.id, model.object, model.owned_by) for model in client.models.list()] == [
        ("tone", "model", "cosystream")
    ]
    assert client.models.retrieve("tone").id == "tone"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("tts-1")


# Errors


def test_an_unknown_voice_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no voice 'bob'; there are 中文女, 中文男") as caught:
        client.audio.speech.create(model="tts-1", voice="bob", input=HELLO)
    assert (caught.value.type, caught.value.param, caught.value.code) == ("unknown_voice", "voice", "unknown_voice")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": " "}, "input"),
        ({"speed": 5.0}, "speed"),
        ({"instructions": "Speak cheerfully."}, "instructions"),
        ({"extra_body": {"ref_audio": "no base64!"}}, "ref_audio"),
    ],
)
def test_a_bad_request_is_one(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": HELLO} | fields)
    assert (caught.value.type, caught.value.param) == ("invalid_request", param)


def test_too_long_a_text_is_told_the_limit(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="4096 are the most") as caught:
        client.audio.speech.create(model="tts-1", voice="alloy", input="x" * 4097)
    assert (caught.value.status_code, caught.value.param) == (413, "input")


def test_a_key_is_wanted_where_keys_are_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSTREAM_API_KEYS", "s3cret")
    with running_server(tmp_path, "--engine", "tone", "--openai-voices", "alloy=英文男") as server:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.audio.speech.create(model="tts-1", voice="alloy", input=HELLO)
            assert caught.value.code == "invalid_api_key"
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="s3cret") as client:
            assert [model.id for model in client.models.list()] == ["tone"]
            named, chosen = (
                client.audio.speech.create(model="tts-1", voice=voice, input=HELLO, response_format="pcm").content
                for voice in ("英文男", "alloy")
            )
    assert named == chosen


def test_the_client_comes_back_after_as_long_as_a_full_server_says(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def leave_when_refused(answer: httpx2.Response) -> None:
        seen.append((answer.status_code, time.monotonic()))
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            listener.close()

    with (
        running_server(tmp_path, "--engine", "tone", "--max-streams", "1", "--max-queue", "0") as server,
        httpx.stream("POST", f"{server.url}/synthesize/stream", json={"text": LONG, "format": "pcm"}) as listener,
        httpx2.Client(event_hooks={"response": [leave_when_refused]}) as http_client,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none is wanted", http_client=http_client) as client,
    ):
        chunks = listener.iter_raw()
        next(chunks)
        audio = client.audio.speech.create(model="tts-1", voice="alloy", input=HELLO).content
    (refused, began), (answered, ended) = seen
    assert (refused, answered) == (503, 200)
    assert ended - began >= 1.0
    assert decoded(audio, "mp3", 24_000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)
