"""MiniMax's T2A v2 over a WebSocket, driven message by message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from starlette.types import ASGIApp

from cosystream.config import ApiKeys, Settings
from cosystream.errors import CosystreamError, NotReady, Overloaded, SynthesisFailed, UnknownVoice
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import SynthesisRequest
from cosystream.web.app import create_app
from cosystream.web.routes.minimax_socket import MOST_EVENTS
from tests.support.asgi import ask
from tests.support.cores import ScriptedCore
from tests.support.decoding import decoded
from tests.support.engines import ScriptedEngine, ScriptedStream, chunk
from tests.support.sockets import SocketClient
from tests.support.virtual_time import run_at_once

PATH = "/ws/v1/t2a_v2"
PCM = {"sample_rate": 24000, "format": "pcm"}
CHUNKS = [chunk(level=level) for level in (1, 2, 3)]
SAMPLES = b"".join(piece.pcm for piece in CHUNKS)
SUCCESS = {"status_code": 0, "status_msg": "success"}


class Client(SocketClient):
    def say(self, event: str, **fields: object) -> None:
        self.send(orjson.dumps({"event": event, **fields}).decode())

    def start(self, **fields: object) -> None:
        self.say("task_start", **{"model": "speech-02-hd", "audio_setting": PCM, **fields})

    def write(self, *texts: str) -> None:
        for text in texts:
            self.say("task_continue", text=text)

    async def next_event(self) -> dict[str, Any]:
        event = orjson.loads(await self.next())
        assert isinstance(event, dict)
        return event

    async def started(self, **fields: object) -> None:
        """Connect and start a task."""
        assert (await self.next_event())["event"] == "connected_success"
        self.start(**fields)
        assert (await self.next_event())["event"] == "task_started"

    async def spoken(self) -> tuple[bytes, dict[str, Any]]:
        """The audio of a text, and the event that ends it."""
        audio = b""
        while True:
            event = await self.next_event()
            assert event["event"] == "task_continued", event
            audio += bytes.fromhex(event["data"]["audio"])
            if event["is_final"]:
                return audio, event


@asynccontextmanager
async def connected(app: ASGIApp, *, reads: int | None = None, **headers: str) -> AsyncIterator[Client]:
    client = Client(app, PATH, headers=headers, reads=reads)
    try:
        yield client
    finally:
        client.cancel()


async def test_a_task_is_told_from_its_beginning_to_its_end() -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with connected(create_app(engine, Settings())) as client:
        connection = await client.next_event()
        ids = {"session_id": connection["session_id"], "trace_id": connection["trace_id"]}
        assert connection == {"event": "connected_success", **ids, "base_resp": SUCCESS}
        client.start(voice_setting={"voice_id": "中文女", "speed": 1.5})
        assert await client.next_event() == {"event": "task_started", **ids, "base_resp": SUCCESS}
        client.write("hello")
        for piece in CHUNKS:
            assert await client.next_event() == {
                "event": "task_continued",
                **ids,
                "data": {"audio": piece.pcm.hex()},
                "is_final": False,
                "base_resp": SUCCESS,
            }
        last = await client.next_event()
        assert (last["event"], last["is_final"], last["data"]) == ("task_continued", True, {"audio": ""})
        assert last["extra_info"]["audio_size"] == len(SAMPLES)
        assert last["extra_info"]["audio_length"] == 300
        assert last["extra_info"]["usage_characters"] == 5
        client.say("task_finish")
        assert await client.next_event() == {"event": "task_finished", **ids, "base_resp": SUCCESS}
        await client.ended()
        assert client.closed is not None
    assert engine.requests == [SynthesisRequest("hello", speaker="中文女", speed=1.5)]
    assert engine.open == 0


async def test_texts_are_spoken_in_their_order_each_to_its_end() -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("one", "two", "three")
        client.say("task_finish")
        for length in (3, 3, 5):
            audio, last = await client.spoken()
            assert audio == SAMPLES
            assert last["extra_info"]["usage_characters"] == length
        assert (await client.next_event())["event"] == "task_finished"
    assert [request.text for request in engine.requests] == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["mp3", "flac", "opus", "wav"])
async def test_the_audio_of_each_text_is_a_file_of_its_own(name: Any) -> None:
    app = create_app(ScriptedEngine(chunk(24_000, level=9000)), Settings())
    async with connected(app) as client:
        await client.started(audio_setting={"format": name})
        client.write("one", "two")
        for _ in range(2):
            audio, last = await client.spoken()
            assert last["extra_info"]["audio_size"] == len(audio)
            if name != "wav":  # whose head cannot know
                assert decoded(audio, name, 32000).seconds == pytest.approx(1.0, abs=0.1)


class Crowded(ScriptedEngine):
    """Says when somebody comes while it speaks, and may refuse whoever does."""

    def __init__(self, *chunks: Any, refuses: bool) -> None:
        super().__init__(*chunks)
        self.crowded = asyncio.Event()
        self._refuses = refuses

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[ScriptedStream]:
        if self.open:
            self.crowded.set()
        self.refusal = Overloaded("it is speaking", retry_after_seconds=1.0) if self.open and self._refuses else None
        async with super().stream(request, goes_on=goes_on) as stream:
            yield stream


@pytest.mark.parametrize("refuses", [False, True])
async def test_the_next_text_is_opened_as_soon_as_the_present_one_sounds(refuses: bool) -> None:
    silence = asyncio.Event()
    engine = Crowded(chunk(), silence, chunk(), refuses=refuses)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("one", "two", "three")
        await client.next_event()
        await engine.crowded.wait()
        assert [request.text for request in engine.requests] == ["one", "two"]
        assert engine.open == (1 if refuses else 2)
        silence.set()
        assert len((await client.spoken())[0]) == 2 * 2400
        for _ in range(2):  # who came too early has come again
            assert len((await client.spoken())[0]) == 4 * 2400
    assert {request.text for request in engine.requests} == {"one", "two", "three"}
    assert engine.open == 0


async def test_a_text_that_fails_before_its_turn_fails_in_its_turn() -> None:
    class FailsTwo(ScriptedEngine):
        @asynccontextmanager
        async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[ScriptedStream]:
            self.refusal = SynthesisFailed("lost my voice") if request.text == "two" else None
            async with super().stream(request, goes_on=goes_on) as stream:
                yield stream

    engine = FailsTwo(*CHUNKS)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("one", "two", "three")
        assert (await client.spoken())[0] == SAMPLES
        assert await failure(client) == (1000, "lost my voice")
    assert [request.text for request in engine.requests] == ["one", "two"]


async def test_an_empty_text_keeps_the_connection_alive_and_says_nothing() -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("", " ", "\n", "hello")
        assert (await client.spoken())[0] == SAMPLES
    assert len(engine.requests) == 1


async def test_punctuation_alone_is_spoken_in_silence_and_ends_nothing() -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("……", "hello")
        silence, last = await client.spoken()
        assert (silence, last["extra_info"]["audio_length"], last["extra_info"]["word_count"]) == (b"", 0, 0)
        assert (await client.spoken())[0] == SAMPLES
    assert len(engine.requests) == 1


async def test_messages_may_be_bytes() -> None:
    async with connected(create_app(ScriptedEngine(*CHUNKS), Settings())) as client:
        await client.started()
        client.send(b'{"event":"task_continue","text":"a"}')
        assert (await client.spoken())[0] == SAMPLES


# What goes wrong


async def failure(client: Client) -> tuple[int, str]:
    event = await client.next_event()
    assert event["event"] == "task_failed"
    await client.ended()
    assert client.closed is not None
    return event["base_resp"]["status_code"], event["base_resp"]["status_msg"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("the queue is full", retry_after_seconds=1.0), 1002),
        (UnknownVoice("no voice 'x'; there are anna"), 2013),
        (SynthesisFailed("lost my voice"), 1000),
    ],
)
async def test_an_error_fails_the_task(error: CosystreamError, code: int) -> None:
    engine = ScriptedEngine(refusal=error)
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("hello", "and more")
        assert await failure(client) == (code, str(error))
    assert engine.open == 0


async def test_what_breaks_off_fails_behind_its_audio() -> None:
    engine = ScriptedEngine(chunk(), SynthesisFailed("lost my voice"))
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("hello")
        assert (await client.next_event())["data"] == {"audio": chunk().pcm.hex()}
        assert await failure(client) == (1000, "lost my voice")
    assert engine.open == 0


async def test_an_engine_that_is_not_there_yet_is_a_limit() -> None:
    engine = ScriptedEngine(info=NotReady("the engine is loading", retry_after_seconds=1.0))
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("hello")
        assert await failure(client) == (1002, "the engine is loading")


@pytest.mark.parametrize(
    ("messages", "code", "problem"),
    [
        (["no json"], 2013, "the message is not JSON: "),
        (["x" * 120_000], 2013, "a message of 120000 bytes is too long; 114688 are the most"),
        (['{"event":"task_stop"}'], 2202, "event: is none of task_start, task_continue and task_finish"),
        (['{"event":"task_continue","text":"a"}'], 2202, "event: is task_continue, but no task has been started"),
        (['{"event":"task_finish"}'], 2202, "event: is task_finish, but no task has been started"),
        (['{"event":"task_start"}'] * 2, 2202, "event: is task_start, but the task has been started"),
        (['{"event":"task_start","audio_setting":{"channel":2}}'], 2013, "audio_setting.channel: is 2"),
        (
            ['{"event":"task_start"}', '{"event":"task_continue","text":"a\\u0000"}'],
            2013,
            "text: holds the control character U+0000",
        ),
    ],
)
async def test_what_a_client_gets_wrong_fails_the_task(messages: list[str], code: int, problem: str) -> None:
    async with connected(create_app(ScriptedEngine(*CHUNKS), Settings())) as client:
        await client.next_event()
        for message in messages:
            client.send(message)
        client.send("and this, after it, is not read any more")
        if "task_start" in messages[0] and len(messages) > 1:
            assert (await client.next_event())["event"] == "task_started"
        told = await failure(client)
    assert told[0] == code
    assert told[1].startswith(problem)


async def test_what_waits_to_be_spoken_has_a_limit() -> None:
    silence = asyncio.Event()
    app = create_app(ScriptedEngine(chunk(), silence), Settings(max_text_chars=10))
    async with connected(app) as client:
        await client.started()
        client.write("x" * 10, "x" * 10)
        assert (await client.next_event())["event"] == "task_continued"
        client.write(*["x" * 9] * 10, *[""] * 100)
        await client.all_taken()
        silence.set()
        for _ in range(12):  # those that there was room for
            await client.spoken()
        assert await failure(client) == (2013, "text: 161 characters wait to be spoken; 160 are the most")


async def test_the_events_that_wait_have_a_limit() -> None:
    silence = asyncio.Event()
    async with connected(create_app(ScriptedEngine(chunk(), silence), Settings())) as client:
        await client.started()
        client.write("one", "two", "three")
        assert (await client.next_event())["event"] == "task_continued"
        client.write(*[""] * (MOST_EVENTS + 10))
        await client.all_taken()
        silence.set()
        for _ in range(3):
            await client.spoken()
        told = f"{MOST_EVENTS} events wait, which are the most; wait for is_final before you go on"
        assert await failure(client) == (2013, told)


async def test_whoever_says_much_at_once_holds_up_nobody() -> None:
    async with connected(create_app(ScriptedEngine(*CHUNKS), Settings())) as client:
        await client.started()
        client.write(*[""] * 100)
        assert await client.all_taken() >= 100


async def test_a_text_has_the_limit_that_others_have() -> None:
    app = create_app(ScriptedEngine(*CHUNKS), Settings(max_text_chars=10))
    async with connected(app) as client:
        await client.started()
        client.write("x" * 10, "x" * 11)
        await client.spoken()
        assert await failure(client) == (2013, "text: has 11 characters; 10 are the most for one request")


async def test_without_a_key_nobody_is_let_in() -> None:
    app = create_app(ScriptedEngine(*CHUNKS), Settings(api_keys=ApiKeys(["s3cret"])))
    async with connected(app) as client:
        assert (await client.answered())["status"] == 401
    async with connected(app, authorization="Bearer s3cret") as client:
        await client.started()


def test_who_is_silent_for_too_long_is_told_goodbye_unless_it_keeps_the_connection_alive() -> None:
    async def task() -> tuple[float, tuple[int, str]]:
        async with connected(create_app(ScriptedEngine(*CHUNKS), Settings())) as client:
            await client.started()
            for _ in range(3):
                await asyncio.sleep(100)
                client.write("")
            said_last = asyncio.get_running_loop().time()
            await asyncio.sleep(119)
            told = await failure(client)
            return asyncio.get_running_loop().time() - said_last, told

    seconds, told = run_at_once(task())
    assert seconds == pytest.approx(120, abs=0.1)
    assert told == (1001, "nothing was asked for within 120 s")


def test_a_silence_begins_when_all_has_been_spoken() -> None:
    async def task(speaking_seconds: float) -> float:
        silence = asyncio.Event()
        async with connected(create_app(ScriptedEngine(chunk(), silence), Settings())) as client:
            await client.started()
            client.write("hello")
            await asyncio.sleep(speaking_seconds)
            silence.set()
            await client.spoken()
            ended = asyncio.get_running_loop().time()
            await asyncio.sleep(119)
            assert (await failure(client))[0] == 1001
            return asyncio.get_running_loop().time() - ended

    for seconds in (1, 119, 121, 1000):
        assert run_at_once(task(seconds)) == pytest.approx(120, abs=0.1)


# Who leaves


async def test_whoever_leaves_ends_the_job_within_a_step() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        async with connected(create_app(engine, Settings())) as client:
            await client.started()
            client.write("word " * 20 + "hold", "never said")
            assert (await client.next_event())["event"] == "task_continued"
            client.leave()
            await client.ended()
        assert engine.load.open == 0
    assert len(core.jobs_that_were("cancel")) == 1


async def test_whoever_leaves_while_nothing_is_spoken_leaves_nothing_behind() -> None:
    engine = ScriptedEngine(*CHUNKS)
    app = create_app(engine, Settings())
    for num_events in (0, 1, 2):
        async with connected(app) as client:
            await client.answered()
            if num_events:
                await client.next_event()
            if num_events > 1:
                client.start()
                await client.next_event()
            client.leave()
            await client.ended()
    assert engine.requests == []


async def test_whoever_takes_nothing_for_too_long_ends_the_job() -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with connected(create_app(engine, Settings(reader_timeout_ms=50)), reads=3) as client:
        await client.started()
        client.write("hello")
        await client.ended()
    assert engine.open == 0


@pytest.mark.parametrize("num_heard", [0, 1])
async def test_whoever_is_lost_ends_the_job(num_heard: int) -> None:
    silence = asyncio.Event()
    engine = ScriptedEngine(*CHUNKS[:num_heard], silence, chunk())
    async with connected(create_app(engine, Settings())) as client:
        await client.started()
        client.write("one", "two", "three")
        for _ in range(num_heard):
            await client.next_event()
        client.is_lost = True
        silence.set()
        await client.ended()
    assert engine.open == 0


async def test_a_text_can_be_cancelled_by_the_session() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        app = create_app(engine, Settings())
        async with connected(app) as client:
            session = (await client.next_event())["session_id"]
            client.start()
            await client.next_event()
            client.write("word " * 20 + "hold")
            await client.next_event()
            assert (await ask(app, "DELETE", f"/requests/{session}")).status == 204
            event = await client.next_event()
            while event["event"] == "task_continued":
                event = await client.next_event()
            assert (event["event"], event["base_resp"]["status_code"]) == ("task_failed", 1000)
            await client.ended()
        assert engine.load.open == 0
