"""Listeners who leave, and listeners who stop reading: whenever it happens, their job ends."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import SynthesisFailed
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import Place
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app
from cosystream.wire.sse import PING
from tests.support.asgi import ask, exchange
from tests.support.engines import ScriptedEngine, chunk

SSE: dict[str, Any] = {"target": "/synthesize/stream", "json": {"text": "hello"}}
PCM: dict[str, Any] = {"target": "/synthesize", "data": {"text": "hello"}}
WAV: dict[str, Any] = {"target": "/synthesize/stream", "json": {"text": "hello", "format": "wav"}}
IN_JSON: dict[str, Any] = {"target": "/synthesize", "json": {"text": "hello"}}
FILE: dict[str, Any] = {"target": "/synthesize_complete", "data": {"text": "hello"}}
STREAMED = pytest.mark.parametrize("fields", [SSE, PCM, WAV], ids=["events", "pcm", "wav"])
COLLECTED = pytest.mark.parametrize("fields", [IN_JSON, FILE], ids=["json", "file"])
ANY = pytest.mark.parametrize("fields", [SSE, PCM, WAV, IN_JSON, FILE], ids=["events", "pcm", "wav", "json", "file"])

IMPATIENT = Settings(reader_timeout_ms=50)


def never() -> asyncio.Event:
    return asyncio.Event()


async def figures(app: ASGIApp) -> dict[tuple[str, str], float]:
    """How often what happened, by name and outcome or stage."""
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    return {
        (sample.name, label): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if (label := sample.labels.get("outcome") or sample.labels.get("stage"))
    }


class ByUvicorn:
    """``app`` for a listener who takes ``reads`` messages and then no more until it leaves.

    To have been sent everything counts as having left, and what is sent to who has left is dropped in silence.
    """

    def __init__(self, app: ASGIApp, reads: int | None = None) -> None:
        self.stuck = asyncio.Event()
        self._left = asyncio.Event()
        self._writable = asyncio.Event()
        self._app = app
        self._reads = reads

    def leave(self) -> None:
        self._left.set()
        self._writable.set()  # in this order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        num_sent, has_asked = 0, False

        async def receive_until_left() -> Message:
            nonlocal has_asked
            if has_asked:
                await self._left.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            has_asked = not message["more_body"]
            return message

        async def send_or_drop(message: Message) -> None:
            nonlocal num_sent
            if num_sent == self._reads:
                self.stuck.set()
                await self._writable.wait()
            if not self._left.is_set():
                num_sent += 1
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    self.leave()

        await self._app(scope, receive_until_left, send_or_drop)


async def assert_served(app: ASGIApp, engine: ScriptedEngine) -> None:
    """The next request is none the worse for it."""
    assert engine.open == 0
    engine.script = ScriptedEngine(chunk()).script
    assert (await ask(app, "POST", "/synthesize/stream", json={"text": "hello"})).events[-1].name == "done"
    assert engine.open == 0


# Who leaves


@ANY
async def test_who_leaves_while_waiting_ends_the_job(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), places=(Place(1, 0.1), never()))
    app = create_app(engine, Settings())
    async with exchange(app, "POST", **fields) as listener:
        await engine.opened.wait()
        assert engine.open == 1
        listener.leave()
        answer = await listener.ended()
    assert not answer.is_whole
    counted = await figures(app)
    assert counted["cosystream_cancelled_total", "waiting"] == 1
    assert counted["cosystream_requests_total", "left_waiting"] == 1
    await assert_served(app, engine)


@STREAMED
async def test_who_leaves_while_being_sent_to_ends_the_job(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), chunk(), never())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", **fields) as listener:
        for _ in range(3):
            await listener.next()
        assert engine.open == 1
        listener.leave()
        answer = await listener.ended()
    assert not answer.is_whole
    counted = await figures(app)
    assert counted["cosystream_cancelled_total", "sending"] == 1
    assert counted["cosystream_requests_total", "left_sending"] == 1
    await assert_served(app, engine)


@ANY
async def test_who_leaves_before_reading_anything_ends_the_job(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), chunk(), chunk())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", **fields, reads=0) as listener:
        await engine.opened.wait()
        listener.leave()
        assert (await listener.ended()).messages == []
    await assert_served(app, engine)


@STREAMED
async def test_who_stopped_reading_and_then_leaves_ends_the_job(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), chunk(), chunk())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", **fields, reads=2) as listener:
        await listener.next()
        await listener.next()
        listener.leave()
        answer = await listener.ended()
    assert len(answer.messages) == 2
    await assert_served(app, engine)


async def test_who_leaves_while_uploading_never_gets_a_job() -> None:
    engine = ScriptedEngine(chunk())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", "/synthesize", body=[b'{"text":'], cut_short=True) as listener:
        listener.leave()
        await listener.ended()
    counted = await figures(app)
    assert counted["cosystream_cancelled_total", "uploading"] == 1
    assert counted["cosystream_requests_total", "left_uploading"] == 1
    assert engine.requests == []
    await assert_served(app, engine)


@ANY
async def test_who_leaves_after_the_end_has_heard_it_all(fields: dict[str, Any]) -> None:
    app = create_app(ScriptedEngine(chunk()), Settings())
    async with exchange(app, "POST", **fields) as listener:
        await listener.ended()
        listener.leave()
    counted = await figures(app)
    assert counted["cosystream_requests_total", "finished"] == 1
    assert ("cosystream_cancelled_total", "sending") not in counted


@ANY
async def test_who_has_been_sent_everything_has_not_left(fields: dict[str, Any]) -> None:
    app = create_app(ScriptedEngine(chunk(), chunk()), Settings())
    async with exchange(ByUvicorn(app), "POST", **fields) as listener:
        assert (await listener.ended()).is_whole
    counted = await figures(app)
    assert counted["cosystream_requests_total", "finished"] == 1
    assert ("cosystream_cancelled_total", "sending") not in counted


@ANY
async def test_who_leaves_with_the_rest_still_to_be_sent_has_not_heard_it(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), chunk())
    app = create_app(engine, Settings())
    served = ByUvicorn(app, reads=1)
    async with exchange(served, "POST", **fields) as listener:
        await served.stuck.wait()
        served.leave()
        assert not (await listener.ended()).is_whole
    counted = await figures(app)
    assert counted["cosystream_requests_total", "left_sending"] == 1
    assert ("cosystream_requests_total", "finished") not in counted
    await assert_served(app, engine)


async def test_of_many_listeners_those_who_stay_hear_everything() -> None:
    text = "one two three four five six"
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        app = create_app(engine, Settings())
        alone = await ask(app, "POST", "/synthesize/stream", json={"text": text})
        staying = [asyncio.create_task(ask(app, "POST", "/synthesize/stream", json={"text": text})) for _ in range(10)]
        for num_read in range(10):
            async with exchange(app, "POST", "/synthesize/stream", json={"text": "word " * 800}) as leaving:
                for _ in range(num_read):
                    await leaving.next()
                leaving.leave()
                await leaving.ended()
        for answer in await asyncio.gather(*staying):
            assert answer.audio == alone.audio
        assert engine.load.open == 0


# Who stops reading


@ANY
@pytest.mark.parametrize("reads", [0, 1])
async def test_who_stops_reading_is_ended_after_a_while(fields: dict[str, Any], reads: int) -> None:
    engine = ScriptedEngine(chunk(), chunk(), chunk())
    app = create_app(engine, IMPATIENT)
    async with exchange(app, "POST", **fields, reads=reads) as listener:
        answer = await listener.ended()
    assert len(answer.messages) == reads
    counted = await figures(app)
    assert counted["cosystream_requests_total", "reader_stalled"] == 1
    assert ("cosystream_cancelled_total", "sending") not in counted
    await assert_served(app, engine)


@STREAMED
async def test_who_stops_reading_in_mid_stream_is_ended_after_a_while(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk(), chunk(), chunk())
    app = create_app(engine, IMPATIENT)
    async with exchange(app, "POST", **fields, reads=3) as listener:
        assert not (await listener.ended()).is_whole
    await assert_served(app, engine)


@pytest.mark.parametrize("reads", [3, 4])  # the last event, the end of the body
async def test_who_stops_reading_at_the_very_end_is_ended_after_a_while(reads: int) -> None:
    engine = ScriptedEngine(chunk())
    app = create_app(engine, IMPATIENT)
    async with exchange(app, "POST", **SSE, reads=reads) as listener:
        answer = await listener.ended()
    assert len(answer.messages) == reads
    assert not answer.is_whole
    await assert_served(app, engine)


async def test_who_stops_reading_before_an_error_is_ended_after_a_while() -> None:
    engine = ScriptedEngine(chunk(), SynthesisFailed("lost my voice"))
    app = create_app(engine, IMPATIENT)
    async with exchange(app, "POST", **SSE, reads=3) as listener:
        await listener.ended()
    await assert_served(app, engine)


async def test_who_stops_reading_while_only_pings_are_sent_is_ended_after_a_while() -> None:
    engine = ScriptedEngine(chunk(), never())
    app = create_app(engine, IMPATIENT, ping_seconds=0.01)
    async with exchange(app, "POST", **SSE, reads=5) as listener:
        answer = await listener.ended()
    assert [message.get("body") for message in answer.messages[-2:]] == [PING, PING]
    await assert_served(app, engine)


async def test_a_slow_reader_who_reads_is_not_ended() -> None:
    silence = asyncio.Event()
    app = create_app(ScriptedEngine(chunk(), silence, chunk()), Settings(reader_timeout_ms=1), ping_seconds=0.01)
    async with exchange(app, "POST", **SSE) as listener:
        for _ in range(3):
            await listener.next()
        assert (await listener.next())["body"] == PING  # ten times as long as a reader may take
        silence.set()
        assert (await listener.ended()).events[-1].name == "done"


# While nothing is sent


async def test_pings_show_that_a_silent_stream_is_alive() -> None:
    silence = asyncio.Event()
    engine = ScriptedEngine(chunk(), silence, chunk(), places=(Place(1, 9.0),))
    app = create_app(engine, Settings(), ping_seconds=0.01)
    async with exchange(app, "POST", **SSE) as listener:
        first = [(await listener.next()).get("body") for _ in range(7)]
        assert first[-2:] == [PING, PING]
        silence.set()
        answer = await listener.ended()
    assert [event.name for event in answer.events] == ["queued", "start", "audio", "audio", "done"]


async def test_pings_are_sent_while_a_job_waits() -> None:
    turn = asyncio.Event()
    app = create_app(ScriptedEngine(chunk(), places=(Place(1, 9.0), turn)), Settings(), ping_seconds=0.01)
    async with exchange(app, "POST", **SSE) as listener:
        assert [(await listener.next()).get("body") for _ in range(4)][-2:] == [PING, PING]
        turn.set()
        assert [event.name for event in (await listener.ended()).events] == ["queued", "start", "audio", "done"]
