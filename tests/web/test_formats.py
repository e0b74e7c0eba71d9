"""The same speech, whatever the format that it is asked for in."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.types import ASGIApp

from cosystream.audio.formats import FORMATS, MEDIA_TYPES, Format, rate_for
from cosystream.audio.pcm import from_pcm, to_pcm
from cosystream.audio.resample import Resampler
from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import SynthesisFailed
from cosystream.types import AudioChunk, SynthesisRequest
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask, exchange
from tests.support.decoding import decoded, delay, snr_db
from tests.support.engines import ScriptedEngine

STREAM = "/synthesize/stream"
FIELDS: dict[str, Any] = {"text": "今天天气很好。Shall we go for a walk? 好的，3 点见！", "seed": 7}
ANY = pytest.mark.parametrize("format_", FORMATS)
ROUTES = pytest.mark.parametrize(
    ("path", "method"), [(STREAM, "json"), (STREAM, "data"), ("/synthesize", "data"), ("/synthesize_complete", "data")]
)
LOSSLESS = ("pcm", "wav", "flac")


async def spoken(app: ASGIApp, path: str, method: str, **fields: object) -> Answer:
    answer = await ask(app, "POST", path, **{method: FIELDS | fields})
    assert answer.status == 200
    return answer


async def pcm_of(app: ASGIApp, sample_rate: int, **fields: object) -> NDArray[np.float32]:
    return from_pcm((await spoken(app, STREAM, "json", **fields, format="pcm", sample_rate=sample_rate)).body)


def assert_says(file: bytes, format_: Format, said: NDArray[np.float32], sample_rate: int) -> None:
    """That ``file`` decodes to ``said``, but for what the codec loses and fills up."""
    recording = decoded(file, format_, sample_rate)
    assert recording.sample_rate == (48_000 if format_ == "opus" else sample_rate)  # all Opus is decoded at 48 kHz
    resampler = Resampler(recording.sample_rate, sample_rate)
    heard = from_pcm(resampler.feed(to_pcm(recording.waveform)) + resampler.finish())
    if format_ in LOSSLESS:
        assert np.array_equal(heard, said)
    assert snr_db(heard, said) > 20
    assert 0 <= delay(heard, said) < 0.15 * sample_rate
    assert 0 <= heard.size - said.size < 0.25 * sample_rate


@ANY
@ROUTES
async def test_every_format_says_what_pcm_says(tone: ASGIApp, path: str, method: str, format_: Format) -> None:
    answer = await spoken(tone, path, method, format=format_)
    rate = rate_for(format_, 24_000)
    assert answer.headers["content-type"] == MEDIA_TYPES[format_]
    assert answer.headers["x-sample-rate"] == str(rate)
    assert answer.headers["x-channels"] == "1"
    assert answer.headers["x-sample-format"] == (format_ if format_ in ("mulaw", "alaw") else "s16le")
    assert ("content-length" in answer.headers) == (path == "/synthesize_complete")
    assert_says(answer.body, format_, await pcm_of(tone, rate), rate)


@ANY
async def test_every_format_in_json_says_what_pcm_says(tone: ASGIApp, format_: Format) -> None:
    answer = (await spoken(tone, "/synthesize", "json", format=format_)).json
    said = await pcm_of(tone, rate_for(format_, 24_000))
    assert answer["sample_rate"] == rate_for(format_, 24_000)
    assert answer["duration_ms"] == round(said.size * 1000 / answer["sample_rate"])
    assert_says(bytes.fromhex(answer["audio"]), format_, said, answer["sample_rate"])


@pytest.mark.parametrize("speed", [0.5, 2.0])
@pytest.mark.parametrize("format_", ["mp3", "opus", "flac"])
async def test_faster_and_slower_speech_too(tone: ASGIApp, format_: Format, speed: float) -> None:
    answer = await spoken(tone, STREAM, "json", format=format_, speed=speed)
    assert_says(answer.body, format_, await pcm_of(tone, 24_000, speed=speed), 24_000)


@pytest.mark.parametrize("wanted", [8_000, 11_025, 22_050, 44_100, 48_000, 12_345])
@ANY
async def test_the_rate_that_is_told_is_the_one_that_is_held(tone: ASGIApp, format_: Format, wanted: int) -> None:
    answer = await spoken(tone, STREAM, "json", format=format_, sample_rate=wanted)
    told = int(answer.headers["x-sample-rate"])
    assert told == rate_for(format_, wanted)
    said = await pcm_of(tone, told)
    heard = decoded(answer.body, format_, told)
    assert heard.sample_rate == (48_000 if format_ == "opus" else told)
    assert heard.seconds == pytest.approx(said.size / told, abs=0.4)  # at 8 kHz a packet of AAC lasts 128 ms
    collected = (await spoken(tone, "/synthesize", "json", format=format_, sample_rate=wanted)).json
    assert collected["sample_rate"] == told


@pytest.mark.parametrize(
    ("accept", "format_"), [*((media_type, format_) for format_, media_type in MEDIA_TYPES.items())]
)
async def test_the_media_type_asked_for_is_the_one_that_comes(tone: ASGIApp, accept: str, format_: Format) -> None:
    answer = await ask(tone, "GET", STREAM, params=FIELDS, headers={"accept": accept})
    assert answer.headers["content-type"] == accept
    rate = rate_for(format_, 24_000)
    assert_says(answer.body, format_, await pcm_of(tone, rate), rate)


async def test_a_complete_wav_says_how_long_it_is_and_a_streamed_one_does_not(tone: ASGIApp) -> None:
    complete = (await spoken(tone, "/synthesize_complete", "data", format="wav")).body
    streamed = (await spoken(tone, "/synthesize", "data", format="wav")).body
    with wave.open(io.BytesIO(complete)) as file:
        assert file.getnframes() * 2 == len(complete) - 44
    assert streamed[4:8] == streamed[40:44] == b"\xff" * 4
    assert streamed[44:] == complete[44:]


# While it is being made


def chunks_of(text: str) -> list[AudioChunk]:
    synthesizer = ToneSynthesizer()
    return list(synthesizer.synthesize(synthesizer.prepare(SynthesisRequest(text))))


def speaking(*chunks: AudioChunk | asyncio.Event | Exception) -> ASGIApp:
    return create_app(ScriptedEngine(*chunks), Settings())


@pytest.mark.parametrize("sample_rate", [None, 48_000])
@ANY
async def test_the_first_byte_leaves_before_half_of_the_audio_is_made(format_: Format, sample_rate: int | None) -> None:
    chunks, half = chunks_of("one two three four five six seven eight"), asyncio.Event()
    app = speaking(*chunks[:5], half, *chunks[5:])
    fields = {"text": "hello", "format": format_, "sample_rate": sample_rate}
    async with exchange(app, "POST", STREAM, json=fields) as stream:
        assert (await stream.next())["status"] == 200
        assert (await stream.next())["body"]
        half.set()
        answer = await stream.ended()
    assert answer.is_whole
    rate = int(answer.headers["x-sample-rate"])
    resampler = Resampler(24_000, rate)
    said = b"".join(resampler.feed(chunk.pcm) for chunk in chunks) + resampler.finish()
    assert_says(answer.body, format_, from_pcm(said), rate)


@ANY
async def test_what_was_made_so_far_can_be_heard_while_the_rest_is_made(format_: Format) -> None:
    chunks, rest = chunks_of("one two three four five six seven eight"), asyncio.Event()
    engine = ScriptedEngine(*chunks[:8], rest, *chunks[8:])
    rate, heard_seconds = rate_for(format_, 24_000), 0.0
    fields = {"text": "hello", "format": format_}
    async with exchange(create_app(engine, Settings()), "POST", STREAM, json=fields) as stream:
        await stream.next()
        sent = b""
        while heard_seconds < 0.8 - 0.15:
            sent += (await stream.next())["body"]
            heard_seconds = decoded(sent, format_, rate).seconds
        rest.set()
        assert (await stream.ended()).is_whole


@ANY
async def test_a_failure_before_the_first_sample_has_a_status_of_its_own(format_: Format) -> None:
    answer = await ask(speaking(SynthesisFailed("lost my voice")), "POST", STREAM, json=FIELDS | {"format": format_})
    assert (answer.status, answer.json["error"]["message"]) == (500, "lost my voice")


@ANY
async def test_audio_that_breaks_off_lacks_its_end(format_: Format) -> None:
    app = speaking(*chunks_of("one two three four"), SynthesisFailed("lost my voice"))
    answer = await ask(app, "POST", STREAM, json=FIELDS | {"format": format_})
    assert answer.status == 200
    assert not answer.is_whole
    assert decoded(answer.body, format_, rate_for(format_, 24_000)).seconds > 0.6


@ANY
async def test_what_an_encoder_cannot_take_is_told(format_: Format) -> None:
    answer = await ask(speaking(AudioChunk(b"odd")), "POST", STREAM, json=FIELDS | {"format": format_})
    assert answer.status == 500
    assert answer.json["error"]["type"] == "synthesis_failed"


@ANY
async def test_who_leaves_in_the_middle_ends_the_job(format_: Format) -> None:
    engine = ScriptedEngine(*chunks_of("one two three"), asyncio.Event())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", STREAM, json=FIELDS | {"format": format_}) as stream:
        await stream.next()
        await stream.next()
        assert engine.open == 1
        stream.leave()
        await stream.ended()
        assert engine.open == 0


@ANY
async def test_a_job_without_audio_is_a_file_without_sound(format_: Format) -> None:
    for path in (STREAM, "/synthesize", "/synthesize_complete"):
        answer = await ask(speaking(), "POST", path, data={"text": "hello", "format": format_})
        assert answer.status == 200
        assert answer.is_whole
        assert decoded(answer.body, format_, 24_000).seconds < 0.1


@pytest.fixture(autouse=True)
async def _nothing_is_left_running() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
