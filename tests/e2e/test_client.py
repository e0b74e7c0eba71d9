"""Our own clients against the server as a process."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from cosystream.client import AsyncClient, BrokenOff, Chunk, Client, Queued
from cosystream.errors import Cancelled, InvalidField, UnknownRequest, UnknownVoice
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

HELLO = "你好，我是通义生成式语音大模型。"
LONG = "一 " * 2000
"""400 s of tones: more than is computed ahead, and more than fits into the buffers of a connection."""
SOON_SECONDS = 20.0


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone", "--max-streams", "1") as server:
        yield server


def figures(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def wait_until_nobody_listens(server: ServerProcess) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while figures(server)["cosystream_streams"]:
        assert time.monotonic() < deadline


def test_whole_and_in_chunks_it_is_what_the_route_answers(server: ServerProcess) -> None:
    fields = {"text": HELLO, "seed": "7", "format": "pcm"}
    pcm = httpx.get(f"{server.url}/synthesize/stream", params=fields).content
    with Client(server.url) as client:
        assert b"".join(chunk.pcm for chunk in client.stream(HELLO, seed=7)) == pcm
        audio = client.synthesize(HELLO, seed=7)
    assert audio.pcm == pcm
    assert (audio.start.speaker, audio.start.seed, audio.done.samples) == ("中文女", 7, len(pcm) // 2)


async def test_both_clients_hear_the_same(server: ServerProcess) -> None:
    async with AsyncClient(server.url) as client:
        on_a_loop = [event async for event in client.stream(HELLO, sample_rate=16000, speed=2).events()]
    with Client(server.url) as client:
        blocking = list(client.stream(HELLO, sample_rate=16000, speed=2).events())
    chunks = [event for event in blocking if isinstance(event, Chunk)]
    assert chunks == [event for event in on_a_loop if isinstance(event, Chunk)]
    assert {chunk.sample_rate for chunk in chunks} == {16000}


def test_the_first_chunk_comes_before_the_whole_is_made(server: ServerProcess) -> None:
    with Client(server.url) as client, client.stream(LONG) as speech:
        chunks = iter(speech)
        assert next(chunks).index == 0
        assert figures(server)["cosystream_streams"] == 1
        assert speech.done is None
    wait_until_nobody_listens(server)


def test_leaving_the_loop_makes_room_for_who_waits(server: ServerProcess) -> None:
    with Client(server.url) as first, Client(server.url) as second:
        for _ in first.stream(LONG):
            waiting = second.stream("two words").events()
            queued = next(waiting)
            assert isinstance(queued, Queued)
            assert queued.position == 1
            break
        assert isinstance([*waiting][1:3].pop(), Chunk)
    wait_until_nobody_listens(server)


async def test_leaving_a_loop_on_an_event_loop_does_so_too(server: ServerProcess) -> None:
    async with AsyncClient(server.url) as client:
        async for _ in client.stream(LONG):
            break
        async with asyncio.timeout(SOON_SECONDS):
            assert (await client.synthesize("two words")).done.chunks == 4


@asynccontextmanager
async def relay(server: ServerProcess, *budgets: int) -> AsyncIterator[str]:
    """A way to the server on which the first connections are cut after so many bytes of their answers."""
    budgets_left = [*budgets]
    connections: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())  # type: ignore[arg-type]
        budget = budgets_left.pop(0) if budgets_left else sys.maxsize
        answers, requests = await asyncio.open_connection("127.0.0.1", server.port)
        pumps = [asyncio.create_task(pump(reader, requests)), asyncio.create_task(pump(answers, writer, budget))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pumps:
            task.cancel()
        for end in (writer, requests):
            end.transport.abort()
            with suppress(ConnectionError):
                await end.wait_closed()

    relaying = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with relaying:
        yield f"http://127.0.0.1:{relaying.sockets[0].getsockname()[1]}"
    await asyncio.gather(*connections)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int = sys.maxsize) -> None:
    while budget and (read := await reader.read(min(budget, 4096))):
        writer.write(read)
        await writer.drain()
        budget -= len(read)


async def test_a_connection_that_is_cut_twice_leaves_no_gap(server: ServerProcess) -> None:
    async with AsyncClient(server.url) as client:
        whole = await client.synthesize(HELLO, seed=7)
    async with relay(server, 20_000, 30_000) as url, AsyncClient(url) as client:
        speech = client.stream(HELLO, seed=7)
        chunks = [chunk async for chunk in speech]
    assert b"".join(chunk.pcm for chunk in chunks) == whole.pcm
    assert [chunk.index for chunk in chunks] == list(range(whole.done.chunks))
    assert speech.done is not None
    assert speech.done.samples == whole.done.samples


async def test_a_connection_that_is_cut_too_often_is_told(server: ServerProcess) -> None:
    async with relay(server, 20_000, 30_000) as url, AsyncClient(url, retries=1) as client:
        with pytest.raises(BrokenOff):
            await client.synthesize(HELLO)


def test_refusals_are_what_they_were_on_the_server(server: ServerProcess) -> None:
    with Client(server.url) as client:
        with pytest.raises(UnknownVoice, match="英文男"):
            client.synthesize(HELLO, speaker="nobody")
        with pytest.raises(InvalidField, match=r"speed: is 9; a number from 0\.5 to 2\.0 would do"):
            client.synthesize(HELLO, speed=9)


async def test_a_request_in_flight_is_cancelled_by_its_id(server: ServerProcess) -> None:
    async with AsyncClient(server.url) as client:
        speech = client.stream(LONG)
        with pytest.raises(Cancelled):  # noqa: PT012 - what stands in the loop is what is tested
            async for chunk in speech:
                if chunk.index == 0:
                    assert speech.request_id is not None
                    await client.cancel(speech.request_id)
        with pytest.raises(UnknownRequest):
            await client.cancel("nobody")


def test_voices_are_those_that_can_be_asked_for(server: ServerProcess) -> None:
    with Client(server.url) as client:
        voices = client.voices()
        for voice in voices.voices:
            assert client.synthesize("word", speaker=voice.name).start.speaker == voice.name
    assert voices.default_speaker == "中文女"
