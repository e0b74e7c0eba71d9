"""The client on an event loop, and the application on the same one: what happens when is decided here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn

from cosystream.client import AsyncClient, Chunk, Queued
from cosystream.config import ApiKeys, Settings
from cosystream.errors import Overloaded, SynthesisFailed, Unauthorized
from cosystream.runtime.protocol import Place
from cosystream.web.app import create_app
from tests.client.scripted import AUDIO, EVENTS, START, Gate, piece, refused, scripted_server
from tests.support.engines import ScriptedEngine, chunk

LONGEST_WAIT_SECONDS = 20.0


@asynccontextmanager
async def served(engine: ScriptedEngine, settings: Settings | None = None) -> AsyncIterator[str]:
    """Where ``engine`` can be heard meanwhile."""
    app = create_app(engine, settings or Settings())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        await until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def until(is_so: Callable[[], bool]) -> None:
    """Let everything else on this loop go on."""
    while not is_so():  # noqa: ASYNC110 - nothing that could be waited for tells it
        await asyncio.sleep(0)


async def all_left(engine: ScriptedEngine) -> None:
    await until(lambda: not engine.open)


async def test_a_chunk_is_there_before_the_next_is_made() -> None:
    heard = asyncio.Event()
    engine = ScriptedEngine(chunk(sentence="One."), heard, chunk(level=2))
    async with served(engine) as url, AsyncClient(url) as client:
        speech = client.stream("One.")
        levels = []
        async for piece in speech:
            levels.append(piece.pcm[0])
            heard.set()
    assert levels == [1, 2]
    assert speech.sentence is not None
    assert speech.sentence.text == "One."
    assert speech.done is not None
    assert (speech.done.chunks, speech.done.samples) == (2, 4800)


async def test_leaving_the_loop_ends_the_job() -> None:
    engine = ScriptedEngine(chunk(), asyncio.Event())
    async with served(engine) as url, AsyncClient(url) as client:
        async for _ in client.stream("hello"):
            assert engine.open == 1
            break
        await all_left(engine)


async def test_an_exception_in_the_loop_ends_the_job() -> None:
    engine = ScriptedEngine(chunk(), asyncio.Event())
    async with served(engine) as url, AsyncClient(url) as client:
        with pytest.raises(StopAsyncIteration):  # noqa: PT012 - what stands in the loop is what is tested
            async for piece in client.stream("hello"):
                raise StopAsyncIteration(piece)
        await all_left(engine)


async def test_leaving_a_with_ends_the_job_though_an_iterator_is_kept() -> None:
    engine = ScriptedEngine(chunk(), asyncio.Event())
    async with served(engine) as url, AsyncClient(url) as client:
        async with client.stream("hello") as speech:
            chunks = aiter(speech)
            await anext(chunks)
        await all_left(engine)
        assert [piece async for piece in chunks] == []


async def test_a_task_that_is_cancelled_ends_the_job_whether_it_waits_or_hears() -> None:
    for engine in (ScriptedEngine(chunk(), asyncio.Event()), ScriptedEngine(places=[Place(1, 0.1), asyncio.Event()])):
        async with served(engine) as url, AsyncClient(url) as client:
            hearing = asyncio.create_task(client.synthesize("hello"))
            await engine.opened.wait()
            hearing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hearing
            await all_left(engine)


async def test_its_place_in_the_queue_is_told_as_it_changes() -> None:
    engine = ScriptedEngine(chunk(), places=[Place(2, 0.5), Place(1, 0.25)])
    async with served(engine) as url, AsyncClient(url) as client:
        speech = client.stream("hello")
        places = [event.position async for event in speech.events() if isinstance(event, Queued)]
    assert places == [2, 1]
    assert speech.place is None


async def test_many_are_heard_at_once_by_one_client() -> None:
    at_once = 120  # more than httpx keeps connections by default
    go_on = asyncio.Event()
    engine = ScriptedEngine(chunk(), go_on, chunk(level=2))
    async with served(engine) as url, AsyncClient(url) as client:

        async def hear() -> bytes:
            pcm = b""
            async for piece in client.stream("hello"):
                pcm += piece.pcm
                if engine.open == at_once:
                    go_on.set()
            return pcm

        heard = await asyncio.gather(*(hear() for _ in range(at_once)))
    assert len(set(heard)) == 1


async def test_what_fails_before_and_after_the_first_chunk_is_raised() -> None:
    refusing = ScriptedEngine(refusal=Overloaded("full", retry_after_seconds=40))
    async with served(refusing) as url, AsyncClient(url) as client:
        with pytest.raises(Overloaded, match="full") as caught:
            await client.synthesize("hello")
    assert caught.value.retry_after_seconds == 40.0
    async with served(ScriptedEngine(chunk(), SynthesisFailed("no"))) as url, AsyncClient(url) as client:
        with pytest.raises(SynthesisFailed, match="no"):
            await client.synthesize("hello")


async def test_a_key_opens_the_door() -> None:
    settings = Settings(api_keys=ApiKeys(["one"]))
    async with served(ScriptedEngine(chunk()), settings) as url:
        async with AsyncClient(url, api_key="one") as client:
            assert (await client.synthesize("hello")).pcm
            assert (await client.voices()).default_speaker == "anna"
        async with AsyncClient(url) as client:
            with pytest.raises(Unauthorized):
                await client.synthesize("hello")


async def test_a_speech_is_heard_once() -> None:
    async with served(ScriptedEngine(chunk())) as url, AsyncClient(url) as client:
        speech = client.stream("hello")
        assert all([isinstance(event, Chunk) async for event in speech])
        with pytest.raises(RuntimeError, match="heard once"):
            [event async for event in speech]


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_speech_that_another_task_closes_ends_and_is_not_asked_for_again(retries: int) -> None:
    heard = asyncio.Event()
    with scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server:
        async with AsyncClient(server.url, retries=retries, timeout=2) as client:
            speech = client.stream("hello")

            async def hear() -> int:
                num_chunks = 0
                async for _ in speech:
                    num_chunks += 1
                    heard.set()
                return num_chunks

            hearing = asyncio.create_task(hear())
            await heard.wait()  # by then it waits for the next chunk
            await speech.aclose()
            assert await hearing == 1
    assert len(server.requests) == 1
    assert server.left.is_set()


async def test_a_speech_that_was_closed_before_its_loop_is_not_asked_for() -> None:
    with scripted_server() as server:
        async with AsyncClient(server.url, timeout=2) as client:
            speech = client.stream("hello")
            await speech.aclose()
            assert [event async for event in speech.events()] == []


async def test_a_speech_that_is_closed_between_two_tries_is_not_asked_for_again() -> None:
    with scripted_server(refused(503, b"{}", b"Retry-After: 0")) as server:
        async with AsyncClient(server.url, retries=1, timeout=2) as client:
            speech = client.stream("hello")
            hearing = asyncio.create_task(anext(speech.events(), None))
            await until(lambda: speech._problem is not None)
            await speech.aclose()
            assert await hearing is None
    assert len(server.requests) == 1
