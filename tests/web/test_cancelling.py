"""``DELETE /requests/{id}``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from cosystream.config import Settings
from cosystream.errors import Cancelled, UnknownRequest
from cosystream.types import SynthesisRequest
from cosystream.web.app import create_app
from cosystream.web.metrics import Metrics
from cosystream.web.services import Services
from cosystream.web.speech import AudioBody
from cosystream.web.typed_text import TypedText
from cosystream.wire.fields import Call, Rendering
from tests.support.asgi import ask, exchange
from tests.support.engines import ScriptedEngine, ScriptedStream, chunk

LONG = "word " * 400


def services_over(engine: ScriptedEngine) -> Services:
    return Services(engine, Settings(), Metrics(engine), ping_seconds=4.0)


async def test_the_listener_is_told_and_the_stream_ends(tone: ASGIApp) -> None:
    headers = {"x-request-id": "mine"}
    async with exchange(tone, "POST", "/synthesize/stream", json={"text": LONG}, headers=headers, reads=4) as slow:
        for _ in range(4):
            await slow.next()
        assert (await ask(tone, "DELETE", "/requests/mine")).status == 204
        slow.resume()
        answer = await slow.ended()
    assert answer.events[-1].name == "error"
    assert answer.events[-1].data["error"]["type"] == "cancelled"
    assert answer.events[-1].data["partial_audio"]
    assert (await ask(tone, "DELETE", "/requests/mine")).status == 404


async def test_who_waits_for_a_whole_file_gets_a_status(tone: ASGIApp) -> None:
    headers = {"x-request-id": "whole"}
    async with exchange(tone, "POST", "/synthesize", json={"text": LONG * 2}, headers=headers) as waiting:
        while (await ask(tone, "DELETE", "/requests/whole")).status == 404:
            pass  # it is still being read
        answer = await waiting.ended()
    assert answer.status == 410


async def test_an_unknown_request_is_named(tone: ASGIApp) -> None:
    answer = await ask(tone, "DELETE", "/requests/nobody")
    assert answer.status == 404
    assert answer.json["error"]["type"] == "unknown_request"
    assert "nobody" in answer.json["error"]["message"]


class Busy(ScriptedEngine):
    """An engine that never gets round to a request."""

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[ScriptedStream]:
        self.opened.set()
        await asyncio.Event().wait()
        yield ScriptedStream(request, self.script)


async def test_a_request_that_is_still_being_prepared_is_ended_as_well() -> None:
    engine = Busy()
    app, headers = create_app(engine, Settings()), {"x-request-id": "early"}
    async with exchange(app, "POST", "/synthesize/stream", json={"text": "hello"}, headers=headers) as waiting:
        await engine.opened.wait()
        assert (await ask(app, "DELETE", "/requests/early")).status == 204
        answer = await waiting.ended()
    assert (answer.status, answer.json["error"]["type"]) == (410, "cancelled")


class Hasty(ScriptedEngine):
    """An engine whose requests are cancelled in the very turn in which they are opened."""

    cancel: Callable[[], None]

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[ScriptedStream]:
        async with super().stream(request, goes_on=goes_on) as stream:
            self.cancel()
            yield stream


async def test_a_request_is_ended_even_in_the_turn_in_which_it_is_opened() -> None:
    engine = Hasty(chunk())
    speech = AudioBody(services_over(engine), Call(SynthesisRequest("hello"), Rendering()))
    engine.cancel = speech.cancel

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await speech({**scope, "state": {"request_id": "hasty", "noted": {}}}, receive, send)

    async with exchange(app, "POST", "/") as waiting:
        with pytest.raises(Cancelled):
            await waiting.ended()
    assert waiting.answer.messages == []
    assert engine.open == 0


async def test_a_text_that_is_still_being_written_is_ended_as_well() -> None:
    services = services_over(ScriptedEngine(chunk()))
    typed = TypedText(services, SynthesisRequest(""), request_id="mine")
    async with aclosing(typed.speech()) as speech:
        reading = asyncio.create_task(anext(speech))
        await asyncio.sleep(0)
        services.cancel("mine")
        with pytest.raises(Cancelled):
            await reading
    with pytest.raises(UnknownRequest):
        services.cancel("mine")
