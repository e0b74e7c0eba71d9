"""Work on audio that takes its time, and everybody else meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from cosystream.audio.encode import Encoder
from cosystream.audio.formats import Format
from cosystream.audio.tempo import Tempo
from cosystream.config import Settings
from cosystream.cores import usable_cores
from cosystream.web.app import create_app
from cosystream.web.encoding import TURN_BYTES, at_tempo, encode_beside, finish_beside
from tests.support.asgi import ask, exchange
from tests.support.engines import ScriptedEngine, chunk
from tests.support.listening import happened

MANY = 50
"""More than anyio's own threads."""
LONG = bytes(range(256)) * 800
MP3 = {"text": "hello", "format": "mp3"}


@asynccontextmanager
async def all_encoders_at_work() -> AsyncIterator[threading.Event]:
    """Every thread there is for them is taken, and others wait, until the event is set."""
    all_begun = threading.Barrier(usable_cores() + 1)
    goes_on = threading.Event()
    num_begun = iter(range(MANY))

    def encode() -> None:
        if next(num_begun) < usable_cores():
            all_begun.wait(20.0)
        goes_on.wait()

    async with anyio.create_task_group() as tasks:
        for _ in range(MANY):
            tasks.start_soon(finish_beside, "mp3", encode)
        try:
            await asyncio.to_thread(all_begun.wait, 20.0)
            yield goes_on
        finally:
            goes_on.set()


async def waits_for_an_encoder(engine: ScriptedEngine) -> None:
    await engine.opened.wait()
    for _ in range(100):
        await asyncio.sleep(0)


async def test_pages_do_not_wait_for_encoders() -> None:
    app = create_app(ScriptedEngine(), Settings())
    async with all_encoders_at_work():
        assert (await ask(app, "GET", "/")).status == 200


async def test_speech_that_needs_no_encoder_does_not_wait_for_one() -> None:
    app = create_app(ScriptedEngine(chunk()), Settings())
    async with all_encoders_at_work():
        assert (await ask(app, "POST", "/synthesize_complete", data={"text": "hello"})).status == 200


@pytest.mark.parametrize("path", ["/synthesize/stream", "/synthesize", "/synthesize_complete"])
async def test_who_leaves_while_waiting_for_an_encoder_ends_the_job_at_once(path: str) -> None:
    engine = ScriptedEngine(chunk(24_000))
    async with all_encoders_at_work():
        async with exchange(create_app(engine, Settings()), "POST", path, json=MP3) as listener:
            await waits_for_an_encoder(engine)
            listener.leave()
            assert (await listener.ended()).messages == []
        assert engine.open == 0


@pytest.mark.parametrize("path", ["/synthesize", "/synthesize_complete", "/v1/audio/speech", "/v1/t2a_v2"])
async def test_a_whole_file_is_encoded_while_it_is_made_and_can_be_cancelled_until_then(path: str) -> None:
    engine = ScriptedEngine(chunk(24_000), chunk(24_000))
    app, headers = create_app(engine, Settings()), {"x-request-id": "whole"}
    fields = {"input": "hello", "stream": False} if path == "/v1/audio/speech" else {"text": "hello"}
    if path.startswith("/synthesize"):
        fields |= {"format": "mp3"}
    listening = exchange(app, "POST", path, json=fields, headers=headers)
    async with all_encoders_at_work() as goes_on, listening as listener:
        await waits_for_an_encoder(engine)
        assert (await ask(app, "DELETE", "/requests/whole")).status == 204
        goes_on.set()
        assert b"was cancelled" in (await listener.ended()).body
    assert engine.open == 0


@pytest.mark.parametrize("format_", ["mp3", "wav"])
async def test_an_encoder_gets_all_of_it_in_order(format_: Format) -> None:
    fed: list[bytes] = []
    await encode_beside(format_, fed.append, LONG)
    assert b"".join(fed) == LONG
    assert format_ == "wav" or max(map(len, fed)) <= TURN_BYTES


async def test_what_is_encoded_in_turns_is_the_same() -> None:
    beside, alone = Encoder("flac", 24_000), Encoder("flac", 24_000)
    assert b"".join(await encode_beside("flac", beside.feed, LONG)) == alone.feed(LONG)
    assert await finish_beside("flac", beside.finish) == alone.finish()


async def test_a_long_encoding_ends_with_the_turn_in_which_it_is_cancelled() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    turns = []

    def encode(piece: bytes) -> None:
        turns.append(piece)
        begun.set()
        goes_on.wait(20.0)

    encoding = asyncio.create_task(encode_beside("mp3", encode, LONG))
    await happened(begun)
    encoding.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await encoding
    assert turns == [LONG[:TURN_BYTES]]


@pytest.mark.parametrize("tempo", [0.5, 1.0, 3.0])
async def test_another_tempo_in_turns_is_the_same(tempo: float) -> None:
    assert await at_tempo(Tempo(24_000, tempo), LONG) == Tempo(24_000, tempo).feed(LONG)


async def test_while_a_tempo_is_changed_others_have_their_turns() -> None:
    changing, num_turns = asyncio.create_task(at_tempo(Tempo(24_000, 0.5), LONG)), 0
    while not changing.done():
        num_turns += 1
        await asyncio.sleep(0)
    assert num_turns >= len(LONG) / TURN_BYTES
